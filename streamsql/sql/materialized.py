"""`CREATE MATERIALIZED TABLE` and `VIEW`: a query whose rows are kept; Flink's clauses, and what is refused of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from streamsql.sql.literals import interval_value
from streamsql.sql.statements import CreateMaterialized
from streamsql.sql.types import interval_type_of

if TYPE_CHECKING:
    from streamsql.sql.script import ScriptRules

_REFUSED = {
    "PARTITIONED": "its rows are kept here, as one table",
    "DISTRIBUTED": "its rows are kept here, as one table",
    "WITH": "its rows are kept here; to write them elsewhere: CREATE TABLE … WITH (…) AS SELECT …",
}


def comes(rules: ScriptRules) -> bool:
    """Whether the statement that begins here creates one."""
    after = 3 if rules.ahead() == "OR" else 1
    return rules.ahead(after) == "MATERIALIZED"


def create(rules: ScriptRules, start: int) -> CreateMaterialized:
    rules.expect("CREATE")
    if rules.at_all("OR", "ALTER"):
        rules.fail("CREATE OR ALTER is not supported", rules.here(), hint="write CREATE OR REPLACE")
    or_replace = rules.take("OR", "REPLACE")
    rules.expect("MATERIALIZED")
    kind = rules.expect_any("TABLE", "VIEW")
    exists = rules.take("IF", "NOT", "EXISTS")
    name = rules.qualified(f"a materialized {kind.lower()}")
    if rules.at("(") and rules.ahead() in ("CONSTRAINT", "PRIMARY"):
        rules.fail("a materialized table declares no key", rules.here(),
                   hint="leave it out: rows are kept by their values")
    columns = rules.names() if rules.at("(") else ()
    comment = rules.string() if rules.take("COMMENT") else ""
    if rules.kind in _REFUSED:
        rules.fail(f"{rules.kind} of a materialized {kind.lower()} is not supported", rules.here(),
                   hint=_REFUSED[rules.kind])
    freshness_ms = _freshness(rules)
    _refresh_mode(rules)
    rules.expect("AS")
    query = rules.query()
    emit, every_ms = rules.emission()
    return CreateMaterialized(rules.source, rules.since(start), name, columns, query,
                              "VIEW" if kind == "VIEW" else "TABLE", emit, every_ms, freshness_ms, exists, or_replace,
                              comment)


def _freshness(rules: ScriptRules) -> int:
    """How old the rows may be, which is how often they are committed; 0 where it is not said."""
    if not rules.take("FRESHNESS"):
        return 0
    rules.expect("=")
    start = rules.index
    if not rules.at("INTERVAL"):
        rules.unexpected('"INTERVAL"', hint="write FRESHNESS = INTERVAL '10' SECOND")
    interval = rules.expression()
    if not isinstance(interval, exp.Interval) or interval_type_of(interval.args["unit"].name).root.endswith("MONTH"):
        rules.fail("FRESHNESS takes an interval of days to seconds", rules.since(start),
                   hint="write FRESHNESS = INTERVAL '10' SECOND")
    freshness_ms = interval_value(interval) // 1000
    if freshness_ms <= 0:
        rules.fail("FRESHNESS takes a positive interval", rules.since(start))
    return freshness_ms


def _refresh_mode(rules: ScriptRules) -> None:
    if not rules.take("REFRESH_MODE"):
        return
    rules.expect("=")
    if rules.at("FULL"):
        rules.fail("REFRESH_MODE = FULL is not supported", rules.here(),
                   hint="rows are kept up to date as their input comes: REFRESH_MODE = CONTINUOUS")
    rules.expect("CONTINUOUS")

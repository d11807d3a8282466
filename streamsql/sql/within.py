"""ksqlDB's `a JOIN b WITHIN 5 MINUTES ON …`: how far the times of two rows that meet are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from streamsql.sql.literals import interval_type, interval_value
from streamsql.sql.spans import span_of
from streamsql.sql.sugar import duration

if TYPE_CHECKING:
    from streamsql.sql.match import MatchRules


def join_within(rules: MatchRules) -> list[exp.Expression]:
    """How much earlier the right row may be, and how much later; [] where no WITHIN comes.

    They are intervals at `within` of the join: the planner knows the rowtimes of its sides.
    """
    if not rules.take("WITHIN"):
        return []
    if rules.take("("):
        before = duration(rules)
        rules.expect(",")
        after = duration(rules)
        rules.expect(")")
    else:
        before = duration(rules)
        after = before.copy()
    for length in (before, after):
        if isinstance(length, exp.Interval) and "MONTH" in interval_type(length).root:
            rules.fail("a join WITHIN months has no length", span_of(length) or rules.here(),
                       hint="a month is not always as long as another: write it in days")
    if rules.at("GRACE"):
        rules.fail("a join has no GRACE PERIOD", rules.here(),
                   hint="how late rows may be is said by the table: WATERMARK FOR ts AS ts - INTERVAL '10' SECOND")
    return [before, after]


def within_us(join: exp.Expr) -> tuple[int, int] | None:
    """The two lengths of a join's WITHIN in µs."""
    given = join.args.get("within")
    return (interval_value(given[0]), interval_value(given[1])) if given else None


def within_text(join: exp.Expr) -> str:
    """As it is written, '' for none."""
    found = within_us(join)
    return f" WITHIN ({found[0] // 1000} MILLISECONDS, {found[1] // 1000} MILLISECONDS)" if found else ""

"""`python -m tests.benchmarks.expressions`: what Flink's meaning costs beside DuckDB's own expression.

Twelve common expressions over a million rows of columns, each translated and as DuckDB says the nearest thing. Both
are run in turn, over the same table, on one thread; the ratio is that of the least CPU times of several rounds,
which a busy machine disturbs least.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from streamsql.core.schema import quote
from streamsql.errors import Source
from streamsql.sql import exp, parse, parse_type
from streamsql.sql.statements import Select
from streamsql.state.database import Database
from streamsql.values.binder import Binder
from streamsql.values.let import hoisted
from streamsql.values.library import load
from streamsql.values.macros import set_clock
from streamsql.values.typed import Typed

ROWS, ROUNDS, TARGET = 1_000_000, 5, 1.5

COLUMNS = {
    "i": ("INT", "CAST(hash(n) % 100000 AS INTEGER) - 50000"),
    "b": ("BIGINT", "CAST(hash(n + 1) % 1000000000000 AS BIGINT)"),
    "d": ("DOUBLE", "CAST(hash(n + 2) % 10000000 AS DOUBLE) / 1000"),
    "m": ("DECIMAL(10, 2)", "CAST(hash(n + 3) % 10000000 AS DECIMAL(12, 2)) / 100"),
    "s": ("STRING", "'user-' || (hash(n + 4) % 100000) || '@example-' || n % 50 || '.org'"),
    "digits": ("STRING", "CAST(hash(n + 5) % 1000000 AS VARCHAR)"),
    "ts": ("TIMESTAMP(3)", "make_timestamp_ms(1704067200000 + CAST(hash(n + 6) % 31536000000 AS BIGINT))"),
    "ts2": ("TIMESTAMP(3)", "make_timestamp_ms(1704067200000 + CAST(hash(n + 7) % 63072000000 AS BIGINT))"),
    "t": ("STRING", "strftime(TIMESTAMP '2024-01-01 00:00:00' + to_seconds(CAST(hash(n + 6) % 31536000 AS BIGINT)), "
                    "'%Y-%m-%d %H:%M:%S')"),
    "ms": ("BIGINT", "1704067200000 + CAST(hash(n + 8) % 31536000000 AS BIGINT)"),
    "j": ("STRING", "'{\"id\":' || n || ',\"name\":\"bidder-' || n % 1000 || '\",\"price\":' || hash(n) % 1000 || "
                    "',\"tags\":[\"a\",\"b' || n % 9 || '\"],\"at\":{\"city\":\"Oslo\"}}'"),
}
"""Name → type in SQL, and the DuckDB expression of row `n`; one row in twenty is NULL."""


@dataclass(frozen=True, slots=True)
class Case:
    """An expression of Flink's, and DuckDB's nearest."""

    name: str
    flink: str
    native: str
    zone: str = "UTC"


CASES = (
    Case("CAST to INT", "CAST(digits AS INT)", "CAST(digits AS INTEGER)"),
    Case("CAST to STRING", "CAST(d AS STRING)", "CAST(d AS VARCHAR)"),
    Case("CAST of a DECIMAL", "CAST(m AS INT)", "CAST(trunc(m) AS INTEGER)"),
    Case("CASE", "CASE WHEN i < 0 THEN 'low' WHEN i < 10000 THEN 'middle' ELSE 'high' END",
         "CASE WHEN i < 0 THEN 'low' WHEN i < 10000 THEN 'middle' ELSE 'high' END"),
    Case("UPPER", "UPPER(s)", "upper(s)"),
    Case("SUBSTRING", "SUBSTRING(s FROM 6 FOR 8) || '!'", "substring(s, 6, 8) || '!'"),
    Case("SPLIT_INDEX", "SPLIT_INDEX(s, '@', 1)", "split_part(s, '@', 2)"),
    Case("DATE_FORMAT", "DATE_FORMAT(ts, 'yyyy-MM-dd HH:mm')", "strftime(ts, '%Y-%m-%d %H:%M')"),
    Case("TO_TIMESTAMP", "TO_TIMESTAMP(t)", "strptime(t, '%Y-%m-%d %H:%M:%S')"),
    Case("TO_TIMESTAMP_LTZ", "TO_TIMESTAMP_LTZ(ms, 3)", "to_timestamp(ms / 1000)"),
    Case("TIMESTAMPDIFF", "TIMESTAMPDIFF(MONTH, ts, ts2)", "datesub('month', ts, ts2)"),
    Case("REGEXP_EXTRACT", "REGEXP_EXTRACT(s, '([a-z]+)-([0-9]+)', 2)", "regexp_extract(s, '([a-z]+)-([0-9]+)', 2)"),
    Case("REGEXP_REPLACE", "REGEXP_REPLACE(s, '[0-9]+', '#')", "regexp_replace(s, '[0-9]+', '#', 'g')"),
    Case("LIKE", "s LIKE '%@example-1_.org'", "s LIKE '%@example-1_.org'"),
    Case("JSON_VALUE", "JSON_VALUE(j, '$.name')", "json_extract_string(j, '$.name')"),
    Case("JSON_QUERY", "JSON_QUERY(j, '$.tags')", "CAST(json_extract(j, '$.tags') AS VARCHAR)"),
)


class Columns:
    """The scope of the table's columns."""

    def column(self, tree: exp.Expr) -> Typed:
        return Typed(quote(tree.name), parse_type(COLUMNS[tree.name][0]))

    def call(self, tree: exp.Expr) -> Typed | None:
        return None


def translated(case: Case) -> str:
    """The DuckDB text of the case's expression."""
    (statement,) = parse(Source(f"SELECT {case.flink}"))
    assert isinstance(statement, Select)
    return Binder(Columns(), {"table.local-time-zone": case.zone}).bind(statement.query.expressions[0]).sql


def measure(cases: Sequence[Case], rows: int, rounds: int) -> list[tuple[Case, float, float]]:
    """Each case with its least CPU seconds, translated and native."""
    database = Database(threads=1)
    try:
        texts = [translated(c) for c in cases]
        if load(database, "\n".join(texts)):
            set_clock(database.everywhere, 1_704_067_200_000_000)
        columns = ", ".join(f"CASE WHEN n % 20 <> {k} THEN {sql} END AS {quote(name)}"
                            for k, (name, (_, sql)) in enumerate(COLUMNS.items()))
        database.execute(f"CREATE TEMP TABLE rows AS SELECT {columns} FROM range({rows}) AS r(n)")
        return [(c, *_least(database, text, c.native, rounds)) for c, text in zip(cases, texts)]
    finally:
        database.close()


def _least(database: Database, ours: str, native: str, rounds: int) -> tuple[float, float]:
    least = [float("inf")] * 2
    for turn in range(2 * rounds):
        which = turn % 2
        [(_, computed)], source = hoisted([("x", (ours, native)[which])], "rows")
        sql = f"SELECT count(x) FROM (SELECT {computed} AS x FROM {source})"
        start = time.process_time()
        database.query(sql)
        least[which] = min(least[which], time.process_time() - start)
    return least[0], least[1]


def table(measured: Sequence[tuple[Case, float, float]], rows: int) -> str:
    """Nanoseconds a row and their ratio, as Markdown."""
    lines = ["| expression | DuckDB's nearest | ns a row | DuckDB's | ratio |", "|---|---|---|---|---|"]
    for case, ours, native in measured:
        lines.append(f"| `{case.flink}` | `{case.native}` | {ours / rows * 1e9:.0f} | {native / rows * 1e9:.0f} "
                     f"| {ours / native:.2f} |")
    return "\n".join(lines)


def report() -> tuple[str, bool]:
    """The table of all expressions, and whether each is within the target."""
    measured = measure(CASES, ROWS, ROUNDS)
    return table(measured, ROWS), all(ours <= TARGET * native for _, ours, native in measured)


def main(arguments: Sequence[str] = ()) -> int:
    """Print the table; 1 if an expression costs more than 1.5 times DuckDB's."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.expressions", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", help="part of the name of the expressions to run")
    options = parser.parse_args(arguments)
    measured = measure([c for c in CASES if options.only in c.name], options.rows, options.rounds)
    print(table(measured, options.rows))
    return 0 if all(ours <= TARGET * native for _, ours, native in measured) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

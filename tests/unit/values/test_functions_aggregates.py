"""Every aggregate over columns with NULLs: its example over rows at once, through GROUP BY and through windows.

The rows of the sample come in two batches into a group before one of NULLs alone and one after it, so that what a
batch leaves in the state, and what is kept of no values, are part of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import streamsql
from streamsql import aggregates
from streamsql.aggregates.aggregate import Function
from streamsql.aggregates.sample import ROWS, TYPES, over_sample
from streamsql.session.reference import described
from streamsql.values.functions import functions

CASES = Path(__file__).parents[2] / "cases"
FUNCTIONS = list(dict.fromkeys(aggregates.FUNCTIONS.values()))
OF_NULLS = dict.fromkeys(
    ("ARRAY_AGG", "LAST", "LIST", "BITMAP_AND_AGG", "BITMAP_AND_CARDINALITY_AGG"), True) | dict.fromkeys(
    ("ENTROPY", "BITMAP_OR_AGG", "BITMAP_OR_CARDINALITY_AGG", "BITMAP_XOR_AGG", "BITMAP_XOR_CARDINALITY_AGG"), False)
"""What is true of an example over NULLs alone, where that is neither NULL nor, of a function that never is, FALSE."""
COLUMNS = ", ".join(f"{f.example} AS `{f.name}`" for f in FUNCTIONS)
WINDOWS = "TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))"


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)
def test_the_example_calls_the_function(function: Function) -> None:
    assert f"{function.name}(" in function.example


def test_examples_are_true_over_constants() -> None:
    """In one query of one row; DESCRIBE FUNCTION shows the same with the columns of one example."""
    with streamsql.Session(threaded=False) as session:
        [row] = session.sql(over_sample(COLUMNS)).fetchall()
    assert [f.name for f, value in zip(FUNCTIONS, row, strict=True) if value is not True] == []


def _rows(keys: str) -> pa.Table:
    """The sample for each of the keys, for `-` NULLs."""
    values: dict[str, list[Any]] = {"NULL": [None], "TRUE": [True], "FALSE": [False]}
    columns = {}
    for at, (name, kind) in enumerate(TYPES.items()):
        cells = [values.get(row[at], [row[at].strip("'") if kind == "STRING" else row[at]])[0] for row in ROWS[:-1]]
        sample = [int(c) if kind == "INT" else c for c in cells] + [None]
        columns[name] = pa.array([v for k in keys for v in (sample if k != "-" else [None] * len(ROWS))],
                                 {"INT": pa.int32(), "STRING": pa.string(), "BOOLEAN": pa.bool_()}[kind])
    n = len(ROWS)
    return pa.table({"k": [k for k in keys for _ in range(n)], **columns,
                     "ts": pa.array([1_000_000] * n * len(keys), pa.timestamp("us"))})


def _through(query: str) -> dict[str, dict[str, Any]]:
    declared = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    with streamsql.Session(threaded=False) as session:
        session.sql(f"CREATE TABLE t (k STRING, {declared}, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - "
                    "INTERVAL '1' MINUTE) WITH ('connector' = 'memory')")
        running, table, rows = session.sql(query), session.memory("t"), _rows("a-b")
        for part in (rows.slice(0, 2), rows.slice(2)):
            table.append(part.cast(pa.schema(part.schema)))
            running.turn()
        table.end()
        while not running.finished:
            running.turn()
        groups: dict[str, dict[str, Any]] = {}
        for batch in running.taken():
            for row in batch.to_pylist():
                if row.get("$diff", 1) > 0:
                    groups[row["k"]] = row
        return groups


@pytest.mark.parametrize("query", [f"SELECT k, {COLUMNS} FROM t GROUP BY k",
                                   f"SELECT k, {COLUMNS} FROM {WINDOWS} GROUP BY k, window_start, window_end"],
                         ids=["group", "window"])
def test_over_columns_it_is_what_it_is_over_constants(query: str) -> None:
    groups = _through(query)
    for function in FUNCTIONS:
        of_nulls = OF_NULLS.get(function.name, False if function.never_null else None)
        found = [groups[k][function.name] for k in "a-b"]
        assert found == [True, of_nulls, True], f"{function.name}: {found}"


def test_every_function_has_an_example_or_a_case() -> None:
    """Ranks, groupings, window functions and what reads a watermark have no value over constants: cases call them."""
    texts = "".join(path.read_text().upper() for path in CASES.rglob("*.stream"))
    others = [e.name for e in described() if not e.example]
    assert set(others) == {e.name for e in described() if e.group == "form"} | {
        f.name for f in functions() if not f.example}
    assert [name for name in others if f"{name}(" not in texts] == []

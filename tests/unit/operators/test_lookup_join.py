"""Lookup joins of a left side that changes: what a row gave is taken back as it was given."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

import streamsql

QUERY = """
SELECT n.k, n.c, d.name FROM (SELECT k, COUNT(*) AS c, PROCTIME() AS p FROM e GROUP BY k) AS n
{kind} JOIN dim FOR SYSTEM_TIME AS OF n.p AS d ON n.k = d.k
"""


def taken(query: Any) -> list[tuple[Any, ...]]:
    query.turn()
    query.turn()
    return [tuple(row.values()) for batch in query.taken() for row in batch.to_pylist()]


def started(session: streamsql.Session, sql: str) -> Any:
    query = next(r.query for r in session.execute(sql) if r.query is not None)
    query.turn()
    return query


@pytest.fixture
def session() -> Any:
    with streamsql.Session({}, threaded=False) as opened:
        list(opened.execute(
            "CREATE TABLE e (id INT, k STRING) WITH ('connector' = 'memory');"
            "CREATE TABLE dim (k STRING, name STRING) WITH ('connector' = 'memory')"))
        yield opened


def given(session: streamsql.Session, table: str, /, **columns: list[Any]) -> None:
    session.memory(table).append(pa.table(columns))


def test_a_row_takes_back_what_it_met_then(session: streamsql.Session) -> None:
    query = started(session, QUERY.format(kind="LEFT"))
    given(session, "e", id=pa.array([1, 2], pa.int32()), k=["a", "b"])
    assert [r[:3] for r in taken(query)] == [("a", 1, None), ("b", 1, None)]
    given(session, "dim", k=["a", "a"], name=["x", "y"])
    given(session, "e", id=pa.array([3], pa.int32()), k=["a"])
    assert taken(query) == [("a", 1, None, -1), ("a", 2, "x", 1), ("a", 2, "y", 1)]
    given(session, "dim", k=["a"], name=["z"])
    given(session, "e", id=pa.array([4], pa.int32()), k=["a"])
    assert sorted(taken(query)) == [("a", 2, "x", -1), ("a", 2, "y", -1), ("a", 3, "x", 1), ("a", 3, "y", 1),
                                    ("a", 3, "z", 1)]


@pytest.mark.parametrize("kind", ["LEFT", "INNER"])
def test_only_what_is_there_is_left(session: streamsql.Session, kind: str) -> None:
    rng = random.Random(7)
    query = started(session, QUERY.format(kind=kind))
    left: Counter[tuple[Any, ...]] = Counter()
    count: Counter[str] = Counter()
    for turn in range(20):
        keys = [rng.choice("abc") for _ in range(5)]
        count.update(keys)
        given(session, "e", id=pa.array(range(5), pa.int32()), k=keys)
        if turn % 3 == 0:
            given(session, "dim", k=[rng.choice("ab")], name=[f"n{turn}"])
        for *row, diff in taken(query):
            left[tuple(row)] += diff
    assert min(left.values()) >= 0
    there = {(k, c) for (k, c, _), n in left.items() if n}
    assert there == {(k, n) for k, n in count.items() if kind == "LEFT" or k != "c"}

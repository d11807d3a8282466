"""Early results: the sum of EMIT CHANGES and of EMIT EVERY is what the window gives when it closes."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamsql
from streamsql.core.clock import ManualClock

WINDOWS = (
    "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)",
    "HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '15' SECOND)",
    "CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '15' SECOND)",
)
CALLS = "COUNT(*) AS n, SUM(v) AS s, MIN(v) AS lo, COUNT(DISTINCT v) AS d, LAST_VALUE(v) AS l"
GROUPS = ("k, window_start, window_end", "window_start, window_end, CUBE (k)")

Row = tuple[str | None, int | None, int]
ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", None]), st.one_of(st.none(), st.integers(0, 3)), st.integers(0, 60)),
    max_size=25,
)


def _query(window: str, groups: str, emit: str) -> str:
    return f"SELECT k, window_start, window_end, {CALLS} FROM TABLE({window}) GROUP BY {groups} {emit}"


def _table(rows: list[Row]) -> pa.Table:
    start = dt.datetime(2024, 1, 1)
    return pa.table({
        "k": pa.array([k for k, _, _ in rows], pa.string()), "v": pa.array([v for _, v, _ in rows], pa.int32()),
        "ts": pa.array([start + dt.timedelta(seconds=s) for _, _, s in rows], pa.timestamp("us"))})


def _drained(query: streamsql.Query, clock: ManualClock) -> None:
    while query.turn():
        pass
    clock.advance_us(1_000_000)


def _sum(batches: list[pa.Table]) -> Counter[str]:
    total: Counter[str] = Counter()
    for batch in batches:
        diffs = batch["$diff"].to_pylist() if "$diff" in batch.column_names else [1] * batch.num_rows
        names = [n for n in batch.column_names if not n.startswith("$")]
        for diff, row in zip(diffs, batch.select(names).to_pylist(), strict=True):
            total[repr(row)] += diff
            assert total[repr(row)] >= 0, f"a row was taken back that was not there: {row}"
    return +total


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("groups", GROUPS)
@settings(max_examples=12, deadline=None)
@given(rows=ROWS, cuts=st.lists(st.integers(0, 25), max_size=4), delay=st.sampled_from([0, 12]))
def test_the_sum_of_early_results_is_the_final_one(
    window: str, groups: str, rows: list[Row], cuts: list[int], delay: int
) -> None:
    clock = ManualClock(1_767_225_600_000_000)
    with streamsql.Session(threaded=False, clock=clock) as session:
        list(session.execute(
            f"CREATE TABLE t (k STRING, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '{delay}' SECOND) "
            "WITH ('connector' = 'memory')"))
        emits = ("", "EMIT CHANGES", "EMIT EVERY INTERVAL '2' SECOND")
        queries: list[Any] = [session.sql(_query(window, groups, emit)) for emit in emits]
        edges = sorted({0, len(rows), *(c for c in cuts if c < len(rows))})
        for start, end in pairwise(edges):
            session.memory("t").append(_table(rows[start:end]))
            for query in queries:
                _drained(query, clock)
        session.memory("t").end()
        for query in queries:
            while not query.finished:
                query.turn()
        final, changes, every = (_sum(query.taken()) for query in queries)
        assert changes == final
        assert every == final
        for query in queries:
            query.close()

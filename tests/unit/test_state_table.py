"""StateTable against a plain list of rows, and through its durable copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from streamsql.state.database import Database
from streamsql.state.table import KEY, ROW, StateTable

SCHEMA = pa.schema([(KEY, pa.uint64()), ("time", pa.int64()), ("text", pa.string())])


def rows(keys: list[int], start: int = 0) -> pa.Table:
    times = [(k * 7) % 50 for k in keys]
    return pa.table({KEY: keys, "time": times, "text": [f"{k}/{start + n}" for n, k in enumerate(keys)]}, SCHEMA)


def contents(table: pa.Table) -> list[str]:
    return [str(text) for text in table.column("text").to_pylist()]


STEP = st.one_of(
    st.tuples(st.just("add"), st.lists(st.integers(0, 30), min_size=1, max_size=40)),
    st.tuples(st.just("remove"), st.lists(st.integers(0, 30), min_size=1, max_size=10)),
    st.tuples(st.just("pop"), st.lists(st.integers(0, 60), min_size=1, max_size=1)))


@given(st.lists(STEP, max_size=30))
@settings(max_examples=60, deadline=None)
def test_it_holds_what_a_list_would(steps: list[tuple[str, list[int]]]) -> None:
    with_time: list[tuple[int, int, str]] = []
    database = Database()
    table = database.state("t", SCHEMA, time="time")
    made = 0
    for verb, numbers in steps:
        if verb == "add":
            new = rows(numbers, made)
            made += len(numbers)
            table.add(new)
            with_time += list(zip(*(new.column(n).to_pylist() for n in SCHEMA.names), strict=True))
        elif verb == "remove":
            found = table.find(np.array(numbers, np.uint64))
            assert contents(found) == [t for k, _, t in with_time if k in numbers]
            table.remove(found.column(ROW))
            with_time = [r for r in with_time if r[0] not in numbers]
        else:
            popped = table.pop(numbers[0])
            assert contents(popped) == [t for _, time, t in with_time if time < numbers[0]]
            with_time = [r for r in with_time if r[1] >= numbers[0]]
        assert len(table) == len(with_time)
    assert contents(table.all()) == [t for _, _, t in with_time]
    database.close()


def test_it_is_found_again_as_it_was_at_the_last_commit(tmp_path: Path) -> None:
    database = Database(tmp_path / "state")
    table = database.state("t", SCHEMA)
    database.begin()
    for n in range(20):
        table.add(rows([n, n + 1, n + 2], 3 * n))
    table.remove(table.find(np.array([5], np.uint64)).column(ROW))
    database.commit()
    database.begin()
    table.remove(table.find(np.array([6], np.uint64)).column(ROW))
    table.add(rows([99], 60))
    database.commit()
    database.begin()
    table.add(rows([100], 61))
    kept = [t for t in contents(table.all()) if t != "100/61"]
    database.close()
    again = Database(tmp_path / "state")
    table = again.state("t", SCHEMA)
    assert contents(table.all()) == kept
    table.add(rows([101], 62))
    assert contents(table.find(np.array([101, 99], np.uint64))) == ["99/60", "101/62"]
    again.close()


def test_rows_are_forgotten_when_their_time_to_live_has_passed() -> None:
    database = Database()
    table = database.state("t", SCHEMA, ttl_ms=1000)
    table.add(rows([1]), now_ms=0)
    table.add(rows([2]), now_ms=600)
    assert table.forget(999) == 0
    assert table.forget(1000) == 1
    assert contents(table.all()) == ["2/0"]
    assert table.forget(5000) == 1
    assert len(table) == 0
    database.close()


def test_segments_are_merged_and_removed_rows_let_go() -> None:
    database = Database()
    table: StateTable = database.state("t", SCHEMA)
    for n in range(100):
        table.add(rows(list(range(1000)), n))
        table.remove(table.find(np.arange(900, dtype=np.uint64)).column(ROW))
    assert len(table) == 100 * 100
    assert len(table._segments) < 30
    assert len(table.find(np.arange(900, 1000, dtype=np.uint64))) == 100 * 100
    database.close()

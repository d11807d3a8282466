"""SlotTable against a plain dict of rows, and through its durable copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamsql.state import slots
from streamsql.state.database import Database
from streamsql.state.slots import SlotTable
from streamsql.state.table import KEY, ROW

SCHEMA = pa.schema([(KEY, pa.uint64()), ("id", pa.int64()), ("group", pa.uint64()), ("n", pa.int32()),
                    ("even", pa.bool_()), ("total", pa.decimal128(38, 0)), ("text", pa.string())])
Rows = dict[int, int]
"""The number of each id."""


def hashed(number: int) -> int:
    """Of some ids the same as of others."""
    return number // 3 * 0x9E3779B97F4A7C15 % 2**64


def table_of(numbers: Rows, found: dict[int, int]) -> pa.Table:
    values = [{KEY: hashed(i), "id": i, "group": i % 4, "n": None if n % 5 == 0 else n, "even": n % 2 == 0,
               "total": 10**30 * n, "text": None if n % 7 == 0 else f"{i}/{n}", ROW: found.get(i)}
              for i, n in numbers.items()]
    return pa.Table.from_pylist(values, SCHEMA.append(pa.field(ROW, pa.int64())))


def rows_of(table: SlotTable, ids: list[int]) -> dict[int, int]:
    """The rows' numbers by id, of ids that are there."""
    found = table.find(np.array([hashed(i) for i in ids], np.uint64))
    return {i: row for i, row in zip(found.column("id").to_pylist(), found.column(ROW).to_pylist(), strict=True)
            if i in ids}


def contents(table: pa.Table) -> list[dict[str, object]]:
    rows = table.drop_columns([ROW]).to_pylist()
    return sorted(rows, key=lambda row: int(row["id"]))


def expected(rows: Rows) -> list[dict[str, object]]:
    return contents(table_of(rows, {}))


class Both:
    """The table and the dict it is held to."""

    def __init__(self, table: SlotTable) -> None:
        self.table = table
        self.rows: Rows = {}

    def put(self, ids: list[int], number: int) -> None:
        changed = {i: number + i for i in dict.fromkeys(ids)}
        self.table.put(table_of(changed, rows_of(self.table, ids)))
        self.rows |= changed

    def remove(self, ids: list[int]) -> None:
        self.table.remove(np.array(list(rows_of(self.table, ids).values()), np.int64))
        self.rows = {i: n for i, n in self.rows.items() if i not in ids}

    def check(self) -> None:
        assert len(self.table) == len(self.rows)
        assert contents(self.table.all()) == expected(self.rows)


STEPS = st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 60), min_size=1, max_size=40)), max_size=30)


@pytest.mark.parametrize("spare", [0, 50_000], ids=["written anew often", "never"])
@given(steps=STEPS)
@settings(max_examples=60, deadline=None)
def test_it_holds_what_a_dict_would(spare: int, steps: list[tuple[bool, list[int]]]) -> None:
    database = Database()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "_SPARE_ROWS", spare)
        both = Both(database.slots("t", SCHEMA, constant=("id", "group"), other="group"))
        for number, (puts, ids) in enumerate(steps):
            if puts:
                both.put(ids, number)
            else:
                both.remove(ids)
            both.check()
            of_group = both.table.find(np.array([1, 2], np.uint64), other=True)
            assert contents(of_group) == expected({i: n for i, n in both.rows.items() if i % 4 in (1, 2)})
    database.close()


def test_many_rows_are_found_while_the_index_grows() -> None:
    database = Database()
    table = database.slots("t", pa.schema([(KEY, pa.uint64()), ("id", pa.int64())]))
    keys = np.random.default_rng(1).integers(0, 2**63, 50_000, np.uint64) * np.uint64(2)
    for start in range(0, 50_000, 10_000):
        part = keys[start:start + 10_000]
        table.put(pa.table({KEY: part, "id": np.arange(start, start + 10_000), ROW: pa.nulls(10_000, pa.int64())}))
        known = keys[:start + 10_000]
        assert sorted(table.find(known).column("id").to_pylist()) == list(range(len(known)))
        assert not len(table.find(known + np.uint64(1)))
    database.close()


@pytest.mark.parametrize("spare", [0, 50_000], ids=["written anew often", "never"])
def test_it_is_found_again_as_it_was_at_the_last_commit(
    tmp_path: Path, spare: int, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slots, "_SPARE_ROWS", spare)
    rows: Rows = {}
    for turn in range(8):
        database = Database(tmp_path / "state")
        both = Both(database.slots("t", SCHEMA, constant=("id", "group"), other="group"))
        both.rows = dict(rows)
        both.check()
        for commit in range(2):
            database.begin()
            both.put(list(range(turn, turn * 3 + 8)), turn + commit)
            both.remove(list(range(turn, turn * 2 + 5)))
            database.commit()
        rows = dict(both.rows)
        database.begin()
        both.put([77], 1)
        database.close()


def test_rows_are_forgotten_when_they_were_not_written_for_their_time_to_live(tmp_path: Path) -> None:
    schema = pa.schema([(KEY, pa.uint64())])

    def put(table: SlotTable, key: int, now_ms: int) -> None:
        row = table.find(np.array([key], np.uint64)).column(ROW).to_pylist() or [None]
        table.put(pa.table({KEY: pa.array([key], pa.uint64()), ROW: pa.array(row, pa.int64())}), now_ms=now_ms)

    database = Database(tmp_path / "state")
    database.begin()
    table = database.slots("t", schema, ttl_ms=1000)
    for key, now_ms in ((1, 0), (2, 500), (3, 600), (2, 900)):
        put(table, key, now_ms)
    assert table.forget(999) == 0
    assert table.forget(1000) == 1
    database.commit()
    database.close()
    database = Database(tmp_path / "state")
    table = database.slots("t", schema, ttl_ms=1000)
    assert table.forget(1600) == 1
    assert table.all().column(KEY).to_pylist() == [2]
    assert table.forget(1900) == 1
    assert len(table) == 0
    database.close()

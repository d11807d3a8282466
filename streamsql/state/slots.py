"""SlotTable: rows of which a key has one, changed in place; the state of aggregates.

Values of fixed width lie row by row in one array, so that a changed count costs a few bytes and
nothing is merged later. Texts, lists and the like lie in a log of Arrow tables, and a row says
where its own are. See `state.table.StateTable` for rows of which a key has many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from streamsql.core.arrays import distinct
from streamsql.core.schema import quote
from streamsql.errors import InternalError
from streamsql.state._slot_index import Int64s, SlotIndex, UInt64s
from streamsql.state._slot_rows import SlotRows, fixed
from streamsql.state.table import ADDED, KEY, ROW, StateTable, Storage

_FANOUT = 8
_SPARE_ROWS = 50_000
"""So many removed rows, or outdated texts, are kept before the table is written anew."""
_MERGED_BYTES = 1 << 30
"""Parts of the log are not merged beyond this: Arrow's texts have offsets of 32 bits."""

_AT = "$at"
_OTHERS = pa.schema([(KEY, pa.uint64()), (_AT, pa.int64())])
"""Rows by the other key; removed rows stay until the table is written anew."""

Bools = npt.NDArray[np.bool_]


class _Log:
    """Rows of texts and the like, only appended; a place in it never changes."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.parts: list[tuple[int, pa.Table]] = []
        self.end = 0

    def append(self, rows: pa.Table) -> Int64s:
        places = np.arange(self.end, self.end + rows.num_rows, dtype=np.int64)
        self.end += rows.num_rows
        self.parts.append((0, rows.combine_chunks()))
        while len(self.parts) >= _FANOUT:
            last = self.parts[-_FANOUT:]
            if last[0][0] != last[-1][0] or sum(t.nbytes for _, t in last) > _MERGED_BYTES:
                break
            self.parts[-_FANOUT:] = [(last[0][0] + 1, pa.concat_tables([t for _, t in last]).combine_chunks())]
        return places

    def take(self, places: Int64s) -> pa.Table:
        """The rows at ascending places."""
        taken, start = [], 0
        for _, table in self.parts:
            low, high = np.searchsorted(places, (start, start + table.num_rows))
            if low < high:
                taken.append(table.take(pa.array(places[low:high] - start)))
            start += table.num_rows
        return pa.concat_tables(taken) if taken else self.schema.empty_table()


class _Memory:
    """The storage of a table that is only kept in memory."""

    durable = False

    def execute(self, sql: str, *params: object) -> None:
        raise InternalError(f"there is no database to run {sql}")

    def query(self, sql: str, *params: object) -> pa.Table:
        raise InternalError(f"there is no database to run {sql}")

    def over(self, name: str, schema: pa.Schema) -> Any:
        raise InternalError(f"there is no database to see {name}")

    def create_table(self, name: str, schema: pa.Schema) -> None:
        raise InternalError(f"there is no database to hold {name}")


@dataclass(slots=True)
class _Changes:
    """What the durable copy does not know yet; `all` that it must be written whole."""

    rows: list[Int64s]
    all: bool = False


class SlotTable:
    """At most one row a key: `find` it by `$key`, `put` it back changed, or `remove` it.

    name      of its durable copy in the database, which is written by `flush`
    schema    of the rows, `$key` (UBIGINT) among them, without `$row`
    constant  columns that a row keeps from when it is made: those of its key
    other     one of those, a UBIGINT, to find rows by, of which it may have many; None for none
    ttl_ms    rows written last longer ago than this are gone after `forget`; 0 keeps them

    `$row` names a row until the next `put` or `remove`. Only the engine's thread calls it, and
    nothing is rolled back: a step that may fail computes first.
    """

    def __init__(self, storage: Storage, name: str, schema: pa.Schema, *, constant: Collection[str] = (),
                 other: str | None = None, ttl_ms: int = 0) -> None:
        self.name = name
        self.schema = schema
        self.ttl_ms = ttl_ms
        self.expired = 0
        self._storage = storage
        self._other = other
        self._values = SlotRows({f.name: f.type for f in schema if fixed(f.type)})
        varying = [f for f in schema if f.name not in self._values.kinds]
        self._logged = pa.schema(varying)
        self._rewritten = any(f.name not in constant for f in varying)
        self._touched = np.empty(0, np.int64)
        self._queue: deque[tuple[int, Int64s]] = deque()
        self._changes = _Changes([])
        self._clear()
        if storage.durable:
            self._load()

    def _clear(self) -> None:
        self._index = SlotIndex()
        self._log = _Log(self._logged)
        self._others = StateTable(_Memory(), f"{self.name}$others", _OTHERS)
        self._alive = np.zeros(0, np.bool_)
        self._place = np.empty(0, np.int64)
        self._end = self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def found_schema(self) -> pa.Schema:
        """Of what `find` and `all` give: the rows' own, then `$row`."""
        return self.schema.append(pa.field(ROW, pa.int64()))

    # Reading

    def find(self, keys: pa.Array | pa.ChunkedArray | UInt64s, *, other: bool = False) -> pa.Table:
        """The rows whose `$key` (or other key) is among `keys`, in no order that means something.

        A superset of what is asked for where two keys have one hash: compare the keys themselves.
        """
        if not other:
            return self._taken(self._index.find(np.asarray(keys).astype(np.uint64, copy=False)))
        rows: Int64s = self._others.find(keys).column(_AT).to_numpy()
        return self._taken(rows[self._alive[rows]])

    def beside(self, keys: pa.Array | pa.ChunkedArray | UInt64s) -> tuple[Int64s, pa.Table] | None:
        """An order of `keys`, and the rows of the first of them in that order; the others have none.

        None where two rows have one hash, so that a key may lead to both: then `find` them.
        """
        if not self._index.one_each:
            return None
        rows = self._index.lookup(np.asarray(keys).astype(np.uint64, copy=False))
        known = rows >= 0
        places = np.where(known, self._place[rows], -1) if len(self._logged) and len(self._place) else rows
        order = np.argsort(places)
        missing = len(rows) - int(known.sum())
        order = np.concatenate((order[missing:], order[:missing])) if missing else order
        return order, self._taken(rows[order[:len(rows) - missing]])

    def all(self) -> pa.Table:
        """Every row."""
        return self._taken(np.flatnonzero(self._alive[:self._end]))

    def _taken(self, rows: Int64s) -> pa.Table:
        logged: pa.Table = None
        if len(self._logged):
            places = self._place[rows]
            if (places[1:] < places[:-1]).any():
                order = np.argsort(places)
                rows, places = rows[order], places[order]
            logged = self._log.take(places)
        values = self._values.take(rows)
        columns = [values[f.name] if f.name in values else logged.column(f.name) for f in self.schema]
        return pa.Table.from_arrays([*columns, pa.array(rows)], schema=self.found_schema)

    # Writing

    def put(self, rows: pa.Table, *, now_ms: int = 0) -> None:
        """Write rows of the table's schema and `$row`: where that is NULL it is a new row.

        now_ms  processing time, which the time to live is counted from
        """
        if not rows.num_rows:
            return
        given = rows.column(ROW).combine_chunks()
        new = given.is_null().to_numpy(zero_copy_only=False)
        added = int(new.sum())
        numbers: Int64s = given.fill_null(0).to_numpy().astype(np.int64)
        numbers[new] = np.arange(self._end, self._end + added)
        self._grow(self._end + added)
        self._values.put(numbers, {name: rows.column(name) for name in self._values.kinds})
        if added:
            self._alive[numbers[new]] = True
            self._index.add(rows.column(KEY).to_numpy()[new], numbers[new])
            if self._other is not None:
                others = rows.column(self._other).to_numpy()[new]
                self._others.add(pa.table({KEY: others, _AT: numbers[new]}, _OTHERS))
        self._end += added
        self._rows += added
        self._write_log(rows, numbers, new)
        self._note(numbers, now_ms)
        self._tidy_log()

    def _write_log(self, rows: pa.Table, numbers: Int64s, new: Bools) -> None:
        if not len(self._logged):
            return
        if not self._rewritten:
            rows, numbers = rows.filter(pa.array(new)), numbers[new]
        if len(numbers):
            self._place[numbers] = self._log.append(rows.select(self._logged.names).cast(self._logged))

    def _note(self, numbers: Int64s, now_ms: int) -> None:
        if self.ttl_ms:
            self._touched[numbers] = now_ms
            self._queue.append((now_ms, numbers))
        if self._storage.durable:
            self._changes.rows.append(numbers)

    def remove(self, rows: pa.Array | pa.ChunkedArray | Int64s) -> None:
        """Remove the rows of these `$row` numbers, which are there."""
        numbers = np.asarray(rows).astype(np.int64, copy=False)
        if not len(numbers):
            return
        self._index.remove(self._values.column(KEY, numbers), numbers)
        self._alive[numbers] = False
        self._rows -= len(numbers)
        if self._storage.durable:
            self._changes.rows.append(numbers)
        if self._end - self._rows > self._rows + _SPARE_ROWS:
            self._compact()

    def forget(self, now_ms: int) -> int:
        """Remove the rows whose time to live has passed; how many."""
        before = self._rows
        while self._queue and self._queue[0][0] + self.ttl_ms <= now_ms:
            touched_ms, numbers = self._queue.popleft()
            self.remove(distinct(numbers[self._alive[numbers] & (self._touched[numbers] == touched_ms)]))
        self.expired += before - self._rows
        return before - self._rows

    # Places

    def _grow(self, size: int) -> None:
        if size <= len(self._alive):
            return
        size = max(size, 2 * len(self._alive), 1024)
        self._values.resize(size)
        self._alive = _resized(self._alive, size)
        self._place = _resized(self._place, size)
        if self.ttl_ms:
            self._touched = _resized(self._touched, size)

    def _tidy_log(self) -> None:
        if self._rewritten and self._log.end > 2 * self._rows + _SPARE_ROWS:
            rows = np.flatnonzero(self._alive[:self._end])
            rows = rows[np.argsort(self._place[rows])]
            table = self._log.take(self._place[rows])
            self._log = _Log(self._logged)
            self._place[rows] = self._log.append(table)

    def _compact(self) -> None:
        """Renumber the rows that are left."""
        rows, touched = self.all(), self._touched
        old = rows.column(ROW).to_numpy()
        self._values.resize(0)
        self._clear()
        self._touched = np.empty(0, np.int64)
        queue, self._queue = self._queue, deque()
        self.put(rows.set_column(len(self.schema), ROW, pa.nulls(rows.num_rows, pa.int64())))
        self._changes = _Changes([], True)
        if self.ttl_ms:
            self._touched[:len(old)] = touched[old]
            renumbered = np.full(len(touched), -1, np.int64)
            renumbered[old] = np.arange(len(old))
            self._queue = deque((ms, found[found >= 0]) for ms, found in ((ms, renumbered[n]) for ms, n in queue))

    # The durable copy

    def flush(self) -> None:
        """Write to the database what was put and removed since; the engine calls it at each commit."""
        if not self._storage.durable or not (self._changes.rows or self._changes.all):
            return
        table, changes, self._changes = quote(self.name), self._changes, _Changes([])
        if changes.all:
            self._storage.execute(f"DELETE FROM {table}")
            numbers = np.flatnonzero(self._alive[:self._end])
        else:
            numbers = distinct(np.concatenate(changes.rows))
            given = self._storage.over(f"{self.name}$gone", pa.schema([(ROW, pa.int64())]))
            given.set(pa.table({ROW: numbers}))
            self._storage.execute(f'DELETE FROM {table} WHERE "{ROW}" IN (SELECT "{ROW}" FROM {quote(given.name)})')
            numbers = numbers[self._alive[numbers]]
        if len(numbers):
            rows = self._taken(numbers)
            touched = self._touched[rows.column(ROW).to_numpy()] if self.ttl_ms else np.zeros(len(numbers), np.int64)
            rows = rows.append_column(ADDED, pa.array(touched))
            given = self._storage.over(f"{self.name}$new", rows.schema)
            given.set(rows)
            self._storage.execute(f"INSERT INTO {table} SELECT * FROM {quote(given.name)}")

    def _load(self) -> None:
        schema = self.found_schema.append(pa.field(ADDED, pa.int64()))
        self._storage.create_table(self.name, schema)
        rows = self._storage.query(f'SELECT * FROM {quote(self.name)} ORDER BY "{ADDED}", "{ROW}"').cast(schema)
        if not rows.num_rows:
            return
        touched = rows.column(ADDED).to_numpy()
        plain = rows.drop_columns([ADDED])
        self.put(plain.set_column(len(self.schema), ROW, pa.nulls(rows.num_rows, pa.int64())))
        self._queue.clear()
        self._changes = _Changes([], not pc.all(pc.equal(rows.column(ROW), np.arange(rows.num_rows))).as_py())
        if self.ttl_ms:
            self._touched[:len(touched)] = touched
            times, starts = np.unique(touched, return_index=True)
            ends = [*starts[1:], len(touched)]
            self._queue.extend((int(ms), np.arange(a, b)) for ms, a, b in zip(times, starts, ends, strict=True))


def _resized(values: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    made = np.zeros(size, values.dtype)
    made[:min(size, len(values))] = values[:size]
    return made

"""StateTable: the rows an operator remembers, found by the hash of their key.

A log of segments, each with its keys sorted beside it, merged as they grow (O'Neil et al., "The
log-structured merge-tree", 1996; the trace of Feldera's DBSP and of differential dataflow). A lookup
is a search a segment, so that a step costs what it touches, whatever the state's age. It
does not compute: operators do, in SQL, over the rows that are found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streamsql.core.arrays import distinct
from streamsql.core.schema import quote
from streamsql.state._sorted_hashes import SortedHashes

KEY = "$key"
"""UBIGINT: the hash of a row's key. Rows of one key have one hash; rows of one hash may have two keys."""
ADDED = "$added"
"""BIGINT of the durable copy: processing time in ms when the row was added."""
ROW = "$row"
"""BIGINT: names a row of the table, ascending in the order in which rows were added."""

_FANOUT = 8
"""Segments of one level that are merged into one of the next."""
_MERGED_BYTES = 1 << 30
"""Segments are not merged beyond this: Arrow's texts have offsets of 32 bits."""
_DEAD_ROWS = 50_000
"""A segment with more removed rows than this, and than rows left, is written anew."""

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]


class Storage(Protocol):
    """What a table needs of the database that persists it."""

    durable: bool

    def execute(self, sql: str, *params: object) -> None: ...

    def query(self, sql: str, *params: object) -> pa.Table: ...

    def over(self, name: str, schema: pa.Schema) -> Any: ...

    def create_table(self, name: str, schema: pa.Schema) -> None: ...


def key_of(texts: tuple[str, ...] | list[str]) -> str:
    """DuckDB text of `$key` over the texts of the key's parts; a key without parts is one key."""
    return f"hash({', '.join(texts)})" if texts else "CAST(0 AS UBIGINT)"


@dataclass(slots=True)
class _Segment:
    """Rows in the order of their ids, their keys sorted, and which of them are left.

    order        positions of the rows by key; `keys` in that order
    times        the time column sorted, `by_time` the positions; the first `popped` are gone
    others       the second key sorted, `by_other` the positions
    """

    level: int
    table: pa.Table
    ids: Int64s
    keys: SortedHashes
    order: Int64s
    alive: Bools
    dead: int = 0
    times: Int64s | None = None
    by_time: Int64s | None = None
    popped: int = 0
    others: SortedHashes | None = None
    by_other: Int64s | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: Int64s) -> pa.Table:
        rows = self.table.take(pa.array(positions))
        return rows.append_column(ROW, pa.array(self.ids[positions]))

    def found(self, keys: UInt64s, *, other: bool = False) -> Int64s:
        """The positions, ascending, of the rows left whose (other) key is among `keys` (sorted, distinct)."""
        known, order = (self.others, self.by_other) if other else (self.keys, self.order)
        assert known is not None
        assert order is not None
        low, counts = known.find(keys)
        total = int(counts.sum())
        starts = np.repeat(low - np.cumsum(counts) + counts, counts)
        positions: Int64s = order[starts + np.arange(total)]
        if self.dead:
            positions = positions[self.alive[positions]]
        positions.sort()
        return positions

    def drop(self, positions: Int64s) -> None:
        positions = positions[self.alive[positions]]
        self.alive[positions] = False
        self.dead += len(positions)


class StateTable:
    """Rows with a `$key`; `find` gives those of some keys, `pop` those before a time.

    name    of its durable copy in the database, which is written by `flush`
    schema  of the rows, `$key` (UBIGINT) among them, without `$row`
    time    the BIGINT column that `pop` goes by; None for none
    other   a second UBIGINT column to find rows by, as the hash of the whole row; None for none
    ttl_ms  rows added longer ago than this are gone after `forget`; 0 keeps them

    Only the engine's thread calls it. What is added or removed is seen at once. A step that may fail
    computes first and then changes the table: nothing is rolled back.
    """

    def __init__(self, storage: Storage, name: str, schema: pa.Schema, *, time: str | None = None,
                 other: str | None = None, ttl_ms: int = 0) -> None:
        self.name = name
        self.schema = schema
        self.ttl_ms = ttl_ms
        self._storage = storage
        self._time = time
        self._other = other
        self._segments: list[_Segment] = []
        self._next = 0
        self._rows = 0
        self._flushed = 0
        self._gone: list[Int64s] = []
        self._added: list[tuple[int, int]] = []
        self.expired = 0
        self._empty = schema.empty_table().append_column(ROW, pa.array([], pa.int64()))
        if storage.durable:
            self._load()

    def __len__(self) -> int:
        return self._rows

    @property
    def found_schema(self) -> pa.Schema:
        """Of what `find`, `pop` and `all` give: the rows' own, then `$row`."""
        return self._empty.schema

    # Reading

    def find(self, keys: pa.Array | pa.ChunkedArray | UInt64s, *, other: bool = False) -> pa.Table:
        """The rows whose `$key` is among `keys`, in the order in which they were added.

        A superset of what is asked for where two keys have one hash: compare the keys themselves.
        other  by the second key, so that one row of a hot key is found without the others
        """
        wanted = distinct(np.asarray(keys).astype(np.uint64, copy=False))
        parts = []
        for segment in self._segments:
            positions = segment.found(wanted, other=other)
            if len(positions):
                parts.append(segment.take(positions))
        return pa.concat_tables(parts) if parts else self._empty

    def all(self) -> pa.Table:
        """Every row, in the order in which they were added."""
        parts = [s.take(np.flatnonzero(s.alive)) for s in self._segments]
        return pa.concat_tables(parts) if parts else self._empty

    # Writing

    def add(self, rows: pa.Table, *, now_ms: int = 0) -> None:
        """Add rows of the table's schema (its columns in any order; others are left out).

        now_ms  processing time, which the time to live is counted from
        """
        if not rows.num_rows:
            return
        table = rows.select(self.schema.names).cast(self.schema).combine_chunks()
        ids = np.arange(self._next, self._next + table.num_rows, dtype=np.int64)
        self._next += table.num_rows
        self._rows += table.num_rows
        if self.ttl_ms:
            self._added.append((self._next, now_ms))
        self._segments.append(self._segment(0, table, ids))
        self._merge()

    def remove(self, rows: pa.Array | pa.ChunkedArray | Int64s) -> None:
        """Remove the rows of these `$row` numbers; those that are gone already are passed over."""
        ids = distinct(np.asarray(rows).astype(np.int64, copy=False))
        if not len(ids):
            return
        for index, segment in enumerate(self._segments):
            low, high = np.searchsorted(ids, (segment.ids[0], segment.ids[-1] + 1))
            if low < high:
                here = ids[low:high]
                at = np.searchsorted(segment.ids, here)
                known = segment.ids[np.minimum(at, len(segment) - 1)] == here
                self._drop(segment, at[known])
                self._tidy(index)
        self._sweep()

    def pop(self, before: int, *, through: bool = False) -> pa.Table:
        """Remove and give the rows whose time is before `before` (or at it, with `through`).

        Rows come in the order in which they were added.
        """
        parts = []
        for index, segment in enumerate(self._segments):
            assert segment.times is not None
            assert segment.by_time is not None
            end = int(np.searchsorted(segment.times, before, side="right" if through else "left"))
            if end > segment.popped:
                positions = segment.by_time[segment.popped:end]
                segment.popped = end
                positions = np.sort(positions[segment.alive[positions]])
                if len(positions):
                    parts.append(segment.take(positions))
                    self._drop(segment, positions)
                    self._tidy(index)
        self._sweep()
        return pa.concat_tables(parts) if parts else self._empty

    def forget(self, now_ms: int) -> int:
        """Remove the rows whose time to live has passed; how many."""
        before = len(self)
        end = 0
        while self._added and self._added[0][1] + self.ttl_ms <= now_ms:
            end = self._added.pop(0)[0]
        for index, segment in enumerate(self._segments):
            old = int(np.searchsorted(segment.ids, end))
            if old:
                self._drop(segment, np.arange(old))
                self._tidy(index)
        self._sweep()
        self.expired += before - len(self)
        return before - len(self)

    def _drop(self, segment: _Segment, positions: Int64s) -> None:
        positions = positions[segment.alive[positions]]
        segment.drop(positions)
        self._rows -= len(positions)
        if self._storage.durable and len(positions):
            self._gone.append(segment.ids[positions])

    # Segments

    def _segment(self, level: int, table: pa.Table, ids: Int64s) -> _Segment:
        keys = table.column(KEY).to_numpy()
        order = np.argsort(keys, kind="stable")
        made = _Segment(level, table, ids, SortedHashes(keys[order]), order, np.ones(len(ids), np.bool_))
        if self._time is not None:
            times = table.column(self._time).to_numpy()
            made.by_time = np.argsort(times, kind="stable")
            made.times = times[made.by_time]
        if self._other is not None:
            others = table.column(self._other).to_numpy()
            made.by_other = np.argsort(others, kind="stable")
            made.others = SortedHashes(others[made.by_other])
        return made

    def _merged(self, segments: list[_Segment], level: int, table: pa.Table, ids: Int64s) -> _Segment:
        """The rows left of some segments, which are `table`."""
        lives = [s.alive if s.dead else None for s in segments]
        keys, order = _in_one([(s.keys.hashes, s.order) for s in segments], lives)
        made = _Segment(level, table, ids, SortedHashes(keys), order, np.ones(len(ids), np.bool_))
        if self._time is not None:
            made.times, made.by_time = _in_one([(s.times, s.by_time) for s in segments], lives)
        if self._other is not None:
            runs = [(s.others.hashes, s.by_other) for s in segments if s.others is not None]
            others, made.by_other = _in_one(runs, lives)
            made.others = SortedHashes(others)
        return made

    def _merge(self) -> None:
        """Where the last segments are as many of one level as the fan-out, they become one."""
        while len(self._segments) >= _FANOUT:
            last = self._segments[-_FANOUT:]
            if last[0].level != last[-1].level or sum(s.table.nbytes for s in last) > _MERGED_BYTES:
                return
            self._segments[-_FANOUT:] = self._rewritten(last, last[0].level + 1)

    def _tidy(self, index: int) -> None:
        segment = self._segments[index]
        if segment.dead > max(_DEAD_ROWS, len(segment) // 2) and segment.dead < len(segment):
            self._segments[index:index + 1] = self._rewritten([segment], segment.level)

    def _sweep(self) -> None:
        self._segments = [s for s in self._segments if s.dead < len(s)]

    def _rewritten(self, segments: list[_Segment], level: int) -> list[_Segment]:
        """The rows left of some segments, as one."""
        tables = [s.table.filter(pa.array(s.alive)) if s.dead else s.table for s in segments]
        table = pa.concat_tables(tables).combine_chunks()
        if not table.num_rows:
            return []
        ids = np.concatenate([s.ids[s.alive] if s.dead else s.ids for s in segments])
        return [self._merged(segments, level, table, ids)]

    # The durable copy

    def flush(self) -> None:
        """Write to the database what was added and removed since; the engine calls it at each commit."""
        if not self._storage.durable:
            return
        table = quote(self.name)
        if self._gone:
            gone = np.concatenate(self._gone)
            self._gone.clear()
            gone = gone[gone < self._flushed]
            if len(gone):
                given = self._storage.over(f"{self.name}$gone", pa.schema([(ROW, pa.int64())]))
                given.set(pa.table({ROW: gone}))
                self._storage.execute(f'DELETE FROM {table} WHERE "{ROW}" IN (SELECT "{ROW}" FROM {quote(given.name)})')
        parts = [s.take(np.flatnonzero(s.alive & (s.ids >= self._flushed)))
                 for s in self._segments if s.ids[-1] >= self._flushed]
        if parts:
            rows = pa.concat_tables(parts)
            rows = rows.append_column(ADDED, pa.array(self._added_ms(rows.column(ROW).to_numpy())))
            given = self._storage.over(f"{self.name}$new", rows.schema)
            given.set(rows)
            self._storage.execute(f"INSERT INTO {table} SELECT * FROM {quote(given.name)}")
        self._flushed = self._next

    def _added_ms(self, ids: Int64s) -> Int64s:
        """When the rows of these ids were added; 0 where nothing asks."""
        if not self._added:
            return np.zeros(len(ids), np.int64)
        ends, times = (np.array(side, np.int64) for side in zip(*self._added, strict=True))
        found: Int64s = times[np.searchsorted(ends, ids, side="right")]
        return found

    def _load(self) -> None:
        schema = self.found_schema.append(pa.field(ADDED, pa.int64()))
        self._storage.create_table(self.name, schema)
        rows = self._storage.query(f'SELECT * FROM {quote(self.name)} ORDER BY "{ROW}"').cast(schema)
        if not rows.num_rows:
            return
        ids, added = (rows.column(name).to_numpy() for name in (ROW, ADDED))
        table = rows.drop_columns([ROW, ADDED]).combine_chunks()
        self._segments.append(self._segment(_level(len(ids)), table, ids))
        self._next = self._flushed = int(ids[-1]) + 1
        self._rows = len(ids)
        if self.ttl_ms:
            last = np.flatnonzero(np.append(added[1:] != added[:-1], True))
            self._added = [(int(ids[at]) + 1, int(added[at])) for at in last]


def _in_one(runs: list[tuple[Any, Any]], lives: list[Bools | None]) -> tuple[Any, Any]:
    """Sorted values and their positions, of segments that come to lie one behind the other, sorted together.

    Of each only the rows left. The stable sort of NumPy merges runs that are sorted (Timsort).
    """
    values, positions, start = [], [], 0
    for (ordered, order), alive in zip(runs, lives, strict=True):
        if alive is None:
            left, ordered_left, rows = order, ordered, len(order)
        else:
            kept = alive[order]
            left, ordered_left, rows = (np.cumsum(alive) - 1)[order[kept]], ordered[kept], int(alive.sum())
        values.append(ordered_left)
        positions.append(left + start)
        start += rows
    together = np.concatenate(values)
    order = np.argsort(together, kind="stable")
    return together[order], np.concatenate(positions)[order]


def _level(rows: int) -> int:
    """The level of a segment of so many rows, as if it had been merged from batches of 10 000."""
    level = 0
    while rows > 10_000:
        rows //= _FANOUT
        level += 1
    return level

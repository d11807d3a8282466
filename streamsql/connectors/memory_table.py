"""Tables of this process: the logs of Arrow blocks that `'connector'='memory'` reads and writes.

Python appends what a source reads, a sink appends what Python takes. This module knows nothing of
queries; `memory` is the connector.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from streamsql.core.batch import DIFF
from streamsql.core.connector import KEY, VALUE
from streamsql.core.types import timestamp_ltz
from streamsql.errors import ConnectorError, UsageError

TIMESTAMP = "$meta.timestamp"
TIMESTAMP_TYPE = timestamp_ltz(3).arrow_type()


class ArrowStream(Protocol):
    """What speaks Arrow: its tables and batches, frames of pandas, and of many others."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one partition that were appended together; `start` is the offset of the first."""

    partition: int
    start: int
    rows: pa.Table

    @property
    def end(self) -> int:
        return self.start + int(self.rows.num_rows)


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    """What a table holds now, and how many rows it was ever given."""

    held_rows: int
    total_rows: int
    partitions: int


class MemoryTable:
    """One table of this process: a log of blocks in the order in which they were appended.

    Every method may be called from any thread. Whoever waits is woken by a condition, at once.
    """

    def __init__(self, name: str, *, retain: bool = True) -> None:
        self.name = name
        self.retain = retain
        self.changed = threading.Condition()
        self.expected: tuple[str, ...] = ()
        """Columns that rows of Python must have; what a session declares."""
        self._blocks: list[Block] = []
        self._dropped = 0
        self._first: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._ended: set[int] = set()
        self._all_ended = False
        self._taken: int | None = None
        self._readers: dict[int, int] = {}
        self._staged: dict[tuple[str, int], list[pa.Table]] = {}

    # ------------------------------------------------------------------ Python's side

    def append(
        self,
        rows: ArrowStream | Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
        *,
        partition: int = 0,
        diff: Sequence[int] | None = None,
    ) -> None:
        """Add typed rows; `diff` is +1 or -1 for each (default: what `$diff` in `rows` says, or +1).

        `rows` is an Arrow table or batch, a pandas frame, whatever else speaks Arrow, a dict of
        columns, or a list of dicts. Columns are found by name and brought to the table's types when
        they are read. Raises ConnectorError when the partition has ended, UsageError for rows that
        are none or lack a column.
        """
        table = _table(rows)
        missing = next((name for name in self.expected if name not in table.column_names), None)
        if missing is not None and table.num_columns:
            raise UsageError(f'rows for memory table "{self.name}" have no column "{missing}"',
                             hint=f"They have: {', '.join(table.column_names)}")
        if diff is not None:
            if len(diff) != table.num_rows or not set(diff) <= {1, -1}:
                raise ConnectorError(f'memory table "{self.name}" needs a diff of +1 or -1 for each row')
            table = _without(table, DIFF).append_column(DIFF, pa.array(diff, pa.int32()))
        with self.changed:
            self._append(table, partition)

    def append_raw(
        self,
        values: Sequence[bytes | None],
        keys: Sequence[bytes | None] | None = None,
        timestamps: Sequence[int | None] | None = None,
        partition: int = 0,
    ) -> None:
        """Add encoded records, for a table with a `format`; timestamps are UTC microseconds."""
        columns = {VALUE: pa.array(values, pa.binary())}
        if keys is not None:
            columns[KEY] = pa.array(keys, pa.binary())
        if timestamps is not None:
            columns[TIMESTAMP] = pa.array(timestamps, pa.int64()).cast(TIMESTAMP_TYPE)
        self.append(pa.table(columns), partition=partition)

    def end(self, partition: int | None = None) -> None:
        """Say that no row will follow, in one partition or (None) in the whole table."""
        with self.changed:
            if partition is None:
                self._all_ended = True
            else:
                self._next.setdefault(partition, 0)
                self._ended.add(partition)
            self.changed.notify_all()

    def take(self) -> list[pa.Table]:
        """The blocks appended since the last `take`, each as it was given (`$diff` included)."""
        with self.changed:
            first = max(0, (self._taken or 0) - self._dropped)
            taken = [block.rows for block in self._blocks[first:]]
            self._taken = self._dropped + len(self._blocks)
            self._trim()
            return taken

    def rows(self) -> pa.Table:
        """All rows held, as one table; `$diff` is there if any block has it."""
        with self.changed:
            blocks = [block.rows for block in self._blocks]
        if any(DIFF in rows.column_names for rows in blocks):
            blocks = [with_diff(rows) for rows in blocks]
        return pa.concat_tables(blocks, promote_options="default") if blocks else pa.table({})

    def clear(self) -> None:
        """Drop all rows, read or not. Offsets go on; a table that had ended takes rows again."""
        with self.changed:
            self._drop(len(self._blocks))
            self._ended.clear()
            self._all_ended = False
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Block until `condition` holds (asked at each change); False after `timeout_s`."""
        with self.changed:
            return self.changed.wait_for(condition, timeout_s)

    @property
    def all_ended(self) -> bool:
        """True when `end()` was called for the whole table."""
        return self._all_ended

    def statistics(self) -> MemoryStatistics:
        with self.changed:
            held = sum(block.rows.num_rows for block in self._blocks)
            return MemoryStatistics(held, sum(self._next.values()), len(self._next))

    # ------------------------------------------------------------------ the connector's side

    def declare(self, partitions: int) -> None:
        """Make the partitions below `partitions` exist."""
        with self.changed:
            for partition in range(partitions):
                self._next.setdefault(partition, 0)
            self.changed.notify_all()

    def partitions(self) -> list[int]:
        """The partitions in the order in which they came to be."""
        with self.changed:
            return list(self._next)

    def resume(self, partition: int, position: int) -> None:
        """Make sure that reading can go on at `position`.

        A partition that never had a row (a new process) counts on from there, so that the rows
        appended next are new ones. Raises ConnectorError if rows are missing.
        """
        with self.changed:
            first, end = self.first(partition), self._next.get(partition, 0)
            if end == 0:
                self._first[partition] = self._next[partition] = position
            elif not first <= position <= end:
                raise ConnectorError(
                    f'memory table "{self.name}" cannot resume partition {partition} at row {position}',
                    detail=f"it holds the rows from {first} up to {end}",
                    hint="Append the rows of the earlier run again, or start without its state.")

    def ended(self, partition: int) -> bool:
        with self.changed:
            return self._all_ended or partition in self._ended

    def first(self, partition: int) -> int:
        """The offset of the first row still held, or of the next one if there is none."""
        return self._first.get(partition, 0)

    def end_offsets(self) -> dict[int, int]:
        """Partition → offset of its next row."""
        with self.changed:
            return dict(self._next)

    def after(self, index: int) -> tuple[int, list[Block]]:
        """The blocks from log index `index` on, and the index of the first of them."""
        with self.changed:
            first = max(index, self._dropped)
            return first, self._blocks[first - self._dropped:]

    def passed(self, reader: int, index: int | None) -> None:
        """A reader needs no block before log index `index`; None when it leaves."""
        with self.changed:
            if index is None:
                self._readers.pop(reader, None)
            else:
                self._readers[reader] = index
                self._trim()

    def stage(self, job: str, epoch: int, rows: Sequence[pa.Table]) -> None:
        """Keep what a sink wrote in `epoch` until it is published or dropped."""
        with self.changed:
            self._staged.setdefault((job, epoch), []).extend(rows)

    def publish(self, job: str, epoch: int) -> None:
        """Append what was staged by `job` up to `epoch`, in order."""
        with self.changed:
            for key in sorted(k for k in self._staged if k[0] == job and k[1] <= epoch):
                for rows in self._staged.pop(key):
                    self._append(rows, 0)

    def unstage(self, job: str, epoch: int) -> None:
        """Drop what was staged by `job` after `epoch`: that epoch was not committed."""
        with self.changed:
            for key in [k for k in self._staged if k[0] == job and k[1] > epoch]:
                del self._staged[key]

    def _append(self, rows: pa.Table, partition: int) -> None:
        if self._all_ended or partition in self._ended:
            raise ConnectorError(f'memory table "{self.name}" has ended and takes no more rows',
                                 hint="Call end() after the last append, or clear() to begin again.")
        start = self._next.setdefault(partition, 0)
        if rows.num_rows:
            self._blocks.append(Block(partition, start, rows))
            self._next[partition] = start + rows.num_rows
        self.changed.notify_all()

    def _trim(self) -> None:
        passed = [*self._readers.values(), *([] if self._taken is None else [self._taken])]
        if self.retain or not passed:
            return
        count = max(0, min(passed) - self._dropped)
        self._drop(count)

    def _drop(self, count: int) -> None:
        for block in self._blocks[:count]:
            self._first[block.partition] = block.end
        del self._blocks[:count]
        self._dropped += count


def _table(rows: Any) -> pa.Table:
    """The rows as Arrow; of a pandas frame the columns, not the index."""
    try:
        listed = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows) if listed else pa.table(rows)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise UsageError(f"cannot take rows from a {type(rows).__name__}: {error}",
                         hint="Give a pyarrow.Table, a pandas frame, a dict of columns, or a list of dicts.") from error
    index = [name for name in table.column_names if name.startswith("__index_level_")]
    return table.drop_columns(index) if index else table


class Namespace:
    """The memory tables of one session, by name. Lives as long as somebody holds it."""

    def __init__(self) -> None:
        self.id = f"namespace-{next(_ids)}"
        self._tables: dict[str, MemoryTable] = {}
        self._lock = threading.Lock()
        _namespaces[self.id] = self

    def table(self, name: str) -> MemoryTable:
        """The table of that name, made when it is asked for the first time."""
        with self._lock:
            return self._tables.setdefault(name, MemoryTable(name))

    def names(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._tables)

    def drop(self, name: str) -> None:
        """Forget a table and its rows; queries that read it keep theirs until they end."""
        with self._lock:
            self._tables.pop(name, None)


_ids = itertools.count(1)
_namespaces: weakref.WeakValueDictionary[str, Namespace] = weakref.WeakValueDictionary()
DEFAULT = Namespace()
"""The namespace of tables that no session owns."""


def namespace(name: str) -> Namespace | None:
    """The namespace with that id, None when nobody holds it any more."""
    return _namespaces.get(name)


def table(name: str) -> MemoryTable:
    """The table `name` of the default namespace."""
    return DEFAULT.table(name)


def _without(rows: pa.Table, name: str) -> pa.Table:
    return rows.drop_columns([name]) if name in rows.column_names else rows


def with_diff(rows: pa.Table) -> pa.Table:
    if DIFF in rows.column_names:
        return rows
    return rows.append_column(DIFF, pa.array(np.ones(rows.num_rows, np.int32)))

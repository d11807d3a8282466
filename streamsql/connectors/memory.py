"""`'connector'='memory'`: tables of this process, for the Python API and for tests of streams.

`table(name).append(arrow)` is what a source reads, `table(name).take()` what a sink wrote; what
one query writes another may read. Nothing of it outlives the process. Without a `format` rows are
typed; with one they are bytes (`append_raw`).

Every `Namespace` has tables of its own, so that two sessions with equal table names do not meet;
`'memory.namespace'`, which a session sets, says whose table is meant.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamsql.connectors.memory_table import (
    DEFAULT,
    TIMESTAMP_TYPE,
    Block,
    MemoryTable,
    Namespace,
    namespace,
    with_diff,
)
from streamsql.core.batch import DIFF
from streamsql.core.clock import Clock
from streamsql.core.connector import (
    KEY,
    RELOAD_OPTIONS,
    VALUE,
    Changes,
    Chunk,
    Metadata,
    SinkStatistics,
    SourceStatistics,
    Split,
    TableSpec,
)
from streamsql.core.options import Option
from streamsql.core.types import BIGINT, INT, timestamp_ltz
from streamsql.errors import ConnectorError, did_you_mean

__all__ = ["METADATA", "NAMESPACE", "OPTIONS", "MemoryTable", "Namespace", "sink", "source", "table"]

NAMESPACE = "memory.namespace"
"""The option, set by a session, whose value is the `Namespace.id` of the session's tables."""

OPTIONS = (
    Option("name", doc="name of the memory table; default: the name of the SQL table"),
    Option("bounded", "bool", False, "read the rows held when the query starts, then end; a table that "
           "Python has ended is bounded without it"),
    Option("changelog-mode", default="append", choices=("append", "all", "upsert"),
           doc="what the table gives and takes: only new rows; rows that come (+1) and go (-1); or rows that "
           "replace (+1) or delete (-1) the one of the same primary key. Without it, it also takes what goes"),
    Option("partitions", "int", 1, "partitions that exist from the start; others begin with their first row"),
    Option("retain", "bool", True, "keep rows that every reader has passed; with 'false' they are dropped"),
    Option(NAMESPACE, doc="whose table it is; set by the session"),
    *RELOAD_OPTIONS,
)

READ_WHOLE = True
"""A lookup join keeps the whole table."""

METADATA: Mapping[str, Metadata] = {
    "timestamp": Metadata(timestamp_ltz(3), writable=True),
    "partition": Metadata(INT),
    "offset": Metadata(BIGINT),
}


TIMESTAMP = "$meta.timestamp"
_unnamed = itertools.count(1)


def table(name: str) -> MemoryTable:
    """The table `name` of the default namespace, made when it is asked for the first time."""
    return DEFAULT.table(name)


def table_of(spec: TableSpec) -> MemoryTable:
    """The memory table that an SQL table stands for."""
    owner = spec.raw.get(NAMESPACE) or spec.options.get(NAMESPACE)
    tables = DEFAULT if owner is None else namespace(str(owner))
    if tables is None:
        raise ConnectorError(f'memory table "{spec.name}" belongs to a session that is gone')
    found = tables.table(str(spec.options.get("name") or spec.name))
    if spec.options.get("retain") is False:
        found.retain = False
    return found


def _partition(split: str) -> int:
    return int(split.rsplit("-", 1)[1])


class MemorySource:
    """Reads a memory table: one split a partition, the offset is the number of the row."""

    def __init__(self, spec: TableSpec) -> None:
        self._spec = spec
        self._table = table_of(spec)
        self._snapshot = spec.options.flag("bounded")
        self._changelog = spec.options.text("changelog-mode") != "append"
        self._until: dict[int, int] | None = None
        self._keys: tuple[str, ...] = ()
        self._splits: list[Split] = []
        self._index: dict[int, int] = {}
        self._position: dict[int, int] = {}
        self._log = 0
        self._committed: dict[int, int] = {}
        self._unconfirmed: list[tuple[dict[int, int], int]] = []
        self._rows = self._bytes = 0
        self._closed = False

    @property
    def bounded(self) -> bool:
        return self._snapshot or self._table.all_ended

    def open(self, positions: Mapping[str, int], clock: Clock, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)
        self._table.declare(self._spec.options.integer("partitions"))
        for name, position in positions.items():
            self._table.resume(_partition(name), position)
            self._position[_partition(name)] = position
        if self._snapshot:
            self._until = self._table.end_offsets()
        self._table.passed(id(self), 0)
        self._discover()

    def _discover(self) -> None:
        for partition in self._table.partitions()[len(self._splits):]:
            if self._until is None or partition in self._until:
                self._index[partition] = len(self._splits)
                self._splits.append(Split(f"{self._table.name}-{partition}", self._spec.name, partition))

    def splits(self) -> Sequence[Split]:
        self._discover()
        return tuple(self._splits)

    def poll(self, max_rows: int, timeout_s: float) -> Chunk | None:
        with self._table.changed:
            self._table.changed.wait_for(self._readable, timeout_s)
            self._discover()
            pieces = self._read(max_rows)
        return self._chunk(pieces) if pieces else None

    def _slice(self, block: Block, max_rows: int) -> Block | None:
        """What of a block is still to be read, at most `max_rows`."""
        until = block.end if self._until is None else min(block.end, self._until.get(block.partition, 0))
        start = max(block.start, self._position.get(block.partition, 0))
        length = min(until - start, max_rows)
        return Block(block.partition, start, block.rows.slice(start - block.start, length)) \
            if length > 0 else None

    def _readable(self) -> bool:
        if self._closed or self.finished():
            return True
        self._log, blocks = self._table.after(self._log)
        for block in blocks:
            if self._slice(block, 1):
                return True
            self._log += 1
        return False

    def _read(self, max_rows: int) -> list[Block]:
        pieces: list[Block] = []
        self._log, blocks = self._table.after(self._log)
        for block in blocks:
            piece = self._slice(block, max_rows)
            if piece:
                pieces.append(piece)
                max_rows -= piece.rows.num_rows
                self._position[block.partition] = piece.end
                if piece.end < block.end:
                    break
            self._log += 1
            if not max_rows:
                break
        return pieces

    def _chunk(self, pieces: list[Block]) -> Chunk:
        sizes = [piece.rows.num_rows for piece in pieces]
        split = np.repeat(np.array([self._index[p.partition] for p in pieces], np.int32), sizes)
        offset = np.concatenate([np.arange(p.start, p.end, dtype=np.int64) for p in pieces])
        alike = [pa.concat_tables(group) for _, group in
                 itertools.groupby((piece.rows for piece in pieces), lambda rows: rows.schema)]
        rows = pa.concat_tables([self._conformed(group) for group in alike]).combine_chunks()
        if "$meta.partition" in self._keys:
            numbers = np.repeat(np.array([p.partition for p in pieces], np.int32), sizes)
            rows = rows.append_column("$meta.partition", pa.array(numbers))
        if "$meta.offset" in self._keys:
            rows = rows.append_column("$meta.offset", pa.array(offset))
        if DIFF in rows.column_names:
            rows = rows.select([*(n for n in rows.column_names if n != DIFF), DIFF])
        self._rows += rows.num_rows
        self._bytes += rows.nbytes
        if not self._table.retain:
            self._unconfirmed.append((dict(self._position), self._log))
        return Chunk(rows, split, offset, {self._index[p.partition]: p.end for p in pieces})

    def _conformed(self, rows: pa.Table) -> pa.Table:
        """Rows as they were appended, in the form that the table promises."""
        columns: dict[str, pa.ChunkedArray] = {}
        if self._spec.encoded:
            columns[VALUE] = self._column(rows, VALUE, pa.binary())
            if KEY in self._keys:
                columns[KEY] = self._column(rows, KEY, pa.binary(), optional=True)
        else:
            for column in self._spec.schema:
                columns[column.name] = self._column(rows, column.name, column.type.arrow_type())
        if TIMESTAMP in self._keys:
            columns[TIMESTAMP] = self._column(rows, TIMESTAMP, TIMESTAMP_TYPE, optional=True)
        if not self._spec.encoded:
            self._add_diff(rows, columns)
        return pa.table(columns)

    def _column(
        self, rows: pa.Table, name: str, kind: pa.DataType, optional: bool = False
    ) -> pa.ChunkedArray:
        if name not in rows.column_names:
            if optional:
                return pa.chunked_array([pa.nulls(rows.num_rows, kind)])
            raise ConnectorError(f'rows of memory table "{self._table.name}" have no column "{name}"',
                                 hint=did_you_mean(name, rows.column_names, "Columns"))
        column = rows[name]
        try:
            return column if column.type == kind else column.cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ConnectorError(
                f'column "{name}" appended to memory table "{self._table.name}" is {column.type} '
                f"and cannot become {kind}", detail=str(error).split("\n")[0]) from error

    def _add_diff(self, rows: pa.Table, columns: dict[str, pa.ChunkedArray]) -> None:
        diff = self._column(with_diff(rows), DIFF, pa.int32())
        if self._changelog:
            columns[DIFF] = diff
        elif pc.any(pc.less(diff, 0)).as_py():
            raise ConnectorError(f'memory table "{self._table.name}" is read as append-only '
                                 "and was given a row that goes ($diff -1)",
                                 hint="Write 'changelog-mode'='all' in the table's options.")

    def _at(self, partition: int) -> int:
        """The next offset to be read; rows that were cleared unread are passed over."""
        return max(self._position.get(partition, 0), self._table.first(partition))

    def ended(self) -> frozenset[int]:
        with self._table.changed:
            ends = self._table.end_offsets() if self._until is None else self._until
            return frozenset(
                index for partition, index in self._index.items()
                if (self._until is not None or self._table.ended(partition))
                and self._at(partition) >= ends[partition])

    def finished(self) -> bool:
        with self._table.changed:
            self._discover()
            return (self._until is not None or self._table.all_ended) \
                and len(self.ended()) == len(self._splits)

    def commit(self, positions: Mapping[str, int]) -> None:
        for name, position in positions.items():
            self._committed[_partition(name)] = position
        passed = 0
        while self._unconfirmed and all(self._committed.get(partition, 0) >= position
                                        for partition, position in self._unconfirmed[0][0].items()):
            passed = self._unconfirmed.pop(0)[1]
        if passed:
            self._table.passed(id(self), passed)

    def statistics(self) -> SourceStatistics:
        with self._table.changed:
            ends = self._table.end_offsets() if self._until is None else self._until
            lag = sum(max(0, end - self._at(partition)) for partition, end in ends.items())
        return SourceStatistics(self._rows, self._bytes, lag)

    def close(self) -> None:
        with self._table.changed:
            self._closed = True
            self._table.passed(id(self), None)
            self._table.changed.notify_all()


class MemorySink:
    """Collects what a query writes: rows appear in the table when their epoch is committed.

    Staged rows live in the table, under the job and the epoch, so that a query started anew in
    the same process delivers an epoch whose state was committed, and forgets one whose was not.
    """

    def __init__(self, spec: TableSpec) -> None:
        self._table = table_of(spec)
        self._job = spec.job or f"sink {next(_unnamed)}"
        self._epoch = 1
        self._buffer: list[pa.Table] = []
        self._rows = self._bytes = 0

    def open(self, epoch: int, clock: Clock) -> None:
        self._epoch = epoch + 1
        self._table.publish(self._job, epoch)
        self._table.unstage(self._job, epoch)

    def write(self, rows: pa.Table) -> None:
        if rows.num_rows:
            self._buffer.append(rows)
            self._rows += rows.num_rows
            self._bytes += rows.nbytes

    def flush(self) -> None:
        self._table.stage(self._job, self._epoch, self._buffer)
        self._buffer = []

    def commit(self, epoch: int) -> None:
        self._table.publish(self._job, epoch)
        self._epoch = epoch + 1

    def statistics(self) -> SinkStatistics:
        return SinkStatistics(self._rows, self._bytes)

    def close(self) -> None:
        self._buffer = []


def changes(options: Mapping[str, str], primary_key: tuple[str, ...], *, write: bool) -> Changes:
    """As 'changelog-mode' says; without it a table gives new rows, and takes all changes."""
    given = options.get("changelog-mode", "all" if write else "append").lower()
    if {"format", "value.format"} & options.keys():
        return "append"
    return "upsert" if given == "upsert" else "append" if given == "append" else "all"


def source(table: TableSpec) -> MemorySource:
    return MemorySource(table)


def sink(table: TableSpec) -> MemorySink:
    return MemorySink(table)

"""What is in one file: lines as records, or the rows of a Parquet file.

A reader gives the records of one file from a given one on, in order. Its errors are
ConnectorErrors that name the file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamsql.connectors.filesystem_paths import File
from streamsql.core.connector import VALUE
from streamsql.core.schema import Schema
from streamsql.errors import ConnectorError, did_you_mean

BLOCK_BYTES = 4 << 20
"""How much of a file is read at once, decompressed."""
LONGEST_BYTES = 1 << 30
"""A longer line is an error: the file is hardly made of lines."""

_CODECS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2"}
_UNREADABLE = (".xz", ".deflate", ".lz4", ".snappy", ".zip", ".7z")


class Reader(Protocol):
    """The records of one file."""

    def read(self, max_rows: int) -> pa.Table | None:
        """The next records, at most `max_rows`; None at the end of the file."""
        ...

    def close(self) -> None: ...


@contextlib.contextmanager
def errors_of(file: File) -> Iterator[None]:
    """Errors of the system and of Arrow as ours."""
    try:
        yield
    except FileNotFoundError:
        raise ConnectorError(f'file "{file.path}" was removed before it was read',
                             hint="Remove a file only after the query has read it.") from None
    except (OSError, pa.ArrowException) as error:
        reason = (getattr(error, "strerror", None) or str(error)).split("\n")[0]
        raise ConnectorError(f'cannot read file "{file.path}": {reason}') from error


class LineReader:
    """Lines as records: without their end (`\\n` or `\\r\\n`), the last one with or without it.

    A line is a record whatever is in it: line breaks inside a quoted CSV value are not understood.
    `.gz`, `.zst` and `.bz2` are decompressed. Blocks are split as arrays, no line is touched.
    """

    def __init__(self, file: File, skip: int) -> None:
        self._file = file
        self._rest: list[bytes] = []
        self._lines = pa.array([], pa.binary())
        self._ended = False
        with errors_of(file):
            self._stream = pa.input_stream(file.path, compression=_codec(file), buffer_size=BLOCK_BYTES)
        self._skip(skip)

    def _skip(self, count: int) -> None:
        left = count
        while left and (lines := self.read(left)) is not None:
            left -= lines.num_rows
        if left:
            raise ConnectorError(f'file "{self._file.path}" has {count - left} lines, but the state resumes '
                                 f"after line {count}",
                                 hint="The file was changed; start without the state to read it anew.")

    def read(self, max_rows: int) -> pa.Table | None:
        while not len(self._lines):
            if self._ended:
                return None
            self._lines = self._block()
        lines, self._lines = self._lines[:max_rows], self._lines[max_rows:]
        return pa.table({VALUE: lines})

    def _block(self) -> pa.Array:
        """The lines that end in the next block."""
        with errors_of(self._file):
            block = self._stream.read(BLOCK_BYTES)
        if not block:
            self._ended = True
            self._check_size()
            last = b"".join(self._rest)
            self._rest = []
            return _split(last + b"\n") if last else pa.array([], pa.binary())
        end = block.rfind(b"\n") + 1
        if not end:
            self._rest.append(block)
            if sum(map(len, self._rest)) > LONGEST_BYTES:
                raise ConnectorError(f'a line of file "{self._file.path}" is longer than 1 GiB',
                                     hint="The filesystem connector reads one record a line.")
            return pa.array([], pa.binary())
        whole = b"".join([*self._rest, block[:end]])
        self._rest = [block[end:]]
        return _split(whole)

    def _check_size(self) -> None:
        with errors_of(self._file):
            size = os.stat(self._file.path).st_size
        if size < self._file.size_bytes:
            raise ConnectorError(
                f'file "{self._file.path}" shrank from {self._file.size_bytes} to {size} bytes while it was '
                "read", hint="Write a file under a hidden name (.x or _x), then rename it.")

    def close(self) -> None:
        self._stream.close()


def _codec(file: File) -> str | None:
    suffix = os.path.splitext(file.path)[1].lower()
    if suffix in _UNREADABLE:
        raise ConnectorError(f'cannot decompress file "{file.path}"',
                             hint=f"Files may end in {', '.join(_CODECS)}; others are read as they are.")
    return _CODECS.get(suffix)


def _split(data: bytes) -> pa.Array:
    """Lines, each ended by `\\n`, as an array without the ends."""
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets == 10)
    lengths = np.diff(ends, prepend=-1) - 1
    kept = octets != 10
    returns = (lengths > 0) & (octets[np.maximum(ends - 1, 0)] == 13)
    if returns.any():
        kept[ends[returns] - 1] = False
        lengths = lengths - returns
    offsets = np.zeros(len(ends) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.Array.from_buffers(
        pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(octets[kept])])


class ParquetReader:
    """The rows of a Parquet file, its columns found by name and brought to the table's types."""

    def __init__(self, file: File, skip: int, schema: Schema) -> None:
        self._file, self._schema = file, schema
        with errors_of(file):
            self._parquet = pq.ParquetFile(file.path, coerce_int96_timestamp_unit="us")
        for name in schema.names:
            if name not in self._parquet.schema_arrow.names:
                self.close()
                raise ConnectorError(f'file "{file.path}" has no column "{name}"',
                                     hint=did_you_mean(name, self._parquet.schema_arrow.names, "Columns"))
        self._rows: pa.Table | None = None
        self._batches = self._from(skip)

    def _from(self, skip: int) -> Iterator[pa.RecordBatch]:
        """The batches from a row on; row groups before it are not read."""
        facts = self._parquet.metadata
        group = 0
        while group < facts.num_row_groups and skip >= facts.row_group(group).num_rows:
            skip -= facts.row_group(group).num_rows
            group += 1
        groups = list(range(group, facts.num_row_groups))
        if not groups:
            if skip:
                raise ConnectorError(f'file "{self._file.path}" has fewer rows than the state has read',
                                     hint="The file was changed; start without the state to read it anew.")
            return
        for batch in self._parquet.iter_batches(row_groups=groups, columns=list(self._schema.names)):
            yield batch.slice(skip)
            skip = max(0, skip - batch.num_rows)

    def read(self, max_rows: int) -> pa.Table | None:
        while self._rows is None or not self._rows.num_rows:
            with errors_of(self._file):
                batch = next(self._batches, None)
            if batch is None:
                return None
            self._rows = self._conformed(pa.Table.from_batches([batch]))
        rows, self._rows = self._rows.slice(0, max_rows), self._rows.slice(max_rows)
        return rows

    def _conformed(self, rows: pa.Table) -> pa.Table:
        columns = {}
        for column in self._schema:
            values = rows[column.name]
            options = pc.CastOptions(column.type.arrow_type(), allow_time_truncate=True)
            try:
                columns[column.name] = values.cast(options=options)
            except pa.ArrowException as error:
                raise ConnectorError(
                    f'column "{column.name}" of file "{self._file.path}" is {values.type} and cannot become '
                    f"{column.type}", detail=str(error).split("\n")[0]) from error
        return pa.table(columns)

    def close(self) -> None:
        self._parquet.close()

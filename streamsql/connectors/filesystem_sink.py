"""Writing files: parts that appear whole, when the epoch that wrote them is committed.

A part is written under a hidden name, `.part-JOB-LIFE-EPOCH-N.json.inprogress`, made durable by
`flush` and renamed by `commit`. A job that resumes finds by these names what an epoch left behind:
it publishes the parts of a committed epoch and removes those of one that was not, so every row is
in exactly one part. A job that starts anew where it has published before begins another life, which
is noted in a hidden file: its first epochs must not overwrite the parts of the earlier one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamsql.core.clock import Clock
from streamsql.core.connector import VALUE, SinkStatistics
from streamsql.core.schema import Schema
from streamsql.errors import ConnectorError

BUFFER_BYTES = 1 << 20
"""Rows are gathered up to this size before they are written (and compressed as one piece)."""
_HIDDEN = ".inprogress"


@dataclass(frozen=True, slots=True)
class Rolling:
    """When a part is ended within an epoch; the commit ends every part."""

    size_bytes: int
    interval_s: float
    check_s: float


class PartWriter(Protocol):
    """Writes one part into an open file."""

    def write(self, rows: pa.Table) -> None: ...

    def finish(self) -> None:
        """All rows are in the file's own buffer; it is not closed."""
        ...


class LineWriter:
    """One record a line. Compressed, each piece is a gzip member or a zstd frame of its own."""

    def __init__(self, file: BinaryIO, codec: str | None) -> None:
        self._file = file
        self._codec = pa.Codec(codec) if codec else None

    def write(self, rows: pa.Table) -> None:
        for chunk in rows[VALUE].cast(pa.binary()).chunks:
            data = _lines(chunk.drop_null())
            if data:
                self._file.write(self._codec.compress(data, asbytes=True) if self._codec else data)

    def finish(self) -> None: ...


def _lines(records: pa.Array) -> bytes:
    """The records, each followed by a line feed."""
    ended = pc.binary_join_element_wise(records, b"\n", b"")
    offsets = np.frombuffer(ended.buffers()[1], np.int32)[ended.offset:][:len(ended) + 1]
    return memoryview(ended.buffers()[2])[offsets[0]:offsets[-1]].tobytes() if len(ended) else b""


class ParquetPartWriter:
    """Rows as a Parquet file, one row group a piece."""

    def __init__(self, file: BinaryIO, codec: str | None, schema: Schema) -> None:
        self._schema = schema.arrow()
        self._writer = pq.ParquetWriter(file, self._schema, compression=codec or "snappy")

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows.select(self._schema.names).cast(self._schema))

    def finish(self) -> None:
        self._writer.close()


class FilesystemSink:
    """Writes the parts of one table into a folder, which is made if it is missing."""

    def __init__(self, name: str, folder: str, job: str, suffix: str, rolling: Rolling,
                 writer: Callable[[BinaryIO], PartWriter]) -> None:
        self._name, self._folder, self._suffix, self._rolling = name, folder, suffix, rolling
        self._make_writer = writer
        self._recovers = bool(job)
        self._token = hashlib.blake2b(f"{job}/{name}".encode(), digest_size=6).hexdigest() if job \
            else uuid.uuid4().hex[:12]
        self._life = 0
        self._epoch = 1
        self._number = 0
        self._staged: list[str] = []
        self._file: BinaryIO | None = None
        self._writer: PartWriter | None = None
        self._buffer: list[pa.Table] = []
        self._buffered_bytes = 0
        self._rows = self._bytes = 0

    def open(self, epoch: int, clock: Clock) -> None:
        self._clock, self._epoch = clock, epoch + 1
        with self._errors("prepare"):
            os.makedirs(self._folder, exist_ok=True)
            if self._recovers:
                self._recover(epoch)
                self._begin_life(epoch)

    def _recover(self, epoch: int) -> None:
        """Publish what a committed epoch left hidden; remove what an uncommitted one wrote."""
        with contextlib.suppress(FileNotFoundError):
            self._life = int(Path(self._folder, f".part-{self._token}.life").read_text())
        ours = re.compile(rf"\.part-{self._token}-{self._life}-(\d+)-\d+.*{re.escape(_HIDDEN)}")
        for name in sorted(os.listdir(self._folder)):
            found = ours.fullmatch(name)
            if found and int(found[1]) <= epoch:
                self._publish(name)
            elif found:
                os.unlink(os.path.join(self._folder, name))
        self._make_durable()

    def _begin_life(self, epoch: int) -> None:
        """Take new names if nothing is committed and yet there are parts: the state was removed.

        Another sink of the same job finds no parts of the new life, and so joins it.
        """
        before = f"part-{self._token}-{self._life}-"
        if epoch == 0 and any(name.startswith(before) for name in os.listdir(self._folder)):
            self._life += 1
            note = Path(self._folder, f".part-{self._token}.life")
            with open(f"{note}{_HIDDEN}", "w") as file:
                file.write(str(self._life))
                file.flush()
                os.fsync(file.fileno())
            os.replace(f"{note}{_HIDDEN}", note)
            self._make_durable()

    def write(self, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        self._rows += rows.num_rows
        self._buffer.append(rows)
        self._buffered_bytes += rows.nbytes
        if self._buffered_bytes >= BUFFER_BYTES:
            with self._errors("write to"):
                self._write_buffer()
                self._roll()

    def _write_buffer(self) -> None:
        if not self._buffer:
            return
        rows = pa.concat_tables(self._buffer)
        self._buffer, self._buffered_bytes = [], 0
        step = self._rows_a_part(rows)
        for start in range(0, rows.num_rows, step):
            if start:
                self._roll()
            if self._writer is None:
                self._start()
            assert self._writer is not None
            self._writer.write(rows.slice(start, step))

    def _rows_a_part(self, rows: pa.Table) -> int:
        """How many of these rows fill a part, by their mean size: a part is over its limit by little."""
        mean_bytes = max(1, int(rows.nbytes) // int(rows.num_rows))
        return max(1, self._rolling.size_bytes // mean_bytes)

    def _start(self) -> None:
        """Begin a part, under a number that no other sink of the job has taken in this epoch."""
        while True:
            name = (f".part-{self._token}-{self._life}-{self._epoch:010d}-{self._number}"
                    f"{self._suffix}{_HIDDEN}")
            self._number += 1
            with contextlib.suppress(FileExistsError):
                self._file = open(os.path.join(self._folder, name), "xb")  # noqa: SIM115
                break
        self._staged.append(name)
        self._started_s = self._checked_s = self._clock.monotonic_s()
        self._writer = self._make_writer(self._file)

    def _roll(self) -> None:
        """End the part if it is large or old enough."""
        assert self._file is not None
        now_s = self._clock.monotonic_s()
        old = False
        if now_s - self._checked_s >= self._rolling.check_s:
            self._checked_s = now_s
            old = now_s - self._started_s >= self._rolling.interval_s
        if old or self._file.tell() >= self._rolling.size_bytes:
            self._end()

    def _end(self) -> None:
        """Make the running part whole and durable, still hidden."""
        if self._file is None or self._writer is None:
            return
        self._writer.finish()
        self._bytes += self._file.tell()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = self._writer = None

    def flush(self) -> None:
        with self._errors("write to"):
            self._write_buffer()
            self._end()
            if self._staged:
                self._make_durable()

    def commit(self, epoch: int) -> None:
        with self._errors("publish in"):
            for name in self._staged:
                self._publish(name)
            if self._staged:
                self._make_durable()
        self._staged, self._number, self._epoch = [], 0, epoch + 1

    def _publish(self, name: str) -> None:
        hidden = os.path.join(self._folder, name)
        os.replace(hidden, os.path.join(self._folder, name[1:].removesuffix(_HIDDEN)))

    def _make_durable(self) -> None:
        """Names are in the folder, which has to reach the disk as well."""
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise ConnectorError(f'path "{self._folder}" of table "{self._name}" is a file, not a folder',
                                 hint="A sink writes part files into a folder.") from None
        except (OSError, pa.ArrowException) as error:
            reason = (getattr(error, "strerror", None) or str(error)).split("\n")[0]
            raise ConnectorError(f'cannot {doing} folder "{self._folder}" of table "{self._name}": {reason}'
                                 ) from error

    def statistics(self) -> SinkStatistics:
        return SinkStatistics(self._rows, self._bytes)

    def close(self) -> None:
        """Parts that were not committed are removed, unless the job may resume: it will know them."""
        self._buffer = []
        if self._file is not None:
            self._file.close()
            self._file = self._writer = None
        if not self._recovers:
            for name in self._staged:
                with self._errors("clean up"), contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._folder, name))
            self._staged = []

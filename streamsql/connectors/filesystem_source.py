"""Reading files: each file is a split, its records are read in order, one file after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from streamsql.connectors.filesystem_paths import File, Listing
from streamsql.connectors.filesystem_read import Reader
from streamsql.core.clock import Clock
from streamsql.core.connector import Chunk, SourceStatistics, Split
from streamsql.core.types import timestamp_ltz
from streamsql.errors import ConnectorError

_MODIFIED_TYPE = timestamp_ltz(3).arrow_type()
CHUNK_BYTES = 16 << 20
"""A chunk takes no further block once it has this size."""


class FilesystemSource:
    """Reads the files of a listing; with an interval it goes on looking for new ones.

    A file that is there at the start is read at once. One found later is read when two looks in a
    row saw it with the same size and time, so that a copy under way is not taken for the whole;
    one that changes after it was taken is an error: what it gained would be lost.
    """

    def __init__(self, listing: Listing, interval_s: float | None,
                 reader: Callable[[File, int], Reader]) -> None:
        self._listing = listing
        self._interval_s = interval_s
        self._make_reader = reader
        self._files: list[File] = []
        self._known: dict[str, File] = {}
        self._growing: dict[str, File] = {}
        self._positions: dict[str, int] = {}
        self._current = 0
        self._reader: Reader | None = None
        self._rows = self._bytes = 0
        self._closed = threading.Event()

    @property
    def bounded(self) -> bool:
        return self._interval_s is None

    def open(self, positions: Mapping[str, int], clock: Clock, keys: Sequence[str]) -> None:
        self._clock = clock
        self._metadata = tuple(key for key in keys if key.startswith("$meta."))
        self._positions = dict(positions)
        for file in self._listing.files(must_exist=self.bounded):
            self._take(file)
        if self.bounded:
            gone = sorted(path for path in positions if path not in self._known)
            if gone:
                raise ConnectorError(f'file "{gone[0]}" of table "{self._listing.table}" is gone',
                                     detail="The state to be resumed has read from it.",
                                     hint="Bring it back, or start without the state.")
        self._looked_s = clock.monotonic_s()

    def _take(self, file: File) -> None:
        self._known[file.path] = file
        self._files.append(file)

    def splits(self) -> Sequence[Split]:
        return tuple(Split(file.path, file.path) for file in self._files)

    def _look(self) -> None:
        """Look for new files if it is time to."""
        if self._interval_s is None or self._clock.monotonic_s() < self._looked_s + self._interval_s:
            return
        self._looked_s = self._clock.monotonic_s()
        growing, self._growing = self._growing, {}
        for file in self._listing.files(must_exist=False):
            known = self._known.get(file.path)
            if known is None and growing.get(file.path) == file:
                self._take(file)
            elif known is None:
                self._growing[file.path] = file
            elif file.size_bytes != known.size_bytes:
                raise ConnectorError(
                    f'file "{file.path}" changed from {known.size_bytes} to {file.size_bytes} bytes '
                    "after it was found", hint="Write a file under a hidden name (.x or _x), then rename it.")

    def poll(self, max_rows: int, timeout_s: float) -> Chunk | None:
        if self._closed.is_set():
            return None
        self._look()
        pieces = self._read(max_rows)
        if not pieces and self._interval_s is not None and timeout_s > 0:
            due_s = self._looked_s + self._interval_s - self._clock.monotonic_s()
            self._closed.wait(max(0.0, min(timeout_s, due_s)))
            self._look()
            pieces = self._read(max_rows)
        return self._chunk(pieces) if pieces else None

    def _read(self, max_rows: int) -> list[tuple[int, int, pa.Table]]:
        """(split, offset of the first, records), until there are enough or no more."""
        pieces: list[tuple[int, int, pa.Table]] = []
        size = 0
        while max_rows and size < CHUNK_BYTES and self._current < len(self._files):
            file = self._files[self._current]
            start = self._positions.get(file.path, 0)
            if self._reader is None:
                self._reader = self._make_reader(file, start)
            rows = self._reader.read(max_rows)
            if rows is None:
                self._reader.close()
                self._reader = None
                self._current += 1
                continue
            self._positions[file.path] = start + rows.num_rows
            pieces.append((self._current, start, rows))
            max_rows -= rows.num_rows
            size += rows.nbytes
        return pieces

    def _chunk(self, pieces: list[tuple[int, int, pa.Table]]) -> Chunk:
        sizes = [rows.num_rows for _, _, rows in pieces]
        split = np.repeat(np.array([index for index, _, _ in pieces], np.int32), sizes)
        offset = np.concatenate([np.arange(start, start + size, dtype=np.int64)
                                 for (_, start, _), size in zip(pieces, sizes, strict=True)])
        table = pa.concat_tables([self._with_metadata(self._files[index], rows) for index, _, rows in pieces])
        self._rows += table.num_rows
        self._bytes += table.nbytes
        positions = {index: start + rows.num_rows for index, start, rows in pieces}
        return Chunk(table.combine_chunks(), split, offset, positions)

    def _with_metadata(self, file: File, rows: pa.Table) -> pa.Table:
        facts = {"$meta.file.path": file.path, "$meta.file.name": file.name,
                 "$meta.file.size": file.size_bytes}
        for key in self._metadata:
            value = pa.scalar(facts[key]) if key in facts \
                else pa.scalar(file.modified_ns // 1_000_000 * 1000, _MODIFIED_TYPE)
            rows = rows.append_column(key, pa.repeat(value, rows.num_rows))
        return rows

    def ended(self) -> frozenset[int]:
        return frozenset(range(self._current))

    def finished(self) -> bool:
        return self.bounded and self._current == len(self._files)

    def commit(self, positions: Mapping[str, int]) -> None: ...

    def statistics(self) -> SourceStatistics:
        return SourceStatistics(self._rows, self._bytes)

    def close(self) -> None:
        self._closed.set()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

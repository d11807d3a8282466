"""The source behind `datagen` and `nexmark`: rows that are made from their numbers, at some rate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from streamsql.connectors.datagen_random import Numbers
from streamsql.core.clock import Clock
from streamsql.core.connector import Chunk, SourceStatistics, Split, TableSpec
from streamsql.core.options import OptionError

QUANTUM_MS = 50
"""Rows are released in steps of this length, so that a fast generator gives large batches."""
MOST_BYTES = 1 << 28
"""About the largest chunk."""

Rows = Callable[[Numbers, int], pa.Table]
"""Makes the rows of these numbers; the second argument is the clock's time, UTC µs."""


class RowSource:
    """Makes rows; one split, the offset is the number of the row.

    rows      makes them
    rate      rows a second, None for as many as are asked for
    total     how many there are, None without end
    width     about how many bytes a row takes
    endless   it does not end after its last row: it falls silent
    """

    def __init__(self, table: str, rows: Rows, *, rate: int | None, total: int | None, width: int,
                 endless: bool = False) -> None:
        self._rows, self._rate, self._total = rows, rate, total
        self._endless = endless or total is None
        self._split = Split(f"{table}-0", table)
        self._most_rows = max(1, MOST_BYTES // max(1, width))
        self._next = self._first = self._bytes = 0
        self._closed = threading.Event()

    @property
    def bounded(self) -> bool:
        return not self._endless

    def open(self, positions: Mapping[str, int], clock: Clock, keys: Sequence[str]) -> None:
        self._clock = clock
        self._opened_s = clock.monotonic_s()
        self._next = self._first = positions.get(self._split.id, 0)

    def splits(self) -> Sequence[Split]:
        return (self._split,)

    def _ready(self) -> int:
        """Rows that may be given now: those of all steps begun so far, less those given."""
        until = self._next + self._most_rows
        if self._rate is not None:
            steps = int((self._clock.monotonic_s() - self._opened_s) * 1000) // QUANTUM_MS + 1
            until = self._first - (-self._rate * steps * QUANTUM_MS // 1000)
        return (until if self._total is None else min(until, self._total)) - self._next

    def poll(self, max_rows: int, timeout_s: float) -> Chunk | None:
        ready = self._ready()
        if ready <= 0 and timeout_s > 0 and not self.finished():
            self._closed.wait(min(timeout_s, QUANTUM_MS / 1000))
            ready = self._ready()
        count = min(ready, max_rows, self._most_rows)
        if count <= 0 or self._closed.is_set():
            return None
        numbers = np.arange(self._next, self._next + count, dtype=np.uint64)
        rows = self._rows(numbers, self._clock.now_us())
        self._next += count
        self._bytes += rows.nbytes
        return Chunk(rows, np.zeros(count, np.int32), numbers.astype(np.int64), {0: self._next})

    def ended(self) -> frozenset[int]:
        return frozenset((0,)) if self.finished() else frozenset()

    def finished(self) -> bool:
        return not self._endless and self._total is not None and self._next >= self._total

    def commit(self, positions: Mapping[str, int]) -> None: ...

    def statistics(self) -> SourceStatistics:
        lag = None if self._total is None else max(0, self._total - self._next)
        return SourceStatistics(self._next - self._first, self._bytes, lag)

    def close(self) -> None:
        self._closed.set()


def at_least(table: TableSpec, key: str, least: int, where: str) -> int:
    """The number of an option. Raises OptionError when it is smaller."""
    number = table.options.integer(key)
    if number < least:
        raise OptionError(f'option "{key}" of {where} is "{number}"', key, f"Write a number from {least} up.")
    return number


def start_us(table: TableSpec, where: str) -> int | None:
    """The option `start-time` as UTC µs. Raises OptionError for what is no time."""
    text = table.options["start-time"]
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise OptionError(f'option "start-time" of {where} is "{text}"', "start-time",
                          "Write a time such as '2024-01-01 00:00:00'.") from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

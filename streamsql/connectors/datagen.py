"""`'connector'='datagen'`: rows out of nothing, of any type, with Flink's options.

Row i is a pure function of the seed and i: batches, restarts and speed do not change it. Only
times follow the clock: DATE, TIME and timestamps are the moment at which a row is made, less up to
`max-past`. With `'start-time'` row i is made at start-time + i / rows-per-second instead, and all
is repeatable. TIMESTAMP without a zone is in UTC.

Unlike Flink's, rows are equal from run to run unless `'seed'` differs.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from streamsql.connectors import datagen_fields
from streamsql.connectors.datagen_fields import WHERE, Fields
from streamsql.connectors.datagen_random import Moments, Numbers
from streamsql.core.clock import Clock
from streamsql.core.connector import Chunk, Metadata, SourceStatistics, Split, TableSpec
from streamsql.core.options import Option, OptionError, validate

OPTIONS = (
    Option("rows-per-second", "int", 10_000, "rows made per second"),
    Option("number-of-rows", "int", doc="end after that many rows; default: go on for ever, or until the "
           "shortest sequence ends"),
    Option("seed", "int", 0, "another number makes other rows"),
    Option("start-time", doc="time of row 0, as '2024-01-01 00:00:00' in UTC; default: the clock's time"),
    Option("fields.*", doc="of a column #: fields.#.kind (random or sequence), .min, .max (numbers), "
           ".max-past (timestamps), .length, .var-len (texts and bytes; arrays and maps have a length), "
           ".null-rate, .start, .end (sequences). Nested: fields.#.element, fields.#.key, fields.#.value, "
           "fields.#.FIELD before the option's name"),
)
METADATA: Mapping[str, Metadata] = {}

QUANTUM_MS = 50
"""Rows are released in steps of this length, so that a fast generator gives large batches."""
MOST_BYTES = 1 << 28
"""About the largest chunk."""


class DatagenSource:
    """Makes rows at the rate asked for; one split, the offset is the number of the row."""

    def __init__(self, table: TableSpec) -> None:
        given = {f"fields.{key}": text for key, text in table.options.prefixed("fields.").items()}
        parsed = validate(given, datagen_fields.options(table.declared if len(table.declared) else table.schema), WHERE)
        fields = Fields({key: parsed[key] for key in given}, table.options.integer("seed"))
        self._schema = table.schema.arrow()
        self._fields = [fields.field(f"fields.{column.name}", column.type) for column in table.schema]
        self._rate = _at_least(table, "rows-per-second", 1)
        limits = [field.rows for field in self._fields if field.rows is not None]
        if table.options["number-of-rows"] is not None:
            limits.append(_at_least(table, "number-of-rows", 0))
        self._total = min(limits) if limits else None
        self._start_us = _start_us(table)
        self._split = Split(f"{table.name}-0", table.name)
        self._most_rows = max(1, MOST_BYTES // max(1, sum(f.width_bytes for f in self._fields)))
        self._next = self._first = self._bytes = 0
        self._closed = threading.Event()

    @property
    def bounded(self) -> bool:
        return self._total is not None

    def open(self, positions: Mapping[str, int], clock: Clock, keys: Sequence[str]) -> None:
        self._clock = clock
        self._opened_s = clock.monotonic_s()
        self._next = self._first = positions.get(self._split.id, 0)

    def splits(self) -> Sequence[Split]:
        return (self._split,)

    def _ready(self) -> int:
        """Rows that may be given now: those of all steps begun so far, less those given."""
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
        moments = self._moments(numbers)
        columns = [field.array(numbers, moments) for field in self._fields]
        rows = pa.Table.from_arrays(columns, schema=self._schema)
        self._next += count
        self._bytes += rows.nbytes
        return Chunk(rows, np.zeros(count, np.int32), numbers.astype(np.int64), {0: self._next})

    def _moments(self, numbers: Numbers) -> Moments:
        if self._start_us is None:
            return np.full(len(numbers), self._clock.now_us(), np.int64)
        whole, rest = np.divmod(numbers.astype(np.int64), self._rate)
        moments: Moments = self._start_us + whole * 1_000_000 + rest * 1_000_000 // self._rate
        return moments

    def ended(self) -> frozenset[int]:
        return frozenset((0,)) if self.finished() else frozenset()

    def finished(self) -> bool:
        return self._total is not None and self._next >= self._total

    def commit(self, positions: Mapping[str, int]) -> None: ...

    def statistics(self) -> SourceStatistics:
        lag = None if self._total is None else max(0, self._total - self._next)
        return SourceStatistics(self._next - self._first, self._bytes, lag)

    def close(self) -> None:
        self._closed.set()


def _at_least(table: TableSpec, key: str, least: int) -> int:
    number = table.options.integer(key)
    if number < least:
        raise OptionError(f'option "{key}" of {WHERE} is "{number}"', key, f"Write a number from {least} up.")
    return number


def _start_us(table: TableSpec) -> int | None:
    text = table.options["start-time"]
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise OptionError(f'option "start-time" of {WHERE} is "{text}"', "start-time",
                          "Write a time such as '2024-01-01 00:00:00'.") from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def source(table: TableSpec) -> DatagenSource:
    return DatagenSource(table)

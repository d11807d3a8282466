"""`'connector'='blackhole'`: takes every row and keeps none, to measure or to silence a query."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from streamsql.core.clock import Clock
from streamsql.core.connector import Changes, Metadata, SinkStatistics, TableSpec
from streamsql.core.options import Option

OPTIONS: tuple[Option, ...] = ()
METADATA: Mapping[str, Metadata] = {}


class BlackholeSink:
    """Counts rows and bytes; nothing else is left of them."""

    def __init__(self) -> None:
        self._rows = self._bytes = 0

    def open(self, epoch: int, clock: Clock) -> None: ...

    def write(self, rows: pa.Table) -> None:
        self._rows += rows.num_rows
        self._bytes += rows.nbytes

    def flush(self) -> None: ...

    def commit(self, epoch: int) -> None: ...

    def statistics(self) -> SinkStatistics:
        return SinkStatistics(self._rows, self._bytes)

    def close(self) -> None: ...



def changes(options: Mapping[str, str], primary_key: tuple[str, ...], *, write: bool) -> Changes:
    """It takes every change as it is."""
    return "all"


def sink(_: TableSpec) -> BlackholeSink:
    return BlackholeSink()

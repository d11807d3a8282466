"""`'connector'='print'`: every change as one line on standard output, in Flink's text.

    identifier> +I[ann, 1]

Rows are written when the query gives them, before their epoch is committed: after a crash the
lines of an epoch may appear twice.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from streamsql.connectors.print_text import rows_text
from streamsql.core.changes import kinds
from streamsql.core.clock import Clock
from streamsql.core.connector import Changes, Metadata, SinkStatistics, TableSpec
from streamsql.core.options import Option
from streamsql.errors import ConnectorError

OPTIONS = (
    Option("print-identifier", doc="text before each line, followed by `> `"),
    Option("standard-error", "bool", False, "write to standard error instead of standard output"),
)
METADATA: Mapping[str, Metadata] = {}


class PrintSink:
    """Writes whole lines, one `write` of the stream a batch.

    A row that goes is `-D` and one that comes `+I`; where the key of the table or of the query's rows says
    that a batch replaces one by the other, they are `-U` and `+U`.
    """

    def __init__(self, table: TableSpec) -> None:
        self._table = table
        identifier = table.options["print-identifier"]
        self._prefix = f"{identifier}> " if identifier else ""
        self._rows = self._bytes = 0

    def open(self, epoch: int, clock: Clock) -> None: ...

    def write(self, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        schema = self._table.schema
        columns = [rows[name].combine_chunks() for name in schema.names]
        shown = rows_text(columns, [column.type for column in schema], self._kinds(rows))
        lines = "\n".join(pc.binary_join_element_wise(self._prefix, shown, "").to_pylist()) + "\n"
        stream = sys.stderr if self._table.options.flag("standard-error") else sys.stdout
        try:
            stream.write(lines)
            stream.flush()
        except (OSError, ValueError) as error:
            raise ConnectorError(f'table "{self._table.name}" cannot print: {error}') from error
        self._rows += rows.num_rows
        self._bytes += len(lines.encode())

    def _kinds(self, rows: pa.Table) -> pa.Array:
        key = self._table.update_key
        return kinds(rows, key if key is not None else self._table.primary_key or None)

    def flush(self) -> None: ...

    def commit(self, epoch: int) -> None: ...

    def statistics(self) -> SinkStatistics:
        return SinkStatistics(self._rows, self._bytes)

    def close(self) -> None: ...



def changes(options: Mapping[str, str], primary_key: tuple[str, ...], *, write: bool) -> Changes:
    """It takes every change as it is."""
    return "all"


def sink(table: TableSpec) -> PrintSink:
    return PrintSink(table)

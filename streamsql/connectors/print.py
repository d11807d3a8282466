"""`'connector'='print'`: every change as one line on standard output, in Flink's text.

    identifier> +I[ann, 1]

Rows are written when the query gives them, before their epoch is committed: after a crash the
lines of an epoch may appear twice.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamsql.connectors.print_text import rows_text
from streamsql.core.batch import DIFF
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

    A row that goes is `-D` and one that comes `+I`; where the table has a primary key and a batch
    replaces the row of a key, they are `-U` and `+U`.
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
        if DIFF not in rows.column_names:
            return pa.array(["+I"] * rows.num_rows)
        comes = pc.greater(rows[DIFF].combine_chunks(), 0)
        kinds = pc.if_else(comes, "+I", "-D")
        keys = list(self._table.primary_key)
        if not keys:
            return kinds
        changes = rows.select([*keys, DIFF]).append_column("$row", pa.array(np.arange(rows.num_rows)))
        both = changes.group_by(keys).aggregate([(DIFF, "min"), (DIFF, "max")])
        both = both.filter(pc.not_equal(both[f"{DIFF}_min"], both[f"{DIFF}_max"]))
        replaced = changes.join(both, keys, join_type="left semi")["$row"]
        return pc.if_else(pc.is_in(changes["$row"].combine_chunks(), replaced.combine_chunks()),
                          pc.if_else(comes, "+U", "-U"), kinds)

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

"""Batch: a finite set of changes of one stream, as Arrow columns.

Beside the columns of its schema a batch may carry hidden columns, which generated SQL passes on:

    $diff       INTEGER  +1 for a row that comes, -1 for one that goes; absent when append-only
    $watermark  BIGINT   event time in µs: the watermark of the row's own partition *just before*
                the row. A row is late for a window iff the window was closed at it. It travels
                with the row, so the answer cannot depend on where a batch was cut.
    $seq        BIGINT   split << 44 | offset: names the record that the row came from; negative in
                a row that no single record made, ascending in the order of emission

`ARRIVAL` orders rows deterministically: by offset within a partition, by event-time progress
between partitions.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from streamsql.core.schema import Schema

DIFF = "$diff"
WATERMARK = "$watermark"
SEQ = "$seq"
HIDDEN = (DIFF, WATERMARK, SEQ)
ARRIVAL = '"$watermark", "$seq"'
SEQ_SHIFT = 44
"""Offsets stay below 2**44 and splits below 2**19; both fit the BIGINT `$seq`."""

MIN_WATERMARK = -(2**63)
"""The watermark before any row: nothing is late, nothing closes."""
MAX_WATERMARK = 2**63 - 1
"""The watermark at the end of a bounded input: everything closes."""

DERIVED_SEQ = -(2**62)
"""The least `$seq` of a row that no single record made."""


def batch_schema(schema: Schema, hidden: tuple[str, ...]) -> pa.Schema:
    """The Arrow schema of a stream's batches: the visible columns, then the hidden ones."""
    added = [pa.field(name, pa.int32() if name == DIFF else pa.int64()) for name in hidden]
    return pa.schema([*schema.arrow(), *added])


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes of one stream.

    table         the schema's columns, then hidden ones
    may_be_late   False promises that no row is at or behind its own `$watermark`, so that an
                  operator may skip its late test; True promises nothing
    """

    table: pa.Table
    may_be_late: bool = True

    def __len__(self) -> int:
        return int(self.table.num_rows)

"""`'connector'='datagen'`: rows out of nothing, of any type, with Flink's options.

Row i is a pure function of the seed and i: batches, restarts and speed do not change it. Only
times follow the clock: DATE, TIME and timestamps are the moment at which a row is made, less up to
`max-past`. With `'start-time'` row i is made at start-time + i / rows-per-second instead, and all
is repeatable. TIMESTAMP without a zone is in UTC.

Unlike Flink's, rows are equal from run to run unless `'seed'` differs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from streamsql.connectors import datagen_fields
from streamsql.connectors.datagen_fields import WHERE, Fields
from streamsql.connectors.datagen_random import Moments, Numbers
from streamsql.connectors.datagen_source import RowSource, at_least, start_us
from streamsql.core.connector import Metadata, TableSpec
from streamsql.core.options import Option, validate

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


def source(table: TableSpec) -> RowSource:
    given = {f"fields.{key}": text for key, text in table.options.prefixed("fields.").items()}
    parsed = validate(given, datagen_fields.options(table.declared if len(table.declared) else table.schema), WHERE)
    makers = Fields({key: parsed[key] for key in given}, table.options.integer("seed"))
    fields = [makers.field(f"fields.{column.name}", column.type) for column in table.schema]
    schema, rate = table.schema.arrow(), at_least(table, "rows-per-second", 1, WHERE)
    limits = [field.rows for field in fields if field.rows is not None]
    if table.options["number-of-rows"] is not None:
        limits.append(at_least(table, "number-of-rows", 0, WHERE))
    start = start_us(table, WHERE)

    def rows(numbers: Numbers, now_us: int) -> pa.Table:
        moments = np.full(len(numbers), now_us, np.int64) if start is None else _paced(numbers, start, rate)
        return pa.Table.from_arrays([field.array(numbers, moments) for field in fields], schema=schema)

    return RowSource(table.name, rows, rate=rate, total=min(limits) if limits else None,
                     width=sum(field.width_bytes for field in fields))


def _paced(numbers: Numbers, start: int, rate: int) -> Moments:
    """When the rows are made: `rate` a second from `start` on."""
    whole, rest = np.divmod(numbers.astype(np.int64), rate)
    moments: Moments = start + whole * 1_000_000 + rest * 1_000_000 // rate
    return moments

"""The contracts of formats: how bytes become columns and columns bytes, vectorised.

A format is one module `streamsql/formats/NAME.py`; `'format'='NAME'` imports it. It has

    OPTIONS: tuple[Option, ...]     keys without the prefix (`ignore-parse-errors`); WITH has them
                                    as `NAME.KEY`, `value.NAME.KEY`, `key.NAME.KEY`
    def decoder(schema: Schema, options: Options) -> Decoding
    def encoder(schema: Schema, options: Options) -> Encoding

Both are expressions of DuckDB over one BLOB column, so a batch is decoded by the same statement
that filters and projects it. A format that DuckDB cannot express decodes in `arrow` first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Decoding:
    """How one BLOB column `raw` (written `{raw}` in the expressions) becomes a schema's columns.

    columns  one expression a column of the schema. It must not raise where `valid` holds.
    shared   (name, expression) computed once a record; `columns` refer to it as `"name"`
    valid    BOOLEAN: the record can be looked into at all; None: always. Where it does not hold
             `shared` and `columns` may raise: the scan runs without it, and with it only if so.
    suspect  BOOLEAN, cheap: this record may be bad; never false for a bad one. None: none is bad.
    reason   VARCHAR, exact and slow: why the record is bad, NULL if it is not. Only evaluated on
             suspect or invalid records.
    skip     BOOLEAN: the record is to be dropped without a trace, as an option asks; None: never
    arrow    applied to the raw Arrow column before all else, for formats beyond SQL
    """

    columns: tuple[str, ...]
    shared: tuple[tuple[str, str], ...] = ()
    valid: str | None = None
    suspect: str | None = None
    reason: str = "NULL::VARCHAR"
    skip: str | None = None
    arrow: Callable[[pa.ChunkedArray], pa.ChunkedArray] | None = None


@dataclass(frozen=True, slots=True)
class Encoding:
    """One expression of type BLOB or VARCHAR over the columns of the schema, quoted by name."""

    value: str
    arrow: Callable[[pa.ChunkedArray], pa.ChunkedArray] | None = None

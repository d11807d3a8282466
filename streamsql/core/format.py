"""The contracts of formats: how bytes become columns and columns bytes, vectorised.

A format is one module `streamsql/formats/NAME.py`; `'format'='NAME'` imports it. It has

    OPTIONS: tuple[Option, ...]     keys without the prefix (`ignore-parse-errors`); WITH has them
                                    as `NAME.KEY`, `value.NAME.KEY`, `key.NAME.KEY`
    def decoder(schema: Schema, options: Options, record: Schema | None = None) -> Decoding
    def encoder(schema: Schema, options: Options) -> Encoding
    CHANGES: bool                   absent or False: a record is one row that comes. True: records are
                                    changes, `Decoding.diffs` says which, and `Encoding.value` may
                                    name `"$diff"` (+1, -1), of which it makes one record each
    METADATA: Mapping[str, Metadata]    absent or: what a record says beside its columns; a table names
                                    it `value.KEY`. `decoder` is then given `metadata`, the keys that
                                    are used, and its `columns` go on with one expression each

Both are expressions of DuckDB over one raw column, so a batch is decoded by the same statement
that computes and filters its columns. `decoder` gets in `schema` only the columns that the plan
uses, in `record` all that the record has: a format by position needs them; None means they are the
same. Both raise SQLTypeError for a column type that the format cannot hold, and OptionError for
options that do not go together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

RAW = "{raw}"
"""Stands for the raw column's name in the text of a Decoding, always inside double quotes: the
column is `"{raw}"`, what is shared `"{raw}$fields"`. So a key and a value can be decoded by the
same format in one statement."""


def over(text: str, raw: str) -> str:
    """Text of a Decoding, over the raw column of this name (`value`, `key`)."""
    return text.replace(RAW, raw)


@dataclass(frozen=True, slots=True)
class Decoding:
    """How the raw column `"{raw}"` becomes a schema's columns.

    columns  one expression a column of the schema, of exactly its DuckDB type. It does not raise
             where `valid` holds; what it gives for a bad record does not matter.
    shared   (name, expression) computed once a record; what follows may refer to its `"{raw}$…"` name
    text     True: the raw column is fed as VARCHAR, its bytes *not* checked to be UTF-8; False:
             as BLOB. The view is free; DuckDB's JSON functions check what they read.
    valid    BOOLEAN: the record can be looked into at all; None: always. Where it does not hold
             `shared` and `columns` may raise: the scan runs without it, and with it only if so.
             The raw column of a record that is not valid is then NULL.
    suspect  BOOLEAN, cheap: this record may be bad; never false or NULL for a bad one. None: none
             is bad.
    reason   VARCHAR, exact and slow: why the record is bad, NULL if it is not. Only evaluated on
             suspect or invalid records, the latter with `"{raw}"` NULL and `"{raw}$bytes"` (a
             BLOB) the record.
    skip     BOOLEAN: the record is dropped without an error, as Flink does (a NULL value) or an
             option asks; None: never. An invalid record is skipped if its reason is NULL.
    arrow    applied to the raw BINARY column before all else, for what SQL cannot express; what
             it gives is of type VARCHAR if `text`
    diffs    INTEGER[]: the changes that a record makes, -1 or +1 each, in order, at least
             one: the record becomes so many rows, each of which has its own as `"$diff"`, which
             `part` and what is computed after it may name. None: one row, +1
    rows     (name, VARCHAR[]) beside `diffs`, as long as they are: each row has its own under the name
    part     (name, expression) computed once a row, as `shared` is once a record, before it
    """

    columns: tuple[str, ...]
    shared: tuple[tuple[str, str], ...] = ()
    text: bool = False
    valid: str | None = None
    suspect: str | None = None
    reason: str = "NULL::VARCHAR"
    skip: str | None = None
    arrow: Callable[[pa.ChunkedArray], pa.ChunkedArray] | None = None
    diffs: str | None = None
    rows: tuple[str, str] | None = None
    part: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Encoding:
    """One expression of type VARCHAR or BLOB over the columns of the schema, quoted by name.

    arrow    applied to the encoded Arrow column (string or binary) after all else; gives binary
    """

    value: str
    arrow: Callable[[pa.ChunkedArray], pa.ChunkedArray] | None = None

"""Format `raw`: the whole record is one column.

Text in a charset, bytes as they are, a BOOLEAN of one byte, or a number in its 1, 2, 4 or 8 bytes.
A NULL record is a row with NULL, as in Flink; text that is not of the charset is an error row,
where Flink would put replacement characters.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streamsql.core.format import Decoding, Encoding
from streamsql.core.options import Option, OptionError, Options
from streamsql.core.schema import Column, Schema, quote, text_literal
from streamsql.core.types import MAX_LENGTH
from streamsql.errors import SQLTypeError

OPTIONS = (
    Option("charset", "string", "UTF-8", "The charset of a text column."),
    Option("endianness", "string", "big-endian", "The byte order of a number.",
           choices=("big-endian", "little-endian")),
)

_NUMBERS = {"BOOLEAN": "i1", "TINYINT": "i1", "SMALLINT": "i2", "INT": "i4", "BIGINT": "i8", "FLOAT": "f4",
            "DOUBLE": "f8"}

_BAD = b"\xff"
"""Bytes that no UTF-8 text has: what `_ToUTF8` gives for a record that its charset refuses."""


@dataclass(frozen=True, slots=True)
class _ToUTF8:
    """Records in a charset, as UTF-8. One record at a time: Python's codecs know no columns."""

    charset: str

    def __call__(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        texts = [None if b is None else self._one(b) for b in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.binary())])

    def _one(self, record: bytes) -> bytes:
        try:
            return record.decode(self.charset).encode()
        except UnicodeError:
            return _BAD


@dataclass(frozen=True, slots=True)
class _FromUTF8:
    """Texts as records in a charset; what it lacks becomes `?`, as in Java."""

    charset: str

    def __call__(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        records = [None if t is None else t.encode(self.charset, "replace") for t in column.to_pylist()]
        return pa.chunked_array([pa.array(records, pa.binary())])


@dataclass(frozen=True, slots=True)
class _ToNumberText:
    """Records of a fixed size, as the texts of numbers; `?` for one of another size."""

    dtype: str

    def __call__(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        records = column.combine_chunks()
        size = np.dtype(self.dtype).itemsize
        fits = pc.fill_null(pc.equal(pc.binary_length(records), size), False)
        joined = b"".join(records.filter(fits).to_pylist())
        values = np.frombuffer(joined, self.dtype)
        numbers = pa.array(values.astype(values.dtype.newbyteorder("="))).cast(pa.string())
        other = pc.if_else(records.is_valid(), "?", pa.scalar(None, pa.string()))
        return pa.chunked_array([pc.replace_with_mask(other, fits, numbers)])


@dataclass(frozen=True, slots=True)
class _FromNumberText:
    """Texts of numbers as records of a fixed size."""

    dtype: str

    def __call__(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        native = np.dtype(self.dtype).newbyteorder("=")
        numbers = column.combine_chunks().cast(pa.from_numpy_dtype(native))
        values = numbers.fill_null(0).to_numpy(zero_copy_only=False).astype(self.dtype)
        records = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(values.itemsize), len(values), [None, pa.py_buffer(values.tobytes())]).cast(pa.binary())
        null = pa.scalar(None, pa.binary())
        return pa.chunked_array([pc.if_else(numbers.is_valid(), records, null)])


def _charset(options: Options) -> str:
    name = options.text("charset")
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise OptionError(f'option "charset" of format "raw" is "{name}"', "charset",
                          "Write the name of a charset, such as UTF-8.") from None


def _dtype(column: Column, options: Options) -> str:
    order = ">" if options.text("endianness") == "big-endian" else "<"
    return order + _NUMBERS[column.type.root]


def _only(schema: Schema) -> Column:
    if len(schema) != 1:
        raise SQLTypeError(f'format "raw" holds one column, the table has {len(schema)}',
                           hint="Leave one physical column, or use another format.")
    return schema.columns[0]


_GIVEN = '"{raw}" IS NOT NULL'
_BYTES = "left(hex(\"{raw}$bytes\"), 80) || ' (hexadecimal)'"


def decoder(schema: Schema, options: Options, record: Schema | None = None) -> Decoding:
    """How a record becomes the only column of `schema`, or none."""
    _only(record or schema)
    charset = _charset(options)
    if not schema.columns:
        return Decoding(())
    column = schema.columns[0]
    if column.type.root in _NUMBERS:
        return _number(column, _dtype(column, options))
    if column.type.is_binary:
        return _bytes(column)
    if column.type.is_character:
        return _text(column, charset)
    raise _unsupported(column)


def _refused(column: Column, bad: str, shown: str) -> str:
    head = text_literal(f'column "{column.name}" of type {column.type.as_nullable()} cannot hold ')
    return f"CASE WHEN {bad} THEN {head} || {shown} END"


def _number(column: Column, dtype: str) -> Decoding:
    boolean = column.type.root == "BOOLEAN"
    kind = "TINYINT" if boolean else column.type.duck_type()
    value = f'TRY_CAST("{{raw}}" AS {kind})'
    bad = f"{_GIVEN} AND {value} IS NULL"
    return Decoding((f"{value} <> 0" if boolean else value,), text=True, suspect=bad,
                    reason=_refused(column, bad, _BYTES), arrow=_ToNumberText(dtype))


def _bytes(column: Column) -> Decoding:
    value = '"{raw}"'
    if column.type.precision == MAX_LENGTH:
        return Decoding((value,))
    bad = f"{_GIVEN} AND octet_length({value}) > {column.type.precision}"
    return Decoding((value,), suspect=bad, reason=_refused(column, bad, _BYTES))


def _text(column: Column, charset: str) -> Decoding:
    value = 'TRY(decode("{raw}"))'
    limit = column.type.precision
    longer = f" OR length({value}) > {limit}" if limit < MAX_LENGTH else ""
    bad = f"{_GIVEN} AND ({value} IS NULL{longer})"
    shown = f"coalesce('\"' || left({value}, 80) || '\"', {_BYTES})"
    return Decoding((value,), suspect=bad, reason=_refused(column, bad, shown),
                    arrow=None if charset == "utf-8" else _ToUTF8(charset))


def encoder(schema: Schema, options: Options) -> Encoding:
    """How the only column of `schema` becomes a record."""
    column = _only(schema)
    charset = _charset(options)
    x = quote(column.name)
    if column.type.root in _NUMBERS:
        text = f"({x}::TINYINT)::VARCHAR" if column.type.root == "BOOLEAN" else f"{x}::VARCHAR"
        return Encoding(text, _FromNumberText(_dtype(column, options)))
    if column.type.is_character:
        return Encoding(x, None if charset == "utf-8" else _FromUTF8(charset))
    if column.type.is_binary:
        return Encoding(x)
    raise _unsupported(column)


def _unsupported(column: Column) -> SQLTypeError:
    return SQLTypeError(f'format "raw" has no form for column "{column.name}" of type {column.type}',
                        hint="It holds text, bytes, BOOLEAN, integers, FLOAT or DOUBLE.")

"""Format raw: the record is the value."""

from __future__ import annotations

from typing import Any

import pytest

from streamsql.core.options import OptionError
from streamsql.core.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DOUBLE,
    FLOAT,
    INT,
    SMALLINT,
    STRING,
    TINYINT,
    DataType,
    array,
    varchar,
)
from streamsql.errors import SQLTypeError
from streamsql.formats import raw
from tests.unit.scans import columns, decoded, encoded

CASES: list[tuple[DataType, dict[str, str], Any, bytes]] = [
    (STRING, {}, "é", "é".encode()),
    (STRING, {"charset": "ISO-8859-1"}, "é", b"\xe9"),
    (STRING, {"charset": "UTF-16"}, "é", "é".encode("utf-16")),
    (BYTES, {}, b"\xff\x00", b"\xff\x00"),
    (BOOLEAN, {}, True, b"\x01"),
    (BOOLEAN, {}, False, b"\x00"),
    (TINYINT, {}, -1, b"\xff"),
    (SMALLINT, {}, 258, b"\x01\x02"),
    (INT, {}, -2, b"\xff\xff\xff\xfe"),
    (BIGINT, {"endianness": "little-endian"}, 1, b"\x01" + bytes(7)),
    (BIGINT, {}, -(2**63), b"\x80" + bytes(7)),
    (FLOAT, {}, 1.5, b"\x3f\xc0\x00\x00"),
    (DOUBLE, {}, 0.1, b"\x3f\xb9\x99\x99\x99\x99\x99\x9a"),
]


@pytest.mark.parametrize(("kind", "given", "value", "record"), CASES)
def test_a_value_is_read_and_written(
    kind: DataType, given: dict[str, str], value: Any, record: bytes
) -> None:
    schema = columns(value=kind)
    assert decoded(raw, schema, given, record, None) == [(value,), (None,)]
    assert encoded(raw, schema, given, (value,), (None,)) == [record, None]


@pytest.mark.parametrize(
    ("kind", "given", "record", "reason"),
    [
        (STRING, {}, b"a\xff", 'column "v" of type STRING cannot hold 61FF (hexadecimal)'),
        (STRING, {"charset": "ascii"}, b"\xe9", 'column "v" of type STRING cannot hold E9 (hexadecimal)'),
        (varchar(2), {}, b"abc", 'column "v" of type VARCHAR(2) cannot hold "abc"'),
        (INT, {}, b"abc", 'column "v" of type INT cannot hold 616263 (hexadecimal)'),
        (DOUBLE, {}, b"", 'column "v" of type DOUBLE cannot hold  (hexadecimal)'),
        (BOOLEAN.not_null(), {}, None, 'column "v" is NOT NULL and got NULL'),
    ],
)
def test_a_misfit_is_an_error_row(
    kind: DataType, given: dict[str, str], record: bytes | None, reason: str
) -> None:
    assert decoded(raw, columns(v=kind), given, record) == [reason]


def test_one_column_of_a_plain_type() -> None:
    with pytest.raises(SQLTypeError, match='format "raw" holds one column, the table has 2'):
        decoded(raw, columns(a=INT, b=INT), {}, b"")
    with pytest.raises(SQLTypeError, match='format "raw" has no form for column "a"'):
        encoded(raw, columns(a=array(INT)), {}, ([],))
    with pytest.raises(OptionError, match='option "charset" of format "raw" is "nope"'):
        decoded(raw, columns(a=STRING), {"charset": "nope"}, b"")

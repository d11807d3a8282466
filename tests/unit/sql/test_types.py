"""Types as written and as read back."""

from __future__ import annotations

import pytest

from streamsql.core import types
from streamsql.core.types import DataType
from streamsql.errors import ParseError, SQLTypeError
from streamsql.sql import data_type, exp, parse_type

WRITTEN = {
    "INT": types.INT, "integer not null": types.INT.not_null(), "DECIMAL": types.decimal(10, 0),
    "DEC(5)": types.decimal(5, 0), "NUMERIC(10, 2) NOT NULL": types.decimal(10, 2).not_null(),
    "STRING": types.STRING, "VARCHAR": types.STRING, "VARCHAR(3)": types.varchar(3), "CHAR": types.char(1),
    "CHARACTER VARYING(4)": types.varchar(4), "BYTES": types.BYTES, "VARBINARY(2)": DataType("VARBINARY", precision=2),
    "BINARY(2)": DataType("BINARY", precision=2), "DOUBLE PRECISION": types.DOUBLE, "TIME": types.time(),
    "TIME(3) WITHOUT TIME ZONE": types.time(3), "TIMESTAMP": types.timestamp(6), "TIMESTAMP(3)": types.timestamp(3),
    "TIMESTAMP(3) WITH LOCAL TIME ZONE": types.timestamp_ltz(3), "TIMESTAMP_LTZ(9)": types.timestamp_ltz(9),
    "ARRAY<INT NOT NULL>": types.array(types.INT.not_null()), "INT ARRAY": types.array(types.INT),
    "MULTISET<STRING>": types.multiset(types.STRING), "MAP<STRING, ARRAY<INT>>":
    types.map_of(types.STRING, types.array(types.INT)),
    "ROW<a INT, `b c` ROW(d STRING)>": types.row({"a": types.INT, "b c": types.row({"d": types.STRING})}),
    "INTERVAL DAY TO SECOND(3)": DataType("INTERVAL DAY TO SECOND", precision=2, scale=3, unit="DAY TO SECOND"),
    "INTERVAL YEAR(4)": DataType("INTERVAL YEAR TO MONTH", precision=4, unit="YEAR"),
    "VARIANT": DataType("VARIANT"), "DECIMAL(39, 0)": types.decimal(38, 0),
}


@pytest.mark.parametrize(("text", "expected"), WRITTEN.items(), ids=WRITTEN.keys())
def test_types(text: str, expected: DataType) -> None:
    assert parse_type(text) == expected


@pytest.mark.parametrize("text", [t for t in WRITTEN if "INTERVAL" not in t])
def test_a_type_is_read_back_from_its_text(text: str) -> None:
    found = parse_type(text)
    assert parse_type(str(found)) == found


@pytest.mark.parametrize(("text", "message"), [
    ("INTT", 'type "INTT" does not exist'), ("RAW('a', 'b')", 'type "RAW" is not supported'),
    ("TIME(10)", "the precision of TIME is 10, must be from 0 to 9"),
    ("DECIMAL(3, 4)", "the scale of DECIMAL is 4, must be from 0 to 3"),
    ("TIMESTAMP WITH TIME ZONE", 'type "TIMESTAMP WITH TIME ZONE" is not supported'),
])
def test_refused_types(text: str, message: str) -> None:
    with pytest.raises(SQLTypeError) as error:
        parse_type(text)
    assert error.value.message == message
    assert error.value.span is not None


def test_what_is_no_type_is_a_parse_error() -> None:
    for text in ("ARRAY<INT", "MAP<INT>", "ROW<a INT, a INT>", "INT x"):
        with pytest.raises(ParseError):
            parse_type(text)


def test_a_tree_without_position_gives_its_type_too() -> None:
    assert data_type(exp.DataType(this=exp.DType.USERDEFINED, kind="ARRAY<INT>")) == types.array(types.INT)
    assert data_type(exp.DataType.build("BIGINT")) == types.BIGINT

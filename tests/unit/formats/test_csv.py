"""Format csv: what becomes a value, what is refused and why, and what is written."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from streamsql.core.options import OptionError
from streamsql.core.schema import Schema
from streamsql.core.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DOUBLE,
    INT,
    STRING,
    DataType,
    array,
    decimal,
    map_of,
    row,
    timestamp,
    timestamp_ltz,
)
from streamsql.errors import SQLTypeError
from streamsql.formats import csv
from tests.unit.scans import Decoded, chunk, columns, decoded, encoded, options, running, scan, splits

PAIR = columns(a=INT, b=STRING)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"1,x", (1, "x")),
        (b" 1 ,", (1, "")),
        (b"1,x\r\n", (1, "x")),
        (b'1,"x, ""y"""', (1, 'x, "y"')),
        (b'"1","x\ny"', (1, "x\ny")),
        (b'1, "x" ', (1, "x")),
        (b'1,x"y', (1, 'x"y')),
        (b'1,""', (1, "")),
        ("1,é".encode(), (1, "é")),
        (b"x,y", 'column "a" of type INT cannot hold "x"'),
        (b",y", 'column "a" of type INT cannot hold ""'),
        (b"1.5,y", 'column "a" of type INT cannot hold "1.5"'),
        (b"1", "the record has 1 fields, the table has 2: 1"),
        (b"1,2,3", "the record has 3 fields, the table has 2: 1,2,3"),
        (b'1,"x', 'the record is not CSV: 1,"x'),
        (b'1,"x"y', 'the record is not CSV: 1,"x"y'),
        (b"1,x\n2,y", "the record has more than one line"),
        (b"1,\xff", "the record is not UTF-8"),
        (b"", "the record has 1 fields, the table has 2: "),
        (None, None),
    ],
)
def test_a_line(line: bytes | None, found: Any) -> None:
    """Between good lines, so that it is seen that they stay."""
    assert decoded(csv, PAIR, {}, b"7,ok", line, b"8,ok") == [(7, "ok"), found, (8, "ok")]


def test_more_than_one_line_of_one_column() -> None:
    assert decoded(csv, columns(a=STRING), {}, b"x\ny") == ["the record has more than one line"]


def test_values() -> None:
    schema = columns(
        i=BIGINT,
        d=DOUBLE,
        c=decimal(5, 2),
        b=BOOLEAN,
        y=BYTES,
        t=timestamp(3),
        l=timestamp_ltz(3),
        a=array(INT),
        r=row({"x": INT, "y": STRING}),
    )
    assert decoded(
        csv, schema, {}, b"1,1.5,2.005,TRUE,aGk=,2024-01-02 03:04:05.6789,2024-01-02 03:04:05Z,1;2,3;z"
    ) == [
        (
            1,
            1.5,
            Decimal("2.01"),
            True,
            b"hi",
            datetime(2024, 1, 2, 3, 4, 5, 678000),
            datetime(2024, 1, 2, 3, 4, 5, 0, UTC),
            [1, 2],
            {"x": 3, "y": "z"},
        )
    ]


def test_misfits_inside_arrays_and_rows() -> None:
    assert decoded(csv, columns(a=array(INT)), {}, b"1;x", b"") == [
        'column "a[]" of type INT cannot hold "x"',
        ([],),
    ]
    assert decoded(csv, columns(r=row({"x": INT, "y": INT})), {}, b"1;x", b"1") == [
        'column "r.y" of type INT cannot hold "x"',
        'column "r" of type ROW<`x` INT, `y` INT> cannot hold 1',
    ]


def test_options_of_reading() -> None:
    given = {
        "field-delimiter": r"\t",
        "quote-character": "'",
        "null-literal": "n/a",
        "allow-comments": "true",
        "array-element-delimiter": "|",
    }
    schema = columns(a=INT, b=STRING, c=array(INT))
    assert decoded(csv, schema, given, b"1\t'x\ty'\t1|n/a", b"n/a\tn/a\tn/a", b"# note", b'2\t"\t') == [
        (1, "x\ty", [1, None]),
        (None, None, None),
        None,
        (2, '"', []),
    ]
    escaped = {"escape-character": "\\"}
    assert decoded(csv, PAIR, escaped, rb"1,a\,b", rb'1,"a\"b\\"', b"1,ab") == [
        (1, "a,b"),
        (1, 'a"b\\'),
        (1, "ab"),
    ]
    assert decoded(csv, PAIR, {"disable-quote-character": "true"}, b'1,"x"') == [(1, '"x"')]


def test_ignoring_parse_errors() -> None:
    assert decoded(csv, PAIR, {"ignore-parse-errors": "true"}, b"x,y", b"1", b'1,"x', b"\xff", b"1,2,3") == [
        (None, "y"),
        (1, None),
        None,
        None,
        (1, "2"),
    ]


def test_columns_are_found_by_their_place_in_the_whole_record() -> None:
    used, whole = columns(c=INT), columns(a=STRING, b=STRING, c=INT)
    decoding = csv.decoder(used, options(csv, {}), whole)
    with running(scan(csv, used, value=Decoded(decoding, ("c",)))) as step:
        step.observe(splits(1))
        batch = step.ingest(chunk([b"x,y,3"]))
    assert batch is not None
    assert batch.table["c"].to_pylist() == [3]


def test_what_an_option_or_a_type_may_be() -> None:
    with pytest.raises(OptionError, match='option "field-delimiter" of format "csv" is ",,"'):
        decoded(csv, PAIR, {"field-delimiter": ",,"}, b"")
    with pytest.raises(
        SQLTypeError, match='format "csv" has no form for column "m" of type MAP<STRING, INT>'
    ):
        decoded(csv, columns(m=map_of(STRING, INT)), {}, b"")


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (INT, 5, b"5"),
        (INT, None, b""),
        (DOUBLE, 1e7, b"1.0E7"),
        (BOOLEAN, True, b"true"),
        (STRING, "abc", b"abc"),
        (STRING, "a b", b'"a b"'),
        (STRING, 'a"b', b'"a""b"'),
        (STRING, "a,b", b'"a,b"'),
        (STRING, "", b""),
        (STRING, "x" * 24, b"x" * 24),
        (STRING, "x" * 25, b'"' + b"x" * 25 + b'"'),
        (BYTES, b"hi", b"aGk="),
        (timestamp(3), datetime(2024, 1, 2, 3, 4, 5, 600000), b'"2024-01-02 03:04:05.6"'),
        (decimal(10, 8), Decimal("0.00000027"), b"2.7E-7"),
        (array(INT), [1, None, 2], b"1;;2"),
        (row({"x": INT, "y": STRING}), {"x": 1, "y": "z"}, b"1;z"),
    ],
)
def test_a_value_is_written(kind: DataType, value: Any, text: bytes) -> None:
    assert encoded(csv, columns(v=kind), {}, (value,)) == [text]


def test_options_of_writing() -> None:
    given = {
        "field-delimiter": ";",
        "null-literal": "n/a",
        "quote-character": "'",
        "escape-character": "\\",
        "array-element-delimiter": "|",
        "write-bigdecimal-in-scientific-notation": "false",
    }
    schema = columns(a=STRING, b=INT, c=decimal(10, 8), d=array(INT))
    assert encoded(csv, schema, given, ("it's \\", None, Decimal("0.00000027"), [1, None])) == [
        b"'it''s \\\\';n/a;0.00000027;'1|n/a'"
    ]


def test_what_is_written_is_read_again() -> None:
    schema: Schema = columns(a=STRING, b=INT, c=DOUBLE, t=timestamp(3))
    rows = [('x, "y"\nz', 1, 1e-9, datetime(2024, 1, 1)), ("", -1, 0.1, datetime(1969, 1, 1, 0, 0, 0, 1000))]
    assert decoded(csv, schema, {}, *encoded(csv, schema, {}, *rows)) == rows

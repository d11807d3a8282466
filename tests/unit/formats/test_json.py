"""Format json: what becomes a value, what is refused and why, and what is written."""

from __future__ import annotations

from datetime import UTC, date, datetime
from datetime import time as clock_time
from decimal import Decimal
from typing import Any

import pytest

from streamsql.core.options import OptionError
from streamsql.core.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    FLOAT,
    INT,
    SMALLINT,
    STRING,
    TINYINT,
    DataType,
    array,
    decimal,
    map_of,
    multiset,
    row,
    time,
    timestamp,
    timestamp_ltz,
    varchar,
)
from streamsql.errors import SQLTypeError
from streamsql.formats import json
from tests.unit.scans import columns, decoded, encoded

ISO = {"timestamp-format.standard": "ISO-8601"}
LENIENT = {"ignore-parse-errors": "true"}

GOOD: list[tuple[DataType, str, Any]] = [
    (BIGINT, "9223372036854775807", 2**63 - 1),
    (BIGINT, "-9223372036854775808", -(2**63)),
    (BIGINT, '"12"', 12),
    (BIGINT, '" 12 "', 12),
    (BIGINT, "12.0", 12),
    (BIGINT, "1e3", 1000),
    (BIGINT, "null", None),
    (INT, "-7", -7),
    (TINYINT, "127", 127),
    (BOOLEAN, "true", True),
    (BOOLEAN, '"FALSE"', False),
    (DOUBLE, "1", 1.0),
    (DOUBLE, '"1e-7"', 1e-7),
    (FLOAT, "0.5", 0.5),
    (decimal(5, 2), "1.5", Decimal("1.50")),
    (decimal(5, 2), "1.005", Decimal("1.01")),
    (decimal(38, 20), "0.12345678901234567891", Decimal("0.12345678901234567891")),
    (
        decimal(38, 0),
        "12345678901234567890123456789012345678",
        Decimal("12345678901234567890123456789012345678"),
    ),
    (STRING, '"é\\u0041"', "éA"),
    (STRING, "12", "12"),
    (STRING, "true", "true"),
    (STRING, '{"a": [1, 2]}', '{"a":[1,2]}'),
    (varchar(3), '"abc"', "abc"),
    (BYTES, '"aGk="', b"hi"),
    (DATE, '"2024-02-29"', date(2024, 2, 29)),
    (time(0), '"10:11:12.9"', clock_time(10, 11, 12)),
    (time(3), '"10:11:12.1239"', clock_time(10, 11, 12, 123000)),
    (timestamp(3), '"2024-01-02 03:04:05.1239"', datetime(2024, 1, 2, 3, 4, 5, 123000)),
    (timestamp(0), '"2024-01-02 03:04:05.9"', datetime(2024, 1, 2, 3, 4, 5)),
    (timestamp(6), '"1969-12-31 23:59:59.123456"', datetime(1969, 12, 31, 23, 59, 59, 123456)),
    (timestamp_ltz(3), '"2024-01-02 03:04:05.1Z"', datetime(2024, 1, 2, 3, 4, 5, 100000, UTC)),
    (array(INT), '[1, null, "3"]', [1, None, 3]),
    (array(INT), "[]", []),
    (array(array(STRING)), '[["a"], null, []]', [["a"], None, []]),
    (
        array(row({"x": INT, "y": STRING})),
        '[{"x": 1}, null, {"y": "q", "z": 0}]',
        [{"x": 1, "y": None}, None, {"x": None, "y": "q"}],
    ),
    (map_of(STRING, INT), '{"a": 1, "b": null}', [("a", 1), ("b", None)]),
    (map_of(STRING, row({"x": INT})), '{"a": {"x": 1}}', [("a", {"x": 1})]),
    (multiset(STRING), '{"a": 2}', [("a", 2)]),
    (row({"p": INT, "q": row({"r": STRING})}), '{"p": 1, "q": {"r": "s"}}', {"p": 1, "q": {"r": "s"}}),
    (row({"p": INT, "q": row({"r": STRING})}), "{}", {"p": None, "q": None}),
    (row({"p": INT, "q": row({"r": STRING})}), "null", None),
    (
        row({"a/b~c": array(timestamp(3))}),
        '{"a/b~c": ["2024-01-01 00:00:00"]}',
        {"a/b~c": [datetime(2024, 1, 1)]},
    ),
]

BAD: list[tuple[DataType, str, str]] = [
    (BIGINT, "12.5", 'column "v" of type BIGINT cannot hold 12.5'),
    (INT, '"abc"', 'column "v" of type INT cannot hold "abc"'),
    (INT, '""', 'column "v" of type INT cannot hold ""'),
    (INT, '"0x10"', 'column "v" of type INT cannot hold "0x10"'),
    (INT, '"1_000"', 'column "v" of type INT cannot hold "1_000"'),
    (INT, "2147483648", 'column "v" of type INT cannot hold 2147483648'),
    (BIGINT, "9223372036854775808", 'column "v" of type BIGINT cannot hold 9223372036854775808'),
    (SMALLINT, "true", 'column "v" of type SMALLINT cannot hold true'),
    (BIGINT, '{"a": 1}', 'column "v" of type BIGINT cannot hold {"a":1}'),
    (BIGINT, "[1]", 'column "v" of type BIGINT cannot hold [1]'),
    (BOOLEAN, '"yes"', 'column "v" of type BOOLEAN cannot hold "yes"'),
    (BOOLEAN, "1", 'column "v" of type BOOLEAN cannot hold 1'),
    (DOUBLE, '"x"', 'column "v" of type DOUBLE cannot hold "x"'),
    (DOUBLE, "1e400", 'column "v" of type DOUBLE cannot hold 1e400'),
    (FLOAT, "1e39", 'column "v" of type FLOAT cannot hold 1e39'),
    (decimal(5, 2), "1000", 'column "v" of type DECIMAL(5, 2) cannot hold 1000'),
    (decimal(5, 2), '"1_0"', 'column "v" of type DECIMAL(5, 2) cannot hold "1_0"'),
    (varchar(3), '"abcd"', 'column "v" of type VARCHAR(3) cannot hold "abcd"'),
    (BYTES, '"a!"', 'column "v" of type BYTES cannot hold "a!", only base64'),
    (DATE, '"2024-02-30"', 'column "v" of type DATE cannot hold "2024-02-30", only such as 2020-12-30'),
    (DATE, '"epoch"', 'column "v" of type DATE cannot hold "epoch", only such as 2020-12-30'),
    (time(0), '"25:00:00"', 'column "v" of type TIME(0) cannot hold "25:00:00", only such as 12:13:14'),
    (
        timestamp(3),
        '"2024-01-02"',
        'column "v" of type TIMESTAMP(3) cannot hold "2024-01-02", only such as 2020-12-30 12:13:14.123',
    ),
    (
        timestamp(3),
        '"2024-01-02 03:04:05+02:00"',
        'column "v" of type TIMESTAMP(3) cannot hold '
        '"2024-01-02 03:04:05+02:00", only such as 2020-12-30 12:13:14.123',
    ),
    (
        timestamp(3),
        "1704067200000",
        'column "v" of type TIMESTAMP(3) cannot hold 1704067200000, only such as 2020-12-30 12:13:14.123',
    ),
    (
        timestamp_ltz(3),
        '"2024-01-02 03:04:05"',
        'column "v" of type TIMESTAMP_LTZ(3) cannot hold '
        '"2024-01-02 03:04:05", only such as 2020-12-30 12:13:14.123Z',
    ),
    (array(INT), "[1, 2.5]", 'column "v[]" of type INT cannot hold 2.5'),
    (array(INT), '"[1]"', 'column "v" of type ARRAY<INT> cannot hold "[1]"'),
    (map_of(STRING, INT), '{"a": "x"}', 'column "v[]" of type INT cannot hold x'),
    (
        map_of(STRING, INT),
        '{"a": 1, "a": 2}',
        'column "v" of type MAP<STRING, INT> cannot hold {"a":1,"a":2}',
    ),
    (row({"p": INT}), "5", 'column "v" of type ROW<`p` INT> cannot hold 5'),
    (row({"p": row({"q": INT})}), '{"p": {"q": "x"}}', 'column "v.p.q" of type INT cannot hold "x"'),
    (row({"p": INT.not_null(), "q": INT}), '{"q": 1}', 'column "v.p" is NOT NULL and got NULL'),
    (array(INT.not_null()), "[null]", 'column "v[]" is NOT NULL and got NULL'),
    (BIGINT.not_null(), "null", 'column "v" is NOT NULL and got NULL'),
]


@pytest.mark.parametrize(("kind", "text", "value"), GOOD)
def test_a_value_is_read(kind: DataType, text: str, value: Any) -> None:
    assert decoded(json, columns(v=kind), {}, f'{{"v": {text}}}'.encode()) == [(value,)]


@pytest.mark.parametrize(("kind", "text", "reason"), BAD)
def test_a_misfit_is_an_error_row_and_its_neighbours_are_not(kind: DataType, text: str, reason: str) -> None:
    good = b'{"v": null}' if kind.nullable else b'{"v": 1}'
    found = decoded(json, columns(v=kind), {}, good, f'{{"v": {text}}}'.encode(), good)
    assert found[1] == reason
    assert found[0] == found[2] == ((None,) if kind.nullable else (1,))


@pytest.mark.parametrize(
    ("kind", "text", "reason"), [b for b in BAD if b[0].nullable and "NOT NULL" not in b[2]]
)
def test_ignoring_parse_errors_makes_a_misfit_null(kind: DataType, text: str, reason: str) -> None:
    [found] = decoded(json, columns(v=kind, w=INT), LENIENT, f'{{"v": {text}, "w": 7}}'.encode())
    assert found[1] == 7
    if kind.root in ("ARRAY", "ROW", "MAP") and "cannot hold" in reason and '"v"' not in reason:
        assert found[0] is not None  # only what is inside is NULL
    else:
        assert found[0] is None


def test_a_record_that_is_no_object() -> None:
    found = decoded(
        json,
        columns(v=INT),
        {},
        b'{"v": 1}',
        b'{"v": ',
        b"",
        b"[1]",
        b"12",
        b'"x"',
        b'{"v":"\xff"}',
        b' {"v": 2}',
        None,
        b"{}",
        b'{"v": 3} x',
    )
    assert found == [
        (1,),
        'the record is not JSON: {"v": ',
        "the record is not JSON: ",
        "the record is JSON of type array, not an object",
        "the record is JSON of type ubigint, not an object",
        "the record is JSON of type varchar, not an object",
        "the record is not JSON: its bytes are not UTF-8",
        (2,),
        None,
        (None,),
        'the record is not JSON: {"v": 3} x',
    ]


def test_ignoring_parse_errors_skips_what_is_no_object() -> None:
    found = decoded(json, columns(v=INT), LENIENT, b'{"v": 1}', b'{"v": ', b"[1]", b'{"v": 2}', b"\xff", None)
    assert found == [(1,), None, None, (2,), None, None]


def test_no_column_in_use_still_tells_bad_records() -> None:
    assert decoded(json, columns(), {}, b"{}", b"{", b"[]", b'{"a": 1}') == [
        (),
        "the record is not JSON: {",
        "the record is JSON of type array, not an object",
        (),
    ]


def test_a_missing_field_is_null_or_an_error() -> None:
    schema = columns(v=INT, r=row({"p": INT, "q": INT}))
    records = (
        b'{"v": 1, "r": {"p": 1, "q": 2}}',
        b'{"v": null, "r": null}',
        b'{"v": 1}',
        b'{"v": 1, "r": {"p": 1}}',
    )
    assert decoded(json, schema, {}, *records)[2:] == [(1, None), (1, {"p": 1, "q": None})]
    assert decoded(json, schema, {"fail-on-missing-field": "true"}, *records) == [
        (1, {"p": 1, "q": 2}),
        (None, None),
        'field "r" is missing',
        'field "r.q" is missing',
    ]


def test_iso_timestamps() -> None:
    schema = columns(t=timestamp(3), l=timestamp_ltz(3))
    assert decoded(
        json,
        schema,
        ISO,
        b'{"t":"2024-01-02T03:04:05.678","l":"2024-01-02T03:04:05Z"}',
        b'{"t":"2024-01-02T03:04"}',
        b'{"t":"2024-01-02 03:04:05"}',
    ) == [
        (datetime(2024, 1, 2, 3, 4, 5, 678000), datetime(2024, 1, 2, 3, 4, 5, 0, UTC)),
        (datetime(2024, 1, 2, 3, 4), None),
        'column "t" of type TIMESTAMP(3) cannot hold "2024-01-02 03:04:05", '
        "only such as 2020-12-30T12:13:14.123",
    ]


def test_names_that_are_hard_to_quote() -> None:
    schema = columns(
        **{'a"b': INT, "c.d": INT, "value": INT, "key": STRING, "it's": INT, "$.x": INT, "a*": INT}
    )
    record = b'{"a\\"b": 1, "c.d": 2, "value": 3, "key": "k", "it\'s": 4, "$.x": 5, "a*": 6}'
    assert decoded(json, schema, {}, record) == [(1, 2, 3, "k", 4, 5, 6)]


def test_long_values_are_cut_in_reasons() -> None:
    [reason] = decoded(json, columns(v=INT), {}, b'{"v": "' + b"x" * 500 + b'"}')
    assert reason == 'column "v" of type INT cannot hold "' + "x" * 79 + "…"


def test_options_that_exclude_each_other() -> None:
    with pytest.raises(OptionError, match="exclude each other"):
        decoded(json, columns(v=INT), {**LENIENT, "fail-on-missing-field": "true"}, b"{}")


def test_types_without_a_form() -> None:
    with pytest.raises(SQLTypeError, match='format "json" has no form for column "v" of type MAP<INT, INT>'):
        decoded(json, columns(v=map_of(INT, INT)), {}, b"{}")
    with pytest.raises(SQLTypeError, match='format "json" has no form for column "v"'):
        encoded(json, columns(v=map_of(INT, INT)), {}, ([],))


WRITTEN: list[tuple[DataType, Any, str]] = [
    (INT, 5, "5"),
    (BOOLEAN, True, "true"),
    (DOUBLE, 1.0, "1.0"),
    (DOUBLE, 1e7, "1.0E7"),
    (DOUBLE, -1.5e-7, "-1.5E-7"),
    (DOUBLE, 123456789.5, "1.234567895E8"),
    (DOUBLE, 0.00012, "1.2E-4"),
    (DOUBLE, 1e22, "1.0E22"),
    (DOUBLE, float("nan"), '"NaN"'),
    (DOUBLE, float("-inf"), '"-Infinity"'),
    (FLOAT, 0.1, "0.1"),
    (decimal(10, 2), Decimal("12.50"), "12.50"),
    (decimal(10, 8), Decimal("0.00000027"), "2.7E-7"),
    (decimal(10, 8), Decimal("0"), "0E-8"),
    (STRING, 'a"\\\n\u2028é', '"a\\"\\\\\\n\u2028é"'),
    (BYTES, b"hi", '"aGk="'),
    (DATE, date(2024, 1, 2), '"2024-01-02"'),
    (time(3), clock_time(1, 2, 3, 120000), '"01:02:03.12"'),
    (timestamp(3), datetime(2024, 1, 2, 3, 4, 5), '"2024-01-02 03:04:05"'),
    (timestamp_ltz(3), datetime(2024, 1, 2, 3, 4, 5, 120000, UTC), '"2024-01-02 03:04:05.12Z"'),
    (
        array(row({"x": INT, "y": STRING})),
        [{"x": 1, "y": "q"}, None, {"x": None, "y": None}],
        '[{"x":1,"y":"q"},null,{"x":null,"y":null}]',
    ),
    (map_of(STRING, array(INT)), [("k", [1, None]), ("z", None)], '{"k":[1,null],"z":null}'),
    (row({"p": row({"q": INT})}), {"p": None}, '{"p":null}'),
    (STRING, None, "null"),
]


@pytest.mark.parametrize(("kind", "value", "text"), WRITTEN)
def test_a_value_is_written(kind: DataType, value: Any, text: str) -> None:
    assert encoded(json, columns(v=kind), {}, (value,)) == [f'{{"v":{text}}}'.encode()]


def test_writing_options() -> None:
    schema = columns(t=timestamp(3), c=decimal(10, 8), n=INT, r=row({"x": INT, "y": INT}))
    given = {**ISO, "encode.ignore-null-fields": "true", "encode.decimal-as-plain-number": "true"}
    assert encoded(
        json,
        schema,
        given,
        (datetime(2024, 1, 2), Decimal("0.00000027"), None, {"x": None, "y": 1}),
        (None, None, None, None),
    ) == [b'{"t":"2024-01-02T00:00:00","c":0.00000027,"r":{"y":1}}', b"{}"]


def test_what_is_written_is_read_again() -> None:
    for kind, value, _ in WRITTEN:
        if kind != FLOAT and value == value:
            [record] = encoded(json, columns(v=kind), {}, (value,))
            assert decoded(json, columns(v=kind), {}, record) == [(value,)]

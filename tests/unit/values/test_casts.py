"""CAST and TRY_CAST over columns, from every family to every other that Flink allows."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal

import pytest

from streamsql.core.types import BIGINT, BOOLEAN, DATE, INT, STRING, array, char, decimal, timestamp, timestamp_ltz
from streamsql.errors import DataError, SQLTypeError
from streamsql.state.database import Database
from streamsql.values.binder import cast, castable, implicitly_castable
from streamsql.values.typed import Typed
from tests.unit.values.expressions import value_of, values_of

DAY = datetime.date(2024, 2, 29)
AT = datetime.datetime(2024, 2, 29, 12, 34, 56, 789000)
D = Decimal

CASES: list[tuple[str, str, Sequence[object], list[object]]] = [
    ("STRING", "INT", ["12", " -12.7 ", "+1", None], [12, -12, 1, None]),
    ("STRING", "DOUBLE", ["1.5", "1.5d", "Infinity", None], [1.5, 1.5, float("inf"), None]),
    ("STRING", "DECIMAL(5, 2)", ["123.455", "1e2", None], [D("123.46"), D("100.00"), None]),
    ("STRING", "BOOLEAN", ["T", "no", None], [True, False, None]),
    ("STRING", "DATE", ["2024-2-29", "2024-02", None], [DAY, datetime.date(2024, 2, 1), None]),
    ("STRING", "TIME(0)", ["12:34", "12:34:56.9", None], [datetime.time(12, 34), datetime.time(12, 34, 56), None]),
    ("STRING", "TIMESTAMP(3)", ["2024-02-29 12:34:56.7899", "2024-02-30", None],
     [AT, datetime.datetime(2024, 2, 29), None]),
    ("STRING", "CHAR(3)", ["a", "abcd", None], ["a  ", "abc", None]),
    ("STRING", "BINARY(2)", ["a", "abc", None], [b"a\0", b"ab", None]),
    ("INT", "TINYINT", [300, -129, None], [44, 127, None]),
    ("INT", "DECIMAL(4, 1)", [300, 70000, None], [D("300.0"), None, None]),
    ("INT", "STRING", [1, -1, None], ["1", "-1", None]),
    ("INT", "BOOLEAN", [0, 2, None], [False, True, None]),
    ("DOUBLE", "INT", [1.9, 1e10, float("nan"), None], [1, 2**31 - 1, 0, None]),
    ("DOUBLE", "TINYINT", [1e10, -1.5, None], [-1, -1, None]),
    ("DOUBLE", "DECIMAL(5, 2)", [1.005, 1e10, None], [D("1.01"), None, None]),
    ("DOUBLE", "FLOAT", [1e39, 1.5, None], [float("inf"), 1.5, None]),
    ("DOUBLE", "STRING", [1.0, 1e7, 1.5e-5, 1e100, 123456789.25, None],
     ["1.0", "1.0E7", "1.5E-5", "1.0E100", "1.2345678925E8", None]),
    ("DECIMAL(12, 1)", "INT", [D("99999999999.9"), D("-1.9"), None], [1215752191, -1, None]),
    ("DECIMAL(6, 3)", "DECIMAL(5, 2)", [D("123.455"), D("999.995"), None], [D("123.46"), None, None]),
    ("BOOLEAN", "STRING", [True, None], ["TRUE", None]),
    ("BOOLEAN", "DECIMAL(5, 2)", [True, None], [D("1.00"), None]),
    ("BYTES", "STRING", [b"abc", b"\xff", None], ["abc", "\N{REPLACEMENT CHARACTER}", None]),
    ("DATE", "TIMESTAMP(3)", [DAY, None], [datetime.datetime(2024, 2, 29), None]),
    ("TIMESTAMP(3)", "STRING", [AT, None], ["2024-02-29 12:34:56.789", None]),
    ("TIMESTAMP(3)", "TIMESTAMP(0)", [AT, datetime.datetime(1969, 12, 31, 23, 59, 59, 900000), None],
     [AT.replace(microsecond=0), datetime.datetime(1969, 12, 31, 23, 59, 59), None]),
    ("TIMESTAMP(3)", "DATE", [AT, None], [DAY, None]),
    ("TIMESTAMP(3)", "TIME(3)", [AT, None], [AT.time(), None]),
    ("ARRAY<INT>", "STRING", [[1, None], [], None], ["[1, NULL]", "[]", None]),
    ("ARRAY<STRING>", "ARRAY<INT>", [["1", None], None], [[1, None], None]),
    ("MAP<STRING, INT>", "STRING", [[("a", 1)], None], ["{a=1}", None]),
    ("ROW<a INT, b STRING>", "STRING", [{"a": 1, "b": None}, None], ["(1, NULL)", None]),
    ("ROW<a INT, b STRING>", "ROW<c BIGINT, d INT>", [{"a": 1, "b": "2"}, None], [{"c": 1, "d": 2}, None]),
]


@pytest.mark.parametrize(("source", "target", "given", "expected"), CASES, ids=[f"{c[0]} to {c[1]}" for c in CASES])
@pytest.mark.parametrize("verb", ["CAST", "TRY_CAST"])
def test_over_columns(opened: Database, verb: str, source: str, target: str, given: Sequence[object],
                      expected: list[object]) -> None:
    assert values_of(opened, f"{verb}(a AS {target})", {"a": (source, given)}) == expected


@pytest.mark.parametrize(("target", "text"), [
    ("INT", "1e2"), ("INT", "1_000"), ("INT", "0x1F"), ("INT", ""), ("TINYINT", "128"), ("DOUBLE", "inf"),
    ("DECIMAL(5, 2)", "1000"), ("BOOLEAN", " true "), ("DATE", "2023-02-29"), ("TIME", "24:00:00"),
    ("TIMESTAMP(3)", "2024-02-29T12:34:56"), ("ARRAY<INT>", None),
])
def test_texts_that_are_none(opened: Database, target: str, text: str | None) -> None:
    columns = {"a": ("STRING", [text]) if text is not None else ("ARRAY<STRING>", [["1", "x"]])}
    assert values_of(opened, f"TRY_CAST(a AS {target})", columns)[-1] is None
    with pytest.raises(DataError, match=f'cannot cast "{"x" if text is None else text}" to '):
        values_of(opened, f"CAST(a AS {target})", columns)


def test_the_session_zone(opened: Database) -> None:
    columns = {"a": ("TIMESTAMP(3)", [datetime.datetime(2024, 11, 3, 1, 30), None])}
    found = values_of(opened, "CAST(a AS TIMESTAMP_LTZ(3))", columns, zone="America/New_York")
    assert found == [datetime.datetime(2024, 11, 3, 5, 30, tzinfo=datetime.UTC), None]
    text = "CAST(CAST('2024-07-01 00:00:00' AS TIMESTAMP_LTZ(3)) AS STRING)"
    assert value_of(opened, text, zone="Asia/Kolkata") == "2024-07-01 00:00:00.000"


@pytest.mark.parametrize(("text", "place"), [
    ("CAST(1 AS DATE)", 7), ("CAST(DATE '2024-01-01' AS INT)", 7), ("CAST(1 AS TIMESTAMP(3))", 7),
    ("1 + CAST(ARRAY[1] AS INT)", 11), ("CAST(ROW(1) AS ROW<a INT, b INT>)", 7),
])
def test_pairs_that_have_no_cast(opened: Database, text: str, place: int) -> None:
    with pytest.raises(SQLTypeError, match="cannot cast") as refused:
        value_of(opened, text)
    assert refused.value.span is not None
    assert refused.value.span.start == place


def test_implicit_casts_are_fewer() -> None:
    assert implicitly_castable(INT, BIGINT)
    assert not implicitly_castable(BIGINT, INT)
    assert castable(BIGINT, INT)
    assert implicitly_castable(BIGINT, decimal(5, 2))
    assert implicitly_castable(timestamp(3), timestamp_ltz(3))
    assert not implicitly_castable(STRING, DATE)
    assert not implicitly_castable(BOOLEAN, INT)
    assert implicitly_castable(array(INT), array(BIGINT))
    with pytest.raises(SQLTypeError, match=r"BIGINT does not become INT by itself"):
        cast(Typed('"a"', BIGINT), INT, implicit=True)


def test_a_coerced_text_is_neither_padded_nor_cut() -> None:
    assert cast(Typed('"a"', STRING), char(3), implicit=True).sql == '"a"'

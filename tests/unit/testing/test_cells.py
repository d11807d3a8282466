"""Cells: what is printed is read back as the same value, and what is no value is said."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as some

from streamsql.core import types
from streamsql.core.types import DataType
from streamsql.testing import cells


@given(some.text())
def test_text_comes_back(text: str) -> None:
    cell = cells.show(text, types.STRING)
    assert cells.split(f"{cell} | x  # a comment") == [cell, "x"]
    assert cells.parse(cell, types.STRING) == text


@given(some.integers(-(2**62), 2**62))
def test_moments_come_back(ns: int) -> None:
    assert cells.moment(cells.shown_moment(ns)) == ns


@given(some.binary(max_size=20))
def test_bytes_come_back(value: bytes) -> None:
    cell = cells.show(value, types.BYTES)
    assert cells.parse(cell, types.BYTES) == value


@pytest.mark.parametrize(("type_", "cell", "value"), [
    (types.BOOLEAN, "true", True),
    (types.INT, "-5", -5),
    (types.DOUBLE, "1.5", 1.5),
    (types.decimal(5, 2), "1.50", Decimal("1.50")),
    (types.DATE, "2026-02-03", dt.date(2026, 2, 3)),
    (types.time(3), "01:02:03.500000", dt.time(1, 2, 3, 500000)),
    (types.array(types.INT), "[1, null]", [1, None]),
    (types.map_of(types.STRING, types.INT), '{"a": 1}', [("a", 1)]),
    (types.row({"x": types.INT, "y": types.STRING}), '{"x": 1, "y": "b"}', {"x": 1, "y": "b"}),
    (types.STRING, '""', ""),
    (types.STRING, '"NULL"', "NULL"),
    (types.STRING, "NULL", None),
])
def test_values_by_type(type_: DataType, cell: str, value: object) -> None:
    assert cells.parse(cell, type_) == value
    assert cells.show(value, type_) == cell


@pytest.mark.parametrize(("type_", "cell", "shown"), [
    (types.timestamp(3), "2026-01-01 12:00:10", "12:00:10"),
    (types.timestamp(3), "12:00", "12:00:00"),
    (types.timestamp(3), "2026-01-02", "2026-01-02 00:00:00"),
    (types.timestamp(6), "12:00:00.000001", "12:00:00.000001"),
    (types.timestamp(9), "12:00:00.000000001", "12:00:00.000000001"),
    (types.timestamp_ltz(3), "12:00:00.5", "12:00:00.500Z"),
])
def test_one_way_of_printing_a_time(type_: DataType, cell: str, shown: str) -> None:
    column = pa.chunked_array([cells.column([cell], type_)])
    assert cells.shown_column(column, type_) == [shown]


@pytest.mark.parametrize(("type_", "cell"), [
    (types.INT, "x"), (types.BOOLEAN, "yes"), (types.timestamp(3), "noon"), (types.array(types.INT), "1, 2"),
    (types.decimal(5, 2), "abc"), (types.DATE, "12:00"),
])
def test_what_is_no_value_is_refused(type_: DataType, cell: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        cells.parse(cell, type_)

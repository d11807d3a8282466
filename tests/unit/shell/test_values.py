"""How single values are shown, in tables and in JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from streamsql.shell.values import interval_text, json_formatter, printable, text_formatter

NOON = datetime(2026, 1, 31, 12, 0, 0, 123456)


@pytest.mark.parametrize(("type_text", "value", "text"), [
    ("STRING", "ann", "ann"),
    ("INT NOT NULL", 42, "42"),
    ("BOOLEAN", True, "TRUE"),
    ("DOUBLE", 0.1, "0.1"),
    ("DOUBLE", float("nan"), "NaN"),
    ("DOUBLE", float("-inf"), "-Infinity"),
    ("DECIMAL(10, 2)", Decimal("1E+3"), "1000"),
    ("DECIMAL(10, 2)", Decimal("12.50"), "12.50"),
    ("BYTES", b"\x0a\xff", "x'0aff'"),
    ("DATE", date(2026, 1, 31), "2026-01-31"),
    ("TIME(0)", time(1, 2, 3), "01:02:03"),
    ("TIME(3)", time(1, 2, 3, 4000), "01:02:03.004"),
    ("TIMESTAMP(0)", NOON, "2026-01-31 12:00:00"),
    ("TIMESTAMP(3)", NOON, "2026-01-31 12:00:00.123"),
    ("TIMESTAMP(3) *ROWTIME*", NOON, "2026-01-31 12:00:00.123"),
    ("TIMESTAMP(9) NOT NULL", NOON, "2026-01-31 12:00:00.123456000"),
    ("TIMESTAMP(3)", datetime(1, 1, 1), "0001-01-01 00:00:00.000"),
    ("TIMESTAMP_LTZ(3)", NOON.replace(tzinfo=UTC), "2026-01-31 12:00:00.123Z"),
    ("INTERVAL DAY TO SECOND", timedelta(days=1, hours=2, milliseconds=7), "+1 02:00:00.007"),
    ("INTERVAL YEAR TO MONTH", 14, "+1-02"),
    ("ARRAY<INT>", [1, None, 3], "[1, null, 3]"),
    ("MAP<STRING, INT>", [("a", 1), ("b", None)], '{"a": 1, "b": null}'),
    ("MAP<STRING, INT>", {"a": 1}, '{"a": 1}'),
    ("ROW<`a` INT, `b` STRING>", {"a": 1, "b": 'x"y'}, '{"a": 1, "b": "x\\"y"}'),
])
def test_text_of_a_value(type_text: str, value: Any, text: str) -> None:
    assert text_formatter(type_text)(value) == text


def test_an_instant_is_shown_in_the_session_zone_with_its_offset() -> None:
    form = text_formatter("TIMESTAMP_LTZ(3)", ZoneInfo("America/New_York"))
    assert form(NOON.replace(tzinfo=UTC)) == "2026-01-31 07:00:00.123-05:00"


@pytest.mark.parametrize(("type_text", "value", "text"), [
    ("STRING", 'say "hi"\n', '"say \\"hi\\"\\n"'),
    ("STRING", "größe", '"größe"'),
    ("BOOLEAN", False, "false"),
    ("DECIMAL(38, 18)", Decimal("12345678901234567890.123456789012345678"),
     "12345678901234567890.123456789012345678"),
    ("DOUBLE", float("nan"), '"NaN"'),
    ("DOUBLE", float("inf"), '"Infinity"'),
    ("BYTES", b"abc", '"YWJj"'),
    ("DATE", date(2026, 1, 31), '"2026-01-31"'),
    ("TIME(3)", time(1, 2, 3), '"01:02:03.000"'),
    ("TIMESTAMP(3)", NOON, '"2026-01-31T12:00:00.123"'),
    ("TIMESTAMP_LTZ(0)", NOON.replace(tzinfo=UTC), '"2026-01-31T12:00:00Z"'),
    ("INTERVAL YEAR TO MONTH", -1, '"-0-01"'),
    ("ARRAY<TIMESTAMP(3)>", [NOON], '["2026-01-31T12:00:00.123456"]'),
    ("MAP<INT, STRING>", [(1, "a")], '{"1": "a"}'),
])
def test_json_of_a_value(type_text: str, value: Any, text: str) -> None:
    assert json_formatter(type_text)(value) == text
    json.loads(text)


def test_a_zero_interval_keeps_the_form_of_its_type() -> None:
    assert interval_text(0, months=True) == "+0-00"
    assert interval_text(timedelta(0)) == "+0 00:00:00.000"
    assert interval_text(timedelta(milliseconds=-1500)) == "-0 00:00:01.500"


def test_control_characters_cannot_steer_a_terminal() -> None:
    assert printable("a\nb\x1b[31mc") == "a\\nb\\x1b[31mc"

"""How one value is shown: as text in a table or in CSV, as JSON everywhere else.

Values arrive as the Python API gives them (`datetime`, `Decimal`, `dict` for ROW, a list of pairs
for MAP …). NULL is not shown here: each printer has its own sign for it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any

Formatter = Callable[[Any], str]
"""From a value that is not None to its text."""

_FRACTION = re.compile(r"(?:TIMESTAMP|TIMESTAMP_LTZ|TIME)\((\d)\)")
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_CONTROL |= {10: "\\n", 13: "\\r", 9: "\\t"}


def digits_of(type_text: str) -> int:
    """The fraction digits that a time type declares, as 3 in `TIMESTAMP(3)`; 0 when it has none."""
    found = _FRACTION.match(type_text)
    return int(found[1]) if found else 0


def text_formatter(type_text: str, zone: tzinfo = UTC) -> Formatter:
    """How the values of a column of this type read in a table: `2026-01-31 12:00:00.000`, `x'0aff'`.

    TIMESTAMP_LTZ is shown in `zone` with its offset. Nested values are JSON.
    """
    root = re.split(r"[(<\s]", type_text, maxsplit=1)[0]
    digits = digits_of(type_text)
    match root:
        case "TIMESTAMP" | "TIMESTAMP_LTZ":
            return lambda value: _timestamp(value, " ", digits, zone)
        case "TIME":
            return lambda value: _time(value, digits)
        case "INTERVAL":
            months = "DAY" not in type_text and "SECOND" not in type_text and (
                "YEAR" in type_text or "MONTH" in type_text)
            return lambda value: interval_text(value, months=months)
        case "ARRAY" | "MAP" | "MULTISET" | "ROW":
            return lambda value: json_text(value, zone)
        case _:
            return lambda value: scalar_text(value, zone)


def json_formatter(type_text: str, zone: tzinfo = UTC) -> Formatter:
    """How the values of a column of this type read in JSON; ISO 8601 with as many digits as declared."""
    digits = digits_of(type_text)
    if type_text.startswith("TIMESTAMP"):
        return lambda value: f'"{_timestamp(value, "T", digits, zone)}"'
    if type_text.startswith("TIME"):
        return lambda value: f'"{_time(value, digits)}"'
    if type_text.startswith("INTERVAL"):
        in_text = text_formatter(type_text, zone)
        return lambda value: f'"{in_text(value)}"'
    return lambda value: json_text(value, zone)


def scalar_text(value: Any, zone: tzinfo = UTC) -> str:
    """A value in words of SQL, when its type says no more than the value itself."""
    match value:
        case None:
            return "NULL"
        case str():
            return value
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return _float_text(value)
        case Decimal():
            return format(value, "f")
        case bytes() | bytearray() | memoryview():
            return f"x'{bytes(value).hex()}'"
        case datetime():
            return _timestamp(value, " ", 6 if value.microsecond else 0, zone)
        case date() | time():
            return value.isoformat()
        case timedelta():
            return interval_text(value)
        case dict() | list() | tuple():
            return json_text(value, zone)
        case _:
            return str(value)


def json_text(value: Any, zone: tzinfo = UTC) -> str:
    """A value as JSON: numbers keep their digits, bytes are base64, a map is an object."""
    match value:
        case None:
            return "null"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            shown = _float_text(value)
            return f'"{shown}"' if shown[-1] in "yN" else shown
        case Decimal():
            return format(value, "f")
        case bytes() | bytearray() | memoryview():
            return f'"{base64.b64encode(bytes(value)).decode()}"'
        case datetime():
            return f'"{_timestamp(value, "T", 6 if value.microsecond else 0, zone)}"'
        case dict():
            return _object(value.items(), zone)
        case list() if value and all(type(item) is tuple and len(item) == 2 for item in value):
            return _object(value, zone)
        case list() | set():
            return "[" + ", ".join(json_text(item, zone) for item in value) + "]"
        case tuple() if not hasattr(value, "nanoseconds"):
            return "[" + ", ".join(json_text(item, zone) for item in value) + "]"
        case tuple() | timedelta():
            return f'"{interval_text(value)}"'
        case _:
            return json.dumps(scalar_text(value, zone), ensure_ascii=False)


def interval_text(value: Any, *, months: bool = False) -> str:
    """An interval as Flink prints it: `+1-02` (years, months) or `+3 04:05:06.007` (days, time).

    Takes a timedelta or Arrow's (months, days, nanoseconds); `months` chooses the form of a zero.
    """
    if isinstance(value, timedelta):
        total_ns = (value.days * 86_400 + value.seconds) * 10**9 + value.microseconds * 1000
        count_months = 0
    elif isinstance(value, int):
        count_months, total_ns = value, 0
    else:
        count_months = value.months
        total_ns = value.days * 86_400 * 10**9 + value.nanoseconds
    sign = "-" if total_ns < 0 or count_months < 0 else "+"
    if months or (count_months and not total_ns):
        years, rest = divmod(abs(count_months), 12)
        return f"{sign}{years}-{rest:02d}"
    seconds, fraction_ns = divmod(abs(total_ns), 10**9)
    days, seconds = divmod(seconds, 86_400)
    hours, minutes = divmod(seconds // 60, 60)
    return f"{sign}{days} {hours:02d}:{minutes:02d}:{seconds % 60:02d}.{fraction_ns // 10**6:03d}"


def printable(text: str) -> str:
    """`text` on one line and without control characters, so that data cannot steer a terminal."""
    return text if text.isprintable() else text.translate(_CONTROL)


def _object(items: Any, zone: tzinfo) -> str:
    pairs = (f"{json.dumps(scalar_text(key, zone), ensure_ascii=False)}: {json_text(value, zone)}"
             for key, value in items)
    return "{" + ", ".join(pairs) + "}"


def _float_text(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def _timestamp(value: Any, separator: str, digits: int, zone: tzinfo) -> str:
    if not isinstance(value, datetime):
        return str(value)
    suffix = ""
    if value.tzinfo is not None:
        value = value.astimezone(zone)
        offset = value.strftime("%z")
        suffix = "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:5]}"
    nanoseconds = value.microsecond * 1000 + getattr(value, "nanosecond", 0)
    head = f"{value.year:04d}-{value.month:02d}-{value.day:02d}{separator}"
    clock = f"{value.hour:02d}:{value.minute:02d}:{value.second:02d}"
    return head + clock + _fraction(nanoseconds, digits) + suffix


def _time(value: Any, digits: int) -> str:
    if not isinstance(value, time):
        return str(value)
    clock = f"{value.hour:02d}:{value.minute:02d}:{value.second:02d}"
    return clock + _fraction(value.microsecond * 1000, digits)


def _fraction(nanoseconds: int, digits: int) -> str:
    return f".{nanoseconds:09d}"[:digits + 1] if digits else ""

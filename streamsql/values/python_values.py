"""Values of the SQL types that Arrow has no Python of its own for, on their way to a user's function and back.

Intervals are `timedelta` and a number of months, a MULTISET is a `Counter`, a VARIANT what `json.loads` gives, a
BITMAP a set. What a type does not hold is refused: ValueError, TypeError.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Set
from datetime import timedelta
from typing import Any

import pyarrow as pa

from streamsql.values.json_path import rewritten

Convert = Callable[[Any], Any]
Each = Callable[[list[Any]], list[Any]]

_DAY_MS = 86_400_000
_MEMBERS = range(2**32)
_COUNTS = range(2**31)


def read_duration(value: pa.MonthDayNano) -> timedelta:
    """DuckDB takes a month of a duration for 30 days."""
    return timedelta(days=30 * value.months + value.days, microseconds=value.nanoseconds // 1000)


def write_duration(value: timedelta) -> pa.MonthDayNano:
    """Whole milliseconds, as Flink's: days and the rest of one sign."""
    if not isinstance(value, timedelta):
        raise TypeError("an INTERVAL DAY TO SECOND is a timedelta")
    total_ms = abs(value) // timedelta(milliseconds=1)
    sign = -1 if value < timedelta() else 1
    days, rest_ms = divmod(total_ms, _DAY_MS)
    return pa.MonthDayNano([0, sign * days, sign * rest_ms * 1_000_000])


def read_months(value: pa.MonthDayNano) -> int:
    return int(value.months)


def write_months(value: int) -> pa.MonthDayNano:
    if not isinstance(value, int):
        raise TypeError("an INTERVAL YEAR TO MONTH is a number of months")
    return pa.MonthDayNano([value, 0, 0])


def write_counts(counts: Mapping[Any, int], each: Each) -> list[tuple[Any, int]]:
    """Of a Counter; what is there no times is not there."""
    if not isinstance(counts, Mapping):
        raise TypeError("a MULTISET is a Counter, or a dict of counts")
    there = {value: count for value, count in counts.items() if value is not None and count}
    if any(count not in _COUNTS for count in there.values()):
        raise ValueError("the count of a MULTISET is from 0 to 2147483647")
    return list(zip(each(list(there)), there.values(), strict=True))


def read_json(value: str) -> Any:
    return json.loads(value)


def write_json(value: Any) -> str:
    """As PARSE_JSON would make it."""
    return rewritten(json.dumps(value, ensure_ascii=False, allow_nan=False))


def write_members(value: Iterable[int]) -> list[int]:
    if not isinstance(value, Set):
        raise TypeError("a BITMAP is a set of numbers")
    if any(member not in _MEMBERS for member in value):
        raise ValueError("a member of a BITMAP is from 0 to 4294967295")
    return sorted(value)

"""Functions of dates and times: on constants, on columns with NULLs, in zones and on the days the clocks change."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator, Sequence
from datetime import date, time

import pytest

from streamsql.core.types import DATE, STRING, timestamp_ltz
from streamsql.errors import DataError, SQLTypeError
from streamsql.state.database import Database
from streamsql.values import java_parse
from streamsql.values.java_format import format_formatter, format_simple
from streamsql.values.java_time import format_sql
from streamsql.values.typed import Typed
from tests.unit.values import calls
from tests.unit.values.calls import Value, Word

YEAR, QUARTER, MONTH, WEEK, DAY = (Word(u) for u in ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY"))
HOUR, MINUTE, SECOND, MILLISECOND = (Word(u) for u in ("HOUR", "MINUTE", "SECOND", "MILLISECOND"))
NEW_YORK = "America/New_York"


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def utc(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with calls.database() as opened:
        yield opened


LEAP = at("2024-02-29 12:34:56.789")

CASES: list[tuple[str, Sequence[Value], Value]] = [
    ("EXTRACT", [Word("MILLENNIUM"), date(2000, 12, 31)], 2), ("EXTRACT", [Word("CENTURY"), date(2024, 1, 1)], 21),
    ("EXTRACT", [Word("DECADE"), LEAP], 202), ("EXTRACT", [WEEK, date(2021, 1, 3)], 53),
    ("EXTRACT", [Word("DOW"), date(2024, 3, 3)], 1), ("EXTRACT", [Word("ISODOW"), date(2024, 3, 3)], 7),
    ("EXTRACT", [Word("DOY"), date(2024, 12, 31)], 366), ("EXTRACT", [Word("ISOYEAR"), date(2024, 12, 30)], 2025),
    ("EXTRACT", [Word("EPOCH"), LEAP], 1709210096), ("EXTRACT", [Word("EPOCH"), date(1969, 12, 31)], -86400),
    ("EXTRACT", [MILLISECOND, LEAP], 789), ("EXTRACT", [Word("MICROSECOND"), LEAP], 789000),
    ("EXTRACT", [Word("NANOSECOND"), LEAP], 789000000), ("EXTRACT", [HOUR, time(12, 34, 56)], 12),
    ("YEAR", [LEAP], 2024), ("QUARTER", [LEAP], 1), ("MONTH", [LEAP], 2), ("WEEK", [LEAP], 9),
    ("DAYOFYEAR", [LEAP], 60),
    ("DAYOFMONTH", [LEAP], 29), ("DAYOFWEEK", [LEAP], 5), ("HOUR", [LEAP], 12), ("MINUTE", [LEAP], 34),
    ("SECOND", [LEAP], 56), ("HOUR", [date(2024, 2, 29)], 0),
    ("FLOOR", [LEAP, WEEK], at("2024-02-25")), ("FLOOR", [LEAP, MINUTE], at("2024-02-29 12:34:00")),
    ("FLOOR", [LEAP, DAY], at("2024-02-29")), ("FLOOR", [date(2024, 2, 29), QUARTER], date(2024, 1, 1)),
    ("FLOOR", [date(2024, 2, 29), HOUR], date(2024, 2, 29)), ("FLOOR", [time(12, 34, 56), HOUR], time(12)),
    ("FLOOR", [at("1969-12-31 23:59:59.001"), DAY], at("1969-12-31")), ("FLOOR", [date(2024, 2, 29), Word("CENTURY")],
     date(2001, 1, 1)), ("FLOOR", [1.5], 1.0), ("FLOOR", [7], 7),
    ("CEIL", [LEAP, SECOND], at("2024-02-29 12:34:57")), ("CEIL", [LEAP, WEEK], at("2024-03-03")),
    ("CEIL", [date(2024, 2, 29), DAY], date(2024, 3, 1)), ("CEIL", [date(2024, 2, 29), MONTH], date(2024, 3, 1)),
    ("CEIL", [date(2024, 4, 1), QUARTER], date(2024, 7, 1)), ("CEIL", [time(12, 34, 56), MINUTE], time(12, 35)),
    ("CEIL", [at("2024-01-01"), YEAR], at("2024-01-01")), ("CEILING", [1.2], 2.0),
    ("TIMESTAMPADD", [MONTH, 1, date(2024, 1, 31)], date(2024, 2, 29)),
    ("TIMESTAMPADD", [HOUR, -1, date(2024, 3, 31)], at("2024-03-30 23:00:00")),
    ("TIMESTAMPADD", [HOUR, 25, time(10)], time(11)),
    ("TIMESTAMPADD", [QUARTER, -1, LEAP], at("2023-11-29 12:34:56.789")),
    ("TIMESTAMPADD", [WEEK, 1, LEAP], at("2024-03-07 12:34:56.789")),
    ("TIMESTAMPDIFF", [MONTH, date(2024, 1, 31), date(2024, 2, 29)], 1),
    ("TIMESTAMPDIFF", [MONTH, at("2024-03-31 12:00"), at("2023-12-31 23:59:59.999")], -3),
    ("TIMESTAMPDIFF", [MONTH, at("2023-12-31 23:59:59.999"), at("2024-03-31 12:00")], 2),
    ("TIMESTAMPDIFF", [YEAR, date(2020, 2, 29), date(2021, 2, 28)], 1),
    ("TIMESTAMPDIFF", [DAY, at("2024-01-01 23:00"), at("2024-01-02 01:00")], 0),
    ("TIMESTAMPDIFF", [SECOND, at("2024-01-01 00:00:00.999"), at("2024-01-01 00:00:01")], 0),
    ("TIMESTAMPDIFF", [DAY, date(2024, 1, 1), at("2024-01-02 12:00")], 1),
    ("OVERLAPS", [time(9), time(9, 30), time(9, 30), time(9, 31)], True),
    ("OVERLAPS", [date(2024, 1, 31), date(2024, 1, 1), date(2024, 1, 15), date(2024, 1, 16)], True),
    ("OVERLAPS", [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)], False),
    ("DATE_FORMAT", [LEAP, "yyyy-MM-dd'T'HH:mm:ss.SSS"], "2024-02-29T12:34:56.789"),
    ("DATE_FORMAT", [LEAP, "EEEE d MMMM yy, h a"], "Thursday 29 February 24, 12 PM"),
    ("DATE_FORMAT", [at("2024-12-30"), "YYYY-ww e Q QQQ D k K"], "2025-01 2 4 Q4 365 24 0"),
    ("DATE_FORMAT", [LEAP, ""], ""), ("DATE_FORMAT", [LEAP, "%Y"], "%2024"),
    ("DATE_FORMAT", ["2024-02-29 12:34:56", "yyyy"],
     "2024"), ("DATE_FORMAT", ["x", "yyyy"], None),
     ("DATE_FORMAT", [LEAP, "SS SSSSSS n A"], "78 789000 789000000 45296789"),
    ("TO_DATE", ["2024-02-29"], date(2024, 2, 29)), ("TO_DATE", ["2023-02-29"], None), ("TO_DATE", ["abc"], None),
    ("TO_DATE", ["2024-2-9"], date(2024, 2, 9)), ("TO_DATE", ["2024-02-29 12:00:00"], date(2024, 2, 29)),
    ("TO_DATE", ["29/02/2024", "dd/MM/yyyy"], date(2024, 2, 29)), ("TO_DATE", ["24-2-9", "yy-M-d"], date(2024, 2, 9)),
    ("TO_DATE", ["29 Feb 2024", "dd MMM yyyy"], date(2024, 2, 29)), ("TO_DATE", ["2024-14-01", "yyyy-MM-dd"],
     date(2025, 2, 1)),
    ("TO_TIMESTAMP", ["2024-02-29 12:34:56.789123"], LEAP), ("TO_TIMESTAMP", ["2024-02-29"], at("2024-02-29")),
    ("TO_TIMESTAMP", ["2023-02-29 00:00:00"], at("2023-02-28")), ("TO_TIMESTAMP", ["2024-02-29T12:34:56"], None),
    ("TO_TIMESTAMP", ["2024-2-9 1:2:3"], at("2024-02-09 01:02:03")), ("TO_TIMESTAMP", [""], None),
    ("TO_TIMESTAMP", ["2024-02-29 24:00:00"], at("2024-03-01")),
    ("TO_TIMESTAMP", ["20240229123456", "yyyyMMddHHmmss"], at("2024-02-29 12:34:56")),
    ("TO_TIMESTAMP", ["2024-02-29 01:00 PM", "yyyy-MM-dd hh:mm a"], at("2024-02-29 13:00")),
    ("TO_TIMESTAMP", ["2024-02-30", "yyyy-MM-dd"], at("2024-02-29")),
    ("TO_TIMESTAMP", ["2024-W09-5", "YYYY-'W'ww-e"], at("2024-02-29")),
    ("TO_TIMESTAMP", ["2024-02-29 12:34:56", "yyyy-MM-dd"], at("2024-02-29 12:34:56")),
    ("TO_TIMESTAMP_LTZ", [-1, 3], utc("1969-12-31 23:59:59.999")), ("TO_TIMESTAMP_LTZ", [1, 6],
     utc("1970-01-01 00:00:00.000001")), ("TO_TIMESTAMP_LTZ", [1, 2], utc("1970-01-01 00:00:00.010")),
    ("TO_TIMESTAMP_LTZ", [1709210096789], utc("2024-02-29 12:34:56.789")),
    ("TO_TIMESTAMP_LTZ", [9223372036854775807, 3], None),
    ("TO_TIMESTAMP_LTZ", ["2024-07-01 00:00:00", "yyyy-MM-dd HH:mm:ss", "Asia/Tokyo"], utc("2024-06-30 15:00:00")),
    ("TO_TIMESTAMP_LTZ", ["2024-07-01", "yyyy-MM-dd", "+02:00"], utc("2024-06-30 22:00:00")),
    ("TO_TIMESTAMP_LTZ", ["bad", "yyyy"], None), ("TO_TIMESTAMP_LTZ", ["2024-07-01 00:00:00"], utc("2024-07-01")),
    ("FROM_UNIXTIME", [-1], "1969-12-31 23:59:59"), ("FROM_UNIXTIME", [1709210096, "EEE HH:mm XXX"], "Thu 12:34 Z"),
    ("UNIX_TIMESTAMP", ["2024-02-29 12:34:56.789"], 1709210096), ("UNIX_TIMESTAMP", ["abc"], -(2**63)),
    ("UNIX_TIMESTAMP", ["2024-02-29T00:00:00+02:00", "yyyy-MM-dd'T'HH:mm:ssXXX"], 1709157600),
    ("CONVERT_TZ", ["2024-07-01 00:00:00", "UTC", NEW_YORK], "2024-06-30 20:00:00"),
    ("CONVERT_TZ", ["2024-03-10 02:30:00", NEW_YORK, "UTC"], "2024-03-10 07:30:00"),
    ("CONVERT_TZ", ["2024-01-01 00:00:00", "UTC", "GMT+08:00"], "2024-01-01 08:00:00"),
    ("CONVERT_TZ", ["2024-01-01 00:00:00", "UTC", "nope"], "2024-01-01 00:00:00"),
    ("CONVERT_TZ", ["abc", "UTC", "UTC"], None),
]

ZONED: list[tuple[str, Sequence[Value], Value, str]] = [
    ("FROM_UNIXTIME", [1720000000], "2024-07-03 05:46:40", NEW_YORK),
    ("FROM_UNIXTIME", [0, "HH:mm z X"], "19:00 EST -05",
     NEW_YORK), ("UNIX_TIMESTAMP", ["2024-03-10 02:30:00"], 1710055800, NEW_YORK),
    ("UNIX_TIMESTAMP", ["2024-11-03 01:30:00"], 1730615400, NEW_YORK),
    ("UNIX_TIMESTAMP", ["1970-01-01 00:00:00"], -19800,
     "Asia/Kolkata"), ("TO_TIMESTAMP", ["2024-03-10 02:30:00"], at("2024-03-10 02:30:00"), NEW_YORK),
]


@pytest.mark.parametrize(("name", "args", "expected"), CASES)
def test_value(database: Database, name: str, args: Sequence[Value], expected: Value) -> None:
    if name == "TO_TIMESTAMP_LTZ" and len(args) == 2 and isinstance(args[1], int):
        assert calls.on_constants(database, name, *args) == expected  # the precision is a constant
        return
    if name in ("CEIL", "CEILING", "FLOOR") and len(args) == 1:
        assert calls.on_columns(database, name, *args) == [expected, None, expected]
        return
    calls.check(database, name, args, expected)


@pytest.mark.parametrize(("name", "args", "expected", "zone"), ZONED)
def test_value_in_the_session_zone(database: Database, name: str, args: Sequence[Value], expected: Value,
                                   zone: str) -> None:
    calls.check(database, name, args, expected, zone)


def instant(epoch_ms: int) -> Typed:
    return calls.bound("TO_TIMESTAMP_LTZ", [calls.constant(epoch_ms), calls.constant(3)])


@pytest.mark.parametrize(("name", "args", "expected"), [
    ("HOUR", [instant(1720000000000)], 5), ("EXTRACT", [HOUR, instant(0)], -5), ("YEAR", [instant(0)], 1970),
    ("DATE_FORMAT", [instant(1720000000123), calls.constant("yyyy-MM-dd HH:mm:ss.SSS")], "2024-07-03 05:46:40.123"),
    ("FLOOR", [instant(1720000000000), DAY], utc("2024-07-03 04:00:00")),
    ("FLOOR", [instant(1710100000000), DAY], utc("2024-03-10 04:00:00")),
    ("TIMESTAMPADD", [DAY, calls.constant(1), instant(1710046800000)], utc("2024-03-11 05:00:00")),
    ("TIMESTAMPDIFF", [HOUR, instant(1710046800000), instant(1710129600000)], 23),
])
def test_an_instant_is_seen_in_the_session_zone(database: Database, name: str, args: Sequence[Value],
                                                expected: Value) -> None:
    assert calls.on_constants(database, name, *args, zone=NEW_YORK) == expected


@pytest.mark.parametrize(("name", "expected"), [
    ("CURRENT_TIMESTAMP", utc("1970-01-01 00:00:01")), ("NOW", utc("1970-01-01 00:00:01")),
    ("LOCALTIMESTAMP", at("1969-12-31 19:00:01")), ("CURRENT_DATE", date(1969, 12, 31)),
    ("CURRENT_TIME", time(19, 0, 1)),
    ("LOCALTIME", time(19, 0, 1)), ("UNIX_TIMESTAMP", 1), ("PROCTIME", utc("1970-01-01 00:00:01")),
])
def test_the_clock_is_the_batch_s(database: Database, name: str, expected: Value) -> None:
    assert calls.on_constants(database, name, zone=NEW_YORK) == expected


@pytest.mark.parametrize(("name", "args", "message"), [
    ("DATE_FORMAT", [LEAP, "bad b"], "unknown pattern letter"), ("DATE_FORMAT", [LEAP, "XXX"], "needs a time zone"),
    ("TO_DATE", ["2024-02-29", "bad"], "illegal pattern character 'b'"),
    ("TO_TIMESTAMP_LTZ", ["bad"], "could not be parsed"),
])
def test_a_value_is_refused(database: Database, name: str, args: Sequence[Value], message: str) -> None:
    with pytest.raises(DataError, match=message):
        calls.on_constants(database, name, *args)


@pytest.mark.parametrize(("name", "args"), [
    ("EXTRACT", [Word("FOO"), LEAP]), ("EXTRACT", [YEAR, time(1)]), ("EXTRACT", [Word("NANOSECOND"), date(2024, 1, 1)]),
    ("YEAR", ["2024-01-01"]), ("DATE_FORMAT", [date(2024, 1, 1), "y"]), ("FLOOR", [LEAP]), ("FLOOR", [1, DAY]),
    ("TIMESTAMPADD", [DAY, 1, "2024-01-01"]), ("TIMESTAMPADD", [MONTH, 1, time(1)]), ("TO_TIMESTAMP", []),
    ("FROM_UNIXTIME", ["0"]), ("FLOOR", [time(1), DAY]),
    ("TO_TIMESTAMP_LTZ", [1, 10]),
])
def test_a_call_is_refused(name: str, args: Sequence[Value]) -> None:
    with pytest.raises(SQLTypeError):
        calls.bound(name, [calls.constant(a) for a in args])


@pytest.mark.parametrize(("name", "args", "type_"), [
    ("TIMESTAMPADD", [MINUTE, 1, date(2024, 1, 1)], "TIMESTAMP(6) NOT NULL"),
    ("TIMESTAMPADD", [DAY, 1, date(2024, 1, 1)],
     "DATE NOT NULL"), ("TO_TIMESTAMP_LTZ", [1, 9], "TIMESTAMP_LTZ(9)"),
     ("TO_TIMESTAMP_LTZ", [1, 0], "TIMESTAMP_LTZ(3)"),
    ("YEAR", [calls.null(DATE)], "BIGINT"), ("FLOOR", [LEAP, DAY], "TIMESTAMP(3) NOT NULL"), ("TO_DATE", ["x"], "DATE"),
    ("UNIX_TIMESTAMP", ["x"], "BIGINT NOT NULL"), ("CURRENT_TIME", [], "TIME(0) NOT NULL"),
    ("FLOOR", [calls.null(timestamp_ltz(3)), DAY], "TIMESTAMP_LTZ(3)"),
    ("DATE_FORMAT", [LEAP, calls.null(STRING)], "STRING"),
])
def test_type(name: str, args: Sequence[Value], type_: str) -> None:
    assert str(calls.bound(name, [calls.constant(a) for a in args]).type) == type_


PATTERNS = ["yyyy-MM-dd HH:mm:ss.SSS", "d.M.yy h a", "EEE MMM", "EEEE MMMM", "D DDD", "YYYY w ww W F", "Q q e c",
 "k K A"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_constant_pattern_formats_as_one_of_data(database: Database, pattern: str) -> None:
    """SQL made while planning against the plain formulation, which is its oracle."""
    chosen = random.Random(pattern)
    moments = [chosen.randrange(-10**15, 4 * 10**15) // 1000 * 1000 for _ in range(200)]
    made = format_sql("make_timestamp(m)", pattern)
    rows = database.query(f"SELECT {made} AS v FROM (SELECT unnest(?) AS m)", moments).column("v").to_pylist()
    assert rows == [format_formatter(m, pattern) for m in moments]


@pytest.mark.parametrize("pattern", ["yyyy-MM-dd HH:mm:ss", "dd/MM/yyyy HH:mm", "yyyyMMddHHmmss", "yyyy-MM-dd"])
def test_the_native_reading_is_java_s(database: Database, pattern: str) -> None:
    """Texts that the native path takes, and texts next to them, against the exact reader alone."""
    chosen = random.Random(pattern)
    texts = [format_simple(chosen.randrange(0, 4 * 10**15), 0, "UTC", pattern) for _ in range(100)]
    texts += [t[:i] + chosen.choice("019 -x") + t[i + 1:] for t in texts for i in [chosen.randrange(len(t))]]
    texts = [t for t in texts if "0000" not in t]  # there is no such year in Java, but strptime has it
    call = calls.bound("TO_TIMESTAMP", [Typed('"t"', STRING), calls.constant(pattern)])
    made = f'SELECT epoch_ms({call.sql}) AS v FROM (SELECT unnest(?) AS "t")'
    rows = database.query(made, texts).column("v").to_pylist()
    exact = [java_parse.parse_formatter(t, pattern) for t in texts]
    assert rows == [None if us is None else us // 1000 for us in exact]

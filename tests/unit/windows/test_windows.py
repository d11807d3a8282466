"""The windows of a row, against a plain search in Python."""

from __future__ import annotations

import datetime
import random
from zoneinfo import ZoneInfo

import pytest

from streamsql.state.database import Database
from streamsql.windows import cumulate, hop, session, tumble
from streamsql.windows.cumulate import Cumulate
from streamsql.windows.hop import Hop
from streamsql.windows.session import Session, resolved
from streamsql.windows.tumble import Tumble
from streamsql.windows.window import (
    ALWAYS_US,
    NEVER_US,
    ArgumentError,
    Window,
    closed_until_us,
    closing_us,
    microseconds,
    shown,
    time_us,
)

S = 1_000_000
MS = 1000


def windows_of(window: Window, time: int) -> list[tuple[int, int]]:
    """By the definition: all windows `[start, end)` that hold `time`."""
    match window:
        case Tumble(size, offset):
            starts = range(time - 2 * size, time + size)
            return [(s, s + size) for s in starts if (s - offset) % size == 0 and s <= time < s + size]
        case Hop(slide, size, offset):
            starts = range(time - size, time + 1)
            return [(s, s + size) for s in starts if (s - offset) % slide == 0 and s <= time < s + size]
        case Cumulate(step, size, offset):
            found = [s for s in range(time - size, time + 1) if (s - offset) % size == 0 and s <= time < s + size]
            return [(s, e) for s in found for e in range(s + step, s + size + 1, step) if time < e]
    raise AssertionError(window)


WINDOWS = [
    Tumble(10), Tumble(10, 3), Tumble(7, -2), Hop(5, 15), Hop(5, 15, 2), Hop(4, 6), Hop(10, 5), Hop(6, 9, -1),
    Cumulate(5, 15), Cumulate(3, 12, 2), Cumulate(4, 4),
]


@pytest.fixture
def database() -> object:
    opened = Database()
    yield opened
    opened.close()


def single(database: Database, sql: str) -> int:
    return int(database.query(f"SELECT {sql}").column(0)[0].as_py())


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_slices_are_in_the_windows_that_hold_their_rows(database: Database, window: Window) -> None:
    rows = database.query(f"SELECT t, {window.slice('t')} AS e, unnest({window.ends(window.slice('t'))}) AS w "
                          "FROM range(-40, 40) r(t)")
    found: dict[int, list[tuple[int, int]]] = {}
    for row in rows.to_pylist():
        found.setdefault(row["t"], []).append((single(database, window.start(f"({row['w']})")), row["w"]))
    for time in range(-40, 40):
        assert sorted(found.get(time, [])) == sorted(windows_of(window, time))


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_closing_in_two_steps_is_closing_in_one(database: Database, window: Window) -> None:
    for end in range(-20, 20, 3):
        slice_end = single(database, window.slice(f"({end})"))
        ends = database.query(f"SELECT unnest({window.ends(f'({slice_end})')}) AS w").column(0).to_pylist()
        for until in range(-25, 45, 4):
            closed = window.closed_end(until)
            assert closed <= until < closed + window.stride_us
            sooner = f"SELECT unnest({window.ends(f'({slice_end})', None, closed)}) AS w"
            later = f"SELECT unnest({window.ends(f'({slice_end})', f'({closed})')}) AS w"
            both = [database.query(sql).column(0).to_pylist() for sql in (sooner, later)]
            assert both == [[w for w in ends if w <= until], [w for w in ends if w > until]]
            assert (slice_end <= window.expired(closed)) <= all(w <= closed for w in ends)


def test_assign_adds_the_columns_of_flink(database: Database) -> None:
    rows = "(SELECT * FROM (VALUES (1, TIMESTAMP '1969-12-31 23:59:41'), (2, NULL)) t(v, ts))"
    sql = Tumble(10 * S).assign(rows, "ts")
    assert database.query(sql).to_pylist() == [{
        "v": 1, "ts": datetime.datetime(1969, 12, 31, 23, 59, 41),
        "window_start": datetime.datetime(1969, 12, 31, 23, 59, 40),
        "window_end": datetime.datetime(1969, 12, 31, 23, 59, 50),
        "window_time": datetime.datetime(1969, 12, 31, 23, 59, 49, 999000)}]


def test_a_day_of_a_zone_is_a_local_day(database: Database) -> None:
    rows = "(SELECT TIMESTAMPTZ '2024-03-10 08:00:00Z' AS ts)"
    sql = Tumble(86_400 * S).assign(rows, "ts", zone="America/Los_Angeles", local_zoned=True)
    (row,) = database.query(sql).to_pylist()
    assert row["window_start"] == datetime.datetime(2024, 3, 10)
    assert row["window_end"] == datetime.datetime(2024, 3, 11)
    assert row["window_time"] == datetime.datetime(2024, 3, 11, 6, 59, 59, 999000, datetime.UTC)


def _instants(local: int, zone: str) -> list[int]:
    """The instants at which clocks in `zone` show a local time: one, two or none."""
    naive = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=local)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    found = set()
    for fold in (0, 1):
        there = naive.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(datetime.UTC)
        if there.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == naive:
            found.add((there - epoch) // datetime.timedelta(microseconds=1))
    return sorted(found)


CHANGES = [datetime.datetime(2024, 3, 10), datetime.datetime(2024, 11, 3), datetime.datetime(2024, 6, 1)]


@pytest.mark.parametrize("day", CHANGES, ids=str)
def test_closing_follows_the_clock_of_the_zone(database: Database, day: datetime.datetime) -> None:
    zone = "America/New_York"
    start = int((day - datetime.datetime(1970, 1, 1)).total_seconds()) * S
    for minutes in range(0, 300, 10):
        end = start + minutes * 60 * S
        instants = _instants(end - MS, zone)
        closing = single(database, closing_us(f"({end})", zone))
        if instants:
            assert closing == instants[-1]
            assert single(database, time_us(f"({end})", zone)) == instants[0]
        else:  # skipped: the moment of the change, 02:00 EST
            assert closing == start + 7 * 3600 * S


@pytest.mark.parametrize("day", CHANGES, ids=str)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Shanghai"])
def test_closed_until_says_the_same_as_closing(database: Database, day: datetime.datetime, zone: str) -> None:
    start = int((day - datetime.datetime(1970, 1, 1)).total_seconds()) * S
    rows = database.query(
        f"SELECT w, e, e <= {closed_until_us('w', zone)} AS closed, {closing_us('e', zone)} <= w AS reached "
        f"FROM (SELECT {start} + unnest(range(0, 600)) * {60 * S} - {MS} AS w), "
        f"(SELECT {start} + unnest(range(-60, 360, 5)) * {60 * S} AS e)").to_pylist()
    assert [r for r in rows if r["closed"] != r["reached"]] == []
    assert single(database, closed_until_us("(-9223372036854775808)", zone)) < 0


def test_bounds_beyond_time(database: Database) -> None:
    assert Tumble(10).closed_end(ALWAYS_US) == ALWAYS_US
    assert Tumble(10).closed_end(NEVER_US) == NEVER_US


@pytest.mark.parametrize(("make", "argument", "message"), [
    (lambda: Tumble(0), "size", '"size" of TUMBLE must be positive, not 0 ms'),
    (lambda: Tumble(10 * S, 10 * S), "offset",
     '"offset" of TUMBLE is 10 s, which is not less than its "size" of 10 s'),
    (lambda: Hop(0, 10), "slide", '"slide" of HOP must be positive, not 0 ms'),
    (lambda: Hop(10 * S, 5 * S).check(), "size",
     '"size" of HOP (5 s) must be a multiple of its "slide" (10 s)'),
    (lambda: Cumulate(10 * S, 5 * S), "size",
     '"size" of CUMULATE (5 s) must be a multiple of its "step" (10 s)'),
    (lambda: Session(-S), "gap", '"gap" of SESSION must be positive, not -1 s'),
    (lambda: microseconds("TUMBLE", "size", 1, 0), "size",
     '"size" of TUMBLE is an interval of months or years'),
])
def test_lengths_that_make_no_window(make: object, argument: str, message: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        make()  # type: ignore[operator]
    assert (raised.value.argument, raised.value.message) == (argument, message)
    assert raised.value.hint


def test_swapped_arguments_are_named() -> None:
    with pytest.raises(ArgumentError) as raised:
        Hop(15 * S, 5 * S).check()
    assert raised.value.hint == "The order is HOP(TABLE t, DESCRIPTOR(ts), slide, size): the two look swapped."


def test_modules_make_windows_from_arguments() -> None:
    assert tumble.window({"size": 10}) == Tumble(10)
    assert hop.window({"slide": 5, "size": 10, "offset": 1}) == Hop(5, 10, 1)
    assert cumulate.window({"step": 5, "size": 10}) == Cumulate(5, 10)
    assert session.window({"gap": 5}) == Session(5)
    for module in (tumble, hop, cumulate, session):
        assert module.ARGUMENTS


def test_lengths_for_people() -> None:
    assert [shown(us) for us in (0, 1500 * MS, 90 * S, 120 * S, 3600 * S, 86400 * S, 2 * 86400 * S)] == [
        "0 ms", "1500 ms", "90 s", "2 min", "1 h", "1 day", "2 days"]


def test_sessions_by_gaps_and_islands_are_those_row_by_row(database: Database) -> None:
    rng = random.Random(7)
    for _ in range(20):
        times = [rng.randint(0, 200) for _ in range(rng.randint(1, 40))]
        values = ", ".join(f"({n}, {t}, {t + 5})" for n, t in enumerate(times))
        islands = Session(5).islands(f"(VALUES {values}) t(n, s, e)", (), "s", "e")
        found = database.query(f"SELECT n, min(s) OVER w AS s, max(e) OVER w AS e FROM ({islands}) "
                               'WINDOW w AS (PARTITION BY "$island") ORDER BY n').to_pylist()
        assert [(r["s"], r["e"]) for r in found] == resolved(times, [NEVER_US] * len(times), 5)


def test_a_late_row_joins_only_sessions_that_are_open() -> None:
    never = NEVER_US
    assert resolved([10, 14], [never, never], 5) == [(10, 19), (10, 19)]
    assert resolved([10, 16], [never, never], 5) == [(10, 15), (16, 21)]
    assert resolved([10, 4], [never, 9], 5) == [(10, 15), None], "its own session is closed and touches none"
    assert resolved([10, 6], [never, 11], 5) == [(6, 15), (6, 15)], "late, but it touches an open one"
    assert resolved([10, 15], [never, 15], 5) == [(10, 15), (15, 20)], "the first was closed just before"
    assert resolved([10, 18, 14], [never, never, 14], 5) == [(10, 23)] * 3, "it joins two"

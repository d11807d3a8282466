"""The datagen connector: rows are a function of the seed and their number."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from streamsql.connectors import datagen
from streamsql.connectors.datagen_random import between
from streamsql.core import types as t
from streamsql.core.clock import ManualClock
from streamsql.core.connector import Source
from streamsql.core.options import OptionError
from tests.unit.connectors import contract

NOW = ManualClock(1_700_000_000_123_456)
EVERYTHING = {
    "b": t.BOOLEAN, "tiny": t.TINYINT, "small": t.SMALLINT, "i": t.INT, "big": t.BIGINT, "f": t.FLOAT,
    "d": t.DOUBLE, "dec": t.decimal(38, 10), "c": t.char(5), "v": t.varchar(7), "s": t.STRING,
    "bin": t.DataType("BINARY", precision=4), "bytes": t.BYTES, "date": t.DATE, "time": t.time(0),
    "ts": t.timestamp(3), "ts9": t.timestamp(9), "ltz": t.timestamp_ltz(3),
    "years": t.DataType("INTERVAL YEAR TO MONTH"), "days": t.DataType("INTERVAL DAY TO SECOND"),
    "a": t.array(t.INT), "m": t.map_of(t.BOOLEAN, t.STRING), "ms": t.multiset(t.INT),
    "r": t.row({"x": t.INT, "y": t.array(t.row({"z": t.DOUBLE}))}),
}


def source(columns: dict[str, t.DataType], options: dict[str, str]) -> Source:
    return datagen.source(contract.spec(datagen, columns, {"rows-per-second": "1000000"} | options))


def rows(columns: dict[str, t.DataType], options: dict[str, str], count: int = 50) -> list[dict[str, object]]:
    made = source(columns, {"number-of-rows": str(count)} | options)
    return [row for _, _, row in contract.drained(contract.opened(made, clock=NOW))]


def column(kind: t.DataType, options: dict[str, str], count: int = 50) -> list[object]:
    given = {f"fields.x.{key}": value for key, value in options.items()}
    return [row["x"] for row in rows({"x": kind}, given, count)]


def test_any_cut_gives_the_same_rows() -> None:
    options = {"number-of-rows": "40", "fields.a.null-rate": "0.5", "fields.s.var-len": "true"}
    found = contract.cut_does_not_matter(lambda: source(EVERYTHING, options), clock=NOW)
    assert [offset for _, offset, _ in found] == list(range(40))


def test_it_resumes_anywhere() -> None:
    contract.resumes_anywhere(lambda: source(EVERYTHING, {"number-of-rows": "12"}), clock=NOW)


def test_the_seed_makes_the_rows() -> None:
    first, again, other = (rows({"x": t.BIGINT}, {"seed": seed}) for seed in ("1", "1", "2"))
    assert first == again != other


def test_the_form_of_each_type() -> None:
    [row] = rows(EVERYTHING, {"fields.ltz.max-past": "10 s"}, 1)
    assert (len(str(row["c"])), len(str(row["v"])), len(str(row["s"]))) == (5, 7, 100)
    assert row["date"] == dt.date(2023, 11, 14)
    assert row["time"] == dt.time(22, 13, 20)
    assert row["ts"] == dt.datetime(2023, 11, 14, 22, 13, 20, 123_000)
    assert isinstance(row["ltz"], dt.datetime)
    assert dt.timedelta(0) < dt.datetime(2023, 11, 14, 22, 13, 20, 124_000, dt.UTC) - row["ltz"] \
        <= dt.timedelta(seconds=10, milliseconds=1)
    assert isinstance(row["a"], list)
    assert len(row["a"]) == 3


@pytest.mark.parametrize(("kind", "least", "most"), [
    (t.TINYINT, -2, 2), (t.BIGINT, -(2**63), -(2**63) + 1), (t.BIGINT, 2**63 - 2, 2**63 - 1),
    (t.INT, 7, 7), (t.decimal(5, 2), Decimal("-0.02"), Decimal("0.02")), (t.DOUBLE, -1.5, 2.5),
    (t.decimal(38, 0), 10**37, 10**37 + 3), (t.FLOAT, 1.0, 1.0),
])
def test_numbers_fill_their_range(kind: t.DataType, least: float, most: float) -> None:
    found = column(kind, {"min": str(least), "max": str(most)}, 300)
    assert all(least <= x <= most for x in found)  # type: ignore[operator]
    if kind.root not in ("DOUBLE", "FLOAT"):
        assert {min(found), max(found)} == {least, most}  # type: ignore[type-var]


def test_128_bit_numbers_are_exact() -> None:
    import numpy as np
    numbers = np.arange(100, dtype=np.uint64)
    low, high = -(10**38) + 1, 10**38 - 1
    halves = between(5, numbers, low, high)
    plain = between(5, numbers, 0, 2**64 - 1)
    for (least, most), (word, zero) in zip(halves.tolist(), plain.tolist(), strict=True):
        assert zero == 0
        unsigned = most << 64 | least
        assert unsigned - (2**128 if unsigned >> 127 else 0) == low + (word * (high - low + 1) >> 64)


def test_nulls_come_at_their_rate() -> None:
    assert 350 < column(t.INT, {"null-rate": "0.5"}, 1000).count(None) < 650
    assert column(t.INT, {"null-rate": "1"}, 5) == [None] * 5


def test_variable_lengths() -> None:
    lengths = {len(str(text)) for text in column(t.varchar(4), {"var-len": "true"}, 200)}
    assert lengths == {1, 2, 3, 4}


def test_nested_options() -> None:
    [row] = rows({"a": t.array(t.array(t.INT)), "m": t.map_of(t.STRING, t.INT), "r": t.row({"x": t.INT})}, {
        "fields.a.length": "2", "fields.a.element.length": "1", "fields.a.element.element.min": "3",
        "fields.a.element.element.max": "3", "fields.m.length": "1", "fields.m.key.length": "2",
        "fields.m.value.null-rate": "1", "fields.r.x.min": "5", "fields.r.x.max": "5"}, 1)
    assert (row["a"], row["r"]) == ([[3], [3]], {"x": 5})
    assert [(len(key), value) for key, value in row["m"]] == [(2, None)]  # type: ignore[attr-defined]


def test_keys_of_a_map_are_distinct() -> None:
    for entries in column(t.map_of(t.BOOLEAN, t.INT), {"length": "5"}):
        keys = [key for key, _ in entries]  # type: ignore[attr-defined]
        assert len(keys) == len(set(keys)) > 0


def test_the_shortest_sequence_ends_it() -> None:
    options = {"fields.x.kind": "sequence", "fields.x.start": "-1", "fields.x.end": "3",
               "fields.y.kind": "sequence", "fields.y.start": "8", "fields.y.end": "10"}
    made = source({"x": t.decimal(5, 1), "y": t.STRING}, options)
    assert made.bounded
    found = [row for _, _, row in contract.drained(contract.opened(made))]
    assert found == [{"x": Decimal(n - 9), "y": str(n)} for n in (8, 9, 10)]


def test_the_rate_follows_the_clock() -> None:
    clock = ManualClock()
    made = contract.opened(source({"x": t.INT}, {"rows-per-second": "10"}), clock=clock)
    assert not made.bounded

    def ready() -> int:
        chunk = made.poll(100, 0.0)
        return 0 if chunk is None else len(chunk)
    assert [ready(), ready()] == [1, 0]
    clock.advance_us(1_000_000)
    assert [ready(), ready()] == [10, 0]
    made.close()
    assert made.poll(1, 60.0) is None


def test_a_start_time_makes_times_repeatable() -> None:
    options = {"start-time": "2024-01-01 00:00:00", "rows-per-second": "2"}
    found = []
    for clock in (ManualClock(), ManualClock(10**15)):
        made = contract.opened(source({"x": t.timestamp(3)}, options), clock=clock)
        clock.advance_us(1_000_000)
        chunk = made.poll(3, 0.0)
        assert chunk is not None
        found.append([str(row["x"]) for _, _, row in contract.records(made, chunk)])
    assert found[0] == found[1]
    assert found[0] == ["2024-01-01 00:00:00", "2024-01-01 00:00:00.500000", "2024-01-01 00:00:01"]


@pytest.mark.parametrize(("options", "message"), [
    ({"fields.x.mn": "1"},
     'connector "datagen" has no option "fields.x.mn"\n  hint: Did you mean "fields.x.min"? Options: '
     "fields.x.kind, fields.x.null-rate, fields.x.min, fields.x.max, fields.x.start, fields.x.end, "
     "fields.s.kind, fields.s.null-rate, fields.s.start, fields.s.end, fields.s.var-len, fields.s.length"),
    ({"fields.x.min": "1.5"},
     'option "fields.x.min" of connector "datagen" is "1.5"\n  hint: Write an integer.'),
    ({"fields.x.max": "3000000000"},
     'option "fields.x.max" of connector "datagen" is "3000000000"\n  hint: Write a number that fits INT.'),
    ({"fields.x.min": "3", "fields.x.max": "2"},
     'option "fields.x.max" of connector "datagen" is "2"\n'
     '  hint: "fields.x.min" must not be above "fields.x.max".'),
    ({"fields.x.kind": "sequence", "fields.x.start": "1"},
     'connector "datagen" needs the option "fields.x.end"\n'
     "  hint: A sequence counts from start to end, both included."),
    ({"fields.x.start": "1"},
     "option \"fields.x.start\" has no meaning with 'fields.x.kind'='random'\n"
     "  hint: Remove it, or write 'fields.x.kind'='sequence'."),
    ({"fields.s.null-rate": "2"},
     'option "fields.s.null-rate" of connector "datagen" is "2.0"\n  hint: Write a number from 0 to 1.'),
    ({"rows-per-second": "0"},
     'option "rows-per-second" of connector "datagen" is "0"\n  hint: Write a number from 1 up.'),
    ({"start-time": "noon"}, 'option "start-time" of connector "datagen" is "noon"\n'
     "  hint: Write a time such as '2024-01-01 00:00:00'."),
])
def test_options_that_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError) as error:
        source({"x": t.INT, "s": t.STRING}, options)
    assert str(error.value) == message


def test_types_that_are_refused() -> None:
    with pytest.raises(OptionError, match='cannot make values of type VARIANT'):
        source({"x": t.DataType("VARIANT")}, {})
    with pytest.raises(OptionError, match='cannot make keys of type ARRAY<INT>'):
        source({"x": t.map_of(t.array(t.INT), t.INT)}, {})
    with pytest.raises(OptionError, match='has no meaning for CHAR'):
        source({"x": t.char(3)}, {"fields.x.length": "2"})

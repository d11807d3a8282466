"""Window aggregates: cut anywhere, restarted anywhere, late rows and all, against plain answers."""

from __future__ import annotations

import datetime
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

import pytest

from streamsql.aggregates import Aggregate, bind
from streamsql.core.batch import DIFF, MAX_WATERMARK, SEQ, WATERMARK
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context, Node
from streamsql.core.schema import Column, quote
from streamsql.core.types import BIGINT, BOOLEAN, DOUBLE, INT, STRING, decimal, timestamp
from streamsql.errors import DataError
from streamsql.operators._window_frames import Attached, Sliced
from streamsql.operators.project import Project
from streamsql.operators.window import WindowAssign, window_assign
from streamsql.operators.window_aggregate import Bound, WindowAggregate, window_aggregate
from streamsql.state.database import Database
from streamsql.values.typed import Typed
from streamsql.windows.cumulate import Cumulate
from streamsql.windows.hop import Hop
from streamsql.windows.tumble import Tumble
from streamsql.windows.window import Window
from tests.unit.operators.driving import (
    SECOND,
    Chain,
    Leaf,
    Row,
    Side,
    bag,
    batch,
    leaf,
    meaning,
    ran,
    stamped,
    typed,
)

BOUNDS: tuple[tuple[str, Bound], ...] = (("window_start", "start"), ("window_end", "end"))
KEY = (Column("k", STRING), quote("k"))
V = typed("v")
COUNT = ("n", bind("COUNT", []))
WINDOWS = [Tumble(10 * SECOND), Tumble(10 * SECOND, -3 * SECOND), Hop(5 * SECOND, 15 * SECOND),
           Cumulate(5 * SECOND, 15 * SECOND)]


@pytest.fixture
def database() -> Iterator[Database]:
    opened = Database()
    yield opened
    opened.close()


def aggregated(source: Node, *calls: tuple[str, Aggregate], keyed: bool = True, **more: object) -> WindowAggregate:
    return window_aggregate(source, [KEY] if keyed else [], calls, start="window_start", end="window_end",
                            windows=BOUNDS, zone="UTC", local_zoned=False, **more)  # type: ignore[arg-type]


def over(window: Window, source: Leaf | None = None) -> WindowAssign:
    return window_assign(source or leaf(), window, "ts", zone="UTC")


def disordered(seed: int, count: int = 300) -> list[Row]:
    """Rows of about 100 s in arrival order, some of them far behind; one key is NULL, some values are."""
    rng = random.Random(seed)
    rows = []
    for n in range(count):
        behind = rng.choice([0, 0, 0, 1, 3, 12, 40])
        ts = max(0, n * SECOND // 3 - behind * SECOND) // 1000 * 1000 - 20 * SECOND
        rows.append({"k": rng.choice(["a", "b", None]), "v": rng.choice([None, *range(-5, 10)]), "ts": ts})
    return rows


def windows_of(window: Window, time: int) -> list[tuple[int, int]]:
    match window:
        case Tumble(size, offset):
            start = (time - offset) // size * size + offset
            return [(start, start + size)]
        case Hop(slide, size, offset):
            last = (time - offset) // slide * slide + offset
            return [(s, s + size) for s in range(last, time - size, -slide)]
        case Cumulate(step, size, offset):
            start = (time - offset) // size * size + offset
            return [(start, e) for e in range(start + step, start + size + 1, step) if e > time]
    raise AssertionError(window)


def counted(window: Window, rows: Sequence[Row]) -> tuple[Counter[tuple[object, ...]], set[int]]:
    """COUNT and SUM by the definition: each row into each of its windows that was open at its
    watermark; and the rows that were in none."""
    groups: Counter[tuple[object, ...]] = Counter()
    late = set()
    for row in rows:
        opened = [w for w in windows_of(window, row["ts"]) if w[1] - 1000 > row[WATERMARK]]
        for bounds in opened:
            groups[(row["k"], *bounds)] += row.get(DIFF, 1)
        if not opened:
            late.add(row[SEQ])
    return groups, late


def micros(time: datetime.datetime) -> int:
    return (time - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("delay_us", [0, 2 * SECOND])
@pytest.mark.parametrize("most", [1, 7, 1000])
def test_late_rows_are_dropped_a_window_at_a_time(
    database: Database, window: Window, delay_us: int, most: int,
) -> None:
    rows = stamped(disordered(most), delay_us)
    chain = Chain(aggregated(over(window), COUNT), database)
    out = chain.run(rows, random.Random(most), most, delay_us)
    groups, late = counted(window, rows)
    found = {(r["k"], micros(r["window_start"]), micros(r["window_end"])): r["n"] for r in out}
    assert len(found) == len(out), "each window of a key is emitted once"
    assert found == groups
    assert sorted(chain.side.late_seqs) == sorted(late)
    assert late
    assert chain.operators[-1].statistics() == {"state_rows": 0, "late_rows": len(late)}


def test_two_partitions_judge_their_rows_alone(database: Database) -> None:
    """The watermark of the job is the lesser one, yet a row is late by its own partition's."""
    window = Tumble(10 * SECOND)
    fast = stamped([{"k": "a", "v": 1, "ts": t * SECOND} for t in (1, 25, 2)], split=0)
    slow = stamped([{"k": "a", "v": 1, "ts": t * SECOND} for t in (3, 4, 11)], split=1)
    for rows in ([*fast, *slow], [*slow, *fast], [x for pair in zip(fast, slow, strict=True) for x in pair]):
        opened = Database()
        chain = Chain(aggregated(over(window), COUNT), opened)
        chain.step(rows)
        chain.advance(MAX_WATERMARK)
        assert [(micros(r["window_end"]) // SECOND, r["n"]) for r in chain.rows()] == [(10, 3), (20, 1), (30, 1)]
        assert chain.side.late_seqs == [2]
        opened.close()


CALLS: dict[str, list[tuple[str, Aggregate]]] = {
    "sums": [COUNT, ("c", bind("COUNT", [V])), ("s", bind("SUM", [V])), ("a", bind("AVG", [V]))],
    "extremes": [("lo", bind("MIN", [V])), ("hi", bind("MAX", [V])), ("m", bind("MAX", [typed("k")]))],
    "variances": [("vp", bind("VAR_POP", [V])), ("vs", bind("VAR_SAMP", [V])), ("sp", bind("STDDEV_POP", [V]))],
    "arrival": [("f", bind("FIRST_VALUE", [V])), ("l", bind("LAST_VALUE", [typed("k")]))],
    "filtered": [("n", bind("COUNT", [], filter=Typed('("v" > 3)', BOOLEAN))),
                 ("s", bind("SUM", [V], filter=Typed('("v" > 3)', BOOLEAN)))],
    "distinct": [COUNT, ("d", bind("COUNT", [V], distinct=True)), ("s", bind("SUM", [V], distinct=True)),
                 ("p", bind("VAR_POP", [V], distinct=True))],
    "lists": [("l", bind("LISTAGG", [typed("k")])), ("a", bind("ARRAY_AGG", [V])),
              ("d", bind("ARRAY_AGG", [V], distinct=True)), ("o", bind("ARRAY_AGG", [V], order=[(V, True)])),
              ("j", bind("JSON_ARRAYAGG", [V]))],
    "local": [("m", bind("MEDIAN", [V])), ("h", bind("HISTOGRAM", [V])), ("x", bind("ARG_MAX", [typed("k"), V])),
              ("b", bind("BOOL_OR", [Typed('("v" > 8)', BOOLEAN)])), ("q", bind("COLLECT", [V]))],
    "none": [],
}


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS)
def test_the_sum_of_steps_is_the_relation(
    database: Database, window: Window, calls: list[tuple[str, Aggregate]],
) -> None:
    rows = stamped(disordered(3, 150), 60 * SECOND)
    node = aggregated(over(window), *calls)
    expected = bag(meaning(node, database, rows))
    for most in (1, 20, 1000):
        assert bag(ran(node, rows, most, 60 * SECOND)) == expected


def alike(one: Row, other: Row) -> bool:
    """Of rows that are equal for the aggregates, the first to arrive is taken back, as in Flink."""
    same = (one["k"], one["v"]) == (other["k"], other["v"])
    return same and one["ts"] // (10 * SECOND) == other["ts"] // (10 * SECOND)


@pytest.mark.parametrize("calls", [CALLS["sums"], CALLS["extremes"], CALLS["distinct"], CALLS["lists"]],
                         ids=["sums", "extremes", "distinct", "lists"])
def test_rows_taken_back_do_not_count(database: Database, calls: list[tuple[str, Aggregate]]) -> None:
    rng = random.Random(5)
    alive: list[Row] = []
    changes: list[Row] = []
    for row in disordered(5, 200):
        changes.append({**row, DIFF: 1})
        alive.append(row)
        if rng.random() < 0.5:
            gone = alive[rng.randrange(len(alive))]
            alive.remove(next(r for r in alive if alike(r, gone)))
            changes.append({**gone, DIFF: -1})
    rows = stamped(changes, 1000 * SECOND)
    node = aggregated(over(Tumble(10 * SECOND), leaf(changelog=True)), *calls)
    plain = aggregated(over(Tumble(10 * SECOND)), *calls)
    expected = bag(meaning(plain, database, stamped(alive)))
    assert node.append_only
    for most in (1, 20, 1000):
        assert bag(ran(node, rows, most, 1000 * SECOND)) == expected


def test_a_group_of_which_every_row_was_taken_back_is_not_emitted(database: Database) -> None:
    row = {"k": "a", "v": 1, "ts": SECOND}
    node = aggregated(over(Tumble(10 * SECOND), leaf(changelog=True)), COUNT)
    chain = Chain(node, database)
    chain.step(stamped([{**row, DIFF: 1}, {**row, DIFF: -1}]))
    chain.advance(MAX_WATERMARK)
    assert chain.rows() == []


def test_grouping_sets_share_the_state(database: Database) -> None:
    keys = [KEY, (Column("v", BIGINT), quote("v"))]
    node = window_aggregate(over(Hop(5 * SECOND, 10 * SECOND)), keys, [COUNT, ("s", bind("SUM", [V]))],
                            start="window_start", end="window_end", windows=BOUNDS, zone="UTC",
                            local_zoned=False, sets=[(0, 1), (0,), (), (0,)],
                            groupings=[("gk", (0,)), ("g", (0, 1))])
    rows = stamped(disordered(9, 120), 60 * SECOND)
    expected = bag(meaning(node, database, rows))
    assert bag(Chain(node, database).run(rows, random.Random(1), 9, 60 * SECOND)) == expected
    assert node.schema["k"].type.nullable
    assert node.schema["v"].type.nullable


def test_a_window_closes_at_its_last_millisecond(database: Database) -> None:
    chain = Chain(aggregated(over(Tumble(10 * SECOND)), COUNT, keyed=False), database)
    chain.step(stamped([{"k": "a", "v": 1, "ts": 0}]))
    chain.advance(10 * SECOND - 2000)
    assert chain.rows() == []
    chain.advance(10 * SECOND - 1000)
    assert [r["n"] for r in chain.rows()] == [1]
    (table,) = chain.out
    assert table.column(WATERMARK).to_pylist() == [10 * SECOND - 2000]
    assert table.column(SEQ)[0].as_py() < 0


def test_groups_come_out_by_window_then_key(database: Database) -> None:
    chain = Chain(aggregated(over(Tumble(10 * SECOND)), COUNT), database)
    rows = [{"k": k, "v": 1, "ts": t * SECOND} for k in ("b", None, "a") for t in (12, 1)]
    chain.step(stamped(rows, 60 * SECOND))
    chain.advance(MAX_WATERMARK)
    assert [(micros(r["window_end"]) // SECOND, r["k"]) for r in chain.rows()] == [
        (10, None), (10, "a"), (10, "b"), (20, None), (20, "a"), (20, "b")]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_a_row_without_rowtime_is_an_error_without_effect(database: Database, window: Window) -> None:
    chain = Chain(aggregated(over(window), COUNT), database)
    rows = stamped([{"k": "a", "v": 1, "ts": 1}, {"k": "a", "v": 1, "ts": None}, {"k": "a", "v": 1, "ts": 2}])
    for part in (rows, rows[1:2]):
        with pytest.raises(DataError, match="rowtime is NULL"):
            chain.step(part)
    assert chain.operators[-1].statistics()["state_rows"] == 0


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("calls", [CALLS["sums"], CALLS["lists"]], ids=["partials", "rows"])
def test_state_is_found_again(database: Database, window: Window, calls: list[tuple[str, Aggregate]]) -> None:
    rows = stamped(disordered(4, 90), 10 * SECOND)
    node = aggregated(over(window), *calls)
    expected = Chain(node, database, "whole").run(rows, random.Random(1), 10, 10 * SECOND)
    out: list[Row] = []
    for start in range(0, 90, 10):
        chain = Chain(node, database)
        chain.step(rows[start:start + 10])
        chain.advance(max(r["ts"] for r in rows[:start + 10]) - 10 * SECOND)
        out += chain.rows()
    chain = Chain(node, database)
    chain.advance(MAX_WATERMARK)
    assert bag(out + chain.rows()) == bag(expected)


def test_partials_of_many_batches_are_merged(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamsql.operators._window_state._COMPACTED_ROWS", 20)
    rows = stamped(disordered(6, 200), 1000 * SECOND)
    node = aggregated(over(Hop(50 * SECOND, 100 * SECOND)), *CALLS["sums"], *CALLS["arrival"], *CALLS["variances"])
    chain = Chain(node, database)
    for row in rows:
        chain.step([row])
        assert chain.operators[-1].statistics()["state_rows"] < 3 * 9 + 22
    chain.advance(MAX_WATERMARK)
    assert bag(chain.rows()) == bag(meaning(node, database, rows))


def test_windows_of_windows(database: Database) -> None:
    """Ten seconds feed a minute through window_time; nothing is late on the way."""
    inner = window_aggregate(over(Tumble(10 * SECOND)), [KEY], [("s", bind("SUM", [V]))], start="window_start",
                             end="window_end", windows=[*BOUNDS, ("window_time", "time")], zone="UTC",
                             local_zoned=False)
    names = ("start2", "end2", "time2")
    outer = window_assign(inner, Tumble(60 * SECOND), "window_time", zone="UTC", names=names)
    node = window_aggregate(outer, [], [COUNT, ("f", bind("FIRST_VALUE", [Typed('"k"', STRING)]))],
                            start="start2", end="end2", windows=[("end", "end")], zone="UTC", local_zoned=False)
    rows = stamped(disordered(8, 400), 5 * SECOND)
    out = [ran(node, rows, most, 5 * SECOND) for most in (1, 30, 1000)]
    assert out[0] == out[1] == out[2]
    assert len(out[0]) > 2
    assert inner.schema["window_time"].time == "rowtime"


def test_grouping_a_windowed_result_again(database: Database) -> None:
    inner = aggregated(over(Tumble(10 * SECOND)), COUNT)
    node = aggregated(inner, ("keys", bind("COUNT", [])), ("most", bind("MAX", [Typed('"n"', BIGINT)])), keyed=False)
    assert isinstance(node.frame(), Attached)
    rows = stamped(disordered(2, 150), 60 * SECOND)
    assert bag(Chain(node, database).run(rows, random.Random(2), 11, 60 * SECOND)) == bag(
        meaning(node, database, rows))


def _renamed(assign: WindowAssign, where: str | None) -> Project:
    columns = tuple((c.name, quote(c.name)) for c in assign.schema)
    return Project((assign,), assign.schema, assign.append_only, assign.hidden, columns, where)


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("most", [1, 25])
def test_a_projection_between_window_and_group(database: Database, window: Window, most: int) -> None:
    """Rows that were given their windows before carry them; the answer and the late rows are the same."""
    rows = stamped(disordered(most, 150), 2 * SECOND)
    direct = Chain(aggregated(over(window), COUNT), database, "direct")
    between = aggregated(_renamed(over(window), None), COUNT)
    assert isinstance(direct_frame(direct), Sliced)
    assert isinstance(between.frame(), Attached)
    carried = Chain(between, database, "carried")
    assert bag(carried.run(rows, random.Random(1), most, 2 * SECOND)) == bag(
        direct.run(rows, random.Random(1), most, 2 * SECOND))
    assert sorted(carried.side.late_seqs) == sorted(direct.side.late_seqs)


def direct_frame(chain: Chain) -> object:
    return chain.operators[-1]._frame  # type: ignore[attr-defined]


def test_a_key_over_a_window_column(database: Database) -> None:
    key = (Column("len", BIGINT), 'epoch_us("window_end") - epoch_us("window_start")')
    node = window_aggregate(over(Cumulate(5 * SECOND, 15 * SECOND)), [key], [COUNT], start="window_start",
                            end="window_end", windows=BOUNDS, zone="UTC", local_zoned=False)
    assert isinstance(node.frame(), Attached)
    rows = stamped(disordered(3, 60), 60 * SECOND)
    assert bag(Chain(node, database).run(rows, random.Random(2), 11, 60 * SECOND)) == bag(
        meaning(node, database, rows))


def test_local_days_close_by_the_instant(database: Database) -> None:
    """A day of 23 hours in Los Angeles; window_time is an instant, the bounds are local."""
    zone, source = "America/Los_Angeles", leaf(zoned=True)
    assign = window_assign(source, Tumble(86_400 * SECOND), "ts", zone=zone)
    node = window_aggregate(assign, [], [("s", bind("SUM", [V]))], start="window_start", end="window_end",
                            windows=[*BOUNDS, ("window_time", "time")], zone=zone, local_zoned=True)
    day = micros(datetime.datetime(2024, 3, 10, 8))
    times = [day - SECOND, day, day + 23 * 3600 * SECOND - SECOND, day + 23 * 3600 * SECOND]
    rows = stamped([{"k": "a", "v": 2**n, "ts": t} for n, t in enumerate(times)])
    chain = Chain(node, database)
    sums = []
    for row in rows:
        chain.step([row])
        chain.advance(row["ts"])
        sums.append([r["s"] for r in chain.rows()])
    assert sums == [[], [1], [1], [1, 6]]
    late = {"k": "a", "v": 99, "ts": day, WATERMARK: day + 24 * 3600 * SECOND, SEQ: 7}
    chain.step([late])
    chain.advance(MAX_WATERMARK)
    assert [r["s"] for r in chain.rows()] == [1, 6, 8]
    assert chain.side.late_seqs == [7]
    last = chain.rows()[1]
    assert last["window_start"] == datetime.datetime(2024, 3, 10)
    assert last["window_time"] == datetime.datetime(2024, 3, 11, 6, 59, 59, 999000, datetime.UTC)


def test_the_repeated_hour_shares_its_windows(database: Database) -> None:
    zone = "America/New_York"
    assign = window_assign(leaf(zoned=True), Tumble(600 * SECOND), "ts", zone=zone)
    node = window_aggregate(assign, [], [COUNT], start="window_start", end="window_end", windows=BOUNDS,
                            zone=zone, local_zoned=True)
    first = micros(datetime.datetime(2024, 11, 3, 5, 0))  # 01:00 EDT
    rows = stamped([{"k": "a", "v": 1, "ts": first + m * 60 * SECOND} for m in range(0, 180, 5)])
    out = [ran(node, rows, most) for most in (1, 5, 100)]
    assert out[0] == out[1] == out[2]
    assert [r["n"] for r in out[0]] == [4] * 6 + [2] * 6


def test_input_without_watermarks_is_never_late(database: Database) -> None:
    source = Leaf((), leaf().schema, True, ())
    node = aggregated(over(Tumble(10 * SECOND), source), COUNT, keyed=False)
    chain = Chain(node, database)
    chain.operators[0].step(0, batch(source, [{"k": "a", "v": 1, "ts": t, WATERMARK: 0} for t in (20 * SECOND, 1)]))
    chain.advance(MAX_WATERMARK)
    assert [r["n"] for r in chain.rows()] == [1, 1]


def test_types_of_results(database: Database) -> None:
    columns = (Column("i", INT), Column("d", decimal(10, 2)), Column("f", DOUBLE), Column("ts", timestamp(3)))
    calls = [("si", bind("SUM", [Typed('"i"', INT)])), ("sd", bind("SUM", [Typed('"d"', decimal(10, 2))])),
             ("ad", bind("AVG", [Typed('"d"', decimal(10, 2))])), ("af", bind("AVG", [Typed('"f"', DOUBLE)]))]
    node = aggregated(over(Tumble(10 * SECOND), leaf(*columns)), *calls, keyed=False)
    chain = Chain(node, database)
    values = [(2147483647, Decimal("1.10"), 0.5), (1, Decimal("2.25"), 0.25), (None, Decimal("0.01"), 1.5)]
    chain.step(stamped([{"i": i, "d": d, "f": f, "ts": n} for n, (i, d, f) in enumerate(values)]))
    chain.advance(MAX_WATERMARK)
    (table,) = chain.out
    assert table.schema.remove_metadata() == node.batch_schema()
    (row,) = chain.rows()
    assert (row["si"], row["sd"], row["ad"], row["af"]) == (
        -2147483648, Decimal("3.36"), Decimal("1.120000"), 0.75)


def test_equal_nodes_are_one_node_and_explain_is_stable() -> None:
    def make() -> WindowAggregate:
        return aggregated(over(Hop(5 * SECOND, 10 * SECOND)), *CALLS["distinct"])
    assert make() == make()
    assert hash(make()) == hash(make())
    assert make().explain().details == (
        ("keys", "k"), ("window", "window_start, window_end"), ("n", "COUNT(*)"), ("d", 'COUNT(DISTINCT "v")'),
        ("s", 'SUM(DISTINCT "v")'), ("p", 'VAR_POP(DISTINCT "v")'), ("emits", "once, when the window closes"),
        ("keeps", "the rows"))
    assert over(Hop(5 * SECOND, 10 * SECOND)).explain().details == (
        ("function", "HOP(slide 5 s, size 10 s)"), ("rowtime", "ts"))


def test_context_names_the_tables(database: Database) -> None:
    node = aggregated(over(Tumble(SECOND)), COUNT)
    for name in ("op1", "op2"):
        node.operator(Context(name, database, ManualClock(), Side()))
    assert database.query("FROM \"op1$state\"").column_names
    assert database.query("FROM \"op2$state\"").column_names

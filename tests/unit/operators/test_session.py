"""Sessions: the same rows in the same sessions, however batches are cut, late rows and all."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator, Sequence

import pytest

from streamsql.aggregates import bind
from streamsql.core.batch import DIFF, MAX_WATERMARK, SEQ, WATERMARK
from streamsql.core.schema import Column, quote
from streamsql.errors import DataError
from streamsql.operators.session import SessionAssign, session_assign
from streamsql.operators.window_aggregate import WindowAggregate, window_aggregate
from streamsql.state.database import Database
from streamsql.windows.session import Session, resolved
from tests.unit.operators.driving import SECOND, Chain, Row, bag, leaf, meaning, ran, stamped, typed

GAP = 5 * SECOND


@pytest.fixture
def database() -> Iterator[Database]:
    opened = Database()
    yield opened
    opened.close()


def sessions(partition: Sequence[str] = ("k",), *, zoned: bool = False, zone: str = "UTC") -> SessionAssign:
    return session_assign(leaf(zoned=zoned), Session(GAP), "ts", partition, zone=zone)


def counted(source: SessionAssign, keyed: bool = True) -> WindowAggregate:
    keys = [(Column("k", source.schema["k"].type), quote("k"))] if keyed else []
    return window_aggregate(source, keys, [("n", bind("COUNT", [])), ("s", bind("SUM", [typed("v")]))],
                            start="window_start", end="window_end", windows=[("window_start", "start"),
                                                                            ("window_end", "end")],
                            zone=source.zone, local_zoned=source.local_zoned)


def disordered(seed: int, count: int = 250) -> list[Row]:
    """Bursts of a few keys, seconds apart, many rows behind; times on a grid so that gaps are met exactly."""
    rng = random.Random(seed)
    now, rows = 0, []
    for n in range(count):
        now += rng.choice([0, 1, 1, 2, 5, 6, 0, 11 if n % 17 == 0 else 0])
        ts = (now - rng.choice([0, 0, 0, 1, 4, 5, 8, 20])) * SECOND
        rows.append({"k": rng.choice(["a", "b", None]), "v": rng.randint(0, 9), "ts": ts})
    return rows


def expected(rows: Sequence[Row]) -> tuple[list[tuple[object, int, int, int]], list[int]]:
    """Each key alone, row by row in order of arrival: the sessions with their counts; the late rows."""
    found: dict[tuple[object, int, int], int] = {}
    late = []
    for key in {r["k"] for r in rows}:
        own = [r for r in rows if r["k"] == key]
        fates = resolved([r["ts"] for r in own], [r[WATERMARK] + 1000 for r in own], GAP)
        for row, fate in zip(own, fates, strict=True):
            if fate is None:
                late.append(row[SEQ])
            else:
                found[(key, *fate)] = found.get((key, *fate), 0) + 1
    return sorted(((*k, n) for k, n in found.items()), key=repr), sorted(late)


def micros(time: datetime.datetime) -> int:
    return (time - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("delay_us", [0, 3 * SECOND])
def test_late_rows_join_what_is_open(database: Database, seed: int, delay_us: int) -> None:
    rows = stamped(disordered(seed), delay_us)
    wanted, late = expected(rows)
    assert late
    for most in (1, 10, 1000):
        opened = Database()
        chain = Chain(counted(sessions()), opened)
        out = chain.run(rows, random.Random(most), most, delay_us)
        found = [(r["k"], micros(r["window_start"]), micros(r["window_end"]), r["n"]) for r in out]
        assert sorted(found, key=repr) == wanted
        assert sorted(chain.side.late_seqs) == late
        assert chain.operators[0].statistics() == {"state_rows": 0, "late_rows": len(late)}
        opened.close()


@pytest.mark.parametrize("partition", [("k",), ()], ids=["keyed", "global"])
def test_the_sum_of_steps_is_the_relation(database: Database, partition: tuple[str, ...]) -> None:
    rows = stamped(disordered(11), 1000 * SECOND)
    for node in (counted(sessions(partition), keyed=bool(partition)), sessions(partition)):
        wanted = bag(meaning(node, database, rows))
        for most in (1, 20, 1000):
            assert bag(ran(node, rows, most, 1000 * SECOND)) == wanted


def test_sessions_close_one_by_one(database: Database) -> None:
    chain = Chain(counted(sessions()), database)
    rows = stamped([{"k": "a", "v": 1, "ts": t * SECOND} for t in (1, 6, 12)], 100 * SECOND)
    chain.step(rows)
    chain.advance(11 * SECOND - 1001)
    assert chain.rows() == []
    chain.advance(11 * SECOND - 1000)
    assert [(r["n"], micros(r["window_end"]) // SECOND) for r in chain.rows()] == [(2, 11)]
    chain.advance(MAX_WATERMARK)
    assert [r["n"] for r in chain.rows()] == [2, 1]


def test_rows_come_with_their_own_watermark_and_name(database: Database) -> None:
    chain = Chain(sessions(), database)
    chain.step(stamped([{"k": "a", "v": 1, "ts": t * SECOND} for t in (1, 3)]))
    chain.advance(MAX_WATERMARK)
    (table,) = chain.out
    assert table.schema.remove_metadata() == sessions().batch_schema()
    assert table.column(SEQ).to_pylist() == [0, 1]
    assert table.column("window_time").to_pylist() == [datetime.datetime(1970, 1, 1, 0, 0, 7, 999000)] * 2


def test_state_is_found_again(database: Database) -> None:
    rows = stamped(disordered(3), 2 * SECOND)
    wanted, late = expected(rows)
    found, reported = [], []
    for start in range(0, len(rows), 25):
        chain = Chain(counted(sessions()), database)
        chain.step(rows[start:start + 25])
        chain.advance(max(r["ts"] for r in rows[:start + 25]) - 2 * SECOND)
        found += chain.rows()
        reported += chain.side.late_seqs
    chain = Chain(counted(sessions()), database)
    chain.advance(MAX_WATERMARK)
    found += chain.rows()
    reported += chain.side.late_seqs
    tuples = [(r["k"], micros(r["window_start"]), micros(r["window_end"]), r["n"]) for r in found]
    assert sorted(tuples, key=repr) == wanted
    assert sorted(reported) == late


def test_rows_taken_back_leave_the_session(database: Database) -> None:
    source = session_assign(leaf(changelog=True), Session(GAP), "ts", ["k"], zone="UTC")
    chain = Chain(counted(source), database)
    row = {"k": "a", "v": 4, "ts": SECOND}
    chain.step(stamped([{**row, DIFF: 1}, {**row, "v": 2, DIFF: 1}, {**row, DIFF: -1}], 100 * SECOND))
    chain.advance(MAX_WATERMARK)
    assert [(r["n"], r["s"]) for r in chain.rows()] == [(1, 2)]


def test_a_row_without_rowtime_is_an_error_without_effect(database: Database) -> None:
    chain = Chain(sessions(), database)
    with pytest.raises(DataError, match="rowtime is NULL"):
        chain.step(stamped([{"k": "a", "v": 1, "ts": 1}, {"k": "a", "v": 1, "ts": None}]))
    assert chain.operators[0].statistics()["state_rows"] == 0


def test_local_time(database: Database) -> None:
    """Sessions are of wall time; the repeated hour closes with its second run."""
    node = counted(sessions(zoned=True, zone="America/New_York"))
    first = micros(datetime.datetime(2024, 11, 3, 5, 59, 58))  # 01:59:58 EDT, before 01:00 EST
    rows = stamped([{"k": "a", "v": 1, "ts": first + t * SECOND} for t in (0, 3, 3600, 3603, 3700)])
    out = [ran(node, rows, most) for most in (1, 2, 10)]
    assert out[0] == out[1] == out[2]
    ends = {(r["window_end"].hour, r["window_end"].minute, r["window_end"].second): r["n"] for r in out[0]}
    assert ends == {(2, 0, 6): 3, (1, 0, 6): 1, (2, 1, 43): 1}


def test_explain() -> None:
    assert sessions().explain().details == (
        ("function", "SESSION(gap 5 s)"), ("rowtime", "ts"), ("partition by", "k"),
        ("emits", "the rows of a session, when it closes"))
    assert sessions().holds_state()

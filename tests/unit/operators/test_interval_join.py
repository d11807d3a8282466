"""Interval joins: any cut and interleaving of punctual rows gives DuckDB's batch answer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamsql.core.batch import MAX_WATERMARK, MIN_WATERMARK, SEQ, WATERMARK
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context, Operator
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.types import BIGINT, STRING, timestamp
from streamsql.operators._matching import Matching
from streamsql.operators.interval_join import IntervalJoin
from streamsql.operators.join import JoinKind
from streamsql.state.database import Database
from tests.unit.operators.driving import SECOND, Row, Side, bag, batch, leaf, stamped

L = leaf(name="l")
R = leaf(Column("k2", STRING), Column("w", BIGINT), Column("ts2", timestamp(3), "rowtime"), name="r")
KINDS: tuple[JoinKind, ...] = ("INNER", "LEFT", "RIGHT", "FULL")


@pytest.fixture
def database() -> Iterator[Database]:
    opened = Database()
    yield opened
    opened.close()


def interval_join(kind: JoinKind, low: int, high: int, *, keyed: bool = True, residual: str = "") -> IntervalJoin:
    columns = [Column(c.name, c.type.as_nullable(), c.time) for c in (*L.schema, *R.schema)]
    keys = (('"k"', '"k2"'),) if keyed else ()
    condition = " AND ".join([*(['"k" = "k2"'] if keyed else []), *([residual] if residual else [])]) or None
    guards = ('"k" IS NOT NULL', '"k2" IS NOT NULL') if keyed else (None, None)
    texts = tuple((c.name, quote(c.name)) for c in columns)
    return IntervalJoin((L, R), Schema(tuple(columns)), True, (WATERMARK, SEQ), kind, Matching(keys, condition, guards),
                        texts, ("ts", "ts2"), low * SECOND, high * SECOND)


class Driven:
    """An interval join fed by two streams of one partition each."""

    def __init__(self, node: IntervalJoin, database: Database, name: str = "j") -> None:
        self.side = Side()
        self.rows: list[Row] = []
        self.operator: Operator = node.operator(Context(name, database, ManualClock(), self.side))
        self.marks = [MIN_WATERMARK, MIN_WATERMARK]
        self.emitted = MIN_WATERMARK

    def take(self, out: object) -> None:
        if out is not None:
            rows = out.table.to_pylist()  # type: ignore[attr-defined]
            for row in rows:
                times = [int(row[t].timestamp() * 1e6) for t in ("ts", "ts2") if row[t] is not None]
                assert min(times, default=MAX_WATERMARK) > min(self.emitted, row[WATERMARK])
            self.rows += [{k: v for k, v in row.items() if not k.startswith("$")} for row in rows]

    def step(self, port: int, rows: Sequence[Row]) -> None:
        if not rows:
            return
        self.take(self.operator.step(port, batch((L, R)[port], rows)))
        self.reach(port, max(self.marks[port], max(r["ts" if port == 0 else "ts2"] for r in rows) - 1000))

    def reach(self, port: int, watermark: int) -> None:
        before = min(self.marks)
        self.marks[port] = watermark
        self.operator.watermark(port, watermark)
        if min(self.marks) > before:
            self.take(self.operator.advance(min(self.marks)))
            self.emitted = self.operator.emitted(min(self.marks))

    def end(self) -> list[Row]:
        self.reach(0, MAX_WATERMARK)
        self.reach(1, MAX_WATERMARK)
        assert self.operator.statistics()["state_rows"] == 0
        return self.rows


@st.composite
def inputs(draw: st.DrawFn) -> tuple[list[Row], list[Row], int]:
    """Rows of both sides, in the order of their times, and a seed for how they are cut."""
    sides = []
    for names in (("k", "v", "ts"), ("k2", "w", "ts2")):
        times = sorted(draw(st.lists(st.integers(1, 30), max_size=12)))
        sides.append([dict(zip(names, (draw(st.sampled_from(["a", "b", None])), draw(st.integers(0, 3)), t * SECOND),
                               strict=True)) for t in times])
    return sides[0], sides[1], draw(st.integers(0, 1000))


def expected(node: IntervalJoin, database: Database, left: list[Row], right: list[Row]) -> list[str]:
    for side, rows in ((L, left), (R, right)):
        named = [{**r, WATERMARK: 0, SEQ: 0} for r in rows]
        database.over(side.name, side.schema.arrow()).set(batch(side, named).table.select(list(side.schema.names)))
    return bag(database.query(node.relation([quote("l"), quote("r")])).to_pylist())


@settings(max_examples=150, deadline=None)
@given(inputs(), st.sampled_from(KINDS), st.integers(-6, 6), st.integers(-1, 8), st.booleans(), st.booleans())
def test_the_sum_of_all_changes_is_the_batch_answer(
    given_: tuple[list[Row], list[Row], int], kind: JoinKind, low: int, width: int, keyed: bool, residual: bool
) -> None:
    left, right, seed = given_
    rng = random.Random(seed)
    database = Database()
    try:
        node = interval_join(kind, low, low + width, keyed=keyed, residual='"v" <= "w"' if residual else "")
        driven = Driven(node, database)
        waiting = [_strict(left, "ts"), _strict(right, "ts2")]
        while any(waiting):
            port = rng.randrange(2)
            cut = rng.randint(1, 4)
            driven.step(port, waiting[port][:cut])
            waiting[port] = waiting[port][cut:]
        assert bag(driven.end()) == expected(node, database, left, right)
    finally:
        database.close()


def _strict(rows: Sequence[Row], time: str) -> list[Row]:
    """Rows of one time are behind a watermark a millisecond earlier: none is late."""
    return [{k: v for k, v in r.items() if k != "ts" or time == "ts"}
            for r in stamped([{**r, "ts": r[time]} for r in rows], delay_us=1000)]

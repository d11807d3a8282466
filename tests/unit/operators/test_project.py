"""Projections and window functions: stateless nodes become one statement."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace

import pytest

from streamsql.core.batch import SEQ, WATERMARK
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context, fuse
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.types import BIGINT, STRING
from streamsql.errors import DataError
from streamsql.operators.project import Project
from streamsql.operators.window import window_assign
from streamsql.state.database import Database
from streamsql.windows.hop import Hop
from tests.unit.operators.driving import SECOND, Side, bag, batch, leaf, meaning, ran, stamped


@pytest.fixture
def database() -> Iterator[Database]:
    opened = Database()
    yield opened
    opened.close()


T = leaf()
DOUBLED = Project((T,), Schema((Column("w", BIGINT), Column("k", STRING))), True, T.hidden,
                  (("w", '"v" * 2'), ("k", quote("k"))), '"v" > 1')
SUMMED = Project((DOUBLED,), Schema((Column("x", BIGINT),)), True, T.hidden, (("x", '"w" + 1'),), None)
ROWS = stamped([{"k": "a", "v": v, "ts": v * SECOND} for v in range(6)])


def test_a_chain_is_one_statement(database: Database) -> None:
    fused = fuse(SUMMED)
    assert fused.source is T
    assert fused.chain == (DOUBLED, SUMMED)
    operator = SUMMED.operator(Context("p", database, ManualClock(), Side()))
    out = operator.step(0, batch(T, ROWS))
    assert out is not None
    assert out.table.column("x").to_pylist() == [5, 7, 9, 11]
    assert out.table.column(SEQ).to_pylist() == [2, 3, 4, 5]
    assert out.table.schema.remove_metadata() == SUMMED.batch_schema()
    assert not out.may_be_late
    assert operator.step(0, batch(T, ROWS[:2])) is None
    assert operator.statistics() == {"rows_out": 4}


def test_the_sum_of_steps_is_the_relation(database: Database) -> None:
    assert bag(ran(SUMMED, ROWS, 2)) == bag(meaning(SUMMED, database, ROWS))


def test_a_refused_value_is_a_data_error(database: Database) -> None:
    cast = Project((T,), Schema((Column("n", BIGINT),)), True, T.hidden, (("n", 'CAST("k" AS BIGINT)'),))
    operator = cast.operator(Context("p", database, ManualClock(), Side()))
    with pytest.raises(DataError):
        operator.step(0, batch(T, ROWS))
    assert operator.step(0, batch(T, [{**ROWS[0], "k": "7"}])) is not None


def test_a_window_function_passes_late_rows_and_repeats_rows(database: Database) -> None:
    node = window_assign(T, Hop(5 * SECOND, 10 * SECOND), "ts", zone="UTC")
    rows = stamped([{"k": "a", "v": 1, "ts": t * SECOND} for t in (21, 4)])
    rows.append({"k": "a", "v": 2, "ts": None, WATERMARK: 0, SEQ: 9})
    operator = node.operator(Context("w", database, ManualClock(), Side()))
    out = operator.step(0, batch(T, rows))
    assert out is not None
    assert out.may_be_late
    assert out.table.schema.remove_metadata() == node.batch_schema()
    epoch = datetime.datetime(1970, 1, 1)
    ends = [(t - epoch).total_seconds() for t in out.table.column("window_end").to_pylist()]
    assert sorted(ends) == [5, 10, 25, 30]
    assert node.schema["window_time"].time == "rowtime"
    assert node.schema["ts"].time == ""
    assert node.explain().title == "Window"


def test_unread_columns_may_be_left_out(database: Database) -> None:
    node = window_assign(T, Hop(5 * SECOND, 10 * SECOND), "ts", zone="UTC")
    kept = Schema(tuple(c for c in node.schema if c.name in ("v", "window_end")))
    out = ran(replace(node, schema=kept), ROWS[:1], 1)
    assert [set(row) for row in out] == [{"v", "window_end"}] * 2


def test_explain_shows_what_is_computed() -> None:
    assert DOUBLED.explain().details == (("w", '"v" * 2'), ("where", '"v" > 1'))

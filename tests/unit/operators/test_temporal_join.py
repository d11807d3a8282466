"""Temporal joins: the end of a version holds against older versions that come late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from streamsql.core.batch import DIFF, MIN_WATERMARK, SEQ, WATERMARK
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.types import BIGINT, STRING, timestamp
from streamsql.operators._matching import Matching
from streamsql.operators.temporal_join import TemporalJoin
from streamsql.state.database import Database
from tests.unit.operators.driving import SECOND, Side, batch, leaf

L = leaf(name="l")
R = leaf(Column("k2", STRING), Column("w", BIGINT), Column("ts2", timestamp(3), "rowtime"), name="r", changelog=True)


@pytest.fixture
def database() -> Iterator[Database]:
    opened = Database()
    yield opened
    opened.close()


class Driven:
    """A temporal join whose inputs share one watermark, in seconds."""

    def __init__(self, database: Database, settings: Mapping[str, str]) -> None:
        matching = Matching((('"k"', '"k2"'),), '("k" = "k2")', ('"k" IS NOT NULL', '"k2" IS NOT NULL'))
        columns = (Column("v", BIGINT), Column("w", BIGINT))
        node = TemporalJoin((L, R), Schema(columns), True, (WATERMARK, SEQ), True, (('"k"', '"k2"'),), matching,
                            tuple((c.name, quote(c.name)) for c in columns), ("ts", "ts2"))
        self.operator = node.operator(Context("j", database, ManualClock(), Side(), settings=settings))
        self.watermark, self.seq = MIN_WATERMARK, 0

    def right(self, diff: int, w: int, at: int) -> None:
        self._step(1, {"k2": "a", "w": w, "ts2": at * SECOND, DIFF: diff})

    def _step(self, port: int, row: dict[str, Any]) -> None:
        self.seq += 1
        self.operator.step(port, batch((L, R)[port], [{**row, WATERMARK: self.watermark, SEQ: self.seq}]))

    def version(self, at: int) -> int | None:
        """The version of a left row of that time, which becomes the watermark."""
        self._step(0, {"k": "a", "v": 0, "ts": at * SECOND})
        self.watermark = at * SECOND
        for port in (0, 1):
            self.operator.watermark(port, self.watermark)
        out = self.operator.advance(self.watermark)
        assert out is not None
        found: list[int | None] = out.table.column("w").to_pylist()
        assert len(found) == 1
        return found[0]


def test_an_older_version_that_comes_late_is_not_valid_again(database: Database) -> None:
    driven = Driven(database, {})
    driven.right(1, 1, 10)
    assert driven.version(15) == 1
    driven.right(-1, 1, 20)
    assert driven.version(30) is None
    driven.right(1, 5, 12)
    assert driven.version(31) is None
    driven.right(1, 6, 25)
    assert driven.version(40) == 6, "it is later than the deletion"
    driven.right(1, 7, 24)
    assert driven.version(41) == 6
    assert driven.operator.statistics()["state_rows"] == 1


def test_a_deletion_is_forgotten_when_its_time_to_live_has_passed(database: Database) -> None:
    driven = Driven(database, {"table.exec.state.ttl": "1 min"})
    driven.right(1, 1, 10)
    driven.right(-1, 1, 20)
    assert driven.version(30) is None
    assert driven.operator.statistics()["state_rows"] == 1
    driven.operator.tick(30 * SECOND)
    assert driven.operator.statistics()["state_rows"] == 1
    driven.operator.tick(10**16)
    assert driven.operator.statistics()["state_rows"] == 0

"""Updating aggregates: histories of rows that come and go, cut and restarted anywhere, against DuckDB's answer
over the rows that are left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamsql.aggregates import Aggregate, bind
from streamsql.core.batch import DIFF, SEQ, WATERMARK
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context, Operator
from streamsql.core.schema import Column, Schema
from streamsql.core.types import BIGINT, BOOLEAN, INT, STRING
from streamsql.operators.group_aggregate import GroupAggregate
from streamsql.state.database import Database
from streamsql.values.typed import Typed
from tests.unit.operators.driving import Row, Side, batch, leaf, meaning, typed

K, V = Column("k", STRING), Column("v", BIGINT)
v, text = typed("v"), Typed("CAST(\"v\" AS VARCHAR)", STRING)
ODD = Typed('("v" % 2 <> 0)', BOOLEAN)
SMALL = Typed('CAST("v" % 1000 AS INTEGER)', INT)

CALLS: dict[str, Aggregate] = {
    "count": bind("COUNT", []),
    "count_v": bind("COUNT", [v], filter=ODD),
    "sum": bind("SUM", [v]),
    "avg": bind("AVG", [SMALL]),
    "min": bind("MIN", [v]),
    "max": bind("MAX", [v]),
    "max_odd": bind("MAX", [v], filter=ODD),
    "max_distinct": bind("MAX", [text], distinct=True),
    "distinct": bind("COUNT", [v], distinct=True),
    "distinct_odd": bind("COUNT", [v], distinct=True, filter=ODD),
    "sum_distinct": bind("SUM", [v], distinct=True),
    "avg_distinct": bind("AVG", [v], distinct=True),
    "approximate": bind("APPROX_COUNT_DISTINCT", [text]),
    "variance": bind("VAR_POP", [SMALL]),
    "variance_distinct": bind("STDDEV_SAMP", [SMALL], distinct=True),
    "every": bind("BOOL_AND", [ODD]),
    "some": bind("BOOL_OR", [ODD], distinct=True),
    "bits": bind("BIT_XOR", [v], distinct=True),
    "median": bind("MEDIAN", [v]),
    "first": bind("FIRST_VALUE", [v]),
    "last": bind("LAST_VALUE", [v], filter=ODD),
    "list": bind("ARRAY_AGG", [v]),
    "texts": bind("LISTAGG", [text]),
    "texts_distinct": bind("LISTAGG", [text], distinct=True),
    "collected": bind("COLLECT", [v]),
}
SETS: list[tuple[tuple[int, ...], ...]] = [(), ((0,), ()), ((), (0,), (0,))]

Change = tuple[str | None, int | None, bool]
CHANGES = st.lists(st.lists(st.tuples(
    st.sampled_from(["a", "b", None]), st.sampled_from([None, -3, -2, 0, 1, 2, 3, 2**62]), st.booleans()), max_size=8),
    max_size=8)


def node_of(names: Sequence[str], *, changelog: bool, keyed: bool = True,
            sets: tuple[tuple[int, ...], ...] = ()) -> GroupAggregate:
    calls = tuple((name, CALLS[name]) for name in names)
    keys = (("k", '"k"'),) if keyed else ()
    groupings = (("g", (0,)),) if sets else ()
    columns = [*([K] if keyed else []), *(Column(name, call.type) for name, call in calls)]
    schema = Schema((*columns, *(Column(name, BIGINT) for name, _ in groupings)))
    return GroupAggregate((leaf(K, V, changelog=changelog),), schema, False, (DIFF,), keys, calls, sets, groupings)


class Trial:
    """An operator over a history: what is left of its changes, and the rows that are left of its input."""

    def __init__(self, node: GroupAggregate, path: Path | None = None) -> None:
        self.node, self.path = node, path
        self.left: list[Row] = []
        self.shown: Counter[str] = Counter()
        self._seq = 0
        self._oracle = Database()
        self.operator = self._open()

    def _open(self) -> Operator:
        self.database = Database(self.path)
        self.database.begin()
        return self.node.operator(Context("op", self.database, ManualClock(), Side()))

    def restart(self) -> None:
        self.database.commit()
        self.database.close()
        self.operator = self._open()

    def step(self, changes: Sequence[Change]) -> None:
        rows = [row for change in changes if (row := self._row(*change)) is not None]
        if not rows:
            return
        out = self.operator.step(0, batch(self.node.inputs[0], rows))
        seen: Counter[str] = Counter()
        for row in out.table.to_pylist() if out is not None else ():
            diff = row.pop(DIFF)
            seen[_shown(row)] += diff
            self.shown[_shown(row)] += diff
        assert all(seen.values()), "an unchanged row was emitted"

    def _row(self, k: str | None, value: int | None, comes: bool) -> Row | None:
        """A change that can be: a row goes only while it is there, and the first of equal rows goes."""
        known = next((r for r in self.left if (r["k"], r["v"]) == (k, value)), None)
        if not comes and (known is None or self.node.inputs[0].append_only):
            return None
        row: Row = {"k": k, "v": value, WATERMARK: 0, SEQ: self._seq, DIFF: 1 if comes else -1}
        self._seq += 1
        if comes:
            self.left.append(row)
        else:
            assert known is not None
            self.left.remove(known)
        return row

    def close(self) -> None:
        self.database.close()
        self._oracle.close()

    def check(self) -> None:
        rows = meaning(self.node, self._oracle, [{**r, DIFF: 1} for r in self.left]) if self.left else []
        expected = Counter(_shown(row) for row in rows)
        assert +self.shown == expected
        assert not -self.shown


def _shown(row: dict[str, Any]) -> str:
    return repr(sorted(row.items()))


@pytest.mark.parametrize("changelog", [False, True], ids=["append", "changes"])
@pytest.mark.parametrize("sets", SETS, ids=["plain", "sets", "same_set_twice"])
@given(history=CHANGES, names=st.lists(st.sampled_from(sorted(CALLS)), max_size=4, unique=True))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_changes_sum_to_the_answer_over_the_rows_that_are_left(
    changelog: bool, sets: tuple[tuple[int, ...], ...], history: list[list[Change]], names: list[str],
) -> None:
    if sets:  # which of equal values goes first is told by the group, which is of other rows here
        names = [name for name in names if not CALLS[name].listed]
    trial = Trial(node_of(names, changelog=changelog, sets=sets))
    for changes in history:
        trial.step(changes)
        trial.check()
    trial.close()


@pytest.mark.parametrize("name", sorted(CALLS))
def test_each_aggregate_alone_row_by_row(name: str) -> None:
    trial = Trial(node_of([name], changelog=True, keyed=False))
    for comes in (True, True, False, True, False, False):
        for value in (1, None, 3, 2, 1):
            trial.step([(None, value, comes)])
            trial.check()
    assert not +trial.shown, "the last row takes the result with it"
    trial.close()


def test_it_goes_on_after_a_restart_where_it_was(tmp_path: Path) -> None:
    trial = Trial(node_of(["count", "max", "distinct", "texts", "sum_distinct"], changelog=True), tmp_path / "state")
    for turn in range(6):
        for value in range(5):
            trial.step([("ab"[value % 2], value * turn % 4, turn % 3 != 2), ("c", value, True)])
        trial.check()
        trial.restart()
    trial.close()


def test_groups_whose_keys_have_one_hash_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("_group_parts", "_group_values"):
        monkeypatch.setattr(f"streamsql.operators.{module}.key_of", lambda texts: "CAST(7 AS UBIGINT)")
    trial = Trial(node_of(["count", "max", "distinct", "list"], changelog=True))
    for comes in (True, True, False):
        for key in ("a", "b", None):
            trial.step([(key, 1, comes), (key, 2, comes)])
            trial.check()
    trial.close()


def test_a_group_that_was_not_used_for_its_time_to_live_begins_anew() -> None:
    clock = ManualClock()
    database = Database()
    made = node_of(["count", "distinct", "list"], changelog=True)
    context = Context("op", database, clock, Side(), {"table.exec.state.ttl": "10 s"})
    operator = made.operator(context)

    def step(key: str) -> list[Row]:
        row = {"k": key, "v": 1, WATERMARK: 0, SEQ: 0, DIFF: 1}
        out = operator.step(0, batch(made.inputs[0], [row]))
        return out.table.to_pylist() if out is not None else []

    step("a")
    step("b")
    clock.advance_us(6_000_000)
    operator.tick(clock.now_us())
    assert [r["count"] for r in step("a")] == [1, 2]
    clock.advance_us(6_000_000)
    operator.tick(clock.now_us())
    assert [r["count"] for r in step("a")] == [2, 3]
    assert [(r["count"], r["distinct"], r["list"]) for r in step("b")] == [(1, 1, [1])]
    clock.advance_us(60_000_000)
    operator.tick(clock.now_us())
    assert operator.statistics()["state_rows"] == 0
    database.close()

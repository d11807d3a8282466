"""Joins of every kind over random changelogs: the sum of the changes is what DuckDB answers at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamsql.core.batch import DIFF, SEQ, WATERMARK, Batch
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context, Node
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.types import BIGINT, STRING
from streamsql.errors import DataError
from streamsql.operators._matching import Matching
from streamsql.operators.join import Join, JoinKind
from streamsql.operators.semi_join import SemiJoin
from streamsql.operators.single_value import SingleValue
from streamsql.state.database import Database
from tests.unit.operators.driving import Leaf, Side, leaf

KEYS = (('"k"', '"r"'),)
EQUAL, BEYOND, NONE = '("k" = "r")', '("k" = "r") AND ("w" > "v")', '("w" > "v")'
NOT_NULL = ('"k" IS NOT NULL', '"r" IS NOT NULL')
MATCHINGS = {
    "equal": Matching(KEYS, EQUAL, NOT_NULL),
    "beyond": Matching(KEYS, BEYOND, NOT_NULL),
    "guarded": Matching(KEYS, EQUAL, ('"k" IS NOT NULL AND "v" > 1', '"r" IS NOT NULL AND "w" < 3')),
    "null safe": Matching(KEYS, '("k" IS NOT DISTINCT FROM "r")', (None, None)),
    "no keys": Matching((), NONE, (None, None)),
    "always": Matching((), None, (None, None)),
}
COLUMNS = (Column("k", STRING), Column("v", BIGINT), Column("r", STRING), Column("w", BIGINT))

Change = tuple[int, int, str | None, int]
"""Port, +1 or -1, key, value."""


def sides(*, changing: bool) -> tuple[Leaf, Leaf]:
    return (leaf(Column("k", STRING), Column("v", BIGINT), changelog=changing, name="l"),
            leaf(Column("r", STRING), Column("w", BIGINT), changelog=changing, name="r"))


def joined(kind: str, how: str, *, changing: bool, where: str | None, kept: Sequence[str]) -> Node:
    inputs = sides(changing=changing)
    append_only = not changing and kind in ("INNER", "SEMI")
    hidden: tuple[str, ...] = () if append_only else (DIFF,)
    if kind in ("SEMI", "ANTI"):
        by_keys = how in ("equal", "guarded", "null safe", "always")
        semi = SemiJoin(inputs, inputs[0].schema, append_only, hidden, kind == "ANTI", MATCHINGS[how], by_keys)
        return semi.narrowed([c for c in kept if c in ("k", "v")])
    node = Join(inputs, Schema(COLUMNS), append_only, hidden, cast(JoinKind, kind), MATCHINGS[how],
                tuple((c.name, quote(c.name)) for c in COLUMNS), where)
    return node.narrowed(kept)


@st.composite
def histories(draw: st.DrawFn, *, changing: bool) -> list[Change]:
    """Rows that come on either side, and some of them go again."""
    rows = st.tuples(st.sampled_from((0, 1)), st.sampled_from(("a", "b", None)), st.integers(0, 4))
    history: list[Change] = []
    there: list[tuple[int, str | None, int]] = []
    for port, key, value in draw(st.lists(rows, max_size=25)):
        if changing and there and draw(st.booleans()):
            gone = there.pop(draw(st.integers(0, len(there) - 1)))
            history.append((gone[0], -1, *gone[1:]))
        history.append((port, 1, key, value))
        there.append((port, key, value))
    return history


def changes(node: Node, part: Sequence[Change]) -> Batch:
    shape = node.batch_schema()
    names = node.schema.names
    rows = [{names[0]: k, names[1]: v, DIFF: d, WATERMARK: 0, SEQ: 0} for _, d, k, v in part]
    return Batch(pa.Table.from_pylist([{f: row[f] for f in shape.names} for row in rows], shape))


def stepped(node: Node, history: Sequence[Change], cuts: set[int], database: Database) -> Counter[tuple[Any, ...]]:
    """The sum of what comes out where a batch ends at each port's change and at each cut."""
    operator = node.operator(Context("op", database, ManualClock(), Side()))
    total: Counter[tuple[Any, ...]] = Counter()
    start = 0
    for end in range(1, len(history) + 1):
        if end < len(history) and history[end][0] == history[start][0] and end not in cuts:
            continue
        port = history[start][0]
        out = operator.step(port, changes(node.inputs[port], history[start:end]))
        start = end
        if out is None:
            continue
        assert out.table.schema == node.batch_schema()
        seen: dict[tuple[Any, ...], set[int]] = {}
        for row in out.table.to_pylist():
            diff = row.pop(DIFF, 1)
            total[tuple(row.values())] += diff
            seen.setdefault(tuple(row.values()), set()).add(diff)
        assert all(len(signs) == 1 for signs in seen.values()), "a row left and came back unchanged"
        assert min(total.values(), default=0) >= 0, "a row was taken back that had not come"
    return +total


def answered(node: Node, history: Sequence[Change], database: Database) -> Counter[tuple[Any, ...]]:
    for port, source in enumerate(node.inputs):
        rows: Counter[tuple[str | None, int]] = Counter()
        for p, diff, key, value in history:
            if p == port:
                rows[key, value] += diff
        listed = list(rows.elements())
        shape = source.schema.arrow()
        given = database.over(f"all{port}", shape)
        given.set(pa.Table.from_arrays([pa.array([r[i] for r in listed], f.type) for i, f in enumerate(shape)],
                                       schema=shape))
    return Counter(tuple(r.values()) for r in database.query(node.relation(["all0", "all1"])).to_pylist())


@pytest.mark.parametrize("kind", ["INNER", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI"])
@given(data=st.data(), how=st.sampled_from(sorted(MATCHINGS)), changing=st.booleans(),
       where=st.sampled_from([None, '"v" > 1', '"w" IS NULL']),
       kept=st.sampled_from([("k", "v", "r", "w"), ("k", "r"), ("v",), ("w", "v")]))
@settings(max_examples=60, deadline=None)
def test_sum_of_changes_is_the_batch_answer(kind: str, data: st.DataObject, how: str, changing: bool,
                                            where: str | None, kept: tuple[str, ...]) -> None:
    node = joined(kind, how, changing=changing, where=where, kept=kept)
    history = data.draw(histories(changing=changing))
    cuts = data.draw(st.sets(st.integers(1, 50)))
    database = Database()
    try:
        assert stepped(node, history, cuts, database) == answered(node, history, database)
    finally:
        database.close()


def test_a_second_value_is_refused_and_leaves_no_trace() -> None:
    source = sides(changing=True)[0]
    node = SingleValue((source,), source.schema, False, source.hidden, ('"k"',))
    database = Database()
    try:
        operator = node.operator(Context("op", database, ManualClock(), Side()))
        operator.step(0, changes(source, [(0, 1, "a", 1), (0, 1, "b", 1)]))
        with pytest.raises(DataError, match="more than one row"):
            operator.step(0, changes(source, [(0, 1, "a", 2)]))
        out = operator.step(0, changes(source, [(0, 1, "a", 3), (0, -1, "a", 1)]))
        assert out is not None
        assert [r[DIFF] for r in out.table.to_pylist()] == [-1, 1]
    finally:
        database.close()


@pytest.mark.parametrize(("kind", "how"), [
    ("INNER", "equal"), ("LEFT", "equal"), ("SEMI", "equal"), ("SEMI", "beyond")])
def test_what_is_older_than_the_ttl_matches_no_more(kind: str, how: str) -> None:
    node = joined(kind, how, changing=True, where=None, kept=("k", "v", "r", "w"))
    database, clock = Database(), ManualClock()
    try:
        operator = node.operator(Context("op", database, clock, Side(), {"table.exec.state.ttl": "1 min"}))

        def step(port: int, key: str, value: int) -> list[dict[str, Any]]:
            out = operator.step(port, changes(node.inputs[port], [(port, 1, key, value)]))
            return [] if out is None else [r for r in out.table.to_pylist() if r.get("w", value) is not None]

        step(0, "a", 1)
        clock.advance_us(50_000_000)
        operator.tick(clock.now_us())
        assert len(step(1, "a", 2)) == 1, "it is not older yet"
        step(0, "b", 1)
        clock.advance_us(200_000_000)
        operator.tick(clock.now_us())
        assert operator.statistics()["state_rows"] == 0
        assert step(1, "b", 2) == [], "it is forgotten"
    finally:
        database.close()

"""UNION ALL: rows pass, and are late only against the least watermark of all inputs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streamsql.aggregates import bind
from streamsql.core.batch import DERIVED_SEQ, DIFF, MAX_WATERMARK, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context, Operator
from streamsql.core.schema import quote
from streamsql.operators.project import Project
from streamsql.operators.union import Union
from streamsql.operators.window import window_assign
from streamsql.operators.window_aggregate import window_aggregate
from streamsql.state.database import Database
from streamsql.windows.tumble import Tumble
from tests.unit.operators.driving import SECOND, Leaf, Row, Side, batch, leaf, stamped, typed


@pytest.fixture
def database() -> Iterator[Database]:
    opened = Database()
    yield opened
    opened.close()


A, B = leaf(name="a"), leaf(name="b")


def union(*inputs: Leaf | Project) -> Union:
    append_only = all(i.append_only for i in inputs)
    hidden = (WATERMARK, SEQ) if append_only else (DIFF, WATERMARK, SEQ)
    return Union(inputs, A.schema, append_only, hidden)


def run(node: Union, database: Database) -> Operator:
    return node.operator(Context("u", database, ManualClock(), Side()))


def reached(out: Batch | None) -> list[int]:
    assert out is not None
    return out.table.column(WATERMARK).to_pylist()  # type: ignore[no-any-return]


ROWS: list[Row] = [{"k": "a", "v": 1, "ts": 5, WATERMARK: w, SEQ: 1} for w in (3, 20)]


def test_the_watermark_of_a_row_is_the_least_of_all_inputs(database: Database) -> None:
    operator = run(union(A, B), database)
    assert reached(operator.step(0, batch(A, ROWS))) == [MIN_WATERMARK] * 2
    operator.watermark(1, 10)
    assert reached(operator.step(0, batch(A, ROWS))) == [3, 10]
    operator.watermark(1, MAX_WATERMARK)
    assert reached(operator.step(0, batch(A, ROWS))) == [3, 20]
    assert reached(operator.step(1, batch(B, ROWS))) == [MIN_WATERMARK] * 2


def test_inputs_of_one_source_do_not_lower_each_other(database: Database) -> None:
    """Their watermarks are one, and a batch reaches the ports one after the other."""
    some = Project((A,), A.schema, True, A.hidden, tuple((c, quote(c)) for c in A.schema.names), '"v" > 0')
    operator = run(union(A, some), database)
    assert reached(operator.step(0, batch(A, ROWS))) == [3, 20]
    assert reached(operator.step(1, batch(A, ROWS))) == [3, 20]
    three = run(union(A, some, B), database)
    three.watermark(2, 7)
    assert reached(three.step(0, batch(A, ROWS))) == [3, 7]


def test_a_changelog_and_constants_get_the_hidden_columns_they_lack(database: Database) -> None:
    changing = leaf(changelog=True, name="c")
    constant = Leaf((), A.schema, True, (), "constant")
    operator = run(union(A, changing, constant), database)
    first = operator.step(0, batch(A, ROWS))
    assert first is not None
    assert first.table.column(DIFF).to_pylist() == [1, 1]
    assert first.table.schema.remove_metadata() == union(A, changing).batch_schema()
    last = operator.step(2, batch(constant, ROWS))
    assert last is not None
    assert last.table.column(SEQ).to_pylist() == [DERIVED_SEQ] * 2
    assert operator.statistics() == {"rows_out": 4}


def test_projections_below_are_fused(database: Database) -> None:
    columns = (("k", quote("k")), ("v", '"v" * 2'), ("ts", quote("ts")))
    operator = run(union(Project((A,), A.schema, True, A.hidden, columns, '"v" > 1'), B), database)
    assert operator.step(0, batch(A, ROWS)) is None
    out = operator.step(0, batch(A, [{**ROWS[0], "v": 4}]))
    assert out is not None
    assert out.table.column("v").to_pylist() == [8]


def test_a_window_over_two_sources_closes_by_the_lesser(database: Database) -> None:
    """The recorded case `two_sources_union_window`: rows of a and b in turn, watermarks between."""
    both = union(A, B)
    assign = window_assign(both, Tumble(10 * SECOND), "ts", zone="UTC")
    node = window_aggregate(assign, [], [("s", bind("SUM", [typed("v")]))], start="window_start", end="window_end",
                            windows=[("window_end", "end")], zone="UTC", local_zoned=False)
    side = Side()
    merge, aggregate = (n.operator(Context(name, database, ManualClock(), side))
                        for n, name in ((both, "u"), (node, "w")))
    rows = {0: stamped([{"k": "a", "v": v, "ts": t * SECOND} for v, t in ((1, 1), (2, 25), (8, 4), (64, 9))]),
            1: stamped([{"k": "b", "v": v, "ts": t * SECOND} for v, t in ((4, 3), (16, 11), (32, 2), (128, 30))])}
    watermarks = [MIN_WATERMARK, MIN_WATERMARK]
    sums: list[object] = []

    def advance(to: int) -> None:
        out = aggregate.advance(to)
        sums.extend(out.table.column("s").to_pylist() if out else [])

    for port in (0, 0, 1, 0, 1, 1, 0, 1):
        row = rows[port].pop(0)
        out = merge.step(port, batch((A, B)[port], [row]))
        assert out is not None
        aggregate.step(0, out)
        watermarks[port] = max(watermarks[port], row["ts"])
        merge.watermark(port, watermarks[port])
        if min(watermarks) > MIN_WATERMARK:
            advance(min(watermarks))
    advance(MAX_WATERMARK)
    assert sums == [13, 16, 2, 128]


def test_relation_names_the_columns_in_order(database: Database) -> None:
    sql = union(A, B).relation(("(SELECT 1 AS v, 'x' AS k, 2 AS ts)", "(SELECT 'y' AS k, 3 AS v, 4 AS ts)"))
    assert database.query(sql).to_pylist() == [{"k": "x", "v": 1, "ts": 2}, {"k": "y", "v": 3, "ts": 4}]
    assert union(A, B).explain().details == (("inputs", "2"),)

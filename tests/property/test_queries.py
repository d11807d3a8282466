"""Law 3 for random queries: the sum of the changes is what DuckDB answers over all rows at once.

Operators are driven without connectors: a batch of a table goes straight into the dataflow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

import streamsql
from streamsql.core.batch import DIFF, MAX_WATERMARK, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Node, Operator
from streamsql.core.schema import quote
from streamsql.engine.dataflow import Dataflow, Vertex
from streamsql.errors import DataError, PlanError, Source
from streamsql.operators.collect import Collect
from streamsql.operators.scan import Scan
from streamsql.planner.relational import leaves
from streamsql.session import Session
from streamsql.sql import parse
from streamsql.sql import statements as statement
from streamsql.state.database import Database
from streamsql.testing.oracle import composed
from streamsql.values.macros import SETUP
from streamsql.values.udfs import register
from tests.property.generator import Change, Queries, Table, changes, table


class _NoSide:
    """Nothing is late or broken here."""

    def late(self, seq: Sequence[int], reason: str) -> None:
        raise AssertionError(reason)

    def error(self, seq: Sequence[int], reason: str) -> None:
        raise AssertionError(reason)


def _refuse(vertex: Vertex, batch: Batch, error: DataError) -> None:
    raise error


class Bench:
    """One session and two databases, used by all examples."""

    def __init__(self) -> None:
        self.session = Session({}, threaded=False)
        self.engine, self.oracle = Database(), Database()
        for database in (self.engine, self.oracle):
            register(database)
            for text in SETUP:
                database.everywhere(text)
        self._runs = 0

    def close(self) -> None:
        self.engine.close()
        self.oracle.close()

    def plan(self, tables: Sequence[Table], sql: str) -> Node:
        for made in tables:
            list(self.session.execute(f"DROP TABLE IF EXISTS {made.name}; {made.ddl()}"))
        select = parse(Source(sql))[0]
        assert isinstance(select, statement.Select)
        return self.session.planner.select(select).roots[0]

    def run(self, root: Node, batches: Sequence[tuple[Table, Sequence[Change]]]) -> Counter[tuple[Any, ...]]:
        """The rows left after all batches; a row that goes must have been there."""
        self._runs += 1
        left: Counter[tuple[Any, ...]] = Counter()

        def take(rows: pa.Table) -> None:
            diffs = rows.column(DIFF).to_pylist() if DIFF in rows.column_names else [1] * rows.num_rows
            visible = [c.to_pylist() for n, c in zip(rows.column_names, rows.columns, strict=True) if n != DIFF]
            for diff, row in zip(diffs, zip(*visible, strict=True), strict=True):
                left[row] += diff

        def make(name: str, node: Node) -> Operator | None:
            if isinstance(node, Scan):
                return None
            context = Context(f"e{self._runs}_{name}", self.engine, self.session.clock, _NoSide(), {})
            return node.bound(context, take) if isinstance(node, Collect) else node.operator(context)

        dataflow = Dataflow([Collect((root,), root.schema, root.append_only, ())], make, _refuse)
        seq = 0
        for made, given_rows in batches:
            for vertex in dataflow.sources():
                if isinstance(vertex.node, Scan) and vertex.node.name == made.name:
                    dataflow.push(vertex, Batch(_arrow(vertex.node, made, given_rows, seq)))
            seq += len(given_rows)
            assert all(count >= 0 for count in left.values()), "a row went that was not there"
        for vertex in dataflow.sources():
            dataflow.advance(vertex, MAX_WATERMARK)
        return Counter({row: count for row, count in left.items() if count})

    def answer(self, root: Node, tables: Sequence[Table], given_rows: Sequence[Sequence[Change]]
               ) -> Counter[tuple[Any, ...]]:
        """What DuckDB says of the rows that are there at the end."""
        names: dict[Node, str] = {}
        for index, leaf in enumerate(dict.fromkeys(leaves(root))):
            assert isinstance(leaf, Scan)
            made, of_table = next((t, c) for t, c in zip(tables, given_rows, strict=True) if t.name == leaf.name)
            there: Counter[tuple[Any, ...]] = Counter()
            for diff, row in of_table:
                there[row] += diff
            shape = leaf.schema.arrow()
            if not len(shape):
                shape = pa.schema([(made.columns[0], pa.int32())])  # DuckDB has no table without columns
            columns = list(zip(*there.elements(), strict=True)) or [()] * len(made.types)
            arrays = [pa.array(columns[made.columns.index(n)], shape.field(n).type) for n in shape.names]
            relation = self.oracle.over(f"leaf{index}", shape)
            relation.set(pa.Table.from_arrays(arrays, schema=shape))
            names[leaf] = quote(relation.name)
        found = self.oracle.query(composed(root, names))
        return Counter(zip(*(c.to_pylist() for c in found.columns), strict=True))


def _arrow(node: Scan, made: Table, rows: Sequence[Change], seq: int) -> pa.Table:
    """Changes as a batch of the table's Scan."""
    columns: dict[str, Sequence[Any]] = dict(zip(made.columns, zip(*(r for _, r in rows), strict=True), strict=True))
    columns |= {DIFF: [d for d, _ in rows], WATERMARK: [MIN_WATERMARK] * len(rows),
                SEQ: range(seq, seq + len(rows))}
    schema = node.batch_schema()
    return pa.Table.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


@dataclass(frozen=True)
class Example:
    """A query over two tables, and their changes in batches."""

    tables: tuple[Table, Table]
    sql: str
    batches: tuple[tuple[Table, tuple[Change, ...]], ...]


def example(random: Random) -> Example:
    tables = (table(random, "l"), table(random, "r"))
    part = Queries(random, tables).query(random.randint(1, 4))
    queues = [changes(random, t, random.randint(0, 12)) for t in tables]
    batches = []
    while any(queues):
        at = random.randrange(2)
        size = random.randint(1, 6)
        if queues[at]:
            batches.append((tables[at], tuple(queues[at][:size])))
            queues[at] = queues[at][size:]
    return Example(tables, part.sql, tuple(batches))


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def check(bench: Bench, random: Random) -> None:
    drawn = example(random)
    try:
        root = bench.plan(drawn.tables, drawn.sql)
    except PlanError as error:
        if "not built" not in str(error) and "not supported" not in str(error):
            raise AssertionError(f"{error}\n{drawn}") from error
        reject()
    except streamsql.StreamSQLError as error:
        raise AssertionError(f"{error}\n{drawn}") from error
    got = bench.run(root, drawn.batches)
    want = bench.answer(root, drawn.tables, [[c for t, cs in drawn.batches if t == made for c in cs]
                                             for made in drawn.tables])
    assert got == want, f"{drawn.tables}\n{drawn.sql}\n{drawn.batches}"


_CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large,
           HealthCheck.function_scoped_fixture]


@settings(max_examples=400, deadline=None, suppress_health_check=_CHECKS)
@given(random=st.randoms(use_true_random=False))
def test_changes_of_random_queries_sum_to_the_batch_answer(bench: Bench, random: Random) -> None:
    check(bench, random)


@pytest.mark.slow
@settings(max_examples=50_000, deadline=None, suppress_health_check=_CHECKS)
@given(random=st.randoms(use_true_random=False))
def test_changes_of_many_random_queries_sum_to_the_batch_answer(bench: Bench, random: Random) -> None:
    check(bench, random)

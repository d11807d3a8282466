"""Law 3 for random queries: the sum of the changes is what DuckDB answers over all rows at once.

Operators are driven without connectors: a batch of a table goes straight into the dataflow.

An example of hypothesis is one random query over random tables and one random history of the tables
that it reads: inserts, updates and deletes, cut at random into batches. The history is stopped at
`STOPS` points, and at each the sum of all changes so far is compared with DuckDB's answer over all
input so far. So an example is `STOPS` pairs of a query and an input; no two inputs are the same, as
there is a batch between any two stops. `make test` compares 2 040 pairs, `make test-all` 50 000 more.

Queries by a rowtime (windows, joins within an interval, OVER) are compared once a history, at the end
of time: what is open before that, DuckDB does not know of.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import streamsql
from streamsql.core.batch import DIFF, MAX_WATERMARK, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Node, Operator
from streamsql.core.schema import quote
from streamsql.engine.dataflow import Dataflow, Vertex
from streamsql.errors import DataError, Source
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
from tests.property.generator import DELAY_S, Change, Queries, Row, Table, changing, coming, table, timed_table

STOPS = 5
EPOCH = dt.datetime(1970, 1, 1)

History = Sequence[Sequence[tuple[Table, Sequence[Change]]]]
"""Batches of tables, between stops."""


class _NoSide:
    """Nothing is late or broken here."""

    def late(self, seq: Sequence[int], reason: str) -> None:
        raise AssertionError(reason)

    def error(self, seq: Sequence[int], reason: str) -> None:
        raise AssertionError(reason)


def _refuse(vertex: Vertex, batch: Batch, error: DataError) -> None:
    raise error


class Run:
    """The operators of one query, and the rows that their changes so far add up to."""

    def __init__(self, root: Node, name: str, engine: Database, session: Session) -> None:
        self._left: Counter[tuple[Any, ...]] = Counter()
        self._reached: dict[Table, int] = {}
        self._seq = 0

        def make(vertex: str, node: Node) -> Operator | None:
            if isinstance(node, Scan):
                return None
            context = Context(f"{name}_{vertex}", engine, session.clock, _NoSide(), {})
            return node.bound(context, self._take) if isinstance(node, Collect) else node.operator(context)

        self._dataflow = Dataflow([Collect((root,), root.schema, root.append_only, ())], make, _refuse)

    def _take(self, rows: pa.Table) -> None:
        diffs = rows.column(DIFF).to_pylist() if DIFF in rows.column_names else [1] * rows.num_rows
        visible = [c.to_pylist() for n, c in zip(rows.column_names, rows.columns, strict=True) if n != DIFF]
        for diff, row in zip(diffs, zip(*visible, strict=True), strict=True):
            self._left[row] += diff

    def push(self, made: Table, rows: Sequence[Change]) -> None:
        watermarks = self._watermarks(made, rows)
        for vertex in self._dataflow.sources():
            if isinstance(vertex.node, Scan) and vertex.node.name == made.name:
                self._dataflow.push(vertex, Batch(_arrow(vertex.node, made, rows, watermarks, self._seq)))
                self._dataflow.advance(vertex, watermarks[-1])
        self._seq += len(rows)
        assert all(count >= 0 for count in self._left.values()), "a row went that was not there"

    def _watermarks(self, made: Table, rows: Sequence[Change]) -> list[int]:
        """That before each row, and that after all."""
        watermarks = [self._reached.get(made, MIN_WATERMARK)]
        for _, row in rows:
            moment = row[-1]
            least = (moment - EPOCH) // dt.timedelta(microseconds=1) - DELAY_S * 1_000_000 \
                if isinstance(moment, dt.datetime) else MIN_WATERMARK
            watermarks.append(max(watermarks[-1], least))
        self._reached[made] = watermarks[-1]
        return watermarks

    def end(self) -> None:
        for vertex in self._dataflow.sources():
            self._dataflow.advance(vertex, MAX_WATERMARK)

    def rows(self) -> Counter[tuple[Any, ...]]:
        return Counter({row: count for row, count in self._left.items() if count})


class Whole:
    """What DuckDB says of a query over the rows that are there; prepared once."""

    def __init__(self, root: Node, name: str, oracle: Database, tables: Sequence[Table]) -> None:
        self._inputs = []
        names: dict[Node, str] = {}
        for index, leaf in enumerate(dict.fromkeys(leaves(root))):
            assert isinstance(leaf, Scan)
            made = next(t for t in tables if t.name == leaf.name)
            shape = leaf.schema.arrow()
            if not len(shape):
                shape = pa.schema([(made.columns[0], pa.int32())])  # DuckDB has no table without columns
            relation = oracle.over(f"{name}_leaf{index}", shape)
            names[leaf] = quote(relation.name)
            self._inputs.append((made, relation, shape))
        self._statement = oracle.compute(composed(root, names))

    def answer(self, there: Mapping[Table, Counter[Row]]) -> Counter[tuple[Any, ...]]:
        for made, relation, shape in self._inputs:
            columns = list(zip(*there[made].elements(), strict=True)) or [()] * len(made.all_columns)
            arrays = [pa.array(columns[made.all_columns.index(n)], shape.field(n).type) for n in shape.names]
            relation.set(pa.Table.from_arrays(arrays, schema=shape))
        return Counter(zip(*(c.to_pylist() for c in self._statement.run().columns), strict=True))


class Bench:
    """One session and two databases, used by many examples."""

    def __init__(self) -> None:
        self.session = Session({}, threaded=False)
        self._runs = 0
        self._open()

    def _open(self) -> None:
        self._engine, self._oracle = Database(), Database()
        for database in (self._engine, self._oracle):
            register(database)
            for text in SETUP:
                database.everywhere(text)

    def close(self) -> None:
        self._engine.close()
        self._oracle.close()

    def plan(self, tables: Sequence[Table], sql: str) -> Node:
        for made in tables:
            list(self.session.execute(f"DROP TABLE IF EXISTS {made.name}; {made.ddl()}"))
        select = parse(Source(sql))[0]
        assert isinstance(select, statement.Select)
        return self.session.planner.select(select).roots[0]

    def run(self, root: Node, name: str) -> Run:
        return Run(root, name, self._engine, self.session)

    def compare(self, root: Node, tables: Sequence[Table], history: History) -> None:
        """Run the history, and compare at each stop."""
        self._runs += 1
        if self._runs % 100 == 0:  # databases keep the inputs and statements of all queries
            self.close()
            self._open()
        run = self.run(root, f"q{self._runs}")
        whole = Whole(root, f"q{self._runs}", self._oracle, tables)
        there: dict[Table, Counter[Row]] = {made: Counter() for made in tables}
        for batches in history:
            for made, rows in batches:
                run.push(made, rows)
                for diff, row in rows:
                    there[made][row] += diff
            if not any(made.timed for made in tables):  # windows are open until the end
                assert run.rows() == whole.answer(there)
        run.end()
        assert run.rows() == whole.answer(there)


def _arrow(node: Scan, made: Table, rows: Sequence[Change], watermarks: Sequence[int], seq: int) -> pa.Table:
    """Changes as a batch of the table's Scan."""
    given_columns = zip(*(row for _, row in rows), strict=True)
    columns: dict[str, Sequence[Any]] = dict(zip(made.all_columns, given_columns, strict=True))
    columns |= {DIFF: [d for d, _ in rows], WATERMARK: watermarks[:-1],
                SEQ: range(seq, seq + len(rows))}
    schema = node.batch_schema()
    return pa.Table.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def history(random: Random, tables: Sequence[Table]) -> History:
    """Changes of the tables, cut into at least one batch between stops."""
    sources = [coming(random, made) if made.timed else changing(random, made) for made in tables]
    return [[(tables[at], tuple(islice(sources[at], random.randint(1, 5))))
             for at in (random.randrange(len(tables)) for _ in range(random.randint(1, 2)))]
            for _ in range(STOPS)]


def check(bench: Bench, random: Random, *, timed: bool = False) -> None:
    make = timed_table if timed else table
    tables = (make(random, "l"), make(random, "r"))
    queries = Queries(random, tables)
    sql = (queries.timed_query(random.randint(0, 2)) if timed else queries.query(random.randint(1, 4))).sql
    told = f"{'; '.join(t.ddl() for t in tables)};\n{sql}"
    try:
        root = bench.plan(tables, sql)
    except streamsql.StreamSQLError as error:
        raise AssertionError(f"{error}\n{told}") from error
    read = {leaf.name for leaf in leaves(root) if isinstance(leaf, Scan)}
    drawn = history(random, [t for t in tables if t.name in read])
    try:
        bench.compare(root, tables, drawn)
    except (AssertionError, streamsql.StreamSQLError) as error:
        raise AssertionError(f"{error}\n{told}\n{drawn}") from error


_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large,
           HealthCheck.function_scoped_fixture]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def many(bench: Bench, examples: int, number: int, *, timed: bool = False) -> None:
    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=_CHECKS)
    @given(random=st.randoms(use_true_random=False))
    def checked(random: Random) -> None:
        check(bench, random, timed=timed)

    checked()


@pytest.mark.parametrize("number", range(12))
def test_changes_of_random_queries_sum_to_the_batch_answer(bench: Bench, number: int) -> None:
    many(bench, 34, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1000, 1200))
def test_changes_of_many_random_queries_sum_to_the_batch_answer(bench: Bench, number: int) -> None:
    many(bench, 50, number)


@pytest.mark.parametrize("number", range(200, 202))
def test_changes_of_random_queries_by_time_sum_to_the_batch_answer(bench: Bench, number: int) -> None:
    many(bench, 40, number, timed=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2000, 2040))
def test_changes_of_many_random_queries_by_time_sum_to_the_batch_answer(bench: Bench, number: int) -> None:
    many(bench, 50, number, timed=True)

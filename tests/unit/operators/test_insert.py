"""Insert: a query's rows, cast and encoded for their sink."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from streamsql.core.batch import DIFF, Batch
from streamsql.core.clock import Clock, ManualClock
from streamsql.core.connector import MetadataColumn, SinkStatistics, TableSpec
from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.options import Options
from streamsql.core.schema import Column, Schema
from streamsql.core.types import BIGINT, INT, STRING
from streamsql.errors import DataError, InternalError
from streamsql.formats import json, raw
from streamsql.operators.insert import Encoded, Insert, InsertStep
from streamsql.state.database import Database
from tests.unit.scans import NoSide, columns, options


@dataclass(frozen=True)
class Given(Node):
    """A query whose batches the test makes."""

    def relation(self, inputs: Sequence[str]) -> str:
        return "SELECT * FROM given"

    def operator(self, context: Context) -> Operator:
        raise AssertionError("the test makes its batches")

    def explain(self) -> Explain:
        return Explain("Given")


@dataclass(frozen=True)
class Positive(Given):
    """`WHERE a > 0`, which whoever reads it inlines."""

    def stateless(self, relation: str) -> str:
        return f'SELECT * FROM {relation} WHERE "a" > 0'


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []

    def open(self, epoch: int, clock: Clock) -> None: ...

    def write(self, rows: pa.Table) -> None:
        self.tables.append(rows)

    def flush(self) -> None: ...

    def commit(self, epoch: int) -> None: ...

    def statistics(self) -> SinkStatistics:
        return SinkStatistics()

    def close(self) -> None: ...


QUERY = columns(a=INT, b=STRING)


def query(append_only: bool = True) -> Node:
    return Given((), QUERY, append_only, () if append_only else (DIFF,))


def spec(schema: Schema, **more: Any) -> TableSpec:
    return TableSpec("s", schema, Options({}), **more)


def typed(schema: Schema, casts: Sequence[str], node: Node | None = None, **more: Any) -> Insert:
    node = node or query()
    pairs = tuple(zip(schema.names, casts, strict=True))
    return Insert((node,), schema, node.append_only, (), spec(schema, encoded=False), "s", pairs, **more)


def batch(a: list[int | None], b: list[str | None], diff: list[int] | None = None) -> Batch:
    given = {"a": pa.array(a, pa.int32()), "b": pa.array(b, pa.string())}
    return Batch(pa.table(given | ({DIFF: pa.array(diff, pa.int32())} if diff else {})))


@contextmanager
def running(node: Insert) -> Iterator[tuple[InsertStep, Kept]]:
    database, sink = Database(), Kept()
    try:
        step = node.operator(Context("op1", database, ManualClock(), NoSide()))
        step.bind(sink)
        yield step, sink
    finally:
        database.close()


def test_a_typed_sink_gets_its_columns_in_its_types_and_order() -> None:
    with running(typed(columns(x=STRING, y=BIGINT), ['"b"', 'CAST("a" AS BIGINT)'])) as (step, sink):
        assert step.step(0, batch([1, None], ["p", "q"])) is None
        assert step.statistics() == {"rows": 2, "dropped": 0}
    [table] = sink.tables
    assert table.schema == pa.schema([("x", pa.string()), ("y", pa.int64())])
    assert table.to_pylist() == [{"x": "p", "y": 1}, {"x": "q", "y": None}]


def test_a_changelog_keeps_its_signs() -> None:
    with running(typed(columns(x=INT), ['"a"'], query(append_only=False))) as (step, sink):
        step.step(0, batch([1, 1], ["", ""], [1, -1]))
    assert sink.tables[0].to_pylist() == [{"x": 1, DIFF: 1}, {"x": 1, DIFF: -1}]


def test_stateless_nodes_below_are_part_of_the_statement() -> None:
    below = Positive((query(),), QUERY, True, ())
    with running(typed(columns(x=INT), ['"a"'], below)) as (step, sink):
        step.step(0, batch([-1, 2, 0], ["", "", ""]))
        step.step(0, batch([-1], [""]))
    assert [t.to_pylist() for t in sink.tables] == [[{"x": 2}]]


def test_value_key_and_metadata_are_encoded_in_one_go() -> None:
    physical = columns(k_id=INT, name=STRING)
    schema = Schema((*physical, Column("h", STRING)))
    value = Encoded(json.encoder(physical, options(json, {})), (("k_id", "k_id"), ("name", "name")))
    key = Encoded(json.encoder(columns(id=INT), options(json, {})), (("id", "k_id"),))
    table = spec(physical, metadata=(MetadataColumn("h", "headers", STRING),))
    casts = (("k_id", '"a"'), ("name", '"b"'), ("h", "'v' || \"b\""))
    with running(Insert((query(),), schema, True, (), table, "s", casts, value, key)) as (step, sink):
        step.step(0, batch([1, None], ["p", None]))
    assert sink.tables[0].schema.field("value").type == sink.tables[0].schema.field("key").type == pa.binary()
    assert sink.tables[0].to_pylist() == [
        {"$meta.headers": "vp", "value": b'{"k_id":1,"name":"p"}', "key": b'{"id":1}'},
        {"$meta.headers": None, "value": b'{"k_id":null,"name":null}', "key": b'{"id":null}'},
    ]


def test_a_format_that_ends_in_arrow_and_a_column_called_value() -> None:
    schema = columns(value=INT)
    part = Encoded(raw.encoder(schema, options(raw, {})), (("value", "value"),))
    with running(Insert((query(),), schema, True, (), spec(schema), "s", (("value", '"a"'),), part)) as (
        step,
        sink,
    ):
        step.step(0, batch([258, None], ["", ""]))
    assert sink.tables[0].to_pylist() == [{"value": b"\x00\x00\x01\x02"}, {"value": None}]


def test_null_in_a_not_null_column_is_an_error_before_anything_is_written() -> None:
    schema = columns(x=INT.not_null(), y=STRING)
    with running(typed(schema, ['"a"', '"b"'])) as (step, sink):
        with pytest.raises(DataError) as caught:
            step.step(0, batch([1, None], ["p", "q"]))
        assert str(caught.value) == (
            'column "x" of table "s" is NOT NULL and got NULL\n'
            "  hint: SET 'table.exec.sink.not-null-enforcer' = 'DROP' leaves such rows out."
        )
        assert sink.tables == []


def test_null_in_a_not_null_column_is_dropped_and_counted_if_asked() -> None:
    schema = columns(x=INT.not_null(), y=STRING)
    with running(typed(schema, ['"a"', '"b"'], not_null="drop")) as (step, sink):
        step.step(0, batch([1, None], ["p", "q"]))
        assert step.statistics() == {"rows": 1, "dropped": 1}
    assert sink.tables[0].to_pylist() == [{"x": 1, "y": "p"}]


def test_a_cast_that_refuses_a_value_writes_nothing_and_the_next_batch_goes() -> None:
    with running(typed(columns(x=INT), ['CAST("b" AS INTEGER)'])) as (step, sink):
        with pytest.raises(DataError, match="Could not convert string 'p'"):
            step.step(0, batch([1, 2], ["1", "p"]))
        step.step(0, batch([1], ["7"]))
    assert [t.to_pylist() for t in sink.tables] == [[{"x": 7}]]


def test_a_sink_must_be_there() -> None:
    database = Database()
    try:
        step = typed(columns(x=INT), ['"a"']).operator(Context("op1", database, ManualClock(), NoSide()))
        with pytest.raises(InternalError, match='insert into "s" has no sink'):
            step.step(0, batch([1], [""]))
    finally:
        database.close()


def test_what_explain_and_the_oracle_see() -> None:
    node = typed(columns(x=INT), ['"a"'])
    assert node.relation(['"q"']) == 'SELECT "a" AS "x" FROM "q"'
    assert node.explain().title == "Insert(s)"
    assert node.explain().details[0] == ("columns", "x INT")
    assert hash(node) == hash(typed(columns(x=INT), ['"a"']))

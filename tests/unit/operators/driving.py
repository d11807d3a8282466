"""Operators without an engine: a leaf node, its batches cut anywhere, and what comes out."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from streamsql.core.batch import DIFF, MAX_WATERMARK, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.types import BIGINT, DOUBLE, STRING, decimal, timestamp, timestamp_ltz
from streamsql.errors import InternalError
from streamsql.state.database import Database
from streamsql.values.typed import Typed

Row = dict[str, Any]
SECOND = 1_000_000


@dataclass(frozen=True)
class Leaf(Node):
    """A source whose batches the test makes."""

    name: str = "t"

    def relation(self, inputs: Sequence[str]) -> str:
        return f"SELECT * FROM {quote(self.name)}"

    def operator(self, context: Context) -> Operator:
        raise InternalError("a leaf does not run")

    def explain(self) -> Explain:
        return Explain("Leaf")


def leaf(*columns: Column, changelog: bool = False, name: str = "t", zoned: bool = False) -> Leaf:
    """k STRING, v BIGINT and a rowtime ts, unless told otherwise."""
    time = timestamp_ltz(3) if zoned else timestamp(3)
    columns = columns or (Column("k", STRING), Column("v", BIGINT), Column("ts", time, "rowtime"))
    hidden = (DIFF, WATERMARK, SEQ) if changelog else (WATERMARK, SEQ)
    return Leaf((), Schema(columns), not changelog, hidden, name)


KINDS = {"k": STRING, "v": BIGINT, "d": decimal(10, 2), "f": DOUBLE, "ts": timestamp(3)}


def typed(name: str) -> Typed:
    return Typed(quote(name), KINDS[name])


@dataclass
class Side:
    """Takes what was too late, by `$seq`."""

    late_seqs: list[int] = field(default_factory=list)

    def late(self, seq: Sequence[int], reason: str) -> None:
        self.late_seqs += seq

    def error(self, seq: Sequence[int], reason: str) -> None:
        raise AssertionError(reason)


def stamped(rows: Iterable[Row], delay_us: int = 0, split: int = 0) -> list[Row]:
    """Rows of one partition in offset order, each with the watermark just before it."""
    watermark, out = MIN_WATERMARK, []
    for offset, row in enumerate(rows):
        out.append({**row, WATERMARK: watermark, SEQ: split << 44 | offset})
        if row["ts"] is not None:
            watermark = max(watermark, row["ts"] - delay_us)
    return out


def batch(node: Node, rows: Sequence[Row]) -> Batch:
    schema = node.batch_schema()
    rows = [{DIFF: 1, **row} for row in rows]
    columns = [pa.array([r[f.name] for r in rows], pa.int64()).cast(f.type) if pa.types.is_timestamp(f.type)
               else pa.array([r[f.name] for r in rows], f.type) for f in schema]
    late = any(r["ts"] is not None and r["ts"] <= r[WATERMARK] for r in rows if "ts" in r)
    return Batch(pa.Table.from_arrays(columns, schema=schema), late)


def cuts(rows: Sequence[Row], rng: random.Random, most: int) -> Iterable[Sequence[Row]]:
    start = 0
    while start < len(rows):
        end = start + rng.randint(1, most)
        yield rows[start:end]
        start = end


class Chain:
    """A node and all below it, run as the engine runs them, over one leaf."""

    def __init__(self, node: Node, database: Database, name: str = "op") -> None:
        self.side = Side()
        self.out: list[pa.Table] = []
        self.operators: list[Operator] = []
        self.leaf = self._make(node, database, name)

    def _make(self, node: Node, database: Database, name: str) -> Node:
        if not node.inputs:
            return node
        below = self._make(fuse(node.inputs[0]).source, database, name + "i")
        self.operators.append(node.operator(Context(name, database, ManualClock(), self.side)))
        return below

    def _give(self, level: int, out: Batch | None) -> None:
        if out is None:
            return
        if level == len(self.operators):
            self.out.append(out.table)
        else:
            self._give(level + 1, self.operators[level].step(0, out))

    def step(self, rows: Sequence[Row]) -> None:
        self._give(0, batch(self.leaf, rows))

    def advance(self, watermark_us: int) -> None:
        for level, operator in enumerate(self.operators):
            operator.watermark(0, watermark_us)
            self._give(level + 1, operator.advance(watermark_us))

    def run(self, rows: Sequence[Row], rng: random.Random, most: int, delay_us: int = 0) -> list[Row]:
        """All rows, cut at random, then the end of input; what came out, hidden columns left out."""
        watermark = MIN_WATERMARK
        for part in cuts(rows, rng, most):
            self.step(part)
            times = [r["ts"] - delay_us for r in part if r["ts"] is not None]
            before, watermark = watermark, max([watermark, *times])
            if watermark > before:
                self.advance(watermark)
        self.advance(MAX_WATERMARK)
        return self.rows()

    def rows(self) -> list[Row]:
        found = [row for table in self.out for row in table.to_pylist()]
        return [{k: v for k, v in row.items() if k not in (WATERMARK, SEQ)} for row in found]


def ran(node: Node, rows: Sequence[Row], most: int, delay_us: int = 0) -> list[Row]:
    """What `node` makes of all rows in batches of up to `most`, in a database of its own."""
    database = Database()
    try:
        return Chain(node, database).run(rows, random.Random(most), most, delay_us)
    finally:
        database.close()


def meaning(node: Node, database: Database, rows: Sequence[Row]) -> list[Row]:
    """The relation of `node` and all below it, over all rows at once, computed by DuckDB."""
    bottom = node
    while bottom.inputs:
        bottom = bottom.inputs[0]
    taken = database.over("t", bottom.schema.arrow())
    kept = [r for r in rows if r.get(DIFF, 1) > 0]
    taken.set(batch(bottom, kept).table.select(list(bottom.schema.names)))
    sql = composed(node)
    return database.query(sql).to_pylist()  # type: ignore[no-any-return]


def composed(node: Node) -> str:
    if not node.inputs:
        return node.relation(())
    return node.relation([f"({composed(i)})" for i in node.inputs])


def bag(rows: Iterable[Row]) -> list[str]:
    return sorted(repr(sorted(row.items(), key=lambda i: i[0])) for row in rows)

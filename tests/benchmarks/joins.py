"""What 10 000 rows cost a join, by the rows that it remembers, and what one does of a hot key:
`python -m tests.benchmarks.joins`."""

from __future__ import annotations

import statistics
import time

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streamsql.core.batch import DIFF, Batch
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context, Node
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.types import BIGINT
from streamsql.operators._matching import Matching
from streamsql.operators.join import Join
from streamsql.operators.semi_join import SemiJoin
from streamsql.state.database import Database
from tests.unit.operators.driving import Leaf, Side, leaf

BATCH_ROWS, BATCHES = 10_000, 20


def batch(source: Leaf, keys: int, rng: np.random.Generator) -> Batch:
    """Rows of any of `keys` keys."""
    columns = [rng.integers(0, keys, BATCH_ROWS), np.arange(BATCH_ROWS), *np.zeros((2, BATCH_ROWS), np.int64)]
    return Batch(pa.Table.from_arrays([pa.array(c) for c in columns], schema=source.batch_schema()))


def milliseconds(rows: int) -> float:
    """CPU time of a batch, median, where either side has about `rows` rows and as many keys."""
    sides = (leaf(Column("k", BIGINT), Column("v", BIGINT), name="l"),
             leaf(Column("r", BIGINT), Column("w", BIGINT), name="r"))
    matching = Matching((('"k"', '"r"'),), '("k" = "r")', ('"k" IS NOT NULL', '"r" IS NOT NULL'))
    schema = Schema((Column("k", BIGINT), Column("v", BIGINT), Column("w", BIGINT)))
    node = Join(sides, schema, True, (), "INNER", matching, tuple((c, quote(c)) for c in schema.names))
    database, rng = Database(), np.random.default_rng(1)
    try:
        operator = node.operator(Context("join", database, ManualClock(), Side()))
        taken = []
        for number in range(2 * rows // BATCH_ROWS + BATCHES):
            given = batch(sides[number % 2], rows, rng)
            start = time.process_time()
            operator.step(number % 2, given)
            taken.append(1000 * (time.process_time() - start))
        return statistics.median(taken[-BATCHES:])
    finally:
        database.close()


def hot_key(kind: str, rows: int) -> float:
    """CPU time of a batch of one row, median, of a key that has `rows` rows on the other side, which it gives
    a match and takes it away by turns: for an outer join all of them are output each time."""
    left = leaf(Column("k", BIGINT), Column("v", BIGINT), changelog=True, name="l")
    right = leaf(Column("r", BIGINT), Column("w", BIGINT), changelog=True, name="r")
    matching = Matching((('"k"', '"r"'),), '("k" = "r")', ('"k" IS NOT NULL', '"r" IS NOT NULL'))
    node: Node = SemiJoin((left, right), left.schema, False, (DIFF,), kind == "ANTI", matching, by_keys=True)
    if kind == "LEFT":
        schema = Schema((Column("k", BIGINT), Column("v", BIGINT), Column("w", BIGINT)))
        node = Join((left, right), schema, False, (DIFF,), "LEFT", matching,
                    tuple((c, quote(c)) for c in schema.names))
    database = Database()
    try:
        operator = node.operator(Context("join", database, ManualClock(), Side()))
        for start in range(0, rows, BATCH_ROWS):
            operator.step(0, changes(left, np.arange(start, start + BATCH_ROWS), 1))
        taken = []
        for number in range(BATCHES):
            given = changes(right, np.zeros(1, np.int64), -1 if number % 2 else 1)
            start_s = time.process_time()
            out = operator.step(1, given)
            taken.append(1000 * (time.process_time() - start_s))
            assert out is not None
            assert out.table.num_rows == (2 * rows if kind == "LEFT" else rows)
        return statistics.median(taken)
    finally:
        database.close()


def changes(source: Leaf, values: npt.NDArray[np.int64], diff: int) -> Batch:
    """Rows of key 0 that come or go."""
    shape = source.batch_schema()
    given = {source.schema.names[1]: values, DIFF: np.full(len(values), diff)}
    nothing = np.zeros(len(values), np.int64)
    return Batch(pa.Table.from_arrays([pa.array(given.get(f.name, nothing), f.type) for f in shape], schema=shape))


if __name__ == "__main__":
    for size in (10_000, 100_000, 1_000_000):
        print(f"{size:>9} rows a side: {milliseconds(size):.1f} ms for {BATCH_ROWS} rows")
    for how in ("LEFT", "ANTI"):
        print(f"{how}, one key of 200 000 rows: {hot_key(how, 200_000):.1f} ms for a row that turns them all")

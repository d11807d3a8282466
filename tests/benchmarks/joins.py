"""What 10 000 rows cost an inner join, by the rows that it remembers: `python -m tests.benchmarks.joins`."""

from __future__ import annotations

import statistics
import time

import numpy as np
import pyarrow as pa

from streamsql.core.batch import Batch
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.types import BIGINT
from streamsql.operators._matching import Matching
from streamsql.operators.join import Join
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


if __name__ == "__main__":
    for size in (10_000, 100_000, 1_000_000):
        print(f"{size:>9} rows a side: {milliseconds(size):.1f} ms for {BATCH_ROWS} rows")

"""What 10 000 rows cost an interval join, by the rows that it remembers: `python -m tests.benchmarks.interval_joins`.

`--long` goes on to 10 million rows.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import pyarrow as pa

from streamsql.core.batch import SEQ, WATERMARK, Batch
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.types import BIGINT, timestamp
from streamsql.operators._matching import Matching
from streamsql.operators.interval_join import IntervalJoin
from streamsql.state.database import Database
from tests.unit.operators.driving import Leaf, Side, leaf

BATCH_ROWS, BATCHES = 10_000, 20
STEP_US = 1000
"""A row comes on either side each millisecond, and the watermark is right behind it."""
MOST_GROWTH = 3.0


def batch(source: Leaf, number: int, keys: int, rng: np.random.Generator) -> tuple[Batch, int]:
    """The rows of a batch, of any of `keys` keys, and the watermark after it."""
    times = (number * BATCH_ROWS + np.arange(BATCH_ROWS, dtype=np.int64)) * STEP_US
    given = {WATERMARK: times - STEP_US, SEQ: np.arange(BATCH_ROWS)}
    columns = [given.get(f.name, times if f.name.startswith("ts") else rng.integers(0, keys, BATCH_ROWS))
               for f in source.batch_schema()]
    arrays = [pa.array(c).cast(f.type) for c, f in zip(columns, source.batch_schema(), strict=True)]
    return Batch(pa.Table.from_arrays(arrays, schema=source.batch_schema())), int(times[-1])


def milliseconds(rows: int) -> float:
    """CPU time of a batch and of the watermark after it, median, where both sides have about `rows` rows together."""
    sides = (leaf(Column("k", BIGINT), Column("v", BIGINT), Column("ts", timestamp(3), "rowtime"), name="l"),
             leaf(Column("k2", BIGINT), Column("w", BIGINT), Column("ts2", timestamp(3), "rowtime"), name="r"))
    matching = Matching((('"k"', '"k2"'),), '("k" = "k2")', ('"k" IS NOT NULL', '"k2" IS NOT NULL'))
    schema = Schema(tuple(Column(c.name, c.type.as_nullable(), c.time) for s in sides for c in s.schema))
    span = rows // 2 * STEP_US
    node = IntervalJoin(sides, schema, True, (WATERMARK, SEQ), "LEFT", matching,
                        tuple((c, quote(c)) for c in schema.names), ("ts", "ts2"), -span, span)
    database, rng, taken, marks = Database(), np.random.default_rng(1), [], [0, 0]
    try:
        operator = node.operator(Context("join", database, ManualClock(), Side()))
        for number in range(2 * rows // BATCH_ROWS + BATCHES):
            port = number % 2
            given, watermark = batch(sides[port], number // 2, rows // 2, rng)
            start = time.process_time()
            operator.step(port, given)
            marks[port] = watermark
            operator.watermark(port, watermark)
            operator.advance(min(marks))
            taken.append(1000 * (time.process_time() - start))
        print(f"{rows:>9} rows: {operator.statistics()} in state", end=", ")
        return statistics.median(taken[-BATCHES:])
    finally:
        database.close()


if __name__ == "__main__":
    sizes = (100_000, 1_000_000, *((10_000_000,) if "--long" in sys.argv[1:] else ()))
    measured = []
    for size in sizes:
        measured.append(milliseconds(size))
        print(f"{measured[-1]:.1f} ms for {BATCH_ROWS} rows")
    growth = max(measured) / measured[0]
    print(f"growth {growth:.1f}, at most {MOST_GROWTH}")
    sys.exit(growth > MOST_GROWTH)

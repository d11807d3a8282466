"""`python -m tests.benchmarks.ranks`: what a batch costs a Top-N, and a bounded OVER, at growing state.

Batches of 10 000 rows over so many partitions that the state has the given rows; the state is filled
with batches of 100 000 that are not measured. The figure is the median of the CPU times of a batch.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from streamsql.aggregates import bind
from streamsql.core.batch import DIFF, SEQ, WATERMARK, Batch
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context, Node, Operator
from streamsql.core.schema import Column, Schema
from streamsql.core.types import BIGINT, timestamp
from streamsql.operators._over_calls import Frame, OverCall
from streamsql.operators._ranked import SortKey
from streamsql.operators.over_aggregate import OverAggregate
from streamsql.operators.top_n import TopN
from streamsql.state.database import Database
from tests.unit.operators.driving import Side, leaf, typed

BATCH, FILL, ROUNDS, N = 10_000, 100_000, 15, 3
COLUMNS = (Column("k", BIGINT), Column("v", BIGINT), Column("ts", timestamp(3), "rowtime"))


def top_n(changelog: bool = False) -> Node:
    """The first three rows of each key, with their rank."""
    schema = Schema((*COLUMNS[:2], Column("rn", BIGINT)))
    return TopN((leaf(*COLUMNS, changelog=changelog),), schema, False, (DIFF,), ('"k"',),
                (SortKey('"v"', True, False),), 1, N, "rn")


def over() -> Node:
    """A sum over the last three rows of each key."""
    call = OverCall("SUM", BIGINT, bind("SUM", [typed("v")]))
    schema = Schema((*COLUMNS, Column("s", BIGINT)))
    return OverAggregate((leaf(*COLUMNS),), schema, True, (WATERMARK, SEQ), ('"k"',), "ts", Frame("ROWS", N - 1),
                         (("s", call),))


KINDS: dict[str, Callable[[], Node]] = {"top-N, append": top_n, "OVER, ROWS 2": over}


class Stream:
    """Random rows over so many keys; `rank` rows a key fill the state."""

    def __init__(self, node: Node, keys: int) -> None:
        self.schema = node.inputs[0].batch_schema()
        self.keys = keys
        self._rng = np.random.default_rng(1)
        self._next = 0

    def batch(self, rows: int, first_key: int | None = None) -> Batch:
        """`rows` rows; of the keys from `first_key` on in turn, or of random ones."""
        keys = np.arange(first_key, first_key + rows) % self.keys if first_key is not None else self._rng.integers(
            0, self.keys, rows)
        seq = np.arange(self._next, self._next + rows)
        self._next += rows
        columns = {"k": keys, "v": self._rng.integers(0, 1_000_000, rows), "ts": (seq + 10) * 1000,
                   WATERMARK: np.full(rows, int(seq[0]) * 1000), SEQ: seq, DIFF: np.ones(rows, np.int32)}
        arrays = [pa.array(columns[f.name]).cast(f.type) for f in self.schema]
        return Batch(pa.Table.from_arrays(arrays, schema=self.schema), False)

    def watermark_us(self) -> int:
        return (self._next + 10) * 1000


def _run(operator: Operator, stream: Stream, batch: Batch) -> float:
    start = time.process_time()
    operator.step(0, batch)
    operator.watermark(0, stream.watermark_us())
    operator.advance(stream.watermark_us())
    return time.process_time() - start


def measure(make: Callable[[], Node], state_rows: int) -> tuple[float, int]:
    """Milliseconds of a batch, and the rows of state."""
    node, database = make(), Database()
    try:
        operator = node.operator(Context("op", database, ManualClock(), Side()))
        stream = Stream(node, state_rows // N)
        for first in range(0, state_rows, FILL):
            _run(operator, stream, stream.batch(min(FILL, state_rows), first))
        times = [_run(operator, stream, stream.batch(BATCH)) for _ in range(ROUNDS)]
        return statistics.median(times) * 1000, operator.statistics()["state_rows"]
    finally:
        database.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ranks", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    print(f"{'operator':<16}{'state rows':>12}{'ms a batch':>12}{'growth':>8}{'peak MB':>9}")
    for name, make in KINDS.items():
        least = 0.0
        for rows in given.rows if given.only in name else ():
            ms, kept = measure(make, rows)
            least = least or ms
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"{name:<16}{kept:>12,}{ms:>12.1f}{ms / least:>8.2f}{peak:>9,}", flush=True)


if __name__ == "__main__":
    main()

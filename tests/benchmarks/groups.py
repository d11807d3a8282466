"""`python -m tests.benchmarks.groups`: what a batch costs an updating GROUP BY, at growing state.

`SELECT k, COUNT(*), SUM(v), MAX(v) … GROUP BY k` over batches of 10 000 rows of so many random keys; the
state is filled with batches of 100 000 that are not measured. The figure is the median of a batch.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streamsql.aggregates import Aggregate, bind
from streamsql.core.batch import DIFF, SEQ, WATERMARK, Batch
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context, Operator
from streamsql.core.schema import Column, Schema
from streamsql.core.types import BIGINT
from streamsql.operators.group_aggregate import GroupAggregate
from streamsql.state.database import Database
from tests.unit.operators.driving import Side, leaf, typed

BATCH, FILL, ROUNDS = 10_000, 100_000, 30
CALLS: dict[str, tuple[tuple[str, Aggregate], ...]] = {
    "COUNT, SUM, MAX": (("n", bind("COUNT", [])), ("s", bind("SUM", [typed("v")])), ("m", bind("MAX", [typed("v")]))),
    "COUNT DISTINCT": (("d", bind("COUNT", [typed("v")], distinct=True)),),
}


def node(calls: tuple[tuple[str, Aggregate], ...], changelog: bool) -> GroupAggregate:
    source = leaf(Column("k", BIGINT), Column("v", BIGINT), changelog=changelog)
    schema = Schema((Column("k", BIGINT), *(Column(name, call.type) for name, call in calls)))
    return GroupAggregate((source,), schema, False, (DIFF,), (("k", '"k"'),), calls)


class Stream:
    """Random rows: values are a function of the key, so that DISTINCT has one value a key."""

    def __init__(self, made: GroupAggregate, keys: int) -> None:
        self._schema = made.inputs[0].batch_schema()
        self._keys = keys
        self._rng = np.random.default_rng(1)
        self._next = 0

    def batch(self, keys: npt.NDArray[np.int64]) -> Batch:
        count = len(keys)
        columns = {"k": keys, "v": keys * 7 % 1000, DIFF: np.ones(count, np.int32),
                   WATERMARK: np.zeros(count, np.int64), SEQ: np.arange(self._next, self._next + count)}
        self._next += count
        return Batch(pa.table({name: columns[name] for name in self._schema.names}, self._schema), False)

    def fill(self) -> list[Batch]:
        keys = self._rng.permutation(self._keys)
        return [self.batch(keys[at:at + FILL]) for at in range(0, self._keys, FILL)]

    def next(self) -> Batch:
        return self.batch(self._rng.integers(0, self._keys, BATCH))


def measured(name: str, changelog: bool, keys: int) -> tuple[float, float]:
    """Median milliseconds of a batch, and MB of memory that the state took."""
    database = Database()
    made = node(CALLS[name], changelog)
    operator: Operator = made.operator(Context("op", database, ManualClock(), Side()))
    stream = Stream(made, keys)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for batch in stream.fill():
        operator.step(0, batch)
    times = []
    for _ in range(ROUNDS):
        batch = stream.next()
        start = time.perf_counter()
        operator.step(0, batch)
        times.append(time.perf_counter() - start)
    database.close()
    return statistics.median(times) * 1e3, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.groups", description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--only", choices=list(CALLS), action="append")
    options = parser.parse_args()
    print(f"{'aggregates':<18}{'input':<10}{'keys':>10}{'ms a batch':>12}{'ratio':>8}{'more MB':>9}")
    for name in options.only or CALLS:
        for changelog in (False, True):
            first = 0.0
            for keys in options.keys:
                ms, mb = measured(name, changelog, keys)
                first = first or ms
                kind = "changes" if changelog else "append"
                print(f"{name:<18}{kind:<10}{keys:>10}{ms:>12.1f}{ms / first:>8.2f}{mb:>9.0f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

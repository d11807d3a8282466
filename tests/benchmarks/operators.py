"""`python -m tests.benchmarks.operators`: what 10 000 rows cost each operator, by the rows that it remembers.

The state is filled with batches of 100 000 rows that are not measured. A figure is the mean of the CPU times of the
batches after that, each with the watermark behind it, so that what a watermark closes is in it. Each size
runs in a process of its own, whose memory after the last batch, less that before the first, is the state's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streamsql.aggregates import Aggregate, bind
from streamsql.core.batch import DIFF, SEQ, WATERMARK, Batch
from streamsql.core.clock import ManualClock
from streamsql.core.node import Context, Node, Operator, fuse
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.types import BIGINT, timestamp
from streamsql.operators._matching import Matching
from streamsql.operators._over_calls import Frame, OverCall
from streamsql.operators._ranked import SortKey
from streamsql.operators.group_aggregate import GroupAggregate
from streamsql.operators.interval_join import IntervalJoin
from streamsql.operators.join import Join
from streamsql.operators.over_aggregate import OverAggregate
from streamsql.operators.top_n import TopN
from streamsql.operators.window import window_assign
from streamsql.operators.window_aggregate import window_aggregate
from streamsql.state.database import Database
from streamsql.windows.tumble import Tumble
from tests.unit.operators.driving import Side, leaf, typed

BATCH, FILL, BATCHES = 10_000, 100_000, 20
STEP_US = 1000
"""A row of event time comes each millisecond on each input."""
RANKS = 3
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)

LEFT = (Column("k", BIGINT), Column("v", BIGINT), Column("ts", timestamp(3), "rowtime"))
RIGHT = (Column("k2", BIGINT), Column("w", BIGINT), Column("ts2", timestamp(3), "rowtime"))
MATCHING = Matching((('"k"', '"k2"'),), '("k" = "k2")', ('"k" IS NOT NULL', '"k2" IS NOT NULL'))

Given = tuple[int, Batch]
"""A batch and the port that it comes in at."""


@dataclass(frozen=True, slots=True)
class Case:
    """One operator.

    node    over so many rows of state
    rows    the rows of an input, by the node, the number of the first, how many, and the rows of state
    lag     the watermark is behind by the rows of state, which are so bounded
    most    the greatest size
    """

    name: str
    node: Callable[[int], Node]
    rows: Callable[[Node, int, int, int], Iterator[Given]]
    lag: bool = False
    most: int = 10_000_000


def of_columns(node: Node, columns: dict[str, npt.NDArray[np.int64]], first: int) -> Batch:
    """A batch for a node; the hidden columns are made here."""
    count = len(next(iter(columns.values())))
    seq = np.arange(first, first + count)
    hidden = {WATERMARK: np.full(count, -(2**62)), SEQ: seq, DIFF: np.ones(count, np.int64)}
    given = {**hidden, "ts": seq * STEP_US, "ts2": seq * STEP_US, **columns}
    shape = node.batch_schema()
    return Batch(pa.Table.from_arrays([pa.array(given[f.name]).cast(f.type) for f in shape], schema=shape), False)


# Rows

def keyed(keys: Callable[[int], int], *, filled: int = 1) -> Callable[[Node, int, int, int], Iterator[Given]]:
    """Rows of one input: each key in turn while the state fills, then any key."""
    def rows(node: Node, first: int, count: int, size: int) -> Iterator[Given]:
        number = keys(size)
        rng = np.random.default_rng(first)
        source = fuse(node.inputs[0]).source
        k = np.arange(first, first + count) % number if first < filled * size else rng.integers(0, number, count)
        yield 0, of_columns(source, {"k": k, "v": k * 7 % 1000}, first)
    return rows


def changed(node: Node, first: int, count: int, size: int) -> Iterator[Given]:
    """As `keyed`, and then changes: of any key the row goes and another comes, with a greater or a lesser value."""
    source = fuse(node.inputs[0]).source
    if first < size:
        k = np.arange(first, first + count)
        yield 0, of_columns(source, {"k": k, "v": k % 1000}, first)
        return
    turn = (first - size) // count
    k = np.repeat(np.random.default_rng(turn // 2).choice(size, count // 2, replace=False), 2)
    sign = np.tile(np.array([-1, 1]), count // 2)
    v = k % 1000 + np.where((sign > 0) == (turn % 2 == 0), 7, 0)  # there, and with the next batch back again
    yield 0, of_columns(source, {"k": k, "v": v, DIFF: sign}, first)


def on_two_sides(node: Node, first: int, count: int, size: int) -> Iterator[Given]:
    """Half of the rows on either side, of as many keys as a side has rows."""
    for port, (key, value) in enumerate((("k", "v"), ("k2", "w"))):
        k = np.random.default_rng((first, port)).integers(0, size // 2, count // 2)
        yield port, of_columns(node.inputs[port], {key: k, value: k}, first // 2)


# Nodes

def group_by(*calls: tuple[str, Aggregate], changelog: bool = False) -> Callable[[int], Node]:
    def node(size: int) -> Node:
        schema = Schema((LEFT[0], *(Column(name, call.type) for name, call in calls)))
        source = leaf(*LEFT[:2], changelog=changelog)
        return GroupAggregate((source,), schema, False, (DIFF,), (("k", '"k"'),), calls)
    return node


def windowed(size: int) -> Node:
    """Windows of at most 100 000 rows, so that one closes every few batches."""
    window = window_assign(leaf(*LEFT), Tumble(min(size // 2, FILL) * STEP_US), "ts", zone="UTC")
    return window_aggregate(window, [(LEFT[0], '"k"')], [("n", bind("COUNT", [])), ("s", bind("SUM", [typed("v")]))],
                            start="window_start", end="window_end", zone="UTC", local_zoned=False,
                            windows=(("window_start", "start"), ("window_end", "end")))


def interval_join(size: int) -> Node:
    span = size // 2 * STEP_US
    schema = Schema(tuple(Column(c.name, c.type.as_nullable(), c.time) for c in (*LEFT, *RIGHT)))
    return IntervalJoin((leaf(*LEFT, name="l"), leaf(*RIGHT, name="r")), schema, True, (WATERMARK, SEQ), "LEFT",
                        MATCHING, tuple((c, quote(c)) for c in schema.names), ("ts", "ts2"), -span, span)


def inner_join(size: int) -> Node:
    schema = Schema((*LEFT[:2], RIGHT[1]))
    return Join((leaf(*LEFT[:2], name="l"), leaf(*RIGHT[:2], name="r")), schema, True, (), "INNER", MATCHING,
                tuple((c, quote(c)) for c in schema.names))


def top_n(size: int) -> Node:
    schema = Schema((*LEFT[:2], Column("rn", BIGINT)))
    return TopN((leaf(*LEFT),), schema, False, (DIFF,), ('"k"',), (SortKey('"v"', True, False),), 1, RANKS, "rn")


def over(size: int) -> Node:
    call = OverCall("SUM", BIGINT, bind("SUM", [typed("v")]))
    schema = Schema((*LEFT[:2], Column("s", BIGINT)))
    return OverAggregate((leaf(*LEFT),), schema, True, (WATERMARK, SEQ), ('"k"',), "ts", Frame("ROWS", RANKS - 1),
                         (("s", call),))


V = typed("v")
SUMS = (("n", bind("COUNT", [])), ("s", bind("SUM", [V])), ("a", bind("AVG", [V])))
GREATEST = (("n", bind("COUNT", [])), ("s", bind("SUM", [V])), ("m", bind("MAX", [V])))
DISTINCT = (("d", bind("COUNT", [V], distinct=True)),)
EVERY, SPREAD = keyed(lambda size: size), keyed(lambda size: size // RANKS)
CASES = (
    Case("GROUP BY: COUNT, SUM, AVG", group_by(*SUMS), EVERY),
    Case("GROUP BY: COUNT, SUM, MAX", group_by(*GREATEST), EVERY),
    Case("GROUP BY: COUNT(DISTINCT)", group_by(*DISTINCT), EVERY, most=1_000_000),
    Case("GROUP BY over changes: COUNT, SUM, AVG", group_by(*SUMS, changelog=True), changed),
    Case("GROUP BY over changes: COUNT, SUM, MAX", group_by(*GREATEST, changelog=True), changed, most=1_000_000),
    Case("GROUP BY over changes: COUNT(DISTINCT)", group_by(*DISTINCT, changelog=True), changed, most=1_000_000),
    Case("TUMBLE: COUNT, SUM", windowed, EVERY, lag=True),
    Case("interval join, LEFT", interval_join, on_two_sides),
    Case("join, INNER", inner_join, on_two_sides, most=2_000_000),
    Case("Top-N, append", top_n, SPREAD),
    Case("OVER, ROWS 2 PRECEDING", over, SPREAD, most=1_000_000),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of a batch, rows of state, bytes of memory a row of state."""

    cpu_ms: float
    wall_ms: float
    rows: int
    bytes: float


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(case: Case, size: int) -> Cost:
    database = Database()
    node = case.node(size)
    operator = node.operator(Context("op", database, ManualClock(), Side()))
    before, cpu_s, wall_s = _resident(), 0.0, 0.0
    starts = [*range(0, size, min(FILL, size)), *range(size, size + BATCHES * BATCH, BATCH)]
    try:
        for number, first in enumerate(starts):
            count = min(FILL, size) if first < size else BATCH
            given = list(case.rows(node, first, count, size))
            cpu, wall = time.process_time(), time.perf_counter()
            _run(operator, given, (first + count) * STEP_US // len(given) - (size * STEP_US if case.lag else 0))
            if first >= size:
                cpu_s, wall_s = cpu_s + time.process_time() - cpu, wall_s + time.perf_counter() - wall
            elif number % 20 == 19:
                database.checkpoint()
        rows = operator.statistics()["state_rows"]
        return Cost(cpu_s * 1e3 / BATCHES, wall_s * 1e3 / BATCHES, rows, (_resident() - before) / max(1, rows))
    finally:
        database.close()


def _run(operator: Operator, given: list[Given], watermark_us: int) -> None:
    for port, batch in given:
        operator.step(port, batch)
    for port, _ in given:
        operator.watermark(port, watermark_us)
    operator.advance(watermark_us)


def apart(case: Case, size: int) -> Cost:
    """Measured in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.operators", "--one", case.name, str(size)],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def report(only: str = "", most: int = SIZES[-1]) -> str:
    """The table, as Markdown."""
    out = ["| operator | rows of state | CPU ms | wall ms | growth from 100 k | bytes a row |",
           "|---|---|---|---|---|---|"]
    for case in CASES:
        base = 0.0
        sizes = [s * 2 if case.most == 2_000_000 else s for s in SIZES]
        for size in (s for s in sizes if s <= min(case.most, most)) if only in case.name else ():
            cost = apart(case, size)
            base = cost.cpu_ms if size in (100_000, 200_000) else base
            growth = f"{cost.cpu_ms / base:.1f}" if base else ""
            out.append(f"| {case.name} | {cost.rows:,} | {cost.cpu_ms:.1f} | {cost.wall_ms:.1f} | {growth} "
                       f"| {cost.bytes:.0f} |")
            print(out[-1], file=sys.stderr, flush=True)
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.operators", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the name of the operators to run")
    parser.add_argument("--most", type=int, default=SIZES[-1], help="the greatest number of rows of state")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "ROWS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        cost = measure(next(c for c in CASES if c.name == given.one[0]), int(given.one[1]))
        print(json.dumps([cost.cpu_ms, cost.wall_ms, cost.rows, cost.bytes]))
    else:
        print(report(given.only, given.most))


if __name__ == "__main__":
    main()

"""Does a row cost the same after twenty million rows, and is memory flat? `--long`."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import streamsql
from tests.benchmarks import client, queries
from tests.benchmarks.nexmark import RUN, Bids

ROWS = 20_000_000
STEP = 1_000_000
LIMIT = 1.2
"""How much more a row of the last million may cost than one of the first."""

GROWTH_MB = 100
"""How much the process may grow after the second million."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process had used when `rows` were read."""

    rows: int
    cpu_s: float
    memory_mb: float
    state_rows: int


def _sample(query: streamsql.Query) -> Sample:
    statistics = query.statistics()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(statistics.rows_in, time.process_time(), pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
                  statistics.state_rows)


def samples(bootstrap: str, rows: int) -> list[Sample]:
    """Run the tumbling count over all rows; a sample at the first rows, then about every million."""
    topics = {"bootstrap": bootstrap, "bids": f"long-{time.time_ns()}"}
    client.create(bootstrap, topics["bids"])
    client.fill(bootstrap, topics["bids"], Bids().chunks(rows), RUN)
    with streamsql.connect() as session:
        query = queries.prepared(session, queries.COUNT, topics).start()
        taken: list[Sample] = []
        while not query.wait(0.02):
            now = _sample(query)
            if now.rows and (not taken or now.rows - taken[-1].rows >= STEP):
                taken.append(now)
        return [*taken, _sample(query)]


def report(bootstrap: str, rows: int) -> tuple[str, bool]:
    """A table, and whether cost and memory stayed."""
    taken = samples(bootstrap, rows)
    costs = [(b.cpu_s - a.cpu_s) * 1e6 / (b.rows - a.rows) for a, b in pairwise(taken)
             if b.rows - a.rows >= STEP // 2]
    growth = max(s.memory_mb for s in taken[3:]) - taken[2].memory_mb
    ratio = costs[-1] / costs[0]
    out = ["| rows | CPU µs/row | memory MB | state rows |", "|---|---|---|---|"]
    out += [f"| {b.rows / 1e6:.1f} M | {cost:.2f} | {b.memory_mb:.0f} | {b.state_rows} |"
            for b, cost in zip(taken[1:], costs, strict=False)]
    out.append(f"\nThe last million costs {ratio:.2f} times the first (limit {LIMIT}); memory grew by {growth:.0f} MB "
               f"after the second million (limit {GROWTH_MB}).")
    return "\n".join(out), ratio <= LIMIT and growth <= GROWTH_MB

"""`python -m tests.benchmarks`: start a broker, fill a topic, measure in turn, print the table.

Rounds are interleaved (limit, count, filter, limit, …) and medians of the ratios within a round are
reported: a machine that others use changes its speed from minute to minute, and a ratio does not.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable
from functools import partial

from tests.benchmarks import client, expressions, queries, report, soak
from tests.benchmarks.nexmark import RUN, Bids
from tests.benchmarks.stages import STAGES, measured
from tests.kafka.broker import Broker

EVENTS = 2_000_000


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, help=f"bids in the topic ({EVENTS}; with --long {soak.ROWS})")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="part of the name of the benchmarks to run")
    parser.add_argument("--long", action="store_true", help="does the cost of a row or the memory grow?")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--bootstrap", help="a broker that runs already")
    return parser.parse_args()


def compare(bootstrap: str, events: int, rounds: int, only: str | None) -> list[report.Line]:
    """A line for the client alone, then one for each benchmark."""
    chosen = [b for b in queries.ALL if not only or only in b.name]
    topics = {"bootstrap": bootstrap, "bids": f"bids-{time.time_ns()}", "out": f"out-{time.time_ns()}"}
    client.create(bootstrap, topics["bids"])
    client.create(bootstrap, topics["out"])
    count = client.fill(bootstrap, topics["bids"], Bids().chunks(events), RUN)
    runs: list[list[report.Line]] = []
    for _ in range(rounds):
        limit = _timed("the client alone: consume and drop", 1.0, count, 0.0,
                       lambda: client.drain(bootstrap, topics["bids"], count))
        runs.append([limit, *(
            _timed(b.name, b.target, count, limit.rate, partial(queries.run, b, topics, count)) for b in chosen)])
    return [report.median_line(lines) for lines in zip(*runs, strict=True)]


def _timed(name: str, target: float, count: int, limit: float, run: Callable[[], float]) -> report.Line:
    """One run, which gives its seconds, over `count` records; `limit` is the client's rate, 0 for itself."""
    gc.collect()
    cpu_s = time.process_time()
    with measured() as clocks:
        rate = count / run()
    cpu_s = time.process_time() - cpu_s
    stages = {s: clocks.seconds[s] * 1e6 / count for s in STAGES}
    return report.Line(name, rate, rate / (limit or rate), target,
                       cpu_s * 1e6 / count, stages)


def main() -> int:
    options = _arguments()
    broker = None if options.bootstrap else Broker().start()
    try:
        bootstrap = options.bootstrap or (broker.bootstrap if broker else "")
        if options.long:
            text, good = soak.report(bootstrap, options.events or soak.ROWS)
        else:
            events = options.events or EVENTS
            lines = compare(bootstrap, events, options.rounds, options.only)
            text, good = report.table(lines), all(line.ratio >= line.target for line in lines)
            text = f"{text}\n\n{report.machine()}; {events} bids, {options.rounds} rounds."
    finally:
        if broker is not None:
            broker.stop()
    print(text)
    written = options.write and not options.long
    if written:
        report.write(text, "queries")
    if not options.long and not options.only:
        text, cheap = expressions.report()
        print(f"\n{text}")
        if written:
            report.write(text, "expressions")
        good = good and cheap
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

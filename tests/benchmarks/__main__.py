"""`python -m tests.benchmarks`: start a broker, fill a topic, measure in turn, print the table.

Rounds are interleaved (limit, count, filter, limit, …) and medians of the ratios within a round are
reported: a machine that others use changes its speed from minute to minute, and a ratio does not.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from statistics import median

from tests.benchmarks import client, queries, report, soak
from tests.benchmarks.nexmark import RUN, Bids
from tests.benchmarks.stages import STAGES, measured
from tests.kafka.broker import Broker


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000, help="bids in the topic")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="part of the name of the benchmarks to run")
    parser.add_argument("--long", action="store_true", help="20 M bids: does the cost of a row or the memory grow?")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--bootstrap", help="a broker that runs already")
    return parser.parse_args()


def compare(bootstrap: str, events: int, rounds: int, only: str | None) -> tuple[float, list[report.Line]]:
    """The client's median rate, and a line for each benchmark."""
    chosen = [b for b in queries.ALL if not only or only in b.name]
    topics = {"bootstrap": bootstrap, "bids": f"bids-{time.time_ns()}", "out": f"out-{time.time_ns()}"}
    client.create(bootstrap, topics["bids"])
    client.create(bootstrap, topics["out"])
    count = client.fill(bootstrap, topics["bids"], Bids().chunks(events), RUN)
    limits: list[float] = []
    runs: dict[str, list[report.Line]] = {b.name: [] for b in chosen}
    for _ in range(rounds):
        gc.collect()
        limits.append(count / client.drain(bootstrap, topics["bids"], count))
        for benchmark in chosen:
            cpu_s = time.process_time()
            with measured() as clocks:
                rate = count / queries.run(benchmark, topics, count).seconds
            cpu_s = time.process_time() - cpu_s
            stages = {s: clocks.seconds[s] * 1e6 / count for s in STAGES}
            runs[benchmark.name].append(report.Line(benchmark.name, rate, rate / limits[-1], benchmark.target,
                                                    cpu_s * 1e6 / count, stages))
    return median(limits), [_median(lines) for lines in runs.values()]


def _median(lines: list[report.Line]) -> report.Line:
    stages = {s: median(line.stages_s[s] for line in lines) for s in STAGES}
    return report.Line(lines[0].name, median(line.rate for line in lines), median(line.ratio for line in lines),
                       lines[0].target, median(line.cpu_s for line in lines), stages)


def main() -> int:
    options = _arguments()
    broker = None if options.bootstrap else Broker().start()
    try:
        bootstrap = options.bootstrap or (broker.bootstrap if broker else "")
        if options.long:
            text, good = soak.report(bootstrap)
        else:
            limit, lines = compare(bootstrap, options.events, options.rounds, options.only)
            text, good = report.table(limit, lines), all(line.ratio >= line.target for line in lines)
            text = f"{text}\n\n{report.machine()}; {options.events} bids, {options.rounds} rounds."
    finally:
        if broker is not None:
            broker.stop()
    print(text)
    if options.write and not options.long:
        report.write(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

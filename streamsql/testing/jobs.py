"""Jobs: the queries of a run, driven by hand, and the changes that each relation has given."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from streamsql.core.clock import SystemClock
from streamsql.core.types import BYTES
from streamsql.engine.side import SideTables
from streamsql.errors import InternalError
from streamsql.operators.scan import Scan
from streamsql.planner.changelogs import changes_of
from streamsql.planner.planner import Plan
from streamsql.planner.relational import leaves
from streamsql.session import Query, Session
from streamsql.testing.feed import Feed
from streamsql.testing.rows import Change, Shape, changes
from streamsql.testing.watch import Watch

PATIENCE_S, PAUSE_S = 20.0, 0.002
"""How long a run waits for rows that are on their way from a broker, and between two looks."""


@dataclass(slots=True)
class Running:
    """A query that runs, and how to plan it again."""

    name: str
    text: str
    plan: Callable[[], Plan]
    current: Plan
    query: Query
    sinks: tuple[str, ...] = ()


@dataclass(slots=True)
class Output:
    """The changes of one relation: those not claimed yet, and the sum of all.

    key: of a sink that is given upserts, where the columns of its primary key are; they are shown as
    the changes that they make.
    """

    shape: Shape
    key: tuple[int, ...] = ()
    pending: list[Change] = field(default_factory=list)
    total: Counter[tuple[str, ...]] = field(default_factory=Counter)
    rows: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    def take(self, rows: pa.Table) -> None:
        for given in changes(rows, self.shape):
            for change in self._made(given) if self.key else (given,):
                self.pending.append(change)
                self.total[change.cells] += change.diff

    def _made(self, given: Change) -> Iterator[Change]:
        key = tuple(given.cells[i] for i in self.key)
        old = self.rows.pop(key, None)
        if given.diff > 0:
            self.rows[key] = given.cells
        if old is not None or given.diff < 0:
            yield Change(-1, old or given.cells)
        if given.diff > 0:
            yield given


class Jobs:
    """All that runs in one session."""

    def __init__(self, session: Session, feed: Feed, watch: Watch) -> None:
        self.session = session
        self.running: list[Running] = []
        self.outputs: dict[str, Output] = {}
        self._started = 0
        self._feed = feed
        self._watch = watch
        session.watch = watch

    def start(self, text: str, plan: Callable[[], Plan], relation: str = "", sinks: Sequence[str] = ()) -> Running:
        """Run a query; `relation` is how a claim calls its rows, `sinks` what it writes."""
        self._started += 1
        name = f"case-{self._started}"
        current = plan()
        job = Running(relation or name, text, plan, current, self.session.query(current, text, name), tuple(sinks))
        self.running.append(job)
        if not sinks:
            self.outputs[job.name] = Output([(c.name, c.type) for c in current.schema])
        for sink in sinks:
            self.outputs.setdefault(sink, Output(self._shape(sink), self._key(sink)))
        return job

    def _key(self, sink: str) -> tuple[int, ...]:
        table = self.session.planner.catalog.tables[sink]
        if changes_of(table, write=True) != "upsert":
            return ()
        names = [c.name for c in table.physical]
        return tuple(names.index(k) for k in table.primary_key)

    def stop(self, relation: str) -> None:
        """Its job is over, and what it gave is nobody's any more."""
        for job in [j for j in self.running if j.name == relation]:
            job.query.close()
            self.running.remove(job)
            del self.outputs[relation]

    def _shape(self, sink: str) -> Shape:
        """What a sink in memory holds: its columns, or the bytes that its format makes of them."""
        options = self.session.planner.catalog.tables[sink].options
        if "format" in options or "value.format" in options:
            return [("value", BYTES), *([("key", BYTES)] if "key.format" in options else [])]
        return [(c.name, c.type) for c in self.session.describe(sink) if c.kind == "physical"]

    def settle(self) -> None:
        """Run everything until nothing moves; then the epoch is committed and the changes are here."""
        worked = True
        while worked:
            worked = False
            for number, job in enumerate(self.running):
                self._watch.job = str(number)
                worked |= self.drained(job.query, job.current)
                job.query.commit()
                worked |= self._collect(job)

    def drained(self, query: Query, plan: Plan) -> bool:
        """Run a query until nothing moves and all that was fed has arrived; True if anything moved."""
        worked = False
        while query.turn():
            worked = True
        clock, pause = SystemClock(), threading.Event()
        until = clock.monotonic_s() + PATIENCE_S
        while (missing := self._missing(query, plan)) > 0:
            if query.turn():
                worked = True
            elif clock.monotonic_s() > until:
                raise InternalError(f"{missing} rows did not arrive within {PATIENCE_S:g} s")
            else:
                pause.wait(PAUSE_S)
        return worked

    def _missing(self, query: Query, plan: Plan) -> int:
        awaited = [self._feed.awaited(scan.name) for scan in scans(plan)]
        known = [count for count in awaited if count is not None]
        return sum(known) - query.statistics().rows_in if len(known) == len(awaited) else 0

    def _collect(self, job: Running) -> bool:
        tables = {job.name: job.query.taken()} if not job.sinks else {
            sink: self.session.memory(sink).take() for sink in job.sinks}
        for name, batches in tables.items():
            for rows in batches:
                self.outputs[name].take(rows)
        return any(tables.values())

    def restart(self) -> None:
        """Close all as it is committed, and take it up again as a new process would."""
        self.session.sides = SideTables()
        for job in self.running:
            job.query.close()
        for job in self.running:
            job.current = job.plan()
            job.query = self.session.query(job.current, job.text, job.query.name)

    def close(self) -> None:
        for job in self.running:
            job.query.close()


def scans(plan: Plan) -> list[Scan]:
    """The tables that a plan reads, each way of reading once."""
    found = [leaf for root in plan.roots for leaf in leaves(root)]
    return list(dict.fromkeys(leaf for leaf in found if isinstance(leaf, Scan)))


def net(given: Iterable[Change]) -> list[Change]:
    """What is left of changes when those that undo each other are taken out."""
    sums: Counter[tuple[str, ...]] = Counter()
    for change in given:
        sums[change.cells] += change.diff
    return [Change(1 if count > 0 else -1, row) for row, count in sums.items() for _ in range(abs(count))]

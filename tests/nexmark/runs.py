"""How a script of `examples/nexmark` runs here: its topic and its sink in memory, cut into batches, broken off once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from streamsql import Session
from streamsql.core.batch import DIFF
from streamsql.core.clock import ManualClock
from streamsql.session import Query

FOLDER = Path(__file__).parents[2] / "examples" / "nexmark"
TOPIC = "nexmark"
START_US = 1_800_000_000_000_000
"""What the clock shows at first."""

STEP_US = 3_000_000
"""How far the clock goes on from batch to batch: processing time, for the query that counts by it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How the events are given: so many at once; with `broken` the job dies after a commit in the middle."""

    rows: int
    broken: bool = False

    def __str__(self) -> str:
        return f"{self.rows} rows a batch{', broken off' if self.broken else ''}"


CUTS = (Cut(8_000), Cut(20_000, broken=True), Cut(50_000))


@dataclass(slots=True)
class Run:
    """What came of a run: the changes of the sink, and (first event, one after the last, clock in µs) of each batch."""

    changes: list[pa.Table] = field(default_factory=list)
    batches: list[tuple[int, int, int]] = field(default_factory=list)


def ddl(text: str) -> str:
    """The tables of ddl.sql, the topic in memory."""
    return re.sub(r"WITH \(\s*'connector' = 'kafka'.*?\n\);", "WITH ('connector' = 'memory', 'format' = 'json');", text,
                  flags=re.DOTALL)


def script(name: str, sink: str = "'connector' = 'memory', 'changelog-mode' = 'all'") -> str:
    """A query's script, with another sink than `print`."""
    return (FOLDER / f"{name}.sql").read_text().replace("'connector' = 'print'", sink)


class Runs:
    """Runs one query over events; `folder` is for its state and its files."""

    def __init__(self, name: str, events: pa.ChunkedArray, folder: Path) -> None:
        self._name, self._events, self._folder = name, events, folder
        self.variables = {"output": str(folder / "output"), "side_input": str(folder / "side_input")}

    def run(self, cut: Cut) -> Run:
        """All events in batches of the cut."""
        run, clock = Run(), ManualClock(START_US)
        bounds = list(self._bounds(cut))
        middle = len(bounds) // 2 if cut.broken else 0
        if cut.broken:
            with self._session(clock, cut) as session:
                query = self._query(session)
                self._give(session, query, bounds[:middle], clock, run)
                query.commit()
                self._give(session, query, bounds[middle:middle + 1], clock, Run())
                query.close()  # a batch is done and not committed: it has to come again
                run.changes += self._changes(session)
        with self._session(clock, cut) as session:
            query = self._query(session)
            self._give(session, query, bounds[middle:], clock, run)
            clock.advance_us(20_000_000)
            query.turn()
            session.memory(TOPIC).end()
            while query.turn() or not query.finished:
                clock.advance_us(STEP_US)
            query.commit()
            statistics = query.statistics()
            assert not statistics.errors, dict(statistics.errors_by_reason)
            assert not statistics.late
            run.changes += self._changes(session)
        return run

    def _bounds(self, cut: Cut) -> Iterator[tuple[int, int]]:
        count = len(self._events)
        for first in range(0, count, cut.rows):
            yield first, min(first + cut.rows, count)

    def _session(self, clock: ManualClock, cut: Cut) -> Session:
        session = Session(threaded=False, clock=clock, state=self._folder / f"state-{cut.rows}")
        for _ in session.execute(ddl((FOLDER / "ddl.sql").read_text())):
            pass
        return session

    def _query(self, session: Session) -> Query:
        results = list(session.execute(script(self._name), variables=self.variables))
        query = results[-1].query
        assert query is not None
        return query

    def _give(self, session: Session, query: Query, bounds: Sequence[tuple[int, int]], clock: ManualClock,
              run: Run) -> None:
        query.turn()  # it opens, and says of the empty topic from which event on it wants more
        for number, (first, until) in enumerate(bounds):
            session.memory(TOPIC).append(pa.table({"value": self._events.slice(first, until - first)}))
            while query.turn():
                pass
            run.batches.append((first, until, clock.now_us()))
            if number % 5 == 4:
                query.commit()
            clock.advance_us(STEP_US)

    def _changes(self, session: Session) -> list[pa.Table]:
        rows = session.namespace.table(f"nexmark_{self._name}").rows()
        if DIFF not in rows.column_names:
            rows = rows.append_column(DIFF, pa.array([1] * rows.num_rows, pa.int32()))
        return [rows] if rows.num_columns > 1 else []

"""What runs in a session: its queries by name, where each keeps its state, and the rows of materialized tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from streamsql.core.clock import Clock
from streamsql.core.node import Node
from streamsql.engine.job import INTERVAL, Job, Watch
from streamsql.engine.plan import JobPlan
from streamsql.engine.side import SideTables
from streamsql.errors import BindError, StateError, UsageError, did_you_mean
from streamsql.operators.keep import Keep, Shelf, log_schema
from streamsql.planner.catalog import Catalog
from streamsql.planner.planner import Plan
from streamsql.planner.relational import Constant, leaves
from streamsql.session.query import Query
from streamsql.sql import statements as st
from streamsql.values import user_calls


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a query finds in its session when it is made."""

    catalog: Catalog
    sides: SideTables
    watch: Watch | None


class Running:
    """The queries of one session. A name given anew goes on from the state of the one that had it.

    settings  the session's own, as they are when a query is made
    """

    def __init__(self, settings: Mapping[str, str], clock: Clock, *, threaded: bool) -> None:
        self.queries: list[Query] = []
        self._settings = settings
        self._clock = clock
        self._threaded = threaded
        self._shelves: dict[str, Shelf] = {}
        self._count = 0

    def stop_all(self) -> None:
        """Stop what runs, each finishing its epoch."""
        for query in self.queries:
            query.stop()
        self.queries = []

    def stop(self, statement: st.StopJob) -> str:
        """Stop a job; what to say of it. Raises BindError when there is no such job."""
        query = next((q for q in self.queries if q.name == statement.job), None)
        if query is None:
            raise BindError(
                f'job "{statement.job}" does not exist',
                statement.span,
                hint=did_you_mean(statement.job, [q.name for q in self.queries], "Jobs"),
            )
        query.stop()
        return f"job {statement.job} stopped"

    def forget(self, table: str) -> None:
        """Stop the job of a materialized table, and let go of its rows and its state."""
        self._shelves.pop(table, None)
        for query in [q for q in self.queries if q.name == job_of(table)]:
            query.stop()
            self.queries.remove(query)
        self.remove_state(job_of(table))

    def state(self, name: str) -> Path | None:
        """The file of a query's state, if the session keeps state. Raises UsageError if there can be none."""
        text = self._settings["streamsql.state.dir"]
        if not text:
            return None
        folder = Path(text)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f'the state directory "{folder}" cannot be made: {error.strerror}') from error
        return folder / f"{name}.duckdb"

    def remove_state(self, name: str) -> None:
        state = self.state(name)
        if state is not None:
            for path in (state, state.with_name(f"{state.name}.wal")):
                path.unlink(missing_ok=True)

    def query(
        self, around: Surroundings, plan: Plan, text: str, name: str, statement: st.Statement | None, freshness_ms: int
    ) -> Query:
        """A query for a plan; it does not run yet.

        freshness_ms: how often its epochs are committed, if not as the session says
        """
        self._count += not name
        name = name or f"job-{self._count}"
        settings = {**self._settings, **({INTERVAL: f"{freshness_ms} ms"} if freshness_ms else {})}
        state = None if isinstance(statement, st.Select) and _reads_once(_leaves(plan)) else self.state(name)
        job_plan, root, shelf = JobPlan(plan.roots, plan.text, settings), plan.roots[0], Shelf()
        kept = isinstance(root, Keep)
        if isinstance(root, Keep):
            self._shelves[root.name] = shelf
            if not self._threaded:
                shelf.publish(())  # nobody waits on the thread that runs it
        functions = dict(around.catalog.functions)

        def job(query: Query) -> Job:
            return Job(
                job_plan,
                clock=self._clock,
                sides=around.sides,
                take=query.take if not (kept and self._threaded) else None,
                shelf=shelf,
                kept=lambda table: self._changes(around.catalog, table),
                state=state,
                threaded=self._threaded,
                threads=int(settings["streamsql.threads"]),
                prepare=lambda database: user_calls.load(database, functions, repr(plan.roots)),
                watch=around.watch,
            )

        query = Query(plan, job, self._clock, name, text, threaded=self._threaded, statement=statement)
        if kept:
            query.on_end(lambda failed: shelf.ended(query.error if failed else None))
        # A SELECT that is over belongs to its reader alone: a session that asks for years does not grow.
        self.queries = [q for q in self.queries if q.is_job or not q.ended]
        self.queries.append(query)
        return query

    def _changes(self, catalog: Catalog, table: str) -> pa.Table:
        """The changes that a materialized table has published; see `operators.keep.Shelf`."""
        kept = catalog.materialized.get(table)
        if kept is None or kept.schema is None or table not in self._shelves:
            raise StateError(f'materialized table "{table}" is not there any more')
        return self._shelves[table].changes(table, log_schema(kept.schema, kept.append_only))


def job_of(table: str) -> str:
    """The job that keeps the rows of a materialized table."""
    return f"materialized-{table}"


def _leaves(plan: Plan) -> list[Node]:
    return [leaf for root in plan.roots for leaf in leaves(root)]


def _reads_once(found: Sequence[Node]) -> bool:
    """Constants alone, or rows kept elsewhere: a SELECT of them is answered anew each time, not gone on with."""
    constants = [leaf for leaf in found if isinstance(leaf, Constant)]
    return len(constants) == len(found) or any(c.kept for c in constants)

"""Query: something that runs in a session, and whose rows can be read as they come."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pyarrow as pa

from streamsql.core.batch import DIFF
from streamsql.core.changes import values
from streamsql.core.clock import Clock
from streamsql.core.schema import Schema
from streamsql.engine.changes import applied
from streamsql.engine.job import Job
from streamsql.errors import SQLError, UsageError
from streamsql.planner.planner import Plan
from streamsql.sql.statements import Select, Statement
from streamsql.sql.types import cast_span

if TYPE_CHECKING:
    import pandas as pd

ChangeKind: TypeAlias = Literal["+I", "-D"]

_END = object()
_AHEAD = 16
"""Batches of a SELECT that wait for their reader before the job waits for it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a result: `+I` a row that comes, `-D` one that goes."""

    kind: ChangeKind
    row: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class QueryStatistics:
    """Counters of a query; `watermark_us` is event time in µs: None before it is known, 2**63 - 1 at the end.

    rows_in = what went into the query + errors + skipped (records without a value, and those that
    `ignore-parse-errors` leaves out); late rows went in and were dropped by a window. `state_rows` are remembered
    now, `expired` of them were dropped by 'table.exec.state.ttl'.
    """

    rows_in: int = 0
    rows_out: int = 0
    lag_rows: int | None = None
    watermark_us: int | None = None
    late: int = 0
    errors: int = 0
    errors_by_reason: Mapping[str, int] = field(default_factory=dict)
    state_rows: int = 0
    epoch: int = 0
    elapsed_s: float = 0.0
    running: bool = False
    skipped: int = 0
    expired: int = 0


class Query:
    """A SELECT or a job of INSERTs. Iterating it starts it; it ends with its input, or by `stop`.

    One thread of its own runs it. It is also a context manager, which stops it.
    """

    def __init__(
        self,
        plan: Plan,
        job: Callable[[Query], Job],
        clock: Clock,
        name: str,
        text: str,
        *,
        threaded: bool = True,
        statement: Statement | None = None,
    ) -> None:
        self._statement = statement
        self.is_job = statement is not None and not isinstance(statement, Select)
        self.schema: Schema = plan.schema
        self.append_only = plan.append_only
        keys = [tuple(sorted(key)) for root in plan.roots for key in root.unique_keys()]
        self.update_key = min(keys, key=lambda key: (len(key), key), default=None)
        self.name = name
        self.text = text
        self._plan = plan
        self._clock = clock
        self._job = job(self)
        self._results: queue.Queue[object] = queue.Queue(_AHEAD if threaded else 0)
        self._opened = False
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._started_s = 0.0
        self._ended_s: float | None = None
        self._stopped = threading.Event()
        self._on_end: list[Callable[[bool], None]] = []
        self._drained = False
        self._changes: Iterator[Change] | None = None

    def __repr__(self) -> str:
        state = "ended" if self.ended else "runs" if self._thread is not None else "not started"
        text = " ".join(self.text.split())
        return f"<Query {self.name}, {state}: {text if len(text) <= 60 else text[:59] + '…'}>"

    def __enter__(self) -> Query:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Query:
        """Run in the background; does nothing the second time."""
        if self._thread is None:
            self._started_s = self._clock.monotonic_s()
            self._thread = threading.Thread(target=self._run, name=f"streamsql-{self.name}", daemon=True)
            self._thread.start()
        return self

    def _run(self) -> None:
        try:
            self._job.run()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for the query
            self._error = error
        self._ended_s = self._clock.monotonic_s()
        for call in self._on_end:
            call(self._error is not None)
        self.take(_END)

    @property
    def bounded(self) -> bool:
        """It ends by itself: all of its input does."""
        return self._job.bounded

    @property
    def ended(self) -> bool:
        """It has run, and does no more."""
        return self._ended_s is not None

    def on_end(self, call: Callable[[bool], None]) -> None:
        """`call(failed)` once it has ended, on its own thread; at once if it has. It may be called twice."""
        self._on_end.append(call)
        if self._ended_s is not None:
            call(self._error is not None)

    @property
    def error(self) -> BaseException | None:
        """What ended it, until `wait` has raised it."""
        return self._error

    # Driven by hand, in a session that is not threaded: for tests

    def turn(self) -> bool:
        """Take what the input has now, on the caller's thread; False when there was nothing."""
        if not self._opened:
            self._opened = True
            self._job.open()
        try:
            return self._job.turn()
        except SQLError as error:
            self._place(error)
            raise

    def commit(self) -> None:
        """End the epoch now."""
        self._job.commit()

    def close(self) -> None:
        """Free what `turn` opened, without a commit: as if the process had been killed."""
        self._job.close()

    @property
    def finished(self) -> bool:
        """All input has ended and everything has been emitted."""
        return self._opened and self._job.finished

    def taken(self) -> list[pa.Table]:
        """The batches that came since the last call."""
        found: list[pa.Table] = []
        while not self._results.empty():
            item = self._results.get_nowait()
            if isinstance(item, pa.Table):
                found.append(item)
        return found

    # What a job calls

    def take(self, item: object) -> None:
        """Called by the job with each batch; blocks while the reader lags, until the query is stopped."""
        while True:
            try:
                self._results.put(item, timeout=0.05)
            except queue.Full:
                if self._stopped.is_set():
                    return
                continue
            return

    def stop(self) -> None:
        """Finish the epoch and end; returns when it has ended. What the query raised is left to `wait`."""
        self._stopped.set()
        self._job.stop()
        if self._opened:
            self._job.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of the input; True when it has ended. Raises what ended the query."""
        self.start()
        assert self._thread is not None
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        self._raise()
        return True

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            self._place(error)
            raise error

    def _place(self, error: BaseException) -> None:
        """An error of the SQL that only running it showed (a constant that fails) points at the cast at
        fault, if the statement has it as it is, or else at the statement."""
        if isinstance(error, SQLError) and error.span is None and self._statement is not None:
            error.span = cast_span(getattr(self._statement, "query", None), error.message) or self._statement.span
            error.located(self._statement.source)

    def batches(self) -> Iterator[pa.Table]:
        """Arrow tables of changes as they come: the columns, and `$diff` (+1, -1) unless append-only.

        Each row is given once: raises UsageError when all have been read.
        """
        if self._drained:
            raise UsageError(f"the rows of {self.name} have been read", hint="Keep them, or run the SQL again.")
        self.start()
        while True:
            try:
                item = self._results.get(timeout=0.05)
            except queue.Empty:
                if self._stopped.is_set() and self._thread is not None and not self._thread.is_alive():
                    break
                continue
            if item is _END:
                self._drained = True
                break
            assert isinstance(item, pa.Table)
            yield item
        self._raise()

    def __iter__(self) -> Iterator[Change]:
        """The changes from where the last loop over them ended, one that was left early too."""
        if self._changes is None or self._drained:
            self._changes = self._each()
        return self._changes

    def _each(self) -> Iterator[Change]:
        for batch in self.batches():
            diffs = batch[DIFF].to_pylist() if DIFF in batch.column_names else [1] * batch.num_rows
            columns = [values(batch, name) for name in self.schema.names]
            rows = zip(*columns, strict=True) if columns else iter([()] * batch.num_rows)
            for diff, row in zip(diffs, rows, strict=True):
                yield Change("+I" if diff > 0 else "-D", row)

    def arrow(self) -> pa.Table:
        """The whole result once the input has ended: changes applied, in order of arrival."""
        batches = list(self.batches())
        shape = self.schema.arrow()
        if self.append_only:
            return pa.concat_tables(batches).cast(shape) if batches else shape.empty_table()
        return applied(batches, shape)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The whole result as tuples."""
        table = self.arrow()
        columns = [values(table, name) for name in table.column_names]
        return list(zip(*columns, strict=True)) if columns else [()] * table.num_rows

    def df(self) -> pd.DataFrame:
        """The whole result as a pandas DataFrame. Raises UsageError when pandas is not installed."""
        try:
            return self.arrow().to_pandas()
        except ImportError as error:
            raise UsageError("df() needs pandas", hint="pip install streamsql[pandas]") from error

    @property
    def fingerprint(self) -> str:
        """Names the plan; state belongs to one."""
        return self._job.plan.fingerprint

    def explain(self) -> str:
        return self._plan.explained()

    @property
    def warning(self) -> str:
        """What is said before it runs, of state that grows for ever; '' for nothing."""
        return self._plan.warning

    def statistics(self) -> QueryStatistics:
        s = self._job.statistics
        end = self._ended_s if self._ended_s is not None else self._clock.monotonic_s()
        running = self._thread is not None and self._ended_s is None
        elapsed = end - self._started_s if self._thread is not None else 0.0
        return QueryStatistics(
            s.rows_in,
            s.rows_out,
            s.lag_rows,
            s.watermark_us,
            s.late,
            s.errors,
            s.errors_by_reason,
            s.state_rows,
            s.epoch,
            elapsed,
            running,
            s.skipped,
            s.expired,
        )

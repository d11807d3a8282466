"""Runs texts of SQL in a session and shows each result as it comes: `run` and the shell share it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.text import Text

from streamsql.core.changes import kinds, values
from streamsql.errors import LINE_CELLS, InternalError, SQLError, StreamSQLError, UsageError
from streamsql.shell.interrupts import Interrupts
from streamsql.shell.progress import Progress
from streamsql.shell.render import Change, OutputFormat, Screen, printer

if TYPE_CHECKING:
    from streamsql.session import Query, Result, Session

DONE, FAILED, WRONG = 0, 1, 2
"""Exit codes: all went well; data or the outside failed; the SQL or the call is wrong."""

PORTION_ROWS = 1000
"""Rows that are written with one call, between two looks at whether the query was stopped."""


class Runner:
    """Executes texts one after the other, in one session.

    screen      where results go
    notes       where everything else goes: messages, errors
    messages    whether statements without rows (CREATE, SET …) say that they are done
    background  INSERT jobs are left running, and `reap` tells how they ended (the shell); else a job
                that ends by itself is waited for, and one without an end runs beside what follows
                and is waited for by `finish`; when it fails, so does what runs then (`run`)
    again       called by the second signal in one text, see Interrupts
    """

    def __init__(
        self,
        session: Session,
        screen: Screen,
        notes: Screen,
        output: OutputFormat,
        progress: Progress,
        again: Callable[[], None],
        *,
        messages: bool = False,
        background: bool = False,
    ) -> None:
        self.session = session
        self.jobs: list[Query] = []
        self._screen, self._notes, self._output = screen, notes, output
        self._progress, self._again = progress, again
        self._messages, self._background = messages, background
        self._running: Query | None = None
        self.done = 0
        """How many statements of the text that runs, or ran last, have been done."""
        self.stopped = False
        """Whether a signal ended the statement that was done last, which has said so."""

    def run(self, text: str, origin: str, variables: Mapping[str, str] | None = None) -> None:
        """Run every statement of `text`.

        Raises: StreamSQLError of the first statement that fails; KeyboardInterrupt once a signal
        has ended the statement that ran (cleanly: its epoch is committed); BrokenPipeError when
        nobody reads the results any more.
        """
        self.done, self.stopped = 0, False
        with Interrupts(self._again) as interrupts:
            for result in self.session.execute(text, origin=origin, variables=variables):
                self._show(result, interrupts)
                self.done += result.statements
                self.stopped = interrupts.interrupted
                if interrupts.interrupted:
                    raise KeyboardInterrupt
                if not self._background:
                    self._settle()

    def finish(self) -> None:
        """Wait for the jobs that were left running, until a signal stops them.

        Raises: what ended one of them, once the others have been stopped; KeyboardInterrupt.
        """
        with Interrupts(self._again) as interrupts:
            while self.jobs:
                job = self._running = self.jobs[0]
                with interrupts.watching(self._stop_all), self._progress.watch(job):
                    job.wait()
                self._settle()
            if interrupts.interrupted:
                raise KeyboardInterrupt

    def reap(self) -> None:
        """Forget background jobs that have ended; say how each did."""
        for job in self._ended():
            try:
                job.wait()
            except StreamSQLError as error:
                report(error, self._notes)
            else:
                self._progress.summary(job.statistics())

    def _settle(self) -> None:
        """Forget background jobs that have ended. Raises what one of them raised."""
        for job in self._ended():
            job.wait()
            self._progress.summary(job.statistics())

    def _ended(self) -> list[Query]:
        ended = [job for job in self.jobs if not job.statistics().running]
        self.jobs = [job for job in self.jobs if job not in ended]
        return ended

    def _stop_all(self) -> None:
        """Stop what runs, what is waited for last: then whoever waits finds the others ended."""
        running = self._running
        for job in self.jobs:
            if job is not running:
                job.stop()
        if running is not None:
            running.stop()

    def _job_ended(self, failed: bool) -> None:
        """On a job's thread: its failure ends what runs beside it. On a new thread, as stopping waits."""
        if failed:
            threading.Thread(target=self._stop_all, name="streamsql-failed", daemon=True).start()

    def _show(self, result: Result, interrupts: Interrupts) -> None:
        if result.kind == "query" and result.query is not None:
            self._follow(result.query, interrupts)
        elif result.kind == "job" and result.query is not None:
            self._work(result.query, result.message, interrupts)
        elif result.kind == "table":
            table = printer(self._output, self._screen, result.columns, zone=self._zone())
            table.begin()
            table.rows([("+I", row) for row in result.rows])
            table.end()
        elif self._messages and result.message:
            self._notes.print(Text(result.message, style="green"))

    def _follow(self, query: Query, interrupts: Interrupts) -> None:
        """Print the rows of a SELECT until it ends or is stopped."""
        self._warn(query)
        columns = [(column.name, str(column.type)) for column in query.schema]
        rows = printer(self._output, self._screen, columns, query.append_only, self._zone(), not query.bounded)
        self._running = query
        try:
            with interrupts.watching(query.stop), self._progress.watch(query):
                rows.begin()
                for changes in changes_of(query):
                    rows.rows(changes)
            rows.end("stopped" if interrupts.interrupted else "")
        finally:
            query.stop()
            self._running = None
        self._progress.summary(query.statistics())

    def _warn(self, query: Query) -> None:
        """Say before it runs what will grow, and what to do; once a query."""
        if query.warning:
            self._notes.note(Text(query.warning, style="yellow"))

    def _work(self, job: Query, message: str, interrupts: Interrupts) -> None:
        self._warn(job)
        if self._background:
            job.start()
            self.jobs.append(job)
            self._notes.print(Text(message or "the job runs; SHOW JOBS lists it", style="green"))
            return
        if not job.bounded:
            job.on_end(self._job_ended)
            job.start()
            self.jobs.append(job)
            return
        self._running = job.start()
        try:
            with interrupts.watching(job.stop), self._progress.watch(job):
                job.wait()
        finally:
            job.stop()
            self._running = None
        self._progress.summary(job.statistics())

    def _zone(self) -> tzinfo:
        """The zone in which instants are shown: `table.local-time-zone` of the session."""
        name = self.session.settings.get("table.local-time-zone", "UTC")
        try:
            return UTC if name in ("UTC", "default") else ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            return UTC


def changes_of(query: Query) -> Iterator[Sequence[Change]]:
    """The changes of a query in portions, each shown at once, as they become known."""
    for batch in query.batches():
        names = kinds(batch, query.update_key)
        for start in range(0, batch.num_rows, PORTION_ROWS):
            portion = batch.slice(start, PORTION_ROWS)
            columns = [values(portion, name) for name in query.schema.names]
            yield list(zip(names.slice(start, PORTION_ROWS).to_pylist(), zip(*columns)))


def exit_code(error: StreamSQLError) -> int:
    """2 when the SQL or the call is wrong, 1 when data or the outside failed."""
    return WRONG if isinstance(error, SQLError | UsageError) else FAILED


def report(error: StreamSQLError, notes: Screen) -> None:
    """Show an error: where, what, the source line with a caret, and what can be done."""
    text = error.shown(min(max(notes.cells - 8, 20), LINE_CELLS)) if isinstance(error, SQLError) else str(error)
    if isinstance(error, InternalError):
        text += "\n  This is a defect of streamsql. Please report it with the SQL that shows it."
    if not isinstance(error, SQLError | UsageError):
        text = f"error: {text}"
    head, newline, rest = text.partition("\n")
    notes.note(Text(head, style="bold red").append(newline + rest, style="not bold default"))

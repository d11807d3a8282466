"""Job: the loop that makes a plan run: read, decode, step, write, commit.

Each turn takes what every reader has, hands it through the dataflow, and moves event time on. An
epoch ends when the commit interval has passed, and when all input has ended.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from streamsql.core.batch import MAX_WATERMARK, MIN_WATERMARK, SEQ, Batch
from streamsql.core.clock import Clock
from streamsql.core.node import BatchInput, Context, Node, Operator
from streamsql.core.options import duration_ms
from streamsql.engine.checkpoint import Checkpoint, Saved
from streamsql.engine.dataflow import Dataflow, Vertex
from streamsql.engine.ends import Ends
from streamsql.engine.inputs import Input, JobStatistics, counted
from streamsql.engine.plan import JobPlan
from streamsql.engine.reader import POLL_S, Reader, Reading
from streamsql.engine.side import SideTables
from streamsql.engine.sizing import BatchSize
from streamsql.errors import DataError, SQLError
from streamsql.operators.collect import Collect, Take
from streamsql.operators.insert import Insert
from streamsql.operators.keep import Keep, Shelf
from streamsql.operators.scan import Scan
from streamsql.operators.side import SideScan
from streamsql.planner import modules
from streamsql.planner.relational import Constant
from streamsql.state.database import Database
from streamsql.values.library import load
from streamsql.values.macros import set_clock

INTERVAL = "execution.checkpointing.interval"

Watch = Callable[[str, Node, Operator], Operator]
"""(stable name, node, its operator) → the operator that runs instead; tests look at what passes."""


class Job:
    """One running plan. `run` drives it to its end; tests drive it with `turn` and `commit`.

    take      receives the batches of a SELECT; None for INSERT jobs
    shelf     where the rows of a materialized table are read
    kept      the changes that another materialized table has published
    state     file of the job's state; None keeps it in memory
    threaded  False reads on the caller's thread, deterministically
    """

    def __init__(
        self,
        plan: JobPlan,
        *,
        clock: Clock,
        sides: SideTables,
        take: Take | None = None,
        state: Path | None = None,
        threaded: bool = True,
        threads: int = 1,
        prepare: Callable[[Database], None] | None = None,
        watch: Watch | None = None,
        shelf: Shelf | None = None,
        kept: Callable[[str], pa.Table] | None = None,
    ) -> None:
        self.plan = plan
        self.clock = clock
        self.sides = sides
        self._state = state
        self._threaded = threaded
        self._threads = threads
        self._prepare = prepare
        self._watch = watch
        self._kept = kept
        self._ends = Ends(take, shelf)
        self._read_kept: dict[str, BatchInput] = {}
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._inputs: list[Input] = []
        self._pending: list[tuple[Vertex, Constant | SideScan]] = []
        self._late: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._current: Input | None = None
        self._interval_s = duration_ms(plan.settings.get(INTERVAL, "1 s")) / 1000
        self._size = BatchSize()
        self._saved = Saved()
        self._open = False
        self.statistics = JobStatistics()

    # Opening and closing

    def open(self) -> None:
        """Open state, sinks and sources; resume where the state says. Raises what they raise."""
        self.database = Database(self._state, threads=self._threads)
        self._open = True
        self._timed = load(self.database, repr(self.plan.roots))
        if self._prepare is not None:
            self._prepare(self.database)
        self._now_us = 0
        self._set_clock()
        self._checkpoint = Checkpoint(self.database)
        self._saved = self._checkpoint.load(self.plan.fingerprint)
        for (table, side), rows in self._checkpoint.sides(self._saved).items():
            self.sides.restore(table, side, rows)
        self.database.begin()
        ends = Insert | Keep
        roots = [r if isinstance(r, ends) else Collect((r,), r.schema, r.append_only, ()) for r in self.plan.roots]
        self.dataflow = Dataflow(roots, self._watched, self._bad_row)
        self.dataflow.restore(self._saved.watermarks)
        self._ends.open(self._saved.epoch, self.clock)
        self._open_inputs()

    def _watched(self, name: str, node: Node) -> Operator | None:
        operator = self._operator(name, node)
        return operator if operator is None or self._watch is None else self._watch(name, node, operator)

    def _operator(self, name: str, node: Node) -> Operator | None:
        if isinstance(node, Scan | Constant | SideScan):
            return None
        context = Context(name, self.database, self.clock, self, self.plan.settings)
        return self._ends.operator(node, context, self._saved.job)

    def _open_inputs(self) -> None:
        for vertex in self.dataflow.sources():
            node = vertex.node
            if isinstance(node, Scan):
                self._inputs.append(self._input(vertex, node))
            elif isinstance(node, Constant) and vertex.watermark < MAX_WATERMARK:
                self._pending.append((vertex, node))  # not yet emitted by a run that this one resumes
            elif isinstance(node, SideScan):
                self._open_side(vertex, node)
        for given in self._inputs:
            given.reader.open(given.positions, self.clock, given.node.keys())

    def _input(self, vertex: Vertex, node: Scan) -> Input:
        step = node.operator(Context(vertex.name, self.database, self.clock, self, self.plan.settings))
        if vertex.name in self._saved.scans:
            step.restore(self._saved.scans[vertex.name])
        source = modules.connector(node.table.raw["connector"]).source(node.table)
        reader = Reader(source, threaded=self._threaded, max_rows=self._size.rows, wake=self._wake)
        self.sides.seen.add(node.name)
        return Input(vertex, step, reader, node, dict(self._saved.positions.get(vertex.name, {})))

    def _open_side(self, vertex: Vertex, node: SideScan) -> None:
        """Live beside a scan of the table; else what was kept; else, for errors, the table is read."""
        live = any(isinstance(v.node, Scan) and v.node.name == node.table for v in self.dataflow.vertices)
        if not live and node.scan is not None and node.table not in self.sides.seen:
            self._inputs.append(self._input(Vertex(f"{vertex.name}_scan", node.scan, None, []), node.scan))
            live = True
        if not live and vertex.watermark < MAX_WATERMARK:
            self._pending.append((vertex, node))

    def close(self) -> None:
        """Free everything; what was not committed is not there. May be called twice."""
        for given in self._inputs:
            given.reader.close()
        self._ends.close()
        self._inputs = []
        if self._open:
            self._open = False
            self.database.close()

    # Running

    def run(self) -> None:
        """Run to the end of the input, or until `stop`; then commit and close."""
        try:
            self.open()
            last = self.clock.monotonic_s()
            while not self._stop.is_set() and not self.finished:
                if not self.turn():
                    self._wake.wait(POLL_S)
                    self._wake.clear()
                if self.clock.monotonic_s() - last >= self._interval_s:
                    self.commit()
                    last = self.clock.monotonic_s()
            self.commit()
        finally:
            self.close()

    def stop(self) -> None:
        """End after the running turn, from any thread; the epoch is committed."""
        self._stop.set()
        self._wake.set()

    @property
    def bounded(self) -> bool:
        """Every input ends by itself. Opens nothing, and may be asked before `open`."""
        return all(modules.connector(n.table.raw["connector"]).source(n.table).bounded
                   for n in _nodes(self.plan.roots) if isinstance(n, Scan))

    @property
    def finished(self) -> bool:
        """All input has ended and everything has been emitted."""
        return not self._pending and all(i.finished for i in self._inputs)

    def turn(self) -> bool:
        """Take what every input has, once. False when there was nothing."""
        self._set_clock()
        worked = self._emit_pending() | self.dataflow.tick(self._now_us)
        for given in self._inputs:
            reading = None if given.finished else given.reader.next()
            if reading is not None:
                worked |= self._read(given, reading)
            elif not given.finished:
                self._idle(given)
        self._end_sides()
        return worked

    def _set_clock(self) -> None:
        """The time of what comes now. It never falls, over restarts too: no row comes after its window's close."""
        self._now_us = max(self._now_us, self._saved.now_us, self.clock.now_us())
        if self._timed:
            set_clock(self.database.everywhere, self._now_us)

    def _emit_pending(self) -> bool:
        pending, self._pending = self._pending, []
        for vertex, node in pending:
            rows = self._constant(node) if isinstance(node, Constant) else self.sides.rows(node.table, node.side)
            self._emit_table(vertex, rows)
            self.dataflow.advance(vertex, MAX_WATERMARK)
        return bool(pending)

    def _constant(self, node: Constant) -> pa.Table:
        """The rows that the SQL itself says. Raises SQLError, whose place is for the query to say."""
        for name in node.kept:
            if name not in self._read_kept:
                assert self._kept is not None
                rows = self._kept(name)
                self._read_kept[name] = self.database.over(f"{name}$kept", rows.schema)
                self._read_kept[name].set(rows)
        try:
            return self.database.compute(node.sql).run().cast(node.schema.arrow())
        except DataError as error:
            raise SQLError(error.message, detail=error.detail, hint=error.hint) from error

    def _emit_table(self, vertex: Vertex, rows: pa.Table) -> None:
        """Rows that no record brought: never late, in the order in which they are."""
        if rows.num_rows:
            rows = rows.select(list(vertex.node.schema.names)) if vertex.node.schema.names else rows
            rows = rows.append_column("$watermark", pa.array([MIN_WATERMARK] * rows.num_rows, pa.int64()))
            rows = rows.append_column(SEQ, pa.array(range(rows.num_rows), pa.int64()))
            self.dataflow.push(vertex, Batch(rows, False))

    def _read(self, given: Input, reading: Reading) -> bool:
        given.last = reading
        given.step.observe(
            reading.splits, reading.ended, live=not given.reader.source.bounded, finished=reading.finished
        )
        chunk, started = reading.chunk, self.clock.monotonic_s()
        if chunk is not None and len(chunk):
            self._current = given
            batch = given.step.ingest(chunk)
            self._take_errors(given)
            if batch is not None and len(batch):
                self.dataflow.push(given.vertex, batch)
            self._current = None
        if chunk is not None:
            for split, position in chunk.positions.items():
                given.positions[reading.splits[split].id] = position
        else:
            given.step.idle(self.clock.monotonic_s())
        self._advance(given)
        given.finished = reading.finished
        self._count()
        if chunk is not None:
            self._size.took(len(chunk), self.clock.monotonic_s() - started)
            given.reader.max_rows = self._size.rows
        return chunk is not None and len(chunk) > 0

    def _idle(self, given: Input) -> None:
        if given.last is not None and given.step.idle(self.clock.monotonic_s()):
            self._advance(given)

    def _advance(self, given: Input) -> None:
        if given.step.watermark_us > given.vertex.watermark:
            self.dataflow.advance(given.vertex, given.step.watermark_us)

    # Side outputs (core.node.SideOutput)

    def _take_errors(self, given: Input) -> None:
        rows = given.step.take_errors()
        if rows is not None:
            self._aside(given, "$errors", rows)

    def late(self, seq: Sequence[int], reason: str) -> None:
        """An operator dropped these records as too late."""
        given = self._current
        numbers = list(seq)
        self._late[reason] += len(numbers)
        if given is not None and given.node.table.raw.get("late-handling.mode", "log") != "ignore":
            self._aside(given, "$late", given.step.records(numbers, reason))

    def error(self, seq: Sequence[int], reason: str, detail: str | None = None) -> None:
        """An operator cannot process these records, and the policy is to go on."""
        given = self._current
        numbers = list(seq)
        self._errors["failed"] += len(numbers)
        if given is not None and given.node.errors == "log":
            self._aside(given, "$errors", given.step.records(numbers, reason, detail))

    def _aside(self, given: Input, side: str, rows: pa.Table) -> None:
        kept = int(given.node.table.raw.get("side-output.max-rows", "10000"))
        self.sides.add(given.node.name, side, rows, kept)
        for vertex in self.dataflow.sources():
            node = vertex.node
            if isinstance(node, SideScan) and (node.table, node.side) == (given.node.name, side):
                self._emit_table(vertex, rows)

    def _end_sides(self) -> None:
        """A side table ends with the table's own scans."""
        for vertex in self.dataflow.sources():
            node = vertex.node
            if (
                isinstance(node, SideScan)
                and vertex.watermark < MAX_WATERMARK
                and all(i.finished for i in self._inputs if i.node.name == node.table)
                and not self._pending
            ):
                self.dataflow.advance(vertex, MAX_WATERMARK)

    def _bad_row(self, vertex: Vertex, batch: Batch, error: DataError) -> None:
        """One row that an operator refuses: set aside with its record, or the end of the job."""
        given, seq = self._current, batch.table[SEQ].to_pylist()
        if given is None:
            raise error
        if given.node.errors == "fail":
            record = given.step.records(seq, error.message).to_pylist()
            if record:
                raise DataError(
                    error.message,
                    topic=record[0]["topic"],
                    partition=record[0]["partition"],
                    offset=record[0]["offset"],
                    detail=error.detail,
                    hint="SET 'error-handling.mode'='log' on the table keeps such records aside.",
                ) from error
            raise error
        self.error(seq, error.message, error.detail)

    # Commit

    def commit(self) -> None:
        """End the epoch: see `engine.checkpoint` for the steps."""
        epoch = self._saved.epoch + 1
        self._ends.flush()
        self._saved = Saved(
            epoch,
            self.plan.fingerprint,
            self._saved.job,
            {i.vertex.name: dict(i.positions) for i in self._inputs},
            {i.vertex.name: i.step.snapshot() for i in self._inputs},
            self.dataflow.snapshot(),
            self.finished,
            self._saved.sides,
            self._now_us,
        )
        self._checkpoint.save(
            self._saved,
            self.sides.changed(),
            rows_in=self.statistics.rows_in,
            state_rows=self.statistics.state_rows,
        )
        self._ends.commit(epoch)
        for given in self._inputs:
            given.reader.commit(given.positions)
        self._count()

    def _count(self) -> None:
        operators = [v.operator for v in self.dataflow.vertices if v.operator is not None]
        self.statistics = counted(self._inputs, operators, self._late.total(), self._errors, self._saved.epoch,
                                  self.database.expired)


def _nodes(roots: Iterable[Node]) -> Iterator[Node]:
    """The nodes of a plan, with the scan behind a side table."""
    for node in roots:
        yield node
        yield from _nodes(node.inputs)
        if isinstance(node, SideScan) and node.scan is not None:
            yield node.scan

"""Execution: one case run in one mode, step by step, and the failures found."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from streamsql.core.clock import ManualClock
from streamsql.core.options import duration_ms
from streamsql.errors import Source, StreamSQLError, UsageError
from streamsql.operators.scan import Scan
from streamsql.session import Session
from streamsql.sql import parse, split
from streamsql.sql import statements as st
from streamsql.testing import cells, rows
from streamsql.testing.case import Block, Case, Claim, Input, Statement, Step, Verb
from streamsql.testing.failure import Failure
from streamsql.testing.feed import Feed, MemoryFeed
from streamsql.testing.jobs import Jobs, net, scans
from streamsql.testing.mode import Mode
from streamsql.testing.rows import Change, Shape
from streamsql.testing.shuffle import shuffled
from streamsql.testing.watch import Watch

START_US = cells.moment("2026-01-02 00:00:00") // 1000
"""What the clock says when a case begins: the end of the default date, so that none of its times is in
the future. It moves by `@ clock` and `@ idle` alone."""

SIDES = ("$late", "$errors")


@dataclass(slots=True)
class Outcome:
    """What a run found: failures, and for each expected block what it should say (for `--record`).

    unrecorded: the failures that no block can be rewritten for.
    """

    failures: list[Failure] = field(default_factory=list)
    unrecorded: list[Failure] = field(default_factory=list)
    blocks: dict[int, tuple[Block, list[str]]] = field(default_factory=dict)


class Execution:
    """Runs the steps of a case. `run` once."""

    def __init__(self, case: Case, mode: Mode, *, seed: int = 0, servers: str = "mock://cases") -> None:
        self.case = case
        self.mode = mode
        self.seed = seed
        self.servers = servers
        self.outcome = Outcome()
        restarts = mode is Mode.RESTART or any(isinstance(s, Verb) and s.verb == "restart" for s in case.steps)
        self._folder = tempfile.TemporaryDirectory(prefix="streamsql-") if restarts else None
        self.clock = ManualClock(START_US)
        self.session = Session(threaded=False, clock=self.clock,
                               state=self._folder.name if self._folder else None)
        self.feed = self.make_feed()
        self.jobs = Jobs(self.session, self.feed, Watch(self.on_scan))
        self._inserts: list[st.Insert] = []
        self._fed: set[str] = set()
        self._unclaimed: set[str] = set()
        self._sides: dict[str, list[tuple[str, ...]]] = {}
        self.prepare()

    def make_feed(self) -> Feed:
        return MemoryFeed(self.case, self.session)

    def prepare(self) -> None:
        """Called once, before anything runs."""

    def on_scan(self, job: str, scan: Scan, rows: pa.Table) -> None:
        """Rows that a table has let in; nobody asks here."""

    def run(self) -> Outcome:
        steps: Sequence[Step] = self.case.steps
        if self.mode is Mode.SHUFFLE:
            steps = shuffled(steps, self.seed)
        try:
            for step in steps:
                if not self._step(step):
                    break
            else:
                self.finish()
        finally:
            self.jobs.close()
            self.feed.close()
            if self._folder is not None:
                self._folder.cleanup()
        return self.outcome

    def finish(self) -> None:
        """All steps are done: what came and was not claimed is a failure."""
        for name, output in self.jobs.outputs.items():
            changes = [] if name in self._unclaimed else self._compared(output.pending)
            if changes:
                self.fail(len(self.case.lines) - 1, f'changes of "{name}" that the case does not claim',
                          actual=[str(c) for c in changes])

    def _step(self, step: Step) -> bool:
        """False when the case cannot go on."""
        try:
            match step:
                case Statement():
                    self._statement(step)
                case Input():
                    with self._expecting(step.error):
                        self._input(step)
                case Claim():
                    self._claim(step)
                case Verb():
                    with self._expecting(step.error):
                        self._verb(step)
        except rows.BadLine as error:
            self.fail(error.line, error.message)
            return False
        except StreamSQLError as error:
            self.fail(step.line, "an error that the case does not expect", actual=str(error).split("\n"))
            return False
        except Exception as error:  # noqa: BLE001 - a crash is a failure of its case, the others go on
            self.fail(step.line, f"a crash: {type(error).__name__}", actual=str(error).split("\n"))
            return False
        return True

    def fail(self, line: int, message: str, expected: Sequence[str] = (), actual: Sequence[str] = ()) -> None:
        self._note(Failure(self.case.origin, line + 1, message, expected=expected, actual=actual,
                           mode=self.mode.value))

    def _note(self, failure: Failure, recorded: bool = False) -> None:
        self.outcome.failures.append(failure)
        if not recorded:
            self.outcome.unrecorded.append(failure)

    def _compare(self, line: int, message: str, block: Block, actual: Sequence[str], same: bool) -> None:
        self.outcome.blocks[block.start] = (block, list(actual))
        if not same:
            self._note(Failure(self.case.origin, line + 1, message, expected=block.lines, actual=actual,
                               mode=self.mode.value), recorded=True)

    @contextlib.contextmanager
    def _expecting(self, block: Block | None) -> Iterator[None]:
        """The step inside raises the error of the block."""
        if block is None:
            yield
            return
        try:
            yield
        except StreamSQLError as error:
            self._compare_error(block, error)
        else:
            self.fail(block.start - 1, "no error came", block.lines)

    def _compare_error(self, block: Block, error: StreamSQLError) -> None:
        actual = [line.rstrip() for line in str(error).split("\n")]
        self._compare(block.start - 1, "another error than expected", block, actual, actual == list(block.lines))

    # Statements

    def _statement(self, step: Statement) -> None:
        with self._expecting(step.error):
            lines: list[str] = []
            ordered = True
            for text in split(step.text) or [step.text]:
                for statement in parse(Source(text)):
                    lines, ordered = self._run(statement, step)
        if step.expected is not None:
            expected = [line for line in step.expected.lines if line.strip()]
            same = lines == expected if ordered else sorted(lines) == sorted(map(rows.canonical, expected))
            self._compare(step.line, "the statement returns something else", step.expected, lines, same)

    def _run(self, statement: st.Statement, step: Statement) -> tuple[list[str], bool]:
        """What the statement returns, as lines, and whether their order counts."""
        match statement:
            case st.CreateTable() if statement.query is None and statement.like is None:
                return self._create_table(statement), True
            case st.CreateTable() if statement.query is not None:
                insert = self.session.planner.create_table_as(self._connected(statement))
                self._inserts += [insert] if insert is not None else []
                return [f'table "{statement.name}" {"created" if insert else "exists already"}'], True
            case st.CreateMaterialized():
                return self._materialize(statement), True
            case st.Insert():
                self.session.planner.inserts((statement,))
                self._inserts.append(statement)
                return [], True
            case st.StatementSet():
                self._start_inserts(statement.inserts)
                return [], True
            case st.Select():
                if step.expected is None and step.error is None:
                    raise rows.BadLine(step.line, "a SELECT of a case is followed by `----` and what it returns")
                return self._select(statement), statement.query.args.get("order") is not None
        self._open()
        if isinstance(statement, st.Drop) and statement.kind.startswith("MATERIALIZED"):
            self.jobs.stop(statement.name.last)
        lines: list[str] = []
        for result in self.session.execute(statement.text):
            lines = rows.lines(result)
        return lines, True

    def _create_table(self, statement: st.CreateTable) -> list[str]:
        made = self.session.planner.create_table(self._connected(statement))
        return [f'table "{statement.name}" {"created" if made else "exists already"}']

    def _connected(self, statement: st.CreateTable) -> st.CreateTable:
        """The table, in memory where it names no connector."""
        given = {o.key for o in statement.options}
        if "connector" not in given:
            span = statement.name.span
            added = tuple(st.OptionDef(key, value, span, span)
                          for key, value in self.feed.options(statement).items())
            statement = replace(statement, options=(*statement.options, *added))
        return statement

    def _materialize(self, statement: st.CreateMaterialized) -> list[str]:
        """Its job is driven as any other; its changes may be claimed."""
        self._open()
        planner, name = self.session.planner, statement.name.last
        if statement.or_replace:
            self.jobs.stop(name)
        if planner.create_materialized(statement) is None:
            return [f'materialized table "{name}" exists already']
        self.jobs.start(statement.text, lambda: planner.materialized(statement), name)
        if not any(isinstance(s, Claim) and s.relation == name for s in self.case.steps):
            self._unclaimed.add(name)
        self.jobs.settle()
        return [f'materialized table "{name}" created']

    def _select(self, statement: st.Select) -> list[str]:
        """The rows that a query gives over the input so far, as a reader sees them then."""
        self._open()
        plan = self.session.planner.select(statement)
        session = self.session
        query = session.query(plan, statement.text, statement=statement)
        try:
            self.jobs.drained(query, plan)
            taken = query.taken()
        finally:
            query.close()
        shape = [(c.name, c.type) for c in plan.schema]
        changes = [c for batch in taken for c in rows.changes(batch, shape)]
        return [" | ".join(c.cells) for c in (changes if plan.append_only else net(changes))]

    # Jobs

    def _open(self) -> None:
        """Start what is not running yet: the INSERTs so far, and every claimed relation that exists by now."""
        if self._inserts:
            inserts, self._inserts = self._inserts, []
            self._start_inserts(inserts)
        catalog = self.session.catalog().tables()
        for step in self.case.steps:
            if isinstance(step, Claim) and step.relation in catalog and step.relation not in self.jobs.outputs \
                    and not self._written_later(step.relation):
                self._start_select(step.relation)

    def _written_later(self, name: str) -> bool:
        """A table that an INSERT of the case fills is claimed as what is written into it."""
        return name not in self._fed and any(
            isinstance(s, Statement) and f"insert into {name.lower()}" in " ".join(s.text.lower().split())
            for s in self.case.steps)

    def _start_inserts(self, inserts: Sequence[st.Insert]) -> None:
        text = ";\n".join(s.text for s in inserts)
        sinks = list(dict.fromkeys(s.table.last for s in inserts))
        self.jobs.start(text, lambda: self.session.planner.inserts(inserts), sinks=sinks)

    def _start_select(self, relation: str) -> None:
        text = f"SELECT * FROM `{relation}`"
        statement = parse(Source(text))[0]
        assert isinstance(statement, st.Select)
        self.jobs.start(text, lambda: self.session.planner.select(statement), relation)

    # Input

    def _input(self, step: Input) -> None:
        self._open()
        self._fed.add(step.source)
        if self.mode is Mode.SPLIT and step.rows:
            for row in step.rows:
                self._append(replace(step, rows=(row,)))
                self.jobs.settle()
        else:
            self._append(step)
            self.jobs.settle()
        if self.mode is Mode.RESTART:
            self.jobs.restart()
            self.jobs.settle()

    def _append(self, step: Input) -> None:
        if step.raw:
            values = [b"" if text == '""' else text.encode() for _, text in step.rows]
            self.feed.append_raw(step.source, values, step.partition)
            return
        try:
            shape = [(c.name, c.type) for c in self.session.describe(step.source) if c.kind == "physical"]
        except UsageError as error:
            raise rows.BadLine(step.line, f"{error.message}. {error.hint}") from error
        table, diffs = rows.given(step, shape)
        self.feed.append(step.source, table, step.partition, diffs if self.case.signed(step.source) else None)

    # Claims

    def _claim(self, step: Claim) -> None:
        self._open()
        self.jobs.settle()
        if step.relation.endswith(SIDES):
            changes, shape = self._side(step.relation)
        elif step.relation in self.jobs.outputs:
            output = self.jobs.outputs[step.relation]
            changes, shape = output.pending, output.shape
            output.pending = []
        else:
            raise rows.BadLine(step.line, f'"{step.relation}" is no table, view or sink of the case')
        names = [name for name, _ in shape]
        for column in step.columns:
            if column not in names:
                raise rows.BadLine(step.line, f'"{step.relation}" has no column "{column}", it has {", ".join(names)}')
        kept = [names.index(c) for c in step.columns] or list(range(len(names)))
        actual = sorted(map(str, self._compared(
            [Change(c.diff, tuple(c.cells[i] for i in kept)) for c in changes])))
        expected = rows.expected(step.expected, step.relation, [shape[i] for i in kept])
        same = actual == sorted(map(str, self._compared(expected)))
        self._compare(step.line, f'the changes of "{step.relation}" differ', step.expected, actual, same)

    def _compared(self, changes: Sequence[Change]) -> list[Change]:
        return list(changes) if self.mode is Mode.PLAIN else net(changes)

    def _side(self, name: str) -> tuple[list[Change], Shape]:
        """What has come into a side table since it was last claimed."""
        statement = parse(Source(f"SELECT * FROM `{name}`"))[0]
        assert isinstance(statement, st.Select)
        shape = [(c.name, c.type) for c in self.session.planner.select(statement).schema]
        base, side = name.rsplit("$", 1)
        kept = [c.cells for c in rows.changes(self.session.sides.rows(base, f"${side}"), shape)]
        known = self._sides.get(name, [])
        self._sides[name] = kept
        return net([*(Change(1, r) for r in kept), *(Change(-1, r) for r in known)]), shape

    # Verbs

    def _verb(self, step: Verb) -> None:
        self._open()
        match step.verb:
            case "end":
                for name in step.words or self.unended():
                    self.feed.end(name)
            case "restart":
                self.jobs.settle()
                self.jobs.restart()
            case "idle":
                self.jobs.settle()
                self.clock.advance_us(31_000_000)
            case "clock":
                self._turn_clock(step)
            case "watermark":
                self._watermark(step)
        self.jobs.settle()

    def unended(self) -> list[str]:
        """Every table in memory that nothing writes into and that has not ended."""
        written = {sink for job in self.jobs.running for sink in job.sinks}
        read = dict.fromkeys([s.name for job in self.jobs.running for s in scans(job.current)] + sorted(self._fed))
        return [name for name in read if name not in written]

    def _turn_clock(self, step: Verb) -> None:
        text = " ".join(step.words)
        try:
            if text.startswith("+"):
                self.clock.advance_us(duration_ms(text[1:]) * 1000)
            else:
                self.clock.set_us(cells.moment(text) // 1000)
        except ValueError as error:
            raise rows.BadLine(step.line, "write `@ clock 12:00:00` or `@ clock + 5 s`") from error

    def _watermark(self, step: Verb) -> None:
        self.jobs.settle()
        found = {q.statistics().watermark_us for q in (job.query for job in self.jobs.running)}
        shown = sorted("none" if us is None else cells.shown_moment(us * 1000) for us in found)
        wanted = " ".join(step.words)
        with contextlib.suppress(ValueError):
            wanted = cells.shown_moment(cells.moment(wanted))
        if shown != [wanted]:
            self.fail(step.line, "the watermark differs", [wanted], shown)

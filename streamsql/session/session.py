"""Session: names, settings and what runs; every way of using streamsql is a client of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, overload

from streamsql.connectors.memory import NAMESPACE, MemoryTable, Namespace
from streamsql.core.batch import SEQ, WATERMARK
from streamsql.core.clock import Clock, SystemClock
from streamsql.core.schema import Column, Schema, quote, text_literal
from streamsql.core.types import STRING
from streamsql.engine.checkpoint import fingerprint_of
from streamsql.engine.job import Watch
from streamsql.engine.side import SideTables
from streamsql.errors import BindError, Source, SQLError, StreamSQLError, UsageError, did_you_mean
from streamsql.planner.catalog import Catalog, TableColumn
from streamsql.planner.planner import Plan, Planner
from streamsql.planner.relational import Constant
from streamsql.session.facts import CatalogView, Facts, Result
from streamsql.session.query import Query
from streamsql.session.running import Running, Surroundings, job_of
from streamsql.session.settings import SETTINGS, checked
from streamsql.sql import parse
from streamsql.sql import statements as st
from streamsql.sql.variables import substituted
from streamsql.values.user import Declaration, F, described

MEMORY = "memory"
S = TypeVar("S", bound=st.Statement)
R = TypeVar("R")


class Session:
    """Names, settings and running queries. Not to be used by two threads at once; its queries may be."""

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        state: str | Path | None = None,
        clock: Clock | None = None,
        threaded: bool = True,
    ) -> None:
        self.settings: dict[str, str] = dict(SETTINGS)
        for key, value in (settings or {}).items():
            self._set(key, str(value))
        if state is not None:
            self.settings["streamsql.state.dir"] = str(state)
        self.clock = clock or SystemClock()
        self._threaded = threaded
        self.watch: Watch | None = None
        self.namespace = Namespace()
        self._catalog = Catalog()
        self.sides = SideTables()
        self._running = Running(self.settings, self.clock, threaded=threaded)
        self._facts = Facts(self._catalog, self.settings)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop what runs, finishing its epoch."""
        self._running.stop_all()

    @property
    def queries(self) -> list[Query]:
        """What runs, and what has run."""
        return self._running.queries

    def catalog(self) -> CatalogView:
        return CatalogView(self._catalog, self.settings)

    def memory(self, name: str) -> MemoryTable:
        """The table `name` of connector `memory` in this session: append to it, take from it.

        Raises UsageError when there is no such table.
        """
        declared = self._catalog.tables.get(name)
        mine = [t.name for t in self._catalog.tables.values() if t.options.get("connector") == MEMORY]
        if declared is None or declared.name not in mine:
            what = "does not exist" if declared is None else f'is of connector "{declared.options.get("connector")}"'
            raise UsageError(f'table "{name}" {what}', hint=did_you_mean(name, mine, "Memory tables") if mine
                             else "CREATE TABLE … WITH ('connector' = 'memory') makes one.")
        table = self.namespace.table(name)
        encoded = any(key.endswith("format") for key in declared.options)
        table.expected = () if encoded else tuple(c.name for c in declared.columns if c.kind == "physical")
        return table

    @overload
    def function(self, f: F, /, *, name: str = "") -> F: ...

    @overload
    def function(
        self, *types: str, returns: str | None = None, name: str = "", deterministic: bool = True
    ) -> Callable[[F], F]: ...

    def function(self, *types: Any, returns: str | None = None, name: str = "", deterministic: bool = True) -> Any:
        """Let the SQL of this session call a Python function, in the place of one of the same name.

        A call or a decorator; the arguments are those of `streamsql.function`. Queries that exist
        keep the function they were made with. Raises SQLTypeError for a function whose types are
        not known, BindError for the name of a built-in one.
        """
        if len(types) == 1 and not isinstance(types[0], str):
            return self.function(returns=returns, name=name, deterministic=deterministic)(types[0])

        def add(f: F) -> F:
            declared = Declaration(types, returns, name, deterministic)
            self.planner.add_function(described(f, declared=declared))
            return f

        return add

    def _adopt(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._facts = Facts(catalog, self.settings)

    def describe(self, name: str) -> tuple[TableColumn, ...]:
        """The columns of a table. Raises UsageError when there is no such table."""
        if name not in self._catalog.tables:
            raise UsageError(f'table "{name}" does not exist', hint=did_you_mean(name, self._catalog.tables, "Tables"))
        return self._catalog.tables[name].columns

    @property
    def planner(self) -> Planner:
        return Planner(self._catalog, self.settings, {"memory": {NAMESPACE: self.namespace.id}})

    # Running text

    def execute(
        self, text: str, *, origin: str = "<sql>", variables: Mapping[str, str] | None = None
    ) -> Iterator[Result]:
        """Run a script: one Result a statement, each run when the iterator reaches it.

        INSERTs with nothing but CREATE between them are one job, which comes before the statement
        after them. Raises StreamSQLError; the statements before the one at fault have been run.
        """
        pending: list[st.Insert] = []
        answered = 0  # INSERTs whose job is still to come; that of a CREATE … AS has a Result of its own
        for statement in parse(substituted(Source(text, origin), variables or {})):
            if isinstance(statement, st.Insert):
                pending.append(statement)
                answered += 1
                continue
            if pending and not _only_adds(statement):
                yield replace(self._inserts(pending), statements=answered)
                pending, answered = [], 0
            if isinstance(statement, st.CreateTable) and statement.query is not None:
                made = self._planned(statement, self.planner.create_table_as)
                pending += [made] if made is not None else []
                yield _created("table", statement.name, made)
                continue
            yield self._statement(statement)
        if pending:
            yield replace(self._inserts(pending), statements=answered)

    def sql(self, text: str) -> Query:
        """One statement that runs: a SELECT to be read, or an INSERT to be started. DDL runs at once
        and gives a query without rows. Raises UsageError for more than one."""
        results = list(self.execute(text))
        if not results:
            raise UsageError("there is no statement in the text")
        runs = [r.query for r in results if r.query is not None]
        if len(runs) > 1:
            raise UsageError("sql() takes one query", hint="Use execute() for a script.")
        if runs:
            return runs[0]
        return self.query(_fixed(results[-1]), text)

    def check(
        self, text: str, *, origin: str = "<sql>", variables: Mapping[str, str] | None = None
    ) -> list[StreamSQLError]:
        """The errors of a script, found by parsing and planning it; nothing runs."""
        errors: list[StreamSQLError] = []
        trial = Session(self.settings, clock=self.clock)
        trial._adopt(self._catalog.copy())
        try:
            statements = parse(substituted(Source(text, origin), variables or {}))
        except SQLError as error:
            return [error]
        for statement in statements:
            try:
                trial._plan_only(statement)
            except StreamSQLError as error:
                errors.append(error)
        return errors

    def _plan_only(self, statement: st.Statement) -> None:
        match statement:
            case st.Select():
                self.planner.select(statement)
            case st.Insert():
                self.planner.inserts((statement,))
            case st.StatementSet():
                self.planner.inserts(statement.inserts)
            case st.StopJob():
                pass
            case st.CreateMaterialized():
                self.planner.create_materialized(statement)
            case st.CreateTable() if statement.query is not None:
                self.planner.create_table_as(statement)
            case _:
                self._statement(statement)

    def explain(
        self, text: str, *, origin: str = "<sql>", variables: Mapping[str, str] | None = None, sql: bool = False
    ) -> str:
        """The text plans of a script's queries, with DuckDB's SQL of each step if `sql`; its other statements run."""
        plans: list[str] = []
        inserts: list[st.Insert] = []
        for statement in parse(substituted(Source(text, origin), variables or {})):
            match statement:
                case st.Insert():
                    inserts.append(statement)
                case st.StatementSet():
                    plans.append(self.planner.inserts(statement.inserts).explained(sql=sql))
                case st.Select():
                    plans.append(self.planner.select(statement).explained(sql=sql))
                case st.Explain():
                    plans.append(self.planner.explain(statement))
                case st.CreateMaterialized():
                    made = self.planner.create_materialized(statement)
                    plans += [made.explained(sql=sql)] if made is not None else []
                case st.CreateTable() if statement.query is not None:
                    insert = self.planner.create_table_as(statement)
                    inserts += [insert] if insert is not None else []
                case _:
                    self._statement(statement)
        if inserts:
            plans.append(self.planner.inserts(inserts).explained(sql=sql))
        return "\n\n".join(plans)

    # Statements

    def _statement(self, statement: st.Statement) -> Result:
        return self._planned(statement, self._run)

    def _planned(self, statement: S, run: Callable[[S], R]) -> R:
        try:
            return run(statement)
        except SQLError as error:
            raise error.located(statement.source) from error.__cause__

    def _run(self, statement: st.Statement) -> Result:
        planner = self.planner
        match statement:
            case st.Select():
                return Result("query", query=self.query(planner.select(statement), statement.text, statement=statement))
            case st.StatementSet():
                return self._inserts(statement.inserts)
            case st.CreateTable():
                return _created("table", statement.name, planner.create_table(statement))
            case st.CreateView():
                return _created("view", statement.name, planner.create_view(statement))
            case st.CreateMaterialized():
                return self._materialize(statement)
            case st.Drop():
                gone = planner.drop(statement)
                if gone and statement.kind.startswith("MATERIALIZED"):
                    self._running.forget(statement.name.last)
                kind = statement.kind.lower()
                return Result("message", f'{kind} "{statement.name}" {"dropped" if gone else "was not there"}')
            case st.Explain():
                lines = planner.explain(statement).split("\n")
                return Result("table", columns=(("plan", "STRING"),), rows=tuple((line,) for line in lines))
            case st.Set():
                return self._set_statement(statement)
            case st.Reset():
                return self._reset(statement)
            case st.Show():
                return self._facts.show(statement, self.queries)
            case st.Describe():
                return self._facts.describe(statement)
            case st.StopJob():
                return Result("message", self._running.stop(statement))
            case st.CreateFunction():
                return _created("function", statement.name, planner.create_function(statement))
        raise UsageError(f"{type(statement).__name__} is not built")

    def _inserts(self, statements: Sequence[st.Insert]) -> Result:
        text = ";\n".join(s.text for s in statements)
        query = self.query(self.planner.inserts(statements), text, statement=statements[0])
        names = ", ".join(f'"{s.table}"' for s in statements)
        return Result("job", f"job {query.name} writes {names}", query=query)

    def _materialize(self, statement: st.CreateMaterialized) -> Result:
        """Start the job that keeps the rows. With a state directory it goes on where it was."""
        replaced = statement.name.last in self._catalog.materialized and statement.or_replace
        plan = self.planner.create_materialized(statement)
        if plan is None:
            return _created("materialized table", statement.name, None)
        if replaced:
            self._running.forget(statement.name.last)
        name = job_of(statement.name.last)
        query = self.query(plan, statement.text, name, statement, freshness_ms=statement.freshness_ms)
        state = self._running.state(name)
        if statement.or_replace and state is not None and fingerprint_of(state) not in ("", query.fingerprint):
            self._running.remove_state(name)
        if self._threaded:
            query.start()
        return Result("job", f'job {query.name} keeps the rows of materialized table "{statement.name}"', query=query)

    def query(self, plan: Plan, text: str, name: str = "", statement: st.Statement | None = None, *,
              freshness_ms: int = 0) -> Query:
        """A query of this session for a plan; it does not run yet. A name given anew resumes its state."""
        around = Surroundings(self._catalog, self.sides, self.watch)
        return self._running.query(around, plan, text, name, statement, freshness_ms)

    def _set(self, key: str, value: str) -> None:
        self.settings[key] = checked(key, value)

    def _set_statement(self, statement: st.Set) -> Result:
        if statement.key is None:
            rows = tuple(sorted(self.settings.items()))
            return Result("table", columns=(("key", "STRING"), ("value", "STRING")), rows=rows)
        try:
            self._set(statement.key, statement.value or "")
        except UsageError as error:
            raise BindError(error.message, statement.span, hint=error.hint) from None
        return Result("message", f"{statement.key} = {statement.value}")

    def _reset(self, statement: st.Reset) -> Result:
        if statement.key is None:
            self.settings.clear()
            self.settings.update(SETTINGS)
        elif statement.key in SETTINGS:
            self.settings[statement.key] = SETTINGS[statement.key]
        else:
            self.settings.pop(statement.key, None)
        return Result("message", f"{statement.key or 'all settings'} reset")

def _created(kind: str, name: st.Name, made: object) -> Result:
    return Result("message", f'{kind} "{name}" {"created" if made is not None else "exists already"}')


def _only_adds(statement: st.Statement) -> bool:
    """It makes a new name: what was written before it means the same after it."""
    creates = st.CreateTable | st.CreateView | st.CreateFunction | st.CreateMaterialized
    return isinstance(statement, creates) and not statement.or_replace


def _fixed(result: Result) -> Plan:
    """The plan of rows that are known already (SHOW, DESCRIBE, a message)."""
    names = [name for name, _ in result.columns] or ["result"]
    rows = result.rows if result.columns else ((result.message,),)
    schema = Schema(tuple(Column(name, STRING) for name in names))
    cells = [["NULL::VARCHAR" if v is None else text_literal(str(v)) for v in row] for row in rows]
    values = ", ".join(f"({', '.join(row)})" for row in cells) or f"({', '.join(['NULL::VARCHAR'] * len(names))})"
    columns = ", ".join(quote(n) for n in names)
    text = f"SELECT * FROM (VALUES {values}) AS t({columns})" + ("" if cells else " WHERE FALSE")
    return Plan((Constant((), schema, True, (WATERMARK, SEQ), text),), "", schema, True)


def connect(settings: Mapping[str, str] | None = None, *, state: str | Path | None = None) -> Session:
    """Open a session. `state` is a directory that lets INSERT jobs resume where they were killed.

    Raises UsageError for a setting that does not exist.
    """
    return Session(settings, state=state)

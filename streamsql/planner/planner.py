"""The face of the planner: statements in, tables, views and job plans out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from streamsql.core.node import Node
from streamsql.core.schema import Column, Schema
from streamsql.errors import BindError, PlanError, SQLError
from streamsql.operators.keep import Keep
from streamsql.planner.catalog import Catalog, Materialized, Table, View, require_database
from streamsql.planner.emission import emitting
from streamsql.planner.explain import explained
from streamsql.planner.growth import note, warning
from streamsql.planner.inserts import plan_insert
from streamsql.planner.query import QueryPlanner, projected
from streamsql.planner.scans import Extra, finished, scanned
from streamsql.planner.scope import Relation
from streamsql.planner.table_as import table_and_insert
from streamsql.planner.tables import define_table
from streamsql.planner.user_functions import defined, require_own
from streamsql.sql.statements import (
    CreateFunction,
    CreateMaterialized,
    CreateTable,
    CreateView,
    Drop,
    Explain,
    Insert,
    Select,
    Statement,
    StatementSet,
)
from streamsql.values.user import UserFunction


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs: the roots, their text, and of a SELECT its result's schema.

    text      with all SQL: what a job's state belongs to
    warning   of state that grows for ever
    note      what EXPLAIN says of state below the plan
    """

    roots: tuple[Node, ...]
    text: str
    schema: Schema
    append_only: bool
    warning: str = ""
    note: str = ""

    def explained(self, *, sql: bool = False, changes: bool = False) -> str:
        """The plan as EXPLAIN shows it."""
        tree = explained(self.roots, sql=sql, changes=changes)
        said = self.warning or self.note
        return f"{tree}\n{said}" if said and not changes else tree


def planned(roots: Sequence[Node], settings: Mapping[str, str], schema: Schema, append_only: bool) -> Plan:
    return Plan(tuple(roots), explained(roots, sql=True), schema, append_only, warning(roots, settings),
                note(roots, settings))


class Planner:
    """Plans statements against a catalog.

    extra: options that the session adds (the namespace of its memory tables).
    Every SQLError that leaves is located in its source.
    """

    def __init__(self, catalog: Catalog, settings: Mapping[str, str], extra: Extra) -> None:
        self.catalog = catalog
        self.settings = settings
        self.extra = extra

    def create_table(self, statement: CreateTable) -> Table | None:
        """Add the table; None when it exists and IF NOT EXISTS says that this is well."""
        self._database(statement)
        if statement.name.last in self.catalog.tables and statement.if_not_exists:
            return None
        self._free(statement, statement.or_replace and statement.name.last not in self.catalog.views)
        table = define_table(statement, self.catalog, self.settings, self.extra)
        self.catalog.tables[table.name] = table
        return table

    def create_table_as(self, statement: CreateTable) -> Insert | None:
        """Add the table of a CREATE TABLE … AS SELECT; the INSERT that fills it, None when the table exists already."""
        self._database(statement)
        try:
            table, insert = table_and_insert(statement, self.catalog, self.settings)
        except SQLError as error:
            raise error.located(statement.source) from error.__cause__
        before = self.catalog.tables.get(statement.name.last)
        if self.create_table(table) is None:
            return None
        try:
            self.inserts((insert,))  # the query and the table go together, or there is no table
        except SQLError:
            del self.catalog.tables[table.name.last]
            if before is not None:
                self.catalog.tables[table.name.last] = before
            raise
        return insert

    def create_view(self, statement: CreateView) -> View | None:
        """Add the view; its query is planned now, so that an error shows where it was written."""
        self._database(statement)
        if statement.name.last in self.catalog.views and statement.if_not_exists:
            return None
        self._free(statement, statement.or_replace and statement.name.last not in self.catalog.tables)
        relation = QueryPlanner(self.catalog, self.settings, statement.source).plan(statement.query)
        columns = tuple(c.last for c in statement.columns)
        if columns and len(columns) != len(relation.fields):
            raise BindError(
                f'view "{statement.name}" names {len(columns)} columns, its query has {len(relation.fields)}',
                statement.name.span,
                source=statement.source,
            )
        schema = relation.aliased("", columns)
        view = View(
            statement.name.last,
            statement.query,
            statement.source,
            columns,
            Schema(tuple(Column(f.name, f.type, f.time) for f in schema.fields)),
            statement.text,
        )
        self.catalog.views[view.name] = view
        return view

    def create_materialized(self, statement: CreateMaterialized) -> Plan | None:
        """Add the materialized table; the plan of the job that keeps its rows, None when it exists already."""
        self._database(statement)
        name = statement.name.last
        if name in self.catalog.materialized and statement.if_not_exists:
            return None
        self._free(statement, statement.or_replace and name in self.catalog.materialized)
        plan = self.materialized(statement)
        columns = tuple(c.last for c in statement.columns)
        self.catalog.materialized[name] = Materialized(
            name, statement.query, statement.source, columns, plan.schema, statement.text, plan.append_only)
        return plan

    def materialized(self, statement: CreateMaterialized) -> Plan:
        """The plan of the job that keeps the rows of a materialized table."""
        try:
            planner = QueryPlanner(self.catalog, self.settings, statement.source, live=True)
            relation = planner.plan(statement.query)
            node = emitting(relation.node, statement.emit, statement.every_ms, statement.span)
            relation = _renamed(statement, replace(relation, node=node))
            node = finished(relation.node, self.extra)
        except SQLError as error:
            raise error.located(statement.source) from error.__cause__
        root = Keep((node,), node.schema, node.append_only, (), statement.name.last)
        return planned((root,), self.settings, node.schema, node.append_only)

    def create_function(self, statement: CreateFunction) -> UserFunction | None:
        """Add the function; None when it exists and IF NOT EXISTS says that this is well."""
        self._database(statement)
        name = statement.name.last.lower()
        if name in self.catalog.functions and not statement.or_replace:
            if statement.if_not_exists:
                return None
            raise BindError(
                f'function "{name}" exists already',
                statement.name.span,
                source=statement.source,
                hint="Use CREATE OR REPLACE FUNCTION, or DROP FUNCTION first.",
            )
        try:
            function = defined(statement)
        except SQLError as error:
            raise error.located(statement.source) from error.__cause__
        self.catalog.functions[name] = function
        return function

    def add_function(self, function: UserFunction) -> None:
        """Add a function of the Python API, in the place of one of the same name."""
        require_own(function.name)
        self.catalog.functions[function.name] = function

    def _database(self, statement: CreateTable | CreateView | CreateMaterialized | CreateFunction | Drop) -> None:
        try:
            require_database(statement.name)
        except SQLError as error:
            raise error.located(statement.source) from None

    def _free(self, statement: CreateTable | CreateView | CreateMaterialized, replaces: bool) -> None:
        try:
            if not replaces:
                self.catalog.require_free(statement.name)
        except SQLError as error:
            raise error.located(statement.source) from None

    def drop(self, statement: Drop) -> bool:
        """Remove it; False when it was not there and IF EXISTS says that this is well."""
        kinds: dict[str, dict[str, Table] | dict[str, View] | dict[str, Materialized] | dict[str, UserFunction]] = {
            "TABLE": self.catalog.tables,
            "VIEW": self.catalog.views,
            "FUNCTION": self.catalog.functions,
            "MATERIALIZED TABLE": self.catalog.materialized,
            "MATERIALIZED VIEW": self.catalog.materialized,
        }
        self._database(statement)
        name = statement.name.last.lower() if statement.kind == "FUNCTION" else statement.name.last
        if kinds[statement.kind].pop(name, None) is not None:
            return True
        if statement.if_exists:
            return False
        error = self.catalog.unknown(statement.kind.lower(), name, statement.name.span)
        other = next((kind for kind, names in kinds.items() if name in names), None)
        if other is not None:
            error.hint = f"It is a {other.lower()}: DROP {other} {name}."
        raise error.located(statement.source)

    def select(self, statement: Select) -> Plan:
        """A query whose rows are wanted."""
        try:
            relation = QueryPlanner(self.catalog, self.settings, statement.source).plan(statement.query)
            node = emitting(relation.node, statement.emit, statement.every_ms, statement.span)
            node = finished(node, self.extra)
        except SQLError as error:
            raise error.located(statement.source) from error.__cause__
        return planned((node,), self.settings, node.schema, node.append_only)

    def inserts(self, statements: Sequence[Insert]) -> Plan:
        """INSERTs that run together, as one job."""
        roots = []
        for statement in statements:
            try:
                roots.append(plan_insert(statement, self.catalog, self.settings, self.extra))
                scanned(roots[-1:], self.extra)  # an error of it is of this statement
            except SQLError as error:
                raise error.located(statement.source) from error.__cause__
        roots = scanned(roots, self.extra)
        return planned(roots, self.settings, Schema(()), True)

    def explain(self, statement: Explain) -> str:
        """The text plan of what is explained. Raises PlanError for what has no plan."""
        unknown = next((o for o in statement.options if o not in ("PLAN FOR", "CHANGELOG_MODE")), None)
        if unknown:
            raise PlanError(
                f"EXPLAIN {unknown} is not built",
                statement.span,
                source=statement.source,
                hint="EXPLAIN alone shows schema, changelog mode, watermark and state of each step.",
            )
        return self._explainable(statement.statement).explained(changes="CHANGELOG_MODE" in statement.options)

    def _explainable(self, inner: Statement) -> Plan:
        match inner:
            case Select():
                return self.select(inner)
            case Insert():
                return self.inserts((inner,))
            case StatementSet():
                return self.inserts(inner.inserts)
            case CreateMaterialized():
                return self.materialized(inner)
            case CreateView():
                return self.select(Select(inner.source, inner.span, inner.query))
        raise PlanError(
            "only queries and INSERTs have a plan",
            inner.span,
            source=inner.source,
            hint="EXPLAIN SELECT …, EXPLAIN INSERT INTO …, EXPLAIN STATEMENT SET BEGIN … END.",
        )


def _renamed(statement: CreateMaterialized, relation: Relation) -> Relation:
    """`relation` with the column names that the statement gives."""
    names = [c.last for c in statement.columns]
    if not names:
        return relation
    if len(names) != len(relation.fields):
        raise BindError(
            f'materialized table "{statement.name}" names {len(names)} columns, its query has {len(relation.fields)}',
            statement.name.span,
        )
    return projected(relation, [(n, f.typed()) for n, f in zip(names, relation.fields, strict=True)], None)

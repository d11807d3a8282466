"""FROM: tables, views, common table expressions, subqueries, VALUES, window functions and joins."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamsql.core.batch import DIFF, SEQ, WATERMARK
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.system import SIDE_SCHEMA
from streamsql.core.typed import Typed
from streamsql.core.types import DataType
from streamsql.errors import BindError, PlanError, Span, SQLTypeError, did_you_mean
from streamsql.operators.keep import left
from streamsql.planner import modules
from streamsql.planner.catalog import ERRORS, LATE, Materialized, Table, View
from streamsql.planner.changelog_tables import changelog_table
from streamsql.planner.changelogs import changes_of
from streamsql.planner.joins import join, keeps_left
from streamsql.planner.lateral_queries import lateral_query
from streamsql.planner.laterals import is_table_function, lateral_join, table_function
from streamsql.planner.match import match_table
from streamsql.planner.predicates import Pending
from streamsql.planner.relational import Constant, TableLeaf, kept_log
from streamsql.planner.scope import Field, Relation, Scope
from streamsql.planner.selects import SelectScope
from streamsql.planner.windowing import window_table
from streamsql.sql import ChangelogTable, JoinedTables, MatchTable, WindowTable, exp, span_of
from streamsql.sql.statements import Name
from streamsql.values.binder import common_type

if TYPE_CHECKING:
    from streamsql.planner.query import QueryPlanner


@dataclass(frozen=True)
class _Common:
    """A WITH query, and the WITH names that it could see."""

    query: exp.Expr
    columns: tuple[str, ...]
    visible: dict[str, _Common]


class Sources:
    """Plans FROM items for a QueryPlanner."""

    def __init__(self, planner: QueryPlanner) -> None:
        self.planner = planner
        self.common: dict[str, _Common] = {}
        self.views: list[str] = []
        self.around: dict[str, Relation] = {}

    @contextlib.contextmanager
    def common_tables(self, tree: exp.Expr) -> Iterator[None]:
        """The WITH clause of `tree` is visible inside."""
        before = self.common
        clause = tree.args.get("with_")
        if clause is not None:
            if clause.args.get("recursive"):
                raise PlanError("WITH RECURSIVE is not built", span_of(clause), hint="Write it without recursion.")
            for cte in clause.expressions:
                columns = tuple(c.name for c in cte.args["alias"].args.get("columns") or ())
                self.common = {**self.common, cte.alias: _Common(cte.this, columns, self.common)}
        try:
            yield
        finally:
            self.common = before

    def from_clause(self, tree: exp.Select, outer: Scope | None, where: Pending) -> Relation:
        """What stands in FROM; its joins take of `where` what they can answer."""
        clause = tree.args.get("from_")
        if clause is None:
            return nothing()
        joins = [*(clause.this.args.get("joins") or ()), *(tree.args.get("joins") or ())]
        return self._joined(clause.this, joins, outer, where)

    def _joined(self, first: exp.Expr, joins: Sequence[exp.Join], outer: Scope | None, where: Pending) -> Relation:
        relation = self.item(first, outer)
        for n, joined in enumerate(joins):
            where.below = all(keeps_left(j) for j in joins[n:])
            relation = where.filtered(relation)
            where.below = all(keeps_left(j) for j in joins[n + 1:])
            if is_table_function(joined.this):
                relation = lateral_join(self, joined, relation, outer)
            elif isinstance(joined.this, exp.Lateral):
                relation = lateral_query(self, joined, relation, outer)
            else:
                relation = join(self, joined, relation, outer, where)
        return relation

    def item(self, tree: exp.Expr, outer: Scope | None) -> Relation:
        """One FROM item with its alias."""
        if isinstance(tree, exp.Table) and tree.name in self.around:
            return self.around[tree.name]
        if isinstance(tree, JoinedTables):
            return self._joined(tree.this, tree.args["joins"], outer, Pending((), self.planner))
        return self.named(self._unaliased(tree, outer), tree)

    def named(self, relation: Relation, tree: exp.Expr) -> Relation:
        """`relation` under the alias of the FROM item `tree`, its columns renamed if it says so."""
        given = tree.args.get("alias")
        alias: exp.TableAlias = given if given is not None else exp.TableAlias()
        names = tuple(c.name for c in alias.args.get("columns") or ())
        if len(names) > len(relation.fields):
            raise BindError(
                f'"{alias.name}" names {len(names)} columns, there are {len(relation.fields)}', span_of(alias)
            )
        if names and len(names) < len(relation.fields):
            raise BindError(
                f'"{alias.name}" names {len(names)} of {len(relation.fields)} columns',
                span_of(alias),
                hint="Name all of them, or none.",
            )
        if len(set(names)) < len(names):
            twice = next(n for i, n in enumerate(names) if n in names[:i])
            raise BindError(f'"{alias.name}" names two columns "{twice}"', span_of(alias))
        default = tree.name if isinstance(tree, exp.Table) else ""
        return relation.aliased(alias.name or default, names)

    def _unaliased(self, tree: exp.Expr, outer: Scope | None) -> Relation:
        if isinstance(tree, exp.Table):
            return self.table(tree)
        if isinstance(tree, exp.Subquery):
            inner = tree.this
            if isinstance(inner, exp.Table | WindowTable):
                return self.item(inner, outer)
            return self.planner.plan(inner, outer)
        if isinstance(tree, exp.Values):
            return self.values(tree, outer)
        if is_table_function(tree):
            return table_function(self, tree, nothing(), outer)
        if isinstance(tree, exp.Lateral):
            return self._unaliased(tree.this, outer)
        if isinstance(tree, WindowTable):
            return window_table(self, tree, outer)
        if isinstance(tree, ChangelogTable):
            return changelog_table(self, tree, outer)
        if isinstance(tree, MatchTable):
            return match_table(self, tree, outer)
        raise PlanError(
            f"{type(tree).__name__.upper()} in FROM is not built",
            span_of(tree),
            hint="FROM takes tables, views, subqueries, VALUES and window functions.",
        )

    def table(self, tree: exp.Table) -> Relation:
        span = span_of(tree)
        if tree.args.get("version"):
            raise PlanError("FOR SYSTEM_TIME AS OF stands on the right side of a join", span_of(tree),
                            hint="Write FROM a JOIN t FOR SYSTEM_TIME AS OF a.ts ON a.k = t.k.")
        if not tree.db and tree.name in self.common:
            return self._common(tree.name)
        assert span is not None
        name = Name(tuple(p.name for p in tree.parts), span)
        for side in (LATE, ERRORS):
            base = name.last.removesuffix(side)
            if base != name.last and base in self.planner.catalog.tables:
                _require_source(self.planner.catalog.tables[base], span)
                return self._side(self.planner.catalog.tables[base], side, tree)
        if name.last not in self.planner.catalog.tables and self.common and name.last not in self.planner.catalog.views:
            known = [*self.common, *self.planner.catalog.names()]
            raise BindError(
                f'table or view "{name.last}" does not exist',
                span,
                hint=did_you_mean(name.last, known, "Tables"),
            )
        found = self.planner.catalog.find(name)
        hints = tree.args.get("hints") or ()
        if isinstance(found, View):
            if hints:
                raise PlanError(f'OPTIONS on "{name}": it is a view', span_of(tree), hint="Hint the tables in it.")
            kept = isinstance(found, Materialized) and not self.planner.live
            return kept_relation(found) if kept else self._view(found)
        _require_source(found, span)
        return table_relation(_hinted(found, hints))

    def _common(self, name: str) -> Relation:
        common, before = self.common[name], self.common
        self.common = common.visible
        try:
            relation = self.planner.plan(common.query)
        finally:
            self.common = before
        return relation.aliased("", common.columns)

    def _view(self, view: View) -> Relation:
        from streamsql.planner.query import QueryPlanner  # the one cycle: a view is a query again

        planner = QueryPlanner(self.planner.catalog, self.planner.settings, view.source, live=self.planner.live)
        relation = planner.plan(view.query)
        return relation.aliased("", view.columns)

    def _side(self, table: Table, side: str, tree: exp.Table) -> Relation:
        schema = SIDE_SCHEMA
        node = TableLeaf((), schema, True, (WATERMARK, SEQ), table, side, span_of(tree))
        return Relation(node, tuple(Field(c.name, c.name, c.type, c.time) for c in schema))

    def values(self, tree: exp.Values, outer: Scope | None) -> Relation:
        """VALUES rows: columns EXPR$0, EXPR$1, …, of the common types of their rows."""
        scope = SelectScope((), self.planner, outer)
        rows = [
            [self.planner.typed(scope.binder.bind(v), v) for v in _of_row(row)]
            for row in tree.expressions
        ]
        width = len(rows[0])
        for bound, row in zip(rows, tree.expressions, strict=True):
            if len(bound) != width:
                raise BindError(f"a row of VALUES has {len(bound)} columns, the first has {width}", span_of(row))
        types = [self._column_type(tree, i, [row[i] for row in rows]) for i in range(width)]
        names = [f"EXPR${i}" for i in range(width)]
        lines = [
            "(" + ", ".join(scope.binder.cast(v, t, implicit=True).sql for v, t in zip(row, types, strict=True)) + ")"
            for row in rows
        ]
        columns = ", ".join(quote(n) for n in names)
        sql = f"SELECT * FROM (VALUES {', '.join(lines)}) AS t({columns})"
        schema = Schema(tuple(Column(n, t) for n, t in zip(names, types, strict=True)))
        node = Constant((), schema, True, (WATERMARK, SEQ), sql)
        return Relation(node, tuple(Field(c.name, c.name, c.type) for c in schema))

    def _column_type(self, tree: exp.Values, index: int, values: list[Typed]) -> DataType:
        kind = common_type([v.type for v in values])
        if kind is None:
            raise SQLTypeError(
                f"column {index + 1} of VALUES has types that do not go together: "
                + ", ".join(sorted({str(v.type) for v in values})),
                span_of(tree),
                hint="CAST them to one type.",
            )
        return kind


def _of_row(tree: exp.Expr) -> list[exp.Expr]:
    """The columns of a row of VALUES; `(ROW(a, b))` is the row (a, b) too."""
    if not isinstance(tree, exp.Tuple):
        return [tree]
    only = tree.expressions[0]
    if len(tree.expressions) == 1 and isinstance(only, exp.Anonymous) and only.name.upper() == "ROW":
        return list(only.expressions)
    return list(tree.expressions)


def nothing() -> Relation:
    """One row without columns: what a SELECT without FROM is over."""
    return Relation(Constant((), Schema(()), True, (WATERMARK, SEQ), "SELECT 1"), ())


def _hinted(table: Table, hints: Iterable[exp.Expr]) -> Table:
    """The table with the options of `/*+ OPTIONS('k'='v') */` on top of its own."""
    options = dict(table.options)
    for hint in hints:
        if hint.name.upper() != "OPTIONS":
            raise PlanError(f"hint {hint.name} is not built", span_of(hint), hint="OPTIONS('key'='value') is.")
        options.update({pair.this.name: pair.expression.name for pair in hint.expressions})
    return replace(table, options=options) if options != table.options else table


def _require_source(table: Table, span: Span | None) -> None:
    connector = table.options["connector"]
    if not hasattr(modules.connector(connector), "source"):
        raise PlanError(f'connector "{connector}" of "{table.name}" cannot be read', span, hint="It is a sink only.")


def kept_relation(view: View) -> Relation:
    """The rows of a materialized table, as they are when they are read."""
    assert isinstance(view, Materialized)
    assert view.schema is not None
    schema = Schema(tuple(Column(c.name, c.type) for c in view.schema))
    text = left(kept_log(view.name), schema, view.append_only)
    node = Constant((), schema, True, (WATERMARK, SEQ), text, (view.name,))
    return Relation(node, tuple(Field(c.name, c.name, c.type) for c in schema))


def table_relation(table: Table) -> Relation:
    """A table as a FROM item, before it is known which columns are read."""
    rowtime = table.watermark.column if table.watermark else None
    columns = tuple(
        Column(c.name, c.type, "rowtime" if c.name == rowtime else "proctime" if c.proctime else "")
        for c in table.columns
    )
    append_only = changes_of(table, write=False) == "append"
    hidden = (WATERMARK, SEQ) if append_only else (DIFF, WATERMARK, SEQ)
    node = TableLeaf((), Schema(columns, table.primary_key), append_only, hidden, table)
    return Relation(node, tuple(Field(c.name, c.name, c.type, c.time) for c in columns))

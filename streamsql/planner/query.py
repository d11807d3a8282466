"""Queries: a sqlglot tree of our dialect becomes a tree of Nodes, names and types resolved.

SELECT is planned clause by clause in the order of its meaning: FROM, WHERE, GROUP BY, HAVING,
SELECT, DISTINCT; then UNION, ORDER BY and LIMIT around it. FROM items are in `planner.sources`,
GROUP BY in `planner.grouping`, ORDER BY and LIMIT in `planner.ordering`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from streamsql.core.node import Node
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.typed import Typed
from streamsql.errors import BindError, PlanError, Source, SQLError, SQLTypeError
from streamsql.operators.project import Project
from streamsql.planner import set_operations, user_functions
from streamsql.planner.catalog import Catalog
from streamsql.planner.grouping import grouped, has_aggregates
from streamsql.planner.growth import placed
from streamsql.planner.ordering import ordered
from streamsql.planner.overs import with_overs
from streamsql.planner.predicates import Pending, conjuncts
from streamsql.planner.scope import Field, Relation, Scope, Window, row_field
from streamsql.planner.selects import SelectScope
from streamsql.planner.sources import Sources
from streamsql.planner.subqueries import attached, restricted
from streamsql.sql import QUALIFIED, exp, span_of

Item = tuple[str, Typed]


class QueryPlanner:
    """Plans the queries of one statement.

    source is attached to every SQLError that leaves; views attach their own first.
    nulls is True if a column may be an untyped NULL: outside strict mode an INSERT gives it the sink's type.
    live is True if a materialized table is read as its query, whose rows go on changing.
    """

    def __init__(
        self, catalog: Catalog, settings: Mapping[str, str], source: Source, *, nulls: bool = False, live: bool = False
    ) -> None:
        self.catalog = catalog
        self.settings = settings
        self.source = source
        self.nulls = nulls
        self.live = live
        self.sources = Sources(self)

    def plan(self, tree: exp.Expr, outer: Scope | None = None) -> Relation:
        """The relation of a query: SELECT, set operation, VALUES, or one in parentheses."""
        user_functions.mark(tree, self.catalog.functions)
        try:
            with self.sources.common_tables(tree):
                relation = self._body(tree, outer)
            return replace(relation, node=placed(relation.node, self.source, span_of(tree)))
        except SQLError as error:
            raise error.located(self.source) from error.__cause__

    def _body(self, tree: exp.Expr, outer: Scope | None) -> Relation:
        if isinstance(tree, exp.Subquery):
            inner = self.plan(tree.this, outer)
            return ordered(self, tree, inner, None)
        if isinstance(tree, exp.SetOperation):
            return ordered(self, tree, self._set_operation(tree, outer), None)
        if isinstance(tree, exp.Values):
            return self.sources.values(tree, outer)
        if isinstance(tree, exp.Select):
            return self._select(tree, outer)
        raise PlanError(f"{type(tree).__name__.upper()} is not a query", span_of(tree))

    # SELECT

    def _select(self, tree: exp.Select, outer: Scope | None) -> Relation:
        where = tree.args.get("where")
        pending = Pending(conjuncts(where.this) if where is not None else (), self)
        source = self.sources.from_clause(tree, outer, pending)
        scope = SelectScope(source.fields, self, outer)
        scope.attaches, scope.relation = True, source
        if where is not None:
            source = restricted(source, scope, where.this, "WHERE", pending.parts)
            scope.fields, scope.relation = source.fields, source
        having, window = tree.args.get("having"), source.window
        above: SelectScope = scope
        if tree.args.get("group") is not None or having is not None or has_aggregates(tree):
            source, above = grouped(tree, source, scope)
            window = source.window
        above.in_list = above.attaches = True
        above.relation = source
        items = self._items(tree, source, above, scope is above)
        above.in_list = False
        if having is not None:
            source = restricted(source, above, having.this, "HAVING", list(conjuncts(having.this)))
        source, items, window = attached(source, above, items, window)
        for unused in tree.meta.get("unused_windows", ()):  # of a WINDOW clause: their columns must be there
            for column in unused.find_all(exp.Column):
                above.binder.bind(column)
        if above.overs:
            source = with_overs(source, above.overs, self.settings)
        result = projected(source, items, window)
        if tree.args.get("distinct") is not None:
            result = self.distinct(result)
        return ordered(self, tree, result, (source, above, items))

    def _items(self, tree: exp.Select, source: Relation, scope: SelectScope, stars: bool) -> list[Item]:
        items: list[Item] = []
        for position, item in enumerate(tree.expressions):
            star = item if isinstance(item, exp.Star) else item.this if isinstance(item, exp.Column) else None
            if isinstance(star, exp.Star):
                items += self._star(item, source, scope, stars)
                continue
            value = item.this if isinstance(item, exp.Alias) else item
            bound = self.typed(scope.binder.bind(value), value)
            if isinstance(value, exp.Anonymous) and value.name.upper() == "PROCTIME":
                bound = replace(bound, time="proctime")
            named = item.alias if isinstance(item, exp.Alias) else _implied_name(value)
            items.append((named or f"EXPR${position}", bound))
        return items

    def typed(self, value: Typed, tree: exp.Expr) -> Typed:
        """`value`, which becomes a column: a bare NULL has no type that it could have."""
        if value.type.root == "NULL" and not self.nulls:
            raise SQLTypeError("a column needs a type, NULL has none", span_of(tree),
                               hint="Write CAST(NULL AS type).")
        return value

    def _star(self, item: exp.Expr, source: Relation, scope: SelectScope, allowed: bool) -> list[Item]:
        qualifier = item.table if isinstance(item, exp.Column) else ""
        fields = [f for f in source.fields if (f.qualifier == qualifier if qualifier else not f.merged)]
        fields = [f for f in fields if not f.name.startswith(QUALIFIED)]
        if isinstance(item, exp.Column) and (item.db or not fields):
            inner = _fields_of_row(item, scope)
            if inner:
                return inner
        if not fields:
            raise BindError(
                f'table "{qualifier}" is not in FROM' if qualifier else "there is nothing to select *",
                span_of(item),
                hint="Write FROM, or name the columns.",
            )
        if not allowed:
            raise BindError(
                "* may not stand beside GROUP BY or an aggregate",
                span_of(item),
                hint="Name the grouped columns and the aggregates.",
            )
        return [(f.name, f.typed()) for f in fields]

    def distinct(self, result: Relation) -> Relation:
        """SELECT DISTINCT * FROM `result`."""
        keys = [exp.column(exp.to_identifier(f.column, quoted=True)) for f in result.fields]
        plain = Relation(
            result.node,
            tuple(Field(f.column, f.column, f.type, f.time) for f in result.fields),
            result.window,
        )
        scope = SelectScope(plain.fields, self)
        select = exp.Select(expressions=list(keys), group=exp.Group(expressions=[k.copy() for k in keys]))
        source, above = grouped(select, plain, scope)
        items = [(f.name, above.column(k)) for f, k in zip(result.fields, keys, strict=True)]
        return projected(source, items, source.window)

    # UNION, INTERSECT, EXCEPT

    def _set_operation(self, tree: exp.SetOperation, outer: Scope | None) -> Relation:
        left, right = self.plan(tree.this, outer), self.plan(tree.expression, outer)
        mine, theirs = set_operations.aligned(tree, left, right, self.settings)
        result = set_operations.combined(tree, projected(left, mine, None), projected(right, theirs, None))
        union = isinstance(tree, exp.Union) and set_operations.is_distinct(tree)
        return self.distinct(result) if union else result


def filtered(source: Relation, condition: Typed) -> Relation:
    """The rows of `source` for which `condition` is TRUE."""
    schema = source.node.schema
    columns = tuple((c, quote(c)) for c in schema.names)
    node = Project((source.node,), schema, source.node.append_only, source.node.hidden, columns, condition.sql)
    return Relation(node, source.fields, source.window)


def projected(source: Relation, items: Sequence[Item], window: Window | None) -> Relation:
    """SELECT items FROM source. Equal names are made distinct as in Flink: `a`, `a0`."""
    taken: set[str] = set()
    fields: list[Field] = []
    columns: list[tuple[str, str]] = []
    for name, value in items:
        column, n = name, 0
        while column.lower() in taken:
            column, n = f"{name}{n}", n + 1
        taken.add(column.lower())  # DuckDB does not tell `a` from `A`
        columns.append((column, value.sql))
        fields.append(Field(column, column, value.type, value.time))
    schema = Schema(tuple(Column(f.column, f.type, f.time) for f in fields))
    below, where = _unfiltered(source.node)
    node: Node = Project((below,), schema, below.append_only, below.hidden, tuple(columns), where)
    return Relation(node, tuple(fields), _kept_window(window, columns))


def _unfiltered(node: Node) -> tuple[Node, str | None]:
    """What a mere filter stands on, and its condition: SELECT and WHERE are one step."""
    if (
        isinstance(node, Project)
        and all(sql == quote(name) for name, sql in node.columns)
        and node.schema.names == node.inputs[0].schema.names
    ):
        return node.inputs[0], node.where
    return node, None


def _kept_window(window: Window | None, columns: Sequence[tuple[str, str]]) -> Window | None:
    """The window as seen above a projection; None when start or end did not survive."""
    if window is None:
        return None
    by_sql = {sql: name for name, sql in reversed(columns)}
    start, end = by_sql.get(quote(window.start)), by_sql.get(quote(window.end))
    if start is None or end is None:
        return None
    time = by_sql.get(quote(window.time), "") if window.time else ""
    return replace(window, start=start, end=end, time=time)


def _fields_of_row(item: exp.Column, scope: SelectScope) -> list[Item]:
    """`row.*` and `t.row.*`: the fields of a column that is a ROW; nothing if it is none."""
    path = exp.Column(this=item.args["table"].copy(), table=item.args.get("db"), db=item.args.get("catalog"))
    try:
        row = scope.column(path)
    except BindError:
        return []
    return [(name, row_field(row, name, item)) for name in row.type.names]


def _implied_name(tree: exp.Expr) -> str:
    """The name without an alias: of a column, of a field that a path of names leads to, of `CURRENT_DATE`."""
    while isinstance(tree, exp.Paren):
        tree = tree.this
    root, span = tree, span_of(tree)
    while isinstance(root, exp.Dot):
        root = root.this
    if isinstance(tree, exp.Anonymous) and span is not None and span.end - span.start == len(tree.name):
        return str(tree.name)  # a function written without parentheses
    return (tree.name or tree.output_name) if isinstance(root, exp.Column) and not tree.meta.get("plus") else ""

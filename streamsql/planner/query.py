"""Queries: a sqlglot tree of our dialect becomes a tree of Nodes, names and types resolved.

SELECT is planned clause by clause in the order of its meaning: FROM, WHERE, GROUP BY, HAVING,
SELECT, DISTINCT; then UNION, ORDER BY and LIMIT around it. FROM items are in `planner.sources`,
GROUP BY in `planner.grouping`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from streamsql.core.node import Node
from streamsql.core.schema import Column, Schema, TimeAttribute, quote
from streamsql.core.typed import Typed
from streamsql.core.types import DataType
from streamsql.errors import BindError, PlanError, Source, SQLError, SQLTypeError
from streamsql.operators.project import Project
from streamsql.operators.union import Union
from streamsql.planner import user_functions
from streamsql.planner.catalog import Catalog
from streamsql.planner.grouping import grouped, has_aggregates
from streamsql.planner.overs import with_overs
from streamsql.planner.relational import Whole
from streamsql.planner.scope import Field, Relation, Scope, Window, row_field
from streamsql.planner.selects import SelectScope, boolean
from streamsql.planner.sources import Sources
from streamsql.sql import exp, span_of
from streamsql.values.binder import cast, common_type, session_zone

Item = tuple[str, Typed]


class QueryPlanner:
    """Plans the queries of one statement.

    source is attached to every SQLError that leaves; views attach their own first.
    nulls is True if a column may be an untyped NULL: an INSERT gives it the sink's type.
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
                return self._body(tree, outer)
        except SQLError as error:
            raise error.located(self.source) from error.__cause__

    def _body(self, tree: exp.Expr, outer: Scope | None) -> Relation:
        if isinstance(tree, exp.Subquery):
            inner = self.plan(tree.this, outer)
            return self._ordered(tree, inner, None)
        if isinstance(tree, exp.SetOperation):
            return self._ordered(tree, self._set_operation(tree, outer), None)
        if isinstance(tree, exp.Values):
            return self.sources.values(tree, outer)
        if isinstance(tree, exp.Select):
            return self._select(tree, outer)
        raise PlanError(f"{type(tree).__name__.upper()} is not a query", span_of(tree))

    # SELECT

    def _select(self, tree: exp.Select, outer: Scope | None) -> Relation:
        source = self.sources.from_clause(tree, outer)
        scope = SelectScope(source.fields, self, outer)
        where = tree.args.get("where")
        if where is not None:
            condition = boolean(scope.binder.bind(where.this), where.this, "WHERE")
            source = filtered(source, condition)
        having, window = tree.args.get("having"), source.window
        above: SelectScope = scope
        if tree.args.get("group") is not None or having is not None or has_aggregates(tree):
            source, above = grouped(tree, source, scope)
            window = source.window
        above.in_list = True
        items = self._items(tree, source, above, scope is above)
        above.in_list = False
        if having is not None:
            source = filtered(source, boolean(above.binder.bind(having.this), having.this, "HAVING"))
        if above.overs:
            source = with_overs(source, above.overs)
        result = projected(source, items, window)
        if tree.args.get("distinct") is not None:
            result = self._distinct(tree, result)
        return self._ordered(tree, result, (source, above, items))

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
        fields = [f for f in source.fields if not qualifier or f.qualifier == qualifier]
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

    def _distinct(self, tree: exp.Select, result: Relation) -> Relation:
        scope = SelectScope(result.fields, self)
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

    # ORDER BY and LIMIT, over constants

    def _ordered(
        self, tree: exp.Expr, result: Relation, below: tuple[Relation, SelectScope, list[Item]] | None
    ) -> Relation:
        order, limit, offset = (tree.args.get(k) for k in ("order", "limit", "offset"))
        if offset is not None and limit is None:
            hint = "Say how many rows: LIMIT n OFFSET m."
            raise PlanError("OFFSET stands after LIMIT only", span_of(offset), hint=hint)
        if order is None and limit is None and offset is None:
            return result
        terms: list[str] = []
        extra: list[Item] = []
        for ordered in order.expressions if order else ():
            value = self._order_key(_unaliased(ordered.this, tree), result, below)
            if below is not None and isinstance(value, Typed):
                if tree.args.get("distinct") is not None:
                    raise BindError("SELECT DISTINCT is sorted by what it selects", span_of(ordered),
                                    hint="Add the expression to SELECT, or leave DISTINCT out.")
                extra.append((f"$order{len(extra)}", value))
                value = quote(extra[-1][0])
            down = bool(ordered.args.get("desc"))
            first = ordered.args.get("nulls_first")
            nulls = "FIRST" if (not down if first is None else first) else "LAST"
            terms.append(f"{value} {'DESC' if down else 'ASC'} NULLS {nulls}")
        node = result.node
        if extra and below is not None:
            source, _, items = below
            node = projected(source, [*items, *extra], None).node
        columns = ", ".join(quote(c) for c in result.node.schema.names)
        tail = f" ORDER BY {', '.join(terms)}" if terms else ""
        tail += f" LIMIT {_count(limit)}" if limit is not None else ""
        tail += f" OFFSET {_count(offset)}" if offset is not None else ""
        message = "ORDER BY and LIMIT over a stream are not built"
        if order is not None and limit is None and not _by_time(order.expressions[0], result):
            message = "a stream can only be sorted by time: the first key of ORDER BY is no ascending rowtime"
        span = next((span_of(c) for c in (order, limit, offset) if c is not None), None)
        whole = Whole(
            (node,),
            result.node.schema,
            True,
            (),
            lambda names: f"SELECT {columns} FROM {names[0]}{tail}",
            "Sort",
            message,
            "Order rows where they are read; aggregate in a window to bound them.",
            span,
        )
        return Relation(whole, result.fields)

    def _order_key(
        self, tree: exp.Expr, result: Relation, below: tuple[Relation, SelectScope, list[Item]] | None
    ) -> str | Typed:
        if isinstance(tree, exp.Literal) and tree.is_int:
            position = int(tree.name)
            if not 1 <= position <= len(result.fields):
                raise BindError(f"ORDER BY {position}: there are {len(result.fields)} columns", span_of(tree))
            return quote(result.fields[position - 1].column)
        if isinstance(tree, exp.Column) and not tree.table:
            named = next((f for f in result.fields if f.name == tree.name), None)
            if named is not None:
                return quote(named.column)
        if below is not None:
            value = below[1].binder.bind(tree)
            chosen = zip(result.fields, below[2], strict=True)
            return next((quote(f.column) for f, (_, item) in chosen if item.sql == value.sql), value)
        return SelectScope(result.fields, self).binder.bind(tree).sql

    # UNION, INTERSECT, EXCEPT

    def _set_operation(self, tree: exp.SetOperation, outer: Scope | None) -> Relation:
        left, right = self.plan(tree.this, outer), self.plan(tree.expression, outer)
        word = type(tree).__name__.upper()
        distinct = tree.args.get("distinct", True) is not False
        name = word if distinct else f"{word} ALL"
        if len(left.fields) != len(right.fields):
            raise BindError(
                f"{name}: {len(left.fields)} columns on the left, {len(right.fields)} on the right",
                span_of(tree.expression),
                hint="Select as many columns on both sides.",
            )
        left, right = self._aligned(tree, name, left, right)
        if isinstance(tree, exp.Union):
            schema = Schema(
                tuple(
                    Column(a.name, a.type, a.time if a.time == b.time else "")
                    for a, b in zip(left.node.schema, right.node.schema, strict=True)
                )
            )
            union = Relation(union_of(left.node, right.node, schema), left.fields)
            fields = tuple(Field(f.name, c.name, c.type, c.time) for f, c in zip(left.fields, schema, strict=True))
            union = Relation(union.node, fields)
            return self._distinct(exp.Select(), union) if distinct else union
        whole = Whole(
            (left.node, right.node),
            left.node.schema,
            True,
            (),
            lambda names: f"SELECT * FROM {names[0]} {name} SELECT * FROM {names[1]}",
            name,
            f"{name} over a stream is not built",
            "Use UNION ALL, or WHERE, where it says the same.",
            span_of(tree.expression),
        )
        return Relation(whole, left.fields)

    def _aligned(self, tree: exp.SetOperation, name: str, left: Relation, right: Relation) -> tuple[Relation, Relation]:
        """Both sides with the same column names and types."""
        a_items: list[Item] = []
        b_items: list[Item] = []
        for i, (a, b) in enumerate(zip(left.fields, right.fields, strict=True)):
            kind = common_type([a.type, b.type])
            if kind is None or "NULL" in (a.type.root, b.type.root):
                raise SQLTypeError(
                    f"{name}: column {i + 1} is {a.type} on the left and {b.type} on the right",
                    span_of(tree.expression),
                    hint="CAST one side.",
                )
            keep: TimeAttribute = a.time if a.time == b.time else ""
            a_items.append((a.name, self._coerced(a, kind, keep)))
            b_items.append((a.name, self._coerced(b, kind, keep)))
        return projected(left, a_items, None), projected(right, b_items, None)

    def _coerced(self, field: Field, kind: DataType, keep: TimeAttribute) -> Typed:
        value = field.typed()
        if value.type.as_nullable() == kind.as_nullable():
            return replace(value, type=kind, time=keep)
        return replace(cast(value, kind, implicit=True, zone=session_zone(self.settings)), type=kind)


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


def union_of(left: Node, right: Node, schema: Schema) -> Node:
    """UNION ALL; a chain of them is one node."""
    inputs = (*(left.inputs if isinstance(left, Union) else (left,)), right)
    hidden = tuple(
        h
        for h in ("$diff", "$watermark", "$seq")
        if (h == "$diff" and any(not i.append_only for i in inputs))
        or (h != "$diff" and any(h in i.hidden for i in inputs))
    )
    return Union(inputs, schema, all(i.append_only for i in inputs), hidden)


def _unaliased(key: exp.Expr, tree: exp.Expr) -> exp.Expr:
    """An expression of ORDER BY with the names of SELECT replaced by what they stand for."""
    if isinstance(key, exp.Column) or not isinstance(tree, exp.Select):
        return key
    named = {item.alias: item.this for item in tree.expressions if isinstance(item, exp.Alias)}

    def meaning(node: exp.Expr) -> exp.Expr:
        known = isinstance(node, exp.Column) and not node.table and node.name in named
        return exp.Paren(this=named[node.name].copy()) if known else node

    return key.transform(meaning)


def _by_time(ordered: exp.Expr, result: Relation) -> bool:
    """The ORDER BY key is an ascending time attribute of the result."""
    key = ordered.this
    times = {f.name for f in result.fields if f.time}
    return isinstance(key, exp.Column) and key.name in times and not ordered.args.get("desc")


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


def _count(tree: exp.Expr) -> str:
    value = tree.args.get("count") or tree.expression or tree.this
    if isinstance(value, exp.Literal) and value.is_int:
        return value.name
    raise BindError("LIMIT and OFFSET take a whole number", span_of(tree))

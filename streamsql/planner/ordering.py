"""ORDER BY, LIMIT, OFFSET and FETCH around a query.

Over constants DuckDB sorts them. A stream is sorted by its rowtime; with LIMIT it is a Top-N, and
LIMIT alone takes the rows that come first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamsql.core.batch import SEQ, WATERMARK
from streamsql.core.node import Node
from streamsql.core.schema import quote
from streamsql.core.typed import Typed
from streamsql.errors import BindError, PlanError
from streamsql.operators._ranked import SortKey
from streamsql.operators.limit import Limit
from streamsql.operators.project import Project
from streamsql.operators.sort import Sort
from streamsql.planner.overs import sort_key
from streamsql.planner.ranks import limited
from streamsql.planner.relational import Whole, constant
from streamsql.planner.scope import Relation
from streamsql.planner.selects import SelectScope
from streamsql.sql import exp, span_of

if TYPE_CHECKING:
    from streamsql.planner.query import QueryPlanner

Item = tuple[str, Typed]
Below = tuple[Relation, SelectScope, list[Item]]
"""What a SELECT list stands on: the relation, its scope, and the items; ORDER BY may use columns not selected."""


def ordered(planner: QueryPlanner, tree: exp.Expr, result: Relation, below: Below | None) -> Relation:
    """`result` in the order, and within the limits, that the clauses of `tree` ask for."""
    order, limit, offset = (tree.args.get(k) for k in ("order", "limit", "offset"))
    if offset is not None and limit is None:
        hint = "Say how many rows: LIMIT n OFFSET m."
        raise PlanError("OFFSET stands after LIMIT only", span_of(offset), hint=hint)
    if order is None and limit is None and offset is None:
        return result
    keys, extra, times = _keys(planner, tree, result, below)
    node = result.node
    if extra and below is not None:
        from streamsql.planner.query import projected  # the one cycle: ORDER BY is a part of SELECT

        source, _, items = below
        node = projected(source, [*items, *extra], None).node
    start = _count(offset) + 1 if offset is not None else 1
    end = start + _count(limit) - 1 if limit is not None else None
    if constant(node):
        return Relation(_whole(node, result, keys, start, end), result.fields)
    made = _stream(tree, node, keys, times, start, end)
    if extra:
        made = _without(made, result)
    return Relation(made, result.fields, result.window if end is None else None)


def _keys(planner: QueryPlanner, tree: exp.Expr, result: Relation,
          below: Below | None) -> tuple[list[SortKey], list[Item], list[str]]:
    """The terms of ORDER BY over the columns of the result and `$order…`; the latter; their time attributes."""
    keys, extra, times = list[SortKey](), list[Item](), list[str]()
    order = tree.args.get("order")
    for term in order.expressions if order else ():
        value = _key(planner, _unaliased(term.this, tree), result, below)
        time = value.time if isinstance(value, Typed) else ""
        if isinstance(value, Typed):
            if tree.args.get("distinct") is not None:
                raise BindError("SELECT DISTINCT is sorted by what it selects", span_of(term),
                                hint="Add the expression to SELECT, or leave DISTINCT out.")
            extra.append((f"$order{len(extra)}", value))
            value = quote(extra[-1][0])
        else:
            time = next((f.time for f in result.fields if quote(f.column) == value), "")
        keys.append(sort_key(term, value))
        times.append(time)
    return keys, extra, times


def _key(planner: QueryPlanner, tree: exp.Expr, result: Relation, below: Below | None) -> str | Typed:
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
    return SelectScope(result.fields, planner).binder.bind(tree).sql


def _unaliased(key: exp.Expr, tree: exp.Expr) -> exp.Expr:
    """An expression of ORDER BY with the names of SELECT replaced by what they stand for."""
    if isinstance(key, exp.Column) or not isinstance(tree, exp.Select):
        return key
    named = {item.alias: item.this for item in tree.expressions if isinstance(item, exp.Alias)}

    def meaning(node: exp.Expr) -> exp.Expr:
        known = isinstance(node, exp.Column) and not node.table and node.name in named
        return exp.Paren(this=named[node.name].copy()) if known else node

    return key.transform(meaning)


def _whole(node: Node, result: Relation, keys: list[SortKey], start: int, end: int | None) -> Whole:
    """The sorted rows of constants."""
    columns = ", ".join(quote(c) for c in result.node.schema.names)
    tail = f" ORDER BY {', '.join(k.of(k.sql) for k in keys)}" if keys else ""
    tail += f" LIMIT {end - start + 1} OFFSET {start - 1}" if end is not None else ""
    return Whole((node,), result.node.schema, True, (), lambda names: f"SELECT {columns} FROM {names[0]}{tail}",
                 "Sort", "constants are sorted whole", "Read a table.")


def _stream(tree: exp.Expr, node: Node, keys: list[SortKey], times: list[str], start: int, end: int | None) -> Node:
    if end is not None:
        if not keys and node.append_only:
            return Limit((node,), node.schema, True, node.hidden, start, end)
        return limited(node, tuple(keys), start, end)
    span = span_of(tree.args["order"])
    if not times[0] or keys[0].descending:
        raise PlanError("a stream can only be sorted by time: the first key of ORDER BY is no ascending rowtime", span,
                        hint="ORDER BY a rowtime column first, or add LIMIT to keep the first rows in any order.")
    if not node.append_only:
        raise PlanError("ORDER BY time does not take rows that change", span,
                        hint="Leave ORDER BY out, or add LIMIT to keep the first rows.")
    if times[0] == "proctime":
        if len(keys) == 1:
            return node
        raise PlanError("ORDER BY processing time takes no further keys", span, hint="Rows come in that order.")
    column = keys[0].sql[1:-1].replace('""', '"')
    return Sort((node,), node.schema, True, (WATERMARK, SEQ), column, tuple(keys[1:]))


def _without(node: Node, result: Relation) -> Node:
    """`node` with the columns of `result` alone."""
    columns = tuple((c, quote(c)) for c in result.node.schema.names)
    return Project((node,), replace(result.node.schema), node.append_only, node.hidden, columns, None)


def _count(tree: exp.Expr) -> int:
    value = tree.args.get("count") or tree.expression or tree.this
    if isinstance(value, exp.Literal) and value.is_int:
        return int(value.name)
    raise BindError("LIMIT and OFFSET take a whole number", span_of(tree))

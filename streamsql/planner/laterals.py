"""Table functions in FROM: `LATERAL TABLE(f(x))`, joined to what stands before it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamsql.core.schema import Column, Schema
from streamsql.errors import BindError, PlanError, did_you_mean
from streamsql.operators.table_function import TableFunction
from streamsql.planner import user_functions
from streamsql.planner.scope import Field, Relation, Scope
from streamsql.planner.selects import SelectScope, boolean
from streamsql.sql import exp, span_of
from streamsql.values.user import UserFunction

if TYPE_CHECKING:
    from streamsql.planner.sources import Sources


def is_table_function(tree: exp.Expr) -> bool:
    return isinstance(tree, exp.Lateral) and isinstance(tree.this, exp.Anonymous)


def lateral_join(sources: Sources, tree: exp.Join, left: Relation, outer: Scope | None) -> Relation:
    """`left [CROSS | INNER | LEFT] JOIN LATERAL TABLE(f(…)) [ON …]`, or a comma."""
    from streamsql.planner.query import filtered

    method, side = (str(tree.args.get(k) or "").upper() for k in ("method", "side"))
    if method or side in ("RIGHT", "FULL") or tree.args.get("using"):
        raise PlanError("a table function is joined by CROSS JOIN, or by LEFT JOIN … ON TRUE", span_of(tree),
                        hint="FROM t, LATERAL TABLE(f(x)) AS a(b)")
    on = tree.args.get("on")
    always = on is None or (isinstance(on, exp.Boolean) and bool(on.this))
    if on is not None and side == "LEFT" and not always:
        raise PlanError("LEFT JOIN of a table function takes ON TRUE only", span_of(on),
                        hint="Filter the rows inside the function, or in WHERE.")
    relation = table_function(sources, tree.this, left, outer, padded=side == "LEFT")
    if on is None or always:
        return relation
    scope = SelectScope(relation.fields, sources.planner, outer)
    return filtered(relation, boolean(scope.binder.bind(on), on, "ON"))


def table_function(sources: Sources, tree: exp.Expr, left: Relation, outer: Scope | None, *,
                   padded: bool = False) -> Relation:
    """`left` with the columns of the function's rows, under the alias of `tree`."""
    call = tree.this
    function = _found(sources, call)
    scope = SelectScope(left.fields, sources.planner, outer)
    text = function.text(user_functions.arguments(function, call, scope.binder))
    names = function.result.type.names
    kinds = [t.as_nullable(t.nullable or padded) for t in function.result.type.children]
    columns: dict[str, str] = {}
    for name in names:
        column, n = name, 0
        while column in left.node.schema or column in columns:
            column, n = f"{name}${n}", n + 1
        columns[column] = name
    own = tuple(Field(name, column, kind) for name, column, kind in zip(names, columns, kinds, strict=True))
    schema = Schema((*left.node.schema, *(Column(f.column, f.type) for f in own)))
    node = TableFunction((left.node,), schema, left.node.append_only, left.node.hidden, text,
                         tuple(columns.items()), padded)
    named = sources.named(Relation(node, own), tree)
    taken = {f.qualifier for f in left.fields if f.qualifier} & {f.qualifier for f in named.fields}
    if taken:
        raise BindError(f'"{min(taken)}" is in FROM twice', span_of(tree), hint="Give one of them an alias.")
    return replace(left, node=node, fields=(*left.fields, *named.fields))


def _found(sources: Sources, call: exp.Anonymous) -> UserFunction:
    known = sources.planner.catalog.functions
    function = known.get(call.name.lower())
    if function is None:
        tables = [name for name, f in known.items() if f.form == "table"]
        hint = did_you_mean(call.name.lower(), tables, "Table functions") if tables else (
            "CREATE FUNCTION makes one of a Python generator; tables are named without parentheses.")
        raise BindError(f'table function "{call.name.lower()}" does not exist', span_of(call), hint=hint)
    if function.form != "table":
        raise BindError(f'{function.form} function "{function.name}" does not stand in FROM', span_of(call),
                        hint="A table function is a generator: def f(x: str) -> Iterator[str].")
    return function

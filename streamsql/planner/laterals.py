"""Table functions in FROM: `LATERAL TABLE(f(x))` and `UNNEST(x)`, joined to what stands before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamsql.core.schema import Column, Schema, quote, text_literal
from streamsql.core.typed import Typed
from streamsql.core.types import INT, DataType
from streamsql.errors import BindError, PlanError, SQLTypeError, did_you_mean
from streamsql.operators.table_function import TableFunction
from streamsql.planner import user_functions
from streamsql.planner.scope import Field, Relation, Scope
from streamsql.planner.selects import SelectScope, boolean
from streamsql.sql import exp, span_of
from streamsql.values.user import UserFunction

if TYPE_CHECKING:
    from streamsql.planner.sources import Sources

_ROW = quote("$row")


def is_table_function(tree: exp.Expr) -> bool:
    return isinstance(tree, exp.Unnest) or (isinstance(tree, exp.Lateral) and isinstance(tree.this, exp.Anonymous))


def lateral_join(sources: Sources, tree: exp.Join, left: Relation, outer: Scope | None) -> Relation:
    """`left [CROSS | INNER | LEFT] JOIN LATERAL TABLE(f(…)) [ON …]`, or a comma.

    ON of a LEFT JOIN chooses among the function's rows: it reads their columns alone, as in Flink.
    """
    from streamsql.planner.query import filtered

    method, side = (str(tree.args.get(k) or "").upper() for k in ("method", "side"))
    if method or side in ("RIGHT", "FULL") or tree.args.get("using") or tree.args.get("within"):
        raise PlanError("a table function is joined by CROSS JOIN, or by LEFT JOIN … ON TRUE", span_of(tree),
                        hint="FROM t, LATERAL TABLE(f(x)) AS a(b)")
    on = tree.args.get("on")
    if isinstance(on, exp.Boolean) and on.this:
        on = None
    if side == "LEFT":
        return table_function(sources, tree.this, left, outer, padded=True, chosen=on)
    relation = table_function(sources, tree.this, left, outer)
    if on is None:
        return relation
    scope = SelectScope(relation.fields, sources.planner, outer)
    return filtered(relation, boolean(scope.binder.bind(on), on, "ON"))


def table_function(sources: Sources, tree: exp.Expr, left: Relation, outer: Scope | None, *,
                   padded: bool = False, chosen: exp.Expr | None = None) -> Relation:
    """`left` with the columns of the function's rows, under the alias of `tree`; those for which `chosen` holds."""
    scope = SelectScope(left.fields, sources.planner, outer)
    text, names, types = _unnested(tree, scope) if isinstance(tree, exp.Unnest) else _called(sources, tree.this, scope)
    kinds = [t.as_nullable(t.nullable or padded) for t in types]
    columns: dict[str, str] = {}
    for name in names:
        column, n = name, 0
        while column in left.node.schema or column in columns:
            column, n = f"{name}${n}", n + 1
        columns[column] = name
    own = tuple(Field(name, column, kind) for name, column, kind in zip(names, columns, kinds, strict=True))
    named = sources.named(replace(left, fields=own), tree).fields
    if chosen is not None:
        inside = [_Inside(f.name, name, kind, qualifier=f.qualifier)
                  for f, name, kind in zip(named, names, types, strict=True)]
        text = f"list_filter({text}, lambda {_ROW}: {_choice(sources, chosen, inside)})"
    text = f"nullif({text}, [])" if padded else text
    schema = Schema((*left.node.schema, *(Column(f.column, f.type) for f in own)))
    node = TableFunction((left.node,), schema, left.node.append_only, left.node.hidden, text,
                         tuple(columns.items()), padded)
    taken = {f.qualifier for f in left.fields if f.qualifier} & {f.qualifier for f in named}
    if taken:
        raise BindError(f'"{min(taken)}" is in FROM twice', span_of(tree), hint="Give one of them an alias.")
    return replace(left, node=node, fields=(*left.fields, *named))


@dataclass(frozen=True, slots=True)
class _Inside(Field):
    """A column of a row of the function, before it is one of the join; `column` is the field of its STRUCT."""

    def typed(self) -> Typed:
        return Typed(f"struct_extract({_ROW}, {text_literal(self.column)})", self.type)


def _choice(sources: Sources, on: exp.Expr, fields: Sequence[Field]) -> str:
    """ON as DuckDB text over a row of the function. Raises PlanError where it reads anything else."""
    scope = SelectScope(fields, sources.planner)
    columns = list(on.find_all(exp.Column))
    if not columns or on.find(exp.Query) or not all(scope.has(c) for c in columns):
        raise PlanError("LEFT JOIN of a table function takes ON TRUE, or a condition on the function's columns alone",
                        span_of(on), hint="Filter the rows inside the function, or in WHERE.")
    return boolean(scope.binder.bind(on), on, "ON").sql


Rows = tuple[str, Sequence[str], Sequence[DataType]]
"""A list of STRUCTs as DuckDB text, their fields and the fields' types."""


def _called(sources: Sources, call: exp.Anonymous, scope: SelectScope) -> Rows:
    function = _found(sources, call)
    kind = function.result.type
    return function.text(user_functions.arguments(function, call, scope.binder)), kind.names, kind.children


def _unnested(tree: exp.Unnest, scope: SelectScope) -> Rows:
    """The elements of an array, the fields of its rows, or a map's keys and values; then their position."""
    if len(tree.expressions) != 1:
        raise PlanError("UNNEST takes one collection", span_of(tree), hint="Join one UNNEST for each.")
    value = scope.binder.bind(tree.expressions[0])
    if value.type.root not in ("ARRAY", "MAP", "MULTISET"):
        raise SQLTypeError(f"UNNEST takes an ARRAY, MAP or MULTISET, not {value.type.as_nullable()}",
                           span_of(tree.expressions[0]))
    element, listed = value.type.children[0], value.sql
    if value.type.root == "MAP":
        names, types = ["KEY", "VALUE"], list(value.type.children)
        fields = ["struct_extract(e, 'key')", "struct_extract(e, 'value')"]
        listed = f"map_entries({value.sql})"
    elif element.root == "ROW":
        names, types = list(element.names), [t.as_nullable(t.nullable or element.nullable) for t in element.children]
        fields = [f"struct_extract(e, {text_literal(n)})" for n in element.names]
    else:
        names, types, fields = ["EXPR$0"], [element], ["e"]
    if value.type.root == "MULTISET":
        entries = f"list_transform(map_entries({value.sql}), lambda m: list_resize([]::{element.duck_type()}[], " \
                  "m.value, m.key))"
        listed = f"flatten({entries})"
    if tree.args.get("offset"):
        names, types, fields = [*names, "ORDINALITY"], [*types, INT.not_null()], [*fields, "CAST(i AS INTEGER)"]
    struct = ", ".join(f"{text_literal(n)}: {f}" for n, f in zip(names, fields, strict=True))
    return f"list_transform({listed}, lambda e, i: {{{struct}}})", names, types


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

"""OVER windows: `f(x) OVER (PARTITION BY … ORDER BY … ROWS …)` becomes a column below the SELECT list.

Over constants DuckDB computes them; a stream is refused at the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamsql import aggregates
from streamsql.core.schema import Column, Schema, quote
from streamsql.core.typed import Typed
from streamsql.core.types import BIGINT, DOUBLE
from streamsql.errors import BindError, Span, SQLTypeError
from streamsql.planner.relational import Whole
from streamsql.planner.scope import Relation
from streamsql.sql import exp, span_of

if TYPE_CHECKING:
    from streamsql.planner.selects import SelectScope

_RANKS = {"ROW_NUMBER": BIGINT, "RANK": BIGINT, "DENSE_RANK": BIGINT, "PERCENT_RANK": DOUBLE, "CUME_DIST": DOUBLE,
          "NTILE": BIGINT}
_SORTED = ("RANK", "DENSE_RANK", "PERCENT_RANK", "CUME_DIST")
_NEIGHBOURS = ("LAG", "LEAD")
_ORDER = ["UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING"]
"""The bounds of a frame, from the first row to the last."""


@dataclass(frozen=True, slots=True)
class Over:
    """A column that an OVER call gives: DuckDB text over the relation below, and its type."""

    value: Typed
    span: Span | None


def needs_window(name: str) -> bool:
    """`name` is a function that has a meaning before OVER only."""
    return name.upper() in _RANKS or name.upper() in _NEIGHBOURS


def bound(tree: exp.Window, scope: SelectScope) -> Over:
    """The value of a call. Raises BindError and SQLTypeError as Flink does."""
    call = tree.this
    if not isinstance(call, exp.Anonymous):
        raise BindError("OVER stands behind an aggregate or ranking function alone", span_of(tree),
                        hint="Put the condition of FILTER in a CASE: SUM(CASE WHEN … THEN x END) OVER (…).")
    name, window = call.name.upper(), _window(tree, scope)
    arguments = list(call.expressions)
    if name in _RANKS or name in _NEIGHBOURS:
        if tree.args.get("spec") is not None:
            raise BindError(f"{name} has no frame", span_of(tree.args["spec"]), hint="Leave ROWS or RANGE out.")
        value = (_rank if name in _RANKS else _neighbour)(tree, name, arguments, window, scope)
    elif aggregates.is_aggregate(name):
        value = _aggregate(tree, name, arguments, window, scope)
    else:
        raise BindError(f"{name} is no aggregate function: OVER may not stand behind it", span_of(tree))
    return Over(value, span_of(tree))


def with_overs(source: Relation, overs: dict[str, Over]) -> Relation:
    """`source` with a column for each OVER call."""
    columns = [Column(name, over.value.type) for name, over in overs.items()]
    listed = ", ".join(f"{over.value.sql} AS {quote(name)}" for name, over in overs.items())
    kept = ", ".join([quote(c) for c in source.node.schema.names] + [listed])
    whole = Whole(
        (source.node,),
        Schema((*source.node.schema, *columns)),
        True,
        (),
        lambda names: f"SELECT {kept} FROM {names[0]}",
        "Over",
        "an OVER window over a stream is not built",
        "Aggregate in a window table function: TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), …)).",
        next(iter(overs.values())).span,
    )
    return replace(source, node=whole)


def _rank(tree: exp.Window, name: str, arguments: Sequence[exp.Expr], window: str, scope: SelectScope) -> Typed:
    wanted = 1 if name == "NTILE" else 0
    if len(arguments) != wanted:
        raise SQLTypeError(f"{name} takes {wanted or 'no'} argument{'s' * (not wanted)}", span_of(tree))
    if name in _SORTED and tree.args.get("order") is None:
        raise BindError(f"{name} needs ORDER BY in its OVER window", span_of(tree))
    values = [scope.binder.bind(a) for a in arguments]
    for value in values:
        if not value.type.is_integer or (isinstance(value.literal, int) and value.literal < 1):
            raise SQLTypeError("NTILE takes a number of groups, 1 or more", span_of(tree))
    inside = ", ".join(v.sql for v in values)
    return Typed(f"{name.lower()}({inside}) OVER ({window})", _RANKS[name].not_null())


def _neighbour(tree: exp.Window, name: str, arguments: Sequence[exp.Expr], window: str,
               scope: SelectScope) -> Typed:
    """LAG and LEAD; beyond the partition they give NULL, or the third argument."""
    values = [scope.binder.bind(a) for a in arguments]
    if not 1 <= len(values) <= 3 or (len(values) > 1 and not values[1].type.is_integer):
        raise SQLTypeError(f"{name} takes a value, how many rows away, and a default", span_of(tree),
                           hint=f"Write {name}(value [, offset [, default]]).")
    if len(values) == 3:
        values[2] = scope.binder.cast(values[2], values[0].type.as_nullable(), span=span_of(arguments[2]))
    inside = ", ".join(v.sql for v in values)
    sql = f"{name.lower()}({inside}) OVER ({window})"
    if len(values) < 3:
        return Typed(sql, values[0].type.as_nullable())
    # Flink gives the default for a neighbour that is NULL too
    return Typed(f"coalesce({sql}, {values[2].sql})", values[0].type.as_nullable(values[2].type.nullable))


def _aggregate(tree: exp.Window, name: str, arguments: list[exp.Expr], window: str, scope: SelectScope) -> Typed:
    distinct = bool(arguments) and isinstance(arguments[0], exp.Distinct)
    if distinct:
        arguments = list(arguments[0].expressions)
    star = len(arguments) == 1 and isinstance(arguments[0], exp.Star)
    values = [] if star else [scope.binder.bind(a) for a in arguments]
    try:
        call = aggregates.bind(name, values, distinct=distinct)
    except SQLTypeError as error:
        error.span = error.span or span_of(tree)
        raise
    return Typed(call.over(window), call.type)


def _window(tree: exp.Window, scope: SelectScope) -> str:
    """The inside of OVER (…) as DuckDB writes it; NULLs are the smallest."""
    parts = []
    keys = tree.args.get("partition_by") or ()
    if keys:
        parts.append("PARTITION BY " + ", ".join(scope.binder.bind(k).sql for k in keys))
    order = tree.args.get("order")
    if order is not None:
        parts.append("ORDER BY " + ", ".join(_sorted(o, scope) for o in order.expressions))
    spec = tree.args.get("spec")
    if spec is not None:
        parts.append(_frame(spec, order, scope))
    return " ".join(parts)


def _sorted(ordered: exp.Expr, scope: SelectScope) -> str:
    down, first = bool(ordered.args.get("desc")), ordered.args.get("nulls_first")
    nulls = "FIRST" if (not down if first is None else first) else "LAST"
    return f"{scope.binder.bind(ordered.this).sql} {'DESC' if down else 'ASC'} NULLS {nulls}"


def _frame(spec: exp.WindowSpec, order: exp.Expr | None, scope: SelectScope) -> str:
    kind = spec.args["kind"]
    if kind == "RANGE" and order is None:
        raise BindError("RANGE needs ORDER BY in its OVER window", span_of(spec))
    sides = [_bound(spec, side, kind, scope) for side in ("start", "end")]
    ranks = [rank for rank, _ in sides]
    if ranks[0] > ranks[1] or ranks[0] == 4 or ranks[1] == 0:
        raise BindError(f"a frame does not begin at {_ORDER[ranks[0]]} and end at {_ORDER[ranks[1]]}", span_of(spec))
    return f"{kind} BETWEEN {sides[0][1]} AND {sides[1][1]}"


def _bound(spec: exp.WindowSpec, side: str, kind: str, scope: SelectScope) -> tuple[int, str]:
    """Where a bound is among `_ORDER`, and its text."""
    given, way = spec.args[side], spec.args.get(f"{side}_side") or ""
    if isinstance(given, str):
        text = f"{given} {way}".strip()
        return _ORDER.index(text), text
    value = scope.binder.bind(given)
    if not value.is_literal or (kind == "ROWS" and not value.type.is_integer):
        raise SQLTypeError(f"a bound of {kind} is a literal{' integer' * (kind == 'ROWS')}", span_of(given))
    return _ORDER.index(way), f"{value.sql} {way}"

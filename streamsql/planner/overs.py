"""OVER windows: `f(x) OVER (PARTITION BY … ORDER BY … ROWS …)` becomes a column below the SELECT list.

Over constants DuckDB computes them, as a batch engine would. Over a stream they are one node of
`operators`, with what Flink asks of them; a ROW_NUMBER alone may become a Top-N: `planner.ranks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from streamsql import aggregates
from streamsql.core.schema import Column, Schema, TimeAttribute, quote
from streamsql.core.typed import Typed
from streamsql.core.types import BIGINT, DOUBLE
from streamsql.errors import BindError, Span, SQLTypeError
from streamsql.operators._over_calls import OverCall
from streamsql.operators._ranked import SortKey
from streamsql.planner import user_functions
from streamsql.planner.ranks import stream_overs
from streamsql.planner.relational import Whole, constant
from streamsql.planner.scope import Relation
from streamsql.sql import exp, interval_value, span_of
from streamsql.values.binder import refuse_nulls

if TYPE_CHECKING:
    from streamsql.planner.selects import SelectScope

_RANKS = {"ROW_NUMBER": BIGINT, "RANK": BIGINT, "DENSE_RANK": BIGINT, "PERCENT_RANK": DOUBLE, "CUME_DIST": DOUBLE,
          "NTILE": BIGINT}
_SORTED = ("RANK", "DENSE_RANK", "PERCENT_RANK", "CUME_DIST")
_NEIGHBOURS = ("LAG", "LEAD")
_ORDER = ["UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING"]
"""The bounds of a frame, from the first row to the last."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """A frame as written. lower and upper: where they are among `_ORDER`; size of a lower n PRECEDING."""

    kind: Literal["ROWS", "RANGE"]
    lower: int
    upper: int
    size: int
    span: Span | None


@dataclass(frozen=True, slots=True)
class OverWindow:
    """The inside of OVER (…), bound; `text` is it in DuckDB.

    times  the time attribute of each term of the order; constants  whether it is one
    """

    partition: tuple[str, ...]
    order: tuple[SortKey, ...]
    times: tuple[TimeAttribute, ...]
    constants: tuple[bool, ...]
    frame: Bounds | None
    text: str
    span: Span | None


@dataclass(frozen=True, slots=True)
class Over:
    """A column that an OVER call gives: DuckDB text over the relation below, its type, and what it is."""

    value: Typed
    span: Span | None
    call: OverCall
    window: OverWindow


def needs_window(name: str) -> bool:
    """`name` is a function that has a meaning before OVER only."""
    return name.upper() in _RANKS or name.upper() in _NEIGHBOURS


def bound(tree: exp.Window, scope: SelectScope) -> Over:
    """The value of a call. Raises BindError and SQLTypeError as Flink does."""
    call = tree.this
    if isinstance(call, (exp.IgnoreNulls, exp.RespectNulls)):
        refuse_nulls(call)
    if not isinstance(call, exp.Anonymous):
        raise BindError("OVER stands behind an aggregate or ranking function alone", span_of(tree),
                        hint="Put the condition of FILTER in a CASE: SUM(CASE WHEN … THEN x END) OVER (…).")
    name, window = call.name.upper(), _window(tree, scope)
    arguments = list(call.expressions)
    if name in _RANKS or name in _NEIGHBOURS:
        if tree.args.get("spec") is not None:
            raise BindError(f"{name} has no frame", span_of(tree.args["spec"]), hint="Leave ROWS or RANGE out.")
        value, over = (_rank if name in _RANKS else _neighbour)(tree, name, arguments, window.text, scope)
    elif aggregates.is_aggregate(name) or user_functions.form_of(call) == "aggregate":
        value, over = _aggregate(tree, name, arguments, window.text, scope)
    else:
        raise BindError(f"{name} is no aggregate function: OVER may not stand behind it", span_of(tree))
    return Over(value, span_of(tree), over, window)


def with_overs(source: Relation, overs: dict[str, Over], settings: Mapping[str, str]) -> Relation:
    """`source` with a column for each OVER call."""
    if not constant(source.node):
        return stream_overs(source, overs, settings)
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
        "this OVER window runs over constants only",
        "Read a table.",
        next(iter(overs.values())).span,
    )
    return replace(source, node=whole)


def _rank(tree: exp.Window, name: str, arguments: Sequence[exp.Expr], window: str,
          scope: SelectScope) -> tuple[Typed, OverCall]:
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
    kind = _RANKS[name].not_null()
    return Typed(f"{name.lower()}({inside}) OVER ({window})", kind), OverCall(name, kind)


def _neighbour(tree: exp.Window, name: str, arguments: Sequence[exp.Expr], window: str,
               scope: SelectScope) -> tuple[Typed, OverCall]:
    """LAG and LEAD; beyond the partition they give NULL, or the third argument."""
    values = [scope.binder.bind(a) for a in arguments]
    if not 1 <= len(values) <= 3 or (len(values) > 1 and not values[1].type.is_integer):
        raise SQLTypeError(f"{name} takes a value, how many rows away, and a default", span_of(tree),
                           hint=f"Write {name}(value [, offset [, default]]).")
    if len(values) == 3:
        values[2] = scope.binder.cast(values[2], values[0].type.as_nullable(), span=span_of(arguments[2]))
    offset = values[1].literal if len(values) > 1 else 1
    call = OverCall(name, values[0].type.as_nullable(), None, tuple(v.sql for v in (values[0], *values[2:])),
                    offset if isinstance(offset, int) else -1)
    inside = ", ".join(v.sql for v in values)
    sql = f"{name.lower()}({inside}) OVER ({window})"
    if len(values) < 3:
        return Typed(sql, call.type), call
    # Flink gives the default for a neighbour that is NULL too
    kind = values[0].type.as_nullable(values[2].type.nullable)
    return Typed(f"coalesce({sql}, {values[2].sql})", kind), replace(call, type=kind)


def _aggregate(tree: exp.Window, name: str, arguments: list[exp.Expr], window: str,
               scope: SelectScope) -> tuple[Typed, OverCall]:
    distinct = bool(arguments) and isinstance(arguments[0], exp.Distinct)
    if distinct:
        arguments = list(arguments[0].expressions)
    star = len(arguments) == 1 and isinstance(arguments[0], exp.Star)
    values = [] if star else [scope.binder.bind(a) for a in arguments]
    own, function = scope.planner.catalog.functions.get(name.lower()), None
    if own is not None:
        function = user_functions.aggregate(own, len(values))
        values = [user_functions.aggregate_row(own, user_functions.fitted(own, values, tree.this, scope.binder), None)]
    try:
        call = aggregates.bind(name, values, distinct=distinct, function=function)
    except SQLTypeError as error:
        error.span = error.span or span_of(tree)
        raise
    return Typed(call.over(window), call.type), OverCall(name, call.type, call)


def _window(tree: exp.Window, scope: SelectScope) -> OverWindow:
    """The inside of OVER (…); NULLs are the smallest."""
    parts = []
    keys = tuple(scope.binder.bind(k).sql for k in tree.args.get("partition_by") or ())
    if keys:
        parts.append("PARTITION BY " + ", ".join(keys))
    order = tree.args.get("order")
    values = [_ordered_by(o.this, scope) for o in order.expressions] if order is not None else []
    terms = tuple(sort_key(o, v.sql) for o, v in zip(order.expressions if order else (), values, strict=True))
    if order is not None:
        parts.append("ORDER BY " + ", ".join(k.of(k.sql) for k in terms))
    spec, frame = tree.args.get("spec"), None
    if spec is not None:
        text, frame = _frame(spec, order, scope)
        parts.append(text)
    return OverWindow(keys, terms, tuple(v.time for v in values), tuple(v.is_literal for v in values), frame,
                      " ".join(parts), span_of(order) if order is not None else None)


def _ordered_by(tree: exp.Expr, scope: SelectScope) -> Typed:
    """A term of ORDER BY; PROCTIME() itself is a time attribute, as a column of it is."""
    value = scope.binder.bind(tree)
    now = isinstance(tree, exp.Anonymous) and tree.name.upper() == "PROCTIME"
    return replace(value, time="proctime") if now else value


def sort_key(ordered: exp.Expr, sql: str) -> SortKey:
    """A term of ORDER BY whose value is `sql`."""
    down, first = bool(ordered.args.get("desc")), ordered.args.get("nulls_first")
    return SortKey(sql, down, not down if first is None else bool(first))


def _frame(spec: exp.WindowSpec, order: exp.Expr | None, scope: SelectScope) -> tuple[str, Bounds]:
    kind = spec.args["kind"]
    if kind == "RANGE" and order is None:
        raise BindError("RANGE needs ORDER BY in its OVER window", span_of(spec))
    sides = [_bound(spec, side, kind, scope) for side in ("start", "end")]
    ranks = [rank for rank, _, _ in sides]
    if ranks[0] > ranks[1] or ranks[0] == 4 or ranks[1] == 0:
        raise BindError(f"a frame does not begin at {_ORDER[ranks[0]]} and end at {_ORDER[ranks[1]]}", span_of(spec))
    return (f"{kind} BETWEEN {sides[0][1]} AND {sides[1][1]}",
            Bounds(kind, ranks[0], ranks[1], sides[0][2], span_of(spec)))


def _bound(spec: exp.WindowSpec, side: str, kind: str, scope: SelectScope) -> tuple[int, str, int]:
    """Where a bound is among `_ORDER`, its text, and how many rows or µs it is away (-1: it has no length)."""
    given, way = spec.args[side], spec.args.get(f"{side}_side") or ""
    if isinstance(given, str):
        text = f"{given} {way}".strip()
        return _ORDER.index(text), text, -1
    value = scope.binder.bind(given)
    if not value.is_literal or (kind == "ROWS" and not value.type.is_integer):
        raise SQLTypeError(f"a bound of {kind} is a literal{' integer' * (kind == 'ROWS')}", span_of(given))
    size = -1
    if value.type.root == "INTERVAL DAY TO SECOND":
        size = interval_value(given)
    elif kind == "ROWS" and isinstance(value.literal, int):
        size = value.literal
    return _ORDER.index(way), f"{value.sql} {way}", size

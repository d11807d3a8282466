"""Window functions in FROM, and the GROUP BY over their columns."""

from __future__ import annotations

import importlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from streamsql.core.node import Node
from streamsql.core.schema import Column, quote
from streamsql.core.typed import Typed
from streamsql.errors import BindError, PlanError, Span, SQLTypeError
from streamsql.operators import window_aggregate as operators
from streamsql.operators.project import Project
from streamsql.operators.session import SessionAssign, session_assign
from streamsql.operators.union import Union
from streamsql.operators.window import WindowAssign, window_assign
from streamsql.operators.window_aggregate import Bound
from streamsql.planner.relational import constant
from streamsql.planner.scope import Field, Relation, Scope, Window
from streamsql.planner.selects import AggregateScope, SelectScope
from streamsql.sql import GROUP_WINDOW, ROWTIME_USED, WindowTable, exp, interval_type, interval_value, span_of
from streamsql.windows.session import Session
from streamsql.windows.window import END, START, TIME, ArgumentError, microseconds
from streamsql.windows.window import Window as Bounds

if TYPE_CHECKING:
    from streamsql.planner.sources import Sources

ZONE = "table.local-time-zone"


def window_table(sources: Sources, tree: WindowTable, outer: Scope | None) -> Relation:
    """`TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), …))`: the relation with its window columns."""
    relation = sources.item(tree.this, outer)
    function = str(tree.args["function"]).upper()
    scope = SelectScope(relation.fields, sources.planner, outer)
    time = _time_column(tree.args["time"], relation, scope)
    field = next(f for f in relation.fields if f.typed().sql == time.sql)
    if not field.type.is_timestamp:
        raise SQLTypeError(
            f'the time column "{field.name}" of {function} is {field.type}',
            span_of(tree.args["time"]),
            hint="A window needs a TIMESTAMP(3) or TIMESTAMP_LTZ(3) column with a WATERMARK.",
        )
    if not field.time and not constant(relation.node):
        raise SQLTypeError(
            f'the time column "{field.name}" of {function} has no watermark',
            span_of(tree.args["time"]),
            hint=f"Declare WATERMARK FOR {field.name} AS {field.name} - INTERVAL '5' SECOND in its table; "
            "a computed or aggregated timestamp is no time attribute.",
        )
    bounds = window_bounds(tree, function)
    if field.time == "proctime":
        _refuse_rowtime(tree, function)
        relation = _current(relation, field, scope)
    names = tuple(_free(relation, name) for name in (START, END, TIME))
    node = _assign(sources, tree, relation, scope, bounds, field, (names[0], names[1], names[2]))
    fields = [
        Field(f.name, f.column, f.type, f.time if f.time == "proctime" else "", f.qualifier) for f in relation.fields
    ]
    fields += [
        Field(visible, name, node.schema[name].type, node.schema[name].time if field.time else "")
        for visible, name in zip((START, END, TIME), names, strict=True)
    ]
    local = field.type.root == "TIMESTAMP_LTZ"
    lengths = None if tree.meta.get(GROUP_WINDOW) or isinstance(bounds, Session) else partial(_check, tree, bounds)
    window = Window(names[0], names[1], names[2], local, function, rowtime=field.time == "rowtime",
                    proctime=field.time == "proctime", lengths=lengths, spec=bounds)
    return Relation(node, tuple(fields), window)


def _refuse_rowtime(tree: WindowTable, function: str) -> None:
    span = tree.meta.get(ROWTIME_USED)
    if span is not None:
        raise PlanError(f"{function}_ROWTIME needs a window of event time, this one is of processing time", span,
                        hint=f"Write {function}_PROCTIME or {function}_END.")


def _current(relation: Relation, field: Field, scope: SelectScope) -> Relation:
    """`relation` with its processing time as it is when a row arrives at the window.

    That is the time which the row carries, unless a step between may have held the row back: then its
    window could be closed already.
    """
    if _at_once(relation.node):
        return relation
    now = scope.binder.bind(exp.Anonymous(this="PROCTIME", expressions=[])).sql
    node = relation.node
    columns = tuple((c, now if c == field.column else quote(c)) for c in node.schema.names)
    return replace(relation, node=Project((node,), node.schema, node.append_only, node.hidden, columns))


def _at_once(node: Node) -> bool:
    """Rows pass from the tables to here at once; windows of processing time give theirs when the clock does."""
    windows = isinstance(node, operators.WindowAggregate | SessionAssign) and node.proctime
    known = not node.inputs or windows or isinstance(node, Union) or node.stateless("r") is not None
    return known and all(_at_once(i) for i in node.inputs)


def require_aggregated(node: Node, span: Span, above: Node | None = None) -> None:
    """Raises PlanError for a window of processing time whose rows are not aggregated by it, as Flink does."""
    assign = isinstance(node, WindowAssign | SessionAssign) and node.proctime
    if assign and not (isinstance(above, operators.WindowAggregate) and above.proctime):
        raise PlanError(
            "a window function over processing time needs an aggregation by its window",
            span,
            hint="GROUP BY window_start, window_end; or use an event-time column with a WATERMARK.",
        )
    for i in node.inputs:
        require_aggregated(i, span, above if isinstance(node, Project) and above is not None else node)


def _time_column(tree: exp.Expr, relation: Relation, scope: SelectScope) -> Typed:
    """The column of DESCRIPTOR; ksqlDB's ROWTIME is the one time attribute, unless a column is called so."""
    times = [f for f in relation.fields if f.time]
    if tree.name.upper() == "ROWTIME" and len(times) == 1 and all(f.name != tree.name for f in relation.fields):
        return times[0].typed()
    return scope.column(tree)


def _assign(
    sources: Sources,
    tree: WindowTable,
    relation: Relation,
    scope: SelectScope,
    bounds: Bounds | Session,
    field: Field,
    names: tuple[str, str, str],
) -> Node:
    """The node that adds the window columns."""
    zone = sources.planner.settings.get(ZONE, "UTC")
    partition = []
    for part in tree.args.get("partition") or ():
        key = scope.column(part)
        partition += [f.column for f in relation.fields if f.typed().sql == key.sql][:1]
    if isinstance(bounds, Session):
        return session_assign(relation.node, bounds, field.column, partition, zone=zone, names=names)
    if partition:
        raise PlanError(
            "PARTITION BY is for SESSION", span_of(tree.args["partition"][0]), hint="Put the column in GROUP BY."
        )
    return window_assign(relation.node, bounds, field.column, zone=zone, names=names)


def _free(relation: Relation, name: str) -> str:
    """A column name of the node for a window column; the input may have one of that name."""
    while name in relation.node.schema:
        name += "_"
    return name


def window_bounds(tree: WindowTable, function: str) -> Bounds | Session:
    """The window's description from its interval arguments; errors point at the argument."""
    module = importlib.import_module(f"streamsql.windows.{function.lower()}")
    given: dict[str, int] = {}
    for name in ("size", "slide", "step", "gap", "offset"):
        argument = tree.args.get(name)
        if argument is None:
            continue
        if name not in module.ARGUMENTS:
            raise BindError(
                f'{function} has no argument "{name}"',
                span_of(argument),
                hint=f"Its arguments: {', '.join(module.ARGUMENTS)}.",
            )
        months = "MONTH" in interval_type(_bare(argument)).root
        value = interval_value(argument)
        try:
            given[name] = microseconds(function, name, value if months else 0, 0 if months else value)
        except ArgumentError as error:
            span = span_of(argument)
            raise error.at(span) if span else error from None
    try:
        bounds: Bounds | Session = module.window(given)
    except ArgumentError as error:
        span = span_of(tree.args.get(error.argument) or tree)
        raise error.at(span) if span else error from None
    return bounds


def _check(tree: WindowTable, bounds: Bounds) -> None:
    """What an aggregation asks of the lengths; the error at the one at fault."""
    try:
        bounds.check()
    except ArgumentError as error:
        span = span_of(tree.args.get(error.argument) or tree)
        raise error.at(span) if span else error from None


def _bare(tree: exp.Expr) -> exp.Interval:
    while not isinstance(tree, exp.Interval):
        if not isinstance(tree, exp.Neg | exp.Paren):
            raise SQLTypeError("a window takes interval literals", span_of(tree), hint="Write INTERVAL '1' MINUTE.")
        tree = tree.this
    return tree


def window_aggregate(source: Relation, window: Window, scope: AggregateScope, sets: list[tuple[int, ...]]) -> Relation:
    """GROUP BY window_start, window_end, …: emits once, when the window closes.

    Keys that are window columns become the node's own; the others are its keys.
    """
    if window.lengths is not None and not window.aggregated:
        window.lengths()
    columns = {quote(window.start): "start", quote(window.end): "end"}
    if window.time:
        columns[quote(window.time)] = "time"
    bounds = [(k.name, cast(Bound, columns[k.value.sql])) for k in scope.keys if k.value.sql in columns]
    plain = [i for i, k in enumerate(scope.keys) if k.value.sql not in columns]
    keys = [(Column(scope.keys[i].name, scope.keys[i].value.type), scope.keys[i].value.sql) for i in plain]
    zone = scope.planner.settings.get(ZONE, "UTC")
    node = operators.window_aggregate(
        source.node,
        keys,
        tuple(scope.calls.items()),
        start=window.start,
        end=window.end,
        windows=bounds,
        zone=zone,
        local_zoned=window.local,
        sets=[tuple(plain.index(i) for i in s if i in plain) for s in sets],
        groupings=[(name, tuple(plain.index(i) for i in of if i in plain)) for name, of in scope.groupings.items()],
        proctime=window.proctime,
    )
    fields = tuple(Field(c.name, c.name, c.type, c.time) for c in node.schema)
    named = {bound: name for name, bound in bounds}
    kept = replace(window, start=named["start"], end=named["end"], time=named.get("time", ""), aggregated=True)
    return Relation(node, fields, kept)

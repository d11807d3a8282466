"""GROUP BY: over window columns it is a window aggregate, which emits once; else it emits changes."""

from __future__ import annotations

from itertools import product

from streamsql.core.batch import DIFF, SEQ, WATERMARK
from streamsql.core.schema import Column, Schema, quote
from streamsql.errors import BindError, PlanError
from streamsql.operators.group_aggregate import GroupAggregate
from streamsql.planner.relational import constant
from streamsql.planner.scope import Field, Relation, Window
from streamsql.planner.selects import AggregateScope, Key, SelectScope, aggregate_name
from streamsql.planner.subqueries import attach
from streamsql.planner.windowing import window_aggregate
from streamsql.sql import GROUP_WINDOW, WindowTable, exp, span_of

_Sets = list[tuple[exp.Expr, ...]]


def has_aggregates(tree: exp.Select) -> bool:
    """SELECT, HAVING or ORDER BY hold an aggregate call of this SELECT (not of a subquery)."""
    clauses = [*tree.expressions, tree.args.get("having"), tree.args.get("order")]
    return any(_holds(c) for c in clauses if c is not None)


def _holds(tree: exp.Expr) -> bool:
    return any(aggregate_name(n) for n in tree.walk(prune=lambda n: isinstance(n, exp.Query)))


def grouped(tree: exp.Select, source: Relation, scope: SelectScope) -> tuple[Relation, AggregateScope]:
    """The relation above GROUP BY, and the scope of what may stand there."""
    expressions, sets = _grouping(tree.args.get("group"))
    if sets and scope.binder.strict:
        _refuse_group_window(tree)
    keys = _keys(expressions, scope)
    above = AggregateScope(scope, keys, grouped=bool(keys) and all(sets))
    for clause in [*tree.expressions, tree.args.get("having"), tree.args.get("order")]:
        if clause is not None and not isinstance(clause, exp.Star):
            _collect(clause, above)
    source = attach(source, scope)
    indexes = [tuple(sorted({expressions.index(e) for e in s})) for s in sets]
    window = source.window
    if window is not None and not constant(source.node) and _windowed(window, keys, indexes):
        return window_aggregate(source, window, above, indexes), above
    return _group_aggregate(source, above, indexes), above


def _refuse_group_window(tree: exp.Select) -> None:
    """Raises PlanError for TUMBLE, HOP or SESSION itself beside grouping sets, which Flink has no plan for."""
    source = tree.args.get("from_")
    made = source.this if source is not None else None
    if isinstance(made, WindowTable) and made.meta.get(GROUP_WINDOW):
        function = str(made.args["function"]).upper()
        raise PlanError(f"{function} in GROUP BY does not go with grouping sets in strict mode, nor in Flink",
                        span_of(tree.args["group"]) or span_of(tree),
                        hint=f"Write FROM TABLE({function}(TABLE t, DESCRIPTOR(ts), …)) and group by its columns.")


def _collect(tree: exp.Expr, scope: AggregateScope) -> None:
    """Bind every aggregate call below `tree` so that the node knows all of them."""
    for node in tree.walk(prune=lambda n: isinstance(n, exp.Query) or aggregate_name(n) is not None):
        if aggregate_name(node):
            scope.binder.bind(node)


def _grouping(group: exp.Group | None) -> tuple[list[exp.Expr], _Sets]:
    """The distinct grouping expressions, and the grouping sets (empty for a plain GROUP BY)."""
    if group is None:
        return [], []
    parts = [_part(e) for e in group.expressions]
    sets: _Sets = [tuple(e for piece in pieces for e in piece) for pieces in product(*parts)]
    expressions: list[exp.Expr] = []
    for one in sets:
        expressions += [e for e in one if e not in expressions]
    plain = all(not isinstance(e, exp.GroupingSets | exp.Rollup | exp.Cube) for e in group.expressions)
    return expressions, [] if plain or sets == [()] else sets


def _part(tree: exp.Expr) -> _Sets:
    if isinstance(tree, exp.GroupingSets):
        return [s for e in tree.expressions for s in _part_of_sets(e)]
    if isinstance(tree, exp.Rollup):
        units = [_unit(e) for e in tree.expressions]
        return [tuple(e for u in units[:n] for e in u) for n in range(len(units), -1, -1)]
    if isinstance(tree, exp.Cube):
        units = [_unit(e) for e in tree.expressions]
        masks = product((True, False), repeat=len(units))
        return [tuple(e for u, kept in zip(units, mask, strict=True) if kept for e in u) for mask in masks]
    return [_unit(tree)]


def _part_of_sets(tree: exp.Expr) -> _Sets:
    return _part(tree) if isinstance(tree, exp.GroupingSets | exp.Rollup | exp.Cube) else [_unit(tree)]


def _unit(tree: exp.Expr) -> tuple[exp.Expr, ...]:
    if isinstance(tree, exp.Tuple) or (isinstance(tree, exp.Anonymous) and tree.name.upper() == "ROW"):
        return tuple(tree.expressions)
    if isinstance(tree, exp.Paren):
        return _unit(tree.this)
    return (tree,)


def _keys(expressions: list[exp.Expr], scope: SelectScope) -> tuple[Key, ...]:
    keys: list[Key] = []
    taken: set[str] = set()
    for tree in expressions:
        if isinstance(tree, exp.Literal) and not tree.is_string:
            raise BindError(
                "GROUP BY takes columns and expressions, not a position",
                span_of(tree),
                hint="Repeat the expression of SELECT.",
            )
        value = scope.binder.bind(tree)
        name = tree.name if isinstance(tree, exp.Column) and tree.name else f"$expr{len(keys)}"
        while name in taken:
            name += "_"
        taken.add(name)
        keys.append(Key(name, value))
    return tuple(keys)


def _windowed(window: Window, keys: tuple[Key, ...], sets: list[tuple[int, ...]]) -> bool:
    """window_start and window_end are among the keys, of every grouping set."""
    bounds = {quote(window.start), quote(window.end)}
    members = sets or [tuple(range(len(keys)))]
    return all(bounds <= {keys[i].value.sql for i in s} for s in members)


def _group_aggregate(source: Relation, scope: AggregateScope, sets: list[tuple[int, ...]]) -> Relation:
    left_out = {i for i in range(len(scope.keys)) if sets and any(i not in s for s in sets)}
    keys = [
        Column(k.name, k.value.type.as_nullable(k.value.type.nullable or i in left_out))
        for i, k in enumerate(scope.keys)
    ]
    calls = [Column(name, call.type) for name, call in scope.calls.items()]
    groupings = [Column(name, scope.grouping_type) for name in scope.groupings]
    schema = Schema((*keys, *calls, *groupings))
    node = GroupAggregate(
        (source.node,),
        schema,
        False,
        (DIFF,),
        tuple((k.name, k.value.sql) for k in scope.keys),
        tuple(scope.calls.items()),
        tuple(sets),
        tuple(scope.groupings.items()),
    )
    if constant(source.node):
        node = GroupAggregate(
            (source.node,), schema, True, (WATERMARK, SEQ), node.keys, node.calls, node.sets, node.groupings
        )
    return Relation(node, tuple(Field(c.name, c.name, c.type) for c in schema))

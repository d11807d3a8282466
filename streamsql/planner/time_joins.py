"""Joins by time: interval, window, temporal and lookup joins, recognised before a regular join is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from typing import cast as typed_as

from streamsql.core.batch import SEQ, WATERMARK
from streamsql.core.node import Node
from streamsql.core.schema import Column, Schema, quote
from streamsql.errors import PlanError
from streamsql.operators.interval_join import IntervalJoin
from streamsql.operators.join import JoinKind
from streamsql.operators.window_join import Kind, WindowJoin
from streamsql.planner import versions
from streamsql.planner.asof import asof
from streamsql.planner.intervals import Bound, bounds
from streamsql.planner.predicates import Predicate
from streamsql.planner.scope import Field, Relation, Window
from streamsql.planner.selects import SelectScope
from streamsql.sql import span_of, within_us

if TYPE_CHECKING:
    from streamsql.planner.joins import JoinClause

_ZONE = "table.local-time-zone"


def recognised(clause: JoinClause) -> Relation | None:
    """The join by time that `clause` is; None for a regular join."""
    if clause.asof:
        return asof(clause)
    within = within_us(clause.tree)
    if within is not None:
        return _interval_join(clause, _within(clause, *within))
    if clause.version is not None:
        return versions.versioned(clause)
    return _window_join(clause) or _interval_join(clause)


# Window joins


def _window_join(clause: JoinClause) -> Relation | None:
    left, right = clause.left, clause.right
    if not one_window(left, right, clause.predicates):
        return None
    assert left.window is not None
    assert right.window is not None
    _refuse_changes(clause, "window join")
    columns = with_times(clause)
    node = window_join(clause.kind, left, right, clause.predicates, columns, clause.sources.planner.settings)
    kept = _kept(right.window if clause.kind == "RIGHT" else left.window, columns)
    return Relation(node, tuple(f for f, _ in columns), kept)


def one_window(left: Relation, right: Relation, predicates: Sequence[Predicate]) -> bool:
    """Both sides are windowed alike, and a condition says that the windows of two rows are the same."""
    a, b = left.window, right.window
    if a is None or b is None or a.spec != b.spec or a.local != b.local or a.proctime or b.proctime:
        return False
    if any(w.aggregated and not r.node.append_only for w, r in ((a, left), (b, right))):
        return False  # early results change: a regular join takes them
    equal = {(p.equal.left.sql, p.equal.right.sql) for p in predicates if p.equal is not None}
    return {(quote(a.start), quote(b.start)), (quote(a.end), quote(b.end))} <= equal


def window_join(kind: Kind, left: Relation, right: Relation, predicates: Sequence[Predicate],
                columns: Sequence[tuple[Field, str]], settings: Mapping[str, str]) -> Node:
    """The join of two windowed inputs of which `one_window` holds; SEMI and ANTI for IN and EXISTS."""
    from streamsql.planner.joins import matching

    assert left.window is not None
    assert right.window is not None
    zone = settings.get(_ZONE, "UTC") if left.window.local else "UTC"
    return WindowJoin((left.node, right.node), _schema(columns), True, (WATERMARK, SEQ), kind, matching(predicates),
                      tuple((f.column, sql) for f, sql in columns), (left.window.end, right.window.end), zone)


def _kept(window: Window, columns: Sequence[tuple[Field, str]]) -> Window | None:
    """The window of the result, by its columns there; its rows come when it is closed."""
    names = {sql: f.column for f, sql in reversed(columns)}
    start, end = names.get(quote(window.start)), names.get(quote(window.end))
    if start is None or end is None:
        return None
    time = names.get(quote(window.time), "") if window.time else ""
    return replace(window, start=start, end=end, time=time, aggregated=True)


# Interval joins


@dataclass(frozen=True, slots=True)
class _Interval:
    """The bounds of `right - left`, and the conditions that do not say them."""

    times: tuple[str, str]
    lower_us: int
    upper_us: int
    rest: tuple[Predicate, ...]


def _within(clause: JoinClause, before_us: int, after_us: int) -> _Interval:
    """`WITHIN (before, after)`, as ksqlDB says of the rowtimes of both sides: the right's less the left's."""
    if clause.version is not None:
        raise PlanError("a join FOR SYSTEM_TIME AS OF has no WITHIN", span_of(clause.tree),
                        hint="It meets one version; say in ON how old it may be.")
    times = []
    for relation in (clause.left, clause.right):
        found = [f for f in relation.fields if f.time == "rowtime"]
        if len(found) != 1:
            raise PlanError(f"WITHIN takes one rowtime of each side, {versions.named(relation)} has {len(found)}",
                            span_of(clause.tree),
                            hint="Say it in ON: b.ts BETWEEN a.ts - INTERVAL '5' MINUTE "
                            "AND a.ts + INTERVAL '5' MINUTE.")
        times.append(found[0])
    if times[0].type.root != times[1].type.root:
        raise PlanError(f'WITHIN compares "{times[0].name}", {times[0].type}, with "{times[1].name}", '
                        f"{times[1].type}", span_of(clause.tree), hint="Both need one type of timestamp.")
    return _Interval((times[0].column, times[1].column), -before_us, after_us, clause.predicates)


def _interval_join(clause: JoinClause, found: _Interval | None = None) -> Relation | None:
    if found is None and clause.kind not in ("SEMI", "ANTI"):
        found = _interval(clause)
    if found is None:
        return None
    from streamsql.planner.joins import matching

    _refuse_changes(clause, "interval join")
    columns = with_times(clause)
    node = IntervalJoin(
        (clause.left.node, clause.right.node), _schema(columns), True, (WATERMARK, SEQ),
        typed_as(JoinKind, clause.kind),
        matching(found.rest), tuple((f.column, sql) for f, sql in columns), found.times, found.lower_us, found.upper_us)
    return Relation(node, tuple(f for f, _ in columns))


def _interval(clause: JoinClause) -> _Interval | None:
    """The first pair of rowtimes whose difference is bounded on both sides."""
    scope = SelectScope((*clause.left.fields, *clause.right.fields), clause.sources.planner, clause.outer)
    said: list[tuple[Predicate, Bound | None]] = [(p, bounds(p, scope.binder, clause.left, clause.right))
                                                  for p in clause.predicates]
    for times in dict.fromkeys(b.times for _, b in said if b is not None):
        mine = [b for _, b in said if b is not None and b.times == times]
        low = [b.lower_us for b in mine if b.lower_us is not None]
        high = [b.upper_us for b in mine if b.upper_us is not None]
        if low and high:
            rest = tuple(p for p, b in said if b is None or b.times != times)
            return _Interval(times, max(low), min(high), rest)
    return None


def _refuse_changes(clause: JoinClause, what: str) -> None:
    for side, relation in (("left", clause.left), ("right", clause.right)):
        if not relation.node.append_only:
            names = {f.qualifier for f in relation.fields if f.qualifier}
            named = f'"{min(names)}"' if len(names) == 1 else f"its {side} side"
            raise PlanError(
                f"the {what} takes rows that only come, {named} also changes and deletes them",
                span_of(clause.tree) or span_of(clause.tree.this),
                hint="Take the changes in a subquery that gives each row once (a window aggregate, the first "
                "ROW_NUMBER() by time), or join by other columns than a rowtime: CAST(ts AS TIMESTAMP(3)).",
            )


# What all of them share


def with_times(clause: JoinClause) -> list[tuple[Field, str]]:
    """The columns of the result; those that are a column of an input as it is keep its time attribute."""
    times = {quote(f.column): f.time for f in _fields(clause)}
    return [(replace(f, time=times.get(sql, "")), sql) for f, sql in clause.columns]


def _fields(clause: JoinClause) -> Iterator[Field]:
    yield from clause.left.fields
    yield from clause.right.fields


def _schema(columns: Sequence[tuple[Field, str]]) -> Schema:
    return Schema(tuple(Column(f.column, f.type, f.time) for f, _ in columns))

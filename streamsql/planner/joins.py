"""Joins in FROM: names and types are resolved; over constants they run, over a stream they are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamsql.core.schema import Column, Schema, quote
from streamsql.errors import BindError, PlanError, SQLTypeError
from streamsql.planner.relational import Whole
from streamsql.planner.scope import Field, Relation, Scope
from streamsql.planner.selects import SelectScope, boolean
from streamsql.sql import exp, span_of
from streamsql.values.binder import cast, common_type, session_zone

if TYPE_CHECKING:
    from streamsql.planner.sources import Sources

_HINT = "Enrich the records before they reach the topic, or aggregate each side by itself."


def join(sources: Sources, tree: exp.Join, left: Relation, outer: Scope | None) -> Relation:
    """`left [kind] JOIN right [ON … | USING (…)]`, or a comma."""
    method, side, kind = (str(tree.args.get(k) or "").upper() for k in ("method", "side", "kind"))
    if method == "ASOF" or kind in ("SEMI", "ANTI"):
        raise PlanError(f"{method or kind} JOIN is not built", span_of(tree), hint=_HINT)
    right = sources.item(tree.this, outer)
    right = _renamed(left, right)
    qualifiers = {f.qualifier for f in left.fields if f.qualifier} & {f.qualifier for f in right.fields}
    if qualifiers:
        raise BindError(f'"{min(qualifiers)}" is in FROM twice', span_of(tree.this), hint="Give one of them an alias.")
    names = _using(tree, method, left, right)
    zone = session_zone(sources.planner.settings)
    fields, columns, conditions = _merged(tree, side, left, right, names, zone)
    on = tree.args.get("on")
    if on is not None:
        scope = SelectScope((*left.fields, *right.fields), sources.planner, outer)
        conditions.append(boolean(scope.binder.bind(on), on, "ON").sql)
    word = "CROSS" if not conditions and not side else side or "INNER"
    clause = f" ON {' AND '.join(conditions)}" if conditions else "" if word == "CROSS" else " ON TRUE"
    selected = ", ".join(f"{sql} AS {quote(name)}" for name, sql in columns)
    schema = Schema(tuple(Column(f.column, f.type) for f in fields))
    whole = Whole(
        (left.node, right.node),
        schema,
        True,
        (),
        lambda n: f"SELECT {selected} FROM {n[0]} {word} JOIN {n[1]}{clause}",
        "Join",
        "JOIN over a stream is not built",
        _HINT,
        span_of(tree) or span_of(tree.this),
    )
    return Relation(whole, tuple(fields))


def _renamed(left: Relation, right: Relation) -> Relation:
    """`right` with column names of its node that `left` does not have."""
    from streamsql.planner.query import projected

    taken = {n.lower() for n in left.node.schema.names}
    items = []
    for field in right.fields:
        name, n = field.column, 0
        while name.lower() in taken:
            name, n = f"{field.column}${n}", n + 1
        taken.add(name.lower())
        items.append((name, field.typed()))
    if [i[0] for i in items] == [f.column for f in right.fields]:
        return right
    inner = projected(right, items, None)
    fields = tuple(replace(f, column=g.column) for f, g in zip(right.fields, inner.fields, strict=True))
    return Relation(inner.node, fields)


def _using(tree: exp.Join, method: str, left: Relation, right: Relation) -> list[tuple[str, object]]:
    """The names that both sides share by USING or NATURAL, each with the tree an error points at."""
    if method == "NATURAL":
        there = [f.name for f in right.fields]
        return [(f.name, tree) for f in left.fields if f.name in there]
    return [(i.name, i) for i in tree.args.get("using") or ()]


def _merged(
    tree: exp.Join,
    side: str,
    left: Relation,
    right: Relation,
    names: list[tuple[str, object]],
    zone: str,
) -> tuple[list[Field], list[tuple[str, str]], list[str]]:
    """Output fields (shared ones first and once), their SQL, and the equalities of USING."""
    conditions: list[str] = []
    shared: list[tuple[Field, str]] = []
    hidden: set[str] = set()
    for name, at in names:
        a = _one(left, name, at)
        b = _one(right, name, at)
        kind = common_type([a.type, b.type])
        if kind is None:
            raise SQLTypeError(
                f'USING: "{name}" is {a.type} on the left and {b.type} on the right',
                span_of(tree),
                hint="CAST one side in a subquery.",
            )
        x, y = (cast(f.typed(), kind, implicit=True, zone=zone).sql for f in (a, b))
        conditions.append(f"{x} = {y}")
        value = {"RIGHT": y, "FULL": f"COALESCE({x}, {y})"}.get(side, x)
        shared.append((replace(a, type=kind.as_nullable(side == "FULL" or kind.nullable), qualifier=""), value))
        hidden |= {a.column, b.column}
    fields = [f for f, _ in shared]
    columns = [(f.column, sql) for f, sql in shared]
    for relation, padded in ((left, side in ("RIGHT", "FULL")), (right, side in ("LEFT", "FULL"))):
        for field in relation.fields:
            if field.column in hidden:
                continue
            type_ = field.type.as_nullable() if padded else field.type
            fields.append(replace(field, type=type_, time=""))
            columns.append((field.column, quote(field.column)))
    return fields, columns, conditions


def _one(relation: Relation, name: str, at: object) -> Field:
    found = [f for f in relation.fields if f.name == name]
    if len(found) != 1:
        raise BindError(
            f'column "{name}" of USING is {"ambiguous" if found else "missing"} on one side',
            span_of(at) if isinstance(at, exp.Expr) else None,
        )
    return found[0]

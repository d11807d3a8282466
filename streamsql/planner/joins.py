"""Joins in FROM: names, types and conditions are resolved; a join by time is recognised, any other is regular."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal
from typing import cast as typed_as

from streamsql.core.batch import DIFF, SEQ, WATERMARK
from streamsql.core.schema import Column, Schema, quote
from streamsql.errors import BindError, PlanError, SQLTypeError
from streamsql.operators._matching import Matching
from streamsql.operators.join import Join, JoinKind
from streamsql.operators.semi_join import SemiJoin
from streamsql.planner import time_joins
from streamsql.planner.predicates import Pending, Predicate, compared, conjuncts, predicate, steady
from streamsql.planner.relational import constant
from streamsql.planner.scope import Field, Relation, Scope
from streamsql.planner.selects import SelectScope, boolean
from streamsql.sql import exp, span_of
from streamsql.values.binder import cast, common_type

if TYPE_CHECKING:
    from streamsql.planner.sources import Sources


SemiKind = Literal["SEMI", "ANTI"]


@dataclass(frozen=True, slots=True)
class JoinClause:
    """A join before it is known which operator runs it.

    kind        INNER, LEFT, RIGHT or FULL; SEMI and ANTI for what IN, EXISTS and their negations make of WHERE
    left, right the two inputs; the columns of their nodes have distinct names, ignoring case
    predicates  the conjuncts of ON and USING, and of WHERE where they belong to the join
    columns     of the result: the field that a clause may name, and its DuckDB text over both inputs;
                fields are as above a regular join, without time attributes
    tree        the exp.Join, or the conjunct of WHERE; errors point at it
    version     FOR SYSTEM_TIME AS OF what, or None
    asof        ASOF JOIN: of the rows of the right that match, the last one
    outer       the scope around the query, for a subquery
    """

    kind: JoinKind | SemiKind
    left: Relation
    right: Relation
    predicates: tuple[Predicate, ...]
    columns: tuple[tuple[Field, str], ...]
    tree: exp.Expr = field(compare=False)
    sources: Sources = field(compare=False)
    version: exp.Expr | None = field(default=None, compare=False)
    asof: bool = False
    outer: Scope | None = field(default=None, compare=False)


def join(sources: Sources, tree: exp.Join, left: Relation, outer: Scope | None, where: Pending) -> Relation:
    """`left [kind] JOIN right [ON … | USING (…)]`, or a comma; it takes what it can answer of WHERE."""
    method, side = (str(tree.args.get(k) or "").upper() for k in ("method", "side"))
    written = side
    item, version = _unversioned(tree.this)
    right = sources.item(item, outer)
    qualifiers = {f.qualifier for f in left.fields if f.qualifier} & {f.qualifier for f in right.fields}
    if qualifiers:
        raise BindError(f'"{min(qualifiers)}" is in FROM twice', span_of(tree.this), hint="Give one of them an alias.")
    on = tree.args.get("on")
    if on is not None:
        whole = SelectScope((*left.fields, *renamed(left, right).fields), sources.planner, outer)
        boolean(whole.binder.bind(on), on, "ON")  # so that an error is of the whole condition
    rest = Pending(conjuncts(on) if on is not None else (), sources.planner)
    asof = method == "ASOF"
    if version is None and not asof:  # a version that is filtered out would let an older one match
        side = where.kept(side, left, right, [name for name, _ in _using(tree, method, left, right)])
        left = where.filtered(left) if side in ("", "LEFT") else left
        right = where.filtered(right) if side in ("", "RIGHT") else right
        right = rest.filtered(right) if side in ("", "LEFT") else right
    if asof and right.node.append_only:  # the last row is one of those that ON takes
        right = rest.filtered(right)
    left = rest.filtered(left) if side in ("", "RIGHT") else left
    right = renamed(left, right)
    scope = SelectScope((*left.fields, *right.fields), sources.planner, outer)
    columns, predicates = _merged(tree, (side, written), left, right, _using(tree, method, left, right), scope)
    further = where.between(left, right) if not (side or version or asof) else []
    predicates += [predicate(part, scope.binder, left, right) for part in (*rest.parts, *further)]
    kind = typed_as(JoinKind, side or "INNER")
    return planned(JoinClause(kind, left, right, tuple(predicates), tuple(columns), tree, sources, version, asof,
                              outer))


def keeps_left(tree: exp.Join) -> bool:
    """What is asked of the left rows may be asked before the join."""
    return str(tree.args.get("side") or "").upper() in ("", "LEFT")


def planned(clause: JoinClause) -> Relation:
    """The join by time that the clause is, or a regular one."""
    found = time_joins.recognised(clause)
    if found is not None:
        return found
    if clause.version is not None:
        raise PlanError("FOR SYSTEM_TIME AS OF is not built", span_of(clause.version), hint="Join after aggregating.")
    return regular(clause)


def regular(clause: JoinClause) -> Relation:
    """A join that remembers all rows of both inputs."""
    for one in clause.predicates:
        steady(one.value, one.tree, clause.left.node, clause.right.node)
    if clause.kind in ("SEMI", "ANTI"):
        return _semi(clause)
    left, right = clause.left.node, clause.right.node
    fields = tuple(f for f, _ in clause.columns)
    schema = Schema(tuple({f.column: Column(f.column, f.type) for f in fields}.values()))
    append_only = clause.kind == "INNER" and left.append_only and right.append_only
    hidden: tuple[str, ...] = () if append_only else (DIFF,)
    if constant(left) and constant(right):
        append_only, hidden = True, (WATERMARK, SEQ)
    columns = tuple({f.column: sql for f, sql in clause.columns}.items())
    kind = typed_as(JoinKind, clause.kind)
    node = Join((left, right), schema, append_only, hidden, kind, matching(clause.predicates), columns)
    return Relation(node, fields)


def _semi(clause: JoinClause) -> Relation:
    """The left, all its columns, where the right has a match, or none."""
    left, right = clause.left.node, clause.right.node
    append_only = clause.kind == "SEMI" and left.append_only and right.append_only
    hidden: tuple[str, ...] = () if append_only else (DIFF,)
    if constant(left) and constant(right):
        append_only, hidden = True, (WATERMARK, SEQ)
    by_keys = all(p.exact or p.reads != {"left", "right"} for p in clause.predicates)
    schema = Schema(tuple(Column(c.name, c.type) for c in left.schema))
    node = SemiJoin((left, right), schema, append_only, hidden, clause.kind == "ANTI",
                    matching(clause.predicates), by_keys)
    return Relation(node, tuple(f for f, _ in clause.columns))


def matching(predicates: Sequence[Predicate]) -> Matching:
    """What makes two rows match, where `predicates` are all TRUE of them."""
    guards: dict[str, list[str]] = {"left": [], "right": []}
    both: list[str] = []
    keys: list[tuple[str, str]] = []
    for one in predicates:
        if one.reads == {"left", "right"}:
            both.append(one.value.sql)
        elif not (one.value.is_literal and one.value.literal is True):
            for side in one.reads or ("left", "right"):
                guards[side].append(one.value.sql)
        if one.equal is not None:
            keys.append(one.equal.keys)
            for side, value in (("left", one.equal.left), ("right", one.equal.right)):
                if value.type.nullable and not one.equal.null_safe:
                    guards[side].append(f"{value.sql} IS NOT NULL")
    left, right = (" AND ".join(dict.fromkeys(guards[s])) or None for s in ("left", "right"))
    return Matching(tuple(keys), " AND ".join(both) or None, (left, right))


def _unversioned(item: exp.Expr) -> tuple[exp.Expr, exp.Expr | None]:
    """The right side without FOR SYSTEM_TIME AS OF, and that."""
    version = item.args.get("version")
    if version is None:
        return item, None
    bare = item.copy()
    bare.set("version", None)
    return bare, version


def renamed(left: Relation, right: Relation) -> Relation:
    """`right` with column names of its node that `left` does not have."""
    from streamsql.planner.query import projected

    taken = {n.lower() for n in left.node.schema.names}
    items = []
    for one in right.fields:
        name, n = one.column, 0
        while name.lower() in taken:
            name, n = f"{one.column}${n}", n + 1
        taken.add(name.lower())
        items.append((name, one.typed()))
    if [i[0] for i in items] == [f.column for f in right.fields]:
        return right
    inner = projected(right, items, right.window)
    fields = tuple(replace(f, column=g.column) for f, g in zip(right.fields, inner.fields, strict=True))
    return Relation(inner.node, fields, inner.window)


def _using(tree: exp.Join, method: str, left: Relation, right: Relation) -> list[tuple[str, exp.Expr]]:
    """The names that both sides share by USING or NATURAL, each with the tree an error points at."""
    if method == "NATURAL":
        there = [f.name for f in right.fields if not f.merged]
        return [(f.name, tree) for f in left.fields if f.name in there and not f.merged]
    return [(i.name, i) for i in tree.args.get("using") or ()]


def _merged(tree: exp.Join, sides: tuple[str, str], left: Relation, right: Relation,
            names: list[tuple[str, exp.Expr]], scope: SelectScope) -> tuple[list[tuple[Field, str]], list[Predicate]]:
    """Output fields (shared ones first, then each side's) with their SQL, and the equalities of USING.

    `sides` are what the join does and what is written: types are of the second, whatever WHERE leaves of it.
    """
    side, written = sides
    predicates: list[Predicate] = []
    columns: list[tuple[Field, str]] = []
    hidden: set[str] = set()
    for name, at in names:
        a, b = _one(left, name, at), _one(right, name, at)
        kind = common_type([a.type, b.type])
        if kind is None:
            raise SQLTypeError(
                f'USING: "{name}" is {a.type} on the left and {b.type} on the right',
                span_of(tree),
                hint="CAST one side in a subquery.",
            )
        predicates.append(compared(a.typed(), b.typed(), at, left, right, scope.binder))
        x, y = (cast(f.typed(), kind, implicit=True, zone=scope.binder.zone).sql for f in (a, b))
        value = {"RIGHT": y, "FULL": f"COALESCE({x}, {y})"}.get(side, x)
        type_ = kind.as_nullable(side == "FULL" or kind.nullable)
        column = a.column if value == quote(a.column) else f"{a.column}$using"
        columns.append((replace(a, column=column, type=type_, qualifier="", time=""), value))
        hidden |= {a.column, b.column}
    for relation, padded in ((left, written in ("RIGHT", "FULL")), (right, written in ("LEFT", "FULL"))):
        for one in relation.fields:
            type_ = one.type.as_nullable() if padded else one.type
            merged = one.merged or one.column in hidden
            columns.append((replace(one, type=type_, time="", merged=merged), quote(one.column)))
    return columns, predicates


def _one(relation: Relation, name: str, at: exp.Expr) -> Field:
    found = [f for f in relation.fields if f.name == name and not f.merged]
    if len(found) != 1:
        raise BindError(
            f'column "{name}" of USING is {"ambiguous" if found else "missing"} on one side',
            span_of(at),
        )
    return found[0]

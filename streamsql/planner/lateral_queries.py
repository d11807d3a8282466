"""`t, LATERAL (SELECT … FROM s WHERE s.k = t.k)`: a subquery in FROM that reads the row that it is joined to.

What it reads becomes a condition of the join, or columns by which its rows are found: see `planner.correlation`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamsql.core.schema import quote
from streamsql.core.typed import Typed
from streamsql.core.types import BOOLEAN
from streamsql.errors import BindError, PlanError
from streamsql.operators.join import JoinKind
from streamsql.planner.joins import JoinClause, planned, renamed
from streamsql.planner.predicates import Predicate, conjuncts, predicate
from streamsql.planner.scope import Field, Relation, Scope
from streamsql.planner.selects import SelectScope, boolean
from streamsql.sql import exp, span_of

if TYPE_CHECKING:
    from streamsql.planner.correlation import Inner
    from streamsql.planner.sources import Sources


def lateral_query(sources: Sources, tree: exp.Join, left: Relation, outer: Scope | None) -> Relation:
    """`left [CROSS | INNER | LEFT] JOIN LATERAL (SELECT …) AS a [ON …]`, or a comma."""
    from streamsql.planner.correlation import around_scope, planned_inner
    from streamsql.planner.query import projected

    method, side = (str(tree.args.get(k) or "").upper() for k in ("method", "side"))
    if method or side in ("RIGHT", "FULL") or tree.args.get("using") or tree.args.get("within"):
        raise PlanError("LATERAL is joined by a comma, CROSS JOIN, JOIN … ON or LEFT JOIN … ON", span_of(tree),
                        hint="FROM t LEFT JOIN LATERAL (SELECT …) AS a ON TRUE")
    scope = SelectScope(left.fields, sources.planner, outer)
    scope.relation = left
    inner = planned_inner(tree.this.this, scope)
    met = ("$met", Typed("true", BOOLEAN.not_null()))
    given = [(f.column, f.typed()) for f in inner.relation.fields]
    right = renamed(left, projected(inner.relation, [*given, met], None))
    named = sources.named(Relation(right.node, right.fields[:inner.width]), tree.this)
    taken = {f.qualifier for f in left.fields if f.qualifier} & {f.qualifier for f in named.fields}
    if taken:
        raise BindError(f'"{min(taken)}" is in FROM twice', span_of(tree.this), hint="Give one of them an alias.")
    around = around_scope(right, inner, scope)
    lifted = [predicate(p, around.binder, left, right) for p in inner.lifted]
    if inner.single:
        return _one_each(sources, tree, scope, inner, left, right, named, lifted, outer)
    right = replace(right, fields=(*named.fields, *right.fields[inner.width:]))
    on = _on(sources, tree, left, named, right, outer)
    columns = [(replace(f, type=f.type.as_nullable(f.type.nullable or (side == "LEFT" and f in named.fields)), time=""),
                quote(f.column)) for f in (*left.fields, *named.fields)]
    kind: JoinKind = "LEFT" if side == "LEFT" else "INNER"
    return planned(JoinClause(kind, left, right, (*lifted, *on), tuple(columns), tree, sources, outer=outer))


def _on(sources: Sources, tree: exp.Join, left: Relation, named: Relation, right: Relation,
        outer: Scope | None) -> list[Predicate]:
    on = tree.args.get("on")
    if on is None:
        return []
    scope = SelectScope((*left.fields, *named.fields), sources.planner, outer)
    boolean(scope.binder.bind(on), on, "ON")
    return [predicate(part, scope.binder, left, right) for part in conjuncts(on)]


def _one_each(sources: Sources, tree: exp.Join, scope: SelectScope, inner: Inner, left: Relation, right: Relation,
              named: Relation, lifted: list[Predicate], outer: Scope | None) -> Relation:
    """An aggregate without GROUP BY: each row of the left has one row, COUNT is 0 where nothing is counted."""
    from streamsql.planner.query import filtered
    from streamsql.planner.subqueries import or_nothing

    on = tree.args.get("on")
    if isinstance(on, exp.Boolean) and on.this:
        on = None
    if on is not None and str(tree.args.get("side") or "").upper() == "LEFT":
        raise PlanError("LEFT JOIN of a LATERAL aggregate takes ON TRUE only", span_of(on),
                        hint="It has one row for each row of the left; compare in SELECT, or in WHERE.")
    columns: list[tuple[Field, str]] = [(replace(f, time=""), quote(f.column)) for f in left.fields]
    for index, field in enumerate(named.fields):
        value = or_nothing(inner, scope, index, field, right.fields[-1])
        counted = index < len(inner.empty) and inner.empty[index] is not None
        kind = field.type.as_nullable(field.type.nullable or not counted)
        columns.append((replace(field, type=kind, time=""), value))
    joined = planned(JoinClause("LEFT", left, right, tuple(lifted), tuple(columns), tree, sources, outer=outer))
    if on is None:
        return joined
    above = SelectScope(joined.fields, sources.planner, outer)
    return filtered(joined, boolean(above.binder.bind(on), on, "ON"))

"""Marks: what IN and EXISTS ask of a subquery, as one value for each key by which rows around it find it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from streamsql.planner.correlation import Inner
from streamsql.planner.selects import SelectScope
from streamsql.sql import exp

What = Literal["match", "nulls", "MIN", "MAX"]


def summary(inner: Inner, scope: SelectScope, what: What, *, by_value: bool = False) -> Inner:
    """A subquery with one row for each key: for what was lifted, and with `by_value` for its own columns too.

    match  whether there are rows; FALSE where there are none
    nulls  whether the one column of a row is NULL; NULL where there are no rows
    MIN    the least value of the one column, MAX the greatest

    The number of rows is not told, so that it may change without a change above.
    """
    own = [_name(f"$y{i}") for i in range(inner.width)]
    names = [*own, *(_name(f.name) for f in inner.relation.fields[inner.width:])]
    keys = names if by_value else names[inner.width:]
    rows = _count(exp.Star())
    some: exp.Expr = exp.GT(this=rows, expression=exp.Literal.number(0))
    if what == "nulls":
        known = exp.LT(this=_count(exp.column(own[0].copy())), expression=rows.copy())
        some = exp.Case(ifs=[exp.If(this=some, true=known)])
    if what in ("MIN", "MAX"):
        some = exp.Anonymous(this=what, expressions=[exp.column(own[0].copy())])
    alias = exp.TableAlias(this=_name("$q"), columns=[n.copy() for n in names])
    query = exp.Select(
        expressions=[exp.alias_(some, "$mark", quoted=True), *(exp.column(k.copy()) for k in keys)],
        from_=exp.From(this=exp.Subquery(this=inner.query.copy(), alias=alias)),
    )
    if keys:
        query.set("group", exp.Group(expressions=[exp.column(k.copy()) for k in keys]))
    relation = scope.planner.plan(query, None)
    width = 1 + (inner.width if by_value else 0)
    return Inner(query, relation, width, inner.lifted, (exp.false(),) if what == "match" else ())


def bounds(sign: str, *, every: bool) -> tuple[What, ...]:
    """The values of a subquery with which all comparisons by `sign` are decided, for ANY or with `every` for ALL."""
    if sign in ("=", "<>"):
        return ("MIN", "MAX")
    return ("MAX",) if (sign in ("<", "<=")) != every else ("MIN",)


def decided(compared: Sequence[str], value: str, nulls: str, *, every: bool) -> str:
    """ANY or ALL from comparisons with the `bounds`: NULL where a row, or `value`, is not known."""
    if every:
        known = " AND ".join(f"({c})" for c in compared)
        return (f"(CASE WHEN {nulls} IS NULL THEN TRUE WHEN NOT ({known}) THEN FALSE "
                f"WHEN {nulls} OR {value} IS NULL THEN NULL ELSE TRUE END)")
    known = " OR ".join(f"({c})" for c in compared)
    return (f"(CASE WHEN {nulls} IS NULL THEN FALSE WHEN {known} THEN TRUE "
            f"WHEN {nulls} OR {value} IS NULL THEN NULL ELSE FALSE END)")


def _name(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def _count(argument: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="COUNT", expressions=[argument])

"""Any correlation: the values that a subquery reads of the rows around it become a table that it is joined to.

`(SELECT COUNT(*) FROM s WHERE s.w < t.v)` is `SELECT COUNT(*), $a0 AS $c0 FROM $around CROSS JOIN s WHERE s.w < $a0
GROUP BY $a0`, with the distinct `v` of `t` in `$around`: one answer for each of them, which the rows of `t` find by
`$c0 IS NOT DISTINCT FROM v`. So a subquery that reads rows around it in any clause, and within subqueries of its own,
is one that compares keys. (Seshadri et al., "Complex Query Decorrelation", 1996; Neumann and Kemper, "Unnesting
Arbitrary Queries", 2015.) What plain equalities say needs no such table: see `planner.correlation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from streamsql.planner.predicates import all_of
from streamsql.planner.scope import Relation
from streamsql.planner.selects import SelectScope, aggregate_name
from streamsql.sql import exp

_PLACE = "place"
"""In `meta` of a column: a number that it keeps in copies of its query."""
_places = count()


def placed_columns(query: exp.Expr) -> None:
    """Number the columns of `query`, so that `unnested` finds those that are of the rows around it."""
    for column in query.find_all(exp.Column):
        column.meta.setdefault(_PLACE, next(_places))


def unnested(query: exp.Expr, used: Sequence[exp.Expr], names: Sequence[str], scope: SelectScope) \
        -> tuple[exp.Expr, tuple[exp.Expr, ...]] | None:
    """`query` with the columns `$c…` after its own, `names`; and what they have to equal. None where it cannot be.

    used  the columns of it, or copies of them, that are of the rows around it
    """
    if scope.relation is None or not used:
        return None
    query = _tested(query, names)
    columns = list(dict.fromkeys(c.copy() for c in used))
    table = _around(columns, scope)
    bare = _replaced(query, {u.meta[_PLACE]: columns.index(u) for u in used if _PLACE in u.meta}, table)
    made = _widened(bare, table, len(columns))
    if made is None:
        return None
    made = _ranked(made, names, len(columns)) if query.args.get("limit") or query.args.get("offset") else made
    if made is None:
        return None
    lifted = tuple(exp.NullSafeEQ(this=_column(_key(i)), expression=c) for i, c in enumerate(columns))
    return made, lifted


def _tested(query: exp.Expr, names: Sequence[str]) -> exp.Expr:
    """HAVING without GROUP BY as a test of the one row that the aggregates are."""
    having = query.args.get("having")
    if not isinstance(query, exp.Select) or having is None or query.args.get("group") is not None:
        return query
    inner = query.copy()
    inner.set("having", None)
    own = [f"$y{i}" for i in range(len(names))]
    values = [*(i.unalias().copy() for i in query.expressions), having.this.copy()]
    inner.set("expressions", [exp.alias_(v, n, quoted=True) for v, n in zip(values, [*own, "$h"], strict=True)])
    for key in ("order", "limit", "offset"):
        inner.set(key, None)
    return exp.Select(expressions=[exp.alias_(_column(y), n, quoted=True) for y, n in zip(own, names, strict=True)],
                      from_=exp.From(this=exp.Subquery(this=inner, alias=exp.TableAlias(this=_name("$q")))),
                      where=exp.Where(this=_column("$h")))


def _around(columns: Sequence[exp.Expr], scope: SelectScope) -> str:
    """The name by which the planner knows the distinct values of `columns`."""
    from streamsql.planner.query import projected

    assert scope.relation is not None
    items = [(_around_key(i), replace(scope.binder.bind(c), time="")) for i, c in enumerate(columns)]
    distinct = scope.planner.distinct(projected(scope.relation, items, None))
    known = scope.planner.sources.around
    name = next((n for n, r in known.items() if r.node == distinct.node), f"$around{len(known)}")
    fields = tuple(f for f in distinct.aliased(name).fields)
    known[name] = Relation(distinct.node, fields)
    return name


def _replaced(query: exp.Expr, used: Mapping[int, int], table: str) -> exp.Expr:
    """A copy of `query` that reads columns of `table` where it read those around it."""
    copy = query.copy()
    for column in list(copy.find_all(exp.Column)):
        at = used.get(column.meta.get(_PLACE, -1))
        if at is not None:
            column.replace(_column(_around_key(at), table))
    return copy


def _widened(query: exp.Expr, table: str, width: int) -> exp.Expr | None:
    """`query` over `table` too, with the columns of that after its own, each of its rows for each of their values."""
    if isinstance(query, exp.Subquery):
        inner = _widened(query.this, table, width)
        return None if inner is None else exp.Subquery(this=inner)
    if isinstance(query, exp.SetOperation):
        sides = [_widened(side, table, width) for side in (query.this, query.expression)]
        if None in sides:
            return None
        return type(query)(this=sides[0], expression=sides[1], distinct=query.args.get("distinct"),
                           **{k: query.args.get(k) for k in ("order", "limit", "offset", "with_")})
    return _joined(query, table, width) if isinstance(query, exp.Select) else None


def _joined(query: exp.Select, table: str, width: int) -> exp.Select | None:
    keys = [_column(_around_key(i), table) for i in range(width)]
    item, source = exp.Table(this=_name(table)), query.args.get("from_")
    joins = [*((source.this.args.get("joins") or ()) if source is not None else ()), *(query.args.get("joins") or ())]
    below = _reads_below(query, table)
    if source is None:
        query.set("from_", exp.From(this=item))
    elif any(str(j.args.get("side") or "").upper() in ("RIGHT", "FULL") for j in joins):
        if below:
            return None
        query.set("joins", [*joins, exp.Join(this=item, kind="CROSS")])
    else:
        query.set("from_", exp.From(this=item))
        query.set("joins", [exp.Join(this=source.this, kind="CROSS"), *joins])
        if below:
            _made_lateral(query.args["joins"], table)
    for window in _own(query, exp.Window):
        window.set("partition_by", [*(window.args.get("partition_by") or ()), *(k.copy() for k in keys)])
    group = query.args.get("group")
    if group is not None or any(aggregate_name(n) for i in query.expressions for n in _shallow(i)):
        group = group if group is not None else exp.Group(expressions=[])
        group.set("expressions", [*group.expressions, *(k.copy() for k in keys)])
        query.set("group", group)
    query.set("expressions", [*query.expressions, *(exp.alias_(k.copy(), _key(i), quoted=True)
                                                    for i, k in enumerate(keys))])
    return query


def _reads_below(query: exp.Select, table: str) -> bool:
    """A subquery in FROM reads `table`."""
    places = [query.args.get("from_"), *(query.args.get("joins") or ())]
    found = [c for place in places if place is not None for c in place.find_all(exp.Column) if c.table == table]
    return any(c.find_ancestor(exp.Query) is not query for c in found)


def _made_lateral(joins: Sequence[exp.Join], table: str) -> None:
    """The subqueries in FROM that read `table`, which stands before them, do so as LATERAL."""
    for join in joins:
        item = join.this
        if isinstance(item, exp.Subquery) and any(c.table == table for c in item.find_all(exp.Column)):
            join.set("this", exp.Lateral(this=exp.Subquery(this=item.this), alias=item.args.get("alias")))


def _ranked(query: exp.Expr, names: Sequence[str], width: int) -> exp.Expr | None:
    """ORDER BY … LIMIT for each of the values: the rows whose number is low enough."""
    order, limit, offset = (query.args.get(k) for k in ("order", "limit", "offset"))
    if order is None:
        return None
    own = [f"$y{i}" for i in range(len(names))]
    by = [_ordered_by(o.this, query, names) for o in order.expressions]
    for key in ("order", "limit", "offset"):
        query.set(key, None)
    sorted_ = [f"$o{i}" for i in range(len(by))]
    if isinstance(query, exp.Select):
        values = [b if isinstance(b, exp.Expr) else query.expressions[b].unalias().copy() for b in by]
        query.set("expressions", [*query.expressions, *(exp.alias_(v, s, quoted=True)
                                                        for v, s in zip(values, sorted_, strict=True))])
    elif all(isinstance(b, int) for b in by):
        sorted_ = [own[b] for b in by if isinstance(b, int)]
    else:
        return None
    listed = [*own, *map(_key, range(width)), *(sorted_ if isinstance(query, exp.Select) else ())]
    alias = exp.TableAlias(this=_name("$q"), columns=[_name(n) for n in listed])
    ordered = [exp.Ordered(**{**o.args, "this": _column(s)}) for o, s in zip(order.expressions, sorted_, strict=True)]
    number = exp.Window(this=exp.Anonymous(this="ROW_NUMBER"), order=exp.Order(expressions=ordered),
                        partition_by=[_column(_key(i)) for i in range(width)])
    kept = [*own, *map(_key, range(width))]
    numbered = exp.Select(expressions=[*map(_column, kept), exp.alias_(number, "$rn", quoted=True)],
                          from_=exp.From(this=exp.Subquery(this=query, alias=alias)))
    return _cut(numbered, kept, names, limit, offset)


def _cut(numbered: exp.Select, kept: Sequence[str], names: Sequence[str], limit: exp.Expr | None,
         offset: exp.Expr | None) -> exp.Expr:
    first = offset.expression if offset is not None else None
    tests: list[exp.Expr] = []
    if first is not None:
        tests.append(exp.GT(this=_column("$rn"), expression=first.copy()))
    if limit is not None:
        count = limit.expression if limit.args.get("expression") is not None else limit.args["count"]
        last = count.copy() if first is None else exp.Add(this=count.copy(), expression=first.copy())
        tests.append(exp.LTE(this=_column("$rn"), expression=last))
    items = [exp.alias_(_column(k), names[i], quoted=True) if i < len(names) else _column(k)
             for i, k in enumerate(kept)]
    return exp.Select(expressions=items, from_=exp.From(this=exp.Subquery(this=numbered)),
                      where=exp.Where(this=all_of(tests)))


def _ordered_by(tree: exp.Expr, query: exp.Expr, names: Sequence[str]) -> exp.Expr | int:
    """What is ordered by: the place of an item of SELECT, or an expression."""
    if isinstance(tree, exp.Column) and not tree.table and tree.name in names and not (
            isinstance(query, exp.Select) and any(i.is_star for i in query.expressions)):
        return list(names).index(tree.name)
    if isinstance(tree, exp.Literal) and tree.is_int and 1 <= int(tree.name) <= len(names):
        return int(tree.name) - 1
    return tree.copy()


def _own(query: exp.Select, kind: type[exp.Window]) -> list[exp.Window]:
    return [n for i in query.expressions for n in _shallow(i) if isinstance(n, kind)]


def _shallow(tree: exp.Expr) -> list[exp.Expr]:
    """What is in `tree`, but not in its subqueries."""
    return list(tree.walk(prune=lambda n: isinstance(n, exp.Query)))


def _around_key(index: int) -> str:
    return f"$a{index}"


def _key(index: int) -> str:
    return f"$c{index}"


def _name(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def _column(name: str, table: str | None = None) -> exp.Column:
    return exp.Column(this=_name(name), table=_name(table) if table else None)

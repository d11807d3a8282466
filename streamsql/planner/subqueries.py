"""Subqueries in expressions: over constants they are text; over streams they become joins.

A conjunct of WHERE or HAVING that is IN, EXISTS, ANY or ALL, or the negation of one, is a semi or anti
join. A subquery that is a value is joined to the rows around it, under a name that only generated SQL
knows. What such a query reads of the rows around it, in its WHERE, becomes the condition of that join.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamsql.core.schema import quote
from streamsql.core.typed import Typed
from streamsql.core.types import BOOLEAN, DataType
from streamsql.errors import PlanError, SQLError, SQLTypeError
from streamsql.operators.join import Join
from streamsql.operators.single_value import SingleValue
from streamsql.planner.correlation import Attached, Inner, around_scope, planned_inner
from streamsql.planner.joins import JoinClause, SemiKind, planned, regular, renamed
from streamsql.planner.marks import bounds, decided, summary
from streamsql.planner.predicates import (
    Predicate,
    all_of,
    compared,
    conjuncts,
    predicate,
    reads,
    steady,
    unwrapped,
)
from streamsql.planner.ranks import bounded
from streamsql.planner.relational import compose, constant
from streamsql.planner.scope import Field, Relation, Window
from streamsql.planner.selects import SelectScope, boolean
from streamsql.sql import exp, span_of
from streamsql.values import comparison
from streamsql.values.binder import common_type

if TYPE_CHECKING:
    from streamsql.core.node import Node

_SIGNS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}


@dataclass(frozen=True, slots=True)
class Test:
    """A comparison with the rows of a subquery.

    value    what is compared; None for EXISTS
    sign     how: `=` for IN
    every    ALL rows must compare so; else one is enough
    negated  NOT before it
    """

    tree: exp.Expr
    query: exp.Expr
    value: exp.Expr | None = None
    sign: str = "="
    every: bool = False
    negated: bool = False


# ------------------------------------------------------------------------------------------- in expressions

def value(tree: exp.Expr, scope: SelectScope) -> Typed | None:
    """The value of a subquery, or of a comparison with one; None if `tree` is neither."""
    if isinstance(tree, exp.Subquery):
        return _scalar(tree, scope)
    test = test_of(tree)
    if test is None or test.negated:
        return None
    inner = planned_inner(test.query, scope)
    if inner.single:
        return Typed("TRUE", BOOLEAN.not_null()) if test.value is None else scope.binder.bind(_with_one(test))
    if inner.lifted or not constant(inner.relation.node):
        return _marked(test, scope)
    sql = compose(inner.relation.node)
    if test.value is None:
        return Typed(f"EXISTS ({sql})", BOOLEAN.not_null())
    a, b = _comparable(tree, scope.binder.bind(test.value), inner, scope)
    how = f"{test.sign} {'ALL' if test.every else 'ANY'}" if isinstance(tree, exp.Binary) else "IN"
    return Typed(f"({a.sql} {how} (SELECT {b.sql} FROM ({sql})))",
                 BOOLEAN.as_nullable(a.type.nullable or b.type.nullable))


def _scalar(tree: exp.Subquery, scope: SelectScope) -> Typed:
    inner = planned_inner(tree, scope, whole=True)
    if inner.width != 1:
        raise SQLTypeError(
            f"a subquery used as a value has {inner.width} columns",
            span_of(tree),
            hint="Select exactly one column.",
        )
    kind = inner.relation.fields[0].type.as_nullable()
    if constant(inner.relation.node) and not inner.lifted:
        return Typed(f"({compose(inner.relation.node)})", kind)
    if not scope.attaches:
        raise PlanError(
            "a subquery over a stream may not stand here",
            span_of(tree),
            hint="It may stand in SELECT, WHERE and HAVING; or join it in FROM.",
        )
    return Typed(_column(scope, inner, tree), kind)


def _column(scope: SelectScope, inner: Inner, tree: exp.Expr, values: tuple[Typed, ...] = (), part: str = "") -> str:
    """The column that has the value of `inner` once it is joined."""
    known = next((a for a in scope.attached if (a.tree, a.values, a.part) == (tree, values, part)), None)
    if known is None:
        known = Attached(f"$sub{len(scope.attached)}", inner, tree, values, part)
        scope.attached.append(known)
    return quote(known.name)


def _marked(test: Test, scope: SelectScope) -> Typed:
    """Whether a row matches the subquery, as a column: NULL where IN cannot know."""
    if not scope.attaches:
        raise PlanError("IN, EXISTS, ANY and ALL over a stream may not stand here", span_of(test.tree),
                        hint="Join the subquery with LEFT JOIN, and test whether it matched.")
    inner = planned_inner(test.query, scope, whole=True)
    if test.value is None:
        return Typed(_column(scope, summary(inner, scope, "match"), test.tree, (), "match"), BOOLEAN.not_null())
    if inner.width > 1:
        return _marked_rows(test, inner, scope)
    a = scope.binder.bind(test.value)
    b = _comparable(test.tree, a, inner, scope)[1]
    if (test.sign, test.every) not in (("=", False), ("<>", True)):
        return _ordered(test, a, inner, scope)
    match = _column(scope, summary(inner, scope, "match", by_value=True), test.tree, (a,), "match")
    if not a.type.nullable and not b.type.nullable:
        result = Typed(match, BOOLEAN.not_null())
    else:
        nulls = _column(scope, summary(inner, scope, "nulls"), test.tree, (), "nulls")
        unknown = f"WHEN {nulls} IS NULL THEN FALSE WHEN {nulls} OR {a.sql} IS NULL THEN NULL"
        result = Typed(f"(CASE WHEN {match} THEN TRUE {unknown} ELSE FALSE END)", BOOLEAN)
    return replace(result, sql=f"(NOT {result.sql})") if test.every else result


def _ordered(test: Test, a: Typed, inner: Inner, scope: SelectScope) -> Typed:
    """ANY or ALL by the least and the greatest value of the subquery."""
    texts = []
    for what in bounds(test.sign, every=test.every):
        made = summary(inner, scope, what)
        bound = Typed(_column(scope, made, test.tree, (), what), made.relation.fields[0].type.as_nullable())
        texts.append(comparison.compare(test.sign, a, bound, span_of(test.tree), scope.binder.zone).sql)
    nulls = _column(scope, summary(inner, scope, "nulls"), test.tree, (), "nulls")
    return Typed(decided(texts, a.sql, nulls, every=test.every), BOOLEAN)


def _marked_rows(test: Test, inner: Inner, scope: SelectScope) -> Typed:
    """`(a, b) IN (SELECT x, y …)` as a column."""
    parts = _row_of(test, inner)
    if not parts:
        raise SQLTypeError(f"the subquery has {inner.width} columns, one is compared", span_of(test.tree))
    values = tuple(scope.binder.bind(p) for p in parts)
    for value, found in zip(values, inner.relation.fields, strict=False):
        _common(test.tree, value, found.typed())
    match = _column(scope, summary(inner, scope, "match", by_value=True), test.tree, values, "match")
    result = Typed(match, BOOLEAN.not_null())
    if any(t.type.nullable for t in (*values, *(f.typed() for f in inner.relation.fields[:inner.width]))):
        maybe = _column(scope, _possible(test, inner, parts, scope), test.tree, (), "maybe")
        result = Typed(f"(CASE WHEN {match} THEN TRUE WHEN {maybe} THEN NULL ELSE FALSE END)", BOOLEAN)
    return replace(result, sql=f"(NOT {result.sql})") if test.every else result


def _possible(test: Test, inner: Inner, parts: Sequence[exp.Expr], scope: SelectScope) -> Inner:
    """Whether there is a row of which no column is known to differ: what is NULL may be equal."""
    names = [exp.to_identifier(f"$y{i}", quoted=True) for i in range(inner.width)]
    alias = exp.TableAlias(this=exp.to_identifier("$q", quoted=True), columns=names)
    query = test.query.this if isinstance(test.query, exp.Subquery) else test.query
    tests = [exp.Not(this=exp.Is(this=exp.Paren(this=exp.EQ(this=exp.column(n.copy()), expression=p.copy())),
                                 expression=exp.false())) for n, p in zip(names, parts, strict=True)]
    some = exp.Select(expressions=[exp.Literal.number(1)], where=exp.Where(this=all_of(tests)),
                      from_=exp.From(this=exp.Subquery(this=query.copy(), alias=alias)))
    return summary(planned_inner(some, scope, whole=True), scope, "match")


def _with_one(test: Test) -> exp.Expr:
    """The comparison with the one row that the subquery has."""
    kind = next(k for k, sign in _SIGNS.items() if sign == test.sign)
    query = test.query if isinstance(test.query, exp.Subquery) else exp.Subquery(this=test.query)
    assert test.value is not None
    return kind(this=test.value.copy(), expression=query.copy())


def _comparable(tree: exp.Expr, a: Typed, inner: Inner, scope: SelectScope) -> tuple[Typed, Typed]:
    """The two in their common type. Raises SQLTypeError where IN does not compare them."""
    if inner.width != 1:
        raise SQLTypeError(f"the subquery has {inner.width} columns, one is compared", span_of(tree))
    b = inner.relation.fields[0].typed()
    kind = _common(tree, a, b)
    return scope.binder.cast(a, kind, implicit=True), scope.binder.cast(b, kind, implicit=True)


def _common(tree: exp.Expr, a: Typed, b: Typed) -> DataType:
    kind = common_type([a.type, b.type])
    if kind is None or a.type.is_character != b.type.is_character:
        raise SQLTypeError(f"{a.type} cannot be compared with {b.type}", span_of(tree), hint="CAST one side.")
    return kind


def test_of(tree: exp.Expr) -> Test | None:
    """The comparison with a subquery that `tree` is."""
    bare = unwrapped(tree)
    if isinstance(bare, exp.Not):
        found = test_of(bare.this)
        return replace(found, tree=tree, negated=not found.negated) if found is not None else None
    if isinstance(bare, exp.Exists):
        return Test(tree, _any_row(bare.this))
    if isinstance(bare, exp.In) and bare.args.get("query") is not None:
        return Test(tree, bare.args["query"], bare.this)
    if isinstance(bare, exp.Binary) and isinstance(bare.expression, exp.Any | exp.All) and type(bare) in _SIGNS:
        every = isinstance(bare.expression, exp.All)
        return Test(tree, bare.expression.this, bare.this, _SIGNS[type(bare)], every)
    return None


def _any_row(query: exp.Expr) -> exp.Expr:
    """`query` without a LIMIT that leaves a row, which is all that EXISTS asks for."""
    limit = query.args.get("limit")
    count = limit.expression if limit is not None else None
    if query.args.get("offset") or not (isinstance(count, exp.Literal) and count.is_int and int(count.name)):
        return query
    bare = query.copy()
    bare.set("limit", None)
    bare.set("order", None)
    return bare


# ----------------------------------------------------------------------------------- conditions of a clause

def restricted(source: Relation, scope: SelectScope, tree: exp.Expr, clause: str,
               parts: Sequence[exp.Expr]) -> Relation:
    """The rows of `source` for which `tree`, of WHERE or HAVING, is TRUE; `parts` of it are left to be tested."""
    from streamsql.planner.query import filtered

    if tree.find(exp.Query) is None:
        boolean(scope.binder.bind(tree), tree, clause)  # so that an error is of the whole condition
        if list(conjuncts(tree)) == list(parts):
            return plain(source, scope, tree, clause)
    simple = [p for p in parts if p.find(exp.Query) is None]
    if simple:
        source = plain(source, scope, all_of(simple), clause)
    scope.relation = source
    for part in parts:
        if part.find(exp.Query) is None:
            continue
        test = test_of(part)
        found = _matched(source, scope, test) if test is not None else None
        if found is not None:
            source = found
        else:
            condition = boolean(scope.binder.bind(part), part, clause)
            joined = attach(source, scope)
            node = joined.node
            steady(condition, part, node)
            if joined is not source and isinstance(node, Join):
                source = replace(joined, node=replace(node, where=condition.sql))
            else:
                source = filtered(joined, condition)
    return source


def plain(source: Relation, scope: SelectScope, tree: exp.Expr, clause: str) -> Relation:
    """The rows for which `tree`, without subqueries, is TRUE; a bound of a rank is the rank's own."""
    from streamsql.planner.query import filtered

    source, left = bounded(source, tree, scope)
    if left is None:
        return source
    return filtered(source, steady(boolean(scope.binder.bind(left), left, clause), left, source.node))


def _matched(source: Relation, scope: SelectScope, test: Test) -> Relation | None:
    """A semi or anti join; None for a subquery over constants, which stays in the text, and for one of one row."""
    inner = planned_inner(test.query, scope)
    if inner.single or (constant(inner.relation.node) and not inner.lifted):
        return None
    parts = _row_of(test, inner)
    a = None
    if test.value is not None and not parts:
        a = scope.binder.bind(test.value)
        source = attach(source, scope)  # what is compared may be a subquery itself
        _comparable(test.tree, a, inner, scope)
    right = renamed(source, inner.relation)
    around = around_scope(right, inner, scope)
    lifted = tuple(predicate(p, around.binder, source, right) for p in inner.lifted)
    if parts:
        return _rows(test, attach(source, scope), right, lifted, scope, parts)
    if a is None:
        return _semi("ANTI" if test.negated else "SEMI", test, source, right, lifted, scope)
    b = right.fields[0].typed()
    if (test.sign, test.every) in (("=", False), ("<>", True)):
        if test.negated != test.every:
            return _absent(test, source, right, lifted, scope, a, b)
        equal = compared(a, b, test.tree, source, right, scope.binder)
        return _semi("SEMI", test, source, right, (equal, *lifted), scope)
    kind: SemiKind = "ANTI" if test.every != test.negated else "SEMI"
    holds = {(False, False): "TRUE", (False, True): "NOT FALSE", (True, False): "NOT TRUE", (True, True): "FALSE"}
    text = comparison.compare(test.sign, a, b, span_of(test.tree), scope.binder.zone)
    text = replace(text, sql=f"(({text.sql}) IS {holds[test.every, test.negated]})", type=BOOLEAN.not_null())
    own = Predicate(test.tree, text, reads(text, source, right))
    return _semi(kind, test, source, right, (own, *lifted), scope)


def _row_of(test: Test, inner: Inner) -> list[exp.Expr]:
    """What `(a, b) IN (SELECT x, y …)` compares; [] where one column is compared."""
    value = unwrapped(test.value) if test.value is not None else None
    if inner.width == 1 or not isinstance(value, exp.Anonymous) or value.name.upper() != "ROW":
        return []
    if len(value.expressions) != inner.width:
        raise SQLTypeError(f"the subquery has {inner.width} columns, {len(value.expressions)} are compared",
                           span_of(test.tree))
    if (test.sign, test.every) not in (("=", False), ("<>", True)):
        raise PlanError(f"rows are not compared by {test.sign} with those of a subquery", span_of(test.tree),
                        hint="Compare them by IN or NOT IN, or column by column.")
    return list(value.expressions)


def _rows(test: Test, source: Relation, right: Relation, lifted: tuple[Predicate, ...], scope: SelectScope,
          parts: Sequence[exp.Expr]) -> Relation:
    """`(a, b) [NOT] IN (SELECT x, y …)`: NOT IN holds if of each row some column is known to differ."""
    none = test.negated != test.every
    predicates = []
    for part, field in zip(parts, right.fields, strict=False):
        a, b = scope.binder.bind(part), field.typed()
        _common(test.tree, a, b)
        one = compared(a, b, test.tree, source, right, scope.binder)
        if none and one.value.type.nullable:
            maybe = replace(one.value, sql=f"({one.value.sql} IS NOT FALSE)", type=BOOLEAN.not_null())
            one = replace(one, value=maybe, equal=None)
        predicates.append(one)
    return _semi("ANTI" if none else "SEMI", test, source, right, (*predicates, *lifted), scope)


def _semi(kind: SemiKind, test: Test, source: Relation, right: Relation, predicates: Sequence[Predicate],
          scope: SelectScope) -> Relation:
    columns = tuple((replace(f, time=""), quote(f.column)) for f in source.fields)
    return planned(JoinClause(kind, source, right, tuple(predicates), columns, test.tree, scope.planner.sources))


def _absent(test: Test, source: Relation, right: Relation, lifted: tuple[Predicate, ...], scope: SelectScope,
            a: Typed, b: Typed) -> Relation:
    """`a NOT IN (SELECT b …)`: no row of the subquery equals `a`, nor is NULL; and if it has rows, `a` is not NULL.

    Each of the three is an anti join by keys, so that one NULL is not compared with every row.
    """
    from streamsql.planner.query import filtered

    equal = compared(a, b, test.tree, source, right, scope.binder)
    out = _semi("ANTI", test, source, right, (equal, *lifted), scope)
    if b.type.nullable:
        unknown = filtered(right, Typed(f"({b.sql} IS NULL)", BOOLEAN.not_null()))
        out = _semi("ANTI", test, out, unknown, lifted, scope)
    if a.type.nullable:
        own = Predicate(test.tree, Typed(f"({a.sql} IS NULL)", BOOLEAN.not_null()), frozenset(("left",)))
        # true of every row, but it reads the column that the others read: so all three are over one scan
        any_row = Predicate(test.tree, Typed(f"({b.sql} IS NULL OR TRUE)", BOOLEAN.not_null()), frozenset(("right",)))
        out = _semi("ANTI", test, out, right, (own, any_row, *lifted), scope)
    return out


# ------------------------------------------------------------------------------------------ values as columns

def attach(source: Relation, scope: SelectScope) -> Relation:
    """`source` with the columns of the subqueries that `scope` has met and that it does not have yet."""
    for one in scope.attached:
        if one.name not in source.node.schema:
            source = _attached(source, scope, one)
    return source


def attached(source: Relation, scope: SelectScope, items: list[tuple[str, Typed]],
             window: Window | None) -> tuple[Relation, list[tuple[str, Typed]], Window | None]:
    """`attach` for SELECT: above the join times are ordinary columns."""
    joined = attach(source, scope)
    if joined is source:
        return source, items, window
    return joined, [(name, replace(item, time="")) for name, item in items], None


def _attached(source: Relation, scope: SelectScope, one: Attached) -> Relation:
    from streamsql.planner.query import projected

    own = [(f.column, f.typed()) for f in one.inner.relation.fields]
    given = projected(one.inner.relation, [*own, ("$met", Typed("true", BOOLEAN.not_null()))], None)
    right = renamed(source, given)
    around = around_scope(right, one.inner, scope)
    lifted = tuple(predicate(p, around.binder, source, right) for p in one.inner.lifted)
    lifted += tuple(compared(a, f.typed(), one.tree, source, right, scope.binder)
                    for a, f in zip(one.values, right.fields[1:], strict=False))
    right = _single(right, lifted, one)
    met, found = right.fields[-1], right.fields[0]
    result = or_nothing(one.inner, scope, 0, found, met)
    kept = [(Field(c.name, c.name, c.type), quote(c.name)) for c in source.node.schema]
    columns = (*kept, (Field(one.name, one.name, found.type.as_nullable()), result))
    joined = regular(JoinClause("LEFT", source, right, lifted, columns, one.tree, scope.planner.sources))
    return Relation(joined.node, tuple(replace(f, time="") for f in source.fields))


def _single(right: Relation, lifted: Sequence[Predicate], one: Attached) -> Relation:
    """`right`, of which one row at most matches: by its keys, or because a second one ends the job."""
    if any(p.equal is None for p in lifted):
        raise PlanError(
            "a subquery used as a value is compared with the rows around it by = only",
            span_of(one.tree),
            hint="Join it in FROM with LEFT JOIN, and aggregate.",
        )
    keys = tuple(dict.fromkeys(p.equal.right.sql for p in lifted if p.equal is not None))
    if any(all(quote(c) in keys for c in key) for key in right.node.unique_keys()):
        return right
    node: Node = right.node
    return replace(right, node=SingleValue((node,), node.schema, node.append_only, node.hidden, keys))


def or_nothing(inner: Inner, scope: SelectScope, index: int, found: Field, met: Field) -> str:
    """The value of a column of the subquery, where `met` is NULL what it gives without rows."""
    empty = inner.empty[index] if index < len(inner.empty) else None
    if empty is None:
        return found.typed().sql
    try:
        bound = SelectScope((), scope.planner).binder.bind(empty)
        nothing = scope.binder.cast(bound, found.type.as_nullable(), implicit=True).sql
    except SQLError:
        nothing = "NULL"
    return f"CASE WHEN {quote(met.column)} THEN {found.typed().sql} ELSE {nothing} END"

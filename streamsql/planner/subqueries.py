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
from streamsql.core.types import BOOLEAN
from streamsql.errors import PlanError, SQLError, SQLTypeError
from streamsql.operators.join import Join
from streamsql.operators.project import Project
from streamsql.operators.single_value import SingleValue
from streamsql.planner.joins import JoinClause, SemiKind, planned, regular, renamed
from streamsql.planner.predicates import (
    Pending,
    Predicate,
    all_of,
    compared,
    conjuncts,
    predicate,
    reads,
    unwrapped,
)
from streamsql.planner.ranks import bounded
from streamsql.planner.relational import compose, constant
from streamsql.planner.scope import Field, Relation, Scope, Window
from streamsql.planner.selects import SelectScope, aggregate_name, boolean
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


@dataclass(frozen=True, slots=True)
class Inner:
    """A planned subquery.

    relation  its own columns, then those of it that `lifted` names
    width     how many are its own
    lifted    the conjuncts of its WHERE that read the rows around it
    empty     what it would give without rows, where rows around it are grouped away: COUNT is 0
    """

    relation: Relation
    width: int
    lifted: tuple[exp.Expr, ...] = ()
    empty: exp.Expr | None = None


@dataclass(frozen=True, slots=True)
class Attached:
    """A subquery whose value is a column of the rows around it, once it is joined to them."""

    name: str
    inner: Inner
    tree: exp.Expr


# ------------------------------------------------------------------------------------------- in expressions

def value(tree: exp.Expr, scope: SelectScope) -> Typed | None:
    """The value of a subquery, or of a comparison with one; None if `tree` is neither."""
    if isinstance(tree, exp.Subquery):
        return _scalar(tree, scope)
    test = test_of(tree)
    if test is None or test.negated:
        return None
    inner = planned_inner(test.query, scope, aliased=True)
    if inner.lifted or not constant(inner.relation.node):
        raise PlanError(
            "IN, EXISTS, ANY and ALL over a stream stand between ANDs of WHERE and HAVING only",
            span_of(tree),
            hint="Join the subquery with LEFT JOIN, and test whether it matched.",
        )
    sql = compose(inner.relation.node)
    if test.value is None:
        return Typed(f"EXISTS ({sql})", BOOLEAN.not_null())
    a, b = _comparable(tree, scope.binder.bind(test.value), inner, scope)
    how = f"{test.sign} {'ALL' if test.every else 'ANY'}" if isinstance(tree, exp.Binary) else "IN"
    return Typed(f"({a.sql} {how} (SELECT {b.sql} FROM ({sql})))",
                 BOOLEAN.as_nullable(a.type.nullable or b.type.nullable))


def _scalar(tree: exp.Subquery, scope: SelectScope) -> Typed:
    inner = planned_inner(tree, scope)
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
    known = next((a for a in scope.attached if a.tree == tree), None)
    if known is None:
        known = Attached(f"$sub{len(scope.attached)}", inner, tree)
        scope.attached.append(known)
    return Typed(quote(known.name), kind)


def _comparable(tree: exp.Expr, a: Typed, inner: Inner, scope: SelectScope) -> tuple[Typed, Typed]:
    """The two in their common type. Raises SQLTypeError where IN does not compare them."""
    if inner.width != 1:
        raise SQLTypeError(f"the subquery has {inner.width} columns, one is compared", span_of(tree))
    b = inner.relation.fields[0].typed()
    kind = common_type([a.type, b.type])
    if kind is None or a.type.is_character != b.type.is_character:
        raise SQLTypeError(f"{a.type} cannot be compared with {b.type}", span_of(tree), hint="CAST one side.")
    return scope.binder.cast(a, kind, implicit=True), scope.binder.cast(b, kind, implicit=True)


def test_of(tree: exp.Expr) -> Test | None:
    """The comparison with a subquery that `tree` is."""
    bare = unwrapped(tree)
    if isinstance(bare, exp.Not):
        found = test_of(bare.this)
        return replace(found, tree=tree, negated=not found.negated) if found is not None else None
    if isinstance(bare, exp.Exists):
        return Test(tree, bare.this)
    if isinstance(bare, exp.In) and bare.args.get("query") is not None:
        return Test(tree, bare.args["query"], bare.this)
    if isinstance(bare, exp.Binary) and isinstance(bare.expression, exp.Any | exp.All) and type(bare) in _SIGNS:
        every = isinstance(bare.expression, exp.All)
        return Test(tree, bare.expression.this, bare.this, _SIGNS[type(bare)], every)
    return None


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
            if joined is not source and isinstance(node, Join):
                source = replace(joined, node=replace(node, where=condition.sql))
            else:
                source = filtered(joined, condition)
    return source


def plain(source: Relation, scope: SelectScope, tree: exp.Expr, clause: str) -> Relation:
    """The rows for which `tree`, without subqueries, is TRUE; a bound of a rank is the rank's own."""
    from streamsql.planner.query import filtered

    source, left = bounded(source, tree, scope)
    return source if left is None else filtered(source, boolean(scope.binder.bind(left), left, clause))


def _matched(source: Relation, scope: SelectScope, test: Test) -> Relation | None:
    """A semi or anti join; None for a subquery over constants, which stays in the text."""
    inner = planned_inner(test.query, scope)
    if constant(inner.relation.node) and not inner.lifted:
        return None
    a = None
    if test.value is not None:
        a = scope.binder.bind(test.value)
        source = attach(source, scope)  # what is compared may be a subquery itself
        _comparable(test.tree, a, inner, scope)
    right = renamed(source, inner.relation)
    around = _around(right, inner, scope)
    lifted = tuple(predicate(p, around.binder, source, right) for p in inner.lifted)
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
    around = _around(right, one.inner, scope)
    lifted = tuple(predicate(p, around.binder, source, right) for p in one.inner.lifted)
    right = _single(right, lifted, one)
    met, found = right.fields[-1], right.fields[0]
    result = found.typed().sql
    if one.inner.empty is not None:
        result = f"CASE WHEN {quote(met.column)} THEN {result} ELSE {_of_nothing(one.inner, scope, found)} END"
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


def _of_nothing(inner: Inner, scope: SelectScope, found: Field) -> str:
    """What the subquery gives without rows."""
    assert inner.empty is not None
    try:
        bound = SelectScope((), scope.planner).binder.bind(inner.empty)
        return scope.binder.cast(bound, found.type.as_nullable(), implicit=True).sql
    except SQLError:
        return "NULL"


# ------------------------------------------------------------------------------------------------ correlation

def planned_inner(tree: exp.Expr, scope: SelectScope, *, aliased: bool = False) -> Inner:
    """The subquery `tree`, and what of it reads the rows of `scope`."""
    query = tree.this if isinstance(tree, exp.Subquery) else tree
    around = Around(scope)
    relation = scope.planner.plan(query, around)
    if around.used is None or _empty(relation.node):
        return Inner(relation, len(relation.fields))
    if not isinstance(query, exp.Select) or query.args.get("limit") or query.args.get("offset"):
        raise _refused(around.used)
    query, lifted, empty = _decorrelated(query, around, scope)
    again = Around(scope)
    relation = scope.planner.plan(query, again)
    if again.used is not None or not lifted:
        raise _refused(again.used or around.used)
    added = sum(f.name.startswith("$c") for f in relation.fields)
    return Inner(relation, len(relation.fields) - added, lifted, empty)


def _refused(column: exp.Expr) -> PlanError:
    return PlanError(
        f'column "{column.name}" is of the query around this subquery, which may use it in its WHERE only',
        span_of(column),
        hint="Join the two instead, or compare with IN.",
    )


def _decorrelated(tree: exp.Select, around: Around, scope: SelectScope) \
        -> tuple[exp.Select, tuple[exp.Expr, ...], exp.Expr | None]:
    """The query without the conjuncts of its WHERE that read the rows around it, but with the columns that
    these read; those conjuncts; and what the query gives where none of its rows match."""
    with scope.planner.sources.common_tables(tree):
        local = Scope(scope.planner.sources.from_clause(tree, around, Pending((), scope.planner)).fields)
    where = tree.args.get("where")
    parts = list(conjuncts(where.this)) if where is not None else []
    lifted = [p for p in parts if p.find(exp.Query) is None and any(not local.has(c) for c in p.find_all(exp.Column))]
    kept = [p for p in parts if p not in lifted]
    query = tree.copy()
    query.set("where", exp.Where(this=all_of(kept)) if kept else None)
    query.set("order", None)
    groups = any(aggregate_name(n) for i in tree.expressions for n in i.walk()) or bool(
        tree.args.get("group") or tree.args.get("having"))
    names: dict[exp.Expr, exp.Expr] = {}
    lifted = [_named(part, local, names, whole=groups) for part in lifted]
    items = [exp.alias_(c.copy(), name.name, quoted=True) for c, name in names.items()]
    query.set("expressions", [*query.expressions, *items])
    if not groups:
        return query, tuple(lifted), None
    empty = None if tree.args.get("group") else _without_rows(tree.expressions[0])
    group = query.args.get("group") or exp.Group(expressions=[])
    group.set("expressions", [*group.expressions, *(c.copy() for c in names)])
    query.set("group", group)
    return query, tuple(lifted), empty


def _named(part: exp.Expr, local: Scope, names: dict[exp.Expr, exp.Expr], *, whole: bool) -> exp.Expr:
    """`part` with what is of the subquery under a name: its columns, or under GROUP BY a whole side of an equality."""
    def renamed_(tree: exp.Expr) -> exp.Expr:
        if tree not in names:
            names[tree] = exp.column(exp.to_identifier(f"$c{len(names)}", quoted=True))
        return names[tree].copy()

    if not whole:
        return part.transform(lambda n: renamed_(n) if isinstance(n, exp.Column) and local.has(n) else n)
    bare = unwrapped(part)
    if isinstance(bare, exp.EQ | exp.NullSafeEQ):
        sides = [bare.this, bare.expression]
        inner = [all(local.has(c) for c in s.find_all(exp.Column)) for s in sides]
        outer = [not any(local.has(c) for c in s.find_all(exp.Column)) for s in sides]
        if inner[0] and outer[1] and not outer[0]:
            return type(bare)(this=renamed_(sides[0]), expression=sides[1].copy())
        if inner[1] and outer[0] and not outer[1]:
            return type(bare)(this=sides[0].copy(), expression=renamed_(sides[1]))
    used = next(c for c in part.find_all(exp.Column) if not local.has(c))
    raise PlanError(
        f'column "{used.name}" is of the query around this subquery, which aggregates: it may only be compared by =',
        span_of(used),
        hint="Join the two instead, then aggregate.",
    )


def _without_rows(item: exp.Expr) -> exp.Expr | None:
    """An expression over aggregates of no rows: COUNT is 0, the others NULL; None where that is NULL anyway."""
    bare = unwrapped(item.this if isinstance(item, exp.Alias) else item)
    name = aggregate_name(bare)
    if name is not None and not _counts(name):
        return None

    def of_nothing(node: exp.Expr) -> exp.Expr:
        name = aggregate_name(node)
        if name is None:
            return node
        return exp.Cast(this=exp.Literal.number(0), to=exp.DataType.build("BIGINT")) if _counts(name) else exp.Null()

    return bare.copy().transform(of_nothing)


def _counts(name: str) -> bool:
    return name in ("COUNT", "APPROX_COUNT_DISTINCT", "REGR_COUNT")


class Around(Scope):
    """The scope around a subquery: it remembers the first column that the subquery takes from it."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope.fields, scope.outer)
        self.scope = scope
        self.used: exp.Expr | None = None

    def column(self, tree: exp.Expr) -> Typed:
        value = self.scope.column(tree)
        self.used = self.used or tree
        return value


def _around(right: Relation, inner: Inner, scope: SelectScope) -> SelectScope:
    """What a lifted conjunct may name: columns of the subquery under their new names, else those of `scope`."""
    fields = [f for f in right.fields[inner.width:] if f.name.startswith("$c")]
    return SelectScope(fields, scope.planner, scope)


def _empty(node: Node) -> bool:
    """No row can come of it, so that it does not matter what its expressions would be."""
    while isinstance(node, Project):
        if node.where == "false":
            return True
        node = node.inputs[0]
    return False

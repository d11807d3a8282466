"""Correlation: a subquery without what it reads of the rows around it, which a join to them can test instead."""

from __future__ import annotations

from dataclasses import dataclass

from streamsql.core.node import Node
from streamsql.core.typed import Typed
from streamsql.errors import PlanError
from streamsql.operators.project import Project
from streamsql.planner.predicates import Pending, all_of, conjuncts, unwrapped
from streamsql.planner.relational import constant
from streamsql.planner.scope import Relation, Scope
from streamsql.planner.selects import SelectScope, aggregate_name
from streamsql.planner.unnesting import placed_columns, unnested
from streamsql.sql import exp, span_of


@dataclass(frozen=True, slots=True)
class Inner:
    """A planned subquery.

    query     itself, without what was lifted
    relation  its own columns, then those of it that `lifted` names
    width     how many are its own
    lifted    the conjuncts of its WHERE that read the rows around it
    empty     what its columns would be without rows, where rows around it are grouped away: COUNT is 0, others None
    single    it has one row for each row around it, even where none matches: it aggregates without GROUP BY
    """

    query: exp.Expr
    relation: Relation
    width: int
    lifted: tuple[exp.Expr, ...] = ()
    empty: tuple[exp.Expr | None, ...] = ()
    single: bool = False


@dataclass(frozen=True, slots=True)
class Attached:
    """A subquery whose value is a column of the rows around it, once it is joined to them.

    name    of the column
    values  what the columns of the subquery after its first have to equal
    tree    what it was made for, and `part` which part of that
    """

    name: str
    inner: Inner
    tree: exp.Expr
    values: tuple[Typed, ...] = ()
    part: str = ""


def planned_inner(tree: exp.Expr, scope: SelectScope, *, whole: bool = False) -> Inner:
    """The subquery `tree`, and what of it reads the rows of `scope`: with `whole`, equalities alone.

    An aggregate is one for each of what is compared: then only equalities can be lifted too.
    """
    query = tree.this if isinstance(tree, exp.Subquery) else tree
    placed_columns(query)
    around = Around(scope)
    relation = scope.planner.plan(query, around)
    if not around.used or _empty(relation.node):
        return Inner(query, relation, len(relation.fields))
    if scope.binder.strict and constant(relation.node):
        raise PlanError("in strict mode a subquery over constants reads nothing around it, nor in Flink",
                        span_of(around.used[0]), hint="Join the two instead.")
    try:
        return _lifted(query, around, scope, whole=whole)
    except PlanError:
        inner = _unnested(query, around, scope, relation)
        if inner is None:
            raise
        return inner


def _unnested(query: exp.Expr, around: Around, scope: SelectScope, relation: Relation) -> Inner | None:
    """The subquery with what it reads around it as columns of its own; None where that is not to be had."""
    made = unnested(query, around.used, [f.name for f in relation.fields], scope)
    if made is None:
        return None
    again = Around(scope)
    planned = scope.planner.plan(made[0], again)
    if again.used:
        return None
    single = _single(query) and query.args.get("having") is None
    return Inner(made[0], planned, len(relation.fields), made[1], _nothing(query) if single else (), single)


def _single(query: exp.Expr) -> bool:
    """It aggregates without GROUP BY."""
    return isinstance(query, exp.Select) and query.args.get("group") is None and _aggregates(query)


def _aggregates(query: exp.Select) -> bool:
    return any(aggregate_name(n) for i in query.expressions for n in i.walk(prune=lambda n: isinstance(n, exp.Query)))


def _lifted(query: exp.Expr, around: Around, scope: SelectScope, *, whole: bool) -> Inner:
    """The subquery without the conjuncts of its WHERE that read the rows around it."""
    used = around.used[0]
    if not isinstance(query, exp.Select) or query.args.get("limit") or query.args.get("offset"):
        raise _refused(used)
    grouped = query.args.get("group") is not None
    aggregates = _aggregates(query)
    if query.args.get("having") is not None and not grouped:
        raise PlanError(
            "a subquery that reads the rows around it has HAVING without GROUP BY",
            span_of(query.args["having"]),
            hint="Compare what HAVING tests in the query around: … AND (SELECT COUNT(*) …) > 1.",
        )
    distinct = query.args.get("distinct") is not None
    bare, lifted = _decorrelated(query, around, scope, whole=whole or grouped or aggregates or distinct)
    if grouped or aggregates:
        group = bare.args.get("group") or exp.Group(expressions=[])
        keys = [i.this.copy() for i in bare.expressions if isinstance(i, exp.Alias) and i.alias.startswith("$c")]
        group.set("expressions", [*group.expressions, *keys])
        bare.set("group", group)
    again = Around(scope)
    relation = scope.planner.plan(bare, again)
    if again.used or not lifted:
        raise _refused(again.used[0] if again.used else used)
    added = sum(f.name.startswith("$c") for f in relation.fields)
    single = aggregates and not grouped
    return Inner(bare, relation, len(relation.fields) - added, lifted, _nothing(query) if single else (), single)


def _nothing(query: exp.Expr) -> tuple[exp.Expr | None, ...]:
    return tuple(_without_rows(i) for i in query.expressions)


def _refused(column: exp.Expr) -> PlanError:
    return PlanError(
        f'column "{column.name}" is of the query around this subquery, which may use it in its own WHERE only',
        span_of(column),
        hint="Join the two instead, or compare with IN.",
    )


def _decorrelated(tree: exp.Select, around: Around, scope: SelectScope, *, whole: bool) \
        -> tuple[exp.Select, tuple[exp.Expr, ...]]:
    """The query without the conjuncts of its WHERE that read the rows around it, but with the columns that
    these read, or with `whole` the sides of equalities; and those conjuncts."""
    with scope.planner.sources.common_tables(tree):
        local = Scope(scope.planner.sources.from_clause(tree, around, Pending((), scope.planner)).fields)
    where = tree.args.get("where")
    parts = list(conjuncts(where.this)) if where is not None else []
    lifted = [p for p in parts if p.find(exp.Query) is None and any(not local.has(c) for c in p.find_all(exp.Column))]
    kept = [p for p in parts if p not in lifted]
    query = tree.copy()
    query.set("where", exp.Where(this=all_of(kept)) if kept else None)
    query.set("order", None)
    names: dict[exp.Expr, exp.Expr] = {}
    lifted = [_named(part, local, names, whole=whole) for part in lifted]
    items = [exp.alias_(c.copy(), name.name, quoted=True) for c, name in names.items()]
    query.set("expressions", [*query.expressions, *items])
    return query, tuple(lifted)


def _named(part: exp.Expr, local: Scope, names: dict[exp.Expr, exp.Expr], *, whole: bool) -> exp.Expr:
    """`part` with what is of the subquery under a name: its columns, or with `whole` a side of an equality."""
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
        f'column "{used.name}" is of the query around this subquery, which may only compare it by = here',
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
    """The scope around a subquery: it remembers the columns that the subquery takes from it."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope.fields, scope.outer)
        self.scope = scope
        self.used: list[exp.Expr] = []

    def column(self, tree: exp.Expr) -> Typed:
        value = self.scope.column(tree)
        self.used.append(tree)
        return value


def around_scope(right: Relation, inner: Inner, scope: SelectScope) -> SelectScope:
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

"""Correlation: a subquery without what it reads of the rows around it, which a join to them can test instead."""

from __future__ import annotations

from dataclasses import dataclass

from streamsql.core.node import Node
from streamsql.core.typed import Typed
from streamsql.errors import PlanError
from streamsql.operators.project import Project
from streamsql.planner.predicates import Pending, all_of, conjuncts, unwrapped
from streamsql.planner.scope import Relation, Scope
from streamsql.planner.selects import SelectScope, aggregate_name
from streamsql.sql import exp, span_of


@dataclass(frozen=True, slots=True)
class Inner:
    """A planned subquery.

    query     itself, without what was lifted
    relation  its own columns, then those of it that `lifted` names
    width     how many are its own
    lifted    the conjuncts of its WHERE that read the rows around it
    empty     what it would give without rows, where rows around it are grouped away: COUNT is 0
    single    it has one row for each row around it, even where none matches: it aggregates without GROUP BY
    """

    query: exp.Expr
    relation: Relation
    width: int
    lifted: tuple[exp.Expr, ...] = ()
    empty: exp.Expr | None = None
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
    around = Around(scope)
    relation = scope.planner.plan(query, around)
    if around.used is None or _empty(relation.node):
        return Inner(query, relation, len(relation.fields))
    if not isinstance(query, exp.Select) or query.args.get("limit") or query.args.get("offset"):
        raise _refused(around.used)
    grouped = query.args.get("group") is not None
    aggregates = any(aggregate_name(n) for i in query.expressions for n in i.walk())
    if query.args.get("having") is not None and not grouped:
        raise PlanError(
            "a subquery that reads the rows around it has HAVING without GROUP BY",
            span_of(query.args["having"]),
            hint="Compare what HAVING tests in the query around: … AND (SELECT COUNT(*) …) > 1.",
        )
    bare, lifted = _decorrelated(query, around, scope, whole=whole or grouped or aggregates)
    if grouped or aggregates:
        group = bare.args.get("group") or exp.Group(expressions=[])
        keys = [i.this.copy() for i in bare.expressions if isinstance(i, exp.Alias) and i.alias.startswith("$c")]
        group.set("expressions", [*group.expressions, *keys])
        bare.set("group", group)
    again = Around(scope)
    relation = scope.planner.plan(bare, again)
    if again.used is not None or not lifted:
        raise _refused(again.used or around.used)
    added = sum(f.name.startswith("$c") for f in relation.fields)
    single = aggregates and not grouped
    empty = _without_rows(query.expressions[0]) if single else None
    return Inner(bare, relation, len(relation.fields) - added, lifted, empty, single)


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
    """The scope around a subquery: it remembers the first column that the subquery takes from it."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope.fields, scope.outer)
        self.scope = scope
        self.used: exp.Expr | None = None

    def column(self, tree: exp.Expr) -> Typed:
        value = self.scope.column(tree)
        self.used = self.used or tree
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

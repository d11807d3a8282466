"""Predicates: a condition split into the conjuncts that must all be TRUE, and which inputs each one reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, Literal

from streamsql.core.schema import quote
from streamsql.core.typed import Typed
from streamsql.core.types import APPROXIMATE, DOUBLE, DataType
from streamsql.errors import PlanError, SQLError
from streamsql.planner.scope import Relation, Scope
from streamsql.sql import exp, span_of
from streamsql.values import comparison
from streamsql.values.binder import Binder, common_type
from streamsql.values.conversions import family

if TYPE_CHECKING:
    from streamsql.core.node import Node
    from streamsql.planner.selects import SelectScope, Subqueries

Where = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Equality:
    """A conjunct that says that a value of the left equals one of the right.

    left, right  the two, each over its own side; a bare column keeps its time attribute
    keys         DuckDB text of the two in one type: they hash alike where they are equal
    null_safe    IS NOT DISTINCT FROM: NULL equals NULL
    """

    left: Typed
    right: Typed
    keys: tuple[str, str]
    null_safe: bool = False


@dataclass(frozen=True, slots=True)
class Predicate:
    """A conjunct of the condition of a join.

    tree   as it was written; what an error points at
    value  it is bound over the columns of both sides, whose names are distinct
    reads  the sides whose columns it reads
    equal  what it says if it is an equality of the two sides
    """

    tree: exp.Expr = field(compare=False)
    value: Typed
    reads: frozenset[Where]
    equal: Equality | None = None

    @property
    def exact(self) -> bool:
        """It is TRUE where the keys are the same and neither is refused as NULL: all but NaN."""
        return self.equal is not None and not {self.equal.left.type.root, self.equal.right.type.root} & set(APPROXIMATE)


def conjuncts(tree: exp.Expr) -> Iterator[exp.Expr]:
    """The parts of `a AND (b AND c)`, in their order; of `a AND b OR a AND c` they are a, and b OR c."""
    bare = unwrapped(tree)
    if isinstance(bare, exp.And):
        yield from conjuncts(bare.this)
        yield from conjuncts(bare.expression)
    elif isinstance(bare, exp.Or):
        yield from _factored(tree, bare)
    else:
        yield tree


def _factored(tree: exp.Expr, either: exp.Or) -> Iterator[exp.Expr]:
    sides = [list(conjuncts(side)) for side in (either.this, either.expression)]
    common = [part for part in sides[0] if part in sides[1]]
    if not common:
        yield tree
        return
    yield from common
    rest = [[part for part in side if part not in common] for side in sides]
    if all(rest):
        yield exp.Or(this=all_of(rest[0]), expression=all_of(rest[1]))


def all_of(parts: Sequence[exp.Expr]) -> exp.Expr:
    """The parts, AND between them."""
    return reduce(lambda a, b: exp.And(this=a, expression=b), (p.copy() for p in parts))


def unwrapped(tree: exp.Expr) -> exp.Expr:
    while isinstance(tree, exp.Paren):
        tree = tree.this
    return tree


def reads(value: Typed, left: Relation, right: Relation) -> frozenset[Where]:
    """The sides of which a column is named in `value`, as column pruning finds them."""
    sides: tuple[tuple[Where, Relation], ...] = (("left", left), ("right", right))
    return frozenset(side for side, relation in sides if names_one(value.sql, relation.node.schema.names))


def names_one(sql: str, columns: Sequence[str]) -> bool:
    return any(quote(c) in sql for c in columns)


def predicate(tree: exp.Expr, binder: Binder, left: Relation, right: Relation) -> Predicate:
    """`tree`, a boolean, over the columns of both sides."""
    value = binder.condition(tree, "ON")
    bare = unwrapped(tree)
    equal = None
    if isinstance(bare, exp.EQ | exp.NullSafeEQ) and not isinstance(bare.expression, exp.Any | exp.All):
        null_safe = isinstance(bare, exp.NullSafeEQ)
        equal = equality(binder.bind(bare.this), binder.bind(bare.expression), left, right, binder, null_safe)
    return Predicate(tree, value, reads(value, left, right), equal)


def steady(value: Typed, tree: exp.Expr, *inputs: Node) -> Typed:
    """`value`, if it is the same when a row is taken back as when the row came. Raises PlanError."""
    if value.deterministic or all(node.append_only for node in inputs):
        return value
    raise PlanError(
        "a condition on rows that change may not give another result each time",
        span_of(tree),
        hint="RAND(), UUID(), the clock: test them where rows are only appended, below the aggregate or the join.",
    )


def equality(a: Typed, b: Typed, left: Relation, right: Relation, binder: Binder, null_safe: bool) -> Equality | None:
    """That `a` equals `b`, where one is of the left alone and the other of the right."""
    of_a, of_b = reads(a, left, right), reads(b, left, right)
    if len(of_a) != 1 or len(of_b) != 1 or of_a == of_b:
        return None
    if "right" in of_a:
        a, b = b, a
    keys = _keys(a, b, binder.zone)
    return Equality(a, b, keys, null_safe) if keys and a.deterministic and b.deterministic else None


def compared(a: Typed, b: Typed, tree: exp.Expr, left: Relation, right: Relation, binder: Binder) -> Predicate:
    """`a = b` of values that are bound already."""
    value = comparison.compare("=", a, b, span_of(tree), binder.zone)
    return Predicate(tree, value, reads(value, left, right), equality(a, b, left, right, binder, False))


def _keys(a: Typed, b: Typed, zone: str) -> tuple[str, str] | None:
    """Both values in one type; None where no type holds both, as where a text meets a boolean."""
    x, y = comparison.aligned("=", a, b, None, zone)
    if x.type.is_numeric and y.type.is_numeric:
        common = DOUBLE if {x.type.root, y.type.root} & set(APPROXIMATE) else common_type([x.type, y.type])
        if common is None:
            return None
        return _in_type(x, common), _in_type(y, common)
    if family(x.type) != family(y.type) or x.type.duck_type() != y.type.duck_type():
        return None
    return x.sql, y.sql


def _in_type(value: Typed, kind: DataType) -> str:
    """`value` in a type that may be too narrow for it; what does not fit has no equal on the other side."""
    same = value.type.duck_type() == kind.duck_type()
    return value.sql if same else f"TRY_CAST({value.sql} AS {kind.duck_type()})"


class Pending:
    """Conjuncts of WHERE or ON that no step of FROM has taken yet, and what may take them.

    below  whether what a step of FROM filters now is as if it were filtered at the end
    """

    def __init__(self, parts: Iterable[exp.Expr], planner: Subqueries) -> None:
        self.parts = list(parts)
        self.below = True
        self._planner = planner

    def filtered(self, relation: Relation) -> Relation:
        """`relation` with the conjuncts that it can answer alone."""
        from streamsql.planner.subqueries import plain

        before = list(self.parts)
        scope = self._take(relation)
        taken = [part for part in before if part not in self.parts]
        return plain(relation, scope, all_of(taken), "WHERE") if taken else relation

    def between(self, left: Relation, right: Relation) -> list[exp.Expr]:
        """The conjuncts that the two can answer together."""
        both = Relation(left.node, (*left.fields, *right.fields))
        before = list(self.parts)
        self._take(both)
        return [part for part in before if part not in self.parts]

    def _take(self, relation: Relation) -> SelectScope:
        from streamsql.planner.selects import SelectScope

        scope = SelectScope(relation.fields, self._planner)
        if self.below:
            self.parts = [part for part in self.parts if not _answered(part, scope)]
        return scope

    def kept(self, side: str, left: Relation, right: Relation, shared: Sequence[str] = ()) -> str:
        """The side that an outer join keeps, where WHERE refuses rows in which the other is NULL.

        shared  the names that USING makes one of both sides: they are not NULL where one side is
        """
        if not side or not self.below:
            return side
        scopes = [Scope(replace(f, merged=f.merged or f.name in shared) for f in r.fields) for r in (left, right)]
        no_left, no_right = (any(_refuses_nulls(p, s) for p in self.parts) for s in scopes)
        keeps_left = side in ("LEFT", "FULL") and not no_right
        keeps_right = side in ("RIGHT", "FULL") and not no_left
        return "FULL" if keeps_left and keeps_right else "LEFT" if keeps_left else "RIGHT" if keeps_right else ""


def _answered(part: exp.Expr, scope: SelectScope) -> bool:
    """Whether `scope` has all that `part` names; errors show where the whole clause is bound."""
    if part.find(exp.Query) is not None or not any(True for _ in part.find_all(exp.Column)):
        return False
    try:
        value = scope.binder.condition(part, "WHERE")
    except SQLError:
        return False
    return value.deterministic and not value.aggregate


_STRICT = (exp.Paren, exp.Cast, exp.Neg, exp.Not, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.EQ, exp.NEQ,
           exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Like)
"""NULL where one of the operands is NULL."""


def _refuses_nulls(tree: exp.Expr, scope: Scope) -> bool:
    """`tree` is not TRUE where all columns of `scope` are NULL; said only of plain forms."""
    bare = unwrapped(tree)
    if isinstance(bare, exp.And):
        return _refuses_nulls(bare.this, scope) or _refuses_nulls(bare.expression, scope)
    if isinstance(bare, exp.Or):
        return _refuses_nulls(bare.this, scope) and _refuses_nulls(bare.expression, scope)
    if isinstance(bare, exp.Not) and isinstance(unwrapped(bare.this), exp.Is):
        test = unwrapped(bare.this)
        return isinstance(test.expression, exp.Null) and _null_with(test.this, scope)
    return _null_with(bare, scope)


def _null_with(tree: exp.Expr, scope: Scope) -> bool:
    """`tree` is NULL where all columns of `scope` are."""
    if isinstance(tree, exp.Column):
        return scope.has(tree)
    if isinstance(tree, exp.Between):
        return _null_with(tree.this, scope)
    if isinstance(tree, exp.In):
        return tree.args.get("query") is None and _null_with(tree.this, scope)
    if isinstance(tree, _STRICT):
        return any(_null_with(part, scope) for part in (tree.this, tree.args.get("expression")) if part is not None)
    return False

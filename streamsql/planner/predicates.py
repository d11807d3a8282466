"""Predicates: a condition split into the conjuncts that must all be TRUE, and which inputs each one reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from streamsql.core.schema import quote
from streamsql.core.typed import Typed
from streamsql.core.types import APPROXIMATE, DOUBLE, DataType
from streamsql.planner.scope import Relation
from streamsql.sql import exp, span_of
from streamsql.values import comparison
from streamsql.values.binder import Binder, common_type
from streamsql.values.conversions import family

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


def conjuncts(tree: exp.Expr) -> Iterator[exp.Expr]:
    """The parts of `a AND (b AND c)`, in their order."""
    bare = unwrapped(tree)
    if isinstance(bare, exp.And):
        yield from conjuncts(bare.this)
        yield from conjuncts(bare.expression)
    else:
        yield tree


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

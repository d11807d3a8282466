"""What a condition says of the difference of two rowtimes."""

from __future__ import annotations

from dataclasses import dataclass

from streamsql.planner.predicates import Predicate, unwrapped
from streamsql.planner.scope import Field, Relation
from streamsql.sql import exp, interval_type, interval_value
from streamsql.values.binder import Binder

_FLIPPED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.LT: exp.GT, exp.LTE: exp.GTE, exp.GT: exp.LT, exp.GTE: exp.LTE, exp.EQ: exp.EQ}
_UNITS_US = {"SECOND": 1_000_000, "MINUTE": 60_000_000, "HOUR": 3_600_000_000, "DAY": 86_400_000_000,
             "WEEK": 604_800_000_000}


@dataclass(frozen=True, slots=True)
class Bound:
    """That the rowtime of the right less that of the left is within bounds, both included; None for open.

    times  the columns of the left and of the right
    """

    times: tuple[str, str]
    lower_us: int | None
    upper_us: int | None


@dataclass(frozen=True, slots=True)
class _Moment:
    """A rowtime and a constant: `ts + INTERVAL '5' SECOND`."""

    field: Field
    right: bool
    plus_us: int


def bounds(predicate: Predicate, binder: Binder, left: Relation, right: Relation) -> Bound | None:
    """What `predicate` says of two rowtimes, one of either side, if it is a comparison of them."""
    if predicate.reads != {"left", "right"}:
        return None
    if predicate.equal is not None and predicate.equal.left.time == predicate.equal.right.time == "rowtime":
        names = (_named(left, predicate.equal.left.sql), _named(right, predicate.equal.right.sql))
        return None if None in names or predicate.equal.null_safe else _between(*names, 0, 0)  # type: ignore[arg-type]
    reading = _Reading(binder, left, right)
    tree = unwrapped(predicate.tree)
    if isinstance(tree, exp.Between):
        low = reading.compared(exp.GTE, tree.this, tree.args["low"])
        high = reading.compared(exp.LTE, tree.this, tree.args["high"])
        if low is None or high is None or low.times != high.times or tree.args.get("symmetric"):
            return None
        lower = low.lower_us if low.lower_us is not None else high.lower_us
        return Bound(low.times, lower, high.upper_us if high.upper_us is not None else low.upper_us)
    if type(tree) in _FLIPPED:
        return reading.compared(type(tree), tree.this, tree.args["expression"])
    return None


def _named(relation: Relation, sql: str) -> Field | None:
    return next((f for f in relation.fields if f.typed().sql == sql), None)


def _between(a: Field, b: Field, lower_us: int | None, upper_us: int | None) -> Bound | None:
    same = a.type.root == b.type.root
    return Bound((a.column, b.column), lower_us, upper_us) if same else None


class _Reading:
    """Reads comparisons of rowtimes of the two sides."""

    def __init__(self, binder: Binder, left: Relation, right: Relation) -> None:
        self._binder = binder
        self._sides = (left, right)

    def compared(self, operator: type[exp.Expr], first: exp.Expr, second: exp.Expr) -> Bound | None:
        """`first operator second`, as bounds of right - left."""
        a, b = self._moment(first), self._moment(second)
        if a is None or b is None or a.right == b.right:
            return None
        if not a.right:
            a, b, operator = b, a, _FLIPPED[operator]
        step = 1000 if max(a.field.type.precision or 0, b.field.type.precision or 0) <= 3 else 1
        value = b.plus_us - a.plus_us
        lowers: dict[type[exp.Expr], int] = {exp.GT: value + step, exp.GTE: value, exp.EQ: value}
        uppers: dict[type[exp.Expr], int] = {exp.LT: value - step, exp.LTE: value, exp.EQ: value}
        return _between(b.field, a.field, lowers.get(operator), uppers.get(operator))

    def _moment(self, tree: exp.Expr) -> _Moment | None:
        tree = unwrapped(tree)
        if isinstance(tree, exp.Column):
            return self._rowtime(tree)
        if isinstance(tree, exp.Add | exp.Sub):
            sign = -1 if isinstance(tree, exp.Sub) else 1
            pairs = [(tree.this, tree.expression)] + ([(tree.expression, tree.this)] if sign > 0 else [])
            for time, length in pairs:
                us, moment = _length_us(length), None
                if us is not None:
                    moment = self._moment(time)
                if us is not None and moment is not None:
                    return _Moment(moment.field, moment.right, moment.plus_us + sign * us)
        if isinstance(tree, exp.Anonymous) and tree.name.upper() == "TIMESTAMPADD":
            unit, count, time = tree.expressions
            us, moment = _UNITS_US.get(unit.name.upper()), self._moment(time)
            number = _whole(count)
            if us is not None and moment is not None and number is not None:
                return _Moment(moment.field, moment.right, moment.plus_us + us * number)
        return None

    def _rowtime(self, tree: exp.Column) -> _Moment | None:
        value = self._binder.bind(tree)
        for right, relation in enumerate(self._sides):
            found = _named(relation, value.sql) if value.time == "rowtime" else None
            if found is not None:
                return _Moment(found, bool(right), 0)
        return None


def _length_us(tree: exp.Expr) -> int | None:
    """The length of an interval literal without months."""
    bare = tree
    while isinstance(bare, exp.Neg | exp.Paren):
        bare = bare.this
    if not isinstance(bare, exp.Interval) or "MONTH" in interval_type(bare).root:
        return None
    return interval_value(tree)


def _whole(tree: exp.Expr) -> int | None:
    bare = unwrapped(tree)
    if isinstance(bare, exp.Neg):
        inner = _whole(bare.this)
        return None if inner is None else -inner
    return int(bare.name) if isinstance(bare, exp.Literal) and bare.is_int else None

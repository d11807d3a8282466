"""The binder: an expression tree of the dialect becomes DuckDB text with Flink's meaning and type.

`Binder.bind` looks the class of a node up in `_RULES`; each rule binds the operands and hands them to
the module that knows the operation. Columns and what only a query can mean (aggregates, window
columns, subqueries, user functions) come from the `Scope`. What Flink refuses when it validates
raises BindError (names) or SQLTypeError (types) at its place in the text.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn, Protocol

from streamsql.core.schema import text_literal
from streamsql.core.types import BOOLEAN, MAX_LENGTH, STRING, DataType
from streamsql.errors import BindError, PlanError, Span, SQLTypeError
from streamsql.sql import data_type, exp, span_of
from streamsql.sql.habits import NODES, function_hint
from streamsql.values import arithmetic, comparison, constructors, literals, patterns, periods
from streamsql.values.casts import cast, castable, implicitly_castable, session_zone
from streamsql.values.functions import lookup, names
from streamsql.values.promotion import common_type
from streamsql.values.signature import apply
from streamsql.values.typed import Typed

__all__ = ["Binder", "Scope", "cast", "castable", "common_type", "implicitly_castable", "refuse_nulls",
           "session_zone"]


class Scope(Protocol):
    """What names mean where an expression stands. The planner implements it, a clause at a time."""

    def column(self, tree: exp.Expr) -> Typed:
        """The value of a Column, possibly a path into a ROW. Raises BindError: unknown, or ambiguous."""
        ...

    def call(self, tree: exp.Expr) -> Typed | None:
        """What only the query gives: aggregates, window columns, subqueries, user functions. None: not mine.

        Asked before anything else for every node but literals and columns.
        """
        ...


class Binder:
    """Binds the expressions of one clause. Keeps nothing between them.

    `also` are the functions that the scope knows, for hints.
    """

    def __init__(self, scope: Scope, settings: Mapping[str, str], also: Iterable[str] = ()) -> None:
        self.scope = scope
        self.also = also
        self.zone = session_zone(settings)
        self.strict = settings.get("streamsql.strict", "false").lower() == "true"
        self._guarded = 0

    def bind(self, tree: exp.Expr) -> Typed:
        """The value of `tree`. Raises BindError and SQLTypeError with the place in the text."""
        rule = _RULES.get(type(tree))
        if type(tree) in _LEAVES and rule is not None:
            return rule(self, tree)
        found = self.scope.call(tree)
        if found is not None:
            return found
        if rule is None:
            message, hint = NODES.get(tree.key, (f"{tree.key} cannot stand in an expression", None))
            raise BindError(message, span_of(tree), hint=hint)
        try:
            return rule(self, tree)
        except (SQLTypeError, BindError) as error:
            error.span = error.span or span_of(tree)
            raise

    def cast(self, value: Typed, target: DataType, *, safe: bool = False, implicit: bool = False,
             span: Span | None = None) -> Typed:
        """`casts.cast` in the session's time zone."""
        return cast(value, target, safe=safe, implicit=implicit, span=span, zone=self.zone)

    def typed(self, tree: exp.Expr) -> Typed:
        """`bind`, but an untyped NULL is refused: Flink needs its type here."""
        value = self.bind(tree)
        if value.type.root == "NULL":
            raise SQLTypeError("NULL has no type here", span_of(tree), hint="write CAST(NULL AS type)")
        return value

    def condition(self, tree: exp.Expr, what: str) -> Typed:
        """A boolean, of WHERE, ON, CASE and the like; NULL is one."""
        value = self.bind(tree)
        if value.type.root == "NULL":
            return cast(value, BOOLEAN)
        if value.type.root != "BOOLEAN":
            raise SQLTypeError(f"{what} takes a boolean, not {value.type.as_nullable()}", span_of(tree))
        return value

    def guarded(self, trees: Sequence[exp.Expr]) -> list[Typed]:
        """Operands that may never be evaluated: a constant division by zero in them is no error yet."""
        with self.guard():
            return [self.bind(t) for t in trees]

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        self._guarded += 1
        try:
            yield
        finally:
            self._guarded -= 1

    @property
    def unconditional(self) -> bool:
        return not self._guarded


# ------------------------------------------------------------------------------------------------ operators

Rule = Callable[[Binder, exp.Expr], Typed]


def _column(binder: Binder, tree: exp.Expr) -> Typed:
    return binder.scope.column(tree)


def _paren(binder: Binder, tree: exp.Expr) -> Typed:
    return binder.bind(tree.this)


def _arithmetic(sign: str) -> Rule:
    def rule(binder: Binder, tree: exp.Expr) -> Typed:
        left, right = binder.typed(tree.this), binder.typed(tree.expression)
        found = arithmetic.arithmetic(sign, left, right)
        if found is None:
            raise SQLTypeError(
                f"cannot apply {sign} to {left.type.as_nullable()} and {right.type.as_nullable()}", span_of(tree),
                hint=_arithmetic_hint(sign, tree, left.type, right.type))
        if sign == "/" and binder.unconditional and _is_zero(tree.expression) and _is_constant(tree.this):
            raise SQLTypeError("division by zero", span_of(tree))
        return found
    return rule


def _arithmetic_hint(sign: str, tree: exp.Expr, left: DataType, right: DataType) -> str | None:
    """What to write where the operands do not fit: texts are joined by `||`, and count as numbers by CAST alone."""
    texts, shown = ("CHAR", "VARCHAR"), [_shown(tree.this), _shown(tree.expression)]
    if left.root in texts and right.root in texts:
        return f"Write {shown[0]} || {shown[1]} to join texts." if sign == "+" else "Write CAST(… AS DOUBLE) on both."
    for text, number, at in ((left, right, 0), (right, left, 1)):
        if text.root in texts and number.is_numeric:
            join = [f"CAST({shown[i]} AS STRING)" if i != at else shown[i] for i in (0, 1)]
            other = f", or {' || '.join(join)} to join texts" if sign == "+" else ""
            return f"Write CAST({shown[at]} AS {number.as_nullable()}) to count with it{other}."
    if left.is_timestamp and (right.is_numeric or right.root in texts) and sign in "+-":
        return f"Write {shown[0]} {sign} INTERVAL '1' SECOND for a span of time."
    if left.root == "DATE" and right.is_numeric and sign in "+-":
        return f"Write {shown[0]} {sign} INTERVAL '1' DAY."
    if left.is_timestamp and right.is_timestamp and sign == "-":
        return f"Write TIMESTAMPDIFF(SECOND, {shown[1]}, {shown[0]})."
    return None


def _shown(tree: exp.Expr) -> str:
    """A name or a constant as it is written, and … for what is longer."""
    if isinstance(tree, exp.Column):
        return ".".join(part.name for part in tree.parts)
    if isinstance(tree, exp.Literal) and len(tree.name) <= 20:
        return text_literal(tree.name) if tree.args.get("is_string") else tree.name
    return "…"


def _is_constant(tree: exp.Expr) -> bool:
    return isinstance(_bare(tree), exp.Literal)


def _is_zero(tree: exp.Expr) -> bool:
    bare = _bare(tree)
    try:
        return isinstance(bare, exp.Literal) and float(bare.name) == 0
    except ValueError:
        return False


def _bare(tree: exp.Expr) -> exp.Expr:
    """The literal within casts, parentheses and signs."""
    while isinstance(tree, (exp.Cast, exp.Paren, exp.Neg)):
        tree = tree.this
    return tree


def _signed(tree: exp.Expr) -> tuple[exp.Expr, bool]:
    """What the minus signs and parentheses stand before, and whether it changes its sign."""
    negative = False
    while isinstance(tree, (exp.Paren, exp.Neg)):
        negative ^= isinstance(tree, exp.Neg)
        tree = tree.this
    return tree, negative


def _negated(binder: Binder, tree: exp.Expr) -> Typed:
    number, negative = _signed(tree)
    if isinstance(number, exp.Literal) and not number.args.get("is_string"):
        return literals.number(number, negative=negative)
    value = binder.typed(tree.this)
    if isinstance(tree.this, exp.Interval):
        size = value.literal
        maker = "to_months" if value.type.root.endswith("MONTH") else "to_microseconds"
        assert isinstance(size, int)
        return Typed(f"{maker}({-size})", value.type, literal=-size, is_literal=True)
    found = arithmetic.negated(value)
    if found is None:
        raise SQLTypeError(f"cannot apply - to {value.type.as_nullable()}", span_of(tree))
    return found


def _concatenated(binder: Binder, tree: exp.Expr) -> Typed:
    """`a || b`: lengths add up; CHAR of two CHARs."""
    left, right = binder.typed(tree.this), binder.typed(tree.expression)
    roots = {left.type.root, right.type.root}
    if roots <= {"CHAR", "VARCHAR"}:
        length = min(left.type.precision + right.type.precision, MAX_LENGTH)
        type_ = DataType("CHAR" if roots == {"CHAR"} else "VARCHAR", precision=length)
        return _of(f"({left.sql} || {right.sql})", type_, left, right)
    raise SQLTypeError(
        f"cannot apply || to {left.type.as_nullable()} and {right.type.as_nullable()}", span_of(tree),
        hint="write CAST(… AS STRING)")


def _comparison(sign: str) -> Rule:
    def rule(binder: Binder, tree: exp.Expr) -> Typed:
        left, right = binder.bind(tree.this), binder.bind(tree.expression)
        return comparison.compare(sign, left, right, span_of(tree), binder.zone)
    return rule


def _distinct(*, equal: bool) -> Rule:
    def rule(binder: Binder, tree: exp.Expr) -> Typed:
        left, right = binder.bind(tree.this), binder.bind(tree.expression)
        return comparison.distinct(left, right, span_of(tree), binder.zone, equal=equal)
    return rule


def _between(binder: Binder, tree: exp.Expr) -> Typed:
    value, low, high = (binder.bind(t) for t in (tree.this, tree.args["low"], tree.args["high"]))
    return comparison.between(value, low, high, span_of(tree), binder.zone,
                              symmetric=bool(tree.args.get("symmetric")))


def _in(binder: Binder, tree: exp.Expr) -> Typed:
    if tree.args.get("query") is not None:
        raise BindError("a subquery of IN cannot stand here", span_of(tree))
    value = binder.bind(tree.this)
    listed = [binder.bind(t) for t in tree.expressions]
    return comparison.among(value, listed, span_of(tree), binder.zone)


def _logic(word: str) -> Rule:
    def rule(binder: Binder, tree: exp.Expr) -> Typed:
        sides = binder.guarded([tree.this, tree.expression])
        for side, at in zip(sides, (tree.this, tree.expression)):
            if side.type.root != "BOOLEAN":
                raise SQLTypeError(f"{word} takes booleans, not {side.type.as_nullable()}", span_of(at),
                                   hint="write CAST(NULL AS BOOLEAN)" if side.type.root == "NULL" else None)
        return _of(f"({sides[0].sql} {word} {sides[1].sql})", BOOLEAN, *sides)
    return rule


def _not(binder: Binder, tree: exp.Expr) -> Typed:
    value = binder.typed(tree.this)
    if value.type.root != "BOOLEAN":
        raise SQLTypeError(f"NOT takes a boolean, not {value.type.as_nullable()}", span_of(tree.this))
    return _of(f"(NOT {value.sql})", BOOLEAN, value)


def _is(binder: Binder, tree: exp.Expr) -> Typed:
    """IS NULL, IS TRUE, IS FALSE, IS UNKNOWN: never NULL."""
    test = tree.expression
    if isinstance(test, exp.Null):
        value = binder.bind(tree.this)
        return replace(_of(f"({value.sql} IS NULL)", BOOLEAN, value), type=BOOLEAN.not_null())
    value = binder.typed(tree.this)
    if value.type.root != "BOOLEAN":
        raise SQLTypeError(f"IS {test.sql()} takes a boolean, not {value.type.as_nullable()}", span_of(tree.this))
    wanted = ("true" if test.this else "false") if isinstance(test, exp.Boolean) else "NULL"
    found = _of(f"({value.sql} IS NOT DISTINCT FROM {wanted})", BOOLEAN, value)
    return replace(found, type=BOOLEAN.not_null())


def _pattern(match: Callable[..., Typed]) -> Rule:
    def rule(binder: Binder, tree: exp.Expr) -> Typed:
        return match(binder.bind(tree.this), binder.bind(tree.expression), None, span_of(tree))
    return rule


def _escape(binder: Binder, tree: exp.Expr) -> Typed:
    inner = tree.this
    match = patterns.similar if isinstance(inner, exp.SimilarTo) else patterns.like
    return match(binder.bind(inner.this), binder.bind(inner.expression), binder.bind(tree.expression), span_of(tree))


def _case(binder: Binder, tree: exp.Expr) -> Typed:
    """CASE, searched or simple; the results become one type, nullable without ELSE."""
    branches = tree.args["ifs"]
    conditions = [_when(binder, tree.this, b.this) for b in branches]
    default = tree.args.get("default")
    results = binder.guarded([b.args["true"] for b in branches] + ([default] if default is not None else []))
    common = common_type([r.type for r in results])
    if common is None:
        if all(r.type.root == "NULL" for r in results):
            raise SQLTypeError("CASE needs a result that is not NULL", span_of(tree))
        kinds = ", ".join(dict.fromkeys(str(r.type.as_nullable()) for r in results))
        raise SQLTypeError(f"CASE takes results of one type, not {kinds}", span_of(tree), hint="write CAST on some")
    values = [binder.cast(r, common, implicit=True, span=span_of(tree)) for r in results]
    whens = " ".join(f"WHEN {c.sql} THEN {v.sql}" for c, v in zip(conditions, values))
    otherwise = f" ELSE {values[-1].sql}" if default is not None else ""
    type_ = common.as_nullable(common.nullable or default is None)
    return Typed(f"(CASE {whens}{otherwise} END)", type_,
                 deterministic=all(v.deterministic for v in (*conditions, *values)),
                 aggregate=any(v.aggregate for v in (*conditions, *values)))


def _when(binder: Binder, operand: exp.Expr | None, tree: exp.Expr) -> Typed:
    if operand is None:
        with binder.guard():
            return binder.condition(tree, "WHEN")
    value, wanted = binder.bind(operand), binder.bind(tree)
    return comparison.compare("=", value, wanted, span_of(tree), binder.zone)


def _interval(binder: Binder, tree: exp.Expr) -> Typed:
    """`INTERVAL '…' unit`, or the time between two moments: `(a - b) unit`."""
    inner = tree.this
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if not isinstance(inner, exp.Sub):
        if binder.strict:
            _refuse_digits(tree)
        return literals.interval(tree)
    later, earlier = binder.typed(inner.this), binder.typed(inner.expression)
    return periods.elapsed(later, earlier, tree.args["unit"].name, span_of(tree), binder.zone)


def _refuse_digits(tree: exp.Expr) -> None:
    """Raises SQLTypeError for an interval with more digits than its unit declares: two, if it does not."""
    unit = tree.args["unit"].name
    leading = re.match(r"\s*[+-]?0*(\d*)", tree.this.name)
    declared = re.match(r"\w+\((\d+)", unit)
    if leading is not None and len(leading[1]) > (int(declared[1]) if declared else 2):
        first = unit.split()[0].split("(")[0]
        raise SQLTypeError(f"in strict mode {first} has two digits unless more are declared, as in Flink",
                           span_of(tree), hint=f"write {first}({len(leading[1])})")


def _overlaps(binder: Binder, tree: exp.Expr) -> Typed:
    sides = [[binder.typed(t) for t in side.expressions] for side in (tree.this, tree.expression)]
    if any(len(side) != 2 for side in sides):
        raise SQLTypeError("OVERLAPS takes two periods", span_of(tree), hint="write (start, end) OVERLAPS (start, end)")
    (a, b), (c, d) = sides
    return periods.overlap((a, b), (c, d), span_of(tree), binder.zone)


def _cast(*, safe: bool) -> Rule:
    def rule(binder: Binder, tree: exp.Expr) -> Typed:
        value = binder.bind(tree.this)
        return binder.cast(value, data_type(tree.args["to"]), safe=safe, span=span_of(tree))
    return rule


def _bracket(binder: Binder, tree: exp.Expr) -> Typed:
    if len(tree.expressions) != 1:
        raise SQLTypeError("an element has one index", span_of(tree))
    return constructors.item(binder.typed(tree.this), binder.typed(tree.expressions[0]), span_of(tree), binder.zone)


def _dot(binder: Binder, tree: exp.Expr) -> Typed:
    return constructors.field(binder.bind(tree.this), tree.expression.name, span_of(tree.expression))


def _of(sql: str, type_: DataType, *of: Typed) -> Typed:
    return Typed(sql, type_.as_nullable(any(v.type.nullable for v in of)),
                 deterministic=all(v.deterministic for v in of), aggregate=any(v.aggregate for v in of))


# -------------------------------------------------------------------------------------------------- calls

def _call(binder: Binder, tree: exp.Expr) -> Typed:
    """A function by name: a constructor, or a row of the function table."""
    name = str(tree.this).upper()
    if name in _CONSTRUCTORS:
        return _CONSTRUCTORS[name](binder, tree)
    function = lookup(name)
    if function is None:
        raise BindError(f'function "{name}" does not exist', span_of(tree),
                        hint=function_hint(name, [*names(), *binder.also]))
    if function.local_only and binder.strict:
        raise PlanError(f'function "{name}" is not in Flink', span_of(tree),
                        hint="SET 'streamsql.strict' = 'false' allows what only runs here.")
    bind = binder.guarded if name in _LAZY else lambda trees: [_argument(binder, t) for t in trees]
    arguments = bind(tree.expressions)
    if binder.strict:
        _refuse_freedom(name, tree, arguments)
    if name == "MOD" and len(arguments) == 2:
        found = arithmetic.arithmetic("%", *arguments)
        if found is not None:
            return found
    return apply(function, arguments, span_of(tree), [span_of(t) for t in tree.expressions], binder.zone)


def _refuse_freedom(name: str, tree: exp.Expr, arguments: Sequence[Typed]) -> None:
    """Raises PlanError for a call that has a meaning here and none in Flink."""
    around = str(tree.parent.this).upper() if isinstance(tree.parent, exp.Anonymous) else ""
    if name == "JSON" and around not in ("JSON_ARRAY", "JSON_OBJECT"):
        raise PlanError("in strict mode JSON(…) stands within JSON_ARRAY or JSON_OBJECT only, as in Flink",
                        span_of(tree), hint="Write JSON_OBJECT('key' VALUE JSON(…)).")
    if name == "JSON_EXISTS" and len(arguments) > 1 and not arguments[1].is_literal:
        raise PlanError("in strict mode the path of JSON_EXISTS is a constant, as in Flink",
                        span_of(tree.expressions[1]), hint="Write it as '$.name'.")


_LAZY = ("IF", "IFNULL", "COALESCE")
"""Functions of whose arguments some may not be evaluated, or not until a row is there."""


def _argument(binder: Binder, tree: exp.Expr) -> Typed:
    """An argument: a value, a keyword (`Var`), or a clause of the call (`Kwarg`)."""
    if isinstance(tree, exp.Var):
        return Typed(text_literal(tree.name), STRING.not_null(), literal=tree.name, is_literal=True)
    if isinstance(tree, exp.Kwarg):
        return _clause(binder, tree)
    if isinstance(tree, (exp.Distinct, exp.Star)):
        raise SQLTypeError(f"{tree.key.upper()} stands in aggregates only", span_of(tree))
    return binder.bind(tree)


def _clause(binder: Binder, tree: exp.Kwarg) -> Typed:
    name, value = tree.this.name, tree.expression
    if isinstance(value, exp.Var):
        return Typed("", STRING.not_null(), literal=value.name, is_literal=True, keyword=name)
    if isinstance(value, exp.DataType):
        return Typed("", STRING.not_null(), literal=data_type(value), is_literal=True, keyword=name)
    bound = binder.bind(value)
    return Typed(bound.sql, bound.type, bound.literal, bound.is_literal, bound.deterministic,
                 aggregate=bound.aggregate, keyword=name)


def refuse_nulls(tree: exp.Expr) -> NoReturn:
    """`f(x) IGNORE NULLS` and `f(x) RESPECT NULLS`, which are read only to say this."""
    ignore = isinstance(tree, exp.IgnoreNulls)
    raise PlanError(
        f"{'IGNORE' if ignore else 'RESPECT'} NULLS is not supported", span_of(tree),
        hint="Leave the rows out first, with WHERE … IS NOT NULL; aggregates take no NULLs anyway." if ignore
        else "Leave it out: LAG and LEAD see NULLs anyway.")


def _row(binder: Binder, tree: exp.Expr) -> Typed:
    return constructors.row([binder.bind(t) for t in tree.expressions], span_of(tree))


def _collection(make: Callable[..., Typed]) -> Rule:
    return lambda binder, tree: make([binder.bind(t) for t in tree.expressions], span_of(tree), binder.zone)


_CONSTRUCTORS: dict[str, Rule] = {
    "ROW": _row,
    "ARRAY": _collection(constructors.array_of),
    "MAP": _collection(constructors.map_from),
    "MULTISET": _collection(constructors.multiset_of),
}

_RULES: dict[type[exp.Expr], Rule] = {
    exp.Literal: lambda _, tree: literals.literal(tree),
    exp.HexString: lambda _, tree: literals.binary(tree),
    exp.Boolean: lambda _, tree: literals.boolean(tree),
    exp.Null: lambda _, tree: literals.null(tree),
    exp.Interval: _interval, exp.Overlaps: _overlaps,
    exp.Introducer: lambda _, tree: literals.moment(tree),
    exp.Column: _column,
    exp.Paren: _paren,
    exp.Add: _arithmetic("+"), exp.Sub: _arithmetic("-"), exp.Mul: _arithmetic("*"),
    exp.Div: _arithmetic("/"), exp.Mod: _arithmetic("%"), exp.Neg: _negated, exp.DPipe: _concatenated,
    exp.EQ: _comparison("="), exp.NEQ: _comparison("<>"), exp.GT: _comparison(">"),
    exp.GTE: _comparison(">="), exp.LT: _comparison("<"), exp.LTE: _comparison("<="),
    exp.NullSafeEQ: _distinct(equal=True), exp.NullSafeNEQ: _distinct(equal=False),
    exp.Between: _between, exp.In: _in,
    exp.And: _logic("AND"), exp.Or: _logic("OR"), exp.Not: _not, exp.Is: _is,
    exp.Like: _pattern(patterns.like), exp.SimilarTo: _pattern(patterns.similar), exp.Escape: _escape,
    exp.Case: _case, exp.Cast: _cast(safe=False), exp.TryCast: _cast(safe=True),
    exp.IgnoreNulls: lambda _, tree: refuse_nulls(tree), exp.RespectNulls: lambda _, tree: refuse_nulls(tree),
    exp.Bracket: _bracket, exp.Dot: _dot, exp.Anonymous: _call,
}
_LEAVES = frozenset({exp.Literal, exp.HexString, exp.Boolean, exp.Null, exp.Introducer, exp.Column})

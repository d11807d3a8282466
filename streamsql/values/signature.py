"""Signatures: which argument types a function takes, how arguments are coerced, what it gives.

Each position of `Function.arguments` is a text of alternatives, `FAMILY[|FAMILY…][@X][?]`:

    FAMILY   a name of FAMILIES; the first that accepts the argument's type may coerce it
    @X       all arguments marked with the same letter are coerced to their common type
    ?        the untyped literal NULL is welcome (Flink refuses it elsewhere); it takes the common
             type of its @X, else the family's own type

Besides: `element`, `key`, `value` take what is in the collection of the first argument, coerced to
its element, key or value type; `symbol` is a keyword or constant text, found in `Typed.literal`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from streamsql.core.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    INT,
    INTERVALS,
    STRING,
    DataType,
    decimal,
    time,
    timestamp,
    timestamp_ltz,
)
from streamsql.errors import Span, SQLTypeError
from streamsql.values.casts import cast
from streamsql.values.promotion import merged_type
from streamsql.values.typed import Function, Typed

__all__ = ["FAMILIES", "NOW", "ZONE", "apply", "by_arity", "coerce", "element", "of_lengths", "same"]

COMPARABLE_ROOTS = frozenset({
    "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "DECIMAL", "FLOAT", "DOUBLE", "CHAR", "VARCHAR",
    "DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ", *INTERVALS, "BINARY", "VARBINARY",
})


@dataclass(frozen=True, slots=True)
class Family:
    """A set of types that an argument position accepts.

    called   how errors name it
    accepts  the test
    null     the type that an untyped NULL takes
    target   the type every accepted argument is cast to; None leaves it as it is
    """

    called: str
    accepts: Callable[[DataType], bool]
    null: DataType = INT
    target: DataType | None = None


def _roots(*roots: str) -> Callable[[DataType], bool]:
    return lambda t: t.root in roots


_INTEGER = _roots("TINYINT", "SMALLINT", "INT", "BIGINT")

FAMILIES: dict[str, Family] = {
    "any": Family("any value", lambda t: t.root != "NULL"),
    "comparable": Family("a comparable value", lambda t: t.root in COMPARABLE_ROOTS),
    "boolean": Family("a boolean", _roots("BOOLEAN"), BOOLEAN),
    "numeric": Family("a number", lambda t: t.is_numeric),
    "exact": Family("an exact number", lambda t: _INTEGER(t) or t.root == "DECIMAL"),
    "decimal": Family("a decimal", _roots("DECIMAL"), decimal(38, 18)),
    "integer": Family("an integer", _INTEGER),
    "int": Family("an INT", _roots("TINYINT", "SMALLINT", "INT"), INT, INT),
    "bigint": Family("an integer", _INTEGER, BIGINT, BIGINT),
    "double": Family("a number", lambda t: t.is_numeric, DOUBLE, DOUBLE),
    "approximate": Family("a FLOAT or DOUBLE", _roots("FLOAT", "DOUBLE"), DOUBLE),
    "string": Family("a string", lambda t: t.is_character, STRING),
    "binary": Family("a binary", lambda t: t.is_binary, BYTES),
    "date": Family("a DATE", _roots("DATE"), DATE),
    "time": Family("a TIME", _roots("TIME"), time()),
    "timestamp": Family("a TIMESTAMP", _roots("TIMESTAMP"), timestamp(3)),
    "ltz": Family("a TIMESTAMP_LTZ", _roots("TIMESTAMP_LTZ"), timestamp_ltz(3)),
    "temporal": Family("a date or time", _roots("DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ"), timestamp(3)),
    "interval": Family("an interval", lambda t: t.is_interval),
    "months": Family("an interval of months", _roots(INTERVALS[0])),
    "days": Family("an interval of days", _roots(INTERVALS[1])),
    "array": Family("an array", _roots("ARRAY")),
    "map": Family("a map", _roots("MAP")),
    "multiset": Family("a multiset", _roots("MULTISET")),
    "row": Family("a row", _roots("ROW")),
    "variant": Family("a VARIANT", _roots("VARIANT"), DataType("VARIANT")),
    "bitmap": Family("a BITMAP", _roots("BITMAP"), DataType("BITMAP")),
    "symbol": Family("a keyword", lambda _: True, STRING),
}

_OF_FIRST = {"element": ("ARRAY", 0), "multiset_element": ("MULTISET", 0), "key": ("MAP", 0),
             "value": ("MAP", 1)}


@dataclass(frozen=True, slots=True)
class Place:
    """One argument position, parsed from its text."""

    families: tuple[str, ...]
    group: str = ""
    null: bool = False

    @staticmethod
    def parse(text: str) -> Place:
        null = text.endswith("?")
        families, _, group = text.rstrip("?").partition("@")
        return Place(tuple(families.split("|")), group, null)

    def called(self) -> str:
        return " or ".join(FAMILIES[f].called if f in FAMILIES else f"the {f} of the collection"
                           for f in self.families)


def places(function: Function, count: int, span: Span | None = None) -> tuple[Place, ...]:
    """The position of each of `count` arguments; raises SQLTypeError if there are too few or many."""
    declared = [Place.parse(text) for text in function.arguments]
    least = len(declared) - function.optional
    if count < least or (count > len(declared) and not function.variadic):
        wanted = f"at least {least}" if function.variadic else (
            str(least) if not function.optional else f"{least} to {len(declared)}")
        raise SQLTypeError(
            f'function "{function.name}" takes {wanted} argument{"" if wanted == "1" else "s"}, not {count}',
            span, hint=function.signature)
    return tuple(declared[min(i, len(declared) - 1)] for i in range(count))


def coerce(function: Function, arguments: Sequence[Typed], span: Span | None = None,
           spans: Sequence[Span | None] = ()) -> list[Typed]:
    """The arguments as the function's body wants them; raises SQLTypeError at the one that does not fit."""
    where = [*spans, *[span] * (len(arguments) - len(spans))]
    wanted = places(function, len(arguments), span)
    fitted = [_fit(function, i, place, argument, arguments, at)
              for i, (place, argument, at) in enumerate(zip(wanted, arguments, where))]
    for letter in dict.fromkeys(p.group for p in wanted if p.group):
        members = [i for i, p in enumerate(wanted) if p.group == letter]
        common = merged_type([fitted[i].type for i in members])
        if common is None:
            kinds = " and ".join(dict.fromkeys(str(arguments[i].type) for i in members))
            raise SQLTypeError(f'function "{function.name}" cannot combine {kinds}', span,
                               hint=function.signature)
        for i in members:
            wanted_type = common.as_nullable(fitted[i].type.nullable)
            fitted[i] = cast(fitted[i], wanted_type, implicit=True, span=span, zone=ZONE)
    return fitted


def _fit(function: Function, index: int, place: Place, argument: Typed, arguments: Sequence[Typed],
         span: Span | None) -> Typed:
    if argument.type.root == "NULL" and not argument.literal:
        if not place.null:
            raise SQLTypeError(f'function "{function.name}" needs a type for NULL as argument {index + 1}',
                               span, hint="write CAST(NULL AS type)")
        if place.group:
            return argument
    for name in place.families:
        if name in _OF_FIRST:
            root, child = _OF_FIRST[name]
            if arguments[0].type.root == root:
                wanted = arguments[0].type.children[child].as_nullable()
                return cast(argument, wanted, implicit=True, span=span, zone=ZONE)
            continue
        family = FAMILIES[name]
        if argument.type.root == "NULL" and name != "any":
            return cast(argument, family.target or family.null, implicit=True, span=span, zone=ZONE)
        if family.accepts(argument.type) or (name == "any" and place.null):
            target = family.target
            return argument if target is None or argument.type.root == target.root else cast(
                argument, target.as_nullable(argument.type.nullable), implicit=True, span=span, zone=ZONE)
    raise SQLTypeError(
        f'function "{function.name}" takes {place.called()} as argument {index + 1}, not {argument.type}',
        span, hint=function.signature)


ZONE = "$zone$"
"""What a body rule writes for the session time zone, a text literal; a body text writes `{zone}`."""
NOW = '(SELECT "now" FROM "f_clock")'
"""The time of the batch, TIMESTAMPTZ, for body texts and rules alike; see `macros.set_clock`."""


def apply(function: Function, arguments: Sequence[Typed], span: Span | None = None,
          spans: Sequence[Span | None] = (), zone: str = "'UTC'") -> Typed:
    """A call of `function`: arguments coerced, body filled in, result typed."""
    args = coerce(function, arguments, span, spans)
    try:
        result = function.result if isinstance(function.result, DataType) else function.result(args)
        sql = _filled(function.body, args) if isinstance(function.body, str) else function.body(args)
    except SQLTypeError as error:
        error.span = error.span or span
        raise
    nullable = {"propagate": any(a.type.nullable for a in args), "never": False, "always": True,
                "rule": result.nullable}[function.nulls]
    return Typed(f"({sql.replace(ZONE, zone)})", result.as_nullable(nullable),
                 deterministic=function.deterministic and all(a.deterministic for a in args),
                 aggregate=any(a.aggregate for a in args))


def _filled(body: str, args: Sequence[Typed]) -> str:
    sqls = [a.sql for a in args]
    return body.format(*sqls, all=", ".join(sqls), zone=ZONE)


def same(index: int = 0) -> Callable[[Sequence[Typed]], DataType]:
    """Result rule: the type of an argument."""
    return lambda args: args[index].type


def element(index: int = 0) -> Callable[[Sequence[Typed]], DataType]:
    """Result rule: the element type of an array argument."""
    return lambda args: args[index].type.children[0]


def of_lengths(rule: Callable[[list[int]], int]) -> Callable[[Sequence[Typed]], DataType]:
    """Result rule: VARCHAR of a length computed from the arguments' lengths."""
    return lambda args: replace(STRING, precision=rule([a.type.precision for a in args]))


def by_arity(*bodies: str) -> Callable[[Sequence[Typed]], str]:
    """Body rule: one text a number of arguments, the shortest first."""
    def body(args: Sequence[Typed]) -> str:
        least = len(args) - min(text_arity(b) for b in bodies)
        return _filled(bodies[least], args)
    return body


def text_arity(body: str) -> int:
    """One more than the highest `{n}` of a body text."""
    return max((i + 1 for i in range(9) if f"{{{i}}}" in body), default=0)

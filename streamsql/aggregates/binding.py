"""From a call's name and bound arguments to an Aggregate, or the error that says why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from streamsql.aggregates.aggregate import Aggregate, Function
from streamsql.aggregates.bitmaps import BITMAPS
from streamsql.aggregates.duckdb import DUCKDB
from streamsql.aggregates.flink import FLINK
from streamsql.core.typed import Typed
from streamsql.core.types import DataType
from streamsql.errors import BindError, SQLTypeError, did_you_mean

FUNCTIONS: dict[str, Function] = {
    name: function for function in (*DUCKDB, *FLINK, *BITMAPS) for name in (function.name, *function.aliases)}
"""Every aggregate by each of its names, upper case."""

_NOT_COMPARED = ("ARRAY", "MAP", "MULTISET", "ROW", "VARIANT", "BITMAP", "BINARY", "VARBINARY")
_FAMILIES: dict[str, tuple[str, Callable[[Typed], bool]]] = {
    "any": ("a value", lambda _: True),
    "numeric": ("a number", lambda a: a.type.is_numeric),
    "integer": ("an integer", lambda a: a.type.is_integer),
    "int": ("an INT, SMALLINT or TINYINT", lambda a: a.type.is_integer and a.type.root != "BIGINT"),
    "bitmap": ("a BITMAP", lambda a: a.type.root == "BITMAP"),
    "numbers": ("a number or an ARRAY of numbers", lambda a: a.type.is_numeric or _of_numbers(a.type)),
    "character": ("a text", lambda a: a.type.is_character),
    "literal": ("a literal", lambda a: a.is_literal),
    "boolean": ("a BOOLEAN", lambda a: a.type.root == "BOOLEAN"),
    "compared": ("a number, text, time or BOOLEAN", lambda a: a.type.root not in _NOT_COMPARED),
}


def _of_numbers(kind: DataType) -> bool:
    return kind.root == "ARRAY" and kind.children[0].is_numeric


def is_aggregate(name: str) -> bool:
    """True if `name`, in any case, is an aggregate function."""
    return name.upper() in FUNCTIONS


def bind(name: str, args: Sequence[Typed], *, distinct: bool = False, filter: Typed | None = None,
         order: Sequence[tuple[Typed, bool]] = (), grouped: bool = True,
         function: Function | None = None) -> Aggregate:
    """The aggregate of a call `name(args)`; `COUNT(*)` has no arguments.

    order    of ORDER BY inside the call: expression, and whether descending
    grouped  False if it may be over no rows at all (no GROUP BY): then its type is nullable
    function its row, if it is a user function's and so not in the table
    Raises BindError for an unknown name, SQLTypeError for arguments it does not take; without
    a span, which the caller knows.
    """
    function = function or FUNCTIONS.get(name.upper())
    if function is None:
        raise BindError(f'aggregate function "{name}" does not exist',
                        hint=did_you_mean(name.upper(), FUNCTIONS, "Aggregates"))
    _check(function, args, distinct)
    kind = function.result(args)
    if not function.never_null and function.name not in ("ARRAY_AGG", "LISTAGG") and (filter or not grouped):
        kind = kind.as_nullable()
    return Aggregate(name.upper(), kind, tuple(a.sql for a in args), tuple(a.type for a in args),
                     filter.sql if filter else None, distinct,
                     tuple((a.sql, down) for a, down in order), function)


def _check(function: Function, args: Sequence[Typed], distinct: bool) -> None:
    name, most = function.name, len(function.arguments)
    least = most - function.optional
    if distinct and (not function.distinct or (name == "PERCENTILE" and len(args) == most)):
        raise SQLTypeError(f"{name} does not take DISTINCT here", hint=f"Write {function.signature}.")
    if not least <= len(args) <= most:
        takes = str(most) if least == most else f"{least} to {most}"
        if distinct and name == "COUNT":
            raise SQLTypeError("COUNT(DISTINCT …) takes one value", hint="Write COUNT(DISTINCT ROW(a, b)).")
        raise SQLTypeError(f"{name} takes {takes} argument{'s' * (takes != '1')}, not {len(args)}",
                           hint=f"Write {function.signature}.")
    if distinct and not args:
        raise SQLTypeError(f"{name}(DISTINCT *) has no meaning", hint=f"Write {function.signature}.")
    for position, (arg, family) in enumerate(zip(args, function.arguments, strict=False), 1):
        wanted, accepts = _FAMILIES[family]
        if not accepts(arg):
            what = "an expression" if family == "literal" else str(arg.type.as_nullable())
            raise SQLTypeError(f"argument {position} of {name} must be {wanted}, not {what}",
                               hint=f"Write {function.signature}.")
    if name == "PERCENTILE":
        _check_percentage(args[1])


def _check_percentage(arg: Typed) -> None:
    if '"' in arg.sql:
        raise SQLTypeError("the percentage of PERCENTILE must be a constant", hint="Write 0.5 for the median.")
    for value in arg.literal if isinstance(arg.literal, tuple) else (arg.literal,):
        if isinstance(value, int | float | Decimal) and not 0 <= value <= 1:
            raise SQLTypeError(f"the percentage of PERCENTILE is {value}, which is not within [0, 1]",
                               hint="Write 0.5 for the median.")

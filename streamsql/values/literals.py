"""Literals: the type that Flink reads from what is written, and the same constant in DuckDB."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from decimal import Decimal

from streamsql.core.schema import text_literal
from streamsql.core.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    INT,
    NULL,
    DataType,
    char,
    decimal,
    time,
    timestamp,
)
from streamsql.errors import SQLTypeError
from streamsql.sql import exp, interval_type, interval_value, span_of
from streamsql.values.promotion import MILLISECONDS, MONTHS
from streamsql.values.typed import Typed

_MOST = 2**63 - 1


def number(tree: exp.Expr, *, negative: bool = False) -> Typed:
    """A number as written: INT or BIGINT, DECIMAL with a point, DOUBLE with an exponent; `negative` after a minus.

    Raises SQLTypeError beyond BIGINT, beyond its digits for a decimal, and beyond DOUBLE, as Flink does.
    """
    text = tree.name.removesuffix(".")
    sign = "-" if negative else ""
    if "e" in text.lower():
        try:
            value = float(text)
        except ValueError:
            raise SQLTypeError(f"{text} is no number", span_of(tree), hint="write a whole exponent: 1.5e-3") from None
        if value in (float("inf"), float("-inf")):
            raise _out_of_range(tree)
        value = -value if negative and value else value  # Flink's -0e0 is 0
        return _constant(f"CAST('{value!r}' AS DOUBLE)", DOUBLE, value)
    if "." in text:
        digits = text.replace(".", "")
        if int(digits) > _MOST:
            raise _out_of_range(tree)
        scale = len(text) - text.index(".") - 1
        type_ = decimal(max(len(digits), 1), scale)
        return _constant(f"CAST('{sign}{text}' AS {type_.duck_type()})", type_, Decimal(sign + text))
    whole = int(sign + text)
    if not -_MOST - 1 <= whole <= _MOST:
        raise _out_of_range(tree)
    type_ = INT if -2**31 <= whole < 2**31 else BIGINT
    plain = not negative and (type_ is INT or whole >= 2**31)
    return _constant(text if plain else f"CAST('{whole}' AS {type_.duck_type()})", type_, whole)


def string(tree: exp.Expr) -> Typed:
    """A string is CHAR of its length, which Java counts in units of 16 bits."""
    length = len(tree.name.encode("utf-16-le")) // 2
    return _constant(text_literal(tree.name), char(length), tree.name)


def literal(tree: exp.Expr) -> Typed:
    return string(tree) if tree.args.get("is_string") else number(tree)


def binary(tree: exp.Expr) -> Typed:
    digits = str(tree.this)
    if len(digits) % 2 or not re.fullmatch("[0-9a-fA-F]*", digits):
        raise SQLTypeError(f"X'{digits}' is no binary literal", span_of(tree),
                           hint="write an even number of hexadecimal digits")
    return _constant(f"unhex('{digits}')", DataType("BINARY", precision=len(digits) // 2), bytes.fromhex(digits))


def boolean(tree: exp.Expr) -> Typed:
    return _constant("true" if tree.this else "false", BOOLEAN, bool(tree.this))


def null(tree: exp.Expr) -> Typed:
    return Typed("NULL", NULL, is_literal=True)


def interval(tree: exp.Expr) -> Typed:
    """Its value is months or microseconds; days and shorter keep milliseconds."""
    assert isinstance(tree, exp.Interval)
    size = interval_value(tree)
    if interval_type(tree).root == MONTHS.root:
        return _constant(f"to_months({size})", MONTHS, size)
    kept = int(size / 1000) * 1000
    return _constant(f"to_microseconds({kept})", MILLISECONDS, kept)


def moment(tree: exp.Expr) -> Typed:
    """`DATE '…'`, `TIME '…'`, `TIMESTAMP '…'`."""
    kind, text = tree.this.name.upper(), tree.expression.name
    pattern, read, form = _MOMENTS[kind]
    found = re.fullmatch(pattern, text)
    try:
        if found is None:
            raise ValueError(text)
        typed = read(*found.groups(default=""))
    except ValueError:
        raise SQLTypeError(f"'{text}' is no {kind}", span_of(tree), hint=f"write {kind} '{form}'") from None
    except OverflowError:
        raise SQLTypeError(f"'{text}' is out of range: nanoseconds are held from 1678 to 2261", span_of(tree),
                           hint="write at most 6 digits of the fraction") from None
    return typed


def _date(text: str) -> Typed:
    day = datetime.date.fromisoformat(_padded(text))
    return _constant(f"CAST('{day}' AS DATE)", DATE, day)


def _time(clock: str, fraction: str) -> Typed:
    at = _clock(clock)
    kept = fraction[:9]
    return _constant(f"CAST('{at}{'.' + kept if kept else ''}' AS TIME)", time(len(kept)), str(at))


def _timestamp(day: str, clock: str, fraction: str) -> Typed:
    at = datetime.datetime.combine(datetime.date.fromisoformat(_padded(day)),
                                   _clock(clock or "0:0:0"))
    kept = fraction[:9]
    type_ = timestamp(len(kept))
    if len(kept) > 6 and not 1678 <= at.year <= 2261:
        raise OverflowError(day)
    shown = f"{at:%Y-%m-%d %H:%M:%S}".rjust(19, "0") + (f".{kept}" if kept else "")
    return _constant(f"CAST('{shown}' AS {type_.duck_type()})", type_, shown)


def _clock(text: str) -> datetime.time:
    hour, minute, second = map(int, text.split(":"))
    return datetime.time(hour, minute, second)


def _padded(day: str) -> str:
    year, month, date = day.split("-")
    return f"{year:0>4}-{month:0>2}-{date:0>2}"


_DAY = r"(\d{1,4}-\d{1,2}-\d{1,2})"
_CLOCK = r"(\d{1,2}:\d{1,2}:\d{1,2})(?:\.(\d*))?"
_MOMENTS: dict[str, tuple[str, Callable[..., Typed], str]] = {
    "DATE": (_DAY, _date, "2024-12-31"),
    "TIME": (_CLOCK, _time, "23:59:59"),
    "TIMESTAMP": (f"{_DAY}(?: {_CLOCK})?", _timestamp, "2024-12-31 23:59:59"),
}


def _constant(sql: str, type_: DataType, value: object) -> Typed:
    return Typed(sql, type_.not_null(), literal=value, is_literal=True)


def _out_of_range(tree: exp.Expr) -> SQLTypeError:
    return SQLTypeError(f"number {tree.name} is out of range", span_of(tree),
                        hint="write it as a string and CAST it: CAST('…' AS DECIMAL(38, 0))")

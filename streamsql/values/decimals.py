"""Decimals beyond DuckDB's 38 digits: what `udfs` calls for the types that may need them."""

from __future__ import annotations

import decimal
from decimal import Decimal

from streamsql.errors import DataError

_EXACT = decimal.Context(prec=160, rounding=decimal.ROUND_HALF_UP)


def total(a: str, b: str, scale: int) -> str:
    """`a + b`, rounded half up to `scale` digits after the point."""
    return _shown(_EXACT.add(Decimal(a), Decimal(b)), scale)


def product(a: str, b: str, scale: int) -> str:
    """`a * b`, likewise."""
    return _shown(_EXACT.multiply(Decimal(a), Decimal(b)), scale)


def quotient(a: str, b: str, scale: int) -> str:
    """`a / b`, likewise. Raises DataError if `b` is zero."""
    if not Decimal(b):
        raise DataError("division by zero")
    return _shown(_EXACT.divide(Decimal(a), Decimal(b)), scale)


def remainder(a: str, b: str, scale: int) -> str:
    """What is left of `a` when whole `b`s are taken off. Raises DataError if `b` is zero."""
    if not Decimal(b):
        raise DataError("division by zero")
    return _shown(_EXACT.remainder(Decimal(a), Decimal(b)), scale)


def rounded(value: str, digits: int, cut: bool) -> str:
    """`value` with `digits` after the point, or zeros before it; cut off or rounded half up."""
    number, unit = Decimal(value), Decimal(1).scaleb(-digits)
    if digits >= -int(number.as_tuple().exponent):  # it has no more digits
        return value
    how = decimal.ROUND_DOWN if cut else decimal.ROUND_HALF_UP
    return format(number.quantize(unit, rounding=how, context=_EXACT), "f")


def _shown(value: Decimal, scale: int) -> str:
    return format(value.quantize(Decimal(1).scaleb(-scale), context=_EXACT), "f")

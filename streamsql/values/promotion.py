"""Promotion: the type that several types share, and the digits of decimal arithmetic.

Flink's rules, which are Calcite's with Flink's decimals. Nothing here makes SQL; `casts` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from streamsql.core.types import (
    APPROXIMATE,
    DOUBLE,
    INTEGERS,
    INTERVALS,
    MAX_LENGTH,
    DataType,
    decimal,
)

MAX_PRECISION = 38
MIN_DIVISION_SCALE = 6
DIGITS = {"TINYINT": 3, "SMALLINT": 5, "INT": 10, "BIGINT": 19}
"""Decimal digits that hold every value of an integer type."""

Rule = Callable[[DataType, DataType], "DataType | None"]
"""The common type of two of one family; nullability is settled by the caller."""

_RANK = {root: rank for rank, root in enumerate(INTEGERS)}


def as_decimal(type_: DataType) -> DataType:
    """The decimal that holds an exact number: itself, or an integer's digits."""
    if type_.root == "DECIMAL":
        return type_
    return decimal(DIGITS[type_.root], 0).as_nullable(type_.nullable)


def fitted(precision: int, scale: int) -> DataType:
    """The decimal of these digits within 38: whole digits win, but up to 6 of the scale stay."""
    if precision <= MAX_PRECISION:
        return decimal(precision, scale)
    whole = precision - scale
    kept = min(scale, MIN_DIVISION_SCALE)
    return decimal(MAX_PRECISION, max(MAX_PRECISION - whole, kept))


def decimal_sum(a: DataType, b: DataType) -> DataType:
    scale = max(a.scale, b.scale)
    return fitted(max(a.precision - a.scale, b.precision - b.scale) + scale + 1, scale)


def decimal_product(a: DataType, b: DataType) -> DataType:
    return fitted(a.precision + b.precision + 1, a.scale + b.scale)


def decimal_quotient(a: DataType, b: DataType) -> DataType:
    scale = max(MIN_DIVISION_SCALE, a.scale + b.precision + 1)
    return fitted(a.precision - a.scale + b.scale + scale, scale)


def decimal_remainder(a: DataType, b: DataType) -> DataType:
    scale = max(a.scale, b.scale)
    return fitted(min(a.precision - a.scale, b.precision - b.scale) + scale, scale)


def common_type(types: Sequence[DataType]) -> DataType | None:
    """The type that values of all these types become in CASE, COALESCE, UNION, VALUES, ARRAY; None: none.

    NULL literals take the others' type. Nullable if any is.
    """
    typed = [t for t in types if t.root != "NULL"]
    if not typed:
        return None
    common: DataType | None = typed[0]
    for other in typed[1:]:
        common = common and _pair(common, other)
    return common and common.as_nullable(any(t.nullable for t in types))


def merged_type(types: Sequence[DataType]) -> DataType | None:
    """`common_type` for the functions that choose among values: DOUBLE wins, a FLOAT after a decimal, an instant."""
    typed = [t for t in types if t.root != "NULL"]
    if typed and all(t.is_timestamp for t in typed):
        return common_type(sorted(types, key=lambda t: t.root == "TIMESTAMP_LTZ"))
    if not all(t.is_numeric for t in typed) or not any(t.root in APPROXIMATE for t in typed):
        return common_type(types)
    found = typed[0].root
    for root in (t.root for t in typed[1:]):
        if "DOUBLE" in (found, root) or (found == "FLOAT" and root == "DECIMAL"):
            found = "DOUBLE"
        elif "FLOAT" in (found, root):
            found = "FLOAT"
        else:
            found = "DECIMAL" if "DECIMAL" in (found, root) else found
    return DataType(found, nullable=any(t.nullable for t in types))


def _pair(a: DataType, b: DataType) -> DataType | None:
    """The common type of two, by family; nullability is the caller's."""
    nullable = a.nullable or b.nullable
    if a.as_nullable() == b.as_nullable():
        return a.as_nullable(nullable)
    for belongs, rule in _FAMILIES:
        if belongs(a) and belongs(b):
            found = rule(a, b)
            return found and found.as_nullable(nullable)
    return None


def _numbers(a: DataType, b: DataType) -> DataType:
    """Of two approximate types the first wins; with a decimal it is DOUBLE; decimals widen."""
    approximate = [t for t in (a, b) if t.root in APPROXIMATE]
    if approximate:
        return DOUBLE if "DECIMAL" in (a.root, b.root) else approximate[0]
    if "DECIMAL" in (a.root, b.root):
        x, y = as_decimal(a), as_decimal(b)
        scale = max(x.scale, y.scale)
        whole = max(x.precision - x.scale, y.precision - y.scale)
        precision = min(whole + scale, MAX_PRECISION)
        return decimal(precision, min(scale, max(precision - whole, 0)))
    return max(a, b, key=lambda t: _RANK[t.root])


def _sequences(fixed: str, varying: str) -> Rule:
    """CHAR with CHAR of one length stays CHAR; otherwise VARCHAR of the longer (so too of bytes)."""
    def rule(a: DataType, b: DataType) -> DataType:
        length = max(a.precision, b.precision)
        same = a.root == b.root == fixed and a.precision == b.precision
        return DataType(fixed if same else varying, precision=min(length, MAX_LENGTH))
    return rule


def _timestamps(a: DataType, b: DataType) -> DataType:
    """Of the two kinds the later one."""
    return DataType(b.root, precision=max(a.precision, b.precision))


MONTHS = DataType(INTERVALS[0], unit="MONTH")
MILLISECONDS = DataType(INTERVALS[1], scale=3, unit="SECOND(3)")
"""What Flink makes of every interval of a kind, whatever units it was written with."""


def _intervals(a: DataType, b: DataType) -> DataType | None:
    return {INTERVALS[0]: MONTHS, INTERVALS[1]: MILLISECONDS}[a.root] if a.root == b.root else None


def _nested(a: DataType, b: DataType) -> DataType | None:
    """ARRAY, MAP, MULTISET, ROW: child by child; a row keeps the first's names."""
    if (a.root, a.class_name) != (b.root, b.class_name) or len(a.children) != len(b.children):
        return None
    children = [_pair(x, y) for x, y in zip(a.children, b.children)]
    if any(c is None for c in children):
        return None
    return replace(a, children=tuple(c for c in children if c))


def _same_root(a: DataType, b: DataType) -> DataType | None:
    return replace(a, precision=max(a.precision, b.precision)) if a.root == b.root else None


_FAMILIES: tuple[tuple[Callable[[DataType], bool], Rule], ...] = (
    (lambda t: t.is_numeric, _numbers),
    (lambda t: t.is_character, _sequences("CHAR", "VARCHAR")),
    (lambda t: t.is_binary, _sequences("BINARY", "VARBINARY")),
    (lambda t: t.is_timestamp, _timestamps),
    (lambda t: t.is_interval, _intervals),
    (lambda t: bool(t.children), _nested),
    (lambda _: True, _same_root),
)

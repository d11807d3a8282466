"""Periods: the difference of two moments as an interval, and whether two periods overlap."""

from __future__ import annotations

from streamsql.core.types import BOOLEAN, DataType
from streamsql.errors import Span, SQLTypeError
from streamsql.values.arithmetic import arithmetic
from streamsql.values.casts import UTC
from streamsql.values.comparison import aligned, compare
from streamsql.values.let import let_all
from streamsql.values.promotion import MILLISECONDS, MONTHS
from streamsql.values.time_units import difference
from streamsql.values.typed import Typed

_MOMENTS = ("DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ")


def elapsed(later: Typed, earlier: Typed, unit: str, span: Span | None = None, zone: str = UTC) -> Typed:
    """`(later - earlier) unit`: whole months, or years of them; else milliseconds, whatever the unit."""
    if later.type.root not in _MOMENTS or earlier.type.root not in _MOMENTS:
        raise SQLTypeError(f"an interval of {unit} is between two moments, not {later.type.as_nullable()} and "
                           f"{earlier.type.as_nullable()}", span)
    a, b = aligned("=", later, earlier, span, zone)
    if unit in ("YEAR", "QUARTER", "MONTH", "YEAR TO MONTH"):
        months = difference("MONTH", b.sql, b.type, a.sql, a.type)
        return _of(f"to_months({months})", MONTHS.as_nullable(_nullable(a, b)), a, b)
    if a.type.root == "DATE":
        sql = f"to_microseconds(CAST({a.sql} - {b.sql} AS BIGINT) * 86400000000)"
    elif a.type.root == "TIME":
        sql = f"to_microseconds(epoch_us({a.sql}) - epoch_us({b.sql}))"
    else:
        sql = f"to_microseconds((epoch_ms({a.sql}) - epoch_ms({b.sql})) * 1000)"
    return _of(sql, MILLISECONDS.as_nullable(_nullable(a, b)), a, b)


def overlap(left: tuple[Typed, Typed], right: tuple[Typed, Typed], span: Span | None = None,
            zone: str = UTC) -> Typed:
    """`(a, b) OVERLAPS (c, d)`: the ends in either order, or a start and an interval; touching counts."""
    ends = [*_period(left, span), *_period(right, span)]

    def body(names: list[str]) -> str:
        a, b, c, d = (Typed(n, e.type) for n, e in zip(names, ends))
        first, second = (tuple(_sorted(x, y, span, zone)) for x, y in ((a, b), (c, d)))
        return (f"{compare('<=', first[0], second[1], span, zone).sql} AND "
                f"{compare('<=', second[0], first[1], span, zone).sql}")

    nullable = any(e.type.nullable for e in ends)
    return _of(f"({let_all([e.sql for e in ends], body)})", BOOLEAN.as_nullable(nullable), *ends)


def _period(ends: tuple[Typed, Typed], span: Span | None) -> tuple[Typed, Typed]:
    start, end = ends
    if not end.type.is_interval:
        return start, end
    moved = arithmetic("+", start, end)
    if moved is None:
        raise SQLTypeError(f"a period does not begin with {start.type.as_nullable()}", span)
    return start, moved


def _sorted(a: Typed, b: Typed, span: Span | None, zone: str) -> tuple[Typed, Typed]:
    x, y = aligned("<", a, b, span, zone)
    nullable = _nullable(x, y)
    unknown = f"{x.sql} IS NULL OR {y.sql} IS NULL"
    low, high = (f"CASE WHEN {unknown} THEN NULL ELSE {f}({x.sql}, {y.sql}) END" for f in ("least", "greatest"))
    kind = x.type.as_nullable(nullable)
    return Typed(low, kind), Typed(high, kind)


def _nullable(*values: Typed) -> bool:
    return any(v.type.nullable for v in values)


def _of(sql: str, type_: DataType, *values: Typed) -> Typed:
    return Typed(sql, type_, deterministic=all(v.deterministic for v in values),
                 aggregate=any(v.aggregate for v in values))

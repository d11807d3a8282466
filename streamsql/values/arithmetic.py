"""Arithmetic: `+ - * / %` and the minus sign, over numbers, times and intervals, as in Flink.

Whole numbers wrap around as in Java, and divide to whole numbers; decimals get Flink's digits and are
NULL when the value has more; floats follow IEEE 754. Intervals of months and of days never mix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from streamsql.core.types import APPROXIMATE, INTERVALS, DataType
from streamsql.values import macros
from streamsql.values.casts import cast
from streamsql.values.conversions import family
from streamsql.values.let import let, let_all
from streamsql.values.promotion import (
    MAX_PRECISION,
    MILLISECONDS,
    as_decimal,
    common_type,
    decimal_product,
    decimal_quotient,
    decimal_remainder,
    decimal_sum,
)
from streamsql.values.typed import Typed

Operator = Callable[[Typed, Typed], Typed | None]
"""What an operator gives for two operands; None: it does not take them."""


def arithmetic(sign: str, left: Typed, right: Typed) -> Typed | None:
    """`left sign right`, nullable if either is; None if there is no such operation."""
    kinds = (_kind(left.type), _kind(right.type))
    rule = _TEMPORAL.get((kinds[0], sign, kinds[1])) if kinds != ("number", "number") else _number(sign, left, right)
    found = rule(left, right) if rule else None
    return found and Typed(found.sql, found.type.as_nullable(left.type.nullable or right.type.nullable),
                           deterministic=left.deterministic and right.deterministic,
                           aggregate=left.aggregate or right.aggregate)


def negated(value: Typed) -> Typed | None:
    """`- value`."""
    kind = value.type
    if kind.is_integer:
        return _of(macros.call(f"f_neg_{kind.root.lower()}", value.sql), kind, value)
    if kind.is_interval:
        return _of(f"(-{value.sql})", kind, value)
    if not kind.is_numeric:
        return None
    return _of(f"(-{value.sql})", kind, value)


def _of(sql: str, type_: DataType, value: Typed) -> Typed:
    return Typed(sql, type_, deterministic=value.deterministic, aggregate=value.aggregate)


def _kind(type_: DataType) -> str:
    return "number" if type_.is_numeric else family(type_)


# ------------------------------------------------------------------------------------------------- numbers

def _number(sign: str, left: Typed, right: Typed) -> Operator | None:
    roots = {left.type.root, right.type.root}
    if roots & {*APPROXIMATE}:
        return None if sign == "%" else lambda a, b: _approximate(sign, a, b)
    if "DECIMAL" in roots:
        return lambda a, b: _DECIMAL[sign](a, b)
    return lambda a, b: _whole(sign, a, b)


def _approximate(sign: str, left: Typed, right: Typed) -> Typed:
    """Computed in DOUBLE if anything is DOUBLE or DECIMAL; the type is the common one."""
    type_ = common_type([left.type, right.type])
    assert type_ is not None
    wide = {left.type.root, right.type.root} & {"DOUBLE", "DECIMAL"}
    name = "DOUBLE" if wide else "FLOAT"
    a, b = (v.sql if v.type.root == name else f"CAST({v.sql} AS {name})" for v in (left, right))
    sql = f"({a} {sign} {b})"
    return Typed(sql if type_.root == name else macros.call("f_double_to_float", sql), type_)


def _whole(sign: str, left: Typed, right: Typed) -> Typed:
    type_ = common_type([left.type, right.type])
    assert type_ is not None
    root = type_.root.lower()
    if sign in "+-*":
        wide = "HUGEINT" if type_.root == "BIGINT" else "BIGINT"
        return Typed(macros.call(f"f_wrap_{root}", f"(CAST({left.sql} AS {wide}) {sign} {right.sql})"), type_)
    safe = right.is_literal and right.literal not in (0, -1)
    result = type_ if sign == "/" else right.type
    if safe:
        sql = f"({left.sql} {'//' if sign == '/' else '%'} {right.sql})"
    else:
        sql = macros.call(f"f_div_{root}" if sign == "/" else "f_mod", left.sql, right.sql)
    return Typed(f"CAST({sql} AS {result.duck_type()})", result)


def _sum(sign: str) -> Operator:
    def rule(left: Typed, right: Typed) -> Typed:
        a, b = as_decimal(left.type), as_decimal(right.type)
        type_ = decimal_sum(a, b)
        scale = max(a.scale, b.scale)
        if max(a.precision - a.scale, b.precision - b.scale) + scale + 1 <= MAX_PRECISION:
            return Typed(f"CAST(({_exact(left)} {sign} {_exact(right)}) AS {type_.duck_type()})", type_)
        return Typed(_guarded_sum(sign, left, right, type_, MAX_PRECISION - scale - 1), type_)
    return rule


def _guarded_sum(sign: str, left: Typed, right: Typed, type_: DataType, whole: int) -> str:
    """DuckDB's sum where it surely has room for the whole digits, else by way of 76 digits."""
    kinds = [as_decimal(v.type) for v in (left, right)]

    def body(names: list[str]) -> str:
        x, y = (Typed(n, k) for n, k in zip(names, kinds))
        size = " + ".join(f"abs(CAST({n} AS DOUBLE))" for n in names)
        slow = _wide("f_decimal_sum", x, Typed(f"(-{y.sql})" if sign == "-" else y.sql, y.type), type_)
        return (f"CASE WHEN {size} < 9e{whole} THEN TRY_CAST(({x.sql} {sign} {y.sql}) AS {type_.duck_type()}) "
                f"ELSE {slow} END")

    return let_all([_exact(left), _exact(right)], body)


def _product(left: Typed, right: Typed) -> Typed:
    a, b = as_decimal(left.type), as_decimal(right.type)
    type_ = decimal_product(a, b)
    if a.precision + b.precision > MAX_PRECISION:
        return Typed(_wide("f_decimal_product", left, right, type_), type_)
    wide = f"DECIMAL({min(max(a.precision + b.precision, 19), 38)},{a.scale})"  # else DuckDB keeps to 18 digits
    return Typed(f"CAST((CAST({left.sql} AS {wide}) * {_exact(right)}) AS {type_.duck_type()})", type_)


def _quotient(left: Typed, right: Typed) -> Typed:
    """Whole numbers of units divide exactly; what needs more than 38 digits takes the slow way."""
    a, b = as_decimal(left.type), as_decimal(right.type)
    type_ = decimal_quotient(a, b)
    shift = type_.scale - a.scale + b.scale
    fits = a.precision + shift <= MAX_PRECISION and b.precision < MAX_PRECISION and shift >= 0 and all(
        t.precision + t.scale < MAX_PRECISION for t in (a, b))
    if not fits:
        return Typed(_wide("f_decimal_quotient", left, right, type_), type_)
    units = _divided(left, right, a, b, shift)
    unit = f"CAST('{'0.' + '0' * (type_.scale - 1) + '1'}' AS DECIMAL({type_.scale},{type_.scale}))"
    sql = f"(CAST({units} AS DECIMAL(38,0)) * {unit})" if type_.scale else units
    return Typed(f"CAST({sql} AS {type_.duck_type()})", type_)


def _divided(left: Typed, right: Typed, a: DataType, b: DataType, shift: int) -> str:
    """`left * 10^shift / right` in units, rounded half away from zero; an error where `right` is zero."""
    n, d = _units(left, a, "HUGEINT"), _units(right, b, "HUGEINT")
    constant = right.is_literal and bool(right.literal)
    exact = _ratio(f"({n} * CAST('{10 ** shift}' AS HUGEINT))", d, a.precision + shift, constant)
    size = abs(int(Decimal(str(right.literal)).scaleb(b.scale))) if constant else 10 ** b.precision - 1
    chunk = max(18 - len(str(size)), _CHUNK)
    if shift > 3 * chunk or (constant and size >= 10 ** _CHUNK):
        return exact
    quick_n, quick_d = _quick_units(left, a), _quick_units(right, b)
    if size >= 10 ** _CHUNK:
        quick_d = f"CAST(TRY_CAST({quick_d} AS INTEGER) AS BIGINT)"
    long = _long_division(quick_n, quick_d, shift, chunk, a.precision + shift)
    if constant and "TRY_CAST" not in quick_n:
        return long
    return f"COALESCE({long}, CASE WHEN {left.sql} IS NOT NULL THEN {exact} END)"


_CHUNK = 9
"""Digits that long division surely finds at once: a remainder below 2^31 times 10^9 is a BIGINT."""


def _long_division(n: str, d: str, shift: int, chunk: int, digits: int) -> str:
    """`n * 10^shift / d` as in school, some digits at a time, in BIGINT alone: DuckDB divides HUGEINTs in 800 ns.

    NULL if `n` or `d` is, which is so where they have too many digits, and if `d` is zero. Parts are
    repeated as text, which DuckDB computes once.
    """
    wide = "BIGINT" if digits <= 18 else "HUGEINT"
    parts, rest, left = [f"(CAST({n} // {d} AS {wide}) * CAST('{10 ** shift}' AS {wide}))"], f"({n} % {d})", shift
    while left:
        step = min(left, chunk)
        left -= step
        grown = f"({rest} * {10 ** step})"
        found = f"({grown} // {d})"
        parts.append(f"(CAST({found} AS {wide}) * CAST('{10 ** left}' AS {wide}))" if left else found)
        rest = f"({grown} % {d})"
    return f"({' + '.join(parts)} + (2 * {rest}) // {d})"


def _ratio(n: str, d: str, digits: int, constant: bool) -> str:
    """Whole `n` by whole `d`, rounded half away from zero.

    DuckDB divides HUGEINTs in 800 ns. A quotient of DOUBLEs has 52 right bits; that of what is left
    over adds 52 more, and what then is off by one shows in the last remainder: 150 ns. The guesses
    are repeated as text, which DuckDB computes once, since a variable costs more than they do.
    """
    def body(names: list[str]) -> str:
        x, y = names
        size, divisor = f"abs({x})", f"abs({y})"
        found = f"f_guess({size}, {divisor})"
        for _ in range(1 if digits <= 30 else 2):
            found = f"({found} + f_guess({size} - {found} * {divisor}, {divisor}))"
        sign = f"CASE WHEN ({x} < 0) = ({y} < 0) THEN 1 ELSE -1 END"
        return f"f_settled({size}, {divisor}, {found}) * {sign}"

    if constant:
        return let(n, lambda x: body([x, d]), "dividend")
    return let_all([n, d], lambda names: let(f"f_divisor({names[0]}, {names[1]})",
                                             lambda y: body([names[0], y]), "divisor"))


def _remainder(left: Typed, right: Typed) -> Typed:
    a, b = as_decimal(left.type), as_decimal(right.type)
    type_ = right.type if not a.scale and not b.scale else decimal_remainder(a, b)
    if max(a.precision - a.scale, b.precision - b.scale) + max(a.scale, b.scale) > MAX_PRECISION:
        return Typed(_wide("f_decimal_remainder", left, right, type_), type_)  # DuckDB goes over to DOUBLE
    sql = macros.call("f_mod", _exact(left), _exact(right))
    return Typed(f"TRY_CAST({sql} AS {type_.duck_type()})", type_)


_DECIMAL: dict[str, Operator] = {"+": _sum("+"), "-": _sum("-"), "*": _product, "/": _quotient, "%": _remainder}


def _exact(value: Typed) -> str:
    """An operand as a decimal."""
    if value.type.root == "DECIMAL":
        return value.sql
    return f"CAST({value.sql} AS {as_decimal(value.type).duck_type()})"


def _units(value: Typed, type_: DataType, wide: str) -> str:
    """The whole number of units of the last digit."""
    if value.is_literal:
        return f"CAST('{int(Decimal(str(value.literal)).scaleb(type_.scale))}' AS {wide})"
    if not type_.scale:
        return f"CAST({value.sql} AS {wide})"
    width = min(type_.precision + type_.scale + 1, MAX_PRECISION)
    width = width if width <= 18 else max(width, 19)
    scaled = f"(CAST({value.sql} AS DECIMAL({width},{type_.scale})) * {10 ** type_.scale})"
    return f"CAST({scaled} AS {wide})"


_SURE = 15
"""Digits that a DOUBLE holds exactly."""


def _quick_units(value: Typed, type_: DataType) -> str:
    """`_units` as a BIGINT without HUGEINT arithmetic; NULL for some values that have too many digits for that."""
    p, s = type_.precision, type_.scale
    if value.is_literal or (not s and p <= 18) or (s and p + s + 1 <= 18):
        return _units(value, type_, "BIGINT")
    if not s:
        return f"TRY_CAST({value.sql} AS BIGINT)"
    if s > _SURE:
        return f"TRY_CAST({_units(value, type_, 'HUGEINT')} AS BIGINT)"
    held = value.sql if p <= _SURE else f"TRY_CAST({value.sql} AS DECIMAL({_SURE},{s}))"
    return f"CAST((CAST({held} AS DOUBLE) * 1e{s}) AS BIGINT)"


def _wide(name: str, left: Typed, right: Typed, type_: DataType) -> str:
    """By way of 76 digits, through text."""
    text = f"{name}(CAST({_exact(left)} AS VARCHAR), CAST({_exact(right)} AS VARCHAR), {type_.scale})"
    return f"TRY_CAST({text} AS {type_.duck_type()})"


# ------------------------------------------------------------------------------------- times and intervals

@dataclass(frozen=True, slots=True)
class _Shift:
    """A moment and an interval: the moment's type, its fraction cut to it."""

    sign: str
    swapped: bool = False

    def __call__(self, left: Typed, right: Typed) -> Typed:
        moment, interval = (right, left) if self.swapped else (left, right)
        return Typed(_SHIFTS[_kind(moment.type)](moment, self.sign, interval), moment.type)


def _shifted_date(moment: Typed, sign: str, interval: Typed) -> str:
    if interval.type.root == INTERVALS[0]:
        return f"CAST(({moment.sql} {sign} {interval.sql}) AS DATE)"
    return f"({moment.sql} {sign} CAST(epoch_ms({interval.sql}) // 86400000 AS INTEGER))"


def _shifted_time(moment: Typed, sign: str, interval: Typed) -> str:
    return moment.sql if interval.type.root == INTERVALS[0] else f"({moment.sql} {sign} {interval.sql})"


def _shifted_timestamp(moment: Typed, sign: str, interval: Typed) -> str:
    if moment.type.precision > 6 and interval.type.root == INTERVALS[1]:
        return f"make_timestamp_ns(epoch_ns({moment.sql}) {sign} epoch_ns({interval.sql}))"
    shifted = f"({moment.sql} {sign} {interval.sql})"
    if moment.type.precision > 6:
        return f"CAST({shifted} AS TIMESTAMP_NS)"
    if moment.type.precision >= 3 or interval.type.root == INTERVALS[0]:
        return shifted
    exact = Typed(shifted, DataType(moment.type.root, precision=3))
    return cast(exact, moment.type).sql


_SHIFTS: dict[str, Callable[[Typed, str, Typed], str]] = {
    "date": _shifted_date, "time": _shifted_time, "timestamp": _shifted_timestamp, "ltz": _shifted_timestamp,
}


def _intervals(sign: str) -> Operator:
    return lambda a, b: Typed(f"({a.sql} {sign} {b.sql})", a.type)


def _times(a: Typed, b: Typed) -> Typed | None:
    """An interval a whole number of times; other numbers have no such product."""
    interval, count = (b, a) if a.type.is_numeric else (a, b)
    if not count.type.is_integer:
        return None
    if interval.type.root == INTERVALS[0]:
        months = macros.call("f_months", interval.sql)
        return Typed(f"to_months(CAST({months} * {count.sql} AS INTEGER))", interval.type)
    return Typed(f"to_microseconds(epoch_us({interval.sql}) * {count.sql})", MILLISECONDS)


def _temporal() -> dict[tuple[str, str, str], Operator]:
    found: dict[tuple[str, str, str], Operator] = {}
    for interval in ("months", "days"):
        for moment in _SHIFTS:
            found[moment, "+", interval] = _Shift("+")
            found[moment, "-", interval] = _Shift("-")
            if moment != "ltz":
                found[interval, "+", moment] = _Shift("+", swapped=True)
        for sign in "+-":
            found[interval, sign, interval] = _intervals(sign)
        found[interval, "*", "number"] = found["number", "*", interval] = _times
    return found


_TEMPORAL = _temporal()

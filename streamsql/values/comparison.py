"""Comparison: which values Flink compares, what it makes of them first, and in what order NaN stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamsql.core.types import APPROXIMATE, BOOLEAN, NULL, STRING, DataType
from streamsql.errors import Span, SQLTypeError
from streamsql.values import macros
from streamsql.values.casts import UTC, cast
from streamsql.values.conversions import family
from streamsql.values.let import let
from streamsql.values.promotion import MAX_PRECISION, common_type
from streamsql.values.typed import Typed

_MACRO = {"=": "f_eq", "<>": "f_neq", ">": "f_gt", ">=": "f_gte", "<": "f_lt", "<=": "f_lte"}
_EQUALITY = ("=", "<>")
_WHOLE_DIGITS = 20
"""Digits before the point of a text read as a decimal, at least."""
_PERIODS = ("months", "days")
_MOMENTS = ("date", "time", "timestamp", "ltz")

Pair = tuple[Typed, Typed]


def compare(sign: str, left: Typed, right: Typed, span: Span | None = None, zone: str = UTC) -> Typed:
    """`left sign right`. Raises SQLTypeError if Flink does not compare the two."""
    a, b = aligned(sign, left, right, span, zone)
    nullable = left.type.nullable or right.type.nullable
    if _never_equal(a, b):
        sql = f"CASE WHEN {a.sql} IS NOT NULL AND {b.sql} IS NOT NULL THEN {'false' if sign == '=' else 'true'} END"
        return _boolean(f"({sql})", nullable, a, b)
    if a.sql == b.sql and a.deterministic and sign in _EQUALITY:
        # Flink simplifies x = x to x IS NOT NULL, so NaN is equal to itself there
        return _boolean(f"({a.sql} {sign} {b.sql})", nullable, a, b)
    unordered = [v for v in (a, b) if v.type.root in APPROXIMATE and not v.is_literal]
    if unordered:
        return _boolean(f"({_of_floats(sign, a, b, unordered)})", nullable, a, b)
    return _boolean(f"({a.sql} {sign} {b.sql})", nullable, a, b)


def _of_floats(sign: str, a: Typed, b: Typed, unordered: Sequence[Typed]) -> str:
    """A comparison that NaN fails, but for `<>`. Next to what is never NaN, only the larger side needs a guard."""
    x, y = (v.sql if v.is_literal or v.type.root in APPROXIMATE else f"CAST({v.sql} AS DOUBLE)" for v in (a, b))
    if len(unordered) == 2:
        return macros.call(_MACRO[sign], x, y)
    larger, other = (a, b) if sign in (">", ">=") else (b, a) if sign in ("<", "<=") else (None, None)
    if larger is None or other is None or larger not in unordered:
        return f"{x} {sign} {y}"
    known = f"{other.sql} IS NULL OR " if other.type.nullable else ""
    return f"{x} {sign} {y} AND ({known}{larger.sql} <= {macros.INFINITY})"


def distinct(left: Typed, right: Typed, span: Span | None = None, zone: str = UTC, *, equal: bool) -> Typed:
    """`left IS [NOT] DISTINCT FROM right`: never NULL."""
    a, b = aligned("=", left, right, span, zone)
    if _never_equal(a, b):
        sql = f"{a.sql} IS NULL AND {b.sql} IS NULL"
        return _boolean(f"({sql})" if equal else f"(NOT ({sql}))", False, a, b)
    return _boolean(f"({a.sql} IS {'NOT ' if equal else ''}DISTINCT FROM {b.sql})", False, a, b)


def _never_equal(a: Typed, b: Typed) -> bool:
    """Whether no value of the one is a value of the other."""
    return family(a.type) != family(b.type) and not (a.type.is_numeric and b.type.is_numeric)


def between(value: Typed, low: Typed, high: Typed, span: Span | None = None, zone: str = UTC, *,
            symmetric: bool = False) -> Typed:
    def bounded(x: Typed, a: Typed, b: Typed) -> str:
        return f"({compare('>=', x, a, span, zone).sql} AND {compare('<=', x, b, span, zone).sql})"

    def body(name: str) -> str:
        x = value if name == value.sql else Typed(name, value.type)
        return f"({bounded(x, low, high)} OR {bounded(x, high, low)})" if symmetric else bounded(x, low, high)

    nullable = any(v.type.nullable for v in (value, low, high))
    return _boolean(let(value.sql, body, "between"), nullable, value, low, high)


def among(value: Typed, listed: Sequence[Typed], span: Span | None = None, zone: str = UTC) -> Typed:
    """`value IN (…)`. Where strings meet numbers, all are compared as strings."""
    nullable = value.type.nullable or any(v.type.nullable for v in listed)
    if common_type([v.type for v in listed]) is None and any(v.type.root != "NULL" for v in listed):
        kinds = ", ".join(dict.fromkeys(str(v.type.as_nullable()) for v in listed))
        raise SQLTypeError(f"IN takes values of one type, not {kinds}", span, hint="write CAST on some")
    pairs = [aligned("=", *_as_texts(value, v), span, zone) for v in listed]
    if any(_never_equal(a, b) for a, b in pairs):
        raise _incomparable(value, listed[0], span)
    if all(a.sql == pairs[0][0].sql for a, _ in pairs) and value.type.root not in APPROXIMATE:
        members = ", ".join(b.sql for _, b in pairs)
        return _boolean(f"({pairs[0][0].sql} IN ({members}))", nullable, value, *listed)

    def body(name: str) -> str:
        x = value if name == value.sql else Typed(name, value.type)
        return " OR ".join(compare("=", *_as_texts(x, v), span, zone).sql for v in listed)

    return _boolean(f"({let(value.sql, body, 'among')})", nullable, value, *listed)


def aligned(sign: str, left: Typed, right: Typed, span: Span | None, zone: str = UTC) -> Pair:
    """The two as DuckDB compares them. Raises SQLTypeError if Flink does not."""
    a, b = left.type, right.type
    if "NULL" in (a.root, b.root):
        return _null_aligned(left, right)
    if a.children or b.children:
        return _nested(sign, left, right, span, zone)
    if a.is_numeric and b.is_numeric:
        return left, right
    found = _same(left, right, zone) or _RULES.get((family(a), family(b)), _refuse)(sign, left, right, zone)
    if found is None:
        raise _incomparable(left, right, span)
    return found


def _same(left: Typed, right: Typed, zone: str) -> Pair | None:
    if family(left.type) == family(right.type):
        return left, right
    if left.type.is_timestamp and right.type.is_timestamp:
        common = common_type([left.type, right.type])
        assert common is not None
        return cast(left, common, zone=zone), cast(right, common, zone=zone)
    return None


def _null_aligned(left: Typed, right: Typed) -> Pair:
    if left.type.root == right.type.root:
        return cast(left, BOOLEAN), cast(right, BOOLEAN)
    return (cast(left, right.type), right) if left.type.root == "NULL" else (left, cast(right, left.type))


def _nested(sign: str, left: Typed, right: Typed, span: Span | None, zone: str) -> Pair:
    """Collections and rows are equal or not; they have no order."""
    a, b = left.type, right.type
    if sign not in _EQUALITY or a.root != b.root or len(a.children) != len(b.children):
        raise _incomparable(left, right, span)
    common = common_type([a, b])
    if common is not None:
        return (cast(left, common, implicit=True, zone=zone), cast(right, common, implicit=True, zone=zone))
    return cast(left, STRING, zone=zone), cast(right, STRING, zone=zone)


Rule = Callable[[str, Typed, Typed, str], "Pair | None"]


def _refuse(sign: str, left: Typed, right: Typed, zone: str) -> None:
    return None


def _left_read(sign: str, left: Typed, right: Typed, zone: str) -> Pair:
    """The text on the left is read as what is on the right."""
    return cast(left, _reading(right.type), zone=zone), right


def _right_read(sign: str, left: Typed, right: Typed, zone: str) -> Pair:
    return left, cast(right, _reading(left.type), zone=zone)


def _reading(type_: DataType) -> DataType:
    """What a text is read as next to `type_`: a decimal has room for more digits on either side of its point."""
    if type_.root != "DECIMAL":
        return type_.as_nullable()
    scale = max(type_.scale, MAX_PRECISION - max(type_.precision - type_.scale, _WHOLE_DIGITS))
    return DataType("DECIMAL", precision=MAX_PRECISION, scale=scale)


def _number(rule: Rule) -> Rule:
    """Flink orders a number and a text, but finds no equality between them, unless one is known to be NULL."""
    def found(sign: str, left: Typed, right: Typed, zone: str) -> Pair | None:
        if _is_null(left) or _is_null(right):
            return _shown(sign, left, right, zone)
        return None if sign in _EQUALITY else rule(sign, left, right, zone)
    return found


def _is_null(value: Typed) -> bool:
    """Whether this is `CAST(NULL AS …)`."""
    return value.sql == cast(Typed("NULL", NULL), value.type).sql


def _unequal(sign: str, left: Typed, right: Typed, zone: str) -> Pair | None:
    """Flink finds no text equal to an interval, and no order between them."""
    return (left, right) if sign in _EQUALITY else None


def _shown(sign: str, left: Typed, right: Typed, zone: str) -> Pair:
    """A boolean is compared with a text as the text TRUE or FALSE."""
    return cast(left, STRING, zone=zone), cast(right, STRING, zone=zone)


_RULES: dict[tuple[str, str], Rule] = {
    **{("string", kind): _left_read for kind in _MOMENTS},
    **{(kind, "string"): _right_read for kind in _MOMENTS},
    **{("string", kind): _number(_left_read) for kind in ("integer", "decimal", "approximate")},
    **{(kind, "string"): _number(_right_read) for kind in ("integer", "decimal", "approximate")},
    **{("string", kind): _unequal for kind in _PERIODS},
    **{(kind, "string"): _unequal for kind in _PERIODS},
    ("string", "boolean"): _shown,
    ("boolean", "string"): _shown,
}


def _as_texts(value: Typed, member: Typed) -> Pair:
    if value.type.is_character and member.type.is_numeric:
        return value, cast(member, STRING)
    if value.type.is_numeric and member.type.is_character:
        return cast(value, STRING), member
    return value, member


def _boolean(sql: str, nullable: bool, *of: Typed) -> Typed:
    return Typed(sql, BOOLEAN.as_nullable(nullable), deterministic=all(v.deterministic for v in of),
                 aggregate=any(v.aggregate for v in of))


def _incomparable(left: Typed, right: Typed, span: Span | None) -> SQLTypeError:
    return SQLTypeError(f"cannot compare {left.type.as_nullable()} with {right.type.as_nullable()}", span,
                        hint="write CAST on one of them")

"""Casts: which types CAST, TRY_CAST and coercion may convert, and the conversion itself.

Explicit casts are the pairs of `conversions.CONVERSIONS`. Implicit ones, which INSERT, set operations
and the arguments of functions use, never lose a kind: `_IMPLICIT` says which roots widen to which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from streamsql.core.schema import text_literal
from streamsql.core.types import INTEGERS, DataType
from streamsql.errors import Span, SQLTypeError
from streamsql.values.conversions import CONVERSIONS, Context, Conversion, as_duck, family
from streamsql.values.conversions import text as text_of
from streamsql.values.let import let
from streamsql.values.promotion import MILLISECONDS, MONTHS
from streamsql.values.typed import Typed

UTC = "'UTC'"

_NUMERIC = (*INTEGERS, "DECIMAL", "FLOAT", "DOUBLE")
_IMPLICIT: dict[str, tuple[str, ...]] = {
    **{root: INTEGERS[:i + 1] for i, root in enumerate(INTEGERS)},
    "DECIMAL": _NUMERIC,
    "FLOAT": (*INTEGERS, "DECIMAL", "FLOAT"),
    "DOUBLE": _NUMERIC,
    "CHAR": ("CHAR", "VARCHAR"),
    "VARCHAR": ("CHAR", "VARCHAR"),
    "BINARY": ("BINARY", "VARBINARY"),
    "VARBINARY": ("BINARY", "VARBINARY"),
    "DATE": ("DATE", "TIMESTAMP"),
    "TIME": ("TIME", "TIMESTAMP"),
    "TIMESTAMP": ("TIMESTAMP", "TIMESTAMP_LTZ"),
    "TIMESTAMP_LTZ": ("TIMESTAMP_LTZ", "TIMESTAMP"),
}
"""Target root → the roots it takes unasked (Flink's LogicalTypeCasts)."""

_HINTS = {
    ("number", "TIMESTAMP"): "write TO_TIMESTAMP(FROM_UNIXTIME(seconds))",
    ("number", "TIMESTAMP_LTZ"): "write TO_TIMESTAMP_LTZ(milliseconds, 3)",
    ("TIMESTAMP", "number"): "write UNIX_TIMESTAMP(CAST(timestamp AS STRING))",
}


def castable(source: DataType, target: DataType) -> bool:
    """Whether CAST may convert `source` to `target`."""
    if source.root == "NULL":
        return True
    if (family(source), family(target)) not in CONVERSIONS:
        return False
    if target.is_interval and source.is_numeric and " TO " in target.unit:
        return False
    if source.children and target.children:
        return len(source.children) == len(target.children) and all(map(castable, source.children, target.children))
    return True


def implicitly_castable(source: DataType, target: DataType) -> bool:
    """Whether `source` becomes `target` unasked."""
    if source.root == "NULL":
        return True
    if source.children:
        return source.root == target.root and len(source.children) == len(target.children) and all(
            map(implicitly_castable, source.children, target.children))
    return source.root in _IMPLICIT.get(target.root, (target.root,))


def cast(value: Typed, target: DataType, *, safe: bool = False, implicit: bool = False,
         span: Span | None = None, zone: str = UTC) -> Typed:
    """`value` as `target`: CAST, TRY_CAST if `safe`, coercion if `implicit`; `zone` as of `session_zone`.

    The result may be NULL if the value may, or if it is `safe`; `target`'s own nullability does not
    count. Raises SQLTypeError for a pair that has no such cast.
    """
    if not (implicitly_castable if implicit else castable)(value.type, target):
        raise _refused(value.type, target, implicit, span)
    settled = {"months": MONTHS, "days": MILLISECONDS}.get(family(target), target)
    result = settled.as_nullable(value.type.nullable or safe)
    if value.type.root == "NULL":
        return Typed(f"CAST(NULL AS {settled.duck_type()})", result.as_nullable())
    sql = _converted(value.sql, value.type, target, 0, zone, safe=safe, implicit=implicit)
    if sql == value.sql:
        return replace(value, type=result)
    return replace(value, sql=sql, type=result, literal=None, is_literal=False, time="")


def session_zone(settings: Mapping[str, str]) -> str:
    """The session's time zone as a literal of SQL."""
    return text_literal(settings.get("table.local-time-zone", "UTC"))


def _converted(sql: str, source: DataType, target: DataType, depth: int, zone: str, *, safe: bool = False,
               implicit: bool = False) -> str:
    """The text of a cast that is allowed."""
    if source.as_nullable() == target.as_nullable():
        return sql
    if source.root == "NULL":
        return f"CAST(NULL AS {target.duck_type()})"
    if implicit and (source.is_character or source.is_binary):
        return sql  # a declared length holds by CAST alone: Flink neither pads nor cuts what is coerced

    def nested(e: str, a: DataType, b: DataType, at: int) -> str:
        return _converted(e, a, b, at, zone, safe=safe, implicit=implicit)

    context = Context(zone, nested, depth, safe)
    conversion = CONVERSIONS.get((family(source), family(target)), Conversion(as_duck))
    if safe or not conversion.checked:
        return conversion.rule(sql, source, target, context)
    kind = text_literal(str(target.as_nullable()))
    shown = text_of("{0}", source, context)
    return let(sql, lambda t: f"COALESCE({conversion.rule(t, source, target, context)}, "
               f"f_refuse({shown.replace('{0}', t)}, {kind}))", f"c{depth}")


def _refused(source: DataType, target: DataType, implicit: bool, span: Span | None) -> SQLTypeError:
    def kind(t: DataType) -> str:
        return "number" if t.is_numeric else "TIMESTAMP" if t.is_timestamp else t.root

    shown = f"{source.as_nullable()} to {target.as_nullable()}"
    if implicit:
        return SQLTypeError(f"{source.as_nullable()} does not become {target.as_nullable()} by itself", span,
                            hint=f"write CAST(… AS {target.as_nullable()})" if castable(source, target) else None)
    hint = _HINTS.get((kind(source), target.root)) or _HINTS.get((kind(source), kind(target)))
    return SQLTypeError(f"cannot cast {shown}", span, hint=hint)

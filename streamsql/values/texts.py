"""Texts: what a value reads as, in Flink: the DuckDB text of a CAST to STRING, by the type's family."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from streamsql.core.schema import text_literal
from streamsql.core.types import STRING, DataType
from streamsql.values import macros
from streamsql.values.let import let
from streamsql.values.zones import local

if TYPE_CHECKING:
    from streamsql.values.conversions import Context


def plain(sql: str, source: DataType, context: Context) -> str:
    return f"CAST({sql} AS VARCHAR)"


def _approximate_text(sql: str, source: DataType, context: Context) -> str:
    return macros.call("f_double_text", sql)


def _boolean_text(sql: str, source: DataType, context: Context) -> str:
    return f"upper(CAST({sql} AS VARCHAR))"


def _binary_text(sql: str, source: DataType, context: Context) -> str:
    return let(sql, lambda b: f"COALESCE(TRY(decode({b})), f_decode({b}, 'UTF-8'))", f"b{context.depth}")


def _time_text(sql: str, source: DataType, context: Context) -> str:
    digits = source.precision
    plain = f"strftime(CAST('1970-01-01' AS DATE) + {sql}, '%H:%M:%S.%f')"
    return f"left({plain}, {9 + digits if digits else 8})"


def _timestamp_text(sql: str, source: DataType, context: Context) -> str:
    digits = source.precision
    form = "%Y-%m-%d %H:%M:%S" + ("" if digits == 0 else ".%g" if digits == 3 else
                                  ".%n" if digits > 6 else ".%f")
    shown = f"strftime({sql}, '{form}')"
    return shown if digits in (0, 3, 6, 9) else f"left({shown}, {20 + digits})"


def _ltz_text(sql: str, source: DataType, context: Context) -> str:
    return _timestamp_text(local(sql, context.zone), source, context)


def _days_text(sql: str, source: DataType, context: Context) -> str:
    return macros.call("f_days_text", sql)


def _months_text(sql: str, source: DataType, context: Context) -> str:
    return macros.call("f_months_text", macros.call("f_months", sql))


def _shown(sql: str, source: DataType, context: Context) -> str:
    """An element within a text."""
    return f"COALESCE({context.nested(sql, source, STRING, context.depth + 1)}, 'NULL')"


def _array_text(sql: str, source: DataType, context: Context) -> str:
    e = f"e{context.depth}"
    each = f"list_transform({sql}, lambda {e}: {_shown(e, source.children[0], context)})"
    return f"('[' || array_to_string({each}, ', ') || ']')"


def _map_text(sql: str, source: DataType, context: Context) -> str:
    e = f"e{context.depth}"
    key, value = (_shown(f"{e}.{part}", child, context)
                  for part, child in zip(("key", "value"), source.children))
    each = f"list_transform(map_entries({sql}), lambda {e}: {key} || '=' || {value})"
    return f"('{{' || array_to_string({each}, ', ') || '}}')"


def _row_text(sql: str, source: DataType, context: Context) -> str:
    def body(r: str) -> str:
        fields = (_shown(f"struct_extract({r}, {text_literal(n)})", t, context)
                  for n, t in zip(source.names, source.children))
        if source.class_name:
            fields = (f"{text_literal(n + '=')} || {f}" for n, f in zip(source.names, fields))
        listed = " || ', ' || ".join(fields)
        return f"CASE WHEN {r} IS NOT NULL THEN '(' || {listed} || ')' END"
    return let(sql, body, f"r{context.depth}")


TEXTS: dict[str, Callable[[str, DataType, Context], str]] = {
    "approximate": _approximate_text, "boolean": _boolean_text, "string": lambda s, _t, _c: s,
    "binary": _binary_text, "time": _time_text, "timestamp": _timestamp_text, "ltz": _ltz_text,
    "days": _days_text, "months": _months_text, "array": _array_text, "map": _map_text, "row": _row_text,
}

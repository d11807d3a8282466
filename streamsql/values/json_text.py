"""Values as JSON text, as JSON_STRING, JSON_OBJECT and JSON_ARRAY write them: DuckDB text by type."""

from __future__ import annotations

from streamsql.core.schema import text_literal
from streamsql.core.types import DataType
from streamsql.errors import SQLTypeError
from streamsql.values.let import let

RAW = "f_raw_json"
"""The macro around text that is JSON already; its name tells a call that holds it to take it as it is."""


def is_raw(sql: str) -> bool:
    return sql.lstrip("(").startswith(f"{RAW}(")


def serialised(value: str, type_: DataType, depth: int = 0) -> str:
    """JSON of a value, NULL for NULL. `value` is used several times. Raises SQLTypeError for a type without JSON."""
    rule = _RULES.get(type_.root)
    if rule:
        return rule.format(value)
    if type_.root in ("ARRAY", "MULTISET", "MAP", "ROW"):
        return {"ARRAY": _array, "MAP": _map, "MULTISET": _multiset, "ROW": _row}[type_.root](value, type_, depth)
    raise SQLTypeError(f"{type_} cannot be converted to JSON", hint="CAST it to STRING")


_DOUBLE = "f_json_double(CAST({0} AS DOUBLE))"
_RULES = {
    "CHAR": "CAST(to_json({0}) AS VARCHAR)", "VARCHAR": "CAST(to_json({0}) AS VARCHAR)",
    "BOOLEAN": "CAST({0} AS VARCHAR)", "TINYINT": "CAST({0} AS VARCHAR)", "SMALLINT": "CAST({0} AS VARCHAR)",
    "INT": "CAST({0} AS VARCHAR)", "BIGINT": "CAST({0} AS VARCHAR)", "DECIMAL": "CAST({0} AS VARCHAR)",
    "FLOAT": _DOUBLE, "DOUBLE": _DOUBLE, "BINARY": "'\"' || to_base64({0}) || '\"'",
    "VARBINARY": "'\"' || to_base64({0}) || '\"'", "TIMESTAMP": "f_json_time({0})",
    "TIMESTAMP_LTZ": "regexp_replace(f_json_time(timezone('UTC', {0})), '\"$', 'Z\"')",
    "VARIANT": "CAST({0} AS VARCHAR)",
}


def _array(value: str, type_: DataType, depth: int) -> str:
    element = f"e{depth}"
    inner = f"COALESCE({serialised(element, type_.children[0], depth + 1)}, 'null')"
    return f"'[' || array_to_string(list_transform({value}, lambda {element}: {inner}), ',') || ']'"


def _map(value: str, type_: DataType, depth: int) -> str:
    if not type_.children[0].is_character:
        raise SQLTypeError(f"{type_} cannot be converted to JSON: its keys are not strings",
                           hint="make the keys strings")
    return _entries(value, type_.children[1], depth)


def _multiset(value: str, type_: DataType, depth: int) -> str:
    if not type_.children[0].is_character:
        raise SQLTypeError(f"{type_} cannot be converted to JSON: its elements are not strings")
    return _entries(value, DataType("INT"), depth)


def _entries(value: str, of: DataType, depth: int) -> str:
    entry = f"e{depth}"
    inner = f"COALESCE({serialised(f'{entry}.value', of, depth + 1)}, 'null')"
    texts = (f"list_transform(list_sort(map_entries({value})), lambda {entry}: "
             f"CAST(to_json({entry}.key) AS VARCHAR) || ':' || {inner})")
    return f"'{{' || array_to_string({texts}, ',') || '}}'"


def _row(value: str, type_: DataType, depth: int) -> str:
    fields = sorted(zip(type_.names, type_.children), key=lambda f: f[0].encode("utf-16-be"))
    parts = []
    for name, child in fields:
        field = f"struct_extract({value}, {text_literal(name)})"
        inner = let(field, lambda f, c=child: f"COALESCE({serialised(f, c, depth + 1)}, 'null')",  # type: ignore[misc]
                    f"f{depth}")
        parts.append(f"{text_literal(_key(name))} || {inner}")
    joined = " || ',' || ".join(parts)
    return f"CASE WHEN {value} IS NOT NULL THEN '{{' || {joined} || '}}' END"


def _key(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}":'


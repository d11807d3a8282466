"""Encoding of rows as JSON objects, text by text.

`to_json` of a struct is no faster (measured: 2.1 against 1.8 M rows/s of six columns) and writes
doubles, floats and timestamps otherwise than Flink does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from streamsql.core.format import Encoding
from streamsql.core.schema import Schema, quote, text_literal
from streamsql.core.types import INT, DataType
from streamsql.formats import _java_text
from streamsql.formats._scalar import unsupported


@dataclass(frozen=True, slots=True)
class _Writer:
    """The options: `iso` timestamps, `plain` decimals, NULL fields left out (`sparse`)."""

    iso: bool
    plain: bool
    sparse: bool

    def row(self, fields: list[tuple[str, str, DataType]], depth: int) -> str:
        """A JSON object of (name, expression, type); never NULL."""
        pieces = []
        for n, (name, x, kind) in enumerate(fields):
            value = self.value(x, kind, name, depth)
            if self.sparse:
                pieces.append(f"CASE WHEN {x} IS NOT NULL THEN {_label(',', name)} || {value} END")
            else:
                pieces += [_label("," if n else "", name), f"coalesce({value}, 'null')"]
        body = f"concat({', '.join(pieces)})"
        if self.sparse:
            body = f"substr({body}, 2)"
        return f"'{{' || {body} || '}}'"

    def value(self, x: str, kind: DataType, name: str, depth: int) -> str:
        """JSON text of `x`, NULL for NULL."""
        match kind.root:
            case "BOOLEAN" | "TINYINT" | "SMALLINT" | "INT" | "BIGINT":
                return f"{x}::VARCHAR"
            case "FLOAT" | "DOUBLE":
                return _java_text.approximate(x, '"')
            case "DECIMAL":
                return _java_text.decimal(x, kind, plain=self.plain)
            case "CHAR" | "VARCHAR":
                return f"to_json({x})::VARCHAR"
            case "BINARY" | "VARBINARY":
                return f"'\"' || to_base64({x}) || '\"'"
            case "DATE" | "TIME" | "TIMESTAMP" | "TIMESTAMP_LTZ":
                return f"'\"' || {_java_text.time(x, kind, iso=self.iso)} || '\"'"
            case "ARRAY":
                return self._array(x, kind, name, depth)
            case "MAP" | "MULTISET":
                return self._map(x, kind, name, depth)
            case "ROW":
                fields = [(n, f"struct_extract({x}, {text_literal(n)})", t)
                          for n, t in zip(kind.names, kind.children, strict=True)]
                return f"CASE WHEN {x} IS NOT NULL THEN {self.row(fields, depth)} END"
            case _:
                raise unsupported(kind, name, "json")

    def _array(self, x: str, kind: DataType, name: str, depth: int) -> str:
        element = f"e{depth}"
        text = f"coalesce({self.value(element, kind.children[0], name, depth + 1)}, 'null')"
        return f"'[' || array_to_string(list_transform({x}, lambda {element}: {text}), ',') || ']'"

    def _map(self, x: str, kind: DataType, name: str, depth: int) -> str:
        key, child = kind.children[0], kind.children[1] if kind.root == "MAP" else INT
        if not key.is_character:
            raise unsupported(kind, name, "json")
        entry = f"e{depth}"
        text = f"coalesce({self.value(f'{entry}.value', child, name, depth + 1)}, 'null')"
        pair = f"to_json({entry}.key)::VARCHAR || ':' || {text}"
        entries = f"list_transform(map_entries({x}), lambda {entry}: {pair})"
        return f"'{{' || array_to_string({entries}, ',') || '}}'"


def _label(comma: str, name: str) -> str:
    """`,"name":` as a literal, the name escaped as JSON demands."""
    return text_literal(f"{comma}{json.dumps(name, ensure_ascii=False)}:")


def encoded(schema: Schema, *, iso: bool, plain: bool, sparse: bool) -> str:
    """JSON text of the columns of `schema` as one object; never NULL."""
    writer = _Writer(iso, plain, sparse)
    fields = [(c.name, quote(c.name), c.type) for c in schema]
    return writer.row(fields, 0) if fields else "'{}'"


def encoding(schema: Schema, *, iso: bool, plain: bool, sparse: bool) -> Encoding:
    """Encoding of the columns of `schema` as one object."""
    return Encoding(encoded(schema, iso=iso, plain=plain, sparse=sparse))

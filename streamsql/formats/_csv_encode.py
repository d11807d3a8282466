"""Encoding of rows as CSV lines, without an end of line: the record is the line."""

from __future__ import annotations

from streamsql.core.format import Encoding
from streamsql.core.schema import Schema, quote, text_literal
from streamsql.core.types import DataType
from streamsql.formats import _java_text
from streamsql.formats._csv_line import Line, in_class
from streamsql.formats._scalar import SCALARS, unsupported

_UNCHECKED_LENGTH = 24
"""Longer text is quoted without a look at it (Jackson's rule, which Flink uses)."""


def _text(x: str, kind: DataType, name: str, plain: bool) -> str:
    """Text of a scalar, NULL for NULL, not quoted."""
    match kind.root:
        case "FLOAT" | "DOUBLE":
            return _java_text.approximate(x)
        case "DECIMAL":
            return _java_text.decimal(x, kind, plain=plain)
        case "BINARY" | "VARBINARY":
            return f"to_base64({x})"
        case "DATE" | "TIME" | "TIMESTAMP" | "TIMESTAMP_LTZ":
            return _java_text.time(x, kind, iso=False)
        case root if root in SCALARS:
            return f"{x}::VARCHAR"
        case _:
            raise unsupported(kind, name, "csv")


def _is_number(kind: DataType) -> bool:
    return kind.is_numeric or kind.root == "BOOLEAN"


def _field(x: str, kind: DataType, name: str, line: Line, plain: bool) -> str:
    null = text_literal(line.null or "")
    if kind.root == "ARRAY":
        text = f"coalesce({_text('e', kind.children[0], name, plain)}, {null})"
        joined = f"array_to_string(list_transform({x}, lambda e: {text}), {text_literal(line.element)})"
    elif kind.root == "ROW":
        parts = [f"coalesce({_text(f'struct_extract({x}, {text_literal(n)})', k, name, plain)}, {null})"
                 for n, k in zip(kind.names, kind.children, strict=True)]
        joined = f"CASE WHEN {x} IS NOT NULL THEN " \
                 f"concat_ws({text_literal(line.element)}, {', '.join(parts)}) END"
    else:
        joined = _text(x, kind, name, plain)
    return f"coalesce({joined if _is_number(kind) else _quoted(joined, line)}, {null})"


def _quoted(t: str, line: Line) -> str:
    """The text in quotes if it needs them."""
    if line.quote is None:
        return t
    safe = chr(max(ord(line.delimiter), ord(line.quote)))
    escape = line.escape or ""
    unsafe = rf"[\x{{0}}-{in_class(safe)}{in_class(escape) if escape else ''}]"
    q = text_literal(line.quote)
    inside = f"replace(t, {q}, {q} || {q})"
    if escape:
        inside = f"replace({inside}, {text_literal(escape)}, {text_literal(escape * 2)})"
    needs = f"length(t) > {_UNCHECKED_LENGTH} OR regexp_matches(t, {text_literal(unsafe)})"
    return f"list_transform([{t}], lambda t: CASE WHEN {needs} THEN {q} || {inside} || {q} ELSE t END)[1]"


def encoding(schema: Schema, line: Line, *, plain: bool) -> Encoding:
    """Encoding of the columns of `schema` as one line."""
    fields = [_field(quote(c.name), c.type, c.name, line, plain) for c in schema]
    return Encoding(f"concat_ws({text_literal(line.delimiter)}, {', '.join(fields)})" if fields else "''")

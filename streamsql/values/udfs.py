"""What DuckDB truly cannot say: functions of Arrow arrays, called for the rows that native text leaves over.

Each row of `ROWS` names a function of generated SQL, why it exists, and the Python function of one row behind it.
They cost up to 20 µs a row, so a body calls them behind a condition that the usual row does not meet: DuckDB
evaluates a branch of CASE and a later argument of COALESCE for the rows that reach it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from streamsql.values import decimals, java_parse, java_text, java_zones, json_path, roaring
from streamsql.values.java_format import format_formatter, format_simple
from streamsql.values.java_regex import compiled


class Registry(Protocol):
    """A Database, as far as functions are concerned."""

    def function(self, name: str, call: Callable[..., Any], arguments: list[str], result: str, *,
                 vectorised: bool = True) -> None: ...


@dataclass(frozen=True, slots=True)
class Row:
    """A function of one row.

    arguments, result  DuckDB types
    reason             what DuckDB lacks, for the docs
    cost_us            µs a call on one core of the machine of docs/performance.md, for a short text
    nulls              False: NULL if any argument is NULL, and the function is not called
    """

    name: str
    arguments: tuple[str, ...]
    result: str
    call: Callable[..., Any]
    reason: str
    cost_us: float
    nulls: bool = False


_ARROW = {"BOOLEAN": pa.bool_(), "INTEGER": pa.int32(), "BIGINT": pa.int64(), "DOUBLE": pa.float64(),
          "VARCHAR": pa.string(), "BLOB": pa.binary(), "VARCHAR[]": pa.list_(pa.string()),
          "BIGINT[]": pa.list_(pa.int64()),
          "MAP(VARCHAR, VARCHAR)": pa.map_(pa.string(), pa.string()),
          "STRUCT(local BIGINT, zone INTEGER)": pa.struct([("local", pa.int64()), ("zone", pa.int32())])}

# ------------------------------------------------------------------------------------------------ regexps


def _matches(text: str, pattern: str) -> bool:
    try:
        return bool(pattern) and compiled(pattern).search(text) is not None
    except ValueError:
        return False


def _extract(text: str, pattern: str, group: int) -> str | None:
    try:
        found = compiled(pattern).search(text)
        return found.group(group) if found else None
    except (ValueError, IndexError):
        return None


def _extract_all(text: str, pattern: str, group: int) -> list[str | None] | None:
    try:
        expression = compiled(pattern)
    except ValueError:
        return None
    if not 0 <= group <= expression.groups:
        return None
    return [found.group(group) for found in expression.finditer(text)]


def _replace(text: str, pattern: str, replacement: str) -> str | None:
    try:
        return compiled(pattern).sub(lambda _: replacement, text)
    except ValueError:
        return None


def _count(text: str, pattern: str) -> int | None:
    try:
        return sum(1 for _ in compiled(pattern).finditer(text))
    except ValueError:
        return None


def _find(text: str, pattern: str) -> int | None:
    try:
        found = compiled(pattern).search(text)
    except ValueError:
        return None
    return len(text[:found.start()].encode("utf-16-le")) // 2 + 1 if found else 0


# ------------------------------------------------------------------------------------------------- times


def _parse_simple(text: str, pattern: str) -> dict[str, int | None] | None:
    found = java_parse.parse_simple(text, pattern)
    return {"local": found[0], "zone": found[1]} if found else None


_TEXT, _PATTERN = "VARCHAR", ("VARCHAR", "VARCHAR")
_REGEX = "Java's regular expressions beyond RE2: look-around, back references, `$` before a last line end"
_JSON = "Jayway's paths beyond member and index, and JSON that DuckDB reads otherwise"

ROWS: tuple[Row, ...] = (
    Row("f_java_matches", _PATTERN, "BOOLEAN", _matches, _REGEX, 1.0),
    Row("f_java_extract", (*_PATTERN, "BIGINT"), "VARCHAR", _extract, _REGEX, 1.1),
    Row("f_java_extract_all", (*_PATTERN, "BIGINT"), "VARCHAR[]", _extract_all, _REGEX, 2.3),
    Row("f_java_replace", (*_PATTERN, "VARCHAR"), "VARCHAR", _replace, _REGEX, 1.8),
    Row("f_java_count", _PATTERN, "INTEGER", _count, _REGEX, 1.7),
    Row("f_java_find", _PATTERN, "INTEGER", _find, _REGEX, 1.5),
    Row("f_java_split_to_map", (*_PATTERN, "VARCHAR"), "MAP(VARCHAR, VARCHAR)",
        lambda *row: list(java_text.str_to_map(*row).items()), "delimiters that are regular expressions", 7.9),
    Row("f_java_double", (_TEXT,), "DOUBLE", java_text.hexadecimal, "floats in hexadecimal", 1.2),
    Row("f_upper", (_TEXT,), "VARCHAR", str.upper, "letters whose capital is several letters", 0.3),
    Row("f_lower", (_TEXT,), "VARCHAR", str.lower, "the sigma that ends a word, and the dotted İ", 0.3),
    Row("f_encode", _PATTERN, "BLOB", java_text.encode, "charsets other than UTF-8", 1.0),
    Row("f_decode", ("BLOB", "VARCHAR"), "VARCHAR", java_text.decode, "charsets other than UTF-8", 0.4),
    Row("f_from_base64", (_TEXT,), "VARCHAR", java_text.from_base64, "base64 without padding, or of no text", 1.4),
    Row("f_url_decode", (_TEXT,), "VARCHAR", java_text.url_decode, "escapes that are no UTF-8", 1.3),
    Row("f_sha", ("BLOB", "BIGINT"), "VARCHAR", java_text.sha, "SHA-224, SHA-384 and SHA-512", 1.7),
    Row("f_printf", ("VARCHAR", "VARCHAR[]", "VARCHAR[]"), "VARCHAR", java_text.printf,
        "Java's format specifiers", 3.5),
    Row("f_parse_time", (_TEXT,), "BIGINT", java_parse.parse_default, "dates in one digit, 30 February", 6.9),
    Row("f_parse_formatter", _PATTERN, "BIGINT", java_parse.parse_formatter, "Java's date patterns", 10.3),
    Row("f_parse_simple", _PATTERN, "STRUCT(local BIGINT, zone INTEGER)", _parse_simple,
        "Java's lenient date patterns", 14.1),
    Row("f_format_formatter", ("BIGINT", "VARCHAR"), "VARCHAR", format_formatter,
        "a date pattern that is not constant", 20.7),
    Row("f_format_simple", ("BIGINT", "BIGINT", "VARCHAR", "VARCHAR"), "VARCHAR", format_simple,
        "a date pattern that is not constant", 22.2),
    Row("f_zone_name", ("BIGINT", "VARCHAR"), "VARCHAR", java_zones.abbreviation, "names like EST", 1.0),
    Row("f_java_zone", (_TEXT,), "VARCHAR", java_zones.java_zone, "a zone's name that is not constant", 0.2),
    Row("f_known_zone", (_TEXT,), "VARCHAR", java_zones.known_zone, "a zone's name that is not constant", 0.2),
    Row("f_bitmap_to_bytes", ("BIGINT[]",), "BLOB", roaring.to_bytes, "RoaringBitmap's format", 4.3),
    Row("f_bitmap_from_bytes", ("BLOB",), "BIGINT[]", roaring.from_bytes, "RoaringBitmap's format", 2.6),
    Row("f_json_value", ("VARCHAR", "VARCHAR"), "VARCHAR[]", json_path.value, _JSON, 4.4),
    Row("f_json_query", ("VARCHAR", "VARCHAR", "VARCHAR"), "VARCHAR[]", json_path.query, _JSON, 5.8),
    Row("f_json_elements", ("VARCHAR", "VARCHAR", "VARCHAR"), "VARCHAR[]", json_path.elements, _JSON, 5.4),
    Row("f_json_exists", ("VARCHAR", "VARCHAR"), "INTEGER", json_path.exists, _JSON, 3.5),
    Row("f_json_kind", (_TEXT,), "VARCHAR", json_path.kind, "JSON that DuckDB reads otherwise", 1.4),
    Row("f_json_sorted", (_TEXT,), "VARCHAR", json_path.rewritten, "keys in order, numbers as written", 7.6),
    Row("f_json_tried", (_TEXT,), "VARCHAR", json_path.tried, "keys in order, numbers as written", 7.7),
    Row("f_json_quote", (_TEXT,), "VARCHAR", json_path.quoted, "escapes of letters beyond ASCII", 3.8),
    Row("f_decimal_sum", ("VARCHAR", "VARCHAR", "INTEGER"), "VARCHAR", decimals.total,
        "sums of more than 38 digits", 2.2),
    Row("f_decimal_product", ("VARCHAR", "VARCHAR", "INTEGER"), "VARCHAR", decimals.product,
        "products of more than 38 digits", 2.2),
    Row("f_decimal_quotient", ("VARCHAR", "VARCHAR", "INTEGER"), "VARCHAR", decimals.quotient,
        "quotients of more than 38 digits", 2.6),
    Row("f_decimal_remainder", ("VARCHAR", "VARCHAR", "INTEGER"), "VARCHAR", decimals.remainder,
        "remainders of more than 38 digits", 2.6),
    Row("f_decimal_round", ("VARCHAR", "INTEGER", "BOOLEAN"), "VARCHAR", decimals.rounded,
        "rounding to digits that are not constant", 2.5),
    Row("f_json_message", ("VARCHAR", "VARCHAR"), "VARCHAR", json_path.message, _JSON, 3.7),
)


def register(database: Registry, names: Container[str] | None = None) -> None:
    """Make the functions (only those of `names`) known to a connection, before any statement is prepared."""
    for row in ROWS:
        if names is None or row.name in names:
            database.function(row.name, _vectorised(row), list(row.arguments), row.result)


def _vectorised(row: Row) -> Callable[..., Any]:
    """A function of Arrow arrays from one of values."""
    type_, call = _ARROW[row.result], row.call

    def over(*columns: Any) -> Any:
        values = zip(*(column.to_pylist() for column in columns), strict=True)
        if row.nulls:
            results = [call(*arguments) for arguments in values]
        else:
            results = [None if None in arguments else call(*arguments) for arguments in values]
        return pa.array(results, type_)

    return _OF_ARITY[len(row.arguments)](over)


_OF_ARITY: dict[int, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    1: lambda f: lambda a: f(a),
    2: lambda f: lambda a, b: f(a, b),
    3: lambda f: lambda a, b, c: f(a, b, c),
    4: lambda f: lambda a, b, c, d: f(a, b, c, d),
}
"""DuckDB counts the parameters of the function it is given."""

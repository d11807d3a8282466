"""Scalars written as text, in the JSON and the CSV format: text to value, and whether it is one.

Three expressions of DuckDB over a text `t`: `value` is fast and right for every good text;
`suspect` is cheap and true for every bad text; `bad` is exact. DuckDB's own TRY_CAST is no judge:
it rounds '12.5' to BIGINT, and takes '0x10', '1_000', 'epoch' and a timestamp's zone.
"""

from __future__ import annotations

from streamsql.core.schema import text_literal
from streamsql.core.types import MAX_LENGTH, DataType
from streamsql.errors import SQLTypeError

_CLOCK = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{0,9})?"
_ISO_CLOCK = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?"
_DAY = r"\d{4}-\d\d-\d\d"
_WHOLE = r"[+-]?\d+(\.0*)?"
_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"

SCALARS = frozenset({
    "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "DECIMAL", "FLOAT", "DOUBLE", "CHAR", "VARCHAR",
    "BINARY", "VARBINARY", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ"})


def unsupported(kind: DataType, name: str, form: str) -> SQLTypeError:
    """What a format raises for a column that it cannot hold."""
    return SQLTypeError(f'format "{form}" has no form for column "{name}" of type {kind}')


def value(t: str, kind: DataType) -> str:
    """The value of text `t`; NULL, or anything, for a bad one. Timestamps are cut to their precision."""
    match kind.root:
        case "BOOLEAN":
            return f"CASE lower(trim({t})) WHEN 'true' THEN true WHEN 'false' THEN false END"
        case "CHAR" | "VARCHAR":
            return t
        case "BINARY" | "VARBINARY":
            return f"TRY(from_base64({t}))"
        case "TIME":
            return f"TRY_CAST(left({t}, {_length(8, kind)}) AS TIME)"
        case "TIMESTAMP":
            # `left` counts characters: measured, it costs as much as the cast itself
            length = _length(19, kind)
            cut = f"CASE WHEN strlen({t}) <= {length} THEN {t} ELSE left({t}, {length}) END"
            return f"TRY_CAST({cut} AS {kind.duck_type()})"
        case "TIMESTAMP_LTZ":  # by epoch_us: the cast of a local time goes through ICU
            local = f"TRY_CAST(left(rtrim({t}, 'Z'), {_length(19, kind)}) AS TIMESTAMP)"
            return f"make_timestamptz(epoch_us({local}))"
        case _:
            return f"TRY_CAST({t} AS {kind.duck_type()})"


def _length(whole: int, kind: DataType) -> int:
    """Characters of a time's text up to its last declared digit."""
    return whole + 1 + kind.precision if kind.precision else whole


def suspect(t: str, v: str, kind: DataType, *, iso: bool) -> str | None:
    """True for every bad text `t` whose value is `v`; None when no text is bad."""
    match kind.root:
        case "TINYINT" | "SMALLINT" | "INT" | "BIGINT" | "DATE":
            return f"{v}::VARCHAR IS DISTINCT FROM {t}"
        case "CHAR" | "VARCHAR":
            return None if kind.precision == MAX_LENGTH else f"length({t}) > {kind.precision}"
        case "FLOAT" | "DOUBLE":
            return f"{t} IS NOT NULL AND ({v} IS NULL OR NOT isfinite({v}) OR contains({t}, '_'))"
        case "DECIMAL":
            return f"{t} IS NOT NULL AND ({v} IS NULL OR contains({t}, '_'))"
        case "BINARY" | "VARBINARY":
            longer = f" OR octet_length({v}) > {kind.precision}" if kind.precision < MAX_LENGTH else ""
            return f"{t} IS NOT NULL AND ({v} IS NULL{longer})"
        case "TIME" | "TIMESTAMP" | "TIMESTAMP_LTZ":
            return f"{t} IS NOT NULL AND ({v} IS NULL OR NOT {_like(t, _shape(kind, iso=iso))})"
        case _:
            return f"{t} IS NOT NULL AND {v} IS NULL"


def bad(t: str, kind: DataType, *, iso: bool) -> str:
    """Exactly whether text `t`, which is not NULL, is no value of the type."""
    v = value(t, kind)
    match kind.root:
        case "TINYINT" | "SMALLINT" | "INT" | "BIGINT":
            return f"({v} IS NULL OR NOT {_like(f'trim({t})', _WHOLE)})"
        case "FLOAT" | "DOUBLE":
            number = _like(f"trim({t})", _NUMBER + "|NaN|[+-]?Infinity")
            return f"({v} IS NULL OR NOT {number} OR (isinf({v}) AND NOT contains({t}, 'Inf')))"
        case "DECIMAL":
            return f"({v} IS NULL OR NOT {_like(f'trim({t})', _NUMBER)})"
        case "DATE":
            return f"({v} IS NULL OR NOT {_like(t, _DAY)})"
        case _:
            return f"coalesce({suspect(t, v, kind, iso=iso) or 'false'}, false)"


def _like(t: str, pattern: str) -> str:
    return f"regexp_full_match({t}, {text_literal(pattern)})"


def _shape(kind: DataType, *, iso: bool) -> str:
    if kind.root == "TIME":
        return _CLOCK
    zone = "Z" if kind.root == "TIMESTAMP_LTZ" else ""
    if iso:
        return f"{_DAY}T{_CLOCK if zone else _ISO_CLOCK}{zone}"
    return f"{_DAY} {_CLOCK}{zone}"


def expected(kind: DataType, *, iso: bool) -> str:
    """How a text of the type looks, for messages; '' where the type's name says it."""
    zone = "Z" if kind.root == "TIMESTAMP_LTZ" else ""
    shapes = {"DATE": "2020-12-30", "TIME": "12:13:14", "BINARY": "base64", "VARBINARY": "base64"}
    day = f"2020-12-30{'T' if iso else ' '}12:13:14.123{zone}"
    found = day if kind.is_timestamp else shapes.get(kind.root, "")
    return f", only {'text' if found == 'base64' else 'such as'} {found}".replace("text base64", "base64") \
        if found else ""


def refusal(label: str, kind: DataType, shown: str, *, iso: bool) -> str:
    """VARCHAR: the reason why column `label` cannot hold the value that expression `shown` prints."""
    head = text_literal(f'column "{label}" of type {kind.as_nullable()} cannot hold ')
    cut = f"CASE WHEN length({shown}) > 80 THEN left({shown}, 80) || '…' ELSE {shown} END"
    return f"{head} || {cut}{_tail(expected(kind, iso=iso))}"


def _tail(text: str) -> str:
    return f" || {text_literal(text)}" if text else ""

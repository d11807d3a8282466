"""Conversions: the DuckDB text that turns a value of one type into another, as Flink's CAST does.

A conversion is a rule of a pair of type families. It is `checked` when its text gives NULL for a value
that cannot be converted: CAST then adds the error, TRY_CAST leaves the NULL. What Flink itself turns
into NULL (a number that does not fit a DECIMAL) is not checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streamsql.core.schema import quote, text_literal
from streamsql.core.types import INTEGERS, INTERVALS, MAX_LENGTH, STRING, DataType
from streamsql.values import macros
from streamsql.values.let import let
from streamsql.values.texts import TEXTS, plain
from streamsql.values.zones import instant, local

MONTHS, DAYS = INTERVALS


@dataclass(frozen=True, slots=True)
class Context:
    """What a conversion needs beside the value.

    zone      the session time zone, a text literal
    nested    how an element is converted: (sql, source, target) → sql
    depth     how many arrays and maps the value is within: names the lambda variables
    safe      TRY_CAST
    """

    zone: str
    nested: Callable[[str, DataType, DataType, int], str]
    depth: int = 0
    safe: bool = False


Rule = Callable[[str, DataType, DataType, Context], str]


@dataclass(frozen=True, slots=True)
class Conversion:
    rule: Rule
    checked: bool = False


def family(type_: DataType) -> str:
    """The key of a type in the tables of casts."""
    if type_.root in INTEGERS:
        return "integer"
    return _FAMILY.get(type_.root, type_.root.lower())


_FAMILY = {
    "FLOAT": "approximate", "DOUBLE": "approximate", "CHAR": "string", "VARCHAR": "string",
    "BINARY": "binary", "VARBINARY": "binary", "TIMESTAMP_LTZ": "ltz", MONTHS: "months", DAYS: "days",
}


def as_duck(sql: str, source: DataType, target: DataType, context: Context) -> str:
    """DuckDB's own cast, where its meaning is Flink's."""
    del context
    return sql if source.duck_type() == target.duck_type() else f"CAST({sql} AS {target.duck_type()})"


# ------------------------------------------------------------------------------------------------ numbers

def _narrowed(sql: str, source: DataType, target: DataType, context: Context) -> str:
    """An integer to an integer: the low bits."""
    if INTEGERS.index(target.root) >= INTEGERS.index(source.root):
        return as_duck(sql, source, target, context)
    wide = "HUGEINT" if target.root == "BIGINT" else "BIGINT"
    return macros.call(f"f_wrap_{target.root.lower()}", f"CAST({sql} AS {wide})")


def _cut_decimal(sql: str, source: DataType, target: DataType, context: Context) -> str:
    """A decimal to an integer: the fraction is cut off, then the low bits."""
    cut = f"trunc({sql})" if source.scale else sql
    if source.precision - source.scale <= {"TINYINT": 2, "SMALLINT": 4, "INT": 9, "BIGINT": 18}[target.root]:
        return f"CAST({cut} AS {target.duck_type()})"
    whole = f"CAST({cut} AS HUGEINT)"
    if target.root != "BIGINT":
        whole = f"CAST({macros.call('f_wrap_bigint', whole)} AS BIGINT)"
    return macros.call(f"f_wrap_{target.root.lower()}", whole)


def _cut_float(sql: str, source: DataType, target: DataType, context: Context) -> str:
    """A float to an integer as Java narrows it: cut off, held within INT or BIGINT, NaN is 0; then low bits."""
    number = f"CAST({sql} AS DOUBLE)" if source.root == "FLOAT" else sql
    if target.root == "BIGINT":
        return macros.call("f_float_to_bigint", number)
    held = macros.call("f_float_to_int", number)
    return held if target.root == "INT" else macros.call(f"f_wrap_{target.root.lower()}", f"CAST({held} AS BIGINT)")


def _to_decimal(sql: str, source: DataType, target: DataType, context: Context) -> str:
    """A number that has too many digits becomes NULL, under CAST too."""
    if source.root == "DECIMAL" and source.precision - source.scale <= target.precision - target.scale and (
            source.scale <= target.scale):
        return as_duck(sql, source, target, context)
    return f"TRY_CAST({sql} AS {target.duck_type()})"


def _float_to_decimal(sql: str, source: DataType, target: DataType, context: Context) -> str:
    """By way of the digits that show it; DuckDB's own cast is the same where it does not round at the middle."""
    kind, unit = target.duck_type(), f"1e{target.scale}"

    def body(x: str) -> str:
        units = f"abs({x}) * {unit}"
        near = (f"WHEN {units} < 1e12 AND abs({units} - floor({units}) - 0.5e0) > 1e-3 THEN TRY_CAST({x} AS {kind}) "
                if source.root == "DOUBLE" else "")
        return (f"CASE {near}WHEN isnan({x}) OR isinf({x}) THEN error('cannot cast ' || {x} || "
                f"' to {target.as_nullable()}') ELSE TRY_CAST(CAST({x} AS VARCHAR) AS {kind}) END")

    return let(sql, body, f"d{context.depth}")


def _to_float(sql: str, source: DataType, target: DataType, context: Context) -> str:
    """What is too large for a FLOAT is infinite."""
    if source.root == "DOUBLE" and target.root == "FLOAT":
        return macros.call("f_double_to_float", sql)
    return as_duck(sql, source, target, context)


def _boolean_to_number(sql: str, source: DataType, target: DataType, context: Context) -> str:
    return f"CAST(CAST({sql} AS INTEGER) AS {target.duck_type()})"


def _number_to_boolean(sql: str, source: DataType, target: DataType, context: Context) -> str:
    return f"({sql} <> 0)"


# -------------------------------------------------------------------------------------------- from strings

def _macro(name: str) -> Rule:
    return lambda sql, source, target, context: macros.call(name, sql)


def _text_to_integer(sql: str, source: DataType, target: DataType, context: Context) -> str:
    """With the error of CAST inside: one CASE less is a tenth of the cost."""
    return macros.call(f"f_{'to' if context.safe else 'cast'}_{target.root.lower()}", sql)


def _text_to_float(sql: str, source: DataType, target: DataType, context: Context) -> str:
    return macros.call(f"f_to_{target.root.lower()}", sql)


def _text_to_decimal(sql: str, source: DataType, target: DataType, context: Context) -> str:
    return let(sql, lambda t: f"TRY_CAST(CASE WHEN NOT contains({t}, '_') THEN {t} END AS {target.duck_type()})",
               f"t{context.depth}")


def _text_to_time(sql: str, source: DataType, target: DataType, context: Context) -> str:
    return _cut_time(macros.call("f_to_time", sql), target.precision)


def _text_to_timestamp(sql: str, source: DataType, target: DataType, context: Context) -> str:
    if target.precision > 6:
        return _cut(macros.call("f_to_timestamp", sql), 9, target.precision)
    return _cut(macros.call("f_to_timestamp_us", sql), 6, target.precision)


def _text_to_ltz(sql: str, source: DataType, target: DataType, context: Context) -> str:
    local = _cut(macros.call("f_to_timestamp_us", sql), 6, min(target.precision, 6))
    return instant(local, context.zone)


def _sized_text(sql: str, source: DataType, target: DataType, context: Context) -> str:
    """To a length: CHAR is filled with spaces, all are cut."""
    if target.root == "CHAR":
        if source.root == "CHAR" and source.precision == target.precision:
            return sql
        return f"rpad({sql}, {target.precision}, ' ')"
    return sql if source.precision <= target.precision else f"left({sql}, {target.precision})"


def _text_to_binary(sql: str, source: DataType, target: DataType, context: Context) -> str:
    return _sized_binary(f"encode({sql})", STRING, target, context)


def _sized_binary(sql: str, source: DataType, target: DataType, context: Context) -> str:
    size = target.precision
    if (source.root == target.root and source.precision == size) or size == MAX_LENGTH:
        return sql
    if target.root == "VARBINARY":
        return sql if source.is_binary and source.precision <= size else f"f_bytes({sql}, {size})"
    return f"f_bytes({sql} || unhex('{'00' * size}'), {size})"


# ------------------------------------------------------------------------------------------------ to strings

def _to_text(sql: str, source: DataType, target: DataType, context: Context) -> str:
    return _sized_text(text(sql, source, context), STRING, target, context)


def text(sql: str, source: DataType, context: Context) -> str:
    """A value as Flink shows it, of any length."""
    rule = TEXTS.get(family(source), plain)
    return rule(sql, source, context)


# ----------------------------------------------------------------------------------------------------- times

def _cut(sql: str, held: int, digits: int) -> str:
    """Drop the fraction digits beyond `digits` of a TIMESTAMP that holds `held`."""
    if digits >= held:
        return sql
    if held > 6:
        return macros.call("f_ns_to_us", sql) if digits == 6 else (
            macros.call("f_floor_ns", sql, str(10 ** (9 - digits))) if digits > 6
            else _cut(macros.call("f_ns_to_us", sql), 6, digits))
    unit = {0: "second", 3: "millisecond"}.get(digits)
    return f"date_trunc('{unit}', {sql})" if unit else macros.call("f_floor_us", sql, str(10 ** (6 - digits)))


def _cut_time(sql: str, digits: int) -> str:
    unit = {0: "second", 3: "millisecond"}.get(digits)
    return sql if digits >= 6 else (
        f"CAST(date_trunc('{unit or 'millisecond'}', CAST('1970-01-01' AS DATE) + {sql}) AS TIME)")


def _retimed(sql: str, source: DataType, target: DataType, context: Context) -> str:
    """TIMESTAMP to TIMESTAMP: fewer digits are cut, more are zeros."""
    if target.precision >= source.precision:
        return as_duck(sql, source, target, context)
    return _cut(sql, 9 if source.precision > 6 else 6, target.precision)


def _ltz_retimed(sql: str, source: DataType, target: DataType, context: Context) -> str:
    if target.precision >= min(source.precision, 6):
        return sql
    return f"CAST({_cut(f'CAST({sql} AS TIMESTAMP)', 6, target.precision)} AS TIMESTAMPTZ)"


def _ltz_to_timestamp(sql: str, source: DataType, target: DataType, context: Context) -> str:
    found = _cut(local(sql, context.zone), min(source.precision, 6), min(target.precision, 6))
    return found if target.precision <= 6 else f"CAST({found} AS TIMESTAMP_NS)"


def _timestamp_to_ltz(sql: str, source: DataType, target: DataType, context: Context) -> str:
    held = 9 if source.precision > 6 else source.precision
    return instant(_cut(sql, held, min(target.precision, 6)), context.zone)


def _from_ltz(rule: Rule) -> Rule:
    """The rule of the local timestamp."""
    def converted(sql: str, source: DataType, target: DataType, context: Context) -> str:
        timestamp = DataType("TIMESTAMP", precision=min(source.precision, 6))
        return rule(local(sql, context.zone), timestamp, target, context)
    return converted


def _to_ltz(rule: Rule) -> Rule:
    def converted(sql: str, source: DataType, target: DataType, context: Context) -> str:
        timestamp = DataType("TIMESTAMP", precision=min(target.precision, 6))
        return instant(rule(sql, source, timestamp, context), context.zone)
    return converted


def _timestamp_to_time(sql: str, source: DataType, target: DataType, context: Context) -> str:
    held = _cut(sql, 9, 6) if source.precision > 6 else sql
    return f"CAST({_cut(held, 6, target.precision)} AS TIME)"


def _time_to_time(sql: str, source: DataType, target: DataType, context: Context) -> str:
    return sql if target.precision >= source.precision else _cut_time(sql, target.precision)


def _time_to_timestamp(sql: str, source: DataType, target: DataType, context: Context) -> str:
    return as_duck(f"(CAST('1970-01-01' AS DATE) + {sql})", DataType("TIMESTAMP"), target, context)


_UNIT_MS = {"DAY": 86_400_000, "HOUR": 3_600_000, "MINUTE": 60_000, "SECOND": 1_000, "WEEK": 604_800_000}


def _to_days(sql: str, source: DataType, target: DataType, context: Context) -> str:
    """A number of the unit; TRY_CAST takes it for milliseconds, in Flink too."""
    size = 1 if context.safe else _UNIT_MS.get(target.unit.split()[-1] if target.unit else "", 1)
    return f"to_microseconds(CAST({sql} AS BIGINT) * {size * 1000})"


def _to_months(sql: str, source: DataType, target: DataType, context: Context) -> str:
    size = 1 if context.safe or not target.unit.endswith("YEAR") else 12
    return f"to_months(CAST({sql} AS INTEGER) * {size})"


def _same(sql: str, source: DataType, target: DataType, context: Context) -> str:
    return sql


# ----------------------------------------------------------------------------------------------- collections

def _each(sql: str, source: DataType, target: DataType, context: Context) -> str:
    """Element by element; in one cast of DuckDB where that is the elements' meaning."""
    e = f"e{context.depth}"
    inner = context.nested(e, source.children[0], target.children[0], context.depth + 1)
    if inner in (e, f"CAST({e} AS {target.children[0].duck_type()})"):
        return as_duck(sql, source, target, context)
    if not context.safe:
        return f"list_transform({sql}, lambda {e}: {inner})"
    return let(sql, lambda a: let(f"list_transform({a}, lambda {e}: {inner})", lambda b: (
        f"CASE WHEN list_count({a}) = list_count({b}) THEN {b} END"), f"b{context.depth}"), f"a{context.depth}")


def _each_entry(sql: str, source: DataType, target: DataType, context: Context) -> str:
    e = f"e{context.depth}"
    key, value = (context.nested(f"{e}.{part}", a, b, context.depth + 1)
                  for part, a, b in zip(("key", "value"), source.children, target.children))
    if (key, value) == (f"{e}.key", f"{e}.value"):
        return as_duck(sql, source, target, context)
    made = f"{{'key': {key}, 'value': {value}}}"
    if context.safe:
        made = _unless_lost(made, [(f"{e}.key", key), (f"{e}.value", value)])
        return let(f"list_transform(map_entries({sql}), lambda {e}: {made})", lambda b: (
            f"CASE WHEN list_count({b}) = len({b}) THEN map_from_entries({b}) END"), f"b{context.depth}")
    return f"map_from_entries(list_transform(map_entries({sql}), lambda {e}: {made}))"


def _unless_lost(made: str, pairs: list[tuple[str, str]]) -> str:
    """What TRY_CAST made of the parts, NULL if one of them could not be converted."""
    lost = " OR ".join(f"({before} IS NOT NULL AND {after} IS NULL)" for before, after in pairs)
    return f"CASE WHEN NOT ({lost}) THEN {made} END"


def _each_field(sql: str, source: DataType, target: DataType, context: Context) -> str:
    def body(r: str) -> str:
        before = [f"struct_extract({r}, {text_literal(name)})" for name in source.names]
        after = [context.nested(old, a, b, context.depth + 1)
                 for old, a, b in zip(before, source.children, target.children)]
        made = "{" + ", ".join(f"{quote(n)}: {v}" for n, v in zip(target.names, after)) + "}"
        made = _unless_lost(made, [*zip(before, after)]) if context.safe else made
        return f"CASE WHEN {r} IS NOT NULL THEN {made} END"
    if source.duck_type() == target.duck_type():
        return sql
    return let(sql, body, f"r{context.depth}")


# ----------------------------------------------------------------------------------------------------- table

def _table() -> dict[tuple[str, str], Conversion]:
    found: dict[tuple[str, str], Conversion] = {}
    for source in ("integer", "decimal", "approximate"):
        found[source, "boolean"] = Conversion(_number_to_boolean)
        found["boolean", source] = Conversion(_boolean_to_number)
        found[source, "approximate"] = Conversion(_to_float)
    for source in TEXTS:
        found[source, "string"] = Conversion(_to_text)
    for source in ("integer", "decimal", "date"):
        found[source, "string"] = Conversion(_to_text)
    for target, rule in _FROM_TEXT.items():
        found["string", target] = Conversion(rule, checked=target != "integer")
    return found | {pair: Conversion(rule) for pair, rule in _PAIRS.items()}


_FROM_TEXT: dict[str, Rule] = {
    "integer": _text_to_integer, "approximate": _text_to_float, "decimal": _text_to_decimal,
    "boolean": _macro("f_boolean"), "date": _macro("f_to_date"), "time": _text_to_time,
    "timestamp": _text_to_timestamp, "ltz": _text_to_ltz,
}
_PAIRS: dict[tuple[str, str], Rule] = {
    ("integer", "integer"): _narrowed, ("decimal", "integer"): _cut_decimal,
    ("approximate", "integer"): _cut_float, ("integer", "decimal"): _to_decimal,
    ("decimal", "decimal"): _to_decimal, ("approximate", "decimal"): _float_to_decimal,
    ("boolean", "boolean"): _same, ("string", "string"): _sized_text, ("string", "binary"): _text_to_binary,
    ("binary", "binary"): _sized_binary, ("date", "date"): _same, ("date", "timestamp"): as_duck,
    ("date", "ltz"): _to_ltz(as_duck), ("time", "time"): _time_to_time,
    ("time", "timestamp"): _time_to_timestamp, ("time", "ltz"): _to_ltz(_time_to_timestamp),
    ("timestamp", "date"): as_duck, ("timestamp", "time"): _timestamp_to_time,
    ("timestamp", "timestamp"): _retimed, ("timestamp", "ltz"): _timestamp_to_ltz,
    ("ltz", "date"): _from_ltz(as_duck), ("ltz", "time"): _from_ltz(_timestamp_to_time),
    ("ltz", "timestamp"): _ltz_to_timestamp, ("ltz", "ltz"): _ltz_retimed,
    ("integer", "days"): _to_days, ("integer", "months"): _to_months, ("days", "days"): _same,
    ("months", "months"): _same, ("array", "array"): _each, ("multiset", "multiset"): as_duck,
    ("map", "map"): _each_entry, ("row", "row"): _each_field, ("variant", "variant"): _same,
}

CONVERSIONS = _table()
"""(family, family) → how CAST converts; a pair that is not here cannot be cast."""

"""Functions of dates and times. Patterns are Java's: a constant one becomes SQL while planning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from streamsql.core.batch import WATERMARK
from streamsql.core.schema import quote, text_literal
from streamsql.core.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    INT,
    STRING,
    DataType,
    time,
    timestamp,
    timestamp_ltz,
)
from streamsql.errors import SQLTypeError
from streamsql.values import time_units
from streamsql.values.java_parse import native_form
from streamsql.values.java_time import format_sql
from streamsql.values.java_zones import java_zone, known_zone
from streamsql.values.let import let
from streamsql.values.signature import NOW, ZONE
from streamsql.values.typed import Function, Typed

Arguments = Sequence[Typed]
DEFAULT_PATTERN = "yyyy-MM-dd HH:mm:ss"


def _word(argument: Typed) -> str:
    return str(argument.literal)


# --------------------------------------------------------------------------------------- parts and units

def _part(unit: str) -> Callable[[Arguments], str]:
    return lambda args: time_units.extract(unit, args[0].sql, args[0].type)


def _part_row(name: str, unit: str, doc: str, example: str) -> Function:
    return Function(name, f"{name}(temporal)", ("temporal|interval",), BIGINT, _part(unit), doc, example)


def _whole_type(args: Arguments) -> DataType:
    """FLOOR and CEIL keep the type, but for the fraction digits of a decimal."""
    return replace(args[0].type, scale=0) if args[0].type.root == "DECIMAL" else args[0].type


def _whole(*, up: bool) -> Callable[[Arguments], str]:
    def body(args: Arguments) -> str:
        value, type_ = args[0].sql, args[0].type
        if len(args) == 2:
            if type_.is_numeric:
                raise SQLTypeError(f"{type_} has no unit of time")
            return time_units.rounded(_word(args[1]), value, type_, up=up)
        if not type_.is_numeric:
            raise SQLTypeError(f"{type_} needs a unit of time", hint="write FLOOR(value TO DAY)")
        if type_.is_integer:
            return value
        return f"CAST({'ceil' if up else 'floor'}({value}) AS {_whole_type(args).duck_type()})"
    return body


def _added(args: Arguments) -> str:
    return let(args[2].sql, lambda t: time_units.added(_word(args[0]), args[1].sql, t, args[2].type), "time")


# ------------------------------------------------------------------------------------------- formatting

def _failing(message: str, *values: str) -> str:
    """An error for the rows whose values are all known."""
    known = " AND ".join(f"{v} IS NOT NULL" for v in values)
    return f"CASE WHEN {known} THEN error({text_literal(message)}) END"


def _constant(argument: Typed) -> str | None:
    return argument.literal if argument.is_literal and isinstance(argument.literal, str) else None


def _date_format(args: Arguments) -> str:
    value, pattern = args
    simple = value.type.is_character
    at = _simple_local(value.sql, DEFAULT_PATTERN) if simple else time_units.local(value.sql, value.type)
    constant = _constant(pattern)
    if constant is None:
        return let(at, lambda t: (f"f_format_simple(epoch_us({t}), 0, 'UTC', {pattern.sql})" if simple
                                  else f"f_format_formatter(epoch_us({t}), {pattern.sql})"), "time")
    try:
        return let(at, lambda t: format_sql(t, constant, simple=simple, zone_name="'UTC'"), "time")
    except ValueError as error:
        return _failing(str(error), at)


def _from_unixtime(args: Arguments) -> str:
    constant = _constant(args[1]) if len(args) > 1 else DEFAULT_PATTERN

    def body(seconds: str) -> str:
        at = f"f_local(make_timestamptz({seconds} * 1000000), {ZONE})"
        return let(at, lambda t: formatted(seconds, t), "time")

    def formatted(seconds: str, at: str) -> str:
        offset = f"(epoch_ms({at}) // 1000 - {seconds})"
        name = f"f_zone_name({seconds}, {ZONE})"
        if constant is None:
            return f"f_format_simple(epoch_us({at}), {offset}, {name}, {args[1].sql})"
        return format_sql(at, constant, simple=True, offset_s=offset, zone_name=name)

    try:
        return let(args[0].sql, body, "seconds")
    except ValueError as error:
        return _failing(str(error), args[0].sql)


# ---------------------------------------------------------------------------------------------- parsing

def _native(text: str, pattern: str, simple: bool) -> str | None:
    """The time of a text that DuckDB reads as Java does, NULL of any other; None if the pattern has none."""
    native = native_form(pattern, simple)
    if native is None:
        return None
    form, length = native
    return (f"CASE WHEN strlen({text}) = {length} AND f_is_plain({text}) "
            f"THEN try_strptime({text}, {text_literal(form)}) END")


def _or_slow(text: str, native: str | None, slow: str) -> str:
    """The native time, else that of a function of Python, which is not called for NULL: a call costs 2 µs even so."""
    return f"CASE WHEN {text} IS NOT NULL THEN COALESCE({native}, {slow}) END" if native else slow


def _simple_local(text: str, pattern: str) -> str:
    """A text read by SimpleDateFormat as a local time."""
    return let(text, lambda x: _or_slow(
        x, _native(x, pattern, True),
        f"make_timestamp(struct_extract(f_parse_simple({x}, {text_literal(pattern)}), 'local'))"), "text")


def _unix_timestamp(args: Arguments) -> str:
    if not args:
        return f"epoch_ms({NOW}) // 1000"
    pattern = _constant(args[1]) if len(args) > 1 else DEFAULT_PATTERN
    pattern_sql = args[1].sql if len(args) > 1 else text_literal(DEFAULT_PATTERN)

    def body(text: str) -> str:
        slow = let(f"f_parse_simple({text}, {pattern_sql})", lambda q: f"f_epoch_of({q}, {ZONE})", "parsed")
        given = " AND ".join(f"{v} IS NOT NULL" for v in (text, pattern_sql))
        slow = f"CASE WHEN {given} THEN {slow} END"
        native = _native(text, pattern, True) if pattern is not None else None
        return _or_slow(text, native and f"f_epoch_ms({native}, {ZONE}) // 1000", slow)

    try:
        return let(args[0].sql, body, "text")
    except ValueError as error:
        return _failing(str(error), args[0].sql)


def _to_date(args: Arguments) -> str:
    def default(x: str) -> str:
        native = f"CASE WHEN strlen({x}) = 10 AND f_is_plain({x}) THEN try_strptime({x}, '%Y-%m-%d') END"
        return f"COALESCE(CAST({native} AS DATE), f_to_date({x}))"

    if len(args) == 1:
        return let(args[0].sql, default, "text")
    constant = _constant(args[1])

    def body(x: str) -> str:
        slow = f"make_timestamp(struct_extract(f_parse_simple({x}, {args[1].sql}), 'local'))"
        return f"CAST({_or_slow(x, _native(x, constant, True) if constant is not None else None, slow)} AS DATE)"

    try:
        return let(args[0].sql, body, "text")
    except ValueError as error:
        return _failing(str(error), args[0].sql)


def _to_timestamp(args: Arguments) -> str:
    if len(args) == 1:
        return let(args[0].sql, lambda x: f"f_sql_timestamp({x})", "text")
    constant = _constant(args[1])

    def body(x: str) -> str:
        slow = f"f_floor_ms(make_timestamp(f_parse_formatter({x}, {args[1].sql})))"
        return _or_slow(x, _native(x, constant, False) if constant is not None else None, slow)

    try:
        return let(args[0].sql, body, "text")
    except ValueError:  # a pattern that is none
        return "CAST(NULL AS TIMESTAMP)"


def _to_ltz_type(args: Arguments) -> DataType:
    if len(args) > 1 and args[0].type.is_character != args[1].type.is_character:
        raise SQLTypeError(f"TO_TIMESTAMP_LTZ takes no {args[1].type.as_nullable()} after {args[0].type.as_nullable()}",
                           hint="write TO_TIMESTAMP_LTZ(number, precision) or TO_TIMESTAMP_LTZ(text, pattern)")
    digits = args[1].literal if len(args) > 1 and args[0].type.is_numeric else None
    if not isinstance(digits, int):
        return timestamp_ltz(3)
    if not 0 <= digits <= 9:
        raise SQLTypeError(f"a precision is 0 to 9, not {digits}")
    return timestamp_ltz(max(3, digits))


def _to_ltz(args: Arguments) -> str:
    return _ltz_of_number(args) if args[0].type.is_numeric else _ltz_of_text(args)


_LTZ_RANGE_US = (-62_167_219_200_000_000, 253_402_300_799_999_999)
"""The years 0 to 9999, in microseconds."""


def _ltz_of_number(args: Arguments) -> str:
    number, kind = args[0].sql, args[0].type
    digits = args[1].literal if len(args) > 1 else 3
    if len(args) > 1 and not isinstance(digits, int):
        power = f"CAST(pow(10, 6 - {args[1].sql}) AS HUGEINT)"
        return let(f"(CAST({number} AS HUGEINT) * {power})", lambda n: f"f_moment({n})", "micros")
    exponent = 6 - (digits if isinstance(digits, int) else 3)
    if kind.is_integer and exponent >= 0:
        unit = 10 ** exponent
        low, high = (-(-bound // unit) if bound < 0 else bound // unit for bound in _LTZ_RANGE_US)
        value = f"CAST({number} AS BIGINT)" if kind.root != "BIGINT" else number

        def moment(n: str) -> str:  # a CASE whose first condition holds for no row costs nothing
            return f"CASE WHEN {n} NOT BETWEEN {low} AND {high} THEN NULL ELSE make_timestamptz({n} * {unit}) END"
        return let(value, moment, "units")
    whole = f"CAST(trunc({number}) AS HUGEINT)" if not kind.is_integer else f"CAST({number} AS HUGEINT)"
    if kind.root == "DOUBLE":  # of seconds the fraction counts; a FLOAT is cut before
        whole = f"TRY_CAST(trunc({number}{f' * {10 ** exponent}' if digits == 0 else ''}) AS HUGEINT)"
        exponent = 0 if digits == 0 else exponent
    scaled = f"({whole} * {10 ** exponent})" if exponent >= 0 else f"({whole} // {10 ** -exponent})"
    return let(scaled, lambda n: f"f_moment({n})", "micros")


def _ltz_of_text(args: Arguments) -> str:
    """A text alone must be a time; with a pattern, NULL if it does not fit."""
    pattern = _constant(args[1]) if len(args) > 1 else None

    def body(x: str) -> str:
        if len(args) == 1:
            refused = f"error('text \"' || {x} || '\" could not be parsed')"
            at = f"CASE WHEN {x} IS NOT NULL THEN COALESCE(f_sql_timestamp({x}), {refused}) END"
        else:
            slow = f"f_floor_ms(make_timestamp(f_parse_formatter({x}, {args[1].sql})))"
            at = _or_slow(x, _native(x, pattern, False) if pattern is not None else None, slow)
        zone = f"f_known_zone({args[2].sql})" if len(args) > 2 else "'UTC'"
        if len(args) > 2 and _constant(args[2]) is not None:
            zone = text_literal(known_zone(str(args[2].literal)))
        return let(at, lambda t: f"f_instant({t}, {zone})", "time")

    try:
        return let(args[0].sql, body, "text")
    except ValueError as error:
        return _failing(str(error), args[0].sql)


def zone_text(argument: Typed) -> str:
    """A zone as DuckDB text."""
    constant = _constant(argument)
    return text_literal(java_zone(constant)) if constant is not None else f"f_java_zone({argument.sql})"


def _convert_tz(args: Arguments) -> str:
    at = _simple_local(args[0].sql, DEFAULT_PATTERN)
    moment = f"timezone({zone_text(args[2])}, timezone({zone_text(args[1])}, {at}))"
    return f"strftime({moment}, '%Y-%m-%d %H:%M:%S')"


# ----------------------------------------------------------------------------------------------- others

def _overlaps(args: Arguments) -> str:
    def bound(start: Typed, end: Typed) -> tuple[str, str]:
        other = f"{start.sql} + {end.sql}" if end.type.is_interval else end.sql
        return f"least({start.sql}, {other})", f"greatest({start.sql}, {other})"
    (low, high), (other_low, other_high) = bound(*args[:2]), bound(*args[2:])
    return f"{high} >= {other_low} AND {other_high} >= {low}"


def _watermark_type(args: Arguments) -> DataType:
    if args[0].time != "rowtime":
        raise SQLTypeError(f"CURRENT_WATERMARK takes a rowtime, not {args[0].type.as_nullable()}",
                           hint="name the column that WATERMARK FOR declares")
    return replace(args[0].type, precision=3)


def _current_watermark(args: Arguments) -> str:
    """Of the row's own partition just before the row, which every stream carries along."""
    make = "make_timestamptz" if args[0].type.root == "TIMESTAMP_LTZ" else "make_timestamp"
    mark = quote(WATERMARK)
    low, high = _LTZ_RANGE_US  # before the first row and after the last it is beyond all times
    return f"CASE WHEN {mark} BETWEEN {low} AND {high} THEN date_trunc('millisecond', {make}({mark})) END"


def _source_watermark(args: Arguments) -> DataType:
    raise SQLTypeError("no connector here knows watermarks of its own, which SOURCE_WATERMARK() asks for",
                       hint="write them over the rowtime: WATERMARK FOR ts AS ts - INTERVAL '5' SECOND")


_LTZ3 = timestamp_ltz(3)
_NOW_MS = f"date_trunc('millisecond', {NOW})"
_LOCAL = f"f_local({NOW}, {ZONE})"


def _clock(name: str, type_: DataType, body: str, doc: str, *, call: bool = False,
           aliases: tuple[str, ...] = ()) -> Function:
    shown = f"{name}()" if call else name
    return Function(name, shown, (), type_, lambda _: body, doc, f"{shown} IS NOT NULL", aliases=aliases,
                    nulls="never", deterministic=False)


FUNCTIONS = (
    Function("CEIL", "CEIL(number) or CEIL(temporal TO unit)", ("numeric|temporal", "symbol"), _whole_type,
             _whole(up=True), "The least whole number, or unit of time, not below.", "CEIL(1.2) = 2",
             aliases=("CEILING",), optional=1),
    Function("CONVERT_TZ", "CONVERT_TZ(string, from_zone, to_zone)", ("string", "string", "string"), STRING,
             _convert_tz, "A time in `yyyy-MM-dd HH:mm:ss` told in another zone.",
             "CONVERT_TZ('1970-01-01 00:00:00', 'UTC', 'America/Los_Angeles') = '1969-12-31 16:00:00'",
             nulls="always"),
    _clock("CURRENT_DATE", DATE, f"CAST({_LOCAL} AS DATE)", "The date in the session's zone."),
    _clock("CURRENT_ROW_TIMESTAMP", _LTZ3, _NOW_MS, "The time when the row's batch is processed.", call=True),
    _clock("CURRENT_TIMESTAMP", _LTZ3, _NOW_MS, "The time when the row's batch is processed.",
           aliases=("NOW", "PROCTIME")),
    Function("CURRENT_WATERMARK", "CURRENT_WATERMARK(rowtime)", ("timestamp|ltz",), _watermark_type, _current_watermark,
             "The watermark of the row's own partition just before the row; NULL before the first.",
             nulls="always", deterministic=False),
    Function("DATE_FORMAT", "DATE_FORMAT(timestamp_or_string, pattern)", ("timestamp|ltz|string", "string"), STRING,
             _date_format, "A time by a pattern of Java's.",
             "DATE_FORMAT(TIMESTAMP '2024-02-29 12:34:56', 'yyyy/MM/dd') = '2024/02/29'", nulls="always"),
    _part_row("DAYOFMONTH", "DAY", "The day of the month.", "DAYOFMONTH(DATE '2024-02-29') = 29"),
    _part_row("DAYOFWEEK", "DOW", "The day of the week, Sunday being 1.", "DAYOFWEEK(DATE '2024-02-29') = 5"),
    _part_row("DAYOFYEAR", "DOY", "The day of the year.", "DAYOFYEAR(DATE '2024-02-29') = 60"),
    Function("EXTRACT", "EXTRACT(unit FROM temporal)", ("symbol", "temporal|interval"), BIGINT,
             lambda args: time_units.extract(_word(args[0]), args[1].sql, args[1].type), "A part of a time.",
             "EXTRACT(DAY FROM DATE '2006-06-05') = 5"),
    Function("FLOOR", "FLOOR(number) or FLOOR(temporal TO unit)", ("numeric|temporal", "symbol"), _whole_type,
             _whole(up=False), "The greatest whole number, or unit of time, not above.",
             "FLOOR(TIME '12:44:31' TO MINUTE) = TIME '12:44:00'", optional=1),
    Function("FROM_UNIXTIME", "FROM_UNIXTIME(seconds [, pattern])", ("bigint", "string"), STRING, _from_unixtime,
             "Seconds since 1970 as text in the session's zone.", "FROM_UNIXTIME(44) = '1970-01-01 00:00:44'",
             optional=1, nulls="always"),
    _part_row("HOUR", "HOUR", "The hour.", "HOUR(TIMESTAMP '1994-09-27 13:14:15') = 13"),
    _clock("LOCALTIME", time(0), f"CAST(date_trunc('second', {_LOCAL}) AS TIME)",
           "The time of day in the session's zone.", aliases=("CURRENT_TIME",)),
    _clock("LOCALTIMESTAMP", timestamp(3), f"date_trunc('millisecond', {_LOCAL})",
           "The time in the session's zone."),
    _part_row("MINUTE", "MINUTE", "The minute.", "MINUTE(TIMESTAMP '1994-09-27 13:14:15') = 14"),
    _part_row("MONTH", "MONTH", "The month.", "MONTH(DATE '1994-09-27') = 9"),
    Function("OVERLAPS", "(start, end_or_interval) OVERLAPS (start, end_or_interval)",
             ("temporal", "temporal|interval", "temporal", "temporal|interval"), BOOLEAN, _overlaps,
             "Whether two spans of time have a moment in common.",
             "(DATE '2024-01-01', DATE '2024-01-31') OVERLAPS (DATE '2024-01-31', DATE '2024-02-01') = TRUE"),
    _part_row("QUARTER", "QUARTER", "The quarter.", "QUARTER(DATE '1994-09-27') = 3"),
    _part_row("SECOND", "SECOND", "The second.", "SECOND(TIMESTAMP '1994-09-27 13:14:15') = 15"),
    Function("SOURCE_WATERMARK", "SOURCE_WATERMARK()", (), _source_watermark, "NULL",
             "The watermark that a connector knows by itself: here none does, and a call is an error.",
             nulls="always", deterministic=False),
    Function("TIMESTAMPADD", "TIMESTAMPADD(unit, count, temporal)", ("symbol", "bigint", "temporal"),
             lambda args: time_units.added_type(_word(args[0]), args[2].type), _added, "A time so many units later.",
             "TIMESTAMPADD(MONTH, 1, DATE '2024-01-31') = DATE '2024-02-29'"),
    Function("TIMESTAMPDIFF", "TIMESTAMPDIFF(unit, start, end)", ("symbol", "temporal", "temporal"), INT,
             lambda args: time_units.difference(_word(args[0]), args[1].sql, args[1].type, args[2].sql,
                                                args[2].type),
             "How many whole units from one time to another.",
             "TIMESTAMPDIFF(DAY, DATE '2024-01-31', DATE '2024-02-29') = 29"),
    Function("TO_DATE", "TO_DATE(string [, pattern])", ("string", "string"), DATE, _to_date,
             "The date of a text; NULL if it is none.", "TO_DATE('29/02/2024', 'dd/MM/yyyy') = DATE '2024-02-29'",
             optional=1, nulls="always"),
    Function("TO_TIMESTAMP", "TO_TIMESTAMP(string [, pattern])", ("string", "string"), timestamp(3), _to_timestamp,
             "The time of a text; NULL if it is none.",
             "TO_TIMESTAMP('29.02.2024 12:34', 'dd.MM.yyyy HH:mm') = TIMESTAMP '2024-02-29 12:34:00.000'",
             optional=1, nulls="always"),
    Function("TO_TIMESTAMP_LTZ", "TO_TIMESTAMP_LTZ(number [, precision]) or (string [, pattern [, zone]])",
             ("numeric|string", "integer|string", "string"), _to_ltz_type, _to_ltz,
             "The instant of a number since 1970 (of milliseconds unless said), or of a text.",
             "TO_TIMESTAMP_LTZ(1000, 3) = TO_TIMESTAMP_LTZ(1, 0)", optional=2, nulls="always"),
    Function("UNIX_TIMESTAMP", "UNIX_TIMESTAMP([string [, pattern]])", ("string", "string"), BIGINT,
             _unix_timestamp, "Seconds since 1970, of now or of a text in the session's zone.",
             "UNIX_TIMESTAMP('1970-01-01 00:00:44') = 44", optional=2, deterministic=True),
    _part_row("WEEK", "WEEK", "The week of the year by ISO 8601.", "WEEK(DATE '1994-09-27') = 39"),
    _part_row("YEAR", "YEAR", "The year.", "YEAR(DATE '1994-09-27') = 1994"),
)

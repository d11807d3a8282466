"""Units of time as DuckDB text: EXTRACT, FLOOR and CEIL TO, TIMESTAMPADD, TIMESTAMPDIFF.

Each takes the value's DuckDB text, which it may use more than once, and its Flink type. A TIMESTAMP_LTZ is looked
at in the session's zone. The answers are Flink's, with two of its habits: CEIL to a unit of days looks at the date
alone, and EXTRACT, FLOOR to weeks and longer units cut a time before 1970 towards 1970.
"""

from __future__ import annotations

from streamsql.core.types import DATE, DataType, timestamp
from streamsql.errors import SQLTypeError
from streamsql.values import macros
from streamsql.values.let import let
from streamsql.values.signature import ZONE

MICROSECONDS = {"MICROSECOND": 1, "MILLISECOND": 1000, "SECOND": 1_000_000, "MINUTE": 60_000_000,
                "HOUR": 3_600_000_000, "DAY": 86_400_000_000, "WEEK": 604_800_000_000}
MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12, "DECADE": 120, "CENTURY": 1200, "MILLENNIUM": 12000}
FRACTION_DIGITS = {"MILLISECOND": 3, "MICROSECOND": 6, "NANOSECOND": 9}
DAY_US = MICROSECONDS["DAY"]

_DATE_PARTS = {
    "MILLENNIUM": "datepart('millennium', {0})", "CENTURY": "datepart('century', {0})", "DECADE": "year({0}) // 10",
    "YEAR": "year({0})", "ISOYEAR": "isoyear({0})", "QUARTER": "quarter({0})", "MONTH": "month({0})",
    "WEEK": "week({0})", "DAY": "day({0})", "DOW": "dayofweek({0}) + 1", "ISODOW": "isodow({0})",
    "DOY": "dayofyear({0})",
}
_TIME_PARTS = {
    "HOUR": "hour({0})", "MINUTE": "minute({0})", "SECOND": "second({0})",
    "MILLISECOND": "millisecond({0}) % 1000", "MICROSECOND": "microsecond({0}) % 1000000",
}
_NANOSECOND = {True: "epoch_ns({0}) % 1000000000", False: "epoch_us({0}) % 1000000 * 1000"}


def local(value: str, type_: DataType) -> str:
    """The value as a time of the clock on the wall."""
    return f"f_local({value}, {ZONE})" if type_.root == "TIMESTAMP_LTZ" else value


def _refuse(unit: str, type_: DataType) -> SQLTypeError:
    return SQLTypeError(f'unit "{unit}" cannot be taken of {type_.as_nullable()}')


def known(unit: str) -> str:
    """The unit's name in upper case; raises SQLTypeError if there is no such unit."""
    name = unit.upper()
    if name not in {*_DATE_PARTS, *_TIME_PARTS, *MICROSECONDS, *MONTHS, *FRACTION_DIGITS, "EPOCH"}:
        raise SQLTypeError(f'"{unit}" is no unit of time',
                           hint="units: YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE, SECOND, MILLISECOND")
    return name


# ------------------------------------------------------------------------------------------------ extract


def extract(unit: str, value: str, type_: DataType) -> str:
    """EXTRACT(unit FROM value) as a BIGINT; raises SQLTypeError for a unit that the type has not."""
    unit = known(unit)
    if type_.is_interval:
        return f"CAST({let(value, lambda v: _interval_part(unit, v, type_), 'part')} AS BIGINT)"
    rule = {"DATE": _date_part, "TIME": _time_part}.get(type_.root, _moment_part)
    return f"CAST({rule(unit, value, type_)} AS BIGINT)"


def _date_part(unit: str, value: str, type_: DataType) -> str:
    if unit in _DATE_PARTS:
        return _DATE_PARTS[unit].format(value)
    if unit == "EPOCH":
        return f"({value} - DATE '1970-01-01') * 86400"
    if unit in ("HOUR", "MINUTE", "SECOND", "MILLISECOND"):
        return f"CASE WHEN {value} IS NOT NULL THEN 0 END"
    raise _refuse(unit, type_)


def _time_part(unit: str, value: str, type_: DataType) -> str:
    if unit in ("HOUR", "MINUTE", "SECOND", "MILLISECOND"):
        return _TIME_PARTS[unit].format(value)
    raise _refuse(unit, type_)


def _timestamp_part(unit: str, value: str, type_: DataType) -> str:
    if unit == "NANOSECOND":
        return _NANOSECOND[type_.precision > 6].format(value)
    if unit == "EPOCH":
        return f"epoch_ms({value}) // 1000"
    return {**_DATE_PARTS, **_TIME_PARTS}[unit].format(value)


def _microseconds(value: str) -> str:
    """A TIMESTAMP of nanoseconds without the last three digits, which a cast would round."""
    return f"make_timestamp(epoch_ns({value}) // 1000)"


_OF_DAY_MS = {"HOUR": "{0} % 86400000 // 3600000", "MINUTE": "{0} % 3600000 // 60000", "SECOND": "{0} % 60000 // 1000",
              "MILLISECOND": "{0} % 1000", "MICROSECOND": "{0} % 1000 * 1000", "NANOSECOND": "{0} % 1000 * 1000000",
              "EPOCH": "{0} // 1000"}


def _moment_part(unit: str, value: str, type_: DataType) -> str:
    """Of a TIMESTAMP, or of the local time of a TIMESTAMP_LTZ: before 1970 it is cut towards 1970."""
    if type_.root == "TIMESTAMP" and type_.precision > 6:
        if unit == "NANOSECOND":
            return _timestamp_part(unit, value, type_)
        value = _microseconds(value)

    def body(at: str) -> str:
        usual = _timestamp_part(unit, at, timestamp(6))
        milliseconds = f"epoch_ms({at})"
        if unit in _OF_DAY_MS:
            early = _OF_DAY_MS[unit].format(milliseconds)
        else:
            early = _DATE_PARTS[unit].format(_early_day(at))
        return f"CASE WHEN {at} >= TIMESTAMP '1970-01-01 00:00:00' THEN {usual} ELSE {early} END"
    return let(local(value, type_), body, "part")


def _early_day(at: str) -> str:
    """The day of a time before 1970, as Flink counts: cut towards 1970."""
    return f"(DATE '1970-01-01' + CAST(epoch_ms({at}) // 86400000 AS INTEGER))"


def _interval_part(unit: str, value: str, type_: DataType) -> str:
    if type_.root == "INTERVAL YEAR TO MONTH":
        months = f"(datepart('year', {value}) * 12 + datepart('month', {value}))"
        parts = {"YEAR": f"{months} // 12", "MONTH": f"{months} % 12", "QUARTER": f"({months} % 12 - 1) // 3 + 1",
                 "DECADE": f"{months} // 120", "CENTURY": f"{months} // 1200", "MILLENNIUM": f"{months} // 12000"}
    else:
        ms = f"epoch_ms({value})"
        parts = {"DAY": f"{ms} // 86400000", **{u: _OF_DAY_MS[u].format(ms) for u in ("HOUR", "MINUTE", "SECOND",
                                                                                      "MILLISECOND")}}
    if unit not in parts:
        raise _refuse(unit, type_)
    return parts[unit]


# ------------------------------------------------------------------------------------------ floor and ceil


def _date_floor(unit: str, date: str) -> str:
    if unit == "WEEK":
        return f"({date} - CAST(dayofweek({date}) AS INTEGER))"
    return {
        "DAY": date,
        "CENTURY": f"make_date((year({date}) + 99) // 100 * 100 - 99, 1, 1)",
        "MILLENNIUM": f"make_date((year({date}) + 999) // 1000 * 1000 - 999, 1, 1)",
    }.get(unit, f"CAST(date_trunc('{unit.lower()}', {date}) AS DATE)")


def _date_ceil(unit: str, date: str) -> str:
    """Flink's: a quarter goes up from all but 1 January, a decade, a day from every date."""
    first_of_year = f"(month({date}) > 1 OR day({date}) > 1)"
    month = f"CAST(date_trunc('month', {date}) AS DATE)"
    return {
        "DAY": f"({date} + 1)",
        "WEEK": f"({date} + CAST((7 - dayofweek({date})) % 7 AS INTEGER))",
        "MONTH": f"CASE WHEN day({date}) > 1 THEN CAST({month} + to_months(1) AS DATE) ELSE {date} END",
        "QUARTER": f"CAST(date_trunc('quarter', {date}) + to_months(CASE WHEN {first_of_year} THEN 3 ELSE 0 END) "
                   "AS DATE)",
        "YEAR": f"CAST(date_trunc('year', {date}) + to_years(CASE WHEN {first_of_year} THEN 1 ELSE 0 END) AS DATE)",
        "DECADE": f"make_date((year({date}) // 10 + 1) * 10, 1, 1)",
        "CENTURY": f"make_date((year({date}) + 99) // 100 * 100 + 1, 1, 1)",
        "MILLENNIUM": f"make_date((year({date}) + 999) // 1000 * 1000 + 1, 1, 1)",
    }[unit]


def rounded(unit: str, value: str, type_: DataType, *, up: bool) -> str:
    """FLOOR(value TO unit), or CEIL, of the value's own type; raises SQLTypeError for a wrong unit."""
    unit = known(unit)
    if unit not in (*MICROSECONDS, *MONTHS, "NANOSECOND"):
        raise _refuse(unit, type_)
    if type_.root == "TIME":
        if unit not in ("HOUR", "MINUTE", "SECOND", "MILLISECOND"):
            raise _refuse(unit, type_)
        return let(value, lambda v: f"(TIME '00:00:00' + to_microseconds({_round_us(f'epoch_us({v})', unit, up)}))",
                   "time")
    if type_.root == "DATE":
        if unit not in ("DAY", "WEEK", *MONTHS):
            return value
        return let(value, lambda v: (_date_ceil if up else _date_floor)(unit, v), "date")
    if type_.root == "TIMESTAMP_LTZ":
        return let(value, lambda v: let(local(v, type_), lambda at: (
            f"make_timestamptz(epoch_us({v}) + epoch_us({_round_timestamp(unit, at, timestamp(6), up)}) "
            f"- epoch_us({at}))"), "at"), "instant")
    return let(value, lambda v: _round_timestamp(unit, v, type_, up), "at")


def _round_us(number: str, unit: str, up: bool) -> str:
    """A whole number rounded to a multiple of the unit, which is not negative."""
    size = MICROSECONDS[unit]
    return f"(({number} + {size - 1}) // {size} * {size})" if up else f"({number} // {size} * {size})"


def _round_timestamp(unit: str, value: str, type_: DataType, up: bool) -> str:
    target = type_.duck_type()
    if unit in MONTHS or unit == "WEEK":
        at = _microseconds(value) if type_.precision > 6 else value
        day = f"CASE WHEN {at} >= TIMESTAMP '1970-01-01 00:00:00' THEN CAST({at} AS DATE) ELSE {_early_day(at)} END"
        return f"CAST({let(day, lambda d: (_date_ceil if up else _date_floor)(unit, d), 'day')} AS {target})"
    if unit == "NANOSECOND" or (unit == "MICROSECOND" and type_.precision <= 6):
        return value
    if type_.precision > 6:
        size = MICROSECONDS[unit] * 1000
        below = f"((epoch_ns({value}) % {size} + {size}) % {size})"
        extra = f" + CASE WHEN {below} = 0 THEN 0 ELSE {size} END" if up else ""
        return f"make_timestamp_ns(epoch_ns({value}) - {below}{extra})"
    floor = f"date_trunc('{unit.lower()}', {value})"
    if not up:
        return floor if unit != "DAY" else f"CAST({floor} AS {target})"
    return (f"CASE WHEN {floor} = {value} THEN {value} "
            f"ELSE {floor} + to_microseconds({MICROSECONDS[unit]}) END")


# ------------------------------------------------------------------------------------- add and difference


def added_type(unit: str, type_: DataType) -> DataType:
    """The type of TIMESTAMPADD."""
    unit = known(unit)
    if type_.root == "DATE":
        return DATE if unit in ("DAY", "WEEK", *MONTHS) else timestamp(6)
    if type_.is_timestamp and type_.precision < FRACTION_DIGITS.get(unit, 0):
        return DataType(type_.root, precision=FRACTION_DIGITS[unit])
    return type_


def added(unit: str, count: str, value: str, type_: DataType) -> str:
    """TIMESTAMPADD(unit, count, value): days are 24 hours, months end where the month ends."""
    unit, target = known(unit), added_type(unit, type_)
    if unit in MONTHS:
        if type_.root == "TIME":
            raise _refuse(unit, type_)
        interval = f"to_months(CAST({count} * {MONTHS[unit]} AS INTEGER))"
        if type_.root == "TIMESTAMP" and type_.precision > 6:
            whole = f"epoch_ns(make_timestamp(epoch_ns({value}) // 1000) + {interval})"
            return f"make_timestamp_ns({whole} + epoch_ns({value}) % 1000)"
        if type_.root == "TIMESTAMP_LTZ":
            return f"make_timestamptz(epoch_us(make_timestamp(epoch_us({value})) + {interval}))"
        return f"CAST({value} + {interval} AS {target.duck_type()})"
    if unit not in MICROSECONDS and unit != "NANOSECOND":
        raise _refuse(unit, type_)
    if type_.root == "TIMESTAMP" and target.precision > 6:
        size = MICROSECONDS[unit] * 1000 if unit in MICROSECONDS else 1
        return f"make_timestamp_ns(epoch_ns({value}) + {count} * {size})"
    size = MICROSECONDS.get(unit, 1)
    interval = f"to_microseconds({count} * {size}{' // 1000' if unit == 'NANOSECOND' else ''})"
    if type_.root == "TIMESTAMP_LTZ":
        return f"make_timestamptz(epoch_us({value}) + {count} * {size}{' // 1000' if unit == 'NANOSECOND' else ''})"
    if type_.root == "DATE":
        return f"CAST(CAST({value} AS TIMESTAMP) + {interval} AS {target.duck_type()})"
    return f"({value} + {interval})"


def difference(unit: str, start: str, start_type: DataType, end: str, end_type: DataType) -> str:
    """TIMESTAMPDIFF(unit, start, end) as an INT, whose bits wrap: whole units, towards zero."""
    unit = known(unit)
    if (start_type.root == "TIMESTAMP_LTZ") != (end_type.root == "TIMESTAMP_LTZ"):
        raise SQLTypeError(f"the difference of {start_type.as_nullable()} and {end_type.as_nullable()} is not defined",
                           hint="CAST one to the type of the other")
    if unit in MONTHS:
        def months(names: str) -> str:
            return f"CAST(f_months_between({names}) // {MONTHS[unit]} AS INTEGER)"
        a, b = _moment(start, start_type), _moment(end, end_type)
        return let(a, lambda s: let(b, lambda e: months(f"{s}, {e}"), "end"), "start")
    if unit not in MICROSECONDS:
        raise _refuse(unit, start_type)
    a, b = (f"epoch_ms({_moment(v, t)})" for v, t in ((start, start_type), (end, end_type)))
    if unit == "MICROSECOND":
        return macros.call("f_wrap_int", f"(({b} - {a}) * 1000)")
    units = f"(({b} - {a}) // {MICROSECONDS[unit] // 1000})"
    return f"CAST({units} AS INTEGER)" if unit in ("DAY", "WEEK") else macros.call("f_wrap_int", units)


def _moment(value: str, type_: DataType) -> str:
    """The value as a TIMESTAMP; an instant in UTC."""
    if type_.root == "TIMESTAMP_LTZ":
        return f"make_timestamp(epoch_us({value}))"
    if type_.root == "TIME":
        return f"(DATE '1970-01-01' + {value})"
    return value if type_.root == "TIMESTAMP" and type_.precision <= 6 else f"CAST({value} AS TIMESTAMP)"

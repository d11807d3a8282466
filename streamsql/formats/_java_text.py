"""Numbers and times as Java prints them: what Flink's formats write.

Each function takes a DuckDB expression and gives one of type VARCHAR, NULL for NULL.
"""

from __future__ import annotations

from streamsql.core.types import DataType


def approximate(x: str, quote: str = "") -> str:
    """FLOAT or DOUBLE as `Double.toString`: scientific below 1E-3 and from 1E7 on.

    quote: put around NaN and the infinities.
    """
    return f"CASE WHEN {x} = 0 OR (abs({x}) >= 1e-3 AND abs({x}) < 1e7) THEN {x}::VARCHAR " \
           f"WHEN isnan({x}) THEN '{quote}NaN{quote}' " \
           f"WHEN isinf({x}) THEN CASE WHEN {x} > 0 THEN '{quote}Infinity{quote}' " \
           f"ELSE '{quote}-Infinity{quote}' END " \
           f"WHEN {x} IS NOT NULL THEN CASE WHEN {x} < 0 THEN '-' ELSE '' END || " \
           f"{_let('t', f'abs({x})::VARCHAR', _SCIENTIFIC)} END"


def _let(name: str, value: str, body: str) -> str:
    """`body` with `name` standing for `value`, which is so computed and written once."""
    return f"list_transform([{value}], lambda {name}: {body})[1]"


def _pointed(always: bool) -> str:
    """The digits `d`: `1234` as `1.234`; a single one as `1.0` or `1`."""
    single = "d || '.0'" if always else "d"
    return f"CASE WHEN length(d) = 1 THEN {single} ELSE left(d, 1) || '.' || substr(d, 2) END"


_DIGITS = "replace(t, '.', '')"
_EXPONENT = "split_part(t, 'e', 1) || CASE WHEN contains(t, '.') THEN '' ELSE '.0' END " \
            "|| 'E' || split_part(t, 'e', 2)::INTEGER"
_LARGE = _let("d", f"rtrim({_DIGITS}, '0')", f"{_pointed(True)} || 'E' || (strpos(t, '.') - 2)")
_SMALL = _let("d", f"ltrim({_DIGITS}, '0')", f"{_pointed(True)} || 'E' || (length(d) - length(t) + 1)")
_SCIENTIFIC = f"CASE WHEN contains(t, 'e') THEN {_EXPONENT} WHEN starts_with(t, '0') THEN {_SMALL} " \
              f"ELSE {_LARGE} END"
"""Text `t` of a positive number, written plainly or as `1.5e-07`, as `1.5E-7`."""


def decimal(x: str, kind: DataType, *, plain: bool) -> str:
    """DECIMAL as `BigDecimal.toString`, scientific below 1E-6, or as `toPlainString`."""
    if plain or kind.scale <= 6:
        return f"{x}::VARCHAR"
    digits = f"coalesce(nullif(ltrim(replace(abs({x})::VARCHAR, '.', ''), '0'), ''), '0')"
    small = _let("d", digits, f"{_pointed(False)} || 'E' || (length(d) - 1 - {kind.scale})")
    return f"CASE WHEN abs({x}) >= 0.000001 THEN {x}::VARCHAR " \
           f"WHEN {x} IS NOT NULL THEN CASE WHEN {x} < 0 THEN '-' ELSE '' END || {small} END"


def time(x: str, kind: DataType, *, iso: bool) -> str:
    """DATE, TIME, TIMESTAMP or TIMESTAMP_LTZ (in UTC, with `Z`) in the SQL or the ISO-8601 form."""
    if kind.root == "TIMESTAMP_LTZ":
        x = f"make_timestamp(epoch_us({x}))"  # the cast would go through the session's time zone
    text = f"{x}::VARCHAR"
    if kind.is_timestamp and iso:
        text = f"replace({text}, ' ', 'T')"
    return f"{text} || 'Z'" if kind.root == "TIMESTAMP_LTZ" else text

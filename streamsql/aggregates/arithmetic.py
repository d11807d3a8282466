"""Java's integers and Flink's decimals in DuckDB text: sums that wrap, averages that are exact."""

from __future__ import annotations

from streamsql.core.types import DataType

BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
LARGE = 10**19
"""A DECIMAL of up to 38 digits is `high * LARGE + low`; sums of both halves cannot overflow."""


COUNTS = "coalesce({a} + {b}, {a}, {b})"
"""Two counts, or two sums that cannot overflow, either NULL."""

HUGE_SUMS = "coalesce(CAST({a} AS HUGEINT) + {b}, {a}, {b})"


def wrapped(value: str, bits: int) -> str:
    """A HUGEINT cut to `bits` as Java cuts it; the text has the value a few times."""
    modulus, half = 2**bits, 2**(bits - 1)
    cut = f"(((CAST({value} AS HUGEINT) + {half}) % {modulus} + {modulus}) % {modulus} - {half})"
    # the remainder of HUGEINTs costs 100 ns, and is needed next to never
    return f"(CASE WHEN {value} BETWEEN {-half} AND {half - 1} OR {value} IS NULL THEN {value} ELSE {cut} END)"


def unscaled(value: str) -> str:
    """The digits of a DECIMAL without its point, as HUGEINT."""
    return f"CAST(replace(CAST({value} AS VARCHAR), '.', '') AS HUGEINT)"


def scaled(digits: str, scale: int) -> str:
    """The DECIMAL(38, scale) of a HUGEINT of unscaled digits; NULL where it has more than 38."""
    if not scale:
        return f"TRY_CAST({digits} AS DECIMAL(38,0))"
    plain = f"CAST(abs({digits}) AS VARCHAR)"
    padded = f"lpad({plain}, CAST(greatest(length({plain}), {scale + 1}) AS INTEGER), '0')"
    sign = f"CASE WHEN {digits} < 0 THEN '-' ELSE '' END"
    text = f"{sign} || left({padded}, length({padded}) - {scale}) || '.' || right({padded}, {scale})"
    return f"TRY_CAST({text} AS DECIMAL(38,{scale}))"


def divided(digits: str, count: str, shift: int) -> str:
    """`digits * 10^shift / count` rounded half up, as HUGEINT; NULL beyond 38 digits."""
    limit = 10 ** (38 - shift)
    up = f"(abs({digits}) * {10**shift})"
    # in two steps, since twice a value of 38 digits does not fit a HUGEINT
    rounded = f"({up} // {count} + CASE WHEN {up} % {count} * 2 >= {count} THEN 1 ELSE 0 END)"
    return (f"CASE WHEN {count} = 0 OR abs({digits}) >= {limit} THEN NULL "
            f"ELSE sign({digits})::HUGEINT * {rounded} END")


def joined(high: str, low: str) -> str:
    """`high * LARGE + low`; NULL where it does not fit 38 digits."""
    high, low = f"CAST({high} AS HUGEINT)", f"CAST({low} AS HUGEINT)"
    return f"CASE WHEN abs({high}) < {LARGE} THEN {high} * {LARGE} + {low} END"


def average_type(kind: DataType) -> DataType:
    """AVG, STDDEV and VAR keep the type; a DECIMAL becomes DECIMAL(38, at least 6)."""
    if kind.root == "DECIMAL":
        return DataType("DECIMAL", kind.nullable, 38, max(6, kind.scale))
    return kind

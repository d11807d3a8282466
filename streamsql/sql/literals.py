"""What an interval literal means: its type, and its length in months or microseconds."""

from __future__ import annotations

import re
from decimal import Decimal

from sqlglot import exp

from streamsql.core.types import DataType
from streamsql.errors import SQLTypeError
from streamsql.sql.spans import span_of
from streamsql.sql.types import interval_type_of

_SIZES = {
    "YEAR": 12,
    "QUARTER": 3,
    "MONTH": 1,
    "WEEK": 604_800_000_000,
    "DAY": 86_400_000_000,
    "HOUR": 3_600_000_000,
    "MINUTE": 60_000_000,
    "SECOND": 1_000_000,
}
_LIMITS = {"MONTH": 11, "HOUR": 23, "MINUTE": 59, "SECOND": 59}
_SEQUENCE = ("DAY", "HOUR", "MINUTE", "SECOND")


def interval_type(tree: exp.Interval) -> DataType:
    """`INTERVAL YEAR TO MONTH` or `INTERVAL DAY TO SECOND`, with the unit as written."""
    return interval_type_of(tree.args["unit"].name)


def interval_value(tree: exp.Expr) -> int:
    """The length of `INTERVAL '…' unit`, possibly within Neg or Paren: months if its type is of years and
    months, else microseconds. Raises SQLTypeError at a text that its unit does not allow."""
    if isinstance(tree, exp.Neg):
        return -interval_value(tree.this)
    if isinstance(tree, exp.Paren):
        return interval_value(tree.this)
    if not isinstance(tree, exp.Interval) or not isinstance(tree.this, exp.Literal):
        raise SQLTypeError("expected an interval literal", span_of(tree), hint="Write INTERVAL '1' MINUTE.")
    text, unit = tree.this.name, re.sub(r"\([^)]*\)", "", tree.args["unit"].name)
    value = _value(text.strip(), unit)
    if value is None:
        raise SQLTypeError(
            f"'{text}' is no interval {unit}",
            span_of(tree),
            hint=f"An example: INTERVAL '{_EXAMPLES[unit]}' {unit}.",
        )
    return value


_EXAMPLES = {
    **dict.fromkeys(_SIZES, "1"),
    "YEAR TO MONTH": "1-2",
    "DAY TO HOUR": "1 02",
    "DAY TO MINUTE": "1 02:03",
    "DAY TO SECOND": "1 02:03:04.5",
    "HOUR TO MINUTE": "02:03",
    "HOUR TO SECOND": "02:03:04.5",
    "MINUTE TO SECOND": "03:04.5",
}


def _value(text: str, unit: str) -> int | None:
    sign = -1 if text.startswith("-") else 1
    body = text[1:] if text[:1] in ("-", "+") else text
    if " TO " not in unit:
        pattern = r"\d+(\.\d*)?|\.\d+" if unit == "SECOND" else r"\d+"
        return sign * int(Decimal(body) * _SIZES[unit]) if re.fullmatch(pattern, body) else None
    first, last = unit.split(" TO ")
    if first == "YEAR":
        names, pattern = ["YEAR", "MONTH"], r"(\d+)-(\d+)"
    else:
        names = [*_SEQUENCE[_SEQUENCE.index(first) : _SEQUENCE.index(last) + 1]]
        parts = [r"(\d+(?:\.\d*)?)" if n == "SECOND" else r"(\d+)" for n in names]
        pattern = parts[0] + (" +" if first == "DAY" else ":") + ":".join(parts[1:])
    found = re.fullmatch(pattern, body)
    if found is None:
        return None
    values = [Decimal(v) for v in found.groups()]
    if any(int(v) > _LIMITS.get(n, int(v)) for n, v in [*zip(names, values, strict=True)][1:]):
        return None
    return sign * int(sum(v * _SIZES[n] for n, v in zip(names, values, strict=True)))

"""Math functions (sample rows)."""

from __future__ import annotations

from streamsql.core.types import DOUBLE, STRING
from streamsql.values.signature import by_arity
from streamsql.values.typed import Function

FUNCTIONS = (
    Function("SIN", "SIN(number)", ("double",), DOUBLE, "sin({0})", "The sine of an angle in radians.",
             "SIN(0) = 0.0"),
    Function("LOG", "LOG([base,] number)", ("double", "double"), DOUBLE,
             by_arity("ln({0})", "ln({1}) / ln({0})"), "The logarithm to a base, or the natural one.",
             "LOG(2, 8) = 3.0", optional=1),
    Function("HEX", "HEX(integer_or_string)", ("bigint|string",), STRING,
             lambda args: f"hex({args[0].sql})", "Upper-case hexadecimal digits.", "HEX(255) = 'FF'"),
)

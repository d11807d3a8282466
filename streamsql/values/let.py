"""Naming a value inside one SQL expression, so that a long body computes its argument once.

DuckDB has no `LET` in an expression: a lambda over a list of one is the nearest thing (about 65 ns a row, more
than most arguments cost, so a bare column or constant is repeated instead).
"""

from __future__ import annotations

import re
from collections.abc import Callable

_SIMPLE = re.compile(r"""\(*(?:"(?:[^"]|"")*"(?:\."(?:[^"]|"")*")*|[\w.]+|'(?:[^']|'')*')\)*""")


def let(value: str, body: Callable[[str], str], name: str = "v") -> str:
    """`body` of `value`, which is evaluated once.

    The name must differ from those of an enclosing `let` whose value the body uses; the variable that
    DuckDB sees gets a prefix that no column is likely to have.
    """
    if _SIMPLE.fullmatch(value):
        return body(value)
    variable = f"let__{name}"
    return f"list_transform([{value}], lambda {variable}: {body(variable)})[1]"


def let_all(values: list[str], body: Callable[[list[str]], str]) -> str:
    """As `let` for several values at once."""
    def nested(index: int, names: list[str]) -> str:
        if index == len(values):
            return body(names)
        return let(values[index], lambda name: nested(index + 1, [*names, name]), f"v{index}")
    return nested(0, [])

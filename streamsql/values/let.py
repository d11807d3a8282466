"""Naming a value inside one SQL expression, so that a long body computes its argument once.

DuckDB has no `LET` in an expression: a lambda over a list of one is the nearest thing (about 65 ns a row, more
than most arguments cost, so a bare column or constant is repeated instead).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence

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


# ------------------------------------------------------------------------------------------------ hoisting

_NAMED = re.compile(r"\], lambda (let__\w+): ")


def hoisted(columns: Sequence[tuple[str, str]], source: str) -> tuple[list[tuple[str, str]], str]:
    """The columns of a SELECT, their outermost `let`s moved into subqueries of its FROM, and that FROM.

    A column of a subquery costs nothing, the list and the lambda 20 to 60 ns a row. Only a `let` that is the whole of
    its expression moves: within CASE and COALESCE it is computed for the rows that reach it.
    """
    bodies: list[tuple[str, str]] = []
    levels: list[list[str]] = []
    numbers = itertools.count()
    for column, sql in columns:
        body, named = _unfolded(sql, numbers)
        bodies.append((column, body))
        for level, text in enumerate(named):
            levels[level:] = levels[level:] or [[]]
            levels[level].append(text)
    for texts in levels:
        source = f"(SELECT *, {', '.join(texts)} FROM {source})"
    return bodies, source


def _unfolded(sql: str, numbers: Iterator[int]) -> tuple[str, list[str]]:
    """An expression without its outermost lets, and what they name: each may use those before it."""
    found = _peeled(sql)
    if found is None:
        return sql, []
    value, name, body = found
    unique = f"{name}_{next(numbers)}"
    inner, below = _unfolded(value, numbers)
    outer, above = _unfolded(re.sub(rf"\b{name}\b", unique, body), numbers)
    return outer, [*below, f"{inner} AS {unique}", *above]


def _peeled(sql: str) -> tuple[str, str, str] | None:
    """Value, variable and body, if the whole text is one `let`."""
    while sql.startswith("(") and _closing(sql, 0) == len(sql) - 1:
        sql = sql[1:-1]
    start = len("list_transform(")
    if not sql.startswith("list_transform([") or not sql.endswith(")[1]"):
        return None
    if _closing(sql, start - 1) != len(sql) - len(")[1]"):
        return None
    end = _closing(sql, start)
    named = _NAMED.match(sql, end)
    if named is None:
        return None
    return sql[start + 1:end], named[1], sql[named.end():-len(")[1]")]


_MARKS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()\[\]]""")


def _closing(sql: str, start: int) -> int:
    """Where the bracket that opens at `start` closes; -1 if it does not."""
    depth = 0
    for mark in _MARKS.finditer(sql, start):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(mark[0], 0)
        if depth == 0:
            return mark.start()
    return -1

"""A let keeps its value when it moves from an expression into a subquery."""

from __future__ import annotations

import pytest

from streamsql.state.database import Database
from streamsql.values.let import hoisted, let, let_all

INNER = let('"a" + 1', lambda v: f"({v} * {v})", "x")
CASES = {
    "one": INNER,
    "in parentheses": f"(({INNER}))",
    "shadowed": let(f"({INNER})", lambda v: f"{v} + {let(f'{v} + 1', lambda w: f'{w} * {w}', 'x')}", "x"),
    "several": let_all(['"a" + 1', '"b" || \')\'', '"a" * 2'], lambda n: f"{n[0]} + length({n[1]}) + {n[2]} + {n[0]}"),
    "of another": let(INNER, lambda v: let(f"{v} + 1", lambda w: f"{w} - {v} * {w}", "y"), "z"),
    "not the whole": f"CASE WHEN \"a\" > 1 THEN {INNER} END",
    "two in a row": f"{INNER} + {INNER}",
    "column": '"b"',
}


@pytest.mark.parametrize("name", CASES)
def test_a_hoisted_let_has_the_same_value(opened: Database, name: str) -> None:
    rows = "(VALUES (1, 'x)'), (2, 'y'), (NULL, NULL)) AS t(a, b) WHERE b IS DISTINCT FROM 'y'"
    columns = [("v", CASES[name]), ("other", INNER)]

    def answer(columns: list[tuple[str, str]], source: str) -> list[dict[str, object]]:
        listed = ", ".join(f"{sql} AS {n}" for n, sql in columns)
        return list(opened.query(f"SELECT {listed} FROM {source}").to_pylist())

    moved, source = hoisted(columns, rows)
    assert answer(moved, source) == answer(columns, rows)
    assert ("list_transform" in moved[0][1]) == (name in ("shadowed", "not the whole", "two in a row"))


def test_without_a_let_nothing_changes() -> None:
    assert hoisted([("v", '"b"'), ("w", "upper(\"b\")")], "t") == ([("v", '"b"'), ("w", 'upper("b")')], "t")

"""The function table as a whole: its examples hold, its names are one function's each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from streamsql.errors import Source
from streamsql.sql import exp, parse
from streamsql.sql.statements import Select
from streamsql.state.database import Database
from streamsql.values.binder import Binder
from streamsql.values.functions import functions
from streamsql.values.typed import Function, Typed
from streamsql.values.udfs import ROWS
from tests.unit.values import calls


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with calls.database() as opened:
        yield opened


class NoColumns:
    """The scope of a constant expression."""

    def column(self, tree: exp.Expr) -> Typed:
        raise AssertionError(f"an example names the column {tree}")

    def call(self, tree: exp.Expr) -> Typed | None:
        return None


@pytest.mark.parametrize("function", [f for f in functions() if f.example], ids=lambda f: f.name)
def test_the_example_is_true(database: Database, function: Function) -> None:
    [statement] = parse(Source(f"SELECT {function.example}"))
    assert isinstance(statement, Select)
    bound = Binder(NoColumns(), {}).bind(statement.query.expressions[0])
    assert database.query(f"SELECT {bound.sql} AS v").column("v").to_pylist() == [True]


def test_a_name_is_one_function_s() -> None:
    names = Counter(name for f in functions() for name in (f.name, *f.aliases))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("function", functions(), ids=lambda f: f.name)
def test_a_function_is_described(function: Function) -> None:
    assert function.doc.endswith(".")
    assert function.signature


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_a_function_of_python_says_why_it_is(row: object) -> None:
    assert getattr(row, "reason", "")

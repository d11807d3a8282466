"""Functions of arrays and maps: on constants, and on columns with NULLs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from streamsql.core.types import INT, STRING, array, map_of
from streamsql.errors import DataError, SQLTypeError
from streamsql.state.database import Database
from tests.unit.values import calls
from tests.unit.values.calls import Value


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with calls.database() as opened:
        yield opened


CASES: list[tuple[str, Sequence[Value], Value]] = [
    ("ARRAY_APPEND", [[1, 2], 3], [1, 2, 3]), ("ARRAY_PREPEND", [[2], 1], [1, 2]),
    ("ARRAY_CONCAT", [[1], [2], [3]], [1, 2, 3]), ("ARRAY_CONCAT", [[1]], [1]),
    ("ARRAY_CONTAINS", [[1, 2], 2], True), ("ARRAY_CONTAINS", [[1, None], 3], False),
    ("ARRAY_DISTINCT", [[1, 2, 1, None, None]], [1, 2, None]), ("ARRAY_EXCEPT", [[1, 2, 2, 3], [2]], [1, 3]),
    ("ARRAY_INTERSECT", [[1, None, 2, 2], [None, 2]], [None, 2]), ("ARRAY_UNION", [[1, 2, 2], [2, 3]], [1, 2, 3]),
    ("ARRAY_JOIN", [["a", None, "b"], ","], "a,b"), ("ARRAY_JOIN", [["a", None], ",", "-"], "a,-"),
    ("ARRAY_MAX", [[1, 3, None]], 3), ("ARRAY_MIN", [["b", "A"]], "A"), ("ARRAY_POSITION", [[1, 2, 2], 2], 2),
    ("ARRAY_POSITION", [[1], 3], 0), ("ARRAY_REMOVE", [[1, 2, 1], 1], [2]), ("ARRAY_REVERSE", [[1, None]], [None, 1]),
    ("ARRAY_SLICE", [[1, 2, 3, 4], 2, 3], [2, 3]), ("ARRAY_SLICE", [[1, 2, 3, 4], -2], [3, 4]),
    ("ARRAY_SLICE", [[1, 2, 3], 3, 2], []), ("ARRAY_SLICE", [[1, 2, 3], 0, 2], [1, 2]),
    ("ARRAY_SLICE", [[1, 2], -9, -9], []),
    ("ARRAY_SORT", [[3, None, 1]], [None, 1, 3]), ("ARRAY_SORT", [[3, None, 1], False], [3, 1, None]),
    ("ARRAY_SORT", [[3, None, 1], True, False], [1, 3, None]),
    ("ARRAY_SORT", [[3, None, 1], False, True], [None, 3, 1]),
    ("CARDINALITY", [[1, 2]], 2), ("CARDINALITY", [{"a": 1}], 1), ("ELEMENT", [[7]], 7),
    ("MAP_FROM_ARRAYS", [["a", "a"], [1, 2]], {"a": 2}), ("MAP_KEYS", [{"a": 1}], ["a"]),
    ("MAP_VALUES", [{"a": 1}], [1]),
    ("MAP_UNION", [{"a": 1}, {"a": 2, "b": 3}], {"a": 2, "b": 3}),
    ("MAP_ENTRIES", [{"a": 1}], [{"key": "a", "value": 1}]),
]


@pytest.mark.parametrize(("name", "args", "expected"), CASES)
def test_value(database: Database, name: str, args: Sequence[Value], expected: Value) -> None:
    calls.check(database, name, args, expected)


@pytest.mark.parametrize(("name", "args", "expected"), [
    ("ARRAY_APPEND", [calls.null(array(INT)), 1], None), ("ARRAY_APPEND", [[1], calls.null(INT)], [1, None]),
    ("ARRAY_CONTAINS", [[1, None], calls.null(INT)], True), ("ARRAY_CONTAINS", [calls.null(array(INT)), 1], None),
    ("ARRAY_CONCAT", [[1], calls.null(array(INT))], None), ("ARRAY_EXCEPT", [[1], calls.null(array(INT))], None),
    ("ARRAY_REMOVE", [[1, None], calls.null(INT)], [1]), ("ARRAY_POSITION", [[1], calls.null(INT)], None),
    ("ARRAY_JOIN", [["a"], calls.null(STRING)], None), ("ARRAY_MAX", [calls.null(array(INT))], None),
    ("MAP_UNION", [{"a": 1}, calls.null(map_of(STRING, INT))], None),
])
def test_nulls(database: Database, name: str, args: Sequence[Value], expected: Value) -> None:
    assert calls.on_constants(database, name, *args) == expected


@pytest.mark.parametrize(("name", "args", "message"), [
    ("ELEMENT", [[1, 2]], "more than one element"), ("MAP_FROM_ARRAYS", [["a"], [1, 2]], "differ in number"),
])
def test_a_value_is_refused(database: Database, name: str, args: Sequence[Value], message: str) -> None:
    with pytest.raises(DataError, match=message):
        calls.on_constants(database, name, *args)


@pytest.mark.parametrize(("name", "args"), [
    ("ARRAY_CONTAINS", [1, 1]), ("ARRAY_JOIN", [[1, 2], ","]), ("ARRAY_UNION", [[1], ["a"]]), ("MAP_KEYS", [[1]]),
])
def test_a_call_is_refused(name: str, args: Sequence[Value]) -> None:
    with pytest.raises(SQLTypeError):
        calls.bound(name, [calls.constant(a) for a in args])


@pytest.mark.parametrize(("name", "args", "type_"), [
    ("ARRAY_CONTAINS", [[1], calls.null(INT)], "BOOLEAN NOT NULL"), ("ARRAY_MAX", [[1]], "INT"),
    ("ARRAY_SLICE", [[1], calls.null(INT)], "ARRAY<INT>"), ("CARDINALITY", [[1]], "INT NOT NULL"),
    ("MAP_ENTRIES", [{"a": 1}], "ARRAY<ROW<`key` STRING NOT NULL, `value` INT NOT NULL>> NOT NULL"),
])
def test_type(name: str, args: Sequence[Value], type_: str) -> None:
    shown = str(calls.bound(name, [calls.constant(a) for a in args]).type)
    assert shown.replace("STRING NOT NULL", "STRING").replace("INT NOT NULL", "INT") == type_.replace(
        "STRING NOT NULL", "STRING").replace("INT NOT NULL", "INT")

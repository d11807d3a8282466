"""Functions of JSON: on constants, which the exact engine reads, and on columns, which DuckDB reads first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from streamsql.core.types import BIGINT, BOOLEAN, DOUBLE, INT, STRING, DataType, array, row, timestamp
from streamsql.errors import DataError, SQLTypeError
from streamsql.state.database import Database
from streamsql.values.typed import Typed
from tests.unit.values import calls
from tests.unit.values.calls import Value, Word

DOCUMENT = '{"a":1,"b":"x","c":null,"d":[1,2,{"e":3}],"f":{"g":true},"h":1.50,"i":"","j":"[1"}'


def clause(keyword: str, value: Value) -> Typed:
    """A clause of a JSON function, as the binder passes it."""
    if isinstance(value, DataType):
        return Typed("", STRING, literal=value, is_literal=True, keyword=keyword)
    return replace(calls.constant(value), keyword=keyword)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with calls.database() as opened:
        yield opened


NULL_ON, ERROR_ON = Word("NULL"), Word("ERROR")
PATHS: list[tuple[str, Sequence[Value], Value]] = [
    ("JSON_VALUE", [DOCUMENT, "$.a"], "1"), ("JSON_VALUE", [DOCUMENT, "$.b"], "x"),
    ("JSON_VALUE", [DOCUMENT, "$.c"], None),
    ("JSON_VALUE", [DOCUMENT, "$.d"], None), ("JSON_VALUE", [DOCUMENT, "$.d[2].e"], "3"),
    ("JSON_VALUE", [DOCUMENT, "$.f.g"],
     "true"), ("JSON_VALUE", [DOCUMENT, "$.h"], "1.50"), ("JSON_VALUE", [DOCUMENT, "$.i"], ""),
    ("JSON_VALUE", [DOCUMENT, "$.j"], "[1"), ("JSON_VALUE", [DOCUMENT, "$.z"], None),
    ("JSON_VALUE", [DOCUMENT, "a"], "1"),
    ("JSON_VALUE", [DOCUMENT, "$.d[-1].e"], "3"), ("JSON_VALUE", [DOCUMENT, "$['b']"], "x"),
    ("JSON_VALUE", ["bad", "$.a"], None),
    ("JSON_VALUE", ['{"a":1}{"b":2}', "$.a"], "1"), ("JSON_VALUE", ['"s"', "$"], "s"),
    ("JSON_VALUE", [DOCUMENT, "$["], None),
    ("JSON_VALUE", [DOCUMENT, "lax $.z", clause("ON_EMPTY", "none")], "none"),
    ("JSON_VALUE", [DOCUMENT, "$.z", clause("ON_EMPTY", "none")], None),
    ("JSON_VALUE", [DOCUMENT, "$.z", clause("ON_ERROR", "none")], "none"),
    ("JSON_VALUE", [DOCUMENT, "$.d", clause("ON_EMPTY", "e"), clause("ON_ERROR", "r")], "r"),
    ("JSON_VALUE", ["bad", "lax $.a", clause("ON_EMPTY", "e"), clause("ON_ERROR", "r")], "e"),
    ("JSON_VALUE", [DOCUMENT, "$.c", clause("ON_EMPTY", "e"), clause("ON_ERROR", "r")], "r"),
    ("JSON_VALUE", [DOCUMENT, "$.a", clause("RETURNING", INT)], 1),
    ("JSON_VALUE", [DOCUMENT, "$.h", clause("RETURNING", DOUBLE)], 1.5),
    ("JSON_VALUE", [DOCUMENT, "$.f.g", clause("RETURNING", BOOLEAN)], True),
    ("JSON_VALUE", [DOCUMENT, "lax $.z", clause("RETURNING", INT), clause("ON_EMPTY", 5)], 5),
    ("JSON_QUERY", [DOCUMENT, "$.d"], '[1,2,{"e":3}]'), ("JSON_QUERY", [DOCUMENT, "$.f"], '{"g":true}'),
    ("JSON_QUERY", [DOCUMENT, "$.a"], None), ("JSON_QUERY", [DOCUMENT, "$..e"], "[3]"),
    ("JSON_QUERY", ["bad", "$"], None),
    ("JSON_QUERY", ['{"b":1,"a":{"d":1,"c":1.50}}', "$"], '{"a":{"c":1.50,"d":1},"b":1}'),
    ("JSON_QUERY", [DOCUMENT, "$.d[?(@.e == 3)]"], '[{"e":3}]'), ("JSON_QUERY", [DOCUMENT, "$.d[0,1]"], "[1,2]"),
    ("JSON_QUERY", [DOCUMENT, "$.d[1:]"], '[2,{"e":3}]'),
    ("JSON_QUERY", [DOCUMENT, "$.a", clause("WRAPPER", Word("UNCONDITIONAL"))], "[1]"),
    ("JSON_QUERY", [DOCUMENT, "$.d", clause("WRAPPER", Word("CONDITIONAL"))], '[1,2,{"e":3}]'),
    ("JSON_QUERY", [DOCUMENT, "$.a", clause("ON_ERROR", Word("EMPTY ARRAY"))], "[]"),
    ("JSON_QUERY", [DOCUMENT, "lax $.z", clause("ON_EMPTY", Word("EMPTY OBJECT"))], "{}"),
    ("JSON_QUERY", [DOCUMENT, "$.d", clause("RETURNING", array(STRING))], ["1", "2", '{"e":3}']),
    ("JSON_EXISTS", [DOCUMENT, "$.a"], True), ("JSON_EXISTS", [DOCUMENT, "$.c"], False),
    ("JSON_EXISTS", [DOCUMENT, "$.z"], False),
    ("JSON_EXISTS", ["bad", "$.a"], False), ("JSON_EXISTS", [DOCUMENT, "$.d[?(@.e == 4)]"], True),
    ("JSON_EXISTS", [DOCUMENT, "strict $.z", clause("ON_ERROR", Word("TRUE"))], True),
    ("JSON_EXISTS", [DOCUMENT, "strict $.z", clause("ON_ERROR", Word("UNKNOWN"))], None),
    ("JSON_EXISTS", [DOCUMENT, "lax $.z", clause("ON_ERROR", Word("TRUE"))], False),
]


@pytest.mark.parametrize(("name", "args", "expected"), PATHS)
def test_path(database: Database, name: str, args: Sequence[Value], expected: Value) -> None:
    """A constant document, a document of a column, and a path of a column too."""
    assert calls.on_constants(database, name, *args) == expected
    path = calls.constant(args[1])
    assert calls.on_columns(database, name, args[0], path, *args[2:]) == [expected, None, expected]
    assert calls.on_columns(database, name, *args) == [expected, None, expected]


@pytest.mark.parametrize(("text", "kind", "expected"), [
    ("1", "VALUE", True), ("1", "SCALAR", True), ("[1]", "ARRAY", True), ("{}", "OBJECT", True), ("{}", "ARRAY", False),
    ("", "VALUE", False), ("not json", "VALUE", False), ("null", "SCALAR", True), ('{"a":1}{"b":2}', "OBJECT", True),
    ("[1,]", "VALUE", False), ("NaN", "VALUE", False), ('{"a":"nan"}', "OBJECT", True), (" \n[1]", "ARRAY", True),
])
def test_is_json(database: Database, text: str, kind: str, expected: bool) -> None:
    assert calls.on_constants(database, "IS_JSON", text, Word(kind)) is expected
    assert calls.on_columns(database, "IS_JSON", text, Word(kind)) == [expected, False, expected]


SOME_ROW = Typed("{'b': 1, 'a': 'x'}", row({"b": INT, "a": STRING}).not_null())
MADE: list[tuple[str, Sequence[Value], Value]] = [
    ("JSON_STRING", ['a"\n'], '"a\\"\\n"'), ("JSON_STRING", [Decimal("1.50")], "1.50"), ("JSON_STRING", [1.5], "1.5"),
    ("JSON_STRING", [1e20], "1.0E+20"), ("JSON_STRING", [1e-5], "0.000010"), ("JSON_STRING", [True], "true"),
    ("JSON_STRING", [[1, None]], "[1,null]"), ("JSON_STRING", [{"b": 1, "a": 2}], '{"a":2,"b":1}'),
    ("JSON_STRING", [b"\1\2"], '"AQI="'), ("JSON_STRING", [SOME_ROW], '{"a":"x","b":1}'),
    ("JSON_OBJECT", [], "{}"), ("JSON_OBJECT", ["b", 1, "a", "é"], '{"a":"é","b":1}'),
    ("JSON_OBJECT", ["a", 1, "a", 2], '{"a":2}'),
    ("JSON_OBJECT", ["a", calls.null(INT)], '{"a":null}'),
    ("JSON_OBJECT", ["a", calls.null(INT), clause("ON_NULL", Word("ABSENT"))], "{}"),
    ("JSON_OBJECT", ["t", Typed("TIMESTAMP '2024-02-29 12:34:56.5'", timestamp(3))], '{"t":"2024-02-29T12:34:56.5"}'),
    ("JSON_ARRAY", [1, "a", True], '[1,"a",true]'), ("JSON_ARRAY", [calls.null(INT)], "[]"), ("JSON_ARRAY", [], "[]"),
    ("JSON_ARRAY", [calls.null(INT), clause("ON_NULL", NULL_ON)], "[null]"),
    ("JSON_ARRAY", [calls.bound("JSON_OBJECT", [calls.constant("a"), calls.constant(1)])], '[{"a":1}]'),
    ("JSON_ARRAY", [calls.bound("JSON", [calls.constant('{"b":[1.0]}')])], '[{"b":[1.0]}]'),
    ("JSON_QUOTE", ['a"b/é\n'], '"a\\"b\\/\\u00e9\\n"'), ("JSON_QUOTE", [""], '""'),
    ("JSON_UNQUOTE", ['"a\\"b"'], 'a"b'),
    ("JSON_UNQUOTE", ["abc"], "abc"), ("JSON_UNQUOTE", ['"a"b"'], '"a"b"'), ("JSON_UNQUOTE", ['"\\u00e9"'], "é"),
    ("PARSE_JSON", ['{"b":1.50,"a":1}'], '{"a":1,"b":1.50}'), ("TRY_PARSE_JSON", ["bad"], None),
]


@pytest.mark.parametrize(("name", "args", "expected"), MADE)
def test_made(database: Database, name: str, args: Sequence[Value], expected: Value) -> None:
    calls.check(database, name, args, expected)


@pytest.mark.parametrize(("name", "args", "message"), [
    ("JSON_VALUE", [DOCUMENT, "lax $.z", clause("ON_EMPTY", ERROR_ON)], "ERROR ON EMPTY"),
    ("JSON_VALUE", [DOCUMENT, "$.z", clause("ON_ERROR", ERROR_ON)], "no results for path"),
    ("JSON_VALUE", ["bad", "$.z", clause("ON_ERROR", ERROR_ON)], "not JSON"),
    ("JSON_QUERY", [DOCUMENT, "$.a", clause("ON_ERROR", ERROR_ON)], "array or object"),
    ("JSON_EXISTS", [DOCUMENT, "$.z", clause("ON_ERROR", ERROR_ON)], "no results for path"),
    ("PARSE_JSON", ["bad"], "not JSON"), ("JSON", ["bad"], "not JSON"),
])
def test_a_value_is_refused(database: Database, name: str, args: Sequence[Value], message: str) -> None:
    with pytest.raises(DataError, match=message):
        calls.on_constants(database, name, *args)


@pytest.mark.parametrize(("name", "args"), [
    ("JSON_VALUE", [DOCUMENT, "$.a", clause("RETURNING", BIGINT)]), ("JSON_OBJECT", [1, 2]), ("JSON_OBJECT", ["a"]),
    ("JSON_STRING", [calls.null(DataType("DATE"))]), ("JSON_STRING", [{1: "a"}]), ("JSON_VALUE", [DOCUMENT]),
    ("JSON_QUERY", [DOCUMENT, "$", clause("RETURNING", INT)]),
])
def test_a_call_is_refused(name: str, args: Sequence[Value]) -> None:
    with pytest.raises(SQLTypeError):
        calls.bound(name, [calls.constant(a) for a in args])

"""User functions: what annotations say, how values pass, and what is said of those that fail."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypedDict

import pyarrow as pa
import pytest

import streamsql
from streamsql.core import types
from streamsql.core.schema import quote
from streamsql.errors import BindError, DataError, SQLTypeError
from streamsql.state.database import Database
from streamsql.values.annotations import kind_of
from streamsql.values.user import UserFunction, described, function
from streamsql.values.user_calls import load


@dataclass
class Point:
    x: float
    y: float


class Word(NamedTuple):
    word: str
    size: int


class Tag(TypedDict):
    name: str


@pytest.mark.parametrize(("annotation", "type_"), [
    (int, "BIGINT NOT NULL"), (int | None, "BIGINT"), (float, "DOUBLE NOT NULL"), (str, "STRING NOT NULL"),
    (bool, "BOOLEAN NOT NULL"), (bytes, "BYTES NOT NULL"), (Decimal, "DECIMAL(38, 18) NOT NULL"),
    (datetime.date, "DATE NOT NULL"), (datetime.time, "TIME(6) NOT NULL"),
    (datetime.datetime | None, "TIMESTAMP(6)"), (datetime.timedelta, "INTERVAL SECOND(3) NOT NULL"),
    (Counter[str], "MULTISET<STRING> NOT NULL"), (frozenset[int] | None, "BITMAP"),
    (list[int], "ARRAY<BIGINT> NOT NULL"),
    (dict[str, float] | None, "MAP<STRING, DOUBLE>"), (Point, "ROW<`x` DOUBLE, `y` DOUBLE> NOT NULL"),
    (Word | None, "ROW<`word` STRING, `size` BIGINT>"), (Tag | None, "ROW<`name` STRING>"),
    (Annotated[int, "INT"], "INT"), ("DECIMAL(10, 2)", "DECIMAL(10, 2)"),
])
def test_what_an_annotation_says(annotation: object, type_: str) -> None:
    assert str(kind_of(annotation).type) == type_


@pytest.mark.parametrize("annotation", [object, int | str, set[str], Any, complex])
def test_an_annotation_that_says_no_type(annotation: object) -> None:
    with pytest.raises(SQLTypeError, match="is no type of a function's argument or result"):
        kind_of(annotation)


def called(f: UserFunction, *columns: pa.Array, part: str = "") -> list[Any]:
    """What generated SQL gives for a function over columns."""
    database = Database()
    try:
        names = [f"c{i}" for i in range(len(columns))]
        given = database.over("given", pa.schema(zip(names, [c.type for c in columns], strict=True)))
        given.set(pa.table(dict(zip(names, columns, strict=True))))
        text = f"SELECT {f.sql_name(len(columns), part)}({', '.join(map(quote, names))}) AS r FROM given"
        load(database, {f.name: f}, text)
        return database.compute(text).run()["r"].to_pylist()  # type: ignore[no-any-return]
    finally:
        database.close()


def ints(*values: int | None) -> pa.Array:
    return pa.array(values, pa.int64())


def test_a_parameter_without_none_is_not_called_with_null() -> None:
    def half(x: int) -> float:
        return x / 2

    f = described(half)
    assert f.signature == "half(x BIGINT NOT NULL) → DOUBLE NOT NULL"
    assert called(f, ints(3, None, 5)) == [1.5, None, 2.5]


def test_a_parameter_with_none_is() -> None:
    def shown(x: int | None) -> str:
        return str(x)

    assert called(described(shown), ints(3, None)) == ["3", "None"]


def test_values_of_every_kind_pass() -> None:
    def mirrored(p: Point, tags: list[Tag], sizes: dict[str, int]) -> Point | None:
        return Point(p.y + len(tags), p.x + sizes["a"]) if tags[0]["name"] else None

    point = pa.array([{"x": 1.0, "y": 2.0}], pa.struct([("x", pa.float64()), ("y", pa.float64())]))
    tags = pa.array([[{"name": "t"}]], pa.list_(pa.struct([("name", pa.string())])))
    sizes = pa.array([[("a", 5)]], pa.map_(pa.string(), pa.int64()))
    assert called(described(mirrored), point, tags, sizes) == [{"x": 3.0, "y": 6.0}]


def test_decimals_are_rounded_as_declared() -> None:
    @function("DECIMAL(10, 2) NOT NULL", returns="DECIMAL(10, 2)")
    def third(x: Decimal) -> Decimal:
        return x / 3

    values = pa.array([Decimal("2.00")], pa.decimal128(10, 2))
    assert called(described(third), values) == [Decimal("0.67")]


def test_arrow_arrays_pass_as_they_are() -> None:
    @function("BIGINT", returns="BIGINT")
    def kept(x: pa.Array) -> pa.Array:
        return x.fill_null(7)

    assert called(described(kept), ints(1, None)) == [1, 7]


def test_arrow_arrays_without_nulls_where_none_are_taken() -> None:
    @function("BIGINT NOT NULL", returns="BIGINT NOT NULL")
    def checked(x: pa.ChunkedArray) -> pa.ChunkedArray:
        assert isinstance(x, pa.ChunkedArray)
        assert x.null_count == 0
        return x

    assert called(described(checked), ints(1, None, 3)) == [1, None, 3]
    assert called(described(checked), ints(None)) == [None]


def test_rows_of_a_table_function() -> None:
    def words(text: str) -> Iterator[Word]:
        yield from (Word(w, len(w)) for w in text.split())

    f = described(words)
    assert f.form == "table"
    assert called(f, pa.array(["to be", "", None])) == [
        [{"word": "to", "size": 2}, {"word": "be", "size": 2}], None, None]


def test_columns_of_a_table_function_without_names() -> None:
    def pair(n: int) -> Iterator[tuple[int, str | None]]:
        yield n, None

    def single(n: int) -> Iterator[int]:
        yield n

    assert described(pair).result.type.names == ("f0", "f1")
    assert called(described(pair), ints(1)) == [[{"f0": 1, "f1": None}]]
    assert called(described(single), ints(1)) == [[{"f0": 1}]]


class Spread:
    """Greatest less least."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def accumulate(self, value: int) -> None:
        if value < 0:
            raise ValueError("negative")
        self.values.append(value)

    def finish(self) -> int | None:
        return max(self.values) - min(self.values) if self.values else None


def test_an_aggregate_over_the_rows_of_a_group() -> None:
    f = described(Spread)
    assert (f.form, f.doc) == ("aggregate", "Greatest less least.")
    row = pa.struct([("a0", pa.int64())])
    groups = pa.array([[{"a0": 3}, None, {"a0": 9}], [], None], pa.list_(row))
    assert called(f, groups) == [6, None, None]
    assert called(f, ints(3, None), part="$row") == [{"a0": 3}, None]


def test_a_row_that_accumulate_refuses_is_found_by_itself() -> None:
    with pytest.raises(DataError, match='function "spread" failed: ValueError: negative') as error:
        called(described(Spread), ints(3, -1), part="$row")
    assert not error.value.whole


def test_an_error_keeps_its_traceback() -> None:
    def inverse(x: int) -> int:
        return 1 // x

    with pytest.raises(DataError) as error:
        called(described(inverse), ints(0))
    assert error.value.message == 'function "inverse" failed: ZeroDivisionError: integer division or modulo by zero'
    lines = (error.value.detail or "").split("\n")
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith("in inverse")
    assert lines[2:] == ["    return 1 // x", "ZeroDivisionError: integer division or modulo by zero"]


def test_a_result_of_another_type() -> None:
    def wrong(x: int) -> int:
        return f"{x}!"  # type: ignore[return-value]

    with pytest.raises(DataError, match="function \"wrong\" gave '1!', its result is BIGINT NOT NULL"):
        called(described(wrong), ints(1))


@pytest.mark.parametrize(("result", "value", "says"), [
    (datetime.timedelta, 3, "an INTERVAL DAY TO SECOND is a timedelta"),
    (Annotated[int, "INTERVAL YEAR TO MONTH"], 1.5, "an INTERVAL YEAR TO MONTH is a number of months"),
    (Counter[str], ["a"], "a MULTISET is a Counter, or a dict of counts"),
    (Counter[str], {"a": -1}, "the count of a MULTISET is from 0 to 2147483647"),
    (set[int], [1], "a BITMAP is a set of numbers"),
    (set[int], {-1}, "a member of a BITMAP is from 0 to 4294967295"),
    (Annotated[Any, "VARIANT"], {1, 2}, "Object of type set is not JSON serializable"),
])
def test_a_value_that_a_type_does_not_hold(result: Any, value: Any, says: str) -> None:
    def wrong(x: int) -> Any:
        return value

    wrong.__annotations__["return"] = result
    with pytest.raises(DataError) as error:
        called(described(wrong), ints(1))
    assert error.value.detail == says


def test_none_where_the_result_has_none() -> None:
    def nothing(x: int) -> int:
        return None  # type: ignore[return-value]

    with pytest.raises(DataError, match='function "nothing" gave None, its result is NOT NULL'):
        called(described(nothing), ints(1))


def test_a_function_that_is_not_deterministic_is_called_for_every_row() -> None:
    count = iter(range(9))

    @function(deterministic=False)
    def ticket() -> int:
        return next(count)

    f = described(ticket)
    database = Database()
    load(database, {"ticket": f}, f.sql_name(0))
    rows = database.query(f"SELECT {f.text([])} AS r FROM range(3)")
    database.close()
    assert rows["r"].to_pylist() == [0, 1, 2]


def untyped(x):  # type: ignore[no-untyped-def]
    return x


def no_result(x: int):  # type: ignore[no-untyped-def]
    return x


def of_arrays(x: pa.Array) -> pa.Array:
    return x


class Incomplete:
    def accumulate(self, x: int) -> None: ...


@pytest.mark.parametrize(("target", "message"), [
    (untyped, 'parameter "x" of function "untyped" has no type'),
    (no_result, 'the result of function "no_result" has no type'),
    (of_arrays, 'parameter "x" of function "of_arrays" is an Arrow array without a SQL type'),
    (Incomplete, 'class "incomplete" has no method finish'),
    (lambda x: x, "a lambda has no name"),
    (3, '"" is no function but int'),
])
def test_a_function_that_says_too_little(target: Any, message: str) -> None:
    with pytest.raises(SQLTypeError) as error:
        described(target)
    assert error.value.message == message


# ------------------------------------------------------------------------------------------------ sessions


def numbers(session: streamsql.Session, *values: int | None) -> None:
    session.sql("CREATE TABLE t (n INT) WITH ('connector' = 'memory')")
    session.memory("t").append(pa.table({"n": pa.array(values, pa.int32())}))
    session.memory("t").end()


def test_a_session_calls_a_function_of_python() -> None:
    with streamsql.connect() as session:
        @session.function
        def plus_one(x: int) -> int:
            return x + 1

        @session.function("INT", returns="STRING NOT NULL", name="shown")
        def text_of(x: int | None) -> str:
            return f"<{x}>"

        session.function(Spread, name="width")
        numbers(session, 1, 5, None)
        assert plus_one(1) == 2
        assert session.sql("SELECT plus_one(n), shown(n) FROM t").fetchall() == [
            (2, "<1>"), (6, "<5>"), (None, "<None>")]
        assert session.sql("SELECT WIDTH(n) FROM t").fetchall() == [(4,)]
        assert [r.rows for r in session.execute("SHOW USER FUNCTIONS")] == [(("plus_one",), ("shown",), ("width",))]


def test_a_decorated_function_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "prices_for_test.py").write_text(
        "import streamsql\n\n@streamsql.function('DECIMAL(10, 2)', returns='DECIMAL(10, 2)')\n"
        "def gross(net):\n    return net * 2 if net else None\n")
    script = tmp_path / "script.sql"
    text = ("CREATE FUNCTION gross AS 'prices_for_test.gross' LANGUAGE PYTHON;"
            "SELECT gross(n) AS g FROM (VALUES (1.50), (CAST(NULL AS DECIMAL(3, 2)))) AS t(n)")
    script.write_text(text)
    with streamsql.connect() as session:
        query = list(session.execute(text, origin=str(script)))[-1].query
        assert query is not None
        assert query.fetchall() == [(Decimal("3.00"),), (None,)]


def test_a_running_query_keeps_its_function() -> None:
    with streamsql.connect() as session:
        def version() -> int:
            return 1

        def other() -> int:
            return 2

        session.function(version)
        before = session.sql("SELECT version() AS v")
        session.function(other, name="version")
        assert before.fetchall() == [(1,)]
        assert session.sql("SELECT version() AS v").fetchall() == [(2,)]


class Total:
    def __init__(self) -> None:
        self.sum = 0

    def accumulate(self, value: int) -> None:
        self.sum += value

    def finish(self) -> int:
        return self.sum


class Retracting(Total):
    def retract(self, value: int) -> None:
        self.sum -= value


class Merging(Total):
    def merge(self, other: Merging) -> None:
        self.sum += other.sum


@pytest.mark.parametrize(("target", "rows"), [(Total, 2 + 9), (Retracting, 2), (Merging, 2)])
def test_what_an_aggregate_keeps(target: type, rows: int) -> None:
    """The rows beside the groups, or in their place the accumulators."""
    with streamsql.Session(threaded=False) as session:
        session.function(target, name="total")
        session.sql("CREATE TABLE t (n INT) WITH ('connector' = 'memory')")
        query, table = session.sql("SELECT n % 2 AS k, total(n) AS s FROM t GROUP BY n % 2"), session.memory("t")
        for batch in ([1, 2, 3], [4, 5, 6], [7, 8, 9]):
            table.append(pa.table({"n": pa.array(batch, pa.int32())}))
            query.turn()
        assert query.statistics().state_rows == rows
        last = {row["k"]: row["s"] for b in query.taken() for row in b.to_pylist() if row["$diff"] > 0}
        assert last == {0: 20, 1: 25}


def test_an_error_of_a_whole_group_ends_the_query() -> None:
    class Deviation:
        def __init__(self) -> None:
            self.values: list[int] = []

        def accumulate(self, value: int) -> None:
            self.values.append(value)

        def finish(self) -> float:
            raise ArithmeticError(len(self.values))

    with streamsql.connect() as session:
        session.function(Deviation)
        numbers(session, 1, 2)
        with pytest.raises(DataError, match='function "deviation" failed: ArithmeticError: 2') as error:
            session.sql("SELECT deviation(n) FROM t").fetchall()
        assert "in finish" in (error.value.detail or "")


def test_errors_of_many_rows_are_each_set_aside() -> None:
    with streamsql.connect() as session:
        @session.function
        def even(x: int) -> int:
            if x % 2:
                raise LookupError(x)
            return x

        numbers(session, *range(20))
        assert session.sql("SELECT even(n) FROM t").fetchall() == [(n,) for n in range(0, 20, 2)]
        kept = session.sql("SELECT `offset`, reason FROM `t$errors`").fetchall()
        assert kept == [(n, f'function "even" failed: LookupError: {n}') for n in range(1, 20, 2)]


def test_a_name_of_a_built_in_function() -> None:
    def upper(x: str) -> str:
        return x

    with streamsql.connect() as session, pytest.raises(BindError, match='function "upper" is built in'):
        session.function(upper)


def test_a_function_is_replaced_where_a_view_calls_it_as_an_aggregate() -> None:
    with streamsql.connect() as session:
        session.function(Spread, name="f")
        numbers(session, 3, 9)
        session.sql("CREATE VIEW v AS SELECT f(n) AS x FROM t")
        assert session.sql("SELECT x FROM v").fetchall() == [(6,)]

        @session.function
        def f(x: int) -> int:
            return -x

        assert session.sql("SELECT x FROM v").schema.columns[0].type == types.BIGINT


PAGE = Path(__file__).parents[2] / "docs" / "functions-python.md"


@pytest.mark.parametrize("text", re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
def test_the_python_of_the_page(text: str) -> None:
    exec(compile(text, str(PAGE), "exec"), {"__name__": "page"})

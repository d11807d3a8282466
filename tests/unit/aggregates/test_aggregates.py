"""Aggregate functions: Flink's types and values, over rows at once and over merged partials."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from streamsql.aggregates import FUNCTIONS, Aggregate, bind, is_aggregate
from streamsql.core.types import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    FLOAT,
    INT,
    SMALLINT,
    STRING,
    TINYINT,
    DataType,
    array,
    char,
    decimal,
)
from streamsql.errors import BindError, SQLTypeError
from streamsql.state.database import Database
from streamsql.values.typed import Typed


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    opened = Database()
    yield opened
    opened.close()


def x(kind: DataType) -> Typed:
    return Typed('"x"', kind)


def rows_of(values: Sequence[Any], kind: DataType) -> pa.Table:
    """The values as column x, with the hidden columns of append-only rows in order of arrival."""
    n = len(values)
    return pa.table({"x": pa.array(values, kind.arrow_type()), "$watermark": pa.array([0] * n, pa.int64()),
                     "$seq": pa.array(range(n), pa.int64())})


def value(database: Database, call: Aggregate, values: Sequence[Any], kind: DataType, *,
          arrival: bool = False) -> Any:
    database.over("rows", rows_of([], kind).schema).set(rows_of(values, kind))
    return database.query(f"SELECT {call.whole(arrival=arrival)} AS y FROM rows").column(0)[0].as_py()


NUMBERS = [1, 2, 4, None]
SMALL = (Decimal("1.10"), Decimal("2.25"), Decimal("4.00"), None)


@pytest.mark.parametrize(("name", "kind", "values", "type_", "result"), [
    ("SUM", TINYINT, NUMBERS, "TINYINT", 7), ("SUM", TINYINT, [127, 1], "TINYINT", -128),
    ("SUM", SMALLINT, [32767, 1], "SMALLINT", -32768), ("SUM", INT, [2147483647, 1], "INT", -2147483648),
    ("SUM", BIGINT, [2**63 - 1, 1], "BIGINT", -2**63), ("SUM", INT, [None], "INT", None),
    ("SUM", decimal(5, 2), SMALL, "DECIMAL(38, 2)", Decimal("7.35")),
    ("SUM", decimal(38, 0), [Decimal(10**38 - 1), Decimal(1)], "DECIMAL(38, 0)", None),
    ("SUM", decimal(38, 0), [Decimal(10**37), Decimal(-5)], "DECIMAL(38, 0)", Decimal(10**37 - 5)),
    ("SUM", decimal(38, 10), [Decimal("-1.5"), Decimal("0.25")], "DECIMAL(38, 10)", Decimal("-1.2500000000")),
    ("AVG", INT, [-1, -2], "INT", -1), ("AVG", INT, [2147483647, 2147483647], "INT", 2147483647),
    ("AVG", DOUBLE, [1.1, 2.25, 4.0, None], "DOUBLE", 2.4499999999999997),
    ("AVG", decimal(5, 2), SMALL, "DECIMAL(38, 6)", Decimal("2.450000")),
    ("AVG", decimal(5, 2), [Decimal("-0.05"), Decimal("0.01"), Decimal("0.01")], "DECIMAL(38, 6)",
     Decimal("-0.010000")),
    ("AVG", decimal(38, 0), [Decimal(10**38 - 1)] * 2, "DECIMAL(38, 6)", None),
    ("MIN", BOOLEAN, [True, False], "BOOLEAN", False), ("MAX", decimal(5, 2), SMALL, "DECIMAL(5, 2)", SMALL[2]),
    ("VAR_POP", INT, [0, 3], "INT", 2), ("VAR_SAMP", INT, NUMBERS, "INT", 2),
    ("VAR_SAMP", DOUBLE, [1.1, 2.25, 4.0, None], "DOUBLE", 2.1325), ("VARIANCE", DOUBLE, [1.5], "DOUBLE", None),
    ("STDDEV_POP", INT, [1, 2, 3, 4], "INT", 1), ("STDDEV", DOUBLE, [1.0, 2.0, 4.0], "DOUBLE", 1.5275252316519465),
    ("STDDEV_POP", FLOAT, [1.0, 3.0], "FLOAT", 1.0), ("VAR_POP", BIGINT, [2**50, 2**50 + 4], "BIGINT", 4),
    ("STDDEV_SAMP", decimal(5, 2), SMALL, "DECIMAL(38, 6)", Decimal("1.460308")),
    ("COLLECT", INT, [1, 1, None], "MULTISET<INT> NOT NULL", [(1, 2)]),
    ("COLLECT", INT, [None], "MULTISET<INT> NOT NULL", []),
    ("ARRAY_AGG", INT, [2, None], "ARRAY<INT>", [2, None]), ("LISTAGG", STRING, ["", "a", None], "STRING", ",a"),
    ("APPROX_COUNT_DISTINCT", INT, [1, 2, 2, None], "BIGINT NOT NULL", 2),
    ("JSON_ARRAYAGG", INT, [1, None, 2], "VARCHAR(2000) NOT NULL", "[1,2]"),
    ("JSON_ARRAYAGG", INT, [], "VARCHAR(2000) NOT NULL", "[]"), ("FIRST_VALUE", INT, [None, 3, 1], "INT", 3),
    ("MEDIAN", INT, [1, 2], "DOUBLE", 1.5), ("MODE", STRING, ["a", "b", "b"], "STRING", "b"),
    ("COUNT_IF", BOOLEAN, [True, False, None], "BIGINT NOT NULL", 1),
])
def test_types_and_values(database: Database, name: str, kind: DataType, values: Sequence[Any], type_: str,
                          result: Any) -> None:
    call = bind(name, [x(kind)])
    assert str(call.type) == type_
    assert value(database, call, values, kind) == result


CALLS = [(name, kind) for kind in (INT, BIGINT, decimal(10, 2), decimal(38, 4), DOUBLE)
         for name in ("COUNT", "SUM", "AVG", "MIN", "MAX", "VAR_POP", "STDDEV_SAMP", "FIRST_VALUE", "LAST_VALUE")]


def _values(kind: DataType, rng: random.Random) -> list[Any]:
    found: list[Any] = []
    for _ in range(rng.randint(1, 30)):
        n = rng.randint(-2000, 2000)
        one = n if kind.is_integer else n / 4 if kind == DOUBLE else Decimal(n) / 4
        found.append(rng.choice([one, one, None]))
    return found


@pytest.mark.parametrize(("name", "kind"), CALLS, ids=str)
def test_merged_partials_are_the_whole(database: Database, name: str, kind: DataType) -> None:
    """However rows are split, and merged again before the end."""
    call = bind(name, [x(kind)], filter=Typed('("x" IS NULL OR "x" <> 4)', BOOLEAN))
    partials = call.partials(arrival=True)
    assert partials is not None
    columns = [f'"p{n}"' for n in range(len(partials))]
    steps = ", ".join(f"{p.step} AS {c}" for p, c in zip(partials, columns, strict=True))
    merges = ", ".join(f"{p.merged.replace('{}', c)} AS {c}" for p, c in zip(partials, columns, strict=True))
    rng = random.Random(name)
    for _ in range(5):
        values = _values(kind, rng)
        taken = database.over("rows", rows_of([], kind).schema)
        taken.set(rows_of(values, kind))
        (whole,) = database.query(f"SELECT {call.whole(arrival=True)} FROM rows").column(0).to_pylist()
        cut = rng.randint(1, 9)
        parts = f'SELECT "$seq" // {cut} AS part, {steps} FROM rows GROUP BY part'
        twice = f"SELECT part // 2, {merges} FROM ({parts}) GROUP BY part // 2"
        (merged,) = database.query(f"SELECT {call.final(columns)} FROM (SELECT {merges} FROM ({twice}))"
                                   ).column(0).to_pylist()
        assert merged == (pytest.approx(whole, rel=1e-12) if isinstance(whole, float) else whole)


def test_only_sums_take_rows_back() -> None:
    weighted = {name for name in ("COUNT", "SUM", "AVG", "MIN", "MAX", "VAR_POP", "FIRST_VALUE", "COLLECT")
                if bind(name, [x(INT)]).partials(weighted=True, arrival=True) is not None}
    assert weighted == {"COUNT", "SUM", "AVG"}
    assert bind("SUM", [x(INT)], distinct=True).partials() is None
    assert bind("MEDIAN", [x(INT)]).partials() is None
    assert bind("FIRST_VALUE", [x(INT)]).partials(arrival=False) is None


def test_order_of_arrival_and_order_of_the_call(database: Database) -> None:
    values = ["b", "a", None, "b"]
    for name, result in (("LISTAGG", "b,a,b"), ("ARRAY_AGG", values), ("LAST_VALUE", "b"), ("LAST", "b")):
        assert value(database, bind(name, [x(STRING)]), values, STRING, arrival=True) == result
    ordered = bind("ARRAY_AGG", [x(STRING)], order=[(x(STRING), False)])
    assert value(database, ordered, values, STRING, arrival=True) == [None, "a", "b", "b"]
    assert not ordered.listed
    distinct = bind("LISTAGG", [x(STRING), Typed("'|'", char(1), "|", True)], distinct=True)
    assert value(database, distinct, values, STRING, arrival=True) == "b|a"


def test_nullability() -> None:
    present = x(INT.not_null())
    assert str(bind("SUM", [present]).type) == "INT NOT NULL"
    assert str(bind("SUM", [present], grouped=False).type) == "INT"
    assert str(bind("SUM", [present], filter=Typed("TRUE", BOOLEAN)).type) == "INT"
    assert str(bind("ARRAY_AGG", [present], grouped=False).type) == "ARRAY<INT NOT NULL> NOT NULL"
    assert str(bind("COUNT", [], grouped=False).type) == "BIGINT NOT NULL"


@pytest.mark.parametrize(("name", "args", "message"), [
    ("AVG", [x(STRING)], "argument 1 of AVG must be a number, not STRING"),
    ("MIN", [x(array(INT))], "argument 1 of MIN must be a number, text, time or BOOLEAN, not ARRAY<INT>"),
    ("COUNT", [x(INT), x(INT)], "COUNT takes 0 to 1 arguments, not 2"),
    ("LISTAGG", [x(STRING), x(STRING)], "argument 2 of LISTAGG must be a literal, not an expression"),
    ("PERCENTILE", [x(INT), Typed("1.5", decimal(2, 1), 1.5, True)],
     "the percentage of PERCENTILE is 1.5, which is not within [0, 1]"),
])
def test_arguments_that_are_refused(name: str, args: list[Typed], message: str) -> None:
    with pytest.raises(SQLTypeError) as raised:
        bind(name, args)
    assert raised.value.message == message
    assert raised.value.hint


def test_unknown_names() -> None:
    with pytest.raises(BindError) as raised:
        bind("SUMM", [x(INT)])
    assert raised.value.hint is not None
    assert raised.value.hint.startswith('Did you mean "SUM"?')
    assert is_aggregate("count")
    assert not is_aggregate("upper")


ARGUMENTS = {"any": INT, "numeric": INT, "integer": INT, "numbers": DOUBLE, "character": STRING,
             "boolean": BOOLEAN, "compared": INT, "int": INT}
BITMAP = Typed("CASE WHEN x IS NOT NULL THEN [CAST(x AS BIGINT)] END", DataType("BITMAP"))
CONSTANTS = {"numbers": Typed("0.5", decimal(2, 1), 0.5, True), "literal": Typed("','", char(1), ",", True)}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("distinct", [False, True])
def test_every_function_runs_on_columns(database: Database, name: str, distinct: bool) -> None:
    """Each is SQL that DuckDB takes, of the type that it promises; NULLs and no rows included."""
    families = FUNCTIONS[name].arguments
    known = CONSTANTS | {"bitmap": BITMAP}
    args = [known.get(f) or Typed(f"CAST(x AS {ARGUMENTS[f].duck_type()})", ARGUMENTS[f]) for f in families]
    if name == "APPROX_TOP_K":
        args[1] = Typed("2", INT, 2, True)
    if (distinct and not FUNCTIONS[name].distinct) or name == "PERCENTILE":
        args, distinct = args[:2], False
    call = bind(name, args, distinct=distinct, filter=Typed("x IS NULL OR x <> 1", BOOLEAN))
    taken = database.over("rows", rows_of([], INT).schema)
    for values in ([], [None], [1], [0, 1, 1, None, 2]):
        taken.set(rows_of(values, INT))
        found = database.query(f"SELECT {call.whole(arrival=not distinct)} AS y FROM rows")
        assert found.schema.field(0).type == call.type.arrow_type()
        assert found.column(0).null_count == 0 or not FUNCTIONS[name].never_null

"""Expressions become the trees that `functions.py` promises."""

from __future__ import annotations

import pytest

from streamsql.errors import Source, SQLTypeError
from streamsql.sql import exp, interval_type, interval_value, parse
from streamsql.sql.statements import Select


def tree(text: str) -> exp.Expr:
    """The one item of `SELECT text FROM t`."""
    [statement] = parse(Source(f"SELECT {text} FROM t"))
    assert isinstance(statement, Select)
    item = statement.query.expressions[0]
    assert isinstance(item, exp.Expr)
    return item


def shape(node: object) -> str:
    """A tree as text: class or function name and its parts, without spans."""
    if isinstance(node, list):
        return ", ".join(shape(n) for n in node)
    if isinstance(node, exp.Anonymous):
        return f"{node.name}[{shape(node.expressions)}]"
    if isinstance(node, exp.Literal | exp.Var | exp.Identifier):
        return node.name
    if isinstance(node, exp.Column):
        return ".".join(p.name or "*" for p in node.parts)
    if isinstance(node, exp.DataType):
        return str(node.args["kind"])
    if isinstance(node, exp.Expr):
        parts = ", ".join(shape(v) for v in node.args.values() if v is not None and v != [])
        return f"{type(node).__name__}({parts})"
    return str(node)


@pytest.mark.parametrize(("text", "expected"), [
    ("count(*)", "COUNT[Star()]"),
    ("COUNT(DISTINCT a, b)", "COUNT[Distinct(a, b)]"),
    ("my_function(a => 1)", "MY_FUNCTION[Kwarg(a, 1)]"),
    ("f(x -> x + 1)", "F[Lambda(Add(x, 1), x)]"),
    ("LISTAGG(a ORDER BY b DESC)", "LISTAGG[Order(a, Ordered(b, True))]"),
    ("SUM(a) FILTER (WHERE b > 1)", "Filter(SUM[a], Where(GT(b, 1)))"),
    ("LAG(a, 1) IGNORE NULLS OVER (PARTITION BY k ORDER BY ts)",
     "Window(IgnoreNulls(LAG[a, 1]), k, Order(Ordered(ts)))"),
    ("SUM(a) OVER (ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
     "Window(SUM[a], Order(Ordered(ts)), WindowSpec(ROWS, 1, PRECEDING, CURRENT ROW))"),
    ("SUM(a) OVER (RANGE INTERVAL '1' DAY PRECEDING)",
     "Window(SUM[a], WindowSpec(RANGE, Interval(1, DAY), PRECEDING, CURRENT ROW))"),
    ("CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP[]"), ("PI", "PI[]"), ("PI()", "PI[]"), ("`PI`", "PI"),
    ("EXTRACT(day FROM d)", "EXTRACT[DAY, d]"),
    ("CEILING(ts TO HOUR)", "CEIL[ts, HOUR]"), ("FLOOR(1.5)", "FLOOR[1.5]"),
    ("TIMESTAMPADD(SQL_TSI_DAY, 1, d)", "TIMESTAMPADD[DAY, 1, d]"),
    ("TRIM(a)", "TRIM[BOTH,  , a]"), ("TRIM(LEADING 'x' FROM a)", "TRIM[LEADING, x, a]"),
    ("TRIM('x' FROM a)", "TRIM[BOTH, x, a]"), ("TRIM(TRAILING FROM a)", "TRIM[TRAILING,  , a]"),
    ("OVERLAY(a PLACING b FROM 1 FOR 2)", "OVERLAY[a, b, 1, 2]"),
    ("POSITION(a IN b)", "POSITION[a, b]"), ("SUBSTRING(a FROM 1 FOR 2)", "SUBSTRING[a, 1, 2]"),
    ("SUBSTRING(a, 2)", "SUBSTRING[a, 2]"),
    ("JSON_VALUE(a, '$.x' RETURNING INT NULL ON EMPTY DEFAULT -1 ON ERROR)",
     "JSON_VALUE[a, $.x, Kwarg(RETURNING, INT), Kwarg(ON_EMPTY, NULL), Kwarg(ON_ERROR, Neg(1))]"),
    ("JSON_QUERY(a, '$' WITH ARRAY WRAPPER EMPTY ARRAY ON EMPTY)",
     "JSON_QUERY[a, $, Kwarg(WRAPPER, UNCONDITIONAL), Kwarg(ON_EMPTY, EMPTY ARRAY)]"),
    ("JSON_EXISTS(a, '$' UNKNOWN ON ERROR)", "JSON_EXISTS[a, $, Kwarg(ON_ERROR, UNKNOWN)]"),
    ("JSON_OBJECT(KEY 'a' VALUE 1, 'b' : 2 ABSENT ON NULL)", "JSON_OBJECT[a, 1, b, 2, Kwarg(ON_NULL, ABSENT)]"),
    ("JSON_ARRAY(1, NULL NULL ON NULL)", "JSON_ARRAY[1, Null(), Kwarg(ON_NULL, NULL)]"),
    ("a IS NOT JSON OBJECT", "Not(IS_JSON[a, OBJECT])"),
    ("ROW(1, 2)", "ROW[1, 2]"), ("(1, 2)", "ROW[1, 2]"), ("ARRAY[1, 2]", "ARRAY[1, 2]"), ("MAP['a', 1]", "MAP[a, 1]"),
    ("a NOT LIKE 'x' ESCAPE '!'", "Not(Escape(Like(a, x), !))"), ("a SIMILAR TO b", "SimilarTo(a, b)"),
    ("a IS NOT UNKNOWN", "Not(Is(a, UNKNOWN))"), ("a IS NOT DISTINCT FROM b", "NullSafeEQ(a, b)"),
    ("a BETWEEN SYMMETRIC 3 AND 1", "Between(a, 3, 1, True)"),
    ("a NOT IN (1, 2)", "Not(In(a, 1, 2))"),
    ("(a, b) OVERLAPS (c, d)", "Overlaps(ROW[a, b], ROW[c, d])"),
    ("a || b * c", "Mul(DPipe(a, b), c)"), ("a = b IS NULL", "Is(EQ(a, b), Null())"),
    ("NOT a = b AND c OR d", "Or(And(Not(EQ(a, b)), c), d)"), ("1 - 2 - 3", "Sub(Sub(1, 2), 3)"),
    ("a.b.c.d.e", "Dot(a.b.c.d, e)"), ("f(x).g[1]", "Bracket(Dot(F[x], g), 1)"), ("t.*", "t.*"),
    ("DATE '2024-01-01'", "Introducer(DATE, 2024-01-01)"), ("X'ff'", "HexString(ff)"),
    ("U&'\\0041!0042' UESCAPE '!'", "\\0041B"), ("INTERVAL -'1-2' YEAR TO MONTH", "Neg(Interval(1-2, YEAR TO MONTH))"),
    ("INTERVAL 5 MINUTES", "Interval(5, MINUTE)"), ("(a - b) DAY", "Interval(Paren(Sub(a, b)), DAY)"),
    ("CASE a WHEN 1, 2 THEN 'x' ELSE 'y' END", "Case(a, If(1, x), If(2, x), y)"),
    ("TRY_CAST(a AS DECIMAL(10, 2))", "TryCast(a, DECIMAL(10, 2))"),
    ("CAST(a AS ROW<x INT>)", "Cast(a, ROW<`x` INT>)"),
    ("a = ANY (SELECT 1)", "EQ(a, Any(Subquery(Select(1))))"),
])
def test_shapes(text: str, expected: str) -> None:
    assert shape(tree(text)) == expected


@pytest.mark.parametrize(("text", "root", "value"), [
    ("INTERVAL '1' DAY", "INTERVAL DAY TO SECOND", 86_400_000_000),
    ("INTERVAL '1.5' SECOND", "INTERVAL DAY TO SECOND", 1_500_000),
    ("INTERVAL '-1 02:03:04.5' DAY TO SECOND", "INTERVAL DAY TO SECOND", -93_784_500_000),
    ("INTERVAL '01:30' MINUTE TO SECOND", "INTERVAL DAY TO SECOND", 90_000_000),
    ("INTERVAL '1-2' YEAR TO MONTH", "INTERVAL YEAR TO MONTH", 14),
    ("INTERVAL '100' DAY(3)", "INTERVAL DAY TO SECOND", 8_640_000_000_000),
    ("INTERVAL '1' QUARTER", "INTERVAL YEAR TO MONTH", 3),
])
def test_intervals(text: str, root: str, value: int) -> None:
    node = tree(text)
    assert isinstance(node, exp.Interval)
    assert interval_type(node).root == root
    assert interval_value(node) == value


@pytest.mark.parametrize("text", ["INTERVAL 'x' DAY", "INTERVAL '1:2' YEAR TO MONTH", "INTERVAL '1 25' DAY TO HOUR"])
def test_bad_intervals_are_errors_with_an_example(text: str) -> None:
    with pytest.raises(SQLTypeError, match="is no interval") as error:
        interval_value(tree(text))
    assert error.value.span is not None


def test_a_named_window_is_inlined() -> None:
    [statement] = parse(Source("SELECT SUM(a) OVER w FROM t WINDOW w AS (PARTITION BY k ORDER BY ts)"))
    assert isinstance(statement, Select)
    assert shape(statement.query.expressions[0]) == "Window(SUM[a], k, Order(Ordered(ts)))"

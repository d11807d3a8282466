"""Operators over columns with NULLs, row by row: constant folding must not be what is right."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest

from streamsql.errors import DataError
from streamsql.state.database import Database
from tests.unit.values.expressions import bind, value_of, values_of

Column = tuple[str, Sequence[object]]
LEAST = -2**31
NAN = float("nan")
D = Decimal

CASES: list[tuple[str, Mapping[str, Column], list[object]]] = [
    ("a + b", {"a": ("INT", [2**31 - 1, 1, None]), "b": ("INT", [1, 1, 1])}, [LEAST, 2, None]),
    ("a * a", {"a": ("BIGINT", [2**62, 3, None])}, [0, 9, None]),
    ("a / b", {"a": ("INT", [7, -7, LEAST, None]), "b": ("INT", [2, 2, -1, 0])}, [3, -3, LEAST, None]),
    ("a % b", {"a": ("INT", [-7, 7, LEAST, None]), "b": ("TINYINT", [3, -3, -1, 1])}, [-1, 1, 0, None]),
    ("-a", {"a": ("TINYINT", [-128, 5, None])}, [-128, -5, None]),
    ("a / b", {"a": ("DECIMAL(5, 2)", [D("1.25"), D("-1.00"), None]), "b": ("INT", [3, 3, 3])},
     [D("0.4166666666667"), D("-0.3333333333333"), None]),
    ("a * b", {"a": ("DECIMAL(38, 18)", [D("1234.5"), None]), "b": ("DECIMAL(38, 18)", [D("2"), D("2")])},
     [D("2469.000000"), None]),
    ("a + a", {"a": ("DECIMAL(38, 0)", [D("9" * 38), D(1), None])}, [None, D(2), None]),
    ("a / b", {"a": ("DECIMAL(38, 18)", [D("10"), None]), "b": ("DECIMAL(38, 18)", [D("4"), D("2")])},
     [D("2.500000"), None]),
    ("a > 1e0", {"a": ("DOUBLE", [NAN, 2.0, None])}, [False, True, None]),
    ("a = b", {"a": ("DOUBLE", [NAN, 1.0, None]), "b": ("DOUBLE", [NAN, 1.0, 1.0])}, [False, True, None]),
    ("a = a", {"a": ("DOUBLE", [NAN, 1.0, None])}, [True, True, None]),
    ("a AND b", {"a": ("BOOLEAN", [True, False, None]), "b": ("BOOLEAN", [None, None, None])}, [None, False, None]),
    ("a IS NOT TRUE", {"a": ("BOOLEAN", [True, False, None])}, [False, True, True]),
    ("a IS DISTINCT FROM 1", {"a": ("INT", [1, 2, None])}, [False, True, True]),
    ("a IN (1, b)", {"a": ("INT", [1, 2, 3, None]), "b": ("INT", [None, 2, None, 1])}, [True, True, None, None]),
    ("a IN (1, 2)", {"a": ("STRING", ["1", "01", None])}, [True, False, None]),
    ("a < 1.25", {"a": ("STRING", ["1.2499", "12", None])}, [True, False, None]),
    ("a <> CAST(NULL AS INT)", {"a": ("STRING", ["1", "x", None])}, [None, None, None]),
    ("CAST(NULL AS INT) IS DISTINCT FROM a", {"a": ("STRING", ["1", "x", None])}, [True, True, False]),
    ("a = INTERVAL '1' DAY", {"a": ("STRING", ["1", "+1 00:00:00.000", None])}, [False, False, None]),
    ("a IS DISTINCT FROM NULLIF(b, b) * INTERVAL '1' DAY",
     {"a": ("STRING", ["1", None]), "b": ("INT", [1, 1])}, [True, False]),
    ("a BETWEEN SYMMETRIC 3 AND 1", {"a": ("INT", [2, 4, None])}, [True, False, None]),
    ("CASE a WHEN 1 THEN 'one' WHEN NULL THEN 'null' ELSE 'x' END", {"a": ("INT", [1, 2, None])}, ["one", "x", "x"]),
    ("CASE WHEN a = 'b' THEN 0 ELSE CAST(a AS INT) END", {"a": ("STRING", ["1", "b", None])}, [1, 0, None]),
    ("a || '|'", {"a": ("STRING", ["x", None])}, ["x|", None]),
    ("a LIKE '%b_'", {"a": ("STRING", ["abc", "b", None])}, [True, False, None]),
    ("a SIMILAR TO '[a-c]+%'", {"a": ("STRING", ["abcx", "x", None])}, [True, False, None]),
    ("a[b]", {"a": ("ARRAY<INT>", [[1, 2], [1], None]), "b": ("INT", [2, -1, 1])}, [2, None, None]),
    ("m['a']", {"m": ("MAP<STRING, INT>", [[("a", 1)], [("b", 1)], None])}, [1, None, None]),
    ("r.a + 1", {"r": ("ROW<a INT, b STRING>", [{"a": 1, "b": "x"}, None])}, [2, None]),
    ("IF(a > 1, a, 0.5)", {"a": ("INT", [2, 1, None])}, [D("2.0"), D("0.5"), D("0.5")]),
    ("GREATEST(a, 2)", {"a": ("INT", [3, 1, None])}, [3, 2, None]),
    ("IFNULL(a, -1)", {"a": ("INT", [3, None])}, [3, -1]),
    ("NULLIF(a, 2)", {"a": ("INT", [1, 2, None])}, [1, None, None]),
    ("ABS(a)", {"a": ("INT", [-3, LEAST, None])}, [3, LEAST, None]),
    ("ROUND(a, 2)", {"a": ("DOUBLE", [1.005, 2.675, None])}, [1.01, 2.68, None]),
    ("ROUND(a, -1)", {"a": ("INT", [15, -15, None])}, [20, -20, None]),
    ("TRUNCATE(a, 1)", {"a": ("DECIMAL(5, 2)", [D("-2.45"), None])}, [D("-2.4"), None]),
    ("SIGN(a)", {"a": ("DECIMAL(5, 2)", [D("-2.45"), None])}, [D("-1.00"), None]),
    ("a + INTERVAL '1' MONTH", {"a": ("DATE", [datetime.date(2024, 1, 31), None])},
     [datetime.date(2024, 2, 29), None]),
    ("a - INTERVAL '26' HOUR", {"a": ("DATE", [datetime.date(2024, 1, 31), None])},
     [datetime.date(2024, 1, 30), None]),
    ("a - INTERVAL '0.001' SECOND", {"a": ("TIMESTAMP(0)", [datetime.datetime(2024, 1, 1), None])},
     [datetime.datetime(2023, 12, 31, 23, 59, 59), None]),
]


@pytest.mark.parametrize(("text", "columns", "expected"), CASES, ids=[c[0] for c in CASES])
def test_over_columns(opened: Database, text: str, columns: Mapping[str, Column], expected: list[object]) -> None:
    assert values_of(opened, text, columns) == expected


@pytest.mark.parametrize(("text", "columns"), [
    ("1 / a", {"a": ("INT", [0])}), ("1 % a", {"a": ("BIGINT", [0])}),
    ("1.5 / a", {"a": ("DECIMAL(5, 2)", [D(0)])}), ("CAST(a AS INT)", {"a": ("STRING", ["x"])}),
    ("a BETWEEN 0 AND 5", {"a": ("STRING", ["x"])}),
])
def test_values_that_fail(opened: Database, text: str, columns: Mapping[str, Column]) -> None:
    with pytest.raises(DataError, match=r"division by zero|cannot cast"):
        values_of(opened, text, columns)


def test_a_long_chain_stays_short() -> None:
    """An operand is written once, however deep it lies."""
    deep = "'1'"
    for _ in range(8):
        deep = f"CAST(CAST({deep} AS INT) AS STRING)"
    assert len(bind(deep).sql) < 5000


def test_overlaps_and_elapsed(opened: Database) -> None:
    assert value_of(opened, "(DATE '2024-01-01', INTERVAL '2' DAY) OVERLAPS (DATE '2024-01-03', DATE '2024-01-09')")
    assert value_of(opened, "(DATE '2024-03-31' - DATE '2024-02-29') MONTH = INTERVAL '1' MONTH")

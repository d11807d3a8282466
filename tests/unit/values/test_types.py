"""The types of expressions: promotion, digits, lengths, nullability."""

from __future__ import annotations

import pytest

from streamsql.core.types import BIGINT, DOUBLE, INT, STRING, char, decimal, timestamp, timestamp_ltz, varchar
from streamsql.values.promotion import common_type
from tests.unit.values.expressions import type_of

NUMBERS = {"t": "TINYINT", "i": "INT", "b": "BIGINT NOT NULL", "d": "DECIMAL(10, 2)", "w": "DECIMAL(38, 10)",
           "f": "FLOAT", "x": "DOUBLE"}


@pytest.mark.parametrize(("text", "expected"), [
    ("t + t", "TINYINT"), ("t * i", "INT"), ("i + b", "BIGINT"), ("b - b", "BIGINT NOT NULL"), ("i % t", "TINYINT"),
    ("t + d", "DECIMAL(11, 2)"), ("d * d", "DECIMAL(21, 4)"), ("t / d", "DECIMAL(16, 11)"),
    ("d + w", "DECIMAL(38, 9)"), ("w * w", "DECIMAL(38, 6)"), ("i / w", "DECIMAL(38, 18)"),
    ("i % w", "DECIMAL(20, 10)"),
    ("f + i", "FLOAT"), ("f + x", "FLOAT"), ("x + f", "DOUBLE"), ("f * d", "DOUBLE"), ("-d", "DECIMAL(10, 2)"),
])
def test_arithmetic_promotes(text: str, expected: str) -> None:
    assert type_of(text, **NUMBERS) == expected


@pytest.mark.parametrize(("text", "expected"), [
    ("1", "INT NOT NULL"), ("-2147483648", "INT NOT NULL"), ("2147483648", "BIGINT NOT NULL"),
    ("1.50", "DECIMAL(3, 2) NOT NULL"), ("1e0", "DOUBLE NOT NULL"), ("'abc'", "CHAR(3) NOT NULL"),
    ("''", "CHAR(0) NOT NULL"), ("'😀'", "CHAR(2) NOT NULL"), ("X'00ff'", "BINARY(2) NOT NULL"),
    ("TIMESTAMP '2024-01-01 00:00:00.12'", "TIMESTAMP(2) NOT NULL"), ("TIME '12:00:00'", "TIME(0) NOT NULL"),
    ("INTERVAL '1' DAY", "INTERVAL SECOND(3) NOT NULL"), ("INTERVAL '1' YEAR", "INTERVAL MONTH NOT NULL"),
    ("ROW(1, 'a')", "ROW<`EXPR$0` INT NOT NULL, `EXPR$1` CHAR(1) NOT NULL> NOT NULL"),
    ("ARRAY[1, 2.5]", "ARRAY<DECIMAL(11, 1) NOT NULL> NOT NULL"),
    ("MAP['a', 1, 'bc', CAST(NULL AS INT)]", "MAP<VARCHAR(2) NOT NULL, INT> NOT NULL"),
    ("ARRAY[1][1]", "INT"), ("CASE WHEN TRUE THEN 'a' END", "CHAR(1)"),
    ("CASE WHEN TRUE THEN 'a' ELSE 'bcd' END", "VARCHAR(3) NOT NULL"),
    ("'ab' || 'c'", "CHAR(3) NOT NULL"), ("'ab' || CAST('c' AS VARCHAR(5))", "VARCHAR(7) NOT NULL"),
    ("COALESCE(CAST(NULL AS INT), 1)", "INT NOT NULL"), ("NULLIF(1, 2)", "INT"), ("1 = NULL", "BOOLEAN"),
    ("NULL IS NULL", "BOOLEAN NOT NULL"), ("TRY_CAST('1' AS INT)", "INT"),
    ("CAST(5 AS INTERVAL DAY)", "INTERVAL SECOND(3) NOT NULL"),
    ("COALESCE(1.25, CAST(1.5 AS FLOAT))", "FLOAT NOT NULL"), ("COALESCE(CAST(1.5 AS FLOAT), 1.25)", "DOUBLE NOT NULL"),
    ("GREATEST(CAST(1.5 AS FLOAT), 2e0)", "DOUBLE NOT NULL"), ("MAP[CAST(1 AS FLOAT), 1, 2e0, 2]",
                                                               "MAP<FLOAT NOT NULL, INT NOT NULL> NOT NULL"),
    ("IFNULL(1, CAST(2 AS BIGINT))", "BIGINT NOT NULL"), ("IFNULL('ab', 'abc')", "CHAR(2) NOT NULL"),
    ("IFNULL(2, NULL)", "INT NOT NULL"), ("ARRAY[TO_TIMESTAMP_LTZ(0, 3), TIMESTAMP '2024-01-01 00:00:00']",
                                          "ARRAY<TIMESTAMP(3)> NOT NULL"),
    ("COALESCE(TO_TIMESTAMP_LTZ(0, 3), TIMESTAMP '2024-01-01 00:00:00')", "TIMESTAMP_LTZ(3) NOT NULL"),
    ("-(-2147483648)", "BIGINT NOT NULL"), ("1.", "INT NOT NULL"), ("RAND(CAST(NULL AS INT))", "DOUBLE"),
])
def test_constants_have_types(text: str, expected: str) -> None:
    assert type_of(text) == expected


def test_common_type() -> None:
    assert common_type([INT.not_null(), BIGINT]) == BIGINT
    assert common_type([INT, DOUBLE.not_null()]) == DOUBLE
    assert common_type([char(2), char(2)]) == char(2)
    assert common_type([char(2), STRING]) == STRING
    assert common_type([varchar(2), char(5)]) == varchar(5)
    assert common_type([decimal(10, 2), decimal(5, 4)]) == decimal(12, 4)
    assert common_type([timestamp(0), timestamp_ltz(3)]) == timestamp_ltz(3)
    assert common_type([INT, STRING]) is None
    assert common_type([]) is None

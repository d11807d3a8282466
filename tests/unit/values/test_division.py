"""Quotients of decimals against Python's decimals: long division, and what takes the slow way."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_UP, Context, Decimal

import pytest

from streamsql.core.types import DataType, decimal
from streamsql.errors import DataError
from streamsql.state.database import Database
from streamsql.values.arithmetic import arithmetic
from streamsql.values.typed import Typed

_EXACT = Context(prec=160, rounding=ROUND_HALF_UP)
Pair = tuple[Decimal | None, Decimal | None]


def _digits(kind: DataType, dice: random.Random) -> Decimal:
    """A value of any length, that of one digit, and the largest, as often as others."""
    most = 10 ** kind.precision - 1
    length = dice.choice([1, 2, kind.precision // 2 or 1, kind.precision])
    units = dice.choice([dice.randint(-10 ** length, 10 ** length), most, -most, 1, -1, 15])
    return Decimal(max(-most, min(most, units))).scaleb(-kind.scale, context=_EXACT)


def _expected(a: Decimal | None, b: Decimal | None, kind: DataType) -> Decimal | None:
    """The quotient with the digits of its type; NULL if it has more."""
    if a is None or b is None:
        return None
    found = _EXACT.divide(a, b).quantize(Decimal(1).scaleb(-kind.scale), context=_EXACT)
    return found if not found or len(found.as_tuple().digits) <= kind.precision else None


def _quotients(database: Database, a: DataType, b: DataType, pairs: list[Pair]) -> tuple[DataType, list[object]]:
    value = arithmetic("/", Typed('"a"', a), Typed('"b"', b))
    assert value is not None
    rows = ", ".join(f"({n}, {_text(x)}, {_text(y)})" for n, (x, y) in enumerate(pairs))
    columns = f"CAST(x AS {a.duck_type()}) AS a, CAST(y AS {b.duck_type()}) AS b"
    sql = f"SELECT {value.sql} FROM (SELECT n, {columns} FROM (VALUES {rows}) AS v(n, x, y)) ORDER BY n"
    return value.type, database.query(sql).column(0).to_pylist()


def _text(value: Decimal | None) -> str:
    return "NULL" if value is None else f"'{value:f}'"


@pytest.mark.parametrize(("a", "b"), [
    (decimal(10, 2), decimal(5, 2)), (decimal(18, 4), decimal(9, 0)), (decimal(5, 3), decimal(18, 10)),
    (decimal(20, 4), decimal(10, 2)), (decimal(19, 0), decimal(10, 5)), (decimal(38, 10), decimal(5, 2)),
    (decimal(10, 2), decimal(38, 20)), (decimal(4, 0), decimal(9, 9)), (decimal(18, 0), decimal(18, 0)),
])
def test_a_quotient_has_its_exact_digits(opened: Database, a: DataType, b: DataType) -> None:
    dice = random.Random(7)
    pairs: list[Pair] = [(_digits(a, dice), _digits(b, dice)) for _ in range(200)]
    pairs = [(x, y) for x, y in pairs if y]
    pairs += [(None, Decimal(1).scaleb(-b.scale)), (Decimal(1).scaleb(-a.scale), None), (None, Decimal(0))]
    kind, found = _quotients(opened, a, b, pairs)
    assert found == [_expected(x, y, kind) for x, y in pairs]


def test_zero_divides_nothing(opened: Database) -> None:
    with pytest.raises(DataError, match="division by zero"):
        _quotients(opened, decimal(10, 2), decimal(5, 2), [(Decimal(1), Decimal(0))])

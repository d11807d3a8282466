"""What the expressions of MATCH_RECOGNIZE are computed from, and how.

A part of an expression that reads one row (`UPPER(A.name)`, `LAST(B.price, 1) * 2`) is computed for
every row of a batch at once, by DuckDB, when it arrives: an *operand*. What is left combines the
operands of several rows: a Formula, over references to rows and aggregates of them.

A formula that compares numbers, texts and times, adds numbers, and combines conditions, is run as
Python over the values (`Plain`): its meaning is the same, and a condition that asks for the row
before can only be known one row after the other, at 0.5 ms for a DuckDB statement each. Any other
formula is run by DuckDB, for all attempts and partitions together that stand at the same row.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from streamsql.core.batch import SEQ, WATERMARK
from streamsql.core.node import Context
from streamsql.core.schema import quote
from streamsql.core.types import DataType
from streamsql.operators._nfa import Path, Row

CURRENT = -2
"""In place of a variable: the row that a condition is about."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An operand of a row: the `offset`-th from the first or the last of a variable, `ALL` or `CURRENT`."""

    variable: int
    operand: int
    first: bool = False
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Aggregation:
    """An aggregate over the rows of a variable.

    sql       over the columns `operand_name(i)` and, for the order of rows, `$watermark` and `$seq`
    operands  that it reads
    plain     COUNT, SUM, AVG, MIN, MAX or ROWS where Python computes it, else ''
    bits      of the integer type that SUM wraps around in
    """

    variable: int
    sql: str
    operands: tuple[int, ...]
    type: DataType
    plain: str = ""
    bits: int = 64


@dataclass(frozen=True, slots=True)
class Formula:
    """Columns over the references (`reference_name(i)`), the aggregates (`aggregate_name(i)`) and `$time`."""

    columns: tuple[tuple[str, str], ...]
    references: tuple[Reference, ...] = ()
    aggregations: tuple[Aggregation, ...] = ()

    def only(self, needed: Collection[str]) -> Formula:
        """Without the other columns."""
        columns = tuple((name, sql) for name, sql in self.columns if name in needed)
        return replace(self, columns=columns)

    def operands(self) -> set[int]:
        """The operands that the columns read."""
        text = "\n".join(sql for _, sql in self.columns)
        found = {r.operand for i, r in enumerate(self.references) if quote(reference_name(i)) in text}
        return found | {o for i, a in enumerate(self.aggregations) if quote(aggregate_name(i)) in text
                        for o in a.operands}


Plain = tuple[Any, ...]
"""An expression as a tree: `("ref", i)`, `("agg", i)`, `("value", v)`, `("and", a, b)`, `("<", a, b)`, …"""


def operand_name(index: int) -> str:
    return f"$v{index}"


def reference_name(index: int) -> str:
    return f"$r{index}"


def aggregate_name(index: int) -> str:
    return f"$a{index}"


def plain_column(column: pa.ChunkedArray) -> list[Any]:
    """Python values of a column: times as whole numbers, so that no digit is lost."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_time64(kind):
        return list(column.cast(pa.int64()).to_pylist())
    if pa.types.is_date32(kind):
        return list(column.cast(pa.int32()).to_pylist())
    return list(column.to_pylist())


def arrow_column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The inverse of `plain_column`."""
    if pa.types.is_timestamp(kind) or pa.types.is_time64(kind):
        return pa.array(values, pa.int64()).cast(kind)
    if pa.types.is_date32(kind):
        return pa.array(values, pa.int32()).cast(kind)
    return pa.array(values, kind)


Subject = tuple[Path | None, Row | None]
"""What a formula is about: the rows taken, and of a condition the row that its variable may take."""


class Rows:
    """Finds the rows that references mean. own: the variable of a condition, whose row is its last one.

    absent  stands for a row that is not there: its operands are those of a row of NULLs, so that
            `COALESCE(LAST(A.x), 0)` is 0
    """

    def __init__(self, absent: Row, own: int | None = None) -> None:
        self.absent = absent
        self._own = own

    def includes(self, variable: int) -> bool:
        """Whether the current row is one of the variable's."""
        return self._own is not None and variable in (-1, self._own)

    def one(self, reference: Reference, subject: Subject) -> Row:
        path, row = subject
        if reference.variable == CURRENT:
            assert row is not None
            return row
        found: Row | None = None
        offset, own = reference.offset, row if self.includes(reference.variable) else None
        if reference.first:
            found = path.nth(reference.variable, offset) if path is not None else None
            if found is None and own is not None and offset == len(self.all(reference.variable, (path, None))):
                found = own
        elif own is not None and not offset:
            found = own
        elif path is not None:
            found = path.nth_last(reference.variable, offset - (own is not None))
        return found or self.absent

    def all(self, variable: int, subject: Subject) -> list[Row]:
        path, row = subject
        rows = path.rows(variable) if path is not None else []
        return [*rows, row] if row is not None and self.includes(variable) else rows


class Evaluator:
    """Runs a formula in DuckDB, for many subjects with one statement and one more for each aggregate."""

    def __init__(self, context: Context, name: str, formula: Formula, types: Sequence[DataType], rows: Rows) -> None:
        database = context.database
        self._formula, self._rows = formula, rows
        self._types = [t.arrow_type() for t in types]
        schema = [pa.field("$n", pa.int64()), pa.field("$time", pa.int64())]
        schema += [pa.field(reference_name(i), self._types[r.operand]) for i, r in enumerate(formula.references)]
        schema += [pa.field(aggregate_name(i), a.type.arrow_type()) for i, a in enumerate(formula.aggregations)]
        self._schema = pa.schema(schema)
        self._input = database.over(f"{context.name}${name}", self._schema)
        columns = ", ".join(f"{sql} AS {quote(column)}" for column, sql in formula.columns)
        self._statement = database.compute(f'SELECT {columns or "1"} FROM {quote(self._input.name)} ORDER BY "$n"')
        self._groups = []
        for index, call in enumerate(formula.aggregations):
            fields = [pa.field("$n", pa.int64()), pa.field(WATERMARK, pa.int64()), pa.field(SEQ, pa.int64())]
            fields += [pa.field(operand_name(o), self._types[o]) for o in call.operands]
            given = database.over(f"{context.name}${name}$agg{index}", pa.schema(fields))
            relation = quote(given.name)
            grouped = database.compute(f'SELECT "$n", {call.sql} AS v FROM {relation} GROUP BY "$n"')
            empty = database.compute(f"SELECT {call.sql} AS v FROM {relation} WHERE false").run().column(0)
            self._groups.append((call, pa.schema(fields), given, grouped, plain_column(empty)[0]))

    def run(self, subjects: Sequence[Subject], times_us: Sequence[int] | None = None) -> pa.Table:
        arrays = [pa.array(range(len(subjects)), pa.int64()),
                  pa.array(times_us if times_us is not None else [0] * len(subjects), pa.int64())]
        for reference in self._formula.references:
            values = [self._rows.one(reference, s).values[reference.operand] for s in subjects]
            arrays.append(arrow_column(values, self._types[reference.operand]))
        arrays += [self._aggregated(index, subjects) for index in range(len(self._groups))]
        self._input.set(pa.Table.from_arrays(arrays, schema=self._schema))
        return self._statement.run()

    def _aggregated(self, index: int, subjects: Sequence[Subject]) -> pa.Array:
        call, schema, given, grouped, empty = self._groups[index]
        numbers: list[int] = []
        rows: list[Row] = []
        for number, subject in enumerate(subjects):
            own = self._rows.all(call.variable, subject)
            numbers += [number] * len(own)
            rows += own
        order = pa.array([r.number for r in rows], pa.int64())
        arrays = [pa.array(numbers, pa.int64()), order, order]
        arrays += [arrow_column([r.values[o] for r in rows], self._types[o]) for o in call.operands]
        given.set(pa.Table.from_arrays(arrays, schema=schema))
        result = grouped.run()
        values: list[Any] = [empty] * len(subjects)
        for number, value in zip(result.column(0).to_pylist(), plain_column(result.column(1)), strict=True):
            values[number] = value
        return arrow_column(values, call.type.arrow_type())


# ------------------------------------------------------------------------------------------------ in Python

Value = Callable[[Path | None, Row], Any]

_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_COMPUTED: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def closure(tree: Plain, formula: Formula, rows: Rows) -> Value:
    """A plain expression as a function of the rows taken and the current row; NULL is None."""
    kind = tree[0]
    if kind == "value":
        return lambda path, row: tree[1]
    if kind == "ref":
        return _reference(formula.references[tree[1]], rows)
    if kind == "agg":
        return _aggregate(formula.aggregations[tree[1]], rows)
    inner = [closure(t, formula, rows) for t in tree[1:] if isinstance(t, tuple)]
    if kind in ("and", "or"):
        return _logic(kind == "or", *inner)
    if kind == "not":
        return lambda path, row: None if (v := inner[0](path, row)) is None else not v
    if kind == "is":
        return lambda path, row: inner[0](path, row) is tree[2]
    if kind == "float":
        return lambda path, row: None if (v := inner[0](path, row)) is None else float(v)
    if kind in _COMPARED:
        return _both(_COMPARED[kind], *inner)
    computed = _both(_COMPUTED[kind], *inner)
    bits = tree[3]
    return computed if bits is None else lambda path, row: _wrapped(computed(path, row), bits)


def _both(apply: Callable[[Any, Any], Any], left: Value, right: Value) -> Value:
    def value(path: Path | None, row: Row) -> Any:
        a = left(path, row)
        if a is None:
            return None
        b = right(path, row)
        return None if b is None else apply(a, b)
    return value


def _logic(decisive: bool, left: Value, right: Value) -> Value:
    """AND, which FALSE decides, and OR, which TRUE decides, of three values."""
    def value(path: Path | None, row: Row) -> Any:
        a = left(path, row)
        if a is decisive:
            return a
        b = right(path, row)
        return b if b is decisive else None if a is None or b is None else not decisive
    return value


def _reference(reference: Reference, rows: Rows) -> Value:
    operand = reference.operand
    if reference.variable == CURRENT:
        return lambda path, row: row.values[operand]
    return lambda path, row: rows.one(reference, (path, row)).values[operand]


def _wrapped(value: Any, bits: int) -> Any:
    """As Java's integers overflow."""
    if value is None:
        return None
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half


Sums = tuple[int, Any, Any, Any]
"""Of some rows: how many values there are, their sum, the least and the greatest."""


def _aggregate(call: Aggregation, rows: Rows) -> Value:
    """An aggregate that each row taken carries on: a path keeps what was found up to it."""
    operand, variable, result = (call.operands or (None,))[0], call.variable, _RESULTS[call.plain]
    key = object()
    summed = call.plain in ("SUM", "AVG")

    def plus(sums: Sums, row: Row) -> Sums:
        value = 0 if operand is None else row.values[operand]
        if value is None:
            return sums
        count, total, least, most = sums
        if not count:
            return 1, value if summed else None, value, value
        return count + 1, total + value if summed else None, min(least, value), max(most, value)

    def up_to(path: Path | None) -> Sums:
        at = path.latest(variable) if path is not None else None
        missing: list[Path] = []
        while at is not None and key not in at.sums:
            missing.append(at)
            at = at.earlier(variable)
        sums: Sums = at.sums[key] if at is not None else (0, None, None, None)
        for step in reversed(missing):
            sums = step.sums[key] = plus(sums, step.row)
        return sums

    def value(path: Path | None, row: Row) -> Any:
        sums = up_to(path)
        return result(plus(sums, row) if rows.includes(variable) else sums, call.bits)
    return value


def _average(sums: Sums, _bits: int) -> Any:
    """Cut toward zero, as integers are divided."""
    if not sums[0]:
        return None
    quotient = abs(sums[1]) // sums[0]
    return quotient if sums[1] >= 0 else -quotient


_RESULTS: dict[str, Callable[[Sums, int], Any]] = {
    "ROWS": lambda s, _: s[0], "COUNT": lambda s, _: s[0], "MIN": lambda s, _: s[2], "MAX": lambda s, _: s[3],
    "SUM": lambda s, bits: _wrapped(s[1], bits), "AVG": _average}
PLAIN_AGGREGATES = frozenset(_RESULTS)


def absent_row(values: Iterable[Any]) -> Row:
    return Row(-1, 0, tuple(values))

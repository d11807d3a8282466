"""Comparing a value with the one that Flink gave, exactly as the data's README says.

`python -m tests.truth.values [group …]` besides runs what needs no query planner, expressions and VALUES,
through parser and binder alone: the short way while working on values.
"""

from __future__ import annotations

import datetime
import json
import math
import struct
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from streamsql.core.schema import quote
from streamsql.core.types import DataType
from streamsql.errors import BindError, DataError, Source, SQLError
from streamsql.sql import exp, parse, span_of
from streamsql.sql.statements import Select
from streamsql.state.database import Database
from streamsql.values.binder import Binder, common_type
from streamsql.values.constructors import field
from streamsql.values.macros import SETUP
from streamsql.values.typed import Typed
from streamsql.values.udfs import register

DATA = Path(__file__).parent / "values"
TRANSCENDENTAL = 1e-12
EPOCH = datetime.datetime(1970, 1, 1)

Vector = dict[str, Any]
Json = Any


# ------------------------------------------------------------------------------------------------- compare

def plain(value: object, type_: DataType) -> Json:
    """A value of Arrow (`to_pylist`) as the JSON of the data."""
    if value is None:
        return None
    rule = _PLAIN.get(type_.root)
    return rule(value, type_) if rule else value


def _decimal(value: Any, type_: DataType) -> str:
    return format(Decimal(value).quantize(Decimal(1).scaleb(-type_.scale), context=Context(prec=60)), "f")


def _float(value: Any, type_: DataType) -> Json:
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


def _fraction(text: str, fraction: str, digits: int) -> str:
    return text + ("." + fraction.ljust(9, "0")[:digits] if digits else "")


def _time(value: Any, type_: DataType) -> str:
    return _fraction(value.strftime("%H:%M:%S"), f"{value.microsecond:06}", type_.precision)


def _timestamp(value: Any, type_: DataType) -> str:
    nanos = f"{value.microsecond:06}{getattr(value, 'nanosecond', 0):03}"
    return _fraction(value.isoformat()[:19], nanos, type_.precision)


def _ltz(value: Any, type_: DataType) -> str:
    return _timestamp(value.astimezone(datetime.UTC).replace(tzinfo=None), type_) + "Z"


def _months(value: Any, type_: DataType) -> int:
    return int(value.months)


def _milliseconds(value: Any, type_: DataType) -> int:
    return int(value.days * 86_400_000 + value.nanoseconds // 1_000_000)


def _list(value: Any, type_: DataType) -> Json:
    return [plain(v, type_.children[0]) for v in value]


def _entries(value: Any, type_: DataType) -> Json:
    kinds = (type_.children[0], type_.children[1] if len(type_.children) > 1 else DataType("INT"))
    return [[plain(v, t) for v, t in zip(entry, kinds)] for entry in value]


def _row(value: Any, type_: DataType) -> Json:
    return [plain(value[n], t) for n, t in zip(type_.names, type_.children)]


_PLAIN: dict[str, Callable[[Any, DataType], Json]] = {
    "DECIMAL": _decimal, "FLOAT": _float, "DOUBLE": _float, "DATE": lambda v, _: v.isoformat(), "TIME": _time,
    "TIMESTAMP": _timestamp, "TIMESTAMP_LTZ": _ltz, "INTERVAL YEAR TO MONTH": _months,
    "INTERVAL DAY TO SECOND": _milliseconds, "BINARY": lambda v, _: v.hex(), "VARBINARY": lambda v, _: v.hex(),
    "ARRAY": _list, "MAP": _entries, "MULTISET": _entries, "ROW": _row,
}


def matches(expected: Json, actual: Json, type_: DataType, *, tolerance: float = 0.0) -> bool:
    """Whether a value is the one expected: doubles to one unit in the last place, or to `tolerance`."""
    if expected is None or actual is None:
        return expected is None and actual is None
    if type_.root in ("FLOAT", "DOUBLE"):
        return _near(expected, actual, type_, tolerance)
    if type_.root == "ARRAY":
        return len(expected) == len(actual) and all(
            matches(e, a, type_.children[0], tolerance=tolerance) for e, a in zip(expected, actual))
    if type_.root == "ROW":
        return all(matches(e, a, t, tolerance=tolerance) for e, a, t in zip(expected, actual, type_.children))
    if type_.root in ("MAP", "MULTISET"):
        return sorted(map(json.dumps, expected)) == sorted(map(json.dumps, actual))
    return bool(expected == actual) and isinstance(expected, bool) == isinstance(actual, bool)


def _near(expected: Json, actual: Json, type_: DataType, tolerance: float) -> bool:
    if isinstance(expected, str) or isinstance(actual, str):
        return bool(expected == actual)
    if type_.root == "FLOAT":
        return struct.pack("f", expected) == struct.pack("f", actual)
    return bool(expected == actual) or abs(expected - actual) <= max(
        math.ulp(expected), tolerance * abs(expected))


def same_rows(expected: Sequence[Sequence[Json]], actual: Sequence[Sequence[Json]], types: Sequence[DataType],
              *, ordered: bool, tolerance: float = 0.0) -> bool:
    """Rows in order, or as a bag."""
    def same(a: Sequence[Json], b: Sequence[Json]) -> bool:
        return all(matches(x, y, t, tolerance=tolerance) for x, y, t in zip(a, b, types))

    if len(expected) != len(actual):
        return False
    if ordered:
        return all(map(same, expected, actual))
    left = list(actual)
    for row in expected:
        found = next((i for i, other in enumerate(left) if same(row, other)), None)
        if found is None:
            return False
        del left[found]
    return True


_WORDS = ("SIN(", "COS(", "TAN(", "COT(", "SINH(", "COSH(", "TANH(", "ASIN(", "ACOS(", "ATAN", "EXP(", "LN(", "LOG",
          "POWER(", "SQRT(", "DEGREES(", "RADIANS(", "E()", "STDDEV", "VAR")


def tolerance_of(sql: str) -> float:
    return TRANSCENDENTAL if any(word in sql.upper() for word in _WORDS) else 0.0


# ---------------------------------------------------------------------------------------- the short way to run

class NotExpressible(Exception):
    """The statement needs the query planner."""


class _Rows:
    """A scope over the columns of a derived table."""

    def __init__(self, columns: Sequence[tuple[str, DataType]]) -> None:
        self.columns = dict(columns)

    def column(self, tree: exp.Expr) -> Typed:
        assert isinstance(tree, exp.Column)
        names = [p.name for p in tree.parts]
        if len(names) > 1 and names[0] not in self.columns:
            names = names[1:]
        if names[0] not in self.columns:
            raise BindError(f'column "{names[0]}" does not exist', span_of(tree))
        if names[-1] == "*":
            raise NotExpressible
        value = Typed(quote(names[0]), self.columns[names[0]])
        for name in names[1:]:
            value = field(value, name, span_of(tree))
        return value

    def call(self, tree: exp.Expr) -> Typed | None:
        if isinstance(tree, (exp.Subquery, exp.Exists, exp.Window, exp.Any, exp.All)) or tree.args.get("query"):
            raise NotExpressible
        return None


Relation = tuple[str, list[tuple[str, DataType]]]


def relation(tree: exp.Expr, settings: dict[str, str]) -> Relation:
    """SQL and columns of a SELECT without aggregation, of VALUES, or of UNION ALL."""
    if isinstance(tree, exp.Subquery):
        sql, columns = relation(tree.this, settings)
        alias = tree.args.get("alias")
        names = [c.name for c in alias.columns] if alias is not None else []
        if not names:
            return sql, columns
        renamed = [(n, t) for n, (_, t) in zip(names, columns)]
        return f"SELECT * FROM ({sql}) AS r({', '.join(quote(n) for n in names)})", renamed
    if isinstance(tree, exp.Values):
        return _values(tree, settings)
    if isinstance(tree, exp.Union):
        return _union(tree, settings)
    if isinstance(tree, exp.Select):
        return _select(tree, settings)
    raise NotExpressible


def _values(tree: exp.Values, settings: dict[str, str]) -> Relation:
    binder = Binder(_Rows([]), settings)
    rows = [[binder.typed(v) for v in row.expressions] for row in tree.expressions]
    if len({len(r) for r in rows}) > 1:
        raise BindError("rows of different length", span_of(tree))
    kinds = [common_type([v.type for v in column]) for column in zip(*rows)]
    if None in kinds:
        raise BindError("columns of different types", span_of(tree))
    types = [k for k in kinds if k]
    listed = ", ".join("(" + ", ".join(binder.cast(v, t, implicit=True).sql for v, t in zip(row, types)) + ")"
                       for row in rows)
    alias = tree.args.get("alias")
    names = [c.name for c in alias.columns] if alias is not None else []
    names = names or [f"EXPR${i}" for i in range(len(types))]
    if len(names) != len(types) or len(set(names)) < len(names):
        raise BindError("names", span_of(tree))
    return f"SELECT * FROM (VALUES {listed}) AS v({', '.join(map(quote, names))})", list(zip(names, types))


def _union(tree: exp.Union, settings: dict[str, str]) -> Relation:
    if tree.args.get("distinct"):
        raise NotExpressible
    sides = [relation(t, settings) for t in (tree.this, tree.expression)]
    columns = []
    for (name, a), (_, b) in zip(sides[0][1], sides[1][1], strict=True):
        common = common_type([a, b])
        if common is None:
            raise BindError("columns of different types", span_of(tree))
        columns.append((name, common))
    binder = Binder(_Rows([]), settings)
    texts = []
    for sql, given in sides:
        items = ", ".join(f"{binder.cast(Typed(quote(n), t), c, implicit=True).sql} AS {quote(name)}"
                          for (n, t), (name, c) in zip(given, columns))
        texts.append(f"SELECT {items} FROM ({sql})")
    return " UNION ALL ".join(texts), columns


def _select(tree: exp.Select, settings: dict[str, str]) -> Relation:
    for part in ("group", "having", "order", "limit", "offset", "joins", "with_", "distinct", "laterals"):
        if tree.args.get(part):
            raise NotExpressible
    source = tree.args.get("from_")
    sql, columns = relation(source.this, settings) if source else ("SELECT 1", [])
    binder = Binder(_Rows(columns), settings)
    items: list[tuple[str, Typed]] = []
    for i, item in enumerate(tree.expressions):
        if isinstance(item, exp.Star):
            items += [(n, Typed(quote(n), t)) for n, t in columns]
        elif isinstance(item, exp.Alias):
            items.append((item.alias, binder.typed(item.this)))
        else:
            items.append((item.name if isinstance(item, exp.Column) else f"EXPR${i}", binder.typed(item)))
    where = tree.args.get("where")
    condition = f" WHERE {binder.condition(where.this, 'WHERE').sql}" if where else ""
    listed = ", ".join(f"{v.sql} AS {quote(n)}" for n, v in items)
    return f"SELECT {listed} FROM ({sql}){condition}", [(n, v.type) for n, v in items]


def run(vector: Vector, database: Database) -> str:
    """'' if the vector's answer comes out, else what came out. Raises NotExpressible."""
    error, settings = vector["error"], dict(vector.get("settings") or {})
    if (error and error["gap"]) or vector.get("suspect"):
        return ""
    try:
        (statement,) = parse(Source(vector["sql"]))
        if not isinstance(statement, Select):
            return "" if error and error["phase"] == "validate" else "not a SELECT"
        sql, columns = relation(statement.query, settings)
    except SQLError as refused:
        return "" if error and error["phase"] == "validate" else f"refused: {refused.message}"
    except ValueError:
        return "" if error and error["phase"] == "validate" else "not one statement"
    types = [t for _, t in columns]
    expected = vector["type"] if isinstance(vector["type"], list) else [vector["type"]]
    if error and error["phase"] == "validate":
        return f"not refused: {error.get('root') or error['message']}"
    if [str(t) for t in types] != expected:
        return f"type {', '.join(map(str, types))}"
    try:
        rows = table_rows(database.query(sql), types)
    except DataError as failed:
        return "" if error else f"failed: {failed.message}"
    if error:
        return f"did not fail but gave {rows}"
    if vector["rows"] is None:
        return ""
    good = same_rows(vector["rows"], rows, types, ordered=vector["ordered"], tolerance=tolerance_of(vector["sql"]))
    return "" if good else f"gave {json.dumps(rows, ensure_ascii=False)}"


def table_rows(table: pa.Table, types: Sequence[DataType]) -> list[list[Json]]:
    columns = [_values_of(table.column(i), t) for i, t in enumerate(types)]
    return [list(row) for row in zip(*columns)]


def _values_of(column: pa.ChunkedArray, type_: DataType) -> list[Json]:
    return [plain(v, type_) for v in column.to_pylist()]


def vectors(groups: Sequence[str]) -> list[Vector]:
    paths = sorted(p for p in DATA.glob("*.jsonl") if not groups or p.stem in groups)
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def main(groups: Sequence[str]) -> None:
    passed, failed, skipped = Counter[str](), Counter[str](), Counter[str]()
    database = Database()
    register(database)
    for statement in SETUP:
        database.everywhere(statement)
    for vector in vectors(groups):
        try:
            wrong = run(vector, database)
        except NotExpressible:
            skipped[vector["group"]] += 1
            continue
        except Exception as error:  # noqa: BLE001 - a crash is a failure of its vector
            wrong = f"{type(error).__name__}: {error}".replace("\n", " ")[:400]
        (failed if wrong else passed)[vector["group"]] += 1
        if wrong:
            print(f"{vector['id']}  {vector['sql']}\n    expected {vector['type']} {json.dumps(vector['rows'])}"
                  f"\n    {wrong}")
    database.close()
    for group in sorted({*passed, *failed, *skipped}):
        total = passed[group] + failed[group]
        print(f"{group:12} {passed[group]:5} of {total:5}  {100 * passed[group] / max(total, 1):6.1f} %"
              f"   ({skipped[group]} need the planner)")


if __name__ == "__main__":
    main(sys.argv[1:])

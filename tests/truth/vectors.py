"""Runs a value vector of `tests/truth/values` through the public API; README.md says what a vector is.

Types are compared as text, rows as a bag or in order, values exactly: a DOUBLE of arithmetic to one unit
in the last place, one of a transcendental function to 1e-12. What Flink refuses must be refused, in the
same phase: `validate`, before it runs, or `run`, by a value.
"""

from __future__ import annotations

import functools
import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import streamsql
from streamsql.core.types import DataType
from tests.truth.streams import show

Vector = Mapping[str, Any]
Json = Any

STRICT = {"streamsql.strict": "true"}
"""What Flink lacks is refused, as Flink refuses it."""
TRANSCENDENTAL = 1e-12
_FUNCTIONS = ("SIN(", "COS(", "TAN(", "COT(", "SINH(", "COSH(", "TANH(", "ASIN(", "ACOS(", "ATAN", "EXP(", "LN(",
              "LOG", "POWER(", "SQRT(", "DEGREES(", "RADIANS(", "E()", "STDDEV", "VAR")


def run(vector: Vector) -> None:
    """Raises AssertionError when type, names, rows or refusal differ; any answer is right to a gap of Flink."""
    error = vector["error"]
    if (error and error.get("gap")) or vector.get("suspect"):
        return
    settings = vector.get("settings")
    session = streamsql.Session({**STRICT, **settings}, threaded=False) if settings else _plain()
    try:
        if error:
            _refused(session, vector)
        else:
            _accepted(session, vector)
    finally:
        session.close()


@functools.cache
def _plain() -> streamsql.Session:
    """The session of all vectors without settings; `close` ends what runs in it, and it can go on."""
    return streamsql.Session(STRICT, threaded=False)


def _accepted(session: streamsql.Session, vector: Vector) -> None:
    query = session.sql(vector["sql"])
    types = [c.type for c in query.schema]
    given = vector["type"] if isinstance(vector["type"], list) else [vector["type"]]
    shown = [str(c.type) + (" *PROCTIME*" if c.time == "proctime" else "") for c in query.schema]
    assert shown == given, f"type: expected {given}, got {shown}"
    assert list(query.schema.names) == vector["columns"], \
        f"names: expected {vector['columns']}, got {list(query.schema.names)}"
    if vector["rows"] is None:
        return
    rows = _rows(query)
    tolerance = TRANSCENDENTAL if any(f in vector["sql"].upper() for f in _FUNCTIONS) else 0.0
    assert same_rows(vector["rows"], rows, types, ordered=vector["ordered"], tolerance=tolerance), \
        f"rows: expected {vector['rows']}, got {rows}"


def _refused(session: streamsql.Session, vector: Vector) -> None:
    """Refused before it runs (validate) or when it runs; a constant may be computed while planning."""
    phase = vector["error"]["phase"]
    try:
        query = session.sql(vector["sql"])
    except streamsql.InternalError as error:
        raise AssertionError(f"an internal error instead of a refusal: {error}") from error
    except streamsql.StreamSQLError as error:
        if "is not built" in str(error):
            raise AssertionError(f"not built: {error}") from error
        if phase != "validate":
            raise AssertionError(f"refused while planning, Flink refuses a value: {error}") from error
        return
    try:
        rows = _rows(query)
    except streamsql.InternalError as error:
        raise AssertionError(f"an internal error instead of a refusal: {error}") from error
    except streamsql.StreamSQLError as error:
        if phase == "validate" and not vector["type"]:
            raise AssertionError(f"refused when it runs, Flink refuses it before: {error}") from error
        return
    raise AssertionError(f"accepted with {rows[:2]}, but Flink says: {vector['error']['message'][:120]}")


def _rows(query: streamsql.Query) -> list[list[Json]]:
    types = [c.type for c in query.schema]
    query.turn()
    while not query.finished:
        query.turn()
    rows: list[list[Json]] = []
    for batch in query.taken():
        columns = [c for n, c in zip(batch.column_names, batch.columns, strict=True) if not n.startswith("$")]
        rows += ([show(v, t, full=True) for v, t in zip(row, types, strict=True)]
                 for row in zip(*(c.to_pylist() for c in columns), strict=True))
    return rows


# Comparing


def same_rows(expected: Sequence[Sequence[Json]], actual: Sequence[Sequence[Json]], types: Sequence[DataType],
              *, ordered: bool, tolerance: float = 0.0) -> bool:
    """Rows in order, or as a bag."""
    def same(a: Sequence[Json], b: Sequence[Json]) -> bool:
        return all(matches(x, y, t, tolerance=tolerance) for x, y, t in zip(a, b, types, strict=True))

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


def matches(expected: Json, actual: Json, type_: DataType, *, tolerance: float = 0.0) -> bool:
    """Whether a value is the one expected: doubles to one unit in the last place, or to `tolerance`."""
    if expected is None or actual is None:
        return expected is None and actual is None
    if type_.root in ("FLOAT", "DOUBLE"):
        return _near(expected, actual, type_, tolerance)
    if type_.root in ("ARRAY", "ROW"):
        children = type_.children if type_.root == "ROW" else type_.children * len(expected)
        return len(expected) == len(actual) and all(
            matches(e, a, t, tolerance=tolerance) for e, a, t in zip(expected, actual, children, strict=True))
    if type_.root in ("MAP", "MULTISET"):
        return sorted(map(json.dumps, expected)) == sorted(map(json.dumps, actual))
    return bool(expected == actual) and isinstance(expected, bool) == isinstance(actual, bool)


def _near(expected: Json, actual: Json, type_: DataType, tolerance: float) -> bool:
    if isinstance(expected, str) or isinstance(actual, str):
        return bool(expected == actual)
    if type_.root == "FLOAT":
        return struct.pack("f", expected) == struct.pack("f", actual)
    return bool(expected == actual) or abs(expected - actual) <= max(math.ulp(expected), tolerance * abs(expected))

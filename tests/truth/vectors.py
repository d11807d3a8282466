"""Runs a value vector of `tests/truth/values` through the public API; README.md says what a vector is."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import streamsql
from streamsql.core.types import DataType
from tests.truth.streams import show

Vector = Mapping[str, Any]

TRANSCENDENTAL = ("SIN", "COS", "TAN", "COT", "SINH", "COSH", "TANH", "ASIN", "ACOS", "ATAN", "EXP", "LOG", "LN",
                  "POWER", "SQRT", "DEGREES", "RADIANS", "STDDEV", "VAR")


def run(vector: Vector) -> None:
    """Raises AssertionError when type, rows or refusal differ."""
    error = vector["error"]
    if error and error.get("gap"):
        return
    with streamsql.Session(vector.get("settings") or {}, threaded=False) as session:
        if error:
            _refused(session, vector)
            return
        query = session.sql(vector["sql"])
        types = vector["type"] if isinstance(vector["type"], list) else [vector["type"]]
        got_types = [str(c.type) for c in query.schema]
        assert got_types == types, f"type: expected {types}, got {got_types}"
        if vector["rows"] is None or vector.get("suspect"):
            return
        rows = _rows(query)
        transcendental = any(name in vector["sql"].upper() for name in TRANSCENDENTAL)
        assert same(vector["rows"], rows, [c.type for c in query.schema], ordered=vector["ordered"],
                    relative=1e-12 if transcendental else 0.0), \
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
    except streamsql.StreamSQLError:
        return
    raise AssertionError(f"accepted with {rows[:2]}, but Flink says: {vector['error']['message'][:120]}")


def _rows(query: streamsql.Query) -> list[list[Any]]:
    types = [c.type for c in query.schema]
    while True:
        query.turn()
        if query.finished:
            break
    rows = []
    for batch in query.taken():
        columns = [c for n, c in zip(batch.column_names, batch.columns, strict=True) if not n.startswith("$")]
        for row in zip(*(c.to_pylist() for c in columns), strict=True):
            rows.append([show(v, t, full=True) for v, t in zip(row, types, strict=True)])  # noqa: PERF401
    return rows


def same(want: Sequence[Any], got: Sequence[Any], types: Sequence[DataType], *, ordered: bool,
         relative: float) -> bool:
    """Equal as bags, or in order; doubles to one unit in the last place, or relatively."""
    if len(want) != len(got):
        return False
    if not ordered:
        want, got = sorted(want, key=_key), sorted(got, key=_key)
    return all(_equal(w, g, t, relative) for a, b in zip(want, got, strict=True)
               for w, g, t in zip(a, b, types, strict=True))


def _key(row: Any) -> str:
    return json.dumps(row, sort_keys=True)


def _equal(want: Any, got: Any, type_: DataType, relative: float) -> bool:
    if isinstance(want, int | float) and isinstance(got, int | float) and not isinstance(want, bool):
        if type_.root == "FLOAT":
            return struct.pack("f", want) == struct.pack("f", got)
        if type_.root == "DOUBLE":
            return want == got or abs(want - got) <= max(math.ulp(want), relative * abs(want))
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        kids = type_.children
        if type_.root == "ROW":
            return all(_equal(w, g, t, relative) for w, g, t in zip(want, got, kids, strict=True))
        if type_.root == "ARRAY":
            return all(_equal(w, g, kids[0], relative) for w, g in zip(want, got, strict=True))
    return bool(want == got)

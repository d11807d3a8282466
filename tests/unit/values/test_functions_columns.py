"""Every function over columns with NULLs, through a scan and a projection: as its constants, and NULL as declared."""

from __future__ import annotations

import pyarrow as pa
import pytest

from streamsql.state.database import Database
from streamsql.values.functions import functions
from streamsql.values.typed import Function
from tests.unit.values.examples import as_written, constants, example_of, through_session

_OF_NULLS: dict[str, object] = {
    "IS_ALPHA": False, "IS_DECIMAL": False, "IS_DIGIT": False, "IS_JSON": False, "JSON_ARRAY": "[]", "TYPEOF": "INT",
    "OBJECT_OF": {"name": None, "age": None},
}
"""What a call of NULLs alone gives, where it is not NULL."""
_CONSTANT = {"OBJECT_OF": 3, "OBJECT_UPDATE": 1}
"""How many arguments of an example must be constant."""
_KEPT = {
    "ARRAY_APPEND": [None, [1, 2, None]], "ARRAY_PREPEND": [None, [None, 2]],
    "CONCAT_WS": [None, "b", "a~b", "a"],
}
"""Functions whose type is nullable with any argument, and which give a value beside a NULL: argument by argument."""


@pytest.mark.parametrize("function", [f for f in functions() if f.example], ids=lambda f: f.name)
def test_over_columns_it_is_what_it_is_over_constants(opened: Database, function: Function) -> None:
    example = example_of(function)
    assert example.constant == _CONSTANT.get(function.name, 0)
    row = constants(opened, example)
    nulls = pa.table([pa.nulls(1, f.type) for f in row.schema], schema=row.schema)
    kind, values = through_session(example, pa.concat_tables([row, nulls, row]))
    if function.deterministic and function.name != "TYPEOF":  # a column's type is nullable, a constant's is not
        _, expected = as_written(example)
        assert [values[0], values[2]] == expected * 2
    if example.types:
        assert values[1] == _OF_NULLS.get(function.name)
    if function.nulls in ("propagate", "never", "always"):
        assert kind.nullable == {"propagate": bool(example.types), "never": False, "always": True}[function.nulls]


@pytest.mark.parametrize("function", [f for f in functions() if f.example and f.nulls == "propagate" and f.arguments],
                         ids=lambda f: f.name)
def test_null_propagates_from_each_argument(opened: Database, function: Function) -> None:
    example = example_of(function)
    row = constants(opened, example)
    rows = [row.set_column(n, f, pa.nulls(1, f.type)) for n, f in enumerate(row.schema)]
    _, values = through_session(example, pa.concat_tables(rows))
    assert values == _KEPT.get(function.name, [None] * len(rows))

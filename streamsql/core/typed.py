"""Typed: an expression after binding, i.e. its DuckDB text and its Flink type."""

from __future__ import annotations

from dataclasses import dataclass

from streamsql.core.schema import TimeAttribute
from streamsql.core.types import DataType


@dataclass(frozen=True, slots=True)
class Typed:
    """A bound scalar expression.

    sql            DuckDB text, closed: it may stand anywhere an operand may
    type           Flink's type, nullability included
    literal        the Python value if it is a literal constant (needed by some rules), else None
    is_literal     tells a NULL literal from no literal
    deterministic  False for RAND(), UUID() and the like
    time           the time attribute it still is (a bare column keeps it, an expression loses it)
    aggregate      it holds an aggregate call
    keyword        of a clause inside a call (`NULL ON EMPTY`, `RETURNING INT`): its name, `ON_EMPTY`;
                   the value is in `literal` (a word, or a DataType), or in `sql` if it is an expression
    """

    sql: str
    type: DataType
    literal: object = None
    is_literal: bool = False
    deterministic: bool = True
    time: TimeAttribute = ""
    aggregate: bool = False
    keyword: str = ""

"""Typed: an expression after binding, i.e. its DuckDB text and its Flink type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

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


Result = DataType | Callable[[Sequence[Typed]], DataType]
Body = str | Callable[[Sequence[Typed]], str]


@dataclass(frozen=True, slots=True)
class Function:
    """One row of the function table: all that binder, docs, completion and DESCRIBE know of it.

    name, aliases   upper case, as documented by Flink
    signature       as shown to users: `SUBSTRING(string, start [, length])`
    arguments       the accepted families a position (see `values.signature`); the last repeats
                    if `variadic`; `optional` counts how many trailing ones may be left out
    result          the type, or a rule from the bound arguments (nullability: `nulls`)
    body            DuckDB text with {0}, {1} … for arguments, {all} for all with commas, {zone} for
                    the session zone (`{{`, `}}` for braces); or a rule from the bound arguments.
                    Arguments arrive coerced; a text that uses one twice evaluates it twice
    nulls           `propagate`: NULL if any argument is NULL, so nullable iff one is;
                    `never`, `always`; `rule`: the result rule says it
    doc, example    one line; and an expression with its value, run as a test
    local_only      a function of DuckDB that Flink lacks
    """

    name: str
    signature: str
    arguments: tuple[str, ...]
    result: Result
    body: Body
    doc: str
    example: str = ""
    aliases: tuple[str, ...] = ()
    optional: int = 0
    variadic: bool = False
    nulls: Literal["propagate", "never", "always", "rule"] = "propagate"
    deterministic: bool = True
    local_only: bool = False
    group: str = field(default="", compare=False)

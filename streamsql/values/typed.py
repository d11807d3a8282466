"""Function: one row of the function table; an argument and a result is a Typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from streamsql.core.typed import Typed
from streamsql.core.types import DataType

__all__ = ["Function", "Typed"]

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

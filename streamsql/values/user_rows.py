"""What the calls of user functions of every form share: rows that are read, results that are written, and what
their code raises as DataError.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from streamsql.state.database import refusal
from streamsql.values.annotations import REFUSED, Kind, arrow_of
from streamsql.values.user import Parameter, UserFunction

Columns = Sequence[pa.ChunkedArray]
Over = Callable[[Columns], pa.Array]
"""What DuckDB calls: Arrow columns to one."""

_OURS = str(Path(__file__).parent)


def arguments_of(columns: Columns, parameters: Sequence[Parameter]) -> Sequence[tuple[Any, ...]]:
    """The arguments of each row; without parameters the dummy column tells how many rows there are."""
    if not parameters:
        return [()] * len(columns[0])
    read = [p.kind.reading(c.to_pylist()) for c, p in zip(columns, parameters, strict=True)]
    return list(zip(*read, strict=True))


def skipped_by(parameters: Sequence[Parameter]) -> Callable[[tuple[Any, ...]], bool]:
    """Whether a row has NULL for a parameter that takes none."""
    strict = [i for i, p in enumerate(parameters) if p.strict]
    return lambda row: any(row[i] is None for i in strict)


def combined(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


# ------------------------------------------------------------------------------------------------ what fails


def attempted(f: UserFunction, call: Callable[..., Any], *, whole: bool = False) -> Callable[..., Any]:
    """`call`, whose errors DuckDB is given in words that keep the traceback; `whole` as in DataError."""
    def attempt(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises is an error of its record
            what = traceback.format_exception_only(error)[-1].strip()
            raise refusal(f'function "{f.name}" failed: {what}', _traceback(error), whole=whole) from None

    return attempt


def _traceback(error: Exception) -> str:
    """As Python prints it, without our own frames and without the marks below the lines."""
    frames = [s for s in traceback.extract_tb(error.__traceback__) if not s.filename.startswith(_OURS)]
    plain = traceback.StackSummary.from_list([(s.filename, s.lineno or 0, s.name, s.line) for s in frames])
    return "".join(["Traceback (most recent call last):\n", *plain.format(),
                    *traceback.format_exception_only(error)]).strip()


def written(f: UserFunction, values: list[Any], *, whole: bool = False) -> pa.Array:
    kind = f.result
    try:
        return arrow_of(kind, values)
    except REFUSED:
        raise refused(f, kind, values, whole=whole) from None


def refused(f: UserFunction, kind: Kind, values: list[Any], *, whole: bool = False) -> Exception:
    """The error of the first value that is not of the declared type."""
    for value in values:
        try:
            arrow_of(kind, [value])
        except REFUSED as error:
            return refusal(f'function "{f.name}" gave {value!r}, its result is {kind.type}', str(error), whole=whole)
    return refusal(f'function "{f.name}" gave values that are not {kind.type}', None, whole=whole)


def no_value(f: UserFunction, what: str = "its result", *, whole: bool = False) -> Exception:
    return refusal(f'function "{f.name}" gave None, {what} is NOT NULL',
                   "annotate it with `| None` if there may be none", whole=whole)

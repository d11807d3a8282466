"""Rows: the lines of a case as Arrow tables and as changes, and what a run gives as lines.

A line that cannot be read is a BadLine, which knows its place in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from streamsql.core.batch import DIFF
from streamsql.core.types import STRING, DataType
from streamsql.session import Result
from streamsql.testing import cells
from streamsql.testing.case import Block, Input

Shape = Sequence[tuple[str, DataType]]
"""Names and types of a relation's columns."""


class BadLine(Exception):
    """`line` (from 0) of the case cannot be what it stands for."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a relation; cells are those of its columns, in order."""

    diff: int
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return f"{'+' if self.diff > 0 else '-'} {' | '.join(self.cells)}"


def changes(rows: pa.Table, shape: Shape) -> list[Change]:
    """The rows of a batch as changes; without `$diff` all of them come."""
    diffs = rows[DIFF].to_pylist() if DIFF in rows.column_names else [1] * rows.num_rows
    columns = [cells.shown_column(rows[name], type_) for name, type_ in shape]
    found = zip(*columns, strict=True) if columns else iter([()] * rows.num_rows)
    return [Change(diff, row) for diff, row in zip(diffs, found, strict=True)]


def expected(block: Block, relation: str, shape: Shape) -> list[Change]:
    """The changes that a `<` names. Raises BadLine."""
    found = []
    for line, text in enumerate(block.lines, block.start):
        if text[:2] not in ("+ ", "- "):
            raise BadLine(line, "a change begins with `+ ` or `- `")
        row = _cells(line, text[2:], relation, shape)
        shown = tuple(cells.show(_value(line, cell, type_), type_) for cell, (_, type_) in zip(row, shape, strict=True))
        found.append(Change(1 if text[0] == "+" else -1, shown))
    return found


def given(step: Input, shape: Shape) -> tuple[pa.Table, list[int]]:
    """The rows of a `>` and +1 or -1 for each. Raises BadLine."""
    diffs, rows = [], []
    for line, text in step.rows:
        signed = text[:2] in ("+ ", "- ")
        row = _cells(line, text[2:] if signed else text, step.source, shape)
        rows.append([_value(line, cell, type_) for cell, (_, type_) in zip(row, shape, strict=True)])
        diffs.append(-1 if text.startswith("- ") else 1)
    columns = {name: pa.array([row[i] for row in rows], type_.arrow_type()) for i, (name, type_) in enumerate(shape)}
    return pa.table(columns), diffs


def _cells(line: int, text: str, relation: str, shape: Shape) -> list[str]:
    row = cells.split(text)
    if len(row) != len(shape):
        names = ", ".join(name for name, _ in shape)
        raise BadLine(line, f'a row of {len(row)} cells, "{relation}" has {len(shape)} columns: {names}')
    return row


def _value(line: int, cell: str, type_: DataType) -> object:
    try:
        return cells.parse(cell, type_)
    except ValueError as error:
        raise BadLine(line, str(error)) from error


def canonical(line: str) -> str:
    """A row with its blanks and comment taken off."""
    return " | ".join(cells.split(line))


def lines(result: Result) -> list[str]:
    """A result as lines: one column as it is, several as cells, a message as text."""
    if not result.columns:
        return result.message.split("\n") if result.message else []
    if len(result.columns) == 1:
        texts = [line.rstrip() for (value,) in result.rows for line in str(value).split("\n")]
        return [text for text in texts if text]
    return [" | ".join("NULL" if v is None else cells.show(str(v), STRING) for v in row) for row in result.rows]

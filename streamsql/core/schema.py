"""Schema: the names, types and time attributes of a stream's columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from streamsql.core.types import DataType

TimeAttribute = Literal["", "rowtime", "proctime"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `time` is its time attribute: '' for none, `rowtime` (watermarked), `proctime`."""

    name: str
    type: DataType
    time: TimeAttribute = ""


@dataclass(frozen=True, slots=True)
class Schema:
    """An ordered list of columns with distinct names, and the primary key if there is one."""

    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __contains__(self, name: object) -> bool:
        return any(c.name == name for c in self.columns)

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    def only(self, needed: Collection[str]) -> Schema:
        """The columns in `needed`, in the order of the schema; the key where it is whole."""
        key = self.primary_key if all(k in needed for k in self.primary_key) else ()
        return Schema(tuple(c for c in self.columns if c.name in needed), key)

    def arrow(self) -> pa.Schema:
        return pa.schema([pa.field(c.name, c.type.arrow_type()) for c in self.columns])


def quote(name: str) -> str:
    """`name` as a quoted identifier of DuckDB. Every name in generated SQL goes through here."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(value: str) -> str:
    """`value` as a string literal of DuckDB. Only for constants of the plan, never for data."""
    return "'" + value.replace("'", "''") + "'"

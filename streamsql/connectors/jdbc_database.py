"""The databases of `'connector'='jdbc'`: how their URLs are read, and how values come and go."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from streamsql.core import database_file
from streamsql.core.database_file import Connection
from streamsql.core.options import OptionError
from streamsql.core.schema import Schema, quote
from streamsql.core.types import DataType
from streamsql.errors import ConnectorError

WHERE = 'connector "jdbc"'


class SQLiteFile:
    """A SQLite database: `core.database_file.Connection`."""

    def __init__(self, path: str) -> None:
        self._path = path
        with self._errors():
            self._connection = sqlite3.connect(path, check_same_thread=False)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ConnectorError(f'SQLite file "{self._path}": {error}') from error

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._errors():
            rows = self._connection.execute(sql, parameters).fetchall()
            self._connection.commit()
            return rows

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        with self._errors(), self._connection:
            self._connection.executemany(sql, parameters)

    def close(self) -> None:
        self._connection.close()


_KINDS: dict[str, Callable[[str], Connection]] = {"sqlite": SQLiteFile, "duckdb": database_file.opened}


def located(url: str) -> tuple[str, str]:
    """Kind and path of `jdbc:sqlite:…` or `jdbc:duckdb:…`. Raises OptionError."""
    kind, _, path = url.removeprefix("jdbc:").partition(":")
    if not url.startswith("jdbc:") or kind not in _KINDS or not path:
        raise OptionError(f'option "url" of {WHERE} is "{url}"', "url",
                          "Write jdbc:sqlite:PATH or jdbc:duckdb:PATH of a database file.")
    return kind, path


def connected(url: str) -> Connection:
    kind, path = located(url)
    return _KINDS[kind](path)


def require_plain(schema: Schema) -> None:
    """Raises OptionError for a column of a type that no column of these databases has."""
    for column in schema:
        if column.type.root in ("ARRAY", "MAP", "MULTISET", "ROW") or column.type.is_interval:
            raise OptionError(f'column "{column.name}" is {column.type}, which {WHERE} cannot hold', None,
                              "It has BOOLEAN, numbers, texts, BYTES, DATE, TIME and TIMESTAMP.")


def select(table: str, schema: Schema, more: str = "") -> str:
    columns = ", ".join(quote(c.name) for c in schema) or "1"
    return f"SELECT {columns} FROM {quote(table)}{more}"


def table_of(rows: Sequence[Sequence[Any]], schema: Schema) -> pa.Table:
    """Rows of a database as the columns of `schema`. Raises ConnectorError for a value that does not fit."""
    columns = []
    for index, column in enumerate(schema):
        read, kind = _reader(column.type), column.type.arrow_type()
        try:
            columns.append(pa.array([None if r[index] is None else read(r[index]) for r in rows], kind))
        except (ValueError, TypeError, ArithmeticError, pa.ArrowInvalid) as error:
            raise ConnectorError(f'column "{column.name}" has a value that is no {column.type}: {error}') from error
    return pa.Table.from_arrays(columns, schema=schema.arrow())


def _reader(kind: DataType) -> Callable[[Any], Any]:
    match kind.root:
        case "BOOLEAN":
            return bool
        case "TINYINT" | "SMALLINT" | "INT" | "BIGINT":
            return int
        case "FLOAT" | "DOUBLE":
            return float
        case "DECIMAL":
            unit = Decimal(1).scaleb(-(kind.scale or 0))
            return lambda v: Decimal(str(v)).quantize(unit)
        case "DATE":
            return lambda v: dt.date.fromisoformat(v) if isinstance(v, str) else v
        case "TIME":
            return lambda v: dt.time.fromisoformat(v) if isinstance(v, str) else v
        case "TIMESTAMP":
            return lambda v: dt.datetime.fromisoformat(v) if isinstance(v, str) else v
        case "TIMESTAMP_LTZ":
            return _instant
        case "BINARY" | "VARBINARY":
            return bytes
    return str


def _instant(value: Any) -> dt.datetime:
    found: dt.datetime = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found


def parameters(table: pa.Table, kind: str) -> list[tuple[Any, ...]]:
    """The rows of an Arrow table as the database takes them; SQLite has texts for times and decimals."""
    columns = [c.to_pylist() for c in table.columns]
    if kind == "sqlite":
        columns = [[_text(v) for v in values] for values in columns]
    return list(zip(*columns, strict=True))


def _text(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value

"""The door to DuckDB: one connection that holds the state of a job, and runs its SQL.

Nothing else imports duckdb. Its errors leave as StateError, DataError (a value that a cast or an
overflow refuses) or InternalError (SQL that we generated wrongly).
"""

from __future__ import annotations

import contextlib
import json
import warnings
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType

from streamsql.core import database_file
from streamsql.core.schema import quote
from streamsql.errors import ConnectorError, DataError, InternalError, StateError, StreamSQLError
from streamsql.state.slots import SlotTable
from streamsql.state.table import StateTable

_OF_A_VALUE = (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException)
"""What DuckDB raises when a value, and not the statement, is at fault."""

_REFUSED_BY_PYTHON = "Python exception occurred while executing the UDF: ValueError: "
"""What comes before the words of a function of `values.udfs` that refuses a value."""

_DETAIL = "\x1e"
"""Separates in one line the words of a refusal from its detail, which is JSON."""

_ROWS_A_BATCH = 1 << 20

# DuckDB advises `con.sql(…)` instead, which cannot bind parameters to EXECUTE, costs 0.3 ms more a
# call, and was measured no faster at 50 k rows.
warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")


def translated(error: duckdb.Error, sql: str) -> StreamSQLError:
    """DuckDB's error as one of ours."""
    text = str(error)
    if isinstance(error, _OF_A_VALUE):
        words, _, detail = text.split("\n")[0].split(": ", 1)[-1].removeprefix(_REFUSED_BY_PYTHON).partition(_DETAIL)
        more, whole = json.loads(detail) if detail else (None, False)
        return DataError(words, detail=more, whole=whole)
    if isinstance(error, duckdb.IOException):
        return StateError(f"the state database cannot be used: {text}")
    return InternalError(f"DuckDB refused generated SQL: {text}", detail=sql)


def refusal(message: str, detail: str | None, *, whole: bool = False) -> ValueError:
    """What a Python function that DuckDB calls raises to be a DataError: DuckDB carries its words alone."""
    return ValueError(" ".join(message.split()) + _DETAIL + json.dumps([detail, whole]))


@contextlib.contextmanager
def errors_of(sql: str) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise translated(error, sql) from error
    except UnicodeDecodeError as error:  # the client fails on an error text that quotes such a value
        raise DataError("a text is not valid UTF-8") from error


def table_of(result: duckdb.DuckDBPyConnection) -> pa.Table:
    """All rows of a result, as one record batch where they fit."""
    return cast(pa.Table, result.to_arrow_table(_ROWS_A_BATCH))


_SETTINGS = (
    "SET TimeZone = 'UTC'",
    "SET error_on_division_by_zero = false",  # NULL; what Flink calls an error raises it by itself
    "SET checkpoint_threshold = '1GB'",  # commits must not checkpoint; we do it ourselves
    "SET asof_loop_join_threshold = 0",  # inputs have no cardinality: never loop
)


class Input:
    """An Arrow table that SQL sees under a fixed name and whose content is swapped.

    DuckDB asks a registered object with `__arrow_c_stream__` anew at every scan, inside prepared
    statements too; a re-registered table would leave those reading stale rows.
    """

    def __init__(self, name: str, schema: pa.Schema) -> None:
        self.name = name
        self.schema = schema
        self._table = schema.empty_table()

    def set(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_schema__(self) -> Any:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


class Statement:
    """A prepared statement; `run` gives its rows."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str, sql: str) -> None:
        self._connection = connection
        self._sql = sql
        self._name = name
        with errors_of(sql):
            connection.execute(f"PREPARE {name} AS {sql}")

    def run(self, *params: object) -> pa.Table:
        holes = f"({', '.join('?' for _ in params)})" if params else ""
        with errors_of(self._sql):
            return table_of(self._connection.execute(f"EXECUTE {self._name}{holes}", list(params)))

    def release(self) -> None:
        """Let go of the connection, which is closed: one that is held when Python ends is reported as a leak."""
        self.__dict__.pop("_connection", None)


class Database:
    """The state of a job: one DuckDB database in memory or in a file, used by one thread at a time.

    Beside the state's connection there is a second one to the same database, for expressions over a
    batch: any error aborts the whole transaction of its connection, and a value that a CAST refuses
    must not cost the epoch. So an operator computes with `compute`, which does not see what the epoch
    has stored so far, and then stores what came out with `prepare`, which does. A second database
    instead would cost every job 20 ms.

    path         None for memory
    threads      DuckDB's threads for one statement
    setup        SQL run on opening, on both connections (the macros of `values`)
    """

    def __init__(self, path: Path | None = None, *, threads: int = 1, setup: tuple[str, ...] = ()) -> None:
        self._prepared = 0
        self.durable = path is not None
        self._tables: list[StateTable | SlotTable] = []
        self._statements: weakref.WeakSet[Statement] = weakref.WeakSet()
        try:
            self._connection = duckdb.connect(str(path) if path else ":memory:", config={"threads": threads})
        except duckdb.Error as error:
            raise StateError(f'cannot open the state database "{path}"', detail=str(error)) from error
        self._compute = self._connection.cursor()
        self._both: tuple[duckdb.DuckDBPyConnection, ...] = (self._connection, self._compute)
        for statement in (*_SETTINGS, *setup):
            with errors_of(statement):
                for connection in self._both:
                    connection.execute(statement)

    def execute(self, sql: str, *params: object) -> None:
        with errors_of(sql):
            self._connection.execute(sql, list(params) if params else None)

    def query(self, sql: str, *params: object) -> pa.Table:
        with errors_of(sql):
            return table_of(self._connection.execute(sql, list(params) if params else None))

    def over(self, name: str, schema: pa.Schema) -> Input:
        """An Arrow table that SQL sees as `name`; its content is swapped before each run."""
        taken = Input(name, schema)
        with errors_of(name):
            for connection in self._both:
                connection.register(name, taken)
        return taken

    def prepare(self, sql: str) -> Statement:
        """A statement over state and inputs; when it fails, the epoch fails."""
        return self._statement(self._connection, sql)

    def compute(self, sql: str) -> Statement:
        """A SELECT over inputs alone; when it fails, nothing else does."""
        return self._statement(self._compute, sql)

    def _statement(self, connection: duckdb.DuckDBPyConnection, sql: str) -> Statement:
        self._prepared += 1
        statement = Statement(connection, f"s{self._prepared}", sql)
        self._statements.add(statement)
        return statement

    def everywhere(self, sql: str, *params: object) -> None:
        """Execute on both connections: what expressions need to find wherever they run."""
        with errors_of(sql):
            for connection in self._both:
                connection.execute(sql, list(params) if params else None)

    def columns(self, sql: str) -> pa.Schema:
        """The Arrow schema that a SELECT would give, without its rows."""
        return self.query(f"SELECT * FROM ({sql}) LIMIT 0").schema

    def function(self, name: str, call: Callable[..., Any], arguments: list[str], result: str, *,
                 vectorised: bool = True, volatile: bool = False) -> None:
        """Register a Python function, NULLs passed to it; vectorised ones take and give Arrow arrays.

        A volatile one may give another value for the same arguments: it is called for every row.
        """
        with errors_of(name):
            self._connection.create_function(
                name, call, [duckdb.type(a) for a in arguments], duckdb.type(result),
                type=PythonUDFType.ARROW if vectorised else PythonUDFType.NATIVE,
                null_handling=FunctionNullHandling.SPECIAL, side_effects=volatile)

    def create_table(self, name: str, schema: pa.Schema) -> None:
        """Create `name` with the columns of an Arrow schema, unless it exists."""
        empty = self.over(f"{name}$schema", schema)
        self.execute(f"CREATE TABLE IF NOT EXISTS {quote(name)} AS SELECT * FROM {quote(empty.name)}")
        for connection in self._both:
            connection.unregister(empty.name)

    def state(self, name: str, schema: pa.Schema, *, time: str | None = None, other: str | None = None,
              ttl_ms: int = 0) -> StateTable:
        """The table of rows that an operator remembers under `name`; what a run before left is in it."""
        table = StateTable(self, name, schema, time=time, other=other, ttl_ms=ttl_ms)
        self._tables.append(table)
        return table

    def slots(self, name: str, schema: pa.Schema, *, constant: Collection[str] = (), other: str | None = None,
              ttl_ms: int = 0) -> SlotTable:
        """As `state`, where a key has one row, which changes in place."""
        table = SlotTable(self, name, schema, constant=constant, other=other, ttl_ms=ttl_ms)
        self._tables.append(table)
        return table

    @property
    def expired(self) -> int:
        """How many rows of state were dropped because their time to live had passed."""
        return sum(table.expired for table in self._tables)

    def begin(self) -> None:
        self.execute("BEGIN")

    def commit(self) -> None:
        for table in self._tables:
            table.flush()
        self.execute("COMMIT")

    def rollback(self) -> None:
        self.execute("ROLLBACK")

    def checkpoint(self) -> None:
        """Free the space of deleted rows; DuckDB does it nowhere else, in memory neither."""
        self.execute("CHECKPOINT")

    def interrupt(self) -> None:
        """Stop the running statement, from another thread."""
        for connection in self._both:
            connection.interrupt()

    def close(self) -> None:
        """Free everything; may be called twice."""
        for statement in self._statements:
            statement.release()
        for connection in reversed(self._both):
            connection.close()
        self._both = ()
        for name in ("_connection", "_compute"):
            self.__dict__.pop(name, None)


class DatabaseFile:
    """A DuckDB file that is not ours: `core.database_file.Connection`."""

    def __init__(self, path: str) -> None:
        self._path = path
        with self._errors():
            self._connection: duckdb.DuckDBPyConnection | None = duckdb.connect(path)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise ConnectorError(f'DuckDB file "{self._path}": {str(error).splitlines()[0]}') from error

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        assert self._connection is not None
        with self._errors():
            return list(self._connection.execute(sql, list(parameters)).fetchall())

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        assert self._connection is not None
        with self._errors():
            self._connection.executemany(sql, [list(p) for p in parameters])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


database_file.offer(DatabaseFile)

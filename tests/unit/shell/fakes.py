"""A session that answers from a script: the shell and the command line are tested without an engine.

What it does is decided by the first word of a statement:

    ROWS n        a bounded query of n rows                 JOB            an INSERT job that ends
    FOREVER       a query that gives rows until stopped     WORK           a job that runs until stopped
    CHANGES       a changelog                               SHOW           a table
    WRONG         a BindError at its second word            BROKER         a ConnectorError
    DEFECT        an exception that nobody expected         anything else  a message
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from streamsql.core.batch import DIFF
from streamsql.core.schema import Column, Schema
from streamsql.core.types import BIGINT, STRING
from streamsql.errors import BindError, ConnectorError, Source, Span, SQLError
from streamsql.sql.lexer import split

SCHEMA = Schema((Column("name", STRING), Column("n", BIGINT)))


@dataclass(frozen=True)
class FakeStatistics:
    rows_in: int = 10
    rows_out: int = 3
    lag_rows: int | None = 0
    watermark_us: int | None = 0
    late: int = 0
    errors: int = 0
    errors_by_reason: Mapping[str, int] = field(default_factory=dict)
    epoch: int = 1
    elapsed_s: float = 2.0
    running: bool = False
    skipped: int = 0
    state_rows: int = 0
    expired: int = 0


class FakeQuery:
    """Gives `rows`, with `diffs` if it is a changelog; then blocks until stopped if `endless`."""

    schema = SCHEMA
    warning = ""

    def __init__(
        self, rows: list[tuple[str, int]], diffs: list[int] | None = None, *, endless: bool = False
    ) -> None:
        self.append_only = diffs is None
        self.update_key: tuple[str, ...] | None = None
        self._rows, self._diffs, self._endless = rows, diffs, endless
        self._stopped = threading.Event()
        self.bounded = not endless
        self.started = False

    def batches(self) -> Iterator[pa.Table]:
        names, numbers = [name for name, _ in self._rows], [n for _, n in self._rows]
        batch = pa.table({"name": pa.array(names, pa.string()), "n": pa.array(numbers, pa.int64())})
        yield batch if self._diffs is None else batch.append_column(DIFF, pa.array(self._diffs, pa.int32()))
        if self._endless:
            self._stopped.wait()

    def start(self) -> FakeQuery:
        self.started = True
        return self

    def on_end(self, call: Callable[[bool], None]) -> None:
        pass

    def stop(self) -> None:
        self._stopped.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        return not self._endless or self._stopped.wait(timeout_s)

    def statistics(self) -> FakeStatistics:
        return FakeStatistics(running=self._endless and not self._stopped.is_set())


@dataclass
class FakeResult:
    kind: str = "message"
    message: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    query: FakeQuery | None = None
    statements: int = 1


class FakeCatalog:
    def tables(self) -> dict[str, list[str]]:
        return {"clicks": ["user_id", "url"]}

    def functions(self) -> list[str]:
        return ["UPPER"]

    def settings(self) -> list[str]:
        return ["table.local-time-zone"]


class FakeSession:
    """Answers as the module says; remembers what it was asked in `ran`."""

    def __init__(self, settings: Mapping[str, str] | None = None, *, state: str | Path | None = None) -> None:
        self.settings = dict(settings or {})
        self.state = state
        self.ran: list[str] = []
        self.closed = False

    def __enter__(self) -> FakeSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True

    def catalog(self) -> FakeCatalog:
        return FakeCatalog()

    def execute(
        self, text: str, *, origin: str = "<sql>", variables: Mapping[str, str] | None = None
    ) -> Iterator[FakeResult]:
        position = 0
        for statement in split(text):
            position = text.index(statement, position)
            self.ran.append(statement)
            yield self._answer(statement, position, Source(text, origin), variables or {})
            position += len(statement)

    def check(self, text: str, *, origin: str, variables: Mapping[str, str] | None = None) -> list[SQLError]:
        found = re.finditer(r"WRONG (\w+)", text)
        return [_bind_error(Source(text, origin), match.span(1)) for match in found]

    def explain(
        self, text: str, *, origin: str, variables: Mapping[str, str] | None = None, sql: bool = False
    ) -> str:
        return f"plan of {text.strip()}"

    def _answer(
        self, statement: str, position: int, source: Source, variables: Mapping[str, str]
    ) -> FakeResult:
        first, *rest = statement.rstrip(";").split()
        match first:
            case "ROWS":
                return FakeResult("query", query=FakeQuery([(f"row{i}", i) for i in range(int(rest[0]))]))
            case "FOREVER":
                return FakeResult("query", query=FakeQuery([("first", 1)], endless=True))
            case "CHANGES":
                return FakeResult("query", query=FakeQuery([("a", 1), ("a", 1), ("a", 2)], [1, -1, 1]))
            case "JOB" | "WORK":
                return FakeResult("job", "job 1 runs", query=FakeQuery([], endless=first == "WORK"))
            case "SHOW":
                return FakeResult("table", columns=(("name", "STRING"),), rows=[("clicks",), (None,)])
            case "WRONG":
                start = position + len("WRONG ")
                raise _bind_error(source, (start, start + len(rest[0])))
            case "BROKER":
                raise ConnectorError("no broker answers", hint="Start one.")
            case "DEFECT":
                raise ZeroDivisionError("division by zero")
            case "VARIABLE":
                return FakeResult("table", columns=(("value", "STRING"),), rows=[(variables.get("x"),)])
            case _:
                return FakeResult("message", f"done: {statement}")


def _bind_error(source: Source, place: tuple[int, int]) -> SQLError:
    name = source.text[place[0]:place[1]]
    return BindError(f'table "{name}" does not exist', Span(*place), source=source, hint="Did you mean it?")

"""Feed: how the rows of a case reach the tables of a session; in memory here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import pyarrow as pa

from streamsql.session import Session
from streamsql.sql.statements import CreateTable
from streamsql.testing.case import Case


class Feed(Protocol):
    """One a run. `options` is asked for every CREATE TABLE without a connector."""

    def options(self, statement: CreateTable) -> Mapping[str, str]:
        """The options that such a table gets."""
        ...

    def append(self, name: str, rows: pa.Table, partition: int, diff: Sequence[int] | None) -> None: ...

    def append_raw(self, name: str, values: Sequence[bytes], partition: int) -> None: ...

    def end(self, name: str) -> None: ...

    def awaited(self, name: str) -> int | None:
        """How many rows a reader of the table must have seen by now; None where it sees them at once."""
        ...

    def close(self) -> None: ...


class MemoryFeed:
    """Tables of connector `memory`, with the partitions that the case speaks of."""

    def __init__(self, case: Case, session: Session) -> None:
        self._case = case
        self._session = session

    def options(self, statement: CreateTable) -> Mapping[str, str]:
        name = statement.name.last
        given = {o.key for o in statement.options}
        options = {"connector": "memory"}
        if self._case.partitions(name) > 1:
            options["partitions"] = str(self._case.partitions(name))
            self._session.namespace.table(name).declare(self._case.partitions(name))
        if self._case.signed(name):
            options["changelog-mode"] = "all"
        return {key: value for key, value in options.items() if key not in given}

    def append(self, name: str, rows: pa.Table, partition: int, diff: Sequence[int] | None) -> None:
        self._session.memory(name).append(rows, partition=partition, diff=diff)

    def append_raw(self, name: str, values: Sequence[bytes], partition: int) -> None:
        self._session.memory(name).append_raw(values, partition=partition)

    def end(self, name: str) -> None:
        self._session.memory(name).end()

    def awaited(self, name: str) -> int | None:
        return None

    def close(self) -> None:
        """Nothing is open."""

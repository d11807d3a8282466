"""Files of DuckDB as connectors see them: the one door to DuckDB, which they may not know, opens them.

`state.database` offers how; whatever runs a job has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from streamsql.errors import ConnectorError


class Connection(Protocol):
    """A database of its own, as Python's DB-API has it; errors are ConnectorErrors."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, [] of any other statement."""
        ...

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None: ...

    def close(self) -> None: ...


_openers: list[Callable[[str], Connection]] = []


def offer(opener: Callable[[str], Connection]) -> None:
    """How a file is opened from now on."""
    _openers[:] = [opener]


def opened(path: str) -> Connection:
    """The DuckDB database at `path`. Raises ConnectorError."""
    if not _openers:
        raise ConnectorError("DuckDB is not loaded", hint="import streamsql.")
    return _openers[0](path)

"""streamsql: streaming SQL over Kafka in one Python process.

with streamsql.connect() as session:
    for change in session.sql("SELECT 1 AS n"):
        print(change.kind, change.row)
"""

from typing import TYPE_CHECKING, Any

from streamsql.errors import (
    BindError,
    ConnectorError,
    DataError,
    InternalError,
    ParseError,
    PlanError,
    SQLError,
    SQLTypeError,
    StateError,
    StreamSQLError,
    UsageError,
)

if TYPE_CHECKING:
    from streamsql.session import Change, Query, QueryStatistics, Result, Session, connect, function

__all__ = [
    "BindError",
    "Change",
    "ConnectorError",
    "DataError",
    "InternalError",
    "ParseError",
    "PlanError",
    "Query",
    "QueryStatistics",
    "Result",
    "SQLError",
    "SQLTypeError",
    "Session",
    "StateError",
    "StreamSQLError",
    "UsageError",
    "connect",
    "function",
]


def __getattr__(name: str) -> Any:
    """The session and all below it are imported when they are first asked for: a connector's module
    or `--version` need neither DuckDB nor sqlglot."""
    if name in __all__:
        from streamsql import session

        return getattr(session, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

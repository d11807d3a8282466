"""streamsql: streaming SQL over Kafka in one Python process.

    with streamsql.connect() as session:
        for change in session.sql("SELECT 1 AS one"):
            print(change.kind, change.row)
"""

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
from streamsql.session import Change, Query, QueryStatistics, Result, Session, connect

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
]

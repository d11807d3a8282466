"""The shape of the system tables `t$late` and `t$errors`: the records that are not in the result."""

from __future__ import annotations

from streamsql.core.schema import Column, Schema
from streamsql.core.types import BIGINT, BYTES, INT, STRING, timestamp_ltz

SIDE_SCHEMA = Schema((
    Column("topic", STRING),
    Column("partition", INT),
    Column("offset", BIGINT),
    Column("timestamp", timestamp_ltz(3)),
    Column("key", BYTES),
    Column("value", BYTES),
    Column("reason", STRING),
    Column("detail", STRING),
))
"""Columns of `t$late` and `t$errors`.

topic, partition, offset  name the record; of a file its path, 0 and the number of the record
timestamp                 the connector's metadata `timestamp` where it was read, else NULL
key, value                the record's bytes; of a typed source the row as JSON text, key NULL
reason                    why it is here, in one line
detail                    more of it where there is more (a traceback, a way out), else NULL
"""

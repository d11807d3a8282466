"""Zones: between an instant and the local time of the session."""

from __future__ import annotations

from streamsql.values import macros


def local(sql: str, zone: str) -> str:
    """An instant as the local TIMESTAMP of the session."""
    return f"CAST({sql} AS TIMESTAMP)" if zone == "'UTC'" else f"timezone({zone}, {sql})"


def instant(sql: str, zone: str) -> str:
    """A local TIMESTAMP as an instant: the earlier of two, as Java has it."""
    return f"CAST({sql} AS TIMESTAMPTZ)" if zone == "'UTC'" else macros.call("f_instant", sql, zone)

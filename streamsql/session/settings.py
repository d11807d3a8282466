"""The settings of a session: which SET takes, what each may be, and its default."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streamsql.core.options import Option, OptionError, validate
from streamsql.errors import UsageError, did_you_mean

OPTIONS = (
    Option("execution.checkpointing.interval", "duration", doc="how often an epoch is committed"),
    Option(
        "table.exec.sink.not-null-enforcer", choices=("error", "drop"), doc="a NULL for a NOT NULL column of a sink"
    ),
    Option("table.exec.state.ttl", "duration", doc="how long state is kept that was not used; 0 for ever"),
    Option(
        "table.exec.sink.upsert-materialize",
        choices=("none", "auto", "force"),
        doc="keep all rows of a sink's key and show the last: never; where the key of the query is another; always",
    ),
    Option(
        "table.exec.sink.require-on-conflict",
        "bool",
        doc="in strict mode, refuse an INSERT whose key differs from the table's and that has no ON CONFLICT",
    ),
    Option("table.local-time-zone", doc="the zone in which TIMESTAMP_LTZ is seen"),
    Option("streamsql.state.dir", doc="where jobs keep their state; memory if empty"),
    Option("streamsql.threads", "int", doc="threads of DuckDB for one statement"),
    Option("streamsql.strict", "bool", doc="refuse functions that Flink lacks"),
)
SETTINGS: Mapping[str, str] = {
    "execution.checkpointing.interval": "1 s",
    "table.exec.sink.not-null-enforcer": "ERROR",
    "table.exec.state.ttl": "0 ms",
    "table.exec.sink.upsert-materialize": "AUTO",
    "table.exec.sink.require-on-conflict": "true",
    "table.local-time-zone": "UTC",
    "streamsql.state.dir": "",
    "streamsql.threads": "1",
    "streamsql.strict": "false",
}
"""Every setting that does something, and its default."""

FOREIGN = (
    "table.",
    "execution.",
    "pipeline.",
    "parallelism.",
    "state.",
    "sql-client.",
    "restart-strategy",
    "python.",
    "jobmanager.",
    "taskmanager.",
    "rest.",
    "cluster.",
)
"""Flink's settings: kept for the cluster that a file may run on; those not in SETTINGS do nothing here."""

_OFFSET = re.compile(r"GMT[+-](0\d|1[0-8]):[0-5]\d")
"""A fixed offset, as Flink writes it."""


def checked(key: str, value: str) -> str:
    """`value` if the setting `key` may have it. Raises UsageError naming what it may be."""
    if key not in SETTINGS:
        slip = difflib.get_close_matches(key.lower(), SETTINGS, n=1, cutoff=0.9)
        if key.startswith(FOREIGN) and not slip:
            return value
        raise UsageError(f'setting "{key}" does not exist', hint=did_you_mean(key, SETTINGS, "Settings"))
    try:
        validate({key: value}, OPTIONS, "the session")
    except OptionError as error:
        raise UsageError(error.message.replace("option", "setting", 1), hint=error.hint) from None
    if key == "table.local-time-zone" and value != "default" and not _OFFSET.fullmatch(value):
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise UsageError(
                f'time zone "{value}" does not exist', hint="Write a name such as 'Europe/Berlin', or 'GMT+08:00'."
            ) from None
    if key == "streamsql.threads" and int(value) < 1:
        raise UsageError(f'setting "{key}" is "{value}"', hint="Write 1 or more.")
    return value

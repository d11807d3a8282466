"""What the rows of a table are: rows that come, changes, or upserts by its primary key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from streamsql.core.connector import Changes, Metadata
from streamsql.core.options import OptionError
from streamsql.planner import modules
from streamsql.planner.catalog import Table

VALUE_PREFIX = "value."
"""What a table's metadata keys begin with that are its format's, as in Flink."""


def changes_of(table: Table, *, write: bool) -> Changes:
    """What a read of the table gives, or what a write to it takes."""
    form = _format(table.options)
    if form is not None and getattr(form, "CHANGES", False):
        return "all"
    return _own(table, write=write)


def _own(table: Table, *, write: bool) -> Changes:
    """As the connector says."""
    module = modules.connector(table.options["connector"])
    if not hasattr(module, "changes"):
        return "append"
    return cast(Changes, cast(Any, module).changes(table.options, table.primary_key, write=write))


def _format(options: Mapping[str, str]) -> object | None:
    key = "format" if "format" in options else "value.format"
    if key not in options:
        return None
    module = modules.connector(options["connector"])
    if options[key] in getattr(module, "TYPED_FORMATS", ()):
        return None
    return modules.format_module(options[key], key)


def metadata_of(options: Mapping[str, str]) -> dict[str, Metadata]:
    """The metadata keys of a table: those of its connector, then those of its format with their prefix."""
    found = dict(modules.connector(options["connector"]).METADATA)
    given = cast(Mapping[str, Metadata], getattr(_format(options), "METADATA", {}))
    return {**found, **{VALUE_PREFIX + key: one for key, one in given.items() if key not in found}}


def is_formats(options: Mapping[str, str], key: str) -> bool:
    """Whether a metadata key is the format's, not the connector's."""
    return key not in modules.connector(options["connector"]).METADATA


def key_columns(table: Table, declared: tuple[str, ...]) -> tuple[str, ...]:
    """The columns in a record's key: those of 'key.fields', or of the primary key of a table of upserts."""
    return table.primary_key if changes_of(table, write=False) == "upsert" else declared


def check_changes(table: Table) -> None:
    """What kind of changes a table has goes together with its key and formats. Raises OptionError."""
    connector = table.options["connector"]
    upsert = "upsert" in (_own(table, write=False), _own(table, write=True))
    if upsert and not table.primary_key:
        at = "changelog-mode" if "changelog-mode" in table.options else "connector"
        raise OptionError(f'table "{table.name}" of connector "{connector}" needs a PRIMARY KEY: its rows replace '
                          "each other by it", at, "Add PRIMARY KEY (…) NOT ENFORCED.")
    for key in ("key.format", "value.format", "format"):
        name = table.options.get(key)
        if name and (upsert or key == "key.format") and getattr(modules.format_module(name, key), "CHANGES", False):
            where = "a record's key" if key == "key.format" else f'connector "{connector}"'
            raise OptionError(f'format "{name}" is of changes, which {where} does not hold', key,
                              "Use a format of rows, as json.")

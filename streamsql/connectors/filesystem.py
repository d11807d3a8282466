"""`'connector'='filesystem'`: local files as a source, a folder of part files as a sink.

Source: `path` is a file, a folder (read with all below it) or a pattern (`/logs/*.json`). Every
file is a split, every line a record (so a quoted CSV value must not hold a line break), and the
record's offset is its line, from 0. `.gz`, `.zst` and `.bz2` are decompressed. Files whose name
begins with `.` or `_` are left out. With `source.monitor-interval` it goes on for ever: files that
appear are read in the order of their (modification time, path), and have to appear whole: written
under a hidden name, then renamed.

Sink: parts appear whole when their epoch is committed, so that their number follows
`execution.checkpointing.interval`; `sink.rolling-policy.*` ends parts earlier. Rows are only added.

With `'format'='parquet'` the connector reads and writes the columns itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from streamsql.connectors import filesystem_paths as paths
from streamsql.connectors.filesystem_paths import WHERE, File, Listing
from streamsql.connectors.filesystem_read import LineReader, ParquetReader, Reader
from streamsql.connectors.filesystem_sink import FilesystemSink, LineWriter, ParquetPartWriter, Rolling
from streamsql.connectors.filesystem_source import FilesystemSource
from streamsql.core.connector import RELOAD_OPTIONS, Metadata, TableSpec
from streamsql.core.options import Option, OptionError
from streamsql.core.types import BIGINT, STRING, timestamp_ltz

OPTIONS = (
    Option("path", required=True, doc="a file, a folder or a pattern to read; a folder to write to"),
    Option("source.monitor-interval", "duration", doc="how often to look for new files; default: read "
           "what is there and end"),
    Option("source.path.regex-pattern", doc="read only files whose whole absolute path matches this regular "
           "expression"),
    Option("sink.rolling-policy.file-size", "memory", 128 << 20, "end a part when it has this size"),
    Option("sink.rolling-policy.rollover-interval", "duration", 1_800_000, "end a part when it is this old"),
    Option("sink.rolling-policy.check-interval", "duration", 60_000, "how often to look at a part's age"),
    Option("sink.compression", choices=("none", "gzip", "zstd"), doc="compress parts, whose names then end "
           "in .gz or .zst; default: none (of Parquet: snappy inside)"),
    *RELOAD_OPTIONS,
)

READ_WHOLE = True
"""A lookup join keeps the whole table."""

METADATA: Mapping[str, Metadata] = {
    "file.path": Metadata(STRING.not_null()),
    "file.name": Metadata(STRING.not_null()),
    "file.size": Metadata(BIGINT.not_null()),
    "file.modification-time": Metadata(timestamp_ltz(3).not_null()),
}

TYPED_FORMATS = ("parquet",)
"""Formats that this connector reads and writes itself: the table is typed, not encoded."""

_SUFFIXES = {"gzip": ".gz", "zstd": ".zst"}


def _parquet(table: TableSpec) -> bool:
    """Whether the table is of Parquet files. Raises OptionError when it has no format at all."""
    if table.encoded:
        return False
    if table.raw.get("format") not in TYPED_FORMATS:
        raise OptionError(f'{WHERE} needs the option "format"', None,
                          "format: how a line becomes columns, as 'format'='json'.")
    return True


def source(table: TableSpec) -> FilesystemSource:
    expression = table.options["source.path.regex-pattern"]
    listing = Listing(table.name, paths.local(table.options.text("path")),
                      paths.pattern(None if expression is None else str(expression)))
    interval_ms = table.options["source.monitor-interval"]
    if interval_ms == 0:
        raise OptionError(f'option "source.monitor-interval" of {WHERE} is "0"', "source.monitor-interval",
                          "Write a duration above 0, or leave it out to read what is there and end.")
    interval_s = None if interval_ms is None else table.options.integer("source.monitor-interval") / 1000
    if _parquet(table):
        def reader(file: File, skip: int) -> Reader:
            return ParquetReader(file, skip, table.schema)
        return FilesystemSource(listing, interval_s, reader)
    return FilesystemSource(listing, interval_s, LineReader)


def sink(table: TableSpec) -> FilesystemSink:
    if not table.append_only and table.changes == "append":
        raise OptionError(f'table "{table.name}" of {WHERE} takes only new rows, and the query changes rows '
                          "that it gave before", "connector", "Aggregate in windows, which emit once.")
    parquet = _parquet(table)
    options = table.options
    codec = None if options["sink.compression"] in (None, "none") else options.text("sink.compression")
    rolling = Rolling(options.integer("sink.rolling-policy.file-size"),
                      options.integer("sink.rolling-policy.rollover-interval") / 1000,
                      options.integer("sink.rolling-policy.check-interval") / 1000)
    named = table.raw.get("format") or table.raw.get("value.format") or ""
    suffix = (f".{named}" if named else "") + ("" if parquet or codec is None else _SUFFIXES[codec])
    writer = partial(ParquetPartWriter, codec="none" if options["sink.compression"] == "none" else codec,
                     schema=table.schema) if parquet else partial(LineWriter, codec=codec)
    return FilesystemSink(table.name, paths.local(options.text("path")), table.job, suffix, rolling, writer)

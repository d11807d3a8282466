"""`'connector'='upsert-kafka'`: topics whose records replace each other by key, with Flink's options.

The PRIMARY KEY is the record's key: a record replaces the row of its key, one without a value deletes
it. Reading begins with the first record, so that no row is missed, and a compacted topic is enough.
Writing puts the records of one key into one partition, in order; a delete is a record without a
value. Client, topics and positions are those of connector `kafka`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from streamsql.connectors import kafka_options
from streamsql.connectors.kafka_options import METADATA
from streamsql.connectors.kafka_reader import KafkaSource
from streamsql.connectors.kafka_writer import KafkaSink
from streamsql.core.connector import Changes, TableSpec
from streamsql.core.options import Option, OptionError, Options

__all__ = ["METADATA", "OPTIONS", "changes", "sink", "source"]

WHERE = 'connector "upsert-kafka"'

_NOT_HERE = ("scan.startup.mode", "scan.startup.specific-offsets", "scan.startup.timestamp-millis", "sink.partitioner",
             "sink.semantic")
"""Options of `kafka` alone: all records are read, and their key says the partition."""

OPTIONS: tuple[Option, ...] = (
    *(option for option in kafka_options.OPTIONS if option.key not in _NOT_HERE),
    Option("sink.buffer-flush.max-rows", "int", 0, "accepted for Flink's sake, 0 or with the interval: what a batch "
           "writes of a key is one record anyway"),
    Option("sink.buffer-flush.interval", "duration", 0, "accepted for Flink's sake, 0 or with the rows"),
)


def changes(options: Mapping[str, str], primary_key: tuple[str, ...], *, write: bool) -> Changes:
    return "upsert"


def source(table: TableSpec) -> KafkaSource:
    """A reader from the first record on. Raises OptionError at the option that is wrong; asks no broker."""
    return KafkaSource(kafka_options.read_settings(_checked(table)))


def sink(table: TableSpec) -> KafkaSink:
    """A writer by key. Raises OptionError at the option that is wrong; asks no broker."""
    rows, interval_ms = (table.options.integer(f"sink.buffer-flush.{key}") for key in ("max-rows", "interval"))
    if (rows > 0) != (interval_ms > 0):
        key = "sink.buffer-flush.max-rows" if rows > 0 else "sink.buffer-flush.interval"
        raise OptionError("'sink.buffer-flush.max-rows' and 'sink.buffer-flush.interval' go together", key,
                          "Set both above 0, or neither.")
    return KafkaSink(kafka_options.write_settings(_checked(table)))


def _checked(table: TableSpec) -> TableSpec:
    """The table as connector `kafka` knows it."""
    for key in ("key.format", "value.format"):
        if key not in table.raw:
            raise OptionError(f'{WHERE} needs the option "{key}"', "format" if "format" in table.raw else None,
                              f"{key}: the format of the record's {key.split('.')[0]}.")
    if "key.fields" in table.raw:
        raise OptionError(f'{WHERE} has no option "key.fields"', "key.fields",
                          "Remove it: the PRIMARY KEY is the record's key.")
    kept = {option.key: option.default for option in kafka_options.OPTIONS if option.key in _NOT_HERE}
    secrets = frozenset(o.key for o in OPTIONS if o.secret)
    options = Options({**table.options, **kept, "scan.startup.mode": "earliest-offset"}, secrets)
    return replace(table, primary_key=(), options=options)

"""`'connector'='kafka'`: topics of Apache Kafka as tables, with Flink's options.

This file is the face that `core.connector` asks for. `kafka_options` says what WITH means,
`kafka_reader` reads, `kafka_writer` writes, `kafka_topics` finds and creates topics, `kafka_mock`
is the embedded broker. Not here: formats, keys as columns, transactions.
"""

from __future__ import annotations

from streamsql.connectors.kafka_options import METADATA, OPTIONS, read_settings, write_settings
from streamsql.connectors.kafka_reader import KafkaSource
from streamsql.connectors.kafka_writer import KafkaSink
from streamsql.core.connector import TableSpec

__all__ = ["METADATA", "OPTIONS", "sink", "source"]


def source(table: TableSpec) -> KafkaSource:
    """A reader of the table's topics. Raises OptionError at the option that is wrong; asks no broker."""
    return KafkaSource(read_settings(table))


def sink(table: TableSpec) -> KafkaSink:
    """A writer to the table's topics. Raises OptionError at the option that is wrong; asks no broker."""
    return KafkaSink(write_settings(table))

"""What WITH says of a Kafka table: option keys as in Flink, parsed once into plain facts.

Nothing here talks to a broker. `read_settings` and `write_settings` refuse combinations that make
no sense, with the option at fault, so that the planner can point at it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from streamsql.connectors import kafka_mock, kafka_properties
from streamsql.connectors.kafka_properties import Properties
from streamsql.core.connector import Metadata, TableSpec
from streamsql.core.options import Option, OptionError
from streamsql.core.types import BIGINT, BYTES, INT, STRING, map_of, timestamp_ltz

WHERE = 'connector "kafka"'

StartMode = Literal["earliest-offset", "latest-offset", "group-offsets", "timestamp", "specific-offsets"]
STARTS = ("earliest-offset", "latest-offset", "group-offsets", "timestamp", "specific-offsets")
ENDS = ("unbounded", "latest-offset", "group-offsets", "timestamp", "specific-offsets")
GUARANTEES = ("at-least-once", "none", "exactly-once")

OPTIONS: tuple[Option, ...] = (
    Option("properties.bootstrap.servers", required=True,
           doc="host:port of one or more brokers, comma separated; mock:// for the embedded broker"),
    Option("topic", "list", (), "the topic, or several separated by ';'"),
    Option("topic-pattern", doc="regular expression that whole topic names match; instead of 'topic'"),
    Option("properties.group.id", doc="consumer group that 'group-offsets' reads and each epoch commits to"),
    Option("scan.startup.mode", default="group-offsets", choices=STARTS, doc="where reading begins"),
    Option("scan.startup.specific-offsets", doc="partition:0,offset:42;partition:1,offset:300"),
    Option("scan.startup.timestamp-millis", "int", doc="milliseconds since 1970-01-01 UTC"),
    Option("scan.bounded.mode", default="unbounded", choices=ENDS, doc="where reading ends"),
    Option("scan.bounded.specific-offsets", doc="partition:0,offset:42;…: the first offsets not read"),
    Option("scan.bounded.timestamp-millis", "int", doc="milliseconds since 1970-01-01 UTC"),
    Option("scan.topic-partition-discovery.interval", "duration", 300_000,
           "how often to look for new partitions and topics; 0: never"),
    Option("sink.partitioner", default="default", choices=("default", "fixed", "round-robin"),
           doc="default: by key as Java clients, without key at random; fixed: one partition; round-robin"),
    Option("sink.delivery-guarantee", default="at-least-once", choices=GUARANTEES,
           doc="at-least-once: an epoch waits until the broker has its rows; none: it does not wait"),
    Option("sink.semantic", choices=GUARANTEES, doc="older name of 'sink.delivery-guarantee'"),
    Option("sink.transactional-id-prefix", doc="for exactly-once"),
    Option("sink.topic.auto-create", "bool", True, "create a missing topic when the sink opens"),
    Option("sink.topic.partitions", "int",
           doc="partitions of a topic that is created; default: the broker's"),
    Option("sink.topic.replication-factor", "int",
           doc="replicas of a topic that is created; default: the broker's"),
    Option("sink.topic.config.*",
           doc="settings of a topic that is created, as sink.topic.config.cleanup.policy"),
    Option("properties.*", doc="any property of librdkafka, or of a Java client that has a counterpart"),
    *(Option(f"properties.{name}", secret=True, doc="as in librdkafka") for name in kafka_properties.SECRETS),
)

METADATA: Mapping[str, Metadata] = {
    "topic": Metadata(STRING.not_null(), writable=True),
    "partition": Metadata(INT.not_null()),
    "headers": Metadata(map_of(STRING.not_null(), BYTES).not_null(), writable=True),
    "leader-epoch": Metadata(INT),
    "offset": Metadata(BIGINT.not_null()),
    "timestamp": Metadata(timestamp_ltz(3).not_null(), writable=True),
    "timestamp-type": Metadata(STRING.not_null()),
}


@dataclass(frozen=True, slots=True)
class Position:
    """A place in each partition, as 'scan.startup.mode' and 'scan.bounded.mode' name it.

    timestamp_ms is of mode `timestamp`; offsets (partition → offset) of mode `specific-offsets`.
    """

    mode: str
    timestamp_ms: int = 0
    offsets: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Topics:
    """Which topics a table means: a list of names, or all names that a pattern matches as a whole."""

    names: tuple[str, ...] = ()
    pattern: str | None = None

    def matches(self, topic: str) -> bool:
        if self.pattern is not None:
            return re.fullmatch(self.pattern, topic) is not None
        return topic in self.names

    @property
    def one(self) -> str | None:
        """The only topic, when one is named and no other can be meant."""
        return self.names[0] if self.pattern is None and len(self.names) == 1 else None

    def __str__(self) -> str:
        if self.pattern is not None:
            return f'topics matching "{self.pattern}"'
        kind = "topic" if len(self.names) == 1 else "topics"
        return f"{kind} " + ", ".join(f'"{n}"' for n in self.names)


@dataclass(frozen=True, slots=True)
class NewTopic:
    """How a missing topic is created; None leaves it to the broker."""

    partitions: int | None
    replication: int | None
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Connection:
    """A cluster, by the name that errors call it, and how to talk to it."""

    servers: str
    properties: Properties

    @property
    def mock(self) -> bool:
        return kafka_mock.is_mock(self.servers)

    def __str__(self) -> str:
        return f'Kafka at "{self.servers}"'


@dataclass(frozen=True, slots=True)
class ReadSettings:
    table: str
    connection: Connection
    topics: Topics
    start: Position
    end: Position | None
    discovery_ms: int
    new_topic: NewTopic


@dataclass(frozen=True, slots=True)
class WriteSettings:
    table: str
    connection: Connection
    topics: Topics
    partitioner: str
    waits: bool
    auto_create: bool
    new_topic: NewTopic


def read_settings(table: TableSpec) -> ReadSettings:
    """Raises OptionError at the option that is wrong."""
    _check_table(table)
    connection, topics = _connection(table), _topics(table)
    start = _position(table, "startup", topics)
    stop = _position(table, "bounded", topics)
    end = None if stop.mode == "unbounded" else stop
    for scope, position in (("startup", start), ("bounded", end)):
        if position and position.mode == "timestamp" and connection.mock:
            raise OptionError("the embedded broker cannot look records up by timestamp", f"scan.{scope}.mode",
                              "Use a real broker, or another mode and a WHERE on the timestamp.")
    return ReadSettings(table.name, connection, topics, start, end,
                        table.options.integer("scan.topic-partition-discovery.interval"), _new_topic(table))


def write_settings(table: TableSpec) -> WriteSettings:
    """Raises OptionError at the option that is wrong."""
    _check_table(table)
    guarantee = _guarantee(table)
    partitioner = table.options.text("sink.partitioner")
    if partitioner == "round-robin" and "key.fields" in table.raw:
        raise OptionError("'sink.partitioner'='round-robin' and 'key.fields' exclude each other",
                          "sink.partitioner",
                          "Remove one of them: rows with a key go to the partition of their key.")
    if not table.append_only and table.changes == "append":
        raise OptionError(f'table "{table.name}" of {WHERE} takes only new rows, and the query changes rows '
                          "that it gave before", "connector", "Aggregate in windows, which emit once.")
    topics = _topics(table)
    if topics.one is None and "topic" not in {c.key for c in table.metadata if not c.virtual}:
        raise OptionError(f'a sink with more than one topic needs a column that says which, and table '
                          f'"{table.name}" has none', "topic" if topics.names else "topic-pattern",
                          "Add a column: topic STRING METADATA.")
    return WriteSettings(table.name, _connection(table), topics, partitioner, guarantee != "none",
                         table.options.flag("sink.topic.auto-create"), _new_topic(table))


def _check_table(table: TableSpec) -> None:
    if not table.encoded:
        raise OptionError(f'{WHERE} needs the option "format"', None,
                          "format: how bytes become columns, as 'format'='json'.")
    if table.primary_key and table.changes == "append":
        raise OptionError(f'table "{table.name}" of {WHERE} cannot have a PRIMARY KEY: a topic may hold a '
                          "key many times", "connector", "Remove the PRIMARY KEY clause.")


def _connection(table: TableSpec) -> Connection:
    servers = table.options.text("properties.bootstrap.servers").strip()
    if not servers:
        key = "properties.bootstrap.servers"
        raise OptionError(f'option "{key}" of {WHERE} is ""', key,
                          "Write host:port, or mock:// for the embedded broker.")
    return Connection(servers, kafka_properties.translate(table.options.prefixed(kafka_properties.PREFIX)))


def _topics(table: TableSpec) -> Topics:
    names, pattern = table.options["topic"], table.options["topic-pattern"]
    assert isinstance(names, tuple)
    if names and pattern is not None:
        raise OptionError("'topic' and 'topic-pattern' exclude each other", "topic-pattern",
                          "Keep one of them.")
    if pattern is None:
        if not names:
            raise OptionError(f'{WHERE} needs the option "topic"', None,
                              "topic: the topic, or several separated by ';'; or 'topic-pattern'.")
        return Topics(names=tuple(dict.fromkeys(names)))
    text = str(pattern)
    try:
        re.compile(text)
    except re.error as error:
        raise OptionError(f'option "topic-pattern" of {WHERE} is "{text}"', "topic-pattern",
                          f"Write a regular expression: {error}.") from None
    return Topics(pattern=text)


def _position(table: TableSpec, scope: str, topics: Topics) -> Position:
    """The place that the options `scan.SCOPE.*` name; each needs its own option, and no other's."""
    mode_key, offsets_key, time_key = (f"scan.{scope}.{name}"
                                       for name in ("mode", "specific-offsets", "timestamp-millis"))
    mode, offsets, time = (table.options[key] for key in (mode_key, offsets_key, time_key))
    for key, value, owner in ((offsets_key, offsets, "specific-offsets"), (time_key, time, "timestamp")):
        if mode == owner and value is None:
            raise OptionError(f"'{mode_key}'='{owner}' needs the option \"{key}\"", mode_key,
                              f"Add '{key}'='…'.")
        if mode != owner and value is not None:
            raise OptionError(f'option "{key}" has no meaning with \'{mode_key}\'=\'{mode}\'', key,
                              f"Write '{mode_key}'='{owner}', or remove it.")
    if mode != "specific-offsets":
        return Position(str(mode), time if isinstance(time, int) else 0)
    if topics.one is None:
        raise OptionError(f"'{mode_key}'='specific-offsets' is only for one topic", mode_key,
                          "Name one topic: offsets of several cannot be told apart.")
    return Position("specific-offsets", offsets=_offsets(offsets_key, str(offsets)))


_OFFSET = re.compile(r"\s*partition\s*:\s*(\d+)\s*,\s*offset\s*:\s*(\d+)\s*")


def _offsets(key: str, text: str) -> tuple[tuple[int, int], ...]:
    found: dict[int, int] = {}
    for part in text.rstrip(";").split(";"):
        match = _OFFSET.fullmatch(part)
        if not match or int(match[1]) in found:
            raise OptionError(f'option "{key}" of {WHERE} is "{text}"', key,
                              "Write 'partition:0,offset:42;partition:1,offset:300', each partition once.")
        found[int(match[1])] = int(match[2])
    return tuple(sorted(found.items()))


def _guarantee(table: TableSpec) -> str:
    key = "sink.semantic" if table.options["sink.semantic"] is not None else "sink.delivery-guarantee"
    guarantee = table.options.text(key)
    if guarantee == "exactly-once":
        raise OptionError(f"'{key}'='exactly-once' is not built", key,
                          "Write 'at-least-once' (the default: nothing is lost, a crash may repeat rows) "
                          "or 'none'.")
    if table.options["sink.transactional-id-prefix"] is not None:
        key = "sink.transactional-id-prefix"
        raise OptionError(f'option "{key}" is only for exactly-once, which is not built', key, "Remove it.")
    return guarantee


def _new_topic(table: TableSpec) -> NewTopic:
    numbers: list[int | None] = []
    for key in ("sink.topic.partitions", "sink.topic.replication-factor"):
        value = table.options[key]
        assert value is None or isinstance(value, int)
        if value is not None and value < 1:
            raise OptionError(f'option "{key}" of {WHERE} is "{value}"', key, "Write a number from 1 on.")
        numbers.append(value)
    return NewTopic(numbers[0], numbers[1], table.options.prefixed("sink.topic.config."))

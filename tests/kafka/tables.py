"""Kafka tables for tests: sources and sinks from options, and topics filled by a plain client."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streamsql.connectors import kafka, kafka_mock
from streamsql.connectors.kafka_reader import KafkaSource
from streamsql.connectors.kafka_writer import KafkaSink
from streamsql.core.clock import Clock, SystemClock
from streamsql.core.connector import MetadataColumn, TableSpec
from tests.unit.connectors import contract

Row = tuple[str, int, bytes | None]
"""Split id, offset, value."""

PULLS = 400
"""Bound of every wait: polls of 50 ms each."""

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A broker under test, `servers` being what WITH says, and a topic that no other test uses."""

    servers: str
    topic: str

    @property
    def mock(self) -> bool:
        return kafka_mock.is_mock(self.servers)

    @property
    def bootstrap(self) -> str:
        return kafka_mock.broker(self.servers).bootstrap if self.mock else self.servers

    def create(self, topic: str = "", partitions: int = 2, config: Mapping[str, str] | None = None) -> str:
        name = topic or self.topic
        if self.mock:
            kafka_mock.broker(self.servers).create_topic(name, partitions)
        else:
            admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
            admin.create_topics([NewTopic(name, partitions, 1, config=dict(config or {}))])[name].result()
        return name

    def put(self, values: Sequence[bytes | None], partition: int = 0, topic: str = "",
            timestamps: Sequence[int] | None = None, config: Mapping[str, str] | None = None) -> None:
        """Write values to one partition with a client of our own."""
        producer = Producer({"bootstrap.servers": self.bootstrap, **(config or {})})
        for index, value in enumerate(values):
            producer.produce(topic or self.topic, value, partition=partition,
                             timestamp=timestamps[index] if timestamps else 0)
        assert producer.flush(10) == 0

    def commit(self, group: str, offsets: Mapping[int, int]) -> None:
        """Set the offsets of a group, as if a consumer had."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        consumer.commit(offsets=[TopicPartition(self.topic, p, o) for p, o in offsets.items()],
                        asynchronous=False)
        consumer.close()

    def committed(self, group: str, partitions: int = 2) -> list[int]:
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        found = consumer.committed([TopicPartition(self.topic, p) for p in range(partitions)], timeout=10)
        consumer.close()
        return [p.offset for p in found]

    def spec(self, options: Mapping[str, str] | None = None,
             metadata: Mapping[str, str] | None = None) -> TableSpec:
        """The table `t` on this topic; `metadata` is column → key."""
        given = {"properties.bootstrap.servers": self.servers, **(options or {})}
        if "topic-pattern" not in given:
            given.setdefault("topic", self.topic)
        columns = tuple(MetadataColumn(name, key, kafka.METADATA[key].type)
                        for name, key in (metadata or {}).items())
        return replace(contract.spec(kafka, {}, given, encoded=True), metadata=columns)

    def source(self, options: Mapping[str, str] | None = None, *, bounded: bool = True) -> KafkaSource:
        """From the first record to the last there is now, unless the options say otherwise."""
        end = {"scan.bounded.mode": "latest-offset"} if bounded else {}
        return kafka.source(self.spec({"scan.startup.mode": "earliest-offset", **end, **(options or {})}))

    def sink(self, options: Mapping[str, str] | None = None,
             metadata: Mapping[str, str] | None = None) -> KafkaSink:
        sink = kafka.sink(self.spec(options, metadata))
        sink.open(0, SystemClock())
        return sink

    def read(self, options: Mapping[str, str] | None = None,
             positions: Mapping[str, int] | None = None) -> list[Row]:
        """All rows of a bounded source, in the order of splits and offsets."""
        return sorted(rows(self.source(options), positions))


def fresh(servers: str) -> Cluster:
    return Cluster(servers, f"topic{next(_numbers)}")


def rows(source: KafkaSource, positions: Mapping[str, int] | None = None) -> list[Row]:
    """All rows of a bounded source; it is closed."""
    source.open(positions or {}, SystemClock(), ["value"])
    try:
        found: list[Row] = []
        for _ in range(PULLS):
            if source.finished():
                break
            found += pulled(source)
        assert source.finished()
        return found
    finally:
        source.close()


def pulled(source: KafkaSource, max_rows: int = 1000) -> list[Row]:
    chunk = source.poll(max_rows, 0.05)
    if chunk is None:
        return []
    contract.checked(chunk, max_rows)
    return [(split, offset, row["value"]) for split, offset, row in contract.records(source, chunk)]  # type: ignore[misc]


def opened(source: KafkaSource, keys: Sequence[str] = ("value",), clock: Clock | None = None,
           positions: Mapping[str, int] | None = None) -> KafkaSource:
    source.open(positions or {}, clock or SystemClock(), keys)
    return source


def wait_for(source: KafkaSource, count: int) -> list[Row]:
    """The next `count` rows of a source that may not end, and no more."""
    found: list[Row] = []
    for _ in range(PULLS):
        if len(found) >= count:
            break
        found += pulled(source)
    assert len(found) == count
    return sorted(found)


def columns(cluster: Cluster, keys: Sequence[str],
            options: Mapping[str, str] | None = None) -> list[dict[str, object]]:
    """All rows of the topic with the columns asked for, in the order of splits and offsets."""
    source = opened(cluster.source(options), keys)
    try:
        found: list[contract.Record] = []
        for _ in range(PULLS):
            chunk = None if source.finished() else source.poll(1000, 0.05)
            if chunk is not None:
                found += contract.records(source, chunk)
        assert source.finished()
        return [row for _, _, row in sorted(found, key=lambda r: r[:2])]
    finally:
        source.close()

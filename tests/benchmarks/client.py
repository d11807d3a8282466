"""What the Kafka client itself does, without streamsql: the limit that every rate is held against."""

from __future__ import annotations

import time
from collections.abc import Iterable

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

PARTITIONS = 4


def create(bootstrap: str, topic: str) -> None:
    """A topic that keeps records however old they say they are."""
    config = {"retention.ms": "-1", "message.timestamp.type": "CreateTime"}
    new = NewTopic(topic, PARTITIONS, 1, config=config)
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    admin.create_topics([new])[topic].result()


def fill(bootstrap: str, topic: str, chunks: Iterable[list[bytes]], run: int) -> int:
    """Write all records, `run` neighbours to a partition in turn; how many they were."""
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "lz4", "linger.ms": 50,
                         "batch.size": 1_000_000, "queue.buffering.max.messages": 500_000, "acks": "1", "log_level": 0})
    count = 0
    for records in chunks:
        for i, record in enumerate(records, count):
            while True:
                try:
                    producer.produce(topic, record, None, i // run % PARTITIONS)
                    break
                except BufferError:
                    producer.poll(0.05)
        count += len(records)
    producer.flush()
    return count


def drain(bootstrap: str, topic: str, count: int) -> float:
    """Read `count` records by consume(1000) and drop them; seconds from the first call to the last record."""
    started = time.perf_counter()
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "limit", "enable.auto.commit": False,
                         "fetch.queue.backoff.ms": 5})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    got = 0
    while got < count:
        got += len(consumer.consume(1000, 1.0))
    elapsed = time.perf_counter() - started
    consumer.close()
    return elapsed

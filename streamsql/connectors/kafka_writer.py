"""The Kafka sink: records handed to librdkafka, which batches, retries and reports what it cannot deliver.

No callback for each record, which would halve the rate: only failures are reported. The producer is
idempotent with acks=all unless the table says otherwise, so that a retry neither repeats nor
reorders. Without transactions a crash between `flush` and the engine's commit repeats an epoch:
at least once.

Memory is bounded by librdkafka's queue ('properties.queue.buffering.max.kbytes', 64 MB unless set,
and 100 000 records): `write` blocks when it is full, which is the backpressure. A broker that stays
away for 'properties.delivery.timeout.ms' (5 min unless set) fails the epoch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streamsql.connectors.kafka_client import Watch, config, failure, made
from streamsql.connectors.kafka_options import WriteSettings
from streamsql.connectors.kafka_topics import existing, partitions_to_write
from streamsql.core.clock import Clock
from streamsql.core.connector import KEY, VALUE, SinkStatistics
from streamsql.errors import ConnectorError, DataError, did_you_mean

OURS = {
    # The partition of a key is the one that Java clients, and so Flink, choose.
    "partitioner": "murmur2_random",
    "queue.buffering.max.kbytes": 65536,
}
_TOPIC, _TIMESTAMP, _HEADERS = "$meta.topic", "$meta.timestamp", "$meta.headers"
_WAIT_S = 0.2
_ANY_PARTITION = -1
_NOW = 0


class KafkaSink:
    """Writes the rows of one table. See `core.connector.Sink` for who calls what."""

    def __init__(self, settings: WriteSettings) -> None:
        self._settings = settings
        self._connection = settings.connection
        self._watch = Watch(self._connection)
        self._producer: Producer | None = None
        self._partitions: dict[str, int] = {}
        self._turn = 0
        self._failed = 0
        self._failure: ConnectorError | None = None
        self._statistics = SinkStatistics()

    def open(self, epoch: int, clock: Clock) -> None:
        self._producer = made(Producer, self._config(), self._connection)
        self._partitions = partitions_to_write(self._producer, self._watch, self._settings)

    def _config(self) -> dict[str, Any]:
        given = self._connection.properties.client
        acks = given.get("acks", given.get("request.required.acks", "all"))
        idempotent = {"enable.idempotence": True} if self._settings.waits and acks in ("all", "-1") else {}
        forced = {"delivery.report.only.error": True, "on_delivery": self._on_delivery}
        return config(self._connection, self._watch, {**OURS, **idempotent}, forced)

    def _open_producer(self) -> Producer:
        if self._producer is None:
            raise ConnectorError(f'the sink of table "{self._settings.table}" is closed')
        return self._producer

    # ------------------------------------------------------------------ writing

    def write(self, rows: pa.Table) -> None:
        producer, count = self._open_producer(), int(rows.num_rows)
        if not count:
            return
        topics = self._topics(rows)
        columns = (
            topics if topics is not None else itertools.repeat(self._settings.topics.names[0], count),
            rows[VALUE].to_pylist(),
            rows[KEY].to_pylist() if KEY in rows.column_names else itertools.repeat(None, count),
            self._targets(topics, count),
            self._timestamps(rows),
            rows[_HEADERS].to_pylist() if _HEADERS in rows.column_names else itertools.repeat(None, count),
        )
        self._produce(producer, zip(*columns, strict=True))
        producer.poll(0)
        self._check()
        written = sum(pc.sum(pc.binary_length(rows[name])).as_py() or 0
                      for name in (VALUE, KEY) if name in rows.column_names)
        old = self._statistics
        self._statistics = replace(old, rows=old.rows + count, bytes=old.bytes + written)

    def _produce(self, producer: Producer, records: Iterable[tuple[Any, ...]]) -> None:
        """Hand every record over, waiting for room whenever the client's queue is full."""
        produce = producer.produce
        try:
            for topic, value, key, partition, timestamp, headers in records:
                while True:
                    try:
                        produce(topic, value, key, partition, None, None, timestamp, headers)
                        break
                    except BufferError:
                        producer.poll(_WAIT_S)
                        self._check()
        except KafkaException as error:
            raise failure(f'write to topic "{topic}"', self._connection, error) from error

    def _topics(self, rows: pa.Table) -> list[str] | None:
        """The topic of each row where the rows say it, checked; None when all go to the only one."""
        if _TOPIC not in rows.column_names:
            return None
        for topic in pc.unique(rows[_TOPIC]).to_pylist():
            if topic in self._partitions:
                continue
            if topic is None:
                raise DataError(f'a row of table "{self._settings.table}" has NULL as its topic',
                                hint="Give the metadata column of the topic a value in every row.")
            if not self._settings.topics.matches(topic):
                raise DataError(f'a row of table "{self._settings.table}" is for topic "{topic}", which its '
                                "options do not name",
                                hint=did_you_mean(topic, sorted(self._partitions), "Topics"))
            found = existing(self._open_producer(), self._watch, self._connection, topic)
            self._partitions[topic] = len(found.partitions)
        topics: list[str] = rows[_TOPIC].to_pylist()
        return topics

    def _targets(self, topics: list[str] | None, count: int) -> Iterable[int]:
        match self._settings.partitioner:
            case "fixed":  # Flink: the writer's number modulo the partitions; there is one writer, 0
                return itertools.repeat(0, count)
            case "round-robin":
                turns = np.arange(self._turn, self._turn + count)
                self._turn += count
                sizes = [self._partitions[t] for t in topics] if topics is not None \
                    else self._partitions[self._settings.topics.names[0]]
                targets: list[int] = (turns % sizes).tolist()
                return targets
            case _:
                return itertools.repeat(_ANY_PARTITION, count)

    def _timestamps(self, rows: pa.Table) -> Iterable[int]:
        """Milliseconds since 1970; NULL leaves it to the client, which takes the time of writing."""
        if _TIMESTAMP not in rows.column_names:
            return itertools.repeat(_NOW, rows.num_rows)
        column = pc.divide(rows[_TIMESTAMP].cast(pa.timestamp("us", "UTC")).cast(pa.int64()), 1000)
        if (pc.min(column).as_py() or 0) < 0:
            raise DataError(f'a row of table "{self._settings.table}" has a timestamp before 1970',
                            hint="Kafka cannot hold it: write NULL for the time of writing.")
        stamps: list[int] = pc.fill_null(column, _NOW).to_pylist()
        return stamps

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        """Called from `poll` and `flush` for each record that was given up; the first is told."""
        if error is None:
            return
        self._failed += 1
        if self._failure is None:
            where = f", partition {message.partition()}" if (message.partition() or 0) >= 0 else ""
            self._failure = failure(f'write to topic "{message.topic()}"{where}', self._connection, error)

    def _check(self) -> None:
        self._watch.check()
        if self._failure is not None:
            records = "1 record was" if self._failed == 1 else f"{self._failed} records were"
            raise ConnectorError(self._failure.message, detail=f"{records} not delivered.",
                                 hint=self._failure.hint)

    # ------------------------------------------------------------------ epochs

    def flush(self) -> None:
        """Wait until the broker has every record, or, with the guarantee `none`, do not."""
        producer = self._open_producer()
        if self._settings.waits:
            while producer.flush(_WAIT_S):  # a refused login leaves records queued and says so only here
                self._check()
            self._watch.recovered()
        else:
            producer.poll(0)
        self._check()

    def commit(self, epoch: int) -> None:
        """Nothing: what `flush` delivered is visible."""

    def statistics(self) -> SinkStatistics:
        return replace(self._statistics, error=self._watch.trouble)

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if not self._settings.waits and self._failure is None:
            producer.flush(self._connection.properties.patience_ms / 1000)
        producer.purge()
        producer.flush(_WAIT_S)

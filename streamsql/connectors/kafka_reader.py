"""The Kafka source: partitions assigned by hand, read in batches from positions that the engine keeps.

No group membership: `assign`, never `subscribe`, so that no rebalance moves a partition between two
records and the engine's offsets are the only truth. A batch is one blocking `poll`, then
`consume(1000, 0)` until it is full or the client's queue is empty: larger pulls were measured
slower (more live Message objects), and `consume` with a timeout waits for a full batch.

Memory is bounded by librdkafka's queue ('properties.queued.max.messages.kbytes', 64 MB unless set)
and by `MAX_CHUNK_BYTES` for a chunk.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streamsql.connectors.kafka_chunks import Records
from streamsql.connectors.kafka_client import EARLIEST, Watch, config, failure, made, offsets_at
from streamsql.connectors.kafka_options import ReadSettings
from streamsql.connectors.kafka_positions import resolve_ends, resolve_starts
from streamsql.connectors.kafka_topics import partitions_to_read
from streamsql.core.clock import Clock
from streamsql.core.connector import Chunk, SourceStatistics, Split
from streamsql.errors import ConnectorError

_CLOSE_S = 10.0
"""How long closing waits for the client."""

log = logging.getLogger("streamsql.kafka")

PULL = 1000
MAX_CHUNK_BYTES = 64 << 20
OURS = {
    # The default of 1000 ms stalls the fetcher each time its queue was full.
    "fetch.queue.backoff.ms": 5,
    "queued.max.messages.kbytes": 65536,
    # No member of a group, so only this is left of it: how long closing waits for a commit on its way.
    "session.timeout.ms": 3000,
    "heartbeat.interval.ms": 1000,
}


def split_id(topic: str, partition: int) -> str:
    return f"{topic}-{partition}"


class KafkaSource:
    """Reads the partitions of one table's topics. See `core.connector.Source` for who calls what.

    A split is a partition; its id is `TOPIC-PARTITION`. New partitions found during a run start at
    their first record, as in Flink.
    """

    def __init__(self, settings: ReadSettings) -> None:
        self._settings = settings
        self.bounded = settings.end is not None
        self._connection = settings.connection
        self._watch = Watch(self._connection)
        self._consumer: Consumer | None = None
        self._splits: list[Split] = []
        self._index: dict[tuple[str, int], int] = {}
        self._next: list[int] = []
        self._ends: dict[int, int] = {}
        self._ended: set[int] = set()
        self._unreported: set[int] = set()
        self._opened = False
        self._statistics = SourceStatistics()
        self._helper: ThreadPoolExecutor | None = None
        self._search: Future[dict[tuple[str, int], int]] | None = None
        self._search_due_s = 0.0

    # ------------------------------------------------------------------ opening

    def open(self, positions: Mapping[str, int], clock: Clock, keys: Sequence[str]) -> None:
        self._clock = clock
        self._records = Records(keys)
        self._search_due_s = clock.monotonic_s() + self._settings.discovery_ms / 1000
        self._consumer = consumer = made(Consumer, self._config(), self._connection)
        found = partitions_to_read(consumer, self._watch, self._settings)
        known = {key: positions[split_id(*key)] for key in found if split_id(*key) in positions}
        starts = resolve_starts(consumer, self._settings, found, known)
        ends = resolve_ends(consumer, self._settings, found)
        self._add(found, starts, ends)
        self._opened = True

    def _config(self) -> dict[str, Any]:
        properties = self._connection.properties
        forced = {
            "group.id": properties.group_id or f"KafkaSource-{self._settings.table}",
            "auto.offset.reset": properties.reset,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # An end-of-partition event carries the position past trailing control records.
            "enable.partition.eof": True,
            "on_commit": self._on_commit,
        }
        return config(self._connection, self._watch, OURS, forced)

    def _add(self, found: Sequence[tuple[str, int]], starts: Mapping[tuple[str, int], int],
             ends: Mapping[tuple[str, int], int]) -> None:
        """Make splits of partitions and begin to fetch those that have something to read."""
        for topic, partition in found:
            index = len(self._splits)
            self._index[topic, partition] = index
            self._splits.append(Split(split_id(topic, partition), topic, partition))
            self._next.append(starts[topic, partition])
            self._unreported.add(index)
            if self.bounded:
                self._ends[index] = ends[topic, partition]
                if self._next[index] >= self._ends[index]:
                    self._ended.add(index)
        self._records.topics_changed(self._index)
        wanted = [TopicPartition(*key, starts[key]) for key in found if self._index[key] not in self._ended]
        if wanted:
            self._open_consumer().incremental_assign(wanted)

    def _open_consumer(self) -> Consumer:
        if self._consumer is None:
            raise ConnectorError(f'the source of table "{self._settings.table}" is closed')
        return self._consumer

    # ------------------------------------------------------------------ reading

    def splits(self) -> Sequence[Split]:
        return self._splits

    def poll(self, max_rows: int, timeout_s: float) -> Chunk | None:
        consumer = self._open_consumer()
        self._discover()
        give_up_s = self._clock.monotonic_s() + timeout_s
        while not self.finished():
            message = consumer.poll(max(0.0, give_up_s - self._clock.monotonic_s()))
            self._watch.check()
            if message is None:
                return None
            self._fill(consumer, [message], max_rows)
            chunk = self._chunk()
            if chunk is not None:
                return chunk
        return None

    def _fill(self, consumer: Consumer, pulled: list[Message], max_rows: int) -> None:
        """Take messages until the chunk is full or the client has no more at hand.

        The collector rests meanwhile: a pull makes a thousand objects that it would count, look
        through with all that is alive, and find free of cycles (up to a third of the rate, measured).
        """
        records, collecting = self._records, gc.isenabled()
        gc.disable()
        try:
            while pulled:
                if not records.take(pulled):
                    self._take_apart(pulled)
                room = min(PULL, max_rows - records.count)
                if room <= 0 or records.bytes >= MAX_CHUNK_BYTES:
                    break
                pulled = consumer.consume(room, 0)
        finally:
            if collecting:
                gc.enable()

    def _take_apart(self, pulled: list[Message]) -> None:
        """Messages with events among them: the events are dealt with, the others taken."""
        good = []
        for message in pulled:
            error = message.error()
            if error is None:
                good.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._records.ended(message)
            else:
                self._raise_or_log(message, error)
        if good:
            self._records.take(good)

    def _raise_or_log(self, message: Message, error: KafkaError) -> None:
        where = f'read topic "{message.topic()}", partition {message.partition()}'
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise failure(where, self._connection, error,
                          hint="Records were deleted before they were read: raise the topic's retention, or "
                          "write 'properties.auto.offset.reset'='earliest' to go on with the first one kept.")
        if error.retriable() or error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
            self._watch.on_error(error)
            return
        raise failure(where, self._connection, error)

    def _chunk(self) -> Chunk | None:
        """What was taken as a chunk, cut at the ends of bounded partitions; None when nothing is left."""
        taken, ends = self._records.flush()
        moved: dict[int, int] = {}
        if taken is not None:
            self._watch.recovered()
            if self._ends:
                taken = taken.before(self._ends)
            moved = taken.moved()
        for topic, partition, offset in ends:
            index = self._index[topic, partition]
            moved[index] = max(moved.get(index, 0), offset)
        for index, position in moved.items():
            self._next[index] = max(self._next[index], position)
        self._end(moved)
        if taken is None or not len(taken.table):
            self._unreported.update(moved)
            return None
        moved.update((index, self._next[index]) for index in self._unreported | moved.keys())
        self._unreported.clear()
        old = self._statistics
        self._statistics = replace(old, rows=old.rows + len(taken.split), bytes=old.bytes + taken.bytes)
        return Chunk(taken.table, taken.split, taken.offset, moved)

    def _end(self, moved: Iterable[int]) -> None:
        """Stop fetching the bounded partitions among `moved` that have reached their ends."""
        over = [i for i in moved if i not in self._ended and i in self._ends
                and self._next[i] >= self._ends[i]]
        if over:
            self._ended.update(over)
            self._open_consumer().incremental_unassign(
                [TopicPartition(self._splits[i].topic, self._splits[i].partition) for i in over])

    def ended(self) -> frozenset[int]:
        return frozenset(self._ended)

    def finished(self) -> bool:
        return self.bounded and self._opened and len(self._ended) == len(self._splits)

    # ------------------------------------------------------------------ discovery

    def _discover(self) -> None:
        """Look for new partitions in the background, and add those that an earlier look found."""
        if self.bounded or not self._settings.discovery_ms:
            return
        if self._search is not None:
            if self._search.done():
                search, self._search = self._search, None
                self._found(search)
        elif self._clock.monotonic_s() >= self._search_due_s:
            self._search_due_s = self._clock.monotonic_s() + self._settings.discovery_ms / 1000
            self._helper = self._helper or ThreadPoolExecutor(1, "kafka-discovery")
            self._search = self._helper.submit(self._new_partitions, frozenset(self._index))

    def _new_partitions(self, known: frozenset[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Partitions beside the known ones, and their first offsets.

        On the helper's thread, by a client of its own: whoever polls the reader's takes its records.
        """
        watch = Watch(self._connection)
        consumer = made(Consumer, {**self._config(), "error_cb": watch.on_error}, self._connection)
        try:
            new = [key for key in partitions_to_read(consumer, watch, self._settings) if key not in known]
            return offsets_at(consumer, self._connection, new, EARLIEST)
        finally:
            consumer.close()

    def _found(self, search: Future[dict[tuple[str, int], int]]) -> None:
        facts: dict[str, object] = {"table": self._settings.table}
        try:
            starts = search.result()
        except ConnectorError as error:
            log.warning("kafka discovery failed, tried again later",
                        extra={"fields": {**facts, "reason": error.message}})
            return
        if starts:
            self._add(sorted(starts), starts, {})
            log.info("kafka partitions discovered", extra={"fields": {**facts, "partitions": sorted(starts)}})

    # ------------------------------------------------------------------ the rest

    def commit(self, positions: Mapping[str, int]) -> None:
        properties = self._connection.properties
        if properties.group_id is None or not properties.commit_offsets or self._watch.trouble:
            return  # a commit to a broker that is away would only hold up the end
        offsets = [TopicPartition(s.topic, s.partition, positions[s.id])
                   for s in self._splits if s.id in positions]
        if offsets:
            self._open_consumer().commit(offsets=offsets, asynchronous=True)

    def _on_commit(self, error: KafkaError | None, _: list[TopicPartition]) -> None:
        if error is not None:
            log.warning("kafka offsets not committed to the group, positions are safe",
                        extra={"fields": {"table": self._settings.table, "reason": error.str()}})

    def statistics(self) -> SourceStatistics:
        if self._consumer is not None and self._opened:
            self._statistics = replace(self._statistics, lag_rows=self._lag_rows(self._consumer),
                                       error=self._watch.trouble)
        return self._statistics

    def _lag_rows(self, consumer: Consumer) -> int:
        """Records between the positions and the ends, of which the client knows from its fetches."""
        lag = 0
        for index, split in enumerate(self._splits):
            end = self._ends.get(index)
            if end is None:
                asked = TopicPartition(split.topic, split.partition)
                try:
                    end = consumer.get_watermark_offsets(asked, cached=True)[1]
                except (KafkaException, RuntimeError):
                    end = OFFSET_INVALID  # not fetched yet, or closed meanwhile
            lag += max(0, end - self._next[index])
        return lag

    def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if self._helper is not None:
            self._helper.shutdown(cancel_futures=True)
            self._helper = None
        if consumer is not None:
            # With an offset commit on its way to a broker that is gone, librdkafka's close was seen to wait
            # for ever; what it waits for is not needed, so it is left behind.
            closing = threading.Thread(target=consumer.close, name="kafka-close", daemon=True)
            closing.start()
            closing.join(_CLOSE_S)

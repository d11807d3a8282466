"""From the client's Message objects to Arrow columns.

The only place that touches every record in Python: one list comprehension for each column in use,
over the messages of one pull, while they are in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from confluent_kafka import Message

from streamsql.connectors.kafka_options import METADATA
from streamsql.core.connector import KEY, VALUE

META = "$meta."
_TIMESTAMP_TYPES = pa.array(["NoTimestampType", "CreateTime", "LogAppendTime"])
"""By the client's number, in Java's spelling."""

Int32s = np.ndarray[tuple[int], np.dtype[np.int32]]
Int64s = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Taken:
    """Records of one chunk, before positions are known."""

    table: pa.Table
    split: Int32s
    offset: Int64s
    bytes: int

    def before(self, ends: Mapping[int, int]) -> Taken:
        """Those below the ends of their splits."""
        limits = np.full(max(ends) + 1, np.iinfo(np.int64).max, dtype=np.int64)
        for index, end in ends.items():
            limits[index] = end
        kept = self.offset < limits[self.split]
        if kept.all():
            return self
        return Taken(self.table.filter(pa.array(kept)), self.split[kept], self.offset[kept], self.bytes)

    def moved(self) -> dict[int, int]:
        """Split → offset after its last record here."""
        last = np.full(int(self.split.max(initial=-1)) + 1, -1, dtype=np.int64)
        np.maximum.at(last, self.split, self.offset)
        return {int(i): int(last[i]) + 1 for i in np.flatnonzero(last >= 0)}


class Records:
    """Columns of the records taken since the last `flush`."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._value = VALUE in keys
        self._key = KEY in keys
        self._meta = [key.removeprefix(META) for key in keys if key.startswith(META)]
        self._timestamp = "timestamp" in self._meta or "timestamp-type" in self._meta
        self._topics: list[str] = []
        self._split_of: dict[str, Int32s] = {}
        self.ends: list[tuple[str, int, int]] = []
        self._clear()

    def topics_changed(self, index: Mapping[tuple[str, int], int]) -> None:
        """`index` names the splits of all partitions that a record may be of."""
        self._topics = sorted({topic for topic, _ in index})
        for topic in self._topics:
            numbers = {partition: i for (t, partition), i in index.items() if t == topic}
            table = np.full(max(numbers) + 1, -1, dtype=np.int32)
            for partition, i in numbers.items():
                table[partition] = i
            self._split_of[topic] = table

    def _clear(self) -> None:
        self.count = 0
        self.bytes = 0
        self._values: list[bytes | None] = []
        self._keys: list[bytes | None] = []
        self._partitions: list[int | None] = []
        self._offsets: list[int | None] = []
        self._names: list[str | None] = []
        self._stamps: list[tuple[int, int]] = []
        self._headers: list[Any] = []
        self._epochs: list[int | None] = []

    def take(self, messages: list[Message]) -> bool:
        """Add messages; False, and none added, when one of them is an event or an error."""
        if any([m.error() for m in messages]):  # noqa: C419 - a list is twice as fast as a generator here
            return False
        values = [m.value() for m in messages]
        if self._value:
            self._values += values
        self._partitions += [m.partition() for m in messages]
        self._offsets += [m.offset() for m in messages]
        self.count += len(messages)
        self.bytes += sum([len(v) for v in values if v])
        if self._key:
            self._keys += [m.key() for m in messages]
        if len(self._topics) > 1:
            self._names += [m.topic() for m in messages]
        if self._timestamp:
            self._stamps += [m.timestamp() for m in messages]
        if "headers" in self._meta:
            self._headers += [m.headers() for m in messages]
        if "leader-epoch" in self._meta:
            self._epochs += [m.leader_epoch() for m in messages]
        return True

    def ended(self, message: Message) -> None:
        """Note an end-of-partition event; its offset is the next one there will be."""
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None
        assert partition is not None
        assert offset is not None
        self.ends.append((topic, partition, offset))

    def flush(self) -> tuple[Taken | None, list[tuple[str, int, int]]]:
        """What was taken (None for nothing), and the (topic, partition, offset) of ends reached."""
        ends, self.ends = self.ends, []
        if not self.count:
            return None, ends
        partition = np.array(self._partitions, dtype=np.int32)
        offset = np.array(self._offsets, dtype=np.int64)
        names = pa.array(self._names).dictionary_encode() if len(self._topics) > 1 else None
        table, split = self._table(partition, offset, names), self._split(partition, names)
        taken = Taken(table, split, offset, self.bytes)
        self._clear()
        return taken, ends

    def _split(self, partition: Int32s, names: pa.DictionaryArray | None) -> Int32s:
        if names is None:
            return self._split_of[self._topics[0]][partition]
        codes = np.asarray(names.indices)
        split = np.empty(len(partition), dtype=np.int32)
        for code, topic in enumerate(names.dictionary.to_pylist()):
            of_topic = codes == code
            split[of_topic] = self._split_of[topic][partition[of_topic]]
        return split

    def _table(self, partition: Int32s, offset: Int64s, names: pa.DictionaryArray | None) -> pa.Table:
        values = pa.array(self._values, pa.binary()) if self._value else pa.nulls(self.count, pa.binary())
        columns = {VALUE: values}
        if self._key:
            columns[KEY] = pa.array(self._keys, pa.binary())
        for key in self._meta:
            columns[META + key] = self._metadata(key, partition, offset, names)
        return pa.table(columns)

    def _metadata(self, key: str, partition: Int32s, offset: Int64s,
                  names: pa.DictionaryArray | None) -> pa.Array:
        match key:
            case "partition":
                return pa.array(partition)
            case "offset":
                return pa.array(offset)
            case "topic":
                if names is None:
                    return pa.repeat(self._topics[0], self.count)
                return names.cast(pa.string())
            case "timestamp":
                micros = np.array([ms for _, ms in self._stamps], dtype=np.int64) * 1000
                return pa.array(micros).cast(METADATA[key].type.arrow_type())
            case "timestamp-type":
                return _TIMESTAMP_TYPES.take(pa.array([kind for kind, _ in self._stamps], pa.int32()))
            case "leader-epoch":
                return pa.array(self._epochs, pa.int32())
            case _:
                # A map has a key once: of a repeated header the last counts, as in Flink.
                maps = [list(dict(headers).items()) if headers else [] for headers in self._headers]
                return pa.array(maps, METADATA["headers"].type.arrow_type())

"""Where each partition begins and ends: modes of WITH, and stored positions, turned into offsets.

Offsets are numbers before anything is fetched: a logical offset ("beginning") costs the client
another half second, and an end that is fixed at open is what makes a bounded read end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer

from streamsql.connectors.kafka_client import EARLIEST, LATEST, committed, log, offsets_at
from streamsql.connectors.kafka_options import Position, ReadSettings
from streamsql.errors import ConnectorError

Partition = tuple[str, int]


def resolve_starts(consumer: Consumer, settings: ReadSettings, found: Sequence[Partition],
                   known: Mapping[Partition, int]) -> dict[Partition, int]:
    """The first offset to read of each partition: the stored one, or what the start mode says.

    Raises: ConnectorError when an offset is not (or no longer) in the log and nothing says where
    to go on.
    """
    connection, mode = settings.connection, settings.start.mode
    earliest = offsets_at(consumer, connection, found, EARLIEST)
    latest = offsets_at(consumer, connection, found, LATEST)
    new = [p for p in found if p not in known]
    if connection.mock and mode == "earliest-offset":
        _warn_of_forgotten(settings, sum(earliest[p] for p in new))
    if mode == "earliest-offset":
        starts = {p: earliest[p] for p in new}
    elif mode == "latest-offset":
        starts = {p: latest[p] for p in new}
    elif mode == "timestamp":
        starts = _at_time(consumer, settings, settings.start, new, latest)
    elif mode == "specific-offsets":
        starts = _specific_starts(consumer, settings, new, earliest)
    else:
        starts = _group_starts(consumer, settings, new, earliest, latest)
    starts.update(known)
    return {p: _inside(settings, p, starts[p], earliest[p], latest[p]) for p in found}


def _warn_of_forgotten(settings: ReadSettings, records: int) -> None:
    """The embedded broker keeps little and cannot be told otherwise; who reads from it must know."""
    if records:
        log.warning("the embedded broker no longer has the first records: it keeps 5 MiB a partition",
                    extra={"fields": {"table": settings.table, "records": records}})


def _at_time(consumer: Consumer, settings: ReadSettings, place: Position, partitions: Sequence[Partition],
             latest: Mapping[Partition, int]) -> dict[Partition, int]:
    """The first record at or after the moment; the end of the log where there is none."""
    found = offsets_at(consumer, settings.connection, partitions, place.timestamp_ms)
    return {p: offset if offset >= 0 else latest[p] for p, offset in found.items()}


def _group_starts(consumer: Consumer, settings: ReadSettings, partitions: Sequence[Partition],
                  earliest: Mapping[Partition, int], latest: Mapping[Partition, int]) -> dict[Partition, int]:
    starts = {}
    for p, offset in committed(consumer, settings.connection, partitions).items():
        if offset >= 0:
            starts[p] = offset
        elif settings.connection.properties.reset == "error":
            raise ConnectorError(
                f'{_group(settings)} has no offset for topic "{p[0]}", partition {p[1]}, on '
                f"{settings.connection}",
                hint="Write 'scan.startup.mode'='earliest-offset' or 'latest-offset', or keep "
                     "'group-offsets' (the default) and say where else to begin: "
                     "'properties.auto.offset.reset'='earliest'.")
        else:
            starts[p] = (earliest if settings.connection.properties.reset == "earliest" else latest)[p]
    return starts


def _group(settings: ReadSettings) -> str:
    return f'consumer group "{settings.connection.properties.group_id or "KafkaSource-" + settings.table}"'


def _specific_starts(consumer: Consumer, settings: ReadSettings, partitions: Sequence[Partition],
                     earliest: Mapping[Partition, int]) -> dict[Partition, int]:
    """As in Flink, a partition that is not named goes on at the group's offset, else at the first record."""
    named = _named(settings, settings.start, partitions, "scan.startup.specific-offsets")
    rest = committed(consumer, settings.connection, [p for p in partitions if p not in named])
    return {**{p: offset if offset >= 0 else earliest[p] for p, offset in rest.items()}, **named}


def _named(settings: ReadSettings, place: Position, partitions: Sequence[Partition],
           key: str) -> dict[Partition, int]:
    offsets = dict(place.offsets)
    missing = sorted(offsets.keys() - {number for _, number in partitions})
    if missing and partitions:
        topic = partitions[0][0]
        raise ConnectorError(f'topic "{topic}" on {settings.connection} has no partition {missing[0]}, which '
                             f"'{key}' names",
                             hint=f"It has the partitions 0 to {max(n for _, n in partitions)}.")
    return {(topic, number): offsets[number] for topic, number in partitions if number in offsets}


def _inside(settings: ReadSettings, partition: Partition, offset: int, earliest: int, latest: int) -> int:
    """The offset, if the log has it; otherwise where 'properties.auto.offset.reset' says to go on."""
    if earliest <= offset <= latest:
        return offset
    reset = settings.connection.properties.reset
    if reset != "error":
        return earliest if reset == "earliest" else latest
    topic, number = partition
    gone = "were deleted" if offset < earliest else "do not exist"
    raise ConnectorError(
        f'topic "{topic}", partition {number}, on {settings.connection} cannot be read from offset {offset}: '
        f"it holds the offsets {earliest} to {latest}",
        detail=f"The records from offset {offset} on {gone}.",
        hint="Was the topic created anew, or its retention too short? Write 'properties.auto.offset.reset'="
             "'earliest' to go on with the first record there is.")


def resolve_ends(consumer: Consumer, settings: ReadSettings,
                 found: Sequence[Partition]) -> dict[Partition, int]:
    """The first offset not to read of each partition of a bounded source; empty when it is not bounded."""
    place = settings.end
    if place is None:
        return {}
    latest = offsets_at(consumer, settings.connection, found, LATEST)
    if place.mode == "latest-offset":
        return latest
    if place.mode == "timestamp":
        return _at_time(consumer, settings, place, found, latest)
    if place.mode == "specific-offsets":
        # As in Flink, a partition that is not named is not read.
        return {**dict.fromkeys(found, 0), **_named(settings, place, found, "scan.bounded.specific-offsets")}
    ends = committed(consumer, settings.connection, found)
    for (topic, number), offset in ends.items():
        if offset < 0:
            raise ConnectorError(
                f'{_group(settings)} has no offset for topic "{topic}", partition {number}, on '
                f"{settings.connection}, so 'scan.bounded.mode'='group-offsets' has no end",
                hint="Write 'scan.bounded.mode'='latest-offset'.")
    return ends

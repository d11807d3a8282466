"""Which topics there are: those a source reads, and the missing ones that a sink creates.

The Admin API is asked of real brokers only: the embedded one answers none of it and would burn the
whole timeout, so its topics are created by a call of the library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._metadata import ClusterMetadata, TopicMetadata
from confluent_kafka.cimpl import NewTopic as AdminTopic

from streamsql.connectors import kafka_mock
from streamsql.connectors.kafka_client import WAIT_S, Client, Watch, failure, library_log, metadata, reason_of
from streamsql.connectors.kafka_options import Connection, NewTopic, ReadSettings, WriteSettings
from streamsql.errors import ConnectorError, did_you_mean

_TRANSIENT = (KafkaError.LEADER_NOT_AVAILABLE, KafkaError._TRANSPORT)


def partitions_to_read(consumer: Consumer, watch: Watch, settings: ReadSettings) -> list[tuple[str, int]]:
    """Every (topic, partition) of the table, sorted. The embedded broker creates what is missing.

    Raises: ConnectorError when a named topic does not exist, with the nearest names; a pattern may
    match nothing (yet).
    """
    connection, topics = settings.connection, settings.topics
    if connection.mock:
        for name in topics.names:
            kafka_mock.broker(connection.servers).create_topic(
                name, settings.new_topic.partitions or kafka_mock.DEFAULT_PARTITIONS)
    if topics.one is not None:
        return _partitions([existing(consumer, watch, connection, topics.one)])
    # One question for all: asking for a second topic makes the client forget the first for a second.
    found = {name: topic for name, topic in metadata(consumer, watch, connection).topics.items()
             if topic.error is None and topics.matches(name)}
    for name in topics.names:
        if name not in found:
            found[name] = existing(consumer, watch, connection, name)
    return _partitions(found.values())


def _partitions(topics: Iterable[TopicMetadata]) -> list[tuple[str, int]]:
    return sorted((str(topic.topic), partition) for topic in topics for partition in topic.partitions)


def existing(
    client: Client, watch: Watch, connection: Connection, name: str, *, created: bool = False
) -> TopicMetadata:
    """The topic, waited for while its leaders are being elected.

    created: it was made a moment ago, so a broker that does not know it has not been told of it yet.
    Raises: ConnectorError when it is missing or may not be seen.
    """
    topic = metadata(client, watch, connection, name).topics[name]
    for _ in range(int(connection.properties.patience_ms / 1000 / WAIT_S)):
        if topic.error is None:
            return topic
        unknown = topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
        if unknown and not created:
            raise _missing(name, connection, metadata(client, watch, connection))
        if not unknown and topic.error.code() not in _TRANSIENT:
            raise failure(f'use topic "{name}"', connection, topic.error)
        client.poll(WAIT_S)
        topic = metadata(client, watch, connection, name).topics[name]
    raise ConnectorError(f'topic "{name}" on {connection} has no leader yet', hint="Try again in a moment.")


def _missing(name: str, connection: Connection, known: ClusterMetadata) -> ConnectorError:
    names = sorted(t for t in known.topics if not t.startswith("__"))
    hint = did_you_mean(name, names, "Topics") if names else "There is no topic yet; INSERT INTO the table makes it."
    return ConnectorError(f'topic "{name}" does not exist on {connection}', hint=hint)


def partitions_to_write(producer: Producer, watch: Watch, settings: WriteSettings) -> dict[str, int]:
    """Topic → its number of partitions, of all the sink may write; missing ones are created.

    Raises: ConnectorError when a topic is missing and cannot or must not be created.
    """
    connection, topics = settings.connection, settings.topics
    # All topics are asked for, since naming one to a producer lets the broker create it as it likes.
    known = metadata(producer, watch, connection)
    if topics.pattern is not None:
        return {name: len(t.partitions) for name, t in known.topics.items() if topics.matches(name)}
    missing = [name for name in topics.names if name not in known.topics]
    if missing and not settings.auto_create:
        raise _missing(missing[0], connection, known)
    if missing:
        create(missing, settings.new_topic, connection, known)
    return {name: len(existing(producer, watch, connection, name, created=name in missing).partitions)
            for name in topics.names}


def create(names: Iterable[str], new: NewTopic, connection: Connection, known: ClusterMetadata) -> None:
    """Create topics; one that another process creates meanwhile is as good.

    Raises: ConnectorError with the broker's reason.
    """
    if connection.mock:
        _create_embedded(names, new, connection)
        return
    if new.replication is not None and new.replication > len(known.brokers):
        raise ConnectorError(f"'sink.topic.replication-factor'='{new.replication}' needs as many brokers, "
                             f"and {connection} has {len(known.brokers)}", hint="Write a smaller number.")
    settings: dict[str, Any] = {**_admin_settings(connection), "bootstrap.servers": connection.servers,
                                "logger": library_log}
    admin = AdminClient(settings)
    asked = [AdminTopic(name, num_partitions=new.partitions or -1, replication_factor=new.replication or -1,
                        config=dict(new.config)) for name in names]
    patience_s = connection.properties.patience_ms / 1000
    for name, answer in admin.create_topics(asked, request_timeout=patience_s).items():
        try:
            answer.result()
        except KafkaException as error:
            if reason_of(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise failure(f'create topic "{name}"', connection, error) from error


def _admin_settings(connection: Connection) -> Mapping[str, str]:
    """What of a client's settings concerns reaching the cluster; an admin client warns of others."""
    reach = ("security.", "sasl.", "ssl.", "socket.", "broker.", "client.", "enable.ssl", "https.", "debug")
    return {k: v for k, v in connection.properties.client.items() if k.startswith(reach)}


def _create_embedded(names: Iterable[str], new: NewTopic, connection: Connection) -> None:
    if new.config or (new.replication or 1) > 1:
        raise ConnectorError(f"{connection} is the embedded broker, which has neither replicas nor settings "
                             "of topics", hint="Remove 'sink.topic.replication-factor' and "
                             "'sink.topic.config.*', or use a real broker.")
    embedded = kafka_mock.broker(connection.servers)
    for name in names:
        embedded.create_topic(name, new.partitions or kafka_mock.DEFAULT_PARTITIONS)

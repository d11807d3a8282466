"""Talking to a cluster: clients made from settings, bounded waits, and errors in our own words.

Every call that waits for a broker is here or in `kafka_topics`; each is bounded by the patience of
the connection (10 s unless 'properties.default.api.timeout.ms' says otherwise).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin._metadata import ClusterMetadata

from streamsql.connectors import kafka_mock
from streamsql.connectors.kafka_options import Connection
from streamsql.core.clock import SystemClock
from streamsql.errors import ConnectorError

Client = Consumer | Producer

log = logging.getLogger("streamsql.kafka")
library_log = logging.getLogger("streamsql.kafka.librdkafka")
# librdkafka repeats in its log what error callbacks report; those reach `log` as fields, and not forty a second.
library_log.setLevel(logging.CRITICAL)
QUIET_S = 10.0
"""Trouble that goes on is told again after this time."""

_PREFIX = re.compile(r"^(Unable to produce message: )?(Broker: |Local: )?")
_DURATION = re.compile(r" \(after \d+ms in state .*?\)")

_REFUSED = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL,
            KafkaError.UNSUPPORTED_SASL_MECHANISM, KafkaError.ILLEGAL_SASL_STATE)
_UNREACHABLE = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT,
                KafkaError._RESOLVE)

_REACH = ("Check that the broker runs, that 'properties.bootstrap.servers' is right, and that the brokers' "
          "advertised.listeners can be reached from here.")
_LOGIN = ("Check 'properties.security.protocol', 'properties.sasl.mechanism', 'properties.sasl.username' and "
          "'properties.sasl.password'.")
_TOO_OLD = "The broker is too old for this; streamsql needs Apache Kafka 2.4 or newer."
_ACL = "Give the user the right to it: kafka-acls --add --allow-principal User:NAME --operation"
_HINTS = {
    **dict.fromkeys(_UNREACHABLE, _REACH),
    **dict.fromkeys(_REFUSED, _LOGIN),
    **dict.fromkeys((KafkaError._UNSUPPORTED_FEATURE, KafkaError.UNSUPPORTED_VERSION), _TOO_OLD),
    KafkaError._SSL: "Check 'properties.security.protocol', 'properties.ssl.ca.location' and the "
                     "client's own certificate and key.",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: f"{_ACL} Read (or Write) --topic TOPIC.",
    KafkaError.GROUP_AUTHORIZATION_FAILED: f"{_ACL} Read --group GROUP ('properties.group.id').",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "Create the topic beforehand, or give the user the right to.",
    KafkaError.MSG_SIZE_TOO_LARGE: "Raise 'properties.message.max.bytes', and the topic's max.message.bytes.",
}


def reason_of(error: KafkaError | KafkaException) -> KafkaError:
    """The KafkaError inside an exception of the client."""
    if isinstance(error, KafkaError):
        return error
    inner = error.args[0]
    assert isinstance(inner, KafkaError)
    return inner


def _text(error: KafkaError) -> str:
    """The client's words without who says them and how long it took."""
    return _DURATION.sub("", _PREFIX.sub("", error.str()))


def failure(doing: str, connection: Connection, error: KafkaError | KafkaException,
            detail: str | None = None, hint: str | None = None) -> ConnectorError:
    """`cannot DOING on Kafka at "…": REASON`, with what to do about it."""
    inner = reason_of(error)
    return ConnectorError(f"cannot {doing} on {connection}: {_text(inner)}", detail=detail,
                          hint=hint or _HINTS.get(inner.code()))



class Watch:
    """What the threads of a client report: trouble that is retried, and what cannot be.

    librdkafka calls it from within `poll` and `flush`, so on the thread that owns the client.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._refused: KafkaError | None = None
        self.trouble: str | None = None
        self._clock = SystemClock()
        self._told, self._told_s = False, -QUIET_S

    def on_error(self, error: KafkaError) -> None:
        if error.code() in _REFUSED or error.fatal():
            self._refused = error
        elif error.code() != KafkaError._ALL_BROKERS_DOWN or self.trouble is None:
            self.trouble = _text(error)
            now_s = self._clock.monotonic_s()
            if now_s - self._told_s >= QUIET_S:
                self._told_s, self._told = now_s, True
                log.warning("kafka connection trouble, retried",
                            extra={"fields": {"server": self._connection.servers, "reason": self.trouble}})

    def recovered(self) -> None:
        """The cluster has answered."""
        if self.trouble is not None and self._told:
            log.info("kafka connection is back", extra={"fields": {"server": self._connection.servers}})
        self.trouble, self._told = None, False

    def check(self) -> None:
        """Raises ConnectorError when the cluster refused this client for good."""
        if self._refused is not None:
            raise ConnectorError(f"{self._connection} refused the client: {_text(self._refused)}",
                                 hint=_HINTS.get(self._refused.code()))


def config(connection: Connection, watch: Watch, ours: dict[str, Any],
           forced: dict[str, Any]) -> dict[str, Any]:
    """The settings of a client: ours, over them the user's, over them what must hold."""
    servers = connection.servers
    if connection.mock:
        # The mock cluster holds an empty fetch for the whole wait, even when data arrives meanwhile.
        ours = {**ours, "fetch.wait.max.ms": 10} if "fetch.queue.backoff.ms" in ours else ours
        servers = kafka_mock.broker(servers).bootstrap
    # A broker that is back is found within a second; the library's own bound is ten.
    always = {"client.id": "streamsql", "reconnect.backoff.max.ms": 1000}
    return {**always, **ours, **connection.properties.client, **forced,
            "bootstrap.servers": servers, "error_cb": watch.on_error, "logger": library_log}


def made(make: Callable[[dict[str, Any]], Any], settings: dict[str, Any], connection: Connection) -> Any:
    """A client; a combination of settings that the library refuses is a ConnectorError."""
    try:
        return make(settings)
    except KafkaException as error:
        raise failure("start a client", connection, error,
                      hint="Check 'properties.*' of the table.") from error


def metadata(client: Client, watch: Watch, connection: Connection,
             topic: str | None = None) -> ClusterMetadata:
    """The brokers, and one topic or all; the first call of a client, which shows that it can connect.

    Raises: ConnectorError at once when the cluster refuses the login, and after the patience of
    the connection when it cannot be reached.
    """
    patience_s = connection.properties.patience_ms / 1000
    last: KafkaError | None = None
    for share in (0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.3):  # the client tells of a refusal only between waits
        try:
            about = {} if topic is None else {"topic": topic}
            found: ClusterMetadata = client.list_topics(timeout=share * patience_s, **about)
            watch.recovered()
            return found
        except KafkaException as error:
            last = reason_of(error)
            if last.code() not in _UNREACHABLE:
                raise failure("read the list of topics", connection, last) from error
        client.poll(0)
        watch.check()
    assert last is not None
    reason = watch.trouble or _text(last)
    raise ConnectorError(f"cannot reach {connection} within {patience_s:g} s: {reason}", hint=_REACH)


EARLIEST, LATEST = -2, -1


def offsets_at(consumer: Consumer, connection: Connection, partitions: Iterable[tuple[str, int]],
               moment: int) -> dict[tuple[str, int], int]:
    """The first offset at or after a moment in ms, EARLIEST, or LATEST: one request a broker.

    LATEST is the last stable offset unless uncommitted records are read. A partition without a
    record that late gives -1. Librdkafka hands the moment to the broker as it is, and the protocol
    means the ends of the log by -1 and -2.
    """
    asked = [TopicPartition(topic, partition, moment) for topic, partition in partitions]
    return _answers(consumer, "look up offsets", connection, asked,
                    lambda timeout: consumer.offsets_for_times(asked, timeout))


def committed(consumer: Consumer, connection: Connection,
              partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """The consumer group's offsets; negative where it has none."""
    asked = [TopicPartition(topic, partition) for topic, partition in partitions]
    return _answers(consumer, "read the offsets of the consumer group", connection, asked,
                    lambda timeout: consumer.committed(asked, timeout))


_PASSING = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE,
            KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION, KafkaError._WAIT_COORD,
            KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE,
            KafkaError.NOT_COORDINATOR)
"""What brokers answer for a moment about a topic that is new, or while leaders move."""
WAIT_S = 0.1


def _answers(client: Consumer, doing: str, connection: Connection, asked: list[TopicPartition],
             ask: Callable[[float], list[TopicPartition]]) -> dict[tuple[str, int], int]:
    """Ask until it is answered, at most for the patience of the connection.

    `client` polls between the questions, so it must not be fetching yet.
    """
    if not asked:
        return {}
    patience_s = connection.properties.patience_ms / 1000
    where, wrong = "", KafkaError(KafkaError._TIMED_OUT)
    for _ in range(max(1, int(patience_s / WAIT_S))):
        try:
            answers = ask(patience_s)
            bad = next((answer for answer in answers if answer.error is not None), None)
            if bad is None:
                return {(a.topic, a.partition): int(a.offset) for a in answers}
            assert bad.error is not None
            where, wrong = f' of topic "{bad.topic}", partition {bad.partition}', bad.error
        except KafkaException as error:
            where, wrong = "", reason_of(error)
        if wrong.code() not in _PASSING:
            break
        client.poll(WAIT_S)
    raise failure(f"{doing}{where}", connection, wrong)

"""The Kafka sink: what arrives where, which topics it creates, and what it says when it cannot write."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pyarrow as pa
import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from streamsql.connectors.kafka_writer import KafkaSink
from streamsql.errors import ConnectorError, DataError
from tests.kafka.broker import Broker
from tests.kafka.tables import PULLS, Cluster, columns, fresh, opened, wait_for

HEADERS = pa.map_(pa.string(), pa.binary())


def table(values: Sequence[bytes | None], **more: pa.Array) -> pa.Table:
    return pa.table({"value": pa.array(values, pa.binary()),
                     **{name.replace("__", "$meta."): column for name, column in more.items()}})


def keys(*names: bytes | None) -> pa.Array:
    return pa.array(names, pa.binary())


def epoch(sink: KafkaSink, *tables: pa.Table) -> None:
    """One epoch to the end, and the sink's own end."""
    try:
        for rows in tables:
            sink.write(rows)
        sink.flush()
        sink.commit(1)
    finally:
        sink.close()


def partitions(cluster: Cluster, topic: str = "") -> int:
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "count"})
    found = consumer.list_topics(topic or cluster.topic, timeout=10).topics[topic or cluster.topic]
    consumer.close()
    return len(found.partitions)


def test_values_and_keys_arrive_nulls_too(cluster: Cluster) -> None:
    cluster.create(partitions=1)
    sink = cluster.sink()
    epoch(sink, table([b"a", b"", None], key=keys(b"k", None, b"")), table([]))
    assert columns(cluster, ["value", "key"]) == [
        {"value": b"a", "key": b"k"}, {"value": b"", "key": None}, {"value": None, "key": b""}]
    assert (sink.statistics().rows, sink.statistics().bytes, sink.statistics().error) == (3, 2, None)


def test_written_metadata_arrives(cluster: Cluster) -> None:
    cluster.create(partitions=1)
    moment = dt.datetime(2024, 5, 6, 7, 8, 9, 123000, tzinfo=dt.UTC)
    rows = table([b"a", b"b", b"c"], __timestamp=pa.array([moment, moment, None], pa.timestamp("us", "UTC")),
                 __headers=pa.array([[("x", b"1"), ("y", None)], [], None], HEADERS))
    before = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    epoch(cluster.sink(metadata={"ts": "timestamp", "h": "headers"}), rows)
    found = columns(cluster, ["value", "$meta.timestamp", "$meta.headers"])
    assert [row["$meta.headers"] for row in found] == [[("x", b"1"), ("y", None)], [], []]
    times = [row["$meta.timestamp"] for row in found]
    assert times[:2] == [moment, moment]
    assert isinstance(times[2], dt.datetime)
    assert times[2] > before, "NULL is the time of writing"


def test_of_a_repeated_header_the_last_is_read(cluster: Cluster) -> None:
    from confluent_kafka import Producer

    cluster.create(partitions=1)
    producer = Producer({"bootstrap.servers": cluster.bootstrap})
    producer.produce(cluster.topic, b"a", headers=[("x", b"1"), ("y", b"2"), ("x", b"3")])
    assert producer.flush(10) == 0
    assert columns(cluster, ["$meta.headers"])[0]["$meta.headers"] == [("x", b"3"), ("y", b"2")]


def test_a_timestamp_before_1970_is_refused(embedded: Cluster) -> None:
    old = pa.array([dt.datetime(1969, 1, 1, tzinfo=dt.UTC)], pa.timestamp("us", "UTC"))
    with pytest.raises(DataError) as error:
        epoch(embedded.sink(metadata={"ts": "timestamp"}), table([b"a"], __timestamp=old))
    assert str(error.value) == ('a row of table "t" has a timestamp before 1970\n'
                                "  hint: Kafka cannot hold it: write NULL for the time of writing.")


def test_a_key_goes_to_the_partition_that_java_clients_choose(cluster: Cluster) -> None:
    """murmur2 of the key, as in Flink: expected numbers from Kafka's own hash."""
    cluster.create(partitions=4)
    names = [b"ann", b"bob", b"eve", b"", b"a-longer-key"]
    epoch(cluster.sink(), table(names, key=keys(*names)))
    found = {row["value"]: row["$meta.partition"] for row in columns(cluster, ["value", "$meta.partition"])}
    assert found == {name: (murmur2(name) & 0x7FFFFFFF) % 4 for name in names}


def murmur2(data: bytes) -> int:
    """The hash of Kafka's Java clients, written down plainly from its definition."""
    mixer, mask = 0x5BD1E995, 0xFFFFFFFF
    state = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i:i + 4], "little") * mixer & mask
        k = (k ^ k >> 24) * mixer & mask
        state = (state * mixer & mask) ^ k
    rest = data[whole:]
    if rest:
        state = (state ^ int.from_bytes(rest, "little")) * mixer & mask
    state = (state ^ state >> 13) * mixer & mask
    return state ^ state >> 15


@pytest.mark.parametrize(("partitioner", "expected"), [("fixed", [0, 0, 0, 0, 0]),
                                                       ("round-robin", [0, 1, 2, 0, 1])])
def test_partitioners(cluster: Cluster, partitioner: str, expected: list[int]) -> None:
    cluster.create(partitions=3)
    rows = [table([b"%d" % i for i in part]) for part in ([0, 1], [2, 3, 4])]
    epoch(cluster.sink({"sink.partitioner": partitioner}), *rows)
    found = {row["value"]: row["$meta.partition"] for row in columns(cluster, ["value", "$meta.partition"])}
    assert [found[b"%d" % i] for i in range(5)] == expected


def test_several_topics(cluster: Cluster) -> None:
    other = f"{cluster.topic}b"
    options = {"topic": f"{cluster.topic};{other}", "sink.topic.partitions": "1"}
    sink = cluster.sink(options, {"topic": "topic"})
    epoch(sink, table([b"1", b"2", b"3"], __topic=pa.array([cluster.topic, other, cluster.topic])))
    assert [row["value"] for row in columns(cluster, ["value"])] == [b"1", b"3"]
    assert [row["value"] for row in columns(cluster, ["value"], {"topic": other})] == [b"2"]


def test_several_topics_by_pattern(cluster: Cluster) -> None:
    cluster.create(partitions=1)
    sink = cluster.sink({"topic-pattern": f"{cluster.topic}.?"}, {"topic": "topic"})
    later = cluster.create(f"{cluster.topic}b", 1)
    epoch(sink, table([b"1", b"2"], __topic=pa.array([cluster.topic, later])))
    assert [row["value"] for row in columns(cluster, ["value"], {"topic": f"{cluster.topic};{later}"})] == \
        [b"1", b"2"]


@pytest.mark.parametrize(("topic", "text"), [
    ("ordes", 'a row of table "t" is for topic "ordes", which its options do not name\n'
              '  hint: Did you mean "orders"? Topics: clicks, orders'),
    (None, 'a row of table "t" has NULL as its topic\n'
           "  hint: Give the metadata column of the topic a value in every row.")])
def test_a_topic_that_is_not_the_tables(embedded: Cluster, topic: str | None, text: str) -> None:
    sink = embedded.sink({"topic": "orders;clicks"}, {"topic": "topic"})
    with pytest.raises(DataError) as error:
        epoch(sink, table([b"1"], __topic=pa.array([topic], pa.string())))
    assert str(error.value) == text


def test_a_missing_topic_is_created(cluster: Cluster) -> None:
    epoch(cluster.sink({"sink.topic.partitions": "3"}), table([b"a"]))
    assert partitions(cluster) == 3
    epoch(cluster.sink({"sink.topic.partitions": "5"}), table([b"b"]))
    assert partitions(cluster) == 3, "one that exists is left as it is"


def test_a_missing_topic_is_created_with_settings(real: Cluster) -> None:
    epoch(real.sink({"sink.topic.config.cleanup.policy": "compact", "sink.topic.replication-factor": "1"}),
          table([b"a"], key=keys(b"k")))
    admin = AdminClient({"bootstrap.servers": real.servers})
    resource = ConfigResource("topic", real.topic)
    found = admin.describe_configs([resource])[resource].result()
    assert found["cleanup.policy"].value == "compact"
    assert partitions(real) == 1


def test_a_topic_that_the_broker_will_not_create(real: Cluster) -> None:
    with pytest.raises(ConnectorError) as error:
        real.sink({"sink.topic.config.cleanup.polcy": "compact"})
    assert str(error.value) == (f'cannot create topic "{real.topic}" on Kafka at "{real.servers}": '
                                "Unknown topic config name: cleanup.polcy")


def test_more_replicas_than_brokers(real: Cluster) -> None:
    with pytest.raises(ConnectorError) as error:
        real.sink({"sink.topic.replication-factor": "3"})
    assert str(error.value) == (
        f"'sink.topic.replication-factor'='3' needs as many brokers, and Kafka at \"{real.servers}\" has 1"
        "\n"
        "  hint: Write a smaller number.")


def test_the_embedded_broker_has_no_settings_of_topics(embedded: Cluster) -> None:
    with pytest.raises(ConnectorError) as error:
        embedded.sink({"sink.topic.config.cleanup.policy": "compact"})
    assert str(error.value) == (
        f'Kafka at "{embedded.servers}" is the embedded broker, which has neither replicas nor '
        "settings of topics\n"
        "  hint: Remove 'sink.topic.replication-factor' and 'sink.topic.config.*', or use a real broker.")


def test_a_missing_topic_that_must_not_be_created(cluster: Cluster) -> None:
    cluster.create("payments")
    with pytest.raises(ConnectorError) as error:
        cluster.sink({"topic": "paymens", "sink.topic.auto-create": "false"})
    text = str(error.value)
    assert text.startswith(f'topic "paymens" does not exist on Kafka at "{cluster.servers}"\n'
                           '  hint: Did you mean "payments"? Topics: ')


def test_a_broker_that_cannot_be_reached() -> None:
    with pytest.raises(ConnectorError) as error:
        Cluster("127.0.0.1:1", "t").sink({"properties.max.block.ms": "300"})
    assert str(error.value) == (
        'cannot reach Kafka at "127.0.0.1:1" within 0.3 s: 127.0.0.1:1/bootstrap: Connect to '
        "ipv4#127.0.0.1:1 failed: Connection refused\n"
        "  hint: Check that the broker runs, that 'properties.bootstrap.servers' is right, and that the "
        "brokers' advertised.listeners can be reached from here.")


def test_a_record_that_is_too_large(cluster: Cluster) -> None:
    cluster.create(partitions=1)
    sink = cluster.sink({"properties.message.max.bytes": "2000"})
    with pytest.raises(ConnectorError) as error:
        epoch(sink, table([b"x" * 3000]))
    assert str(error.value) == (
        f'cannot write to topic "{cluster.topic}" on Kafka at "{cluster.servers}": Message size too large\n'
        "  hint: Raise 'properties.message.max.bytes', and the topic's max.message.bytes.")


def test_records_that_the_broker_refuses_fail_the_epoch(real: Cluster) -> None:
    real.create(partitions=1, config={"max.message.bytes": "2000"})
    with pytest.raises(ConnectorError) as error:
        epoch(real.sink(), table([b"x" * 3000]))
    assert str(error.value) == (
        f'cannot write to topic "{real.topic}", partition 0 on Kafka at "{real.servers}": '
        "Message size too large\n"
        "  detail: 1 record was not delivered.\n"
        "  hint: Raise 'properties.message.max.bytes', and the topic's max.message.bytes.")


def test_a_full_queue_makes_write_wait(cluster: Cluster) -> None:
    cluster.create(partitions=1)
    values: list[bytes | None] = [b"%d" % i for i in range(5000)]
    epoch(cluster.sink({"properties.queue.buffering.max.messages": "100"}), table(values))
    assert [row["value"] for row in columns(cluster, ["value"])] == values


@pytest.mark.parametrize("key", ["sink.delivery-guarantee", "sink.semantic"])
def test_with_the_guarantee_none_rows_are_sent_at_the_end(cluster: Cluster, key: str) -> None:
    cluster.create(partitions=1)
    epoch(cluster.sink({key: "none"}), table([b"a"]))
    assert columns(cluster, ["value"]) == [{"value": b"a"}]


def test_a_closed_sink_says_so(embedded: Cluster) -> None:
    sink = embedded.sink()
    sink.close()
    sink.close()
    with pytest.raises(ConnectorError, match='the sink of table "t" is closed'):
        sink.write(table([b"a"]))


LOGIN = {"properties.security.protocol": "SASL_PLAINTEXT", "properties.sasl.mechanism": "PLAIN"}
JAAS = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="{}";'


def test_a_login_in_java_words(broker_process: Broker) -> None:
    cluster = fresh(broker_process.login_bootstrap)
    login = {**LOGIN, "properties.sasl.jaas.config": JAAS.format("secret")}
    epoch(cluster.sink(login), table([b"a"]))
    assert columns(cluster, ["value"], login) == [{"value": b"a"}]


@pytest.mark.parametrize("side", ["source", "sink"])
def test_a_refused_login_is_an_error_at_once(broker_process: Broker, side: str) -> None:
    cluster = fresh(broker_process.login_bootstrap)
    login = {**LOGIN, "properties.sasl.username": "alice", "properties.sasl.password": "wrong",
             "properties.default.api.timeout.ms": "60000"}
    with pytest.raises(ConnectorError) as error:
        cluster.sink(login) if side == "sink" else opened(cluster.source(login))
    assert str(error.value).startswith(f'Kafka at "{cluster.servers}" refused the client: ')
    assert "wrong" not in str(error.value)
    assert str(error.value).endswith(
        "  hint: Check 'properties.security.protocol', 'properties.sasl.mechanism', "
        "'properties.sasl.username' and 'properties.sasl.password'.")


def test_a_broker_that_dies_is_waited_for() -> None:
    """Both ends say what is wrong meanwhile, and lose and repeat nothing when it is back.

    Nor does closing wait for long when it is gone for good, with an offset commit and a record on their way.
    """
    with Broker(heap="256m") as own:
        cluster = fresh(own.bootstrap)
        sink = cluster.sink({"sink.topic.partitions": "1"})
        source = opened(cluster.source({"properties.group.id": "g"}, bounded=False))
        sink.write(table([b"before"]))
        sink.flush()
        assert [value for *_, value in wait_for(source, 1)] == [b"before"]
        own.kill()
        for _ in range(PULLS):
            assert source.poll(10, 0.05) is None
            if "127.0.0.1" in (source.statistics().error or ""):
                break
        assert "127.0.0.1" in (source.statistics().error or "")
        sink.write(table([b"meanwhile"]))
        own.restart()
        sink.flush()
        assert sink.statistics().error is None
        assert [value for *_, value in wait_for(source, 1)] == [b"meanwhile"]
        assert source.statistics().error is None
        own.kill()
        source.commit({f"{cluster.topic}-0": 2})
        sink.write(table([b"dropped"]))
        source.close()
        sink.close()

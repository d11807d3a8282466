"""The Kafka source: where it starts and ends, what it resumes, what it finds, what it says."""

from __future__ import annotations

import pytest

from streamsql.connectors import kafka, kafka_mock
from streamsql.connectors.kafka_reader import KafkaSource
from streamsql.core.clock import ManualClock
from streamsql.errors import ConnectorError
from tests.kafka.tables import PULLS, Cluster, columns, opened, pulled, rows, wait_for
from tests.unit.connectors import contract


def filled(cluster: Cluster) -> Cluster:
    """Two partitions: a0 … a4 in the first, b0 b1 b2 in the second."""
    cluster.create()
    cluster.put([b"a%d" % i for i in range(5)], 0, timestamps=[1000 * (i + 1) for i in range(5)])
    cluster.put([b"b%d" % i for i in range(3)], 1, timestamps=[1000 * (i + 1) for i in range(3)])
    return cluster


def values(found: list[tuple[str, int, bytes | None]]) -> list[bytes | None]:
    return [value for _, _, value in found]


ALL = [b"a0", b"a1", b"a2", b"a3", b"a4", b"b0", b"b1", b"b2"]


def test_reads_everything_there_is_and_ends(cluster: Cluster) -> None:
    filled(cluster)
    topic = cluster.topic
    assert cluster.read() == [*((f"{topic}-0", i, b"a%d" % i) for i in range(5)),
                              *((f"{topic}-1", i, b"b%d" % i) for i in range(3))]


def test_cuts_and_resumption_do_not_change_what_is_read(cluster: Cluster) -> None:
    filled(cluster)
    contract.cut_does_not_matter(cluster.source, ["value"])
    contract.resumes_anywhere(cluster.source, ["value"])


def test_an_empty_topic_ends_at_once(cluster: Cluster) -> None:
    cluster.create(partitions=3)
    source = opened(cluster.source())
    assert source.finished()
    assert source.ended() == {0, 1, 2}
    assert source.poll(10, 5.0) is None
    source.close()


def test_startup_latest_gives_only_what_comes(cluster: Cluster) -> None:
    filled(cluster)
    source = opened(cluster.source({"scan.startup.mode": "latest-offset"}, bounded=False))
    cluster.put([b"new"], 1)
    assert values(wait_for(source, 1)) == [b"new"]
    assert not source.finished()
    source.close()


def test_the_first_chunk_tells_the_starts_of_silent_partitions_too(cluster: Cluster) -> None:
    """Without it a resumed job would begin a silent partition at the latest offset once more."""
    filled(cluster)
    source = opened(cluster.source({"scan.startup.mode": "latest-offset"}, bounded=False))
    cluster.put([b"new"], 1)
    chunk = next(c for c in (source.poll(10, 0.05) for _ in range(PULLS)) if c)
    source.close()
    assert chunk.positions == {0: 5, 1: 4}


def test_startup_group_offsets(cluster: Cluster) -> None:
    filled(cluster)
    cluster.commit("g1", {0: 3, 1: 2})
    assert values(cluster.read({"scan.startup.mode": "group-offsets", "properties.group.id": "g1"})) == \
        [b"a3", b"a4", b"b2"]


@pytest.mark.parametrize(("reset", "expected"), [("earliest", [b"a3", b"a4", b"b0", b"b1", b"b2"]),
                                                 ("latest", [b"a3", b"a4"])])
def test_startup_group_offsets_missing_with_reset(cluster: Cluster, reset: str,
                                                  expected: list[bytes]) -> None:
    filled(cluster)
    cluster.commit("g2", {0: 3})
    options = {"scan.startup.mode": "group-offsets", "properties.group.id": "g2",
               "properties.auto.offset.reset": reset}
    assert values(cluster.read(options)) == expected


def test_startup_group_offsets_missing_without_reset(cluster: Cluster) -> None:
    filled(cluster)
    with pytest.raises(ConnectorError) as error:
        cluster.read({"scan.startup.mode": "group-offsets"})
    assert str(error.value) == (
        f'consumer group "KafkaSource-t" has no offset for topic "{cluster.topic}", partition 0, on Kafka at '
        f'"{cluster.servers}"\n'
        "  hint: Write 'scan.startup.mode'='earliest-offset' or 'latest-offset', or keep 'group-offsets' "
        "(the default) and say where else to begin: 'properties.auto.offset.reset'='earliest'.")


def test_startup_specific_offsets(cluster: Cluster) -> None:
    """As in Flink, a partition that is not named begins at its first record."""
    filled(cluster)
    options = {"scan.startup.mode": "specific-offsets",
               "scan.startup.specific-offsets": "partition:0,offset:4"}
    assert values(cluster.read(options)) == [b"a4", b"b0", b"b1", b"b2"]


def test_startup_specific_offsets_of_a_partition_that_is_not_there(cluster: Cluster) -> None:
    filled(cluster)
    with pytest.raises(ConnectorError) as error:
        cluster.read({"scan.startup.mode": "specific-offsets",
                      "scan.startup.specific-offsets": "partition:7,offset:4"})
    assert str(error.value) == (
        f'topic "{cluster.topic}" on Kafka at "{cluster.servers}" has no partition 7, which '
        "'scan.startup.specific-offsets' names\n  hint: It has the partitions 0 to 1.")


def test_bounded_specific_offsets(cluster: Cluster) -> None:
    """As in Flink, a partition that is not named is not read."""
    filled(cluster)
    options = {"scan.bounded.mode": "specific-offsets",
               "scan.bounded.specific-offsets": "partition:0,offset:2"}
    assert values(cluster.read(options)) == [b"a0", b"a1"]


def test_bounded_group_offsets(cluster: Cluster) -> None:
    filled(cluster)
    cluster.commit("g3", {0: 1, 1: 2})
    options = {"scan.bounded.mode": "group-offsets", "properties.group.id": "g3"}
    assert values(cluster.read(options)) == [b"a0", b"b0", b"b1"]


def test_bounded_group_offsets_missing(cluster: Cluster) -> None:
    filled(cluster)
    with pytest.raises(ConnectorError) as error:
        cluster.read({"scan.bounded.mode": "group-offsets", "properties.group.id": "nobody"})
    assert str(error.value) == (
        f'consumer group "nobody" has no offset for topic "{cluster.topic}", partition 0, on Kafka at '
        f"\"{cluster.servers}\", so 'scan.bounded.mode'='group-offsets' has no end\n"
        "  hint: Write 'scan.bounded.mode'='latest-offset'.")


def test_bounded_never_reads_past_the_end_that_was_at_open(cluster: Cluster) -> None:
    filled(cluster)
    source = opened(cluster.source())
    cluster.put([b"later"] * 10, 0)
    found = []
    for _ in range(PULLS):
        if source.finished():
            break
        found += pulled(source, 2)
    source.close()
    assert values(sorted(found)) == ALL


def test_startup_and_bounded_timestamp(real: Cluster) -> None:
    filled(real)
    options = {"scan.startup.mode": "timestamp", "scan.startup.timestamp-millis": "2500",
               "scan.bounded.mode": "timestamp", "scan.bounded.timestamp-millis": "4000"}
    assert values(real.read(options)) == [b"a2", b"b2"]


def test_a_timestamp_after_the_last_record_is_the_end(real: Cluster) -> None:
    filled(real)
    until = {"scan.bounded.mode": "timestamp", "scan.bounded.timestamp-millis": "99000"}
    since = {"scan.startup.mode": "timestamp", "scan.startup.timestamp-millis": "99000"}
    assert values(real.read(until)) == ALL
    assert real.read(since) == []


def test_positions_go_before_the_start_mode(cluster: Cluster) -> None:
    filled(cluster)
    positions = {f"{cluster.topic}-0": 4}
    assert values(cluster.read({"scan.startup.mode": "earliest-offset"}, positions)) == \
        [b"a4", b"b0", b"b1", b"b2"]


def test_a_position_that_the_log_does_not_have(cluster: Cluster) -> None:
    filled(cluster)
    with pytest.raises(ConnectorError) as error:
        cluster.read(positions={f"{cluster.topic}-0": 17})
    assert str(error.value) == (
        f'topic "{cluster.topic}", partition 0, on Kafka at "{cluster.servers}" cannot be read from '
        "offset 17: it holds the offsets 0 to 5\n"
        "  detail: The records from offset 17 on do not exist.\n"
        "  hint: Was the topic created anew, or its retention too short? Write "
        "'properties.auto.offset.reset'='earliest' to go on with the first record there is.")
    again = cluster.read({"properties.auto.offset.reset": "earliest"}, {f"{cluster.topic}-0": 17})
    assert values(again) == ALL


def test_topic_list(cluster: Cluster) -> None:
    filled(cluster)
    other = cluster.create(f"{cluster.topic}x", 1)
    cluster.put([b"x0"], 0, other)
    found = columns(cluster, ["value", "$meta.topic", "$meta.partition"],
                    {"topic": f"{cluster.topic};{other}"})
    assert [row["value"] for row in found] == [*ALL, b"x0"]
    assert [row["$meta.topic"] for row in found] == [cluster.topic] * 8 + [other]
    assert [row["$meta.partition"] for row in found] == [0] * 5 + [1] * 3 + [0]


def test_topic_pattern_matches_whole_names(cluster: Cluster) -> None:
    filled(cluster)
    cluster.put([b"x0"], 0, cluster.create(f"{cluster.topic}x", 1))
    cluster.put([b"y0"], 0, cluster.create(f"{cluster.topic}xy", 1))
    assert values(cluster.read({"topic-pattern": f"{cluster.topic}.?"})) == [*ALL, b"x0"]


def test_a_pattern_that_matches_nothing_is_finished(cluster: Cluster) -> None:
    assert cluster.read({"topic-pattern": "nothing.*"}) == []


def test_new_topics_and_partitions_are_found_and_read_from_their_start(real: Cluster) -> None:
    filled(real)
    clock = ManualClock()
    options = {"topic-pattern": f"{real.topic}.*", "scan.startup.mode": "latest-offset",
               "scan.topic-partition-discovery.interval": "10 s"}
    source = opened(real.source(options, bounded=False), clock=clock)
    late = real.create(f"{real.topic}-late", 1)
    real.put([b"l0", b"l1"], 0, late)
    clock.advance_us(9_999_999)
    assert pulled(source) == []
    assert len(source.splits()) == 2
    clock.advance_us(1)
    assert values(wait_for(source, 2)) == [b"l0", b"l1"]
    assert [split.id for split in source.splits()] == [f"{real.topic}-0", f"{real.topic}-1", f"{late}-0"]
    source.close()


def test_no_discovery_when_its_interval_is_zero(embedded: Cluster) -> None:
    clock = ManualClock()
    options = {"topic-pattern": "late.*", "scan.topic-partition-discovery.interval": "0"}
    source = opened(embedded.source(options, bounded=False), clock=clock)
    embedded.put([b"l0"], 0, embedded.create("late1"))
    clock.advance_us(10**12)
    assert [pulled(source) for _ in range(3)] == [[], [], []]
    source.close()


def test_metadata(cluster: Cluster) -> None:
    cluster.create(partitions=1)
    cluster.put([b"a", None], 0, timestamps=[1_700_000_000_123, 1_700_000_000_124])
    found = columns(cluster, ["value", "key", *(f"$meta.{key}" for key in kafka.METADATA)])
    assert [(r["value"], r["key"], r["$meta.offset"], r["$meta.partition"]) for r in found] == \
        [(b"a", None, 0, 0), (None, None, 1, 0)]
    assert [str(r["$meta.timestamp"]) for r in found] == ["2023-11-14 22:13:20.123000+00:00",
                                                          "2023-11-14 22:13:20.124000+00:00"]
    assert {(r["$meta.topic"], r["$meta.timestamp-type"], r["$meta.leader-epoch"]) for r in found} == \
        {(cluster.topic, "CreateTime", 0)}
    assert [r["$meta.headers"] for r in found] == [[], []]


def test_metadata_columns_have_the_arrow_type_of_their_key(cluster: Cluster) -> None:
    cluster.create(partitions=1)
    cluster.put([b"a"])
    keys = [f"$meta.{key}" for key in kafka.METADATA]
    source = opened(cluster.source(), keys)
    chunk = next(c for c in (source.poll(10, 0.05) for _ in range(PULLS)) if c)
    source.close()
    for key, meta in kafka.METADATA.items():
        assert chunk.table.schema.field(f"$meta.{key}").type == meta.type.arrow_type(), key
    assert chunk.table["value"].to_pylist() == [None], "not asked for, so not filled"


def test_log_append_time(real: Cluster) -> None:
    real.create(partitions=1, config={"message.timestamp.type": "LogAppendTime"})
    real.put([b"a"])
    assert columns(real, ["$meta.timestamp-type"])[0]["$meta.timestamp-type"] == "LogAppendTime"


def test_commit_stores_the_offsets_of_the_group(cluster: Cluster) -> None:
    filled(cluster)
    source = opened(cluster.source({"properties.group.id": "g4"}))
    source.commit({f"{cluster.topic}-0": 5, f"{cluster.topic}-1": 3})
    source.close()
    assert cluster.committed("g4") == [5, 3]


@pytest.mark.parametrize("options", [{}, {"properties.group.id": "g5",
                                          "properties.commit.offsets.on.checkpoint": "false"}])
def test_commit_without_a_group_or_when_switched_off_does_nothing(cluster: Cluster,
                                                                  options: dict[str, str]) -> None:
    filled(cluster)
    source = opened(cluster.source(options))
    source.commit({f"{cluster.topic}-0": 5})
    source.close()
    assert cluster.committed("g5") == cluster.committed("KafkaSource-t") == [-1001, -1001]


def test_statistics(cluster: Cluster) -> None:
    filled(cluster)
    source = opened(cluster.source())
    assert source.statistics().lag_rows == 8
    for _ in range(PULLS):
        if source.finished():
            break
        source.poll(3, 0.05)
    found = source.statistics()
    source.close()
    assert (found.rows, found.bytes, found.lag_rows, found.error) == (8, 16, 0, None)
    assert source.statistics() == found


def test_lag_of_a_source_without_end(cluster: Cluster) -> None:
    filled(cluster)
    source = opened(cluster.source(bounded=False))
    wait_for(source, 8)
    assert source.statistics().lag_rows == 0
    source.close()


def test_a_topic_that_is_missing(real: Cluster) -> None:
    real.create("orders-eu", 1)
    with pytest.raises(ConnectorError) as error:
        real.read({"topic": "orders-uu"})
    text = str(error.value)
    assert text.startswith(f'topic "orders-uu" does not exist on Kafka at "{real.servers}"\n'
                           '  hint: Did you mean "orders-eu"? Topics: ')
    assert "__" not in text


def test_the_embedded_broker_creates_a_topic_that_is_missing(embedded: Cluster) -> None:
    source = opened(embedded.source(bounded=False))
    assert len(source.splits()) == 4
    embedded.put([b"a"], 3)
    assert wait_for(source, 1) == [(f"{embedded.topic}-3", 0, b"a")]
    source.close()


def test_embedded_brokers_of_different_names_do_not_meet(embedded: Cluster) -> None:
    other = Cluster(embedded.servers + "b", embedded.topic)
    embedded.create()
    other.create()
    embedded.put([b"a"])
    assert other.read() == []
    kafka_mock.close(other.servers)


def test_a_broker_that_cannot_be_reached(real: Cluster) -> None:
    nowhere = Cluster("127.0.0.1:1", "t")
    with pytest.raises(ConnectorError) as error:
        nowhere.read({"properties.default.api.timeout.ms": "300"})
    assert str(error.value) == (
        'cannot reach Kafka at "127.0.0.1:1" within 0.3 s: 127.0.0.1:1/bootstrap: Connect to '
        "ipv4#127.0.0.1:1 failed: Connection refused\n"
        "  hint: Check that the broker runs, that 'properties.bootstrap.servers' is right, and that the "
        "brokers' advertised.listeners can be reached from here.")


def test_a_closed_source_says_so(embedded: Cluster) -> None:
    source = opened(embedded.source())
    source.close()
    source.close()
    with pytest.raises(ConnectorError, match='the source of table "t" is closed'):
        source.poll(1, 0)


def transaction(cluster: Cluster, values: list[bytes], *, name: str, commit: bool) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": cluster.bootstrap, "transactional.id": name})
    producer.init_transactions(10)
    producer.begin_transaction()
    for value in values:
        producer.produce(cluster.topic, value, partition=0)
    producer.flush(10)
    if commit:
        producer.commit_transaction(10)
    else:
        producer.abort_transaction(10)


def test_a_transactional_topic_is_read_to_its_end(real: Cluster) -> None:
    """Control records take offsets that no record has; aborted records are not given."""
    real.create(partitions=1)
    transaction(real, [b"a", b"b"], name="tx1", commit=True)
    transaction(real, [b"x", b"y"], name="tx1", commit=False)
    assert real.read() == [(f"{real.topic}-0", 0, b"a"), (f"{real.topic}-0", 1, b"b")]
    uncommitted = real.read({"properties.isolation.level": "read_uncommitted"})
    assert values(uncommitted) == [b"a", b"b", b"x", b"y"]


def test_the_position_passes_trailing_control_records(real: Cluster) -> None:
    real.create(partitions=1)
    transaction(real, [b"a"], name="tx2", commit=True)
    source = opened(real.source(bounded=False))
    wait_for(source, 1)
    for _ in range(PULLS):
        if source.statistics().lag_rows == 0:
            break
        pulled(source)
    assert source.statistics().lag_rows == 0
    source.close()


def test_a_compacted_topic_is_read_over_its_gaps(real: Cluster) -> None:
    """An offset that does not exist any more is passed: here the gap is an aborted transaction."""
    real.create(partitions=1)
    real.put([b"a"])
    transaction(real, [b"x"], name="tx3", commit=False)
    real.put([b"b"])
    found = real.read()
    assert found == [(f"{real.topic}-0", 0, b"a"), (f"{real.topic}-0", 3, b"b")]
    assert values(rows(real.source(), {f"{real.topic}-0": 1})) == [b"b"]


def test_the_source_knows_whether_it_is_bounded(embedded: Cluster) -> None:
    def bounded(source: KafkaSource) -> bool:
        return source.bounded

    assert [bounded(embedded.source()), bounded(embedded.source(bounded=False))] == [True, False]


def test_records_that_the_embedded_broker_forgot_are_warned_of(
        embedded: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    embedded.create(partitions=1)
    for _ in range(8):
        embedded.put([b"x" * 900_000], 0)
    assert len(embedded.read()) < 8
    warned = [record.message for record in caplog.records if "embedded broker" in record.message]
    assert warned == [
        "the embedded broker no longer has the first records: it keeps 5 MiB a partition"]

"""What WITH says of a Kafka table: translated, and refused with the whole text. No broker is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamsql.connectors import kafka
from streamsql.connectors.kafka_options import read_settings, write_settings
from streamsql.connectors.kafka_properties import translate
from streamsql.core.connector import MetadataColumn, TableSpec
from streamsql.core.options import OptionError
from streamsql.core.types import STRING
from tests.unit.connectors import contract

BASE = {"properties.bootstrap.servers": "broker:9092", "topic": "orders"}


def spec(options: dict[str, str] | None = None, base: dict[str, str] = BASE) -> TableSpec:
    return contract.spec(kafka, {}, {**base, **(options or {})}, encoded=True)


def test_defaults_are_flinks() -> None:
    read, write = read_settings(spec()), write_settings(spec())
    assert (read.start.mode, read.end, read.discovery_ms) == ("group-offsets", None, 300_000)
    assert (write.partitioner, write.waits, write.auto_create) == ("default", True, True)
    assert (read.connection.properties.reset, read.connection.properties.patience_ms) == ("error", 10_000)


def test_specific_offsets_are_read_as_flink_writes_them() -> None:
    offsets = "partition:1,offset:300; partition:0,offset:42;"
    read = read_settings(spec({"scan.startup.mode": "specific-offsets",
                               "scan.startup.specific-offsets": offsets}))
    assert read.start.offsets == ((0, 42), (1, 300))


def test_metadata_keys_are_flinks() -> None:
    assert {key: (str(meta.type), meta.writable) for key, meta in kafka.METADATA.items()} == {
        "topic": ("STRING NOT NULL", True),
        "partition": ("INT NOT NULL", False),
        "headers": ("MAP<STRING NOT NULL, BYTES> NOT NULL", True),
        "leader-epoch": ("INT", False),
        "offset": ("BIGINT NOT NULL", False),
        "timestamp": ("TIMESTAMP_LTZ(3) NOT NULL", True),
        "timestamp-type": ("STRING NOT NULL", False),
    }


def refused_to_read(options: dict[str, str], base: dict[str, str] = BASE) -> tuple[str, str | None]:
    with pytest.raises(OptionError) as error:
        kafka.source(spec(options, base))
    return str(error.value), error.value.option


def refused_to_write(table: TableSpec) -> tuple[str, str | None]:
    with pytest.raises(OptionError) as error:
        kafka.sink(table)
    return str(error.value), error.value.option


@pytest.mark.parametrize(("options", "text", "option"), [
    ({"topic-pattern": "o.*"},
     "'topic' and 'topic-pattern' exclude each other\n  hint: Keep one of them.", "topic-pattern"),
    ({"scan.startup.mode": "timestamp"},
     "'scan.startup.mode'='timestamp' needs the option \"scan.startup.timestamp-millis\"\n"
     "  hint: Add 'scan.startup.timestamp-millis'='…'.", "scan.startup.mode"),
    ({"scan.bounded.mode": "specific-offsets"},
     "'scan.bounded.mode'='specific-offsets' needs the option \"scan.bounded.specific-offsets\"\n"
     "  hint: Add 'scan.bounded.specific-offsets'='…'.", "scan.bounded.mode"),
    ({"scan.startup.mode": "earliest-offset", "scan.startup.timestamp-millis": "1"},
     "option \"scan.startup.timestamp-millis\" has no meaning with 'scan.startup.mode'='earliest-offset'\n"
     "  hint: Write 'scan.startup.mode'='timestamp', or remove it.", "scan.startup.timestamp-millis"),
    ({"scan.bounded.timestamp-millis": "1"},
     "option \"scan.bounded.timestamp-millis\" has no meaning with 'scan.bounded.mode'='unbounded'\n"
     "  hint: Write 'scan.bounded.mode'='timestamp', or remove it.", "scan.bounded.timestamp-millis"),
    ({"scan.startup.mode": "specific-offsets", "scan.startup.specific-offsets": "0:42"},
     'option "scan.startup.specific-offsets" of connector "kafka" is "0:42"\n'
     "  hint: Write 'partition:0,offset:42;partition:1,offset:300', each partition once.",
     "scan.startup.specific-offsets"),
    ({"topic": "a;b", "scan.startup.mode": "specific-offsets",
      "scan.startup.specific-offsets": "partition:0,offset:1"},
     "'scan.startup.mode'='specific-offsets' is only for one topic\n"
     "  hint: Name one topic: offsets of several cannot be told apart.", "scan.startup.mode"),
    ({"properties.bootstrap.servers": "mock://", "scan.startup.mode": "timestamp",
      "scan.startup.timestamp-millis": "1"},
     "the embedded broker cannot look records up by timestamp\n"
     "  hint: Use a real broker, or another mode and a WHERE on the timestamp.", "scan.startup.mode"),
    ({"properties.bootstrap.servers": " "},
     'option "properties.bootstrap.servers" of connector "kafka" is ""\n'
     "  hint: Write host:port, or mock:// for the embedded broker.", "properties.bootstrap.servers"),
    ({"sink.topic.partitions": "0"},
     'option "sink.topic.partitions" of connector "kafka" is "0"\n  hint: Write a number from 1 on.',
     "sink.topic.partitions"),
    ({"properties.key.deserializer": "org.apache.kafka.common.serialization.StringDeserializer"},
     'connector "kafka" does not take the option "properties.key.deserializer"\n'
     "  hint: Remove it: the table's format reads and writes the bytes.", "properties.key.deserializer"),
    ({"properties.enable.auto.commit": "true"},
     'connector "kafka" does not take the option "properties.enable.auto.commit"\n'
     "  hint: Remove it: offsets are committed with each epoch.", "properties.enable.auto.commit"),
    ({"properties.auto.offset.reset": "first"},
     'option "properties.auto.offset.reset" of connector "kafka" is "first"\n'
     "  hint: Write one of earliest, latest, none.", "properties.auto.offset.reset"),
    ({"properties.fetch.min.byte": "1"},
     'the Kafka client has no property "fetch.min.byte"\n'
     '  hint: Did you mean "properties.fetch.min.bytes"? The names are those of librdkafka and the Java '
     "clients' that have a counterpart there.", "properties.fetch.min.byte"),
    ({"properties.linger.ms": "soon"},
     'option "properties.linger.ms" of connector "kafka" is "soon"\n'
     '  hint: librdkafka says: Invalid value for configuration property "queue.buffering.max.ms".',
     "properties.linger.ms"),
    ({"properties.default.api.timeout.ms": "0"},
     'option "properties.default.api.timeout.ms" of connector "kafka" is "0"\n'
     "  hint: Write a number of milliseconds, above 0.", "properties.default.api.timeout.ms"),
    ({"properties.ssl.truststore.location": "/ca.jks"},
     'connector "kafka" does not take the option "properties.ssl.truststore.location"\n'
     "  hint: Write 'properties.ssl.ca.location' with a PEM file; from a JKS store: keytool -exportcert -rfc "
     "-keystore STORE -alias ALIAS -file ca.pem.", "properties.ssl.truststore.location"),
    ({"properties.sasl.jaas.config": "com.sun.security.auth.module.Krb5LoginModule required;"},
     'connector "kafka" does not take the option "properties.sasl.jaas.config"\n'
     "  hint: Write 'properties.sasl.username' and 'properties.sasl.password'; for OAUTHBEARER "
     "'properties.sasl.oauthbearer.*'; for Kerberos 'properties.sasl.kerberos.*'.",
     "properties.sasl.jaas.config"),
    ({"properties.error_cb": "x"},
     'connector "kafka" does not take the option "properties.error_cb"\n'
     "  hint: Remove it: it is a function of librdkafka's C interface.", "properties.error_cb"),
])
def test_refused_for_a_source(options: dict[str, str], text: str, option: str) -> None:
    assert refused_to_read(options) == (text, option)


def test_a_source_without_topic() -> None:
    assert refused_to_read({}, {"properties.bootstrap.servers": "b:1"}) == (
        'connector "kafka" needs the option "topic"\n'
        "  hint: topic: the topic, or several separated by ';'; or 'topic-pattern'.", None)


def test_a_pattern_that_is_none() -> None:
    assert refused_to_read({"topic-pattern": "a("}, {"properties.bootstrap.servers": "b:1"}) == (
        'option "topic-pattern" of connector "kafka" is "a("\n'
        "  hint: Write a regular expression: missing ), unterminated subpattern at position 1.",
        "topic-pattern")


def test_without_servers() -> None:
    assert contract.option_error(kafka, {"topic": "a"}) == (
        'connector "kafka" needs the option "properties.bootstrap.servers"\n'
        "  hint: properties.bootstrap.servers: host:port of one or more brokers, comma separated; mock:// "
        "for the embedded broker")


def test_an_option_that_does_not_exist() -> None:
    text = contract.option_error(kafka, {**BASE, "scan.startup.mod": "earliest-offset"})
    assert text.startswith('connector "kafka" has no option "scan.startup.mod"\n'
                           '  hint: Did you mean "scan.startup.mode"? Options: ')


@pytest.mark.parametrize(("table", "text", "option"), [
    (spec({"sink.delivery-guarantee": "exactly-once"}),
     "'sink.delivery-guarantee'='exactly-once' is not built\n"
     "  hint: Write 'at-least-once' (the default: nothing is lost, a crash may repeat rows) or 'none'.",
     "sink.delivery-guarantee"),
    (spec({"sink.semantic": "exactly-once"}),
     "'sink.semantic'='exactly-once' is not built\n"
     "  hint: Write 'at-least-once' (the default: nothing is lost, a crash may repeat rows) or 'none'.",
     "sink.semantic"),
    (spec({"sink.transactional-id-prefix": "p"}),
     'option "sink.transactional-id-prefix" is only for exactly-once, which is not built\n  hint: Remove it.',
     "sink.transactional-id-prefix"),
    (replace(spec({"sink.partitioner": "round-robin"}), raw={"key.fields": "id"}),
     "'sink.partitioner'='round-robin' and 'key.fields' exclude each other\n"
     "  hint: Remove one of them: rows with a key go to the partition of their key.", "sink.partitioner"),
    (replace(spec(), append_only=False),
     'table "t" of connector "kafka" takes only new rows, and the query changes rows that it gave before\n'
     "  hint: Aggregate in windows, which emit once.", "connector"),
    (replace(spec(), primary_key=("id",)),
     'table "t" of connector "kafka" cannot have a PRIMARY KEY: a topic may hold a key many times\n'
     "  hint: Remove the PRIMARY KEY clause.", "connector"),
    (replace(spec(), encoded=False),
     'connector "kafka" needs the option "format"\n'
     "  hint: format: how bytes become columns, as 'format'='json'.", None),
    (spec({"topic": "a;b"}),
     'a sink with more than one topic needs a column that says which, and table "t" has none\n'
     "  hint: Add a column: topic STRING METADATA.", "topic"),
])
def test_refused_for_a_sink(table: TableSpec, text: str, option: str | None) -> None:
    assert refused_to_write(table) == (text, option)


def test_a_virtual_column_does_not_say_the_topic() -> None:
    column = MetadataColumn("topic", "topic", STRING, virtual=True)
    assert refused_to_write(replace(spec({"topic": "a;b"}), metadata=(column,)))[1] == "topic"
    write_settings(replace(spec({"topic": "a;b"}), metadata=(replace(column, virtual=False),)))


@pytest.mark.parametrize(("java", "ours"), [
    ({"sasl.jaas.config": 'org.apache.kafka.common.security.scram.ScramLoginModule required\n'
                          '  username="ann" password="p\\"w;=";'},
     {"sasl.username": "ann", "sasl.password": 'p"w;='}),
    ({"sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required username=ann "
                          "password=pw;"},
     {"sasl.username": "ann", "sasl.password": "pw"}),
    ({"ssl.truststore.type": "PEM", "ssl.truststore.location": "/ca.pem"}, {"ssl.ca.location": "/ca.pem"}),
    ({"ssl.keystore.type": "PEM", "ssl.keystore.location": "/me.pem", "ssl.key.password": "x"},
     {"ssl.certificate.location": "/me.pem", "ssl.key.location": "/me.pem", "ssl.key.password": "x"}),
    ({"ssl.keystore.type": "PKCS12", "ssl.keystore.location": "/me.p12"},
     {"ssl.keystore.location": "/me.p12"}),
    ({"ssl.endpoint.identification.algorithm": ""}, {"ssl.endpoint.identification.algorithm": "none"}),
    ({"fetch.max.wait.ms": "10", "max.request.size": "2000", "buffer.memory": "33554432"},
     {"fetch.wait.max.ms": "10", "message.max.bytes": "2000", "queue.buffering.max.kbytes": "32768"}),
    ({"acks": "1", "linger.ms": "5", "compression.type": "lz4", "sasl.mechanism": "PLAIN"},
     {"acks": "1", "linger.ms": "5", "compression.type": "lz4", "sasl.mechanism": "PLAIN"}),
])
def test_java_names_are_translated(java: dict[str, str], ours: dict[str, str]) -> None:
    assert translate(java).client == ours


def test_what_a_client_is_not_told() -> None:
    found = translate({"bootstrap.servers": "b:1", "group.id": "g", "auto.offset.reset": "none",
                       "max.block.ms": "5", "commit.offsets.on.checkpoint": "false",
                       "enable.auto.commit": "false"})
    assert (dict(found.client), found.group_id, found.reset, found.patience_ms, found.commit_offsets) == \
        ({}, "g", "error", 5, False)


def test_secrets_are_not_shown() -> None:
    table = spec({"properties.sasl.jaas.config": 'x.PlainLoginModule required username="ann" password="pw";',
                  "properties.ssl.key.password": "pw"})
    assert "pw" not in repr(table.options)
    assert "pw" not in repr(read_settings(table))

"""`properties.*`: a Java client's settings, as Flink takes them, in the words of librdkafka.

Most names are shared. Others mean the same under another name, or are said differently (a JAAS
line, PEM key stores): these are translated, so that one file runs on Flink and here. What has no
counterpart is refused with what to write instead; nothing is dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streamsql.connectors.kafka_library import property_error, property_names
from streamsql.core.options import OptionError
from streamsql.errors import nearest

PREFIX = "properties."
SECRETS = ("sasl.password", "sasl.jaas.config", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password",
           "ssl.keystore.key", "ssl.truststore.password", "sasl.oauthbearer.client.secret")

PATIENCE_MS = 10_000

_RENAMED = {
    "fetch.max.wait.ms": "fetch.wait.max.ms",
    "max.request.size": "message.max.bytes",
    "receive.buffer.bytes": "socket.receive.buffer.bytes",
    "send.buffer.bytes": "socket.send.buffer.bytes",
    "ssl.truststore.certificates": "ssl.ca.pem",
    "ssl.keystore.certificate.chain": "ssl.certificate.pem",
    "ssl.keystore.key": "ssl.key.pem",
    "socket.connection.setup.timeout.max.ms": "socket.connection.setup.timeout.ms",
}
_TYPES = "Remove it: the table's format reads and writes the bytes."
_REFUSED = {
    "key.deserializer": _TYPES,
    "value.deserializer": _TYPES,
    "key.serializer": _TYPES,
    "value.serializer": _TYPES,
    "enable.auto.offset.store": "Remove it: the engine keeps the offsets of each epoch.",
    "max.poll.records": "Remove it: the engine sizes its batches itself.",
    "interceptor.classes": "Remove it: it names a Java class.",
    "metric.reporters": "Remove it: it names Java classes.",
    "partitioner.class": "Write 'sink.partitioner'='default', 'fixed' or 'round-robin'.",
    "partition.assignment.strategy": "Remove it: the source assigns all partitions to itself.",
    "partition.discovery.interval.ms": "Write 'scan.topic-partition-discovery.interval'='5 min'.",
    "sasl.login.callback.handler.class": "Remove it: it names a Java class.",
    "sasl.client.callback.handler.class": "Remove it: it names a Java class.",
    "security.providers": "Remove it: it names Java classes.",
    "test.mock.num.brokers": "Write 'properties.bootstrap.servers'='mock://' for the embedded broker.",
    "transactional.id": "Remove it: exactly-once writing is not built.",
    "enable.partition.eof": "Remove it: the source sets it.",
    "delivery.report.only.error": "Remove it: the sink sets it.",
    "bootstrap.servers": "Write it as 'properties.bootstrap.servers'.",
}
_RESETS = {"earliest": "earliest", "latest": "latest", "none": "error", "error": "error",
           "smallest": "earliest", "largest": "latest", "beginning": "earliest", "end": "latest"}


@dataclass(frozen=True, slots=True)
class Properties:
    """The settings of a client.

    client          what goes to librdkafka
    group_id        the consumer group; None when none was given
    reset           `earliest`, `latest` or `error`: where to read when an offset is missing or gone
    patience_ms     how long a broker may take to answer before it counts as unreachable
    commit_offsets  whether offsets of durable epochs are committed to the group
    """

    client: Mapping[str, str]
    group_id: str | None = None
    reset: str = "error"
    patience_ms: int = PATIENCE_MS
    commit_offsets: bool = True

    def __repr__(self) -> str:
        shown = {k: "***" if k in SECRETS else v for k, v in self.client.items()}
        return f"Properties({shown}, group_id={self.group_id!r})"


def translate(given: Mapping[str, str]) -> Properties:
    """Properties without their prefix, translated and checked, `bootstrap.servers` left out.

    Raises: OptionError naming the property as written.
    """
    client = {name: value for name, value in given.items() if name != "bootstrap.servers"}
    group = client.pop("group.id", None)
    reset = _reset(client.pop("auto.offset.reset", "none"))
    patience = _milliseconds(client, ("default.api.timeout.ms", "max.block.ms"))
    commit = _flag("commit.offsets.on.checkpoint", client.pop("commit.offsets.on.checkpoint", "true"))
    if _flag("enable.auto.commit", client.pop("enable.auto.commit", "false")):
        raise _refusal("enable.auto.commit", "Remove it: offsets are committed with each epoch.")
    for name in client:
        if name in _REFUSED:
            raise _refusal(name, _REFUSED[name])
    translated = _translated(client)
    for name, value in translated.items():
        _check(name, value)
    return Properties(translated, group, reset, patience, commit)


def _refusal(name: str, hint: str) -> OptionError:
    key = PREFIX + name
    return OptionError(f'connector "kafka" does not take the option "{key}"', key, hint)


def _wrong(name: str, value: str, hint: str) -> OptionError:
    key = PREFIX + name
    shown = "***" if name in SECRETS else value
    return OptionError(f'option "{key}" of connector "kafka" is "{shown}"', key, hint)


def _reset(value: str) -> str:
    if value.lower() not in _RESETS:
        raise _wrong("auto.offset.reset", value, "Write one of earliest, latest, none.")
    return _RESETS[value.lower()]


def _flag(name: str, value: str) -> bool:
    if value.strip().lower() not in ("true", "false"):
        raise _wrong(name, value, "Write 'true' or 'false'.")
    return value.strip().lower() == "true"


def _milliseconds(client: dict[str, str], names: tuple[str, ...]) -> int:
    """The first of `names` that is given, taken out of `client`: our one bound on waiting."""
    found = PATIENCE_MS
    for name in names:
        value = client.pop(name, None)
        if value is None:
            continue
        if not value.strip().isdigit() or int(value) == 0:
            raise _wrong(name, value, "Write a number of milliseconds, above 0.")
        found = int(value)
    return found


def _translated(client: Mapping[str, str]) -> dict[str, str]:
    out: dict[str, str] = {}
    for name, value in client.items():
        rule = _RULES.get(name)
        out.update(rule(value, client) if rule else {_RENAMED.get(name, name): value})
    return out


_JAAS = re.compile(r"\s*([\w.]+)\s+(?:required|requisite|sufficient|optional)\b(.*?);?\s*", re.DOTALL)
_JAAS_ITEM = re.compile(r"([\w.]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]+))")


def _jaas(value: str, _: Mapping[str, str]) -> dict[str, str]:
    """`…PlainLoginModule required username="u" password="p";` as user name and password."""
    found = _JAAS.fullmatch(value)
    module = found[1].rsplit(".", 1)[-1] if found else ""
    if not found or module not in ("PlainLoginModule", "ScramLoginModule"):
        raise _refusal("sasl.jaas.config", "Write 'properties.sasl.username' and "
                       "'properties.sasl.password'; for OAUTHBEARER 'properties.sasl.oauthbearer.*'; for "
                       "Kerberos 'properties.sasl.kerberos.*'.")
    items = {m[1]: re.sub(r"\\(.)", r"\1", m[2]) if m[2] is not None else m[3]
             for m in _JAAS_ITEM.finditer(found[2])}
    if not {"username", "password"} <= items.keys():
        raise _refusal("sasl.jaas.config", f'{module} needs username="…" password="…".')
    return {"sasl.username": items["username"], "sasl.password": items["password"]}


def _truststore(value: str, client: Mapping[str, str]) -> dict[str, str]:
    if client.get("ssl.truststore.type", "JKS").upper() == "PEM":
        return {"ssl.ca.location": value}
    raise _refusal("ssl.truststore.location", "Write 'properties.ssl.ca.location' with a PEM file; from a "
                   "JKS store: keytool -exportcert -rfc -keystore STORE -alias ALIAS -file ca.pem.")


def _keystore(value: str, client: Mapping[str, str]) -> dict[str, str]:
    kind = client.get("ssl.keystore.type", "JKS").upper()
    if kind == "PEM":
        return {"ssl.certificate.location": value, "ssl.key.location": value}
    if kind == "PKCS12":
        return {"ssl.keystore.location": value}
    raise _refusal("ssl.keystore.location", "Write 'properties.ssl.keystore.type'='PKCS12' with such a file "
                   "(keytool -importkeystore -deststoretype PKCS12), or "
                   "'properties.ssl.certificate.location' and 'properties.ssl.key.location' with PEM files.")


def _store_type(*_: object) -> dict[str, str]:
    return {}  # read by the rules of the locations


def _identification(value: str, _: Mapping[str, str]) -> dict[str, str]:
    """Java switches the check of host names off by an empty text."""
    return {"ssl.endpoint.identification.algorithm": value.strip().lower() or "none"}


def _buffer_memory(value: str, _: Mapping[str, str]) -> dict[str, str]:
    if not value.strip().isdigit():
        raise _wrong("buffer.memory", value, "Write a number of bytes.")
    return {"queue.buffering.max.kbytes": str(max(1, int(value) // 1024))}


_RULES: dict[str, Callable[[str, Mapping[str, str]], dict[str, str]]] = {
    "sasl.jaas.config": _jaas,
    "ssl.truststore.location": _truststore,
    "ssl.keystore.location": _keystore,
    "ssl.truststore.type": _store_type,
    "ssl.keystore.type": _store_type,
    "ssl.endpoint.identification.algorithm": _identification,
    "buffer.memory": _buffer_memory,
}


def _check(name: str, value: str) -> None:
    """Ask librdkafka itself, so that a slip is an error of the plan and not of the run."""
    if name.endswith("_cb"):
        raise _refusal(name, "Remove it: it is a function of librdkafka's C interface.")
    reason = property_error(name, value)
    if reason is None:
        return
    if reason:
        raise _wrong(name, value, f"librdkafka says: {reason}.")
    near = nearest(name, property_names())
    hint = (f'Did you mean "{PREFIX}{near}"? ' if near else "") + \
        "The names are those of librdkafka and the Java clients' that have a counterpart there."
    raise OptionError(f'the Kafka client has no property "{name}"', PREFIX + name, hint)

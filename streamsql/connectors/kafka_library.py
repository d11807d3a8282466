"""The librdkafka that confluent-kafka carries, reached by ctypes for what its Python face leaves out.

Two things need it: the embedded broker, and the check of `properties.*` before any client exists.
Only functions of librdkafka's public headers are called, so no layout of CPython or of
confluent-kafka is assumed. What reads and writes records stays in confluent-kafka.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka

from streamsql.errors import ConnectorError

_UNKNOWN, _INVALID = -2, -1


def _candidates() -> Iterator[str]:
    """Where wheels keep the library (Linux, Windows, macOS), then the system's own."""
    package = Path(confluent_kafka.__file__).parent
    for folder in (package.parent / "confluent_kafka.libs", package / ".dylibs"):
        yield from (str(path) for path in sorted(folder.glob("*rdkafka*")))
    found = ctypes.util.find_library("rdkafka")
    if found:
        yield found


@functools.cache
def library() -> ctypes.CDLL:
    """The loaded library, with the signatures of the functions used here.

    Raises: ConnectorError when it cannot be found (a confluent-kafka built from source, statically).
    """
    for path in _candidates():
        try:
            return _declared(ctypes.CDLL(path))
        except (OSError, AttributeError):
            continue
    raise ConnectorError("the librdkafka of confluent-kafka cannot be found",
                         hint="Install the wheel: pip install --force-reinstall confluent-kafka.")


def _declared(lib: ctypes.CDLL) -> ctypes.CDLL:
    pointer, text, size, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int
    lib.rd_kafka_conf_new.restype = pointer
    lib.rd_kafka_conf_destroy.argtypes = [pointer]
    lib.rd_kafka_conf_set.argtypes = [pointer, text, text, text, size]
    lib.rd_kafka_conf_dump.argtypes = [pointer, ctypes.POINTER(size)]
    lib.rd_kafka_conf_dump.restype = ctypes.POINTER(text)
    lib.rd_kafka_conf_dump_free.argtypes = [ctypes.POINTER(text), size]
    lib.rd_kafka_new.argtypes = [number, pointer, text, size]
    lib.rd_kafka_new.restype = pointer
    lib.rd_kafka_destroy.argtypes = [pointer]
    lib.rd_kafka_mock_cluster_new.argtypes = [pointer, number]
    lib.rd_kafka_mock_cluster_new.restype = pointer
    lib.rd_kafka_mock_cluster_destroy.argtypes = [pointer]
    lib.rd_kafka_mock_cluster_bootstraps.argtypes = [pointer]
    lib.rd_kafka_mock_cluster_bootstraps.restype = text
    lib.rd_kafka_mock_topic_create.argtypes = [pointer, text, number, number]
    lib.rd_kafka_mock_group_initial_rebalance_delay_ms.argtypes = [pointer, ctypes.c_int32]
    return lib


@functools.cache
def property_names() -> tuple[str, ...]:
    """The names of librdkafka's properties that have a default; most of them all."""
    lib, count = library(), ctypes.c_size_t()
    conf = lib.rd_kafka_conf_new()
    dumped = lib.rd_kafka_conf_dump(conf, ctypes.byref(count))
    names = tuple(str(dumped[i], "utf-8") for i in range(0, count.value, 2))
    lib.rd_kafka_conf_dump_free(dumped, count)
    lib.rd_kafka_conf_destroy(conf)
    return names


def property_error(name: str, value: str) -> str | None:
    """Why librdkafka refuses the property: '' when it has none of that name, None when it takes it."""
    lib, reason = library(), ctypes.create_string_buffer(512)
    conf = lib.rd_kafka_conf_new()
    code = lib.rd_kafka_conf_set(conf, name.encode(), value.encode(), reason, len(reason))
    lib.rd_kafka_conf_destroy(conf)
    if code == _UNKNOWN:
        return ""
    return reason.value.decode() if code == _INVALID else None

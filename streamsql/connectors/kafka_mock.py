"""The embedded broker: `'properties.bootstrap.servers'='mock://'` needs nothing installed.

librdkafka's mock cluster runs as a thread of this process, one for each name (`mock://`,
`mock://other`), until `close` or the end of the process, so that the sources and sinks of a script
meet there. It is for examples and tests. What it lacks, or only pretends to do, is refused by the
callers: transactions, look-up by timestamp, the Admin API. It keeps at most 5 MiB or 100 000
batches a partition and forgets the oldest beyond that.
"""

from __future__ import annotations

import atexit
import ctypes
import threading

from streamsql.connectors.kafka_library import library
from streamsql.errors import ConnectorError

SCHEME = "mock://"
DEFAULT_PARTITIONS = 4
_PRODUCER = 0
_TOPIC_EXISTS = 36


class MockBroker:
    """One embedded broker. Any thread may use it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lib = library()
        reason = ctypes.create_string_buffer(512)
        conf = self._lib.rd_kafka_conf_new()
        # The handle only carries the cluster; its complaint that it has no server is not for users.
        self._lib.rd_kafka_conf_set(conf, b"log_level", b"3", reason, len(reason))
        self._handle = self._lib.rd_kafka_new(_PRODUCER, conf, reason, len(reason))
        if not self._handle:
            raise ConnectorError(
                f'cannot start the embedded broker "{SCHEME}{name}": {reason.value.decode()}')
        self._cluster = self._lib.rd_kafka_mock_cluster_new(self._handle, 1)
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.bootstrap: str = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def create_topic(self, topic: str, partitions: int = DEFAULT_PARTITIONS) -> bool:
        """Create the topic; False when it was there, whatever its number of partitions."""
        code = self._lib.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1)
        if code not in (0, _TOPIC_EXISTS):
            raise ConnectorError(f'cannot create topic "{topic}" with {partitions} partitions on the '
                                 f'embedded broker "{SCHEME}{self.name}": error {code}')
        return bool(code == 0)

    def close(self) -> None:
        """Stop it and forget its topics; later calls do nothing."""
        if self._handle:
            self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
            self._lib.rd_kafka_destroy(self._handle)
            self._handle = None


_brokers: dict[str, MockBroker] = {}
_lock = threading.Lock()


def is_mock(servers: str) -> bool:
    return servers.strip().lower().startswith(SCHEME)


def broker(servers: str) -> MockBroker:
    """The running broker of `mock://name`, started by the first that asks."""
    name = servers.strip()[len(SCHEME):].strip("/")
    with _lock:
        if name not in _brokers:
            _brokers[name] = MockBroker(name)
        return _brokers[name]


def close(servers: str = SCHEME) -> None:
    """Stop the broker of `mock://name` with all its topics, if it runs."""
    with _lock:
        found = _brokers.pop(servers.strip()[len(SCHEME):].strip("/"), None)
    if found:
        found.close()


@atexit.register
def close_all() -> None:
    """Stop every embedded broker."""
    for name in list(_brokers):
        close(SCHEME + name)

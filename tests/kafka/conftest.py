"""A cluster for each test: the embedded broker of its own, or a topic of the session's real one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from streamsql.connectors import kafka_mock
from tests.kafka.tables import Cluster, fresh

_names = itertools.count()


@pytest.fixture
def embedded() -> Iterator[Cluster]:
    servers = f"mock://test{next(_names)}"
    yield fresh(servers)
    kafka_mock.close(servers)


@pytest.fixture
def real(broker: str) -> Cluster:
    return fresh(broker)


@pytest.fixture(params=["embedded", "real"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """What both brokers must do alike."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Cluster)
    return found

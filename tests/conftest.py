"""Fixtures of the whole test session: one real Kafka broker, started by the first test that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kafka.broker import Broker, BrokerError


@pytest.fixture(scope="session")
def broker_process() -> Iterator[Broker]:
    """The session's broker itself, for tests that need more of it than its address."""
    broker = Broker()
    try:
        broker.start()
    except BrokerError as error:
        broker.stop()
        pytest.fail(str(error), pytrace=False)
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def broker(broker_process: Broker) -> str:
    """The bootstrap address of a real Apache Kafka; topics are the tests' own, by distinct names."""
    return broker_process.bootstrap

"""One database for the tests of values: opening it defines some hundred macros."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streamsql.state.database import Database
from tests.unit.values.calls import database


@pytest.fixture(scope="session")
def opened() -> Iterator[Database]:
    with database() as found:
        yield found

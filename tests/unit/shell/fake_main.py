"""The command line over a FakeSession, as a process of its own: run by the tests in a terminal or a pipe."""

from __future__ import annotations

import streamsql
from streamsql import cli
from tests.unit.shell.fakes import FakeSession

if __name__ == "__main__":
    setattr(streamsql, "connect", FakeSession)  # noqa: B010  (a fake is not the type that connect has)
    cli.main()

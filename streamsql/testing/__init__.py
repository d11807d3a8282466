"""Tests of streams: `.stream` files run from Python, pytest and `streamsql test`.

    from streamsql.testing import Mode, run
    run(Path("tests/clicks.stream"))                       raises Failure where the file and the run differ
    run(Path("tests/clicks.stream"), mode=Mode.RESTART)    the same, resumed from its state after every batch

`case` reads the format, `cells` its values, `execution` runs a case, `mode` says how.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamsql.testing.case import Case, parse, read
from streamsql.testing.execution import Outcome
from streamsql.testing.failure import Failure
from streamsql.testing.mode import Mode
from streamsql.testing.run import execute, run

__all__ = ["Case", "Failure", "Mode", "Outcome", "execute", "main", "parse", "read", "run"]


def main(args: Sequence[str]) -> int:
    """`streamsql test`; the exit code."""
    from streamsql.testing.command import test

    return test(args)

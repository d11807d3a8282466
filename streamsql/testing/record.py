"""Record: a case whose expected blocks say what happened."""

from __future__ import annotations

from streamsql.testing.case import Case
from streamsql.testing.execution import Outcome


def recorded(case: Case, outcome: Outcome) -> str:
    """The text of the case with its blocks rewritten; blocks that were not reached stay.

    Comments inside a rewritten block are lost; a block that says it already is left alone.
    """
    lines = list(case.lines)
    for start, (block, actual) in sorted(outcome.blocks.items(), reverse=True):
        if tuple(actual) != block.lines:
            lines[start:block.end] = actual
    return "\n".join(lines)

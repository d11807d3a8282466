"""Failure: where a case and what happened differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


class Failure(AssertionError):
    """What a case expects and what happened, at `origin:line` of its file (line from 1)."""

    def __init__(self, origin: str, line: int, message: str, *, expected: Sequence[str] = (),
                 actual: Sequence[str] = (), mode: str = "plain") -> None:
        super().__init__(message)
        self.origin, self.line, self.message, self.mode = origin, line, message, mode
        self.expected, self.actual = tuple(expected), tuple(actual)

    def __str__(self) -> str:
        head = f"{self.origin}:{self.line}: {self.message} [{self.mode}]"
        if not self.expected and not self.actual:
            return head
        return f"{head}\n  expected:{_block(self.expected, self.actual)}\n  actual:{_block(self.actual, self.expected)}"


def _block(lines: Sequence[str], others: Sequence[str]) -> str:
    """The lines; where some are on both sides, those that are not stand behind a `!`."""
    left = Counter(others)
    mark = "!" if left & Counter(lines) else " "
    shown = []
    for line in lines or ("(nothing)",):
        shown.append(f"\n  {' ' if left[line] > 0 else mark} {line}")
        left[line] -= 1
    return "".join(shown)

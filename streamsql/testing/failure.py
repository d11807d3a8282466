"""Failure: where a case and what happened differ."""

from __future__ import annotations

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
        blocks = (("expected", self.expected), ("actual", self.actual))
        return head + "".join(
            f"\n  {name}:" + "".join(f"\n    {line}" for line in lines or ("(nothing)",)) for name, lines in blocks)

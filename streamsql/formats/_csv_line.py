"""What a line of CSV looks like."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """The characters with a meaning; `quote`, `escape` and `null` are None if there are none."""

    delimiter: str
    quote: str | None
    escape: str | None
    element: str
    null: str | None


def in_class(character: str) -> str:
    """The character inside `[…]` of a regular expression, and outside."""
    return rf"\x{{{ord(character):x}}}"

"""Cuts half-written SQL into tokens, for completion. Never fails: an open quote runs to the end.

The parser's own tokenizer refuses what is unfinished, which is all that completion ever sees.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

TokenKind = Literal["word", "quoted", "string", "number", "comment", "mark"]

_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
      | (?P<string>'(?:[^']|'')*(?:'|\Z)|\$\$.*?(?:\$\$|\Z))
      | (?P<quoted>`[^`]*(?:`|\Z)|"[^"]*(?:"|\Z))
      | (?P<word>[^\W\d][\w$]*)
      | (?P<number>\d[\w.]*)
      | (?P<mark>=>|<=|>=|<>|!=|\|\||\S)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text and where it starts. Words compare by `upper`, names by `name`."""

    kind: TokenKind
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def upper(self) -> str:
        """The word as a keyword would be spelled; '' for what cannot be one."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The identifier, without its quotes."""
        return self.text.strip('`"') if self.kind == "quoted" else self.text

    @property
    def open(self) -> bool:
        """A quote or a comment that does not end."""
        match self.kind:
            case "quoted":
                return len(self.text) < 2 or self.text[-1] != self.text[0]
            case "string":
                if self.text.startswith("$$"):
                    return len(self.text) < 4 or not self.text.endswith("$$")
                return self.text.count("'") % 2 == 1
            case "comment":
                return self.text.startswith("--") or not self.text.endswith("*/")
            case _:
                return False


def tokenize(text: str) -> list[Token]:
    """The tokens of `text`, comments included, white space left out."""
    return [Token(found.lastgroup, found[0], found.start())  # type: ignore[arg-type]
            for found in _TOKEN.finditer(text) if found.lastgroup]

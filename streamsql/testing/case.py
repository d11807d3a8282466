"""Case: a `.stream` file read into its steps; the text format and nothing of how it runs.

    # first line: the one behaviour that the case is about
    # modes: -kafka (why not), -oracle (why not)

    CREATE TABLE t (…);       SQL, to the `;` that ends it
    ----                      what the statement above returns
    ---- error                the whole text of the error it raises
    > t        > t[2]         a batch of rows for table t, of its partition 2
    > t raw                   records as bytes, through the table's format
    < v        < v (a, b)     exactly the changes of v (of its columns a and b) since the last `<`
    @ end                     a verb: end, restart, idle, clock, watermark

A block ends at a blank line or at the next mark. `#` begins a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from streamsql.errors import UsageError
from streamsql.sql import is_complete
from streamsql.testing import cells

VERBS = ("end", "restart", "idle", "clock", "watermark")

_MARK = re.compile(r"(?:[><@] .*|----(?: error)?)\s*$")
_INPUT = re.compile(r"> +(?P<source>[^\s\[]+)(?:\[(?P<partition>\d+)\])?(?P<raw>\s+raw)?")
_CLAIM = re.compile(r"< +(?P<relation>[^\s(]+)(?:\s*\((?P<columns>[^)]*)\))?")
_MODES = re.compile(r"#\s*modes:(?P<rest>.*)")
_WITHOUT = re.compile(r"-(\w+)\s*\(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that a mark expects: `lines` stand at `start` (from 0) up to `end` of the file."""

    start: int
    end: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL; `expected` is the block below `----`, `error` the one below `---- error`."""

    line: int
    text: str
    expected: Block | None = None
    error: Block | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """A batch of rows; `rows` are (line number, text)."""

    line: int
    source: str
    partition: int
    raw: bool
    rows: tuple[tuple[int, str], ...]
    error: Block | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The changes of a relation since it was last claimed; `columns` empty for all."""

    line: int
    relation: str
    columns: tuple[str, ...]
    expected: Block


@dataclass(frozen=True, slots=True)
class Verb:
    line: int
    verb: str
    words: tuple[str, ...]
    error: Block | None = None


Step: TypeAlias = Statement | Input | Claim | Verb


@dataclass(frozen=True, slots=True)
class Case:
    """A file of steps. `without` are the modes it opts out of, by name, with the reason."""

    origin: str
    lines: tuple[str, ...]
    title: str
    steps: tuple[Step, ...]
    without: dict[str, str] = field(default_factory=dict)

    def partitions(self, source: str) -> int:
        """How many partitions the file speaks of."""
        named = [s.partition for s in self.steps if isinstance(s, Input) and s.source == source]
        return max(named, default=0) + 1

    def signed(self, source: str) -> bool:
        """Whether rows of it are written with + and -."""
        return any(text.startswith("- ") for s in self.steps if isinstance(s, Input) and s.source == source
                   for _, text in s.rows)


def read(path: Path) -> Case:
    """Raises UsageError for a file that is not there or not of the format."""
    try:
        return parse(path.read_text(), str(path))
    except OSError as error:
        raise UsageError(f'file "{path}" cannot be read: {error.strerror}') from error


def parse(text: str, origin: str = "<case>") -> Case:
    """Raises UsageError, `origin:line: what is wrong`."""
    lines = text.split("\n")
    title = lines[0].lstrip("# ").rstrip() if lines[0].startswith("#") else ""
    found = _MODES.match(lines[1]) if len(lines) > 1 else None
    without = {}
    if found:
        without = {name: reason.strip() for name, reason in _WITHOUT.findall(found["rest"])}
        if _WITHOUT.sub("", found["rest"]).strip(" ,"):
            raise UsageError(f"{origin}:2: modes are left out as in `# modes: -kafka (reason)`")
    return Case(origin, tuple(lines), title, tuple(_Reader(lines, origin).steps()), without)


class _Reader:
    """Reads lines into steps, top to bottom."""

    def __init__(self, lines: Sequence[str], origin: str) -> None:
        self.lines = lines
        self.origin = origin
        self.at = 0

    def steps(self) -> Iterator[Step]:
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if not line.strip() or line.startswith("#"):
                self.at += 1
            elif line.startswith("> "):
                yield self.input()
            elif line.startswith("< "):
                yield self.claim()
            elif line.startswith("@ "):
                yield self.verb()
            elif line.startswith("----"):
                self.refuse("nothing stands above that could return this")
            else:
                yield self.statement()

    def refuse(self, what: str, line: int | None = None) -> None:
        raise UsageError(f"{self.origin}:{(self.at if line is None else line) + 1}: {what}")

    def block(self, *, rows: bool) -> Block:
        """The lines from here to a blank line, of rows also to a mark; a comment is no row."""
        start, found = self.at, []
        while self.at < len(self.lines) and self.lines[self.at].strip():
            line = self.lines[self.at]
            if rows and _MARK.match(line):
                break
            if not (rows and line.startswith("#")):
                found.append(line.rstrip())
            self.at += 1
        return Block(start, self.at, tuple(found))

    def error(self) -> Block | None:
        if self.at < len(self.lines) and self.lines[self.at].rstrip() == "---- error":
            self.at += 1
            return self.block(rows=False)
        return None

    def statement(self) -> Statement:
        start, text = self.at, ""
        while self.at < len(self.lines) and not self.lines[self.at].startswith("----"):
            text += self.lines[self.at] + "\n"
            self.at += 1
            if text.rstrip().endswith(";") and is_complete(text):
                break
        error = self.error()
        expected = None
        if error is None and self.at < len(self.lines) and self.lines[self.at].rstrip() == "----":
            self.at += 1
            expected = self.block(rows=False)
        return Statement(start, text.rstrip(), expected, error)

    def input(self) -> Input:
        start = self.at
        found = _INPUT.fullmatch(cells.without_comment(self.lines[start]))
        if found is None:
            self.refuse("an input is written `> table`, `> table[partition]` or `> table raw`")
        assert found is not None
        self.at += 1
        raw = bool(found["raw"])
        block = self.block(rows=True)
        rows = tuple((n, self.lines[n].rstrip()) for n in range(block.start, block.end)
                     if not self.lines[n].startswith("#"))
        return Input(start, found["source"], int(found["partition"] or 0), raw, rows, self.error())

    def claim(self) -> Claim:
        start = self.at
        found = _CLAIM.fullmatch(cells.without_comment(self.lines[start]))
        if found is None:
            self.refuse("a claim is written `< relation` or `< relation (column, …)`")
        assert found is not None
        self.at += 1
        columns = tuple(c.strip() for c in (found["columns"] or "").split(",") if c.strip())
        return Claim(start, found["relation"], columns, self.block(rows=True))

    def verb(self) -> Verb:
        start = self.at
        words = cells.without_comment(self.lines[start])[1:].split()
        if not words or words[0] not in VERBS:
            self.refuse(f"a verb is one of {', '.join(VERBS)}")
        self.at += 1
        return Verb(start, words[0], tuple(words[1:]), self.error())

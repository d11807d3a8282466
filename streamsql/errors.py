"""The exception tree, and the text in which an error shows where it comes from.

    StreamSQLError
    ├── SQLError            has a Span into the SQL it was written in
    │   ├── ParseError      the text is not the language
    │   ├── BindError       a name does not exist, or is ambiguous
    │   ├── SQLTypeError    an operation does not take these types
    │   └── PlanError       valid SQL that cannot be run as a stream, or is not built
    ├── DataError           a record: topic (or path), partition, offset
    ├── ConnectorError      the outside: a broker, a file, an option refused by it
    ├── StateError          the state directory
    ├── UsageError          a wrong call of the API or the command line
    └── InternalError       a defect of streamsql

Errors of DuckDB, Kafka and sqlglot never leave their door unwrapped.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

LINE_CELLS = 160
"""Of a longer line of SQL an error shows the part around its caret."""


@dataclass(frozen=True, slots=True)
class Source:
    """A text of SQL and the name by which an error calls it (a path, or `<sql>`)."""

    text: str
    origin: str = "<sql>"


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range of characters `[start, end)` in a source text."""

    start: int
    end: int

    def position(self, text: str) -> tuple[int, int]:
        """Line and column of the start, both counted from 1."""
        start = min(self.start, len(text))
        line = text.count("\n", 0, start) + 1
        return line, start - (text.rfind("\n", 0, start) + 1) + 1


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `name`, upper and lower case alike, or None when none is near."""
    by_lower = {c.lower(): c for c in candidates}
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, candidates: Iterable[str], label: str) -> str:
    """The hint for an unknown name: the nearest one, then all there are, or of many the likely ones."""
    names = list(candidates)
    near = nearest(name, names)
    if len(names) > 20:
        by_lower = {c.lower(): c for c in names}
        likely = difflib.get_close_matches(name.lower(), list(by_lower), n=8, cutoff=0.4)
        names = [*(by_lower[c] for c in likely or sorted(by_lower)[:8]), "…"]
    listed = ", ".join(names)
    return (f'Did you mean "{near}"? ' if near else "") + f"{label}: {listed}"


class StreamSQLError(Exception):
    """The root of every error that streamsql raises on purpose."""

    def __init__(self, message: str, *, detail: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint

    def _notes(self) -> str:
        lines = (self.detail or "").replace("\n", "\n    ")  # a traceback has several
        detail = f"\n  detail: {lines}" if self.detail else ""
        return detail + (f"\n  hint: {self.hint}" if self.hint else "")

    def __str__(self) -> str:
        return self.message + self._notes()


class SQLError(StreamSQLError):
    """An error of the SQL text: `origin:line:col: message`, the line, a caret.

    Whoever raises it gives the span; whoever holds the text attaches it with `located`.
    """

    def __init__(
        self,
        message: str,
        span: Span | None = None,
        *,
        source: Source | None = None,
        detail: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.span = span
        self.source = source

    def located(self, source: Source) -> SQLError:
        """Attach the text that the span points into; a text attached earlier stays."""
        if self.source is None:
            self.source = source
        return self

    @property
    def line(self) -> int | None:
        return self.span.position(self.source.text)[0] if self.span and self.source else None

    @property
    def column(self) -> int | None:
        return self.span.position(self.source.text)[1] if self.span and self.source else None

    def __str__(self) -> str:
        return self.shown()

    def shown(self, cells: int = LINE_CELLS) -> str:
        """The error as text; its line of SQL takes at most `cells` places on the screen."""
        if self.source is None or self.span is None:
            origin = f"{self.source.origin}: " if self.source else ""
            return origin + self.message + self._notes()
        text = self.source.text
        line, column = self.span.position(text)
        written = text.split("\n")[line - 1].replace("\t", " ").rstrip("\r")
        length = max(1, min(self.span.end - self.span.start, len(written) - column + 1))
        part, start = _around(written, column - 1, cells)
        before = _cells(part[:start])
        caret = " " * before + "^" * max(1, min(_cells(part[start : start + length]), cells - before))
        head = f"{self.source.origin}:{line}:{column}: {self.message}"
        return f"{head}\n  {part}\n  {caret}" + self._notes()


def _cells(text: str) -> int:
    """The places that `text` takes on a screen: two for a wide character, none for one that combines."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def _around(line: str, at: int, cells: int) -> tuple[str, int]:
    """The part of a line around the character `at`, with … where it is cut, and where `at` is in it."""
    if _cells(line) <= cells:
        return line, at
    start = max(0, at - cells // 2)
    cut = "…" if start else ""
    end = start
    room = cells - len(cut) - 1
    while end < len(line) and (room := room - _cells(line[end])) >= 0:
        end += 1
    return f"{cut}{line[start:end]}{'…' if end < len(line) else ''}", at - start + len(cut)


class ParseError(SQLError):
    """The text is not the language."""


class BindError(SQLError):
    """A name does not exist, or means more than one thing."""


class SQLTypeError(SQLError):
    """An operation does not take arguments of these types."""


class PlanError(SQLError):
    """Valid SQL that cannot run as a stream, or that is not built; the hint says what to write."""


class DataError(StreamSQLError):
    """A record that cannot be processed; `topic` is the path for files and the table elsewhere.

    whole: no single record is at fault but a group of them, and to leave one out would help nobody.
    """

    def __init__(
        self,
        message: str,
        *,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
        detail: str | None = None,
        hint: str | None = None,
        whole: bool = False,
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.topic, self.partition, self.offset, self.whole = topic, partition, offset, whole

    def __str__(self) -> str:
        parts = [f"{name} {value}" for name, value in
                 (("topic", self.topic), ("partition", self.partition), ("offset", self.offset))
                 if value is not None]
        return (f"{', '.join(parts)}: " if parts else "") + self.message + self._notes()


class ConnectorError(StreamSQLError):
    """The outside refused: a broker, a file, a server."""


class StateError(StreamSQLError):
    """The state directory cannot be used."""


class UsageError(StreamSQLError):
    """A wrong call of the Python API or the command line."""


class InternalError(StreamSQLError):
    """A defect of streamsql; please report it."""

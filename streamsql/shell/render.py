"""Results as tables, JSON lines or CSV, row by row as they come.

A printer shows one result: `begin` once, `rows` any number of times, `end` once. A stream has no
end to wait for, so a table takes its column widths from the first rows and widens when it must.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, tzinfo
from typing import IO, Any, Literal, Protocol

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from streamsql.errors import LINE_CELLS
from streamsql.shell.values import Formatter, digits_of, json_formatter, printable, text_formatter

Columns = Sequence[tuple[str, str]]
"""Names and SQL types of a result."""
Change = tuple[str, Sequence[Any]]
"""A change's kind, one of +I -U +U -D, and its row."""
Part = tuple[str, str]
"""A piece of a line and rich's style for it."""
OutputFormat = Literal["table", "json", "csv"]

NULL = "<NULL>"
MAX_WIDTH = 40
"""A cell wider than this moves the rest of its own row, not the whole column."""
ROOM = 1.3
"""A column that must widen below its header widens by more than it needs, so that it seldom does."""
LIVE_WIDTH = 8
"""Where rows come one by one, a column of numbers or texts has this width from the start."""
_RIGHT = ("TINYINT", "SMALLINT", "INT", "BIGINT", "DECIMAL", "FLOAT", "DOUBLE")
_KIND_STYLE = {"+I": "green", "+U": "green", "-U": "red", "-D": "red"}


class Screen:
    """A stream that may be a terminal: coloured there, plain text elsewhere.

    On a terminal everything goes through rich's console, so that a live status line stays below.
    """

    def __init__(self, stream: IO[str], *, color: bool | None = None) -> None:
        self.stream = stream
        self.terminal = stream.isatty() if color is None else color
        self.live = False  # a live line is being drawn at its foot
        self.console = Console(file=stream, force_terminal=self.terminal or None, highlight=False,
                               markup=False, emoji=False)

    def print(self, text: str | Text) -> None:
        """Write whole lines, and let them be seen at once."""
        if self.terminal:
            self.console.print(text, soft_wrap=True)
        else:
            self.stream.write(f"{text}\n")
        self.stream.flush()

    def note(self, text: Text) -> None:
        """Write lines for a person to read: on a terminal a long one is broken between words, and hangs."""
        if not self.terminal:
            self.print(text)
            return
        for line in text.split("\n"):
            indent = len(line.plain) - len(line.plain.lstrip(" "))
            parts = line.wrap(self.console, max(self.cells - 4, 20))
            self.print(Text(f"\n{' ' * (indent + 2)}").join(part for part in parts))

    @property
    def cells(self) -> int:
        """How many characters a line has room for."""
        return self.console.width if self.terminal else LINE_CELLS

    def print_parts(self, lines: Iterable[Iterable[Part]]) -> None:
        """Write lines given as pieces of text with their styles; only a terminal sees the styles."""
        if self.terminal:
            self.print(Text("\n").join(Text.assemble(*parts) for parts in lines))
        else:
            self.print("\n".join("".join([text for text, _ in parts]) for parts in lines))


class Printer(Protocol):
    """Shows one result."""

    def begin(self) -> None: ...

    def rows(self, changes: Sequence[Change]) -> None:
        """Show these changes now; an empty sequence shows nothing."""
        ...

    def end(self, note: str = "") -> None:
        """All has been shown; `note` says why no more comes, as `stopped`."""
        ...


class TablePrinter:
    """Aligned columns below a header; numbers to the right; a count of rows at the end."""

    def __init__(
        self, screen: Screen, columns: Columns, append_only: bool = True, zone: tzinfo = UTC, live: bool = False
    ) -> None:
        self._screen = screen
        self._columns = list(columns)
        self._kinds = not append_only
        self._formatters = [text_formatter(kind, zone) for _, kind in columns]
        self._right = [kind.split("(")[0].split(" ")[0] in _RIGHT for _, kind in columns]
        self._widths = [max(cell_len(printable(name)), _least_width(kind, zone, live)) for name, kind in columns]
        self._started = False
        self._count = 0

    def begin(self) -> None:
        """The header waits for the first rows, which decide its widths."""

    def rows(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        cells = [[self._cell(value, form) for value, form in zip(row, self._formatters)]
                 for _, row in changes]
        self._widen(cells)
        self._header()
        lines = [self._line(kind, row) for (kind, _), row in zip(changes, cells)]
        self._count += len(lines)
        self._screen.print_parts(lines)

    def end(self, note: str = "") -> None:
        self._header()
        unit = ("row" if self._count == 1 else "rows") if not self._kinds else (
            "change" if self._count == 1 else "changes")
        self._screen.print(Text(f"({self._count:,} {unit}{', ' + note if note else ''})", style="dim"))

    def _cell(self, value: Any, formatter: Formatter) -> str:
        return NULL if value is None else printable(formatter(value))

    def _widen(self, cells: list[list[str]]) -> None:
        """Make room for these cells. On a terminal, where the header is still to be seen, it is shown anew."""
        before = list(self._widths)
        for index, width in enumerate(before):
            widest = min(max(cell_len(row[index]) for row in cells), MAX_WIDTH)
            if widest > width:
                self._widths[index] = min(int(widest * ROOM), MAX_WIDTH) if self._started else widest
        if self._widths != before:
            self._started = self._started and not self._screen.terminal

    def _header(self) -> None:
        if self._started:
            return
        self._started = True
        parts = [printable(name).center(width - cell_len(printable(name)) + len(printable(name)))
                 for (name, _), width in zip(self._columns, self._widths)]
        rules = ["-" * (width + 2) for width in self._widths]
        if self._kinds:
            parts, rules = ["op", *parts], ["-" * 4, *rules]
        self._screen.print(Text(" " + " | ".join(parts).rstrip(), style="bold"))
        self._screen.print(Text("+".join(rules), style="dim"))

    def _line(self, kind: str, cells: list[str]) -> list[Part]:
        parts: list[Part] = [(" ", "")]
        if self._kinds:
            parts += [(kind, _KIND_STYLE.get(kind, "")), (" | ", "dim")]
        last = len(cells) - 1
        for index, cell in enumerate(cells):
            padding = " " * (self._widths[index] - cell_len(cell))
            shown = (cell, "dim italic" if cell == NULL else "")
            if self._right[index]:
                parts += [(padding, ""), shown]
            else:
                parts += [shown, (padding if index < last else "", "")]
            if index < last:
                parts.append((" | ", "dim"))
        return parts


class JsonPrinter:
    """One JSON object a line; a changelog's kind comes first, as `op`."""

    def __init__(
        self, screen: Screen, columns: Columns, append_only: bool = True, zone: tzinfo = UTC
    ) -> None:
        names = [name for name, _ in columns]
        self._op = None if append_only else json.dumps(_op_name(names))
        self._screen = screen
        self._keys = [json.dumps(name, ensure_ascii=False) for name in names]
        self._formatters = [json_formatter(kind, zone) for _, kind in columns]

    def begin(self) -> None:
        """JSON lines have no header."""

    def rows(self, changes: Sequence[Change]) -> None:
        if changes:
            self._screen.print("\n".join(self._object(kind, row) for kind, row in changes))

    def end(self, note: str = "") -> None:
        """JSON lines have no footer."""

    def _object(self, kind: str, row: Sequence[Any]) -> str:
        fields = [f"{key}: {'null' if value is None else form(value)}"
                  for key, value, form in zip(self._keys, row, self._formatters)]
        if self._op is not None:
            fields.insert(0, f'{self._op}: "{kind}"')
        return "{" + ", ".join(fields) + "}"


class CsvPrinter:
    """RFC 4180 with a header; NULL is an empty field, an empty string is `""`."""

    def __init__(
        self, screen: Screen, columns: Columns, append_only: bool = True, zone: tzinfo = UTC
    ) -> None:
        self._screen = screen
        self._kinds = not append_only
        self._names = [name for name, _ in columns]
        self._formatters = [text_formatter(kind, zone) for _, kind in columns]

    def begin(self) -> None:
        header = [_op_name(self._names), *self._names] if self._kinds else self._names
        self._screen.print(",".join(_csv_field(name) for name in header))

    def rows(self, changes: Sequence[Change]) -> None:
        if changes:
            self._screen.print("\n".join(self._record(kind, row) for kind, row in changes))

    def end(self, note: str = "") -> None:
        """CSV has no footer."""

    def _record(self, kind: str, row: Sequence[Any]) -> str:
        fields = ["" if value is None else _csv_field(form(value))
                  for value, form in zip(row, self._formatters)]
        return ",".join([kind, *fields] if self._kinds else fields)


def printer(
    output: OutputFormat, screen: Screen, columns: Columns, append_only: bool = True, zone: tzinfo = UTC,
    live: bool = False,
) -> Printer:
    """The printer of a result in this format. live: its rows come over time."""
    if output == "table":
        return TablePrinter(screen, columns, append_only, zone, live)
    kinds: dict[OutputFormat, Callable[..., Printer]] = {"json": JsonPrinter, "csv": CsvPrinter}
    return kinds[output](screen, columns, append_only, zone)


def _op_name(names: Sequence[str]) -> str:
    """`op`, unless a column of the result is called so."""
    return "$op" if "op" in names else "op"


def _csv_field(text: str) -> str:
    if text and not any(mark in text for mark in ',"\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


def _least_width(type_text: str, zone: tzinfo, live: bool) -> int:
    """The width that every value of a time type needs, so that later rows do not move the columns."""
    if live and type_text.split("(")[0].split(" ")[0] in (*_RIGHT, "STRING", "VARCHAR"):
        return LIVE_WIDTH
    digits = digits_of(type_text)
    fraction = digits + 1 if digits else 0
    if type_text.startswith("TIMESTAMP_LTZ"):
        return 19 + fraction + (1 if zone is UTC else 6)
    if type_text.startswith("TIMESTAMP"):
        return 19 + fraction
    return 8 + fraction if type_text.startswith("TIME(") else 0

"""Log records as lines of fields on stderr: `time=… level=info event=progress rows_in=…`."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from rich.text import Text

from streamsql.shell.render import Screen

LEVELS = ("debug", "info", "warning", "error")
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;/+-_@%$<>()*#")


class FieldFormatter(logging.Formatter):
    """`key=value` a field; a value with spaces or marks is quoted as in JSON.

    Fields beside the message come in the record's `fields`, a dict (`extra={"fields": {…}}`).
    """

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, object] = {
            "time": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields |= getattr(record, "fields", {})
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return " ".join(f"{key}={field_text(value)}" for key, value in fields.items())


def field_text(value: object) -> str:
    """One value of a field."""
    if value is None:
        return "-"
    text = str(value)
    return text if text and _BARE.issuperset(text) else json.dumps(text, ensure_ascii=False)


class ScreenHandler(logging.StreamHandler[TextIO]):
    """Log lines on a terminal where other things are drawn: above the live line or the prompt, never through it."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self.setFormatter(FieldFormatter())
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        if self._screen.live:
            self._screen.print(Text(line, style="dim"))
        else:
            sys.stderr.write(f"{line}\n")  # looked up now: the prompt puts a stream of its own there


def beside(screen: Screen) -> None:
    """Send log lines to the terminal of `screen`, if it is one and nobody has taken them elsewhere."""
    root = logging.getLogger("streamsql")
    if screen.terminal and sys.stderr.isatty() and root.handlers:
        root.handlers[:] = [ScreenHandler(screen)]


def configure(level: str) -> None:
    """Send streamsql's log records of `level` and above to stderr; called once by the command line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldFormatter())
    root = logging.getLogger("streamsql")
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    root.propagate = False

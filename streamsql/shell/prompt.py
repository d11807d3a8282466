"""The prompt of the shell: editing, highlighting, history and completion, over prompt-toolkit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import completion_is_selected
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.patch_stdout import patch_stdout

from streamsql.shell.completion import Names, suggest
from streamsql.shell.highlight import Highlighter
from streamsql.sql.lexer import is_complete

PROMPT = "streamsql> "
CONTINUATION = "        -> "
COMMANDS = ("help", "quit", "exit")
ALIASES = {"\\q": "quit", "\\?": "help", "\\h": "help"}
"""What other shells call them."""


def command(text: str) -> str:
    """The command of the shell that `text` is, with or without `;`; '' when it is SQL."""
    word = text.strip().removesuffix(";").strip().lower()
    word = ALIASES.get(word, word)
    return word if word in COMMANDS else ""


def ready(text: str) -> bool:
    """Whether Enter runs what is typed: a command (one of another shell gets its answer), or whole statements."""
    return bool(command(text)) or text.startswith("\\") or is_complete(text)


class Prompt:
    """Asks for one text at a time. `names` is called when completion first needs them."""

    def __init__(self, names: Callable[[], Names]) -> None:
        self._completer = _NamesCompleter(names)
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            multiline=True,
            prompt_continuation=CONTINUATION,
            lexer=PygmentsLexer(Highlighter),
            completer=self._completer,
            complete_while_typing=True,
            auto_suggest=AutoSuggestFromHistory(),
            history=history(),
            key_bindings=_keys(),
            enable_open_in_editor=True,
        )

    def ask(self) -> str:
        """The next text. Raises KeyboardInterrupt for Ctrl-C, EOFError for Ctrl-D on an empty line."""
        self._completer.forget()
        with patch_stdout(raw=True):  # what threads say meanwhile stands above the prompt
            return self._session.prompt()


class _NamesCompleter(Completer):
    """Hands `suggest`'s answers to prompt-toolkit; asks for the names once a text."""

    def __init__(self, names: Callable[[], Names]) -> None:
        self._source = names
        self._names: Names | None = None

    def forget(self) -> None:
        self._names = None

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        if self._names is None:
            self._names = self._source()
        cursor = document.cursor_position
        for found in suggest(document.text, cursor, self._names):
            yield Completion(found.text, found.start - cursor, display_meta=found.kind)


def history() -> History:
    """What was typed before, under the XDG state directory; in memory where that cannot be written."""
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    path = Path(state).expanduser() / "streamsql" / "history"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))


def _keys() -> KeyBindings:
    """Enter runs a complete text and opens another line for an incomplete one."""
    keys = KeyBindings()

    @keys.add("enter", filter=~completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if ready(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=True)

    @keys.add("enter", filter=completion_is_selected)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    return keys

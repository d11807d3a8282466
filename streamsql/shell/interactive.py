"""The interactive shell: reads statements from a terminal or a pipe and runs them in one session."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

from rich.text import Text

from streamsql.errors import ParseError, SQLError, StreamSQLError, UsageError
from streamsql.planner import modules
from streamsql.shell.completion import Names
from streamsql.shell.interrupts import end_at_once
from streamsql.shell.log import beside
from streamsql.shell.progress import LiveLine, LogLines
from streamsql.shell.prompt import Prompt, command, ready
from streamsql.shell.render import OutputFormat, Screen
from streamsql.shell.runner import DONE, Runner, exit_code, report
from streamsql.sql.lexer import apart, split

if TYPE_CHECKING:
    from streamsql.session import Session

HELP = """\
A statement may have several lines; `;` ends it and Enter runs it.
  SELECT …               rows appear as they come; Ctrl-C stops the query
  INSERT INTO …          runs as a job in the background: SHOW JOBS, STOP JOB 'name'
  CREATE TABLE | VIEW …  SHOW TABLES, DESCRIBE name, DROP …
  EXPLAIN SELECT …       the plan, with changelog mode, watermark and state
  SET 'key' = 'value'    SET lists the settings, RESET 'key' undoes one
Tab completes · Up and Ctrl-R go through the history · Ctrl-X Ctrl-E opens an editor
help shows this · quit, \\q or Ctrl-D leaves, and stops the jobs that run"""


LEFT_SHOWN = 3
"""Statements that did not run are named up to this number."""


def main(session: Session, output: OutputFormat, variables: Mapping[str, str]) -> int:
    """Run the shell on the process's own streams; the exit code."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        return Terminal(session, output, variables).loop()
    return piped(session, lines_of(sys.stdin.buffer), output, variables)


class Terminal:
    """The shell for a person: a prompt, and jobs that go on in the background."""

    def __init__(self, session: Session, output: OutputFormat, variables: Mapping[str, str]) -> None:
        self._screen = Screen(sys.stdout)
        beside(self._screen)
        self._variables = variables
        self._runner = Runner(session, self._screen, self._screen, output, LiveLine(self._screen), _interrupt,
                              messages=True, background=True)
        self._prompt = Prompt(lambda: names_of(session))

    def loop(self) -> int:
        """Ask, run, show; until Ctrl-D or `quit`."""
        self._screen.note(Text(f"streamsql {version('streamsql')} · `;` ends a statement · help · "
                               "Ctrl-D leaves", style="dim"))
        while True:
            self._runner.reap()
            try:
                text = self._prompt.ask()
            except KeyboardInterrupt:
                continue
            except EOFError:
                break
            if command(text) in ("quit", "exit"):
                break
            self._run(text)
        for job in self._runner.jobs:
            job.stop()
        return DONE

    def _run(self, text: str) -> None:
        if command(text) == "help":
            self._screen.print(HELP)
            return
        statements = split(text)
        try:
            self._runner.run(text, "<sql>", self._variables)
        except StreamSQLError as error:
            report(error, self._screen)
            self._not_run(left(statements, self._runner.done, error))
        except KeyboardInterrupt:
            if not self._runner.stopped:
                self._screen.print(Text("interrupted", style="dim"))
            self._not_run(statements[self._runner.done + (not self._runner.stopped) :])

    def _not_run(self, statements: Sequence[str]) -> None:
        """Say which statements of a text were left out because one before them failed."""
        if statements:
            shown = [shortened(statement) for statement in statements[:LEFT_SHOWN]]
            more = f" and {len(statements) - LEFT_SHOWN} more" if len(statements) > LEFT_SHOWN else ""
            self._screen.note(Text(f"not run: {' '.join(shown)}{more}", style="dim"))


def left(statements: Sequence[str], done: int, error: StreamSQLError) -> Sequence[str]:
    """The statements that did not run beside the one at fault: all the others if the text is not the language."""
    if isinstance(error, ParseError) and done == 0 and error.source is not None and error.span is not None:
        wrong = sum(1 for _ in apart(error.source.text[: error.span.start + 1])) - 1
        return [*statements[:wrong], *statements[wrong + 1 :]]
    return statements[done + 1 :]


def shortened(statement: str) -> str:
    """A statement in one line of at most 40 characters."""
    line = " ".join(statement.split())
    return line if len(line) <= 40 else f"{line[:38]}…;"


def piped(session: Session, lines: Iterable[str], output: OutputFormat, variables: Mapping[str, str]) -> int:
    """Run statements as they come through a pipe, with no prompts.

    An error is reported and the next statement runs; the exit code is that of the last error.
    INSERTs are waited for, as there is nobody to come back to them; those without an end, at the end.
    """
    screen, notes = Screen(sys.stdout), Screen(sys.stderr)
    progress = LiveLine(notes) if notes.terminal else LogLines()
    runner = Runner(session, screen, notes, output, progress, end_at_once)
    code, read = DONE, [""]
    for text in texts_of(_kept(lines, read)):
        word = command(text)
        if word == "help":
            screen.print(HELP)
        elif word:
            break
        else:
            try:
                runner.run(text, "<stdin>", variables)
            except StreamSQLError as error:
                report(_whole(error, read[0]), notes)
                code = exit_code(error)
    try:
        runner.finish()
    except StreamSQLError as error:
        report(error, notes)
        code = exit_code(error)
    return code


def _kept(lines: Iterable[str], read: list[str]) -> Iterator[str]:
    """The lines, of which `read[0]` holds all that came."""
    for line in lines:
        read[0] += line
        yield line


def _whole(error: StreamSQLError, read: str) -> StreamSQLError:
    """The error with what stood before its statement in its line, in place of the blanks that it ran behind."""
    if isinstance(error, SQLError) and error.source is not None:
        text = error.source.text
        before, _, blanks = text[: len(text) - len(text.lstrip())].rpartition("\n")
        start = len(before) + (len(before) + len(blanks) < len(text) - len(text.lstrip()))
        line = read.split("\n")[text.count("\n", 0, start)]
        error.source = replace(error.source, text=text[:start] + line[: len(blanks)] + text[start + len(blanks) :])
    return error


def lines_of(stream: Iterable[bytes]) -> Iterator[str]:
    """The lines of a pipe. Raises UsageError at the first that is not UTF-8."""
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(
                f"line {number} of stdin is not UTF-8: byte 0x{line[error.start]:02x}") from None


def texts_of(lines: Iterable[str]) -> Iterator[str]:
    """The statements, each as soon as its line is complete, led by as many empty lines as stood before it.

    So an error names the line of the whole input. What is left at the end runs as it is.
    """
    before, text = 0, ""
    for line in lines:
        text += line
        if text.strip() and ready(text):
            yield from ("\n" * before + statement for statement in apart(text))
        elif text.strip():
            continue
        before += text.count("\n")
        text = ""
    if text.strip():
        yield from ("\n" * before + statement for statement in apart(text))


def names_of(session: Session) -> Names:
    """What completion may offer in this session."""
    catalog = session.catalog()
    return Names(catalog.tables(), catalog.functions(), catalog.settings(), _connector_options())


@cache
def _connector_options() -> Mapping[str, list[str]]:
    """The options of every connector whose driver is installed."""
    options = {}
    for name in modules.names("connectors"):
        try:
            options[name] = [option.key for option in modules.connector(name).OPTIONS]
        except ImportError:
            continue
    return options


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt

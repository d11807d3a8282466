"""The shell in a real pseudo-terminal: what a person types and sees. Each step waits for a text."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from streamsql.errors import ParseError, Source
from streamsql.shell.interactive import left, lines_of, texts_of
from streamsql.shell.prompt import command, ready
from streamsql.sql import parse
from streamsql.sql.lexer import split

ROOT = Path(__file__).parents[3]


class Shell:
    """A shell in a terminal of its own."""

    def __init__(self, *arguments: str, state: Path) -> None:
        environment = {**os.environ, "TERM": "xterm", "XDG_STATE_HOME": str(state),
                       "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.terminal = pexpect.spawn(
            sys.executable, ["-m", "tests.unit.shell.fake_main", *arguments], cwd=str(ROOT), env=environment,
            encoding="utf-8", timeout=10, dimensions=(40, 200))

    def type(self, text: str) -> None:
        self.terminal.send(text)

    def sees(self, text: str) -> None:
        self.terminal.expect_exact(text)

    def asks(self) -> None:
        """The prompt is there and takes input."""
        self.sees("streamsql>")

    def leaves(self) -> int:
        self.terminal.expect(pexpect.EOF)
        self.terminal.close()
        return int(self.terminal.exitstatus)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    opened = Shell(state=tmp_path)
    opened.sees("Ctrl-D leaves")
    opened.asks()
    yield opened
    opened.terminal.close(force=True)


def test_a_statement_runs_and_ctrl_d_leaves(shell: Shell) -> None:
    shell.type("ROWS 2;\r")
    shell.sees("row1")
    shell.sees("(2 rows)")
    shell.asks()
    shell.type("\x04")
    assert shell.leaves() == 0


def test_enter_goes_on_with_the_statement_until_its_semicolon(shell: Shell) -> None:
    shell.type("ROWS\r")
    shell.sees("->")
    shell.type("3;\r")
    shell.sees("(3 rows)")


def test_ctrl_c_stops_the_query_and_not_the_shell(shell: Shell) -> None:
    shell.type("FOREVER;\r")
    shell.sees("first")
    shell.sees("watermark")
    shell.type("\x03")
    shell.sees("(1 row, stopped)")
    shell.asks()
    shell.type("ROWS 2;\r")
    shell.sees("(2 rows)")


def test_ctrl_c_at_the_prompt_drops_what_is_typed(shell: Shell) -> None:
    shell.type("SELECT unfinished")
    shell.sees("unfinished")
    shell.type("\x03")
    shell.asks()
    shell.type("ROWS 1;\r")
    shell.sees("(1 row)")


def test_an_error_shows_its_caret_and_the_shell_goes_on(shell: Shell) -> None:
    shell.type("WRONG tabel;\r")
    shell.sees('<sql>:1:7: table "tabel" does not exist')
    shell.sees("^^^^^")
    shell.sees("hint: Did you mean it?")
    shell.asks()
    shell.type("CREATE x;\r")
    shell.sees("done: CREATE x;")


def test_what_an_error_leaves_out_is_said(shell: Shell) -> None:
    shell.type("ROWS 1; WRONG tabel; ROWS 2; SHOW x;\r")
    shell.sees("(1 row)")
    shell.sees('<sql>:1:15: table "tabel" does not exist')
    shell.sees("not run: ROWS 2; SHOW x;")
    shell.asks()
    shell.type("\\q\r")
    assert shell.leaves() == 0


@pytest.mark.parametrize(("text", "found"), [
    ("SELECT 1; SELEC 2; SELECT 3;", ["SELECT 1;", "SELECT 3;"]), ("SELEC 1;", []),
    ("SELECT 1; SELECT ;", ["SELECT 1;"]),
])
def test_of_a_text_that_is_not_the_language_nothing_runs(text: str, found: list[str]) -> None:
    with pytest.raises(ParseError) as error:
        parse(Source(text))
    assert left(split(text), 0, error.value) == found


def test_an_insert_runs_in_the_background(shell: Shell) -> None:
    shell.type("WORK;\r")
    shell.sees("job 1 runs")
    shell.asks()
    shell.type("ROWS 1;\r")
    shell.sees("(1 row)")
    shell.asks()
    shell.type("quit\r")
    assert shell.leaves() == 0


def test_a_job_that_ended_says_so_at_the_next_prompt(shell: Shell) -> None:
    shell.type("JOB;\r")
    shell.sees("job 1 runs")
    shell.sees("10 rows in, 3 out in 2.0 s")


@pytest.mark.parametrize("word", ["quit", "exit;", "EXIT"])
def test_quit_and_exit_leave(shell: Shell, word: str) -> None:
    shell.type(f"{word}\r")
    assert shell.leaves() == 0


def test_help(shell: Shell) -> None:
    shell.type("help\r")
    shell.sees("Ctrl-C stops the query")
    shell.asks()


def test_tab_completes_a_table(shell: Shell) -> None:
    shell.type("SELECT * FROM cl")
    shell.sees("clicks")
    shell.type("\t")
    shell.type("\r")
    shell.type(";\r")
    shell.sees("done: SELECT * FROM clicks")


def test_history_is_kept_between_shells(tmp_path: Path) -> None:
    first = Shell(state=tmp_path)
    first.asks()
    first.type("ROWS 4;\r")
    first.sees("(4 rows)")
    first.asks()
    first.type("\x04")
    assert first.leaves() == 0
    second = Shell(state=tmp_path)
    second.asks()
    second.type("\x1b[A")
    second.sees("ROWS")
    second.type("\r")
    second.sees("(4 rows)")
    second.terminal.close(force=True)
    assert "ROWS 4;" in (tmp_path / "streamsql" / "history").read_text()


def test_a_state_directory_that_cannot_be_written_costs_only_the_history(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shell = Shell(state=tmp_path / "file")
    shell.asks()
    shell.type("ROWS 1;\r")
    shell.sees("(1 row)")
    shell.terminal.close(force=True)


def test_run_on_a_terminal_shows_a_live_line(tmp_path: Path) -> None:
    shell = Shell("run", "-e", "FOREVER", state=tmp_path)
    shell.sees("first")
    shell.sees("rows/s in")
    shell.type("\x03")
    shell.sees("(1 row, stopped)")
    shell.sees("10 rows in, 3 out in 2.0 s")
    assert shell.leaves() == 130


@pytest.mark.parametrize(("text", "word"), [
    ("help", "help"), (" Quit ;\n", "quit"), ("exit", "exit"), ("helpful", ""),
    ("\\q", "quit"), ("SELECT 1", ""), ("", ""),
])
def test_commands(text: str, word: str) -> None:
    assert command(text) == word


@pytest.mark.parametrize(("text", "complete"), [
    ("SELECT 1;", True), ("SELECT 1", False), ("SELECT ';", False), ("SELECT 1; -- done", True),
    ("quit", True),
    ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1;", False), ("", True),
])
def test_enter_runs_what_is_complete(text: str, complete: bool) -> None:
    assert ready(text) is complete


def test_texts_of_a_pipe_keep_their_line_numbers() -> None:
    lines = lines_of([b"\xef\xbb\xbfA;\n", b"\n", b"B\n", b" C; D;\n", b"quit\n", b"E"])
    assert list(texts_of(lines)) == ["A;\n", "\n\nB\n C;", "\n\n \n    D;\n", "\n\n\n\nquit\n",
                                     "\n\n\n\n\nE"]

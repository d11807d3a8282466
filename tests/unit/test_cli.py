"""The command line: arguments, output, errors and exit codes, over a session that answers from a script."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

import streamsql
from streamsql.cli import cli, defect
from tests.unit.shell.fakes import FakeSession

ROOT = Path(__file__).parents[2]
TABLE_OF_TWO = " name | n\n------+---\n row0 | 0\n row1 | 1\n(2 rows)\n"


@pytest.fixture(autouse=True)
def _logger() -> Iterator[None]:
    """Commands configure the process's logger: give it back as it was."""
    logger = logging.getLogger("streamsql")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[FakeSession]:
    made: list[FakeSession] = []

    def connect(*arguments: object, **options: object) -> FakeSession:
        made.append(FakeSession(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setitem(vars(streamsql), "connect", connect)
    return made


def call(*arguments: str, stdin: str | bytes = "", env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli, arguments, input=stdin, env=env)


def process(*arguments: str) -> subprocess.Popen[str]:
    """The command line in a process of its own, over the same fake."""
    command = [sys.executable, "-W", "error", "-m", "tests.unit.shell.fake_main", *arguments]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.usefixtures("sessions")
def test_rows_of_a_select_go_to_stdout_and_progress_to_stderr() -> None:
    result = call("run", "-e", "ROWS 2;")
    assert result.exit_code == 0
    assert result.stdout == TABLE_OF_TWO
    assert "event=done rows_in=10 rows_out=3" in result.stderr


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize(("output", "printed"), [
    ("table", TABLE_OF_TWO),
    ("json", '{"name": "row0", "n": 0}\n{"name": "row1", "n": 1}\n'),
    ("csv", "name,n\nrow0,0\nrow1,1\n"),
])
def test_output_formats(output: str, printed: str) -> None:
    assert call("run", "-e", "ROWS 2", "--output", output).stdout == printed


@pytest.mark.usefixtures("sessions")
def test_a_changelog_shows_its_kinds() -> None:
    printed = call("run", "-e", "CHANGES", "--output", "csv").stdout
    assert printed == "op,name,n\n+I,a,1\n-D,a,1\n+I,a,2\n"


@pytest.mark.usefixtures("sessions")
def test_a_table_result_is_printed_and_a_message_is_not() -> None:
    assert call("run", "-e", "CREATE x; SHOW y;").stdout == "  name\n--------\n clicks\n <NULL>\n(2 rows)\n"


def test_files_stdin_and_texts_run_in_order_in_one_session(
    sessions: list[FakeSession], tmp_path: Path
) -> None:
    script = tmp_path / "a.sql"
    script.write_text("\ufeffONE;", encoding="utf-8")
    assert call("run", str(script), "-", "-e", "THREE;", "-e", "FOUR;", stdin="TWO;").exit_code == 0
    assert [session.ran for session in sessions] == [["ONE;", "TWO;", "THREE;", "FOUR;"]]
    assert sessions[0].closed


def test_settings_variables_and_state_reach_the_session(sessions: list[FakeSession], tmp_path: Path) -> None:
    result = call("run", "-e", "VARIABLE", "--var", "x=a=b", "--set", "k = v", "--set", "l=",
                  "--state", str(tmp_path))
    assert "a=b" in result.stdout
    assert sessions[0].settings == {"k": " v", "l": ""}
    assert sessions[0].state == tmp_path


@pytest.mark.usefixtures("sessions")
def test_an_error_in_the_sql_shows_its_place_and_ends_with_2(tmp_path: Path) -> None:
    script = tmp_path / "q.sql"
    script.write_text("ONE;\n  WRONG tabel;\nTWO;")
    result = call("run", str(script))
    assert result.exit_code == 2
    assert result.stderr == (
        f'{script}:2:9: table "tabel" does not exist\n'
        "    WRONG tabel;\n"
        "          ^^^^^\n"
        "  hint: Did you mean it?\n")


def test_a_script_stops_at_its_first_error(sessions: list[FakeSession]) -> None:
    assert call("run", "-e", "ONE; BROKER; TWO").exit_code == 1
    assert sessions[0].ran == ["ONE;", "BROKER;"]
    assert sessions[0].closed


@pytest.mark.usefixtures("sessions")
def test_a_failure_of_the_outside_ends_with_1() -> None:
    result = call("run", "-e", "BROKER")
    assert result.exit_code == 1
    assert result.stderr == "error: no broker answers\n  hint: Start one.\n"


def test_nothing_runs_when_a_file_is_wrong(sessions: list[FakeSession], tmp_path: Path) -> None:
    (tmp_path / "query.sql").write_text("ONE;")
    result = call("run", str(tmp_path / "query.sql"), str(tmp_path / "qeury.sql"))
    assert result.exit_code == 2
    assert result.stderr == (f'file "{tmp_path}/qeury.sql" does not exist\n'
                             f'  hint: Did you mean "{tmp_path}/query.sql"?\n')
    assert sessions == []


@pytest.mark.usefixtures("sessions")
def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("ONE;")
    directory = call("run", str(tmp_path))
    assert (directory.exit_code, directory.stderr) == (
        2, f'"{tmp_path}" is a directory, not a script\n  hint: Scripts in it: {tmp_path}/a.sql\n')
    missing = call("run", str(tmp_path / "no" / "a.sql"))
    assert missing.stderr.endswith(f'hint: The directory "{tmp_path}/no" does not exist either.\n')
    (tmp_path / "latin.sql").write_bytes(b"ONE;\nSELECT '\xe9'")
    latin = call("run", str(tmp_path / "latin.sql"))
    assert (latin.exit_code, latin.stderr.splitlines()[0]) == (
        2, f'file "{tmp_path}/latin.sql" is not UTF-8: byte 0xe9 in line 2')
    piped = call("run", "-", stdin=b"\xff")
    assert (piped.exit_code, piped.stderr.splitlines()[0]) == (
        2, 'file "<stdin>" is not UTF-8: byte 0xff in line 1')


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
@pytest.mark.usefixtures("sessions")
def test_a_file_without_permission(tmp_path: Path) -> None:
    script = tmp_path / "a.sql"
    script.touch(mode=0)
    result = call("run", str(script))
    assert (result.exit_code, result.stderr) == (2, f'file "{script}" cannot be read: permission denied\n')


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize("arguments", [
    ("run",), ("run", "--nope", "x"), ("nope",), ("run", "-e", "A", "--set", "novalue"),
    ("run", "-e", "A", "--set", "=v"),
    ("run", "-e", "A", "--output", "xml"), ("run", "-e", "A", "--log-level", "loud"),
    ("check",), ("explain",),
    ("--set", "a=b", "run", "-e", "A"),
])
def test_a_wrong_call_ends_with_2(arguments: tuple[str, ...]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


@pytest.mark.usefixtures("sessions")
def test_check_reports_every_error_and_runs_nothing(tmp_path: Path) -> None:
    for name, text in (("a.sql", "ONE; WRONG x; WRONG y;"), ("b.sql", "ONE;")):
        (tmp_path / name).write_text(text)
    result = call("check", str(tmp_path / "a.sql"), str(tmp_path / "b.sql"))
    assert result.exit_code == 2
    assert f'{tmp_path}/a.sql:1:12: table "x" does not exist\n' in result.stderr
    assert f'{tmp_path}/a.sql:1:21: table "y" does not exist\n' in result.stderr
    assert result.stdout == f"{tmp_path}/b.sql: ok\n"


def test_check_gives_each_file_its_own_session(sessions: list[FakeSession], tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("ONE;")
    assert call("check", str(tmp_path / "a.sql"), str(tmp_path / "a.sql")).exit_code == 0
    assert len(sessions) == 2
    assert all(session.closed and not session.ran for session in sessions)


@pytest.mark.usefixtures("sessions")
def test_explain_prints_the_plan() -> None:
    result = call("explain", "-e", "SELECT 1")
    assert (result.exit_code, result.stdout) == (0, "plan of SELECT 1\n")


@pytest.mark.usefixtures("sessions")
def test_without_a_terminal_the_shell_runs_what_comes_through_the_pipe() -> None:
    result = call(stdin="CREATE x;\nSHOW\n  y; ROWS 2;\n")
    assert result.exit_code == 0
    assert result.stdout == "  name\n--------\n clicks\n <NULL>\n(2 rows)\n" + TABLE_OF_TWO


def test_the_piped_shell_goes_on_after_an_error_and_ends_with_the_code_of_the_last(
    sessions: list[FakeSession],
) -> None:
    result = call(stdin="BROKER;\n\n-- a comment\nWRONG x;\nSHOW y")
    assert result.exit_code == 2
    assert '<stdin>:4:7: table "x" does not exist' in result.stderr
    assert sessions[0].ran == ["BROKER;", "WRONG x;", "SHOW y"]


@pytest.mark.usefixtures("sessions")
def test_an_error_in_a_pipe_shows_what_stood_before_it_in_its_line() -> None:
    result = call(stdin="SHOW y;\nSHOW 1; WRONG x; SHOW y;\n")
    assert '<stdin>:2:15: table "x" does not exist\n  SHOW 1; WRONG x;\n                ^' in result.stderr


@pytest.mark.usefixtures("sessions")
def test_commands_of_the_shell_work_in_a_pipe() -> None:
    result = call(stdin="help\nquit\nBROKER;\n")
    assert result.exit_code == 0
    assert "Ctrl-D leaves" in result.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--record", "cases/a.stream"], []])
def test_test_hands_everything_to_the_harness(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    harness = ModuleType("streamsql.testing")
    asked: list[list[str]] = []

    def main(given: list[str]) -> int:
        asked.append(given)
        return 1

    setattr(harness, "main", main)  # noqa: B010
    monkeypatch.setitem(sys.modules, "streamsql.testing", harness)
    assert call("test", *arguments).exit_code == 1
    assert asked == [arguments]


@pytest.mark.usefixtures("sessions")
def test_help_documents_the_exit_codes_and_version_is_one_line() -> None:
    for arguments in (("--help",), ("run", "--help"), ("check", "-h")):
        result = call(*arguments)
        assert result.exit_code == 0
        assert "130  interrupted" in result.stdout
    assert call("--version").stdout.startswith("streamsql 0.")


@pytest.mark.parametrize(("level", "traced"), [("info", False), ("debug", True)])
def test_a_defect_says_so_and_keeps_its_traceback_for_debug(
    level: str, traced: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("streamsql").setLevel(level.upper())
    try:
        raise ZeroDivisionError("division by zero")
    except ZeroDivisionError as error:
        defect(type(error), error, error.__traceback__)
    said = capsys.readouterr().err
    assert "error: ZeroDivisionError: division by zero (test_cli.py:" in said
    assert "This is a defect of streamsql. Please report it" in said
    assert ("Traceback" in said) is traced


def test_a_defect_ends_the_process_with_1_and_no_traceback() -> None:
    with process("run", "-e", "DEFECT") as running:
        out, err = running.communicate()
    assert (running.returncode, out) == (1, "")
    assert err.startswith("error: ZeroDivisionError")
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("statement", ["FOREVER", "WORK"])
def test_a_signal_ends_the_job_cleanly_with_130(number: signal.Signals, statement: str) -> None:
    with process("run", "-e", f"ROWS 1; {statement}; ROWS 2", "--output", "json") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == '{"name": "row0", "n": 0}\n'
        if statement == "FOREVER":
            assert running.stdout.readline() == '{"name": "first", "n": 1}\n'
        else:  # the job runs beside the next query, and is waited for
            assert running.stdout.readline() == '{"name": "row0", "n": 0}\n'
            assert running.stdout.readline() == '{"name": "row1", "n": 1}\n'
            assert "event=done" in running.stderr.readline()
            assert "event=done" in running.stderr.readline()
            assert "event=progress" in running.stderr.readline()
        running.send_signal(number)
        out, err = running.communicate()
    assert running.returncode == 130
    assert out == ""
    assert err.count("event=done") >= 1


def test_a_closed_pipe_ends_quietly() -> None:
    with process("run", "-e", "ROWS 200000", "--output", "csv", "--log-level", "error") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == "name,n\n"
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 0

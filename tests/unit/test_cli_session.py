"""The command line and the shell over the real session: that both speak of the same things."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from click.testing import CliRunner, Result

from streamsql.cli import cli

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _logger() -> Iterator[None]:
    logger = logging.getLogger("streamsql")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def call(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli, arguments, input=stdin, env=env)


def test_a_select_prints_its_rows() -> None:
    result = call("run", "-e", "SELECT * FROM (VALUES (1, 'a'), (2, CAST(NULL AS STRING))) AS t(n, s)",
                  "--log-level", "error")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == " n |   s\n---+--------\n 1 | a\n 2 | <NULL>\n(2 rows)\n"


def test_variables_and_the_environment_are_put_into_the_text() -> None:
    result = call("run", "-e", "SELECT ${n} AS n, '${env:WHO}' AS who", "--var", "n=7", "--output", "json",
                  env={"WHO": "me"})
    assert result.stdout == '{"n": 7, "who": "me"}\n'


def test_an_unknown_variable_is_an_error_at_its_place() -> None:
    result = call("run", "-e", "SELECT 1;\nSELECT ${nmae}", "--var", "name=1")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        '-e:2:8: variable "nmae" has no value\n  SELECT ${nmae}\n         ^^^^^^^\n')


def test_check_finds_what_run_would_refuse(tmp_path: Path) -> None:
    script = tmp_path / "q.sql"
    script.write_text("CREATE VIEW v AS SELECT 1 AS n;\nSELECT n FROM v;\nSELECT m FROM v;\n")
    result = call("check", str(script))
    assert result.exit_code == 2
    assert result.stderr.startswith(f'{script}:3:8: column "m" does not exist')
    script.write_text("SELECT 'open")
    assert call("check", str(script)).exit_code == 2


def test_explain_prints_a_plan() -> None:
    result = call("explain", "-e", "SELECT 1 AS n")
    assert result.exit_code == 0
    assert "schema: n INT NOT NULL" in result.stdout


def test_an_unknown_setting_is_refused() -> None:
    result = call("run", "-e", "SELECT 1", "--set", "nope=1")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, 'setting "nope" does not exist')


def test_the_piped_shell_goes_on_behind_the_semicolon_of_a_syntax_error() -> None:
    result = call("--output", "csv", stdin="SELCT 1; SELECT 2 AS n; SELECT nope; SELECT 3 AS n;\n")
    assert result.exit_code == 2
    assert result.stdout == "n\n2\nn\n3\n"
    assert '<stdin>:1:1: expected a statement but found "SELCT"' in result.stderr
    assert '<stdin>:1:32: ' in result.stderr


def test_the_piped_shell_knows_its_statements() -> None:
    result = call("--output", "csv", "--log-level", "error",
                  stdin="CREATE VIEW v AS SELECT 1 AS n;\nSHOW VIEWS;\nSELECT n FROM v;\n")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "view name\nv\nn\n1\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_stream_without_end(number: signal.Signals) -> None:
    text = "CREATE TABLE g (n BIGINT) WITH ('connector' = 'datagen'); SELECT n FROM g"
    with subprocess.Popen([sys.executable, "-m", "streamsql", "run", "-e", text, "--output", "csv"],
                          cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "n\n"
        assert running.stdout.readline()
        running.send_signal(number)
        _, err = running.communicate()
    assert running.returncode == 130
    assert "event=done" in err.splitlines()[-1]


FOREVER = """
CREATE TABLE made (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '100');
CREATE TABLE topic (n BIGINT) WITH ('connector' = 'kafka', 'properties.bootstrap.servers' = 'mock://',
    'topic' = 'made', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset');
"""


def test_a_select_reads_what_an_insert_without_end_writes() -> None:
    text = FOREVER + "INSERT INTO topic SELECT n FROM made; SHOW JOBS; SELECT n FROM topic"
    with subprocess.Popen([sys.executable, "-m", "streamsql", "run", "-e", text, "--output", "json"],
                          cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert '"status": "running"' in running.stdout.readline()
        assert running.stdout.readline().startswith('{"n": ')
        running.send_signal(signal.SIGINT)
        running.communicate()
    assert running.returncode == 130


def test_an_insert_without_end_is_waited_for_at_the_end() -> None:
    text = FOREVER + "INSERT INTO topic SELECT n FROM made; SELECT 1 AS n"
    with subprocess.Popen([sys.executable, "-m", "streamsql", "run", "-e", text, "--output", "json"],
                          cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == '{"n": 1}\n'
        assert "event=done" in running.stderr.readline()
        assert "event=progress" in running.stderr.readline()
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate()
    assert running.returncode == 130
    assert "event=done" in err.splitlines()[-1]


@pytest.mark.parametrize("beside", ["SELECT n FROM made", "INSERT INTO gone SELECT n FROM made", ""])
def test_an_insert_without_end_that_fails_ends_the_run(beside: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "bad.json").write_text("{oops\n")
    text = FOREVER + f"""
    CREATE TABLE gone WITH ('connector' = 'blackhole') LIKE made (EXCLUDING OPTIONS);
    CREATE TABLE bad (n BIGINT) WITH ('connector' = 'filesystem', 'path' = '{folder}', 'format' = 'json',
        'source.monitor-interval' = '1 s', 'error-handling.mode' = 'fail');
    EXECUTE STATEMENT SET BEGIN INSERT INTO gone SELECT n FROM bad; END; {beside}"""
    result = call("run", "-e", text, "--output", "csv", "--log-level", "error")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "the record is not JSON" in result.stderr


def test_an_insert_means_what_it_meant_where_it_stands() -> None:
    text = """
    CREATE TABLE t (s STRING) WITH ('connector' = 'kafka', 'properties.bootstrap.servers' = 'mock://',
        'topic' = 'zones', 'format' = 'json', 'sink.topic.partitions' = '1', 'scan.startup.mode' = 'earliest-offset',
        'scan.bounded.mode' = 'latest-offset');
    CREATE VIEW v AS SELECT CAST(TO_TIMESTAMP_LTZ(0, 3) AS STRING) AS s;
    INSERT INTO t SELECT s FROM v;
    SET 'table.local-time-zone' = 'Asia/Tokyo';
    INSERT INTO t SELECT s FROM v;
    DROP VIEW v;
    SELECT s FROM t"""
    result = call("run", "-e", text, "--output", "csv", "--log-level", "error")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "s\n1970-01-01 00:00:00.000\n1970-01-01 09:00:00.000\n"


def test_a_view_in_the_middle_of_a_script_is_shown_alone() -> None:
    result = call("run", "--output", "csv", "-e",
                  "CREATE VIEW v AS SELECT 1 AS n, 2 AS price; SHOW CREATE VIEW v; SHOW COLUMNS FROM v LIKE 'p%'")
    assert result.stdout.splitlines() == [
        "result", '"CREATE VIEW v AS SELECT 1 AS n, 2 AS price"', "name,type,null,key,extras,watermark",
        "price,INT,FALSE,,,"]


def test_the_shell_in_a_terminal(tmp_path: Path) -> None:
    environment = {**os.environ, "TERM": "xterm", "XDG_STATE_HOME": str(tmp_path),
                   "PROMPT_TOOLKIT_NO_CPR": "1"}
    shell = pexpect.spawn(sys.executable, ["-m", "streamsql"], cwd=str(ROOT), env=environment,
                          encoding="utf-8", timeout=20, dimensions=(40, 200))
    for typed, seen in (
        ("CREATE VIEW v AS SELECT 42 AS answer;\r", 'view "v" created'),
        ("SELECT answer FROM v;\r", "(1 row)"),
        ("SELECT asnwer FROM v;\r", 'Did you mean "answer"?'),
        ("SHOW VIEWS;\r", "(1 row)"),
    ):
        shell.expect_exact("streamsql>")
        shell.send(typed)
        shell.expect_exact(seen)
    shell.expect_exact("streamsql>")
    shell.send("\x04")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 0

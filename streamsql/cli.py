"""The command line: `streamsql`, `run`, `check`, `explain`, `test`. Parses arguments, decides exit codes.

What a command does is in `session` (through the public API) and in `shell`; nothing here knows SQL.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Any

import click
from click.core import ParameterSource

import streamsql
from streamsql.errors import Source, StreamSQLError, UsageError
from streamsql.shell.interrupts import INTERRUPTED, end_at_once
from streamsql.shell.log import LEVELS, beside, configure
from streamsql.shell.progress import LiveLine, LogLines, Progress
from streamsql.shell.render import OutputFormat, Screen
from streamsql.shell.runner import DONE, Runner, exit_code, report

EXIT_CODES = """\b
Exit codes:
  0    done
  1    data or the outside failed (a record, a broker, a file of data, the state)
  2    the SQL or the call is wrong
  130  interrupted by SIGINT or SIGTERM, after the running epoch was committed
"""

Command = Callable[..., Any]


class Commands(click.Group):
    """The command group; turns every way to fail into an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it returns is the exit code."""
        try:
            code = super().invoke(ctx)
        except StreamSQLError as error:
            report(error, Screen(sys.stderr))
            code = exit_code(error)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BrokenPipeError:
            # Nobody reads the results any more (`| head`): all that was wanted has been done.
            # Python flushes stdout once more when it ends, hence the redirection.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            code = DONE
        ctx.exit(code or DONE)


def _pairs(ctx: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    """`key=value` arguments as a dict; the last of a key counts."""
    pairs = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter(f'"{text}" is not of the form key=value', ctx, parameter)
        pairs[key.strip()] = value
    return pairs


def _options(*names: str) -> Callable[[Command], Command]:
    """The options that several commands share, by name, in this order in `--help`."""
    known: dict[str, Callable[[Command], Command]] = {
        "execute": click.option("-e", "--execute", "texts", multiple=True, metavar="SQL",
                                help="Run this SQL; may be given several times, after the files."),
        "set": click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", callback=_pairs,
                            help="A setting, as SET 'KEY' = 'VALUE'."),
        "var": click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", callback=_pairs,
                            help="A value for ${NAME} in the SQL; ${env:NAME} reads the environment."),
        "output": click.option("--output", type=click.Choice(["table", "json", "csv"]), default="table",
                               show_default=True, help="How rows are printed."),
        "state": click.option("--state", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
                              help="Keep state and offsets here, and go on from them."),
        "log-level": click.option("--log-level", type=click.Choice(LEVELS), default="info",
                                  show_default=True, help="Which log lines go to stderr."),
    }

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = known[name](command)
        return command

    return decorate


@click.group(cls=Commands, invoke_without_command=True, epilog=EXIT_CODES,
             context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="streamsql", message="streamsql %(version)s")
@_options("set", "var", "output", "state", "log-level")
@click.pass_context
def cli(
    ctx: click.Context,
    settings: dict[str, str],
    variables: dict[str, str],
    output: OutputFormat,
    state: Path | None,
    log_level: str,
) -> int:
    """Streaming SQL over Kafka, in one process.

    Without a command: the interactive shell, or, when stdin is not a terminal, its statements.
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx, ctx.invoked_subcommand)
        return DONE
    _start(log_level)
    from streamsql.shell import interactive  # the prompt's library takes 0.2 s to load

    with streamsql.connect(settings, state=state) as session:
        return interactive.main(session, output, variables)


@cli.command(epilog=EXIT_CODES)
@click.argument("files", nargs=-1, metavar="FILE...")
@_options("execute", "set", "var", "output", "state", "log-level")
def run(
    files: Sequence[str],
    texts: Sequence[str],
    settings: dict[str, str],
    variables: dict[str, str],
    output: OutputFormat,
    state: Path | None,
    log_level: str,
) -> int:
    """Run scripts, one after the other, in one session; `-` is stdin.

    Rows of a SELECT go to stdout, everything else to stderr.
    """
    _start(log_level)
    scripts = _scripts(files, texts)
    screen, notes = Screen(sys.stdout), Screen(sys.stderr)
    with streamsql.connect(settings, state=state) as session:
        runner = Runner(session, screen, notes, output, _progress(screen, notes), end_at_once)
        for script in scripts:
            runner.run(script.text, script.origin, variables)
        runner.finish()
    return DONE


@cli.command(epilog=EXIT_CODES)
@click.argument("files", nargs=-1, metavar="FILE...")
@_options("execute", "set", "var", "log-level")
def check(
    files: Sequence[str],
    texts: Sequence[str],
    settings: dict[str, str],
    variables: dict[str, str],
    log_level: str,
) -> int:
    """Parse and plan scripts without running them.

    Each script stands for itself. An error is reported as `FILE:line:col: message`.
    """
    _start(log_level)
    notes, code = Screen(sys.stderr), DONE
    for script in _scripts(files, texts):
        with streamsql.connect(settings) as session:
            errors = session.check(script.text, origin=script.origin, variables=variables)
        for error in errors:
            report(error, notes)
            code = max(code, exit_code(error))
        if not errors:
            click.echo(f"{script.origin}: ok")
    return code


@cli.command(epilog=EXIT_CODES)
@click.argument("files", nargs=-1, metavar="FILE...")
@_options("execute", "set", "var", "log-level")
@click.option("--sql", is_flag=True, help="With the DuckDB SQL of each step.")
def explain(
    sql: bool,
    files: Sequence[str],
    texts: Sequence[str],
    settings: dict[str, str],
    variables: dict[str, str],
    log_level: str,
) -> int:
    """Print the plan of each query and INSERT of the scripts, without running them."""
    _start(log_level)
    with streamsql.connect(settings) as session:
        for script in _scripts(files, texts):
            click.echo(session.explain(script.text, origin=script.origin, variables=variables, sql=sql))
    return DONE


@cli.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: Sequence[str]) -> int:
    """Run `.stream` test files; see `streamsql test --help`."""
    from streamsql.testing import main as harness  # loaded for this command only

    return harness(list(arguments))


def _refuse_options(ctx: click.Context, command: str) -> None:
    """Options before a command are the shell's: they would be lost, so they are refused."""
    for parameter in ctx.command.params:
        if ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"write {parameter.opts[0]} after {command}, not before it")


def _start(log_level: str) -> None:
    """What every command begins with."""
    configure(log_level)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What is said of an exception that nobody expected; the traceback only if debugging."""
    if logging.getLogger("streamsql").isEnabledFor(logging.DEBUG):
        traceback.print_exception(kind, error, trace)
    place = traceback.extract_tb(trace)[-1] if trace else None
    where = f" ({Path(place.filename).name}:{place.lineno})" if place else ""
    sys.stderr.write(
        f"error: {kind.__name__}: {error}{where}\n"
        "  This is a defect of streamsql. Please report it in the project's issue tracker, with the\n"
        "  SQL and what `--log-level debug` prints.\n")


def _progress(screen: Screen, notes: Screen) -> Progress:
    """A live line where a person looks on: on the terminal that shows the rows, or else on stderr's."""
    for candidate in (screen, notes):
        if candidate.terminal:
            beside(candidate)
            return LiveLine(candidate)
    return LogLines()


def _scripts(files: Sequence[str], texts: Sequence[str]) -> list[Source]:
    """All texts of a call, read before anything runs, so that a wrong name stops it at once."""
    if not files and not texts:
        raise click.UsageError("nothing to run: name a file, `-` for stdin, or give -e 'SQL'")
    return [_read(name) for name in files] + [Source(text, "-e") for text in texts]


def _read(name: str) -> Source:
    """The text of a script. Raises UsageError, which names the file and what is wrong with it."""
    if name == "-":
        return Source(_decoded(sys.stdin.buffer.read(), "<stdin>"), "<stdin>")
    path = Path(name)
    try:
        return Source(_decoded(path.read_bytes(), name), name)
    except FileNotFoundError:
        raise UsageError(f'file "{name}" does not exist', hint=_similar_file(path)) from None
    except IsADirectoryError:
        scripts = ", ".join(sorted(str(p) for p in path.glob("*.sql"))[:10])
        raise UsageError(f'"{name}" is a directory, not a script',
                         hint=f"Scripts in it: {scripts}" if scripts else None) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f'file "{name}" cannot be read: {reason}') from None


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f'file "{name}" is not UTF-8: byte 0x{data[error.start]:02x} in line {line}',
            hint="Save it as UTF-8; nothing of it has run.") from None


def _similar_file(path: Path) -> str | None:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        return f'The directory "{path.parent}" does not exist either.'
    near = get_close_matches(path.name, names, n=1)
    return f'Did you mean "{path.with_name(near[0])}"?' if near else None


def main() -> None:
    """The console script `streamsql`."""
    sys.excepthook = defect
    cli()

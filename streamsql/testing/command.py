"""`streamsql test FILE…`: its arguments, what it prints, its exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from streamsql.errors import UsageError
from streamsql.testing.case import Case, read
from streamsql.testing.mode import Mode
from streamsql.testing.record import recorded
from streamsql.testing.run import execute

PASSED, FAILED = 0, 1


def _parser() -> argparse.ArgumentParser:
    names = [mode.value for mode in Mode]
    parser = argparse.ArgumentParser(
        prog="streamsql test", description="Run `.stream` files, or those of a directory.",
        epilog="Exit codes: 0 all passed, 1 some failed, 2 a file or the call is wrong.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE", help="a `.stream` file or a directory")
    parser.add_argument("--mode", action="append", choices=[*names, "all"], metavar="MODE",
                        help=f"how to run them, may be repeated: {', '.join(names)}, all (default: plain)")
    parser.add_argument("--record", action="store_true", help="rewrite what the files expect by what happens")
    return parser


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files named, and those below the directories named. Raises UsageError for none."""
    for path in paths:
        if not path.exists():
            raise UsageError(f'file "{path}" does not exist')
        found = sorted(path.rglob("*.stream")) if path.is_dir() else [path]
        if not found:
            raise UsageError(f'directory "{path}" has no .stream file')
        yield from found


def test(arguments: Sequence[str]) -> int:
    """Run what the arguments name; the exit code. Raises UsageError (exit code 2)."""
    given = _parser().parse_args(arguments)
    wanted = given.mode or ["plain"]
    modes = list(Mode) if "all" in wanted else [Mode(name) for name in wanted]
    cases = [read(path) for path in files(given.paths)]
    if given.record:
        for case in cases:
            _record(case)
        return PASSED
    counts = [_run(case, mode) for case in cases for mode in modes]
    passed, failed = counts.count(True), counts.count(False)
    skipped = counts.count(None)
    sys.stdout.write(f"{passed} passed, {failed} failed{f', {skipped} not for this mode' if skipped else ''}\n")
    return FAILED if failed else PASSED


def _run(case: Case, mode: Mode) -> bool | None:
    if mode.reason_against(case) is not None:
        return None
    failures = execute(case, mode).failures
    for failure in failures:
        sys.stdout.write(f"{failure}\n\n")
    return not failures


def _record(case: Case) -> None:
    """What cannot be recorded (an error that no block expects) is said and left as it is."""
    outcome = execute(case)
    text = recorded(case, outcome)
    if text != "\n".join(case.lines):
        Path(case.origin).write_text(text)
        sys.stdout.write(f"{case.origin}: recorded\n")
    for failure in outcome.unrecorded:
        sys.stdout.write(f"{failure}\n\n")

"""Run: a case in a mode, whatever it takes."""

from __future__ import annotations

from pathlib import Path

from streamsql.testing.case import Case, parse, read
from streamsql.testing.execution import Execution, Outcome
from streamsql.testing.kafka import KafkaExecution
from streamsql.testing.mode import Mode
from streamsql.testing.oracle import OracleExecution


def execute(case: Path | str | Case, mode: Mode = Mode.PLAIN, *, servers: str = "mock://cases") -> Outcome:
    """Run a case and give all that was found, raising nothing for a difference.

    servers: the broker of mode KAFKA. Raises UsageError for what is no case.
    """
    if isinstance(case, Path):
        case = read(case)
    elif isinstance(case, str):
        case = parse(case)
    match mode:
        case Mode.ORACLE:
            return OracleExecution(case, mode).run()
        case Mode.KAFKA:
            return KafkaExecution(case, mode, servers=servers).run()
        case _:
            return Execution(case, mode).run()


def run(case: Path | str | Case, mode: Mode = Mode.PLAIN, *, servers: str = "mock://cases") -> None:
    """Run a case: a file (Path), its text (str), or one that was read.

    Raises Failure at the first difference, with the others as notes; UsageError for what is no case.
    """
    failures = execute(case, mode, servers=servers).failures
    if failures:
        for other in failures[1:]:
            failures[0].add_note(str(other))
        raise failures[0]

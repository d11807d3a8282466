"""Mode: the ways in which one case is run; each must give the same changes."""

from __future__ import annotations

from enum import Enum

from streamsql.testing.case import Case, Claim, Input, Statement, Verb


class Mode(Enum):
    """How a case is run.

    PLAIN    each batch as it is written; the changes are compared one by one
    SPLIT    one row a batch; net changes are compared, as in all modes below
    SHUFFLE  rows of different partitions and tables interleaved otherwise, by a seeded generator
    RESTART  after every batch the epoch is committed, everything is closed and taken up from its state
    ORACLE   besides, the sum of all changes equals what DuckDB answers over all rows at once
    KAFKA    tables without a connector are topics of Kafka, in JSON
    """

    PLAIN = "plain"
    SPLIT = "split"
    SHUFFLE = "shuffle"
    RESTART = "restart"
    ORACLE = "oracle"
    KAFKA = "kafka"

    def reason_against(self, case: Case) -> str | None:
        """Why the case is not run in this mode: its own words, or what the mode cannot do; None: it is."""
        if self.value in case.without:
            return case.without[self.value]
        if self is not Mode.PLAIN and not any(isinstance(s, Input | Claim) for s in case.steps):
            return "it reads no input"
        if self in (Mode.SPLIT, Mode.SHUFFLE, Mode.KAFKA) and any(isinstance(s, Input) and s.error for s in case.steps):
            return "an error depends on how the rows before it came"
        if self is Mode.SHUFFLE and not _interleaves(case):
            return "all input is one partition of one table"
        if self is Mode.KAFKA:
            return _against_kafka(case)
        return None


def _interleaves(case: Case) -> bool:
    return len({(s.source, s.partition) for s in case.steps if isinstance(s, Input)}) > 1


def _against_kafka(case: Case) -> str | None:
    sources = {s.source for s in case.steps if isinstance(s, Input)}
    if any(case.signed(s) for s in sources):
        return "a topic of JSON holds no rows that go"
    if any(isinstance(s, Verb) and s.verb in ("end", "restart", "idle") for s in case.steps):
        return "a topic does not end, and silence in it is not ours to make"
    if any(isinstance(s, Statement) and "'connector'" in s.text.lower() for s in case.steps):
        return "its tables name their connectors"
    if any(isinstance(s, Input) and s.raw for s in case.steps):
        return "its records are bytes of another format"
    return None

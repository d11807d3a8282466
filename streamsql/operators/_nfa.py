"""The automaton of a row pattern, and the attempts to match it over the rows of one partition.

A pattern is a sequence of variables with quantifiers, each row taken by exactly one variable. The
rules are those of Flink's CEP library, not those of a backtracking regular expression:

    - every way of taking a row is followed at once; a reluctant variable both takes and goes on
    - a greedy variable takes each row that it can: it never leaves one to the variables after it
    - a match is given when no attempt that began earlier is alive; of those that began with the same
      row, the first to be complete wins, and ends the others
    - AFTER MATCH SKIP then ends the attempts that began before the row where matching goes on
    - WITHIN ends an attempt that is as long as the interval

Source: Agrawal et al., "Efficient pattern matching over event streams", SIGMOD 2008; Flink's NFA.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from streamsql.errors import DataError

Skip = Literal["PAST LAST ROW", "TO NEXT ROW", "TO FIRST", "TO LAST"]

ALL = -1
"""In place of a variable: the rows of all variables."""


@dataclass(frozen=True, slots=True)
class Element:
    """A variable of a pattern (its number) and its quantifier; `high` None for no greatest number."""

    variable: int
    low: int = 1
    high: int | None = 1
    greedy: bool = True

    @property
    def chooses(self) -> bool:
        """It is greedy and may end before a row: not of one number of rows, where there is nothing to choose,
        and not `?`, which in Flink leaves a row to what follows."""
        return self.greedy and self.low != self.high and (self.low, self.high) != (0, 1)


@dataclass(frozen=True, slots=True)
class State:
    """What an attempt may do with a row: `variable` takes it and `take` is next; or `skip` (if not -1)
    decides instead, for a greedy variable only if it does not take the row. A row that `barred` (if not
    -1) would take does neither: a greedy variable just before, which already has its most rows."""

    variable: int
    take: int
    skip: int
    greedy: bool
    barred: int = -1


@dataclass(frozen=True, slots=True)
class Automaton:
    """The states of a pattern; the number after the last is that of the end.

    accepting  by state: a match is complete there already, what follows may be left out
    """

    states: tuple[State, ...]
    accepting: tuple[bool, ...]

    @property
    def end(self) -> int:
        return len(self.states)


def compiled(elements: Sequence[Element]) -> Automaton:
    """The automaton of a sequence of variables."""
    states: list[State] = []
    starts: list[int] = []
    for element in elements:
        starts.append(len(states))
        states += [State(element.variable, 0, 0, False)] * _size(element)
    starts.append(len(states))
    barred = -1
    for number, element in enumerate(elements):
        first, after = starts[number], starts[number + 1]
        needed = max(element.low, 1)
        greedy = element.chooses
        for index in range(first, after):
            loops = element.high is None and index == after - 1
            optional = loops or index >= first + needed or (index == first and element.low == 0)
            states[index] = State(element.variable, index if loops else index + 1, after if optional else -1, greedy,
                                  barred if index == first else -1)
        barred = element.variable if greedy and element.high is not None else -1
    return Automaton(tuple(states), tuple(_accepts(states, i) for i in range(len(states) + 1)))


def _size(element: Element) -> int:
    return max(element.low, 1) + 1 if element.high is None else element.high


def _accepts(states: Sequence[State], index: int) -> bool:
    """The end is reached from here without a row; never by way of a greedy variable, as in Flink."""
    while index < len(states):
        state = states[index]
        if state.skip < 0 or state.greedy:
            return False
        index = state.skip
    return True


@dataclass(slots=True)
class Row:
    """A row of a partition: its number in the order of matching, its time, the values that are asked of it."""

    number: int
    time_us: int
    values: tuple[Any, ...]


@dataclass(slots=True)
class Path:
    """The rows that an attempt has taken, the last first: attempts share what they have in common.

    before  the path without this row; `same` the path of the row before it of the same variable
    first   by variable, its first row
    last    by variable, the path of its last row, but for `variable` itself (which would be a cycle)
    sums    what aggregates have found up to here
    """

    row: Row
    variable: int
    before: Path | None
    start: Row
    first: dict[int, Row]
    last: dict[int, Path]
    same: Path | None
    sums: dict[object, Any] = field(default_factory=dict)

    def latest(self, variable: int) -> Path | None:
        """The path of the last row of a variable, or of all."""
        return self if variable in (ALL, self.variable) else self.last.get(variable)

    def earlier(self, variable: int) -> Path | None:
        """One row of the variable back."""
        return self.before if variable == ALL else self.same

    def rows(self, variable: int = ALL) -> list[Row]:
        """The rows of a variable, or of all, the first first."""
        found: list[Row] = []
        path = self.latest(variable)
        while path is not None:
            found.append(path.row)
            path = path.earlier(variable)
        return found[::-1]

    def nth_last(self, variable: int, offset: int) -> Row | None:
        path = self.latest(variable)
        while path is not None and offset:
            path = path.earlier(variable)
            offset -= 1
        return path.row if path is not None else None

    def nth(self, variable: int, offset: int) -> Row | None:
        if not offset:
            return self.start if variable == ALL else self.first.get(variable)
        rows = self.rows(variable)
        return rows[offset] if offset < len(rows) else None


def taken(path: Path | None, variable: int, row: Row) -> Path:
    """The path with one row more."""
    if path is None:
        return Path(row, variable, None, row, {variable: row}, {}, None)
    first = path.first if variable in path.first else {**path.first, variable: row}
    last = path.last if variable == path.variable else {**path.last, path.variable: path}
    return Path(row, variable, path, path.start, first, last, path.latest(variable))


@dataclass(slots=True)
class Attempt:
    """A part of a match: what it has taken, and the state that the next row meets."""

    path: Path
    state: int


@dataclass(order=True, slots=True)
class Complete:
    """A match that waits for the attempts that began before it; ordered as matches are given."""

    start: int
    turn: int
    path: Path = field(compare=False)


@dataclass(frozen=True, slots=True)
class Found:
    """A match, and when it was given: at the row that completed it, or that ended the last attempt
    which had begun before it, or when WITHIN did."""

    time_us: int
    path: Path


Question = tuple[int, Path | None, Row]
"""Whether a variable may take a row after what an attempt has taken."""


@dataclass(slots=True)
class Matcher:
    """Matches a pattern over the rows of one partition, in order.

    attempts  alive, by the row they began with; `complete` a heap of matches that wait for them
    found     matches given since the caller last took them away
    """

    automaton: Automaton
    skip: Skip
    target: int
    within_us: int
    names: Sequence[str]
    attempts: list[Attempt] = field(default_factory=list)
    complete: list[Complete] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    turns: int = 0

    def feed(self, rows: Iterator[Row]) -> Generator[list[Question], list[bool], None]:
        """Take rows; yields questions (all of one row, asked together) and is sent the answers."""
        for row in rows:
            self.expire(row.time_us)
            attempts, complete = yield from self._advanced(row)
            self.attempts = attempts
            for path in complete:
                heapq.heappush(self.complete, Complete(path.start.number, self.turns, path))
                self.turns += 1
            if self.complete:
                self._give(row.time_us)

    def _advanced(self, row: Row) -> Generator[list[Question], list[bool], tuple[list[Attempt], list[Path]]]:
        """The attempts after a row, and the matches that it completes."""
        states, end = self.automaton.states, self.automaton.end
        before: list[Path | None] = [*(a.path for a in self.attempts), None]
        taking: list[list[int]] = [[] for _ in before]
        meeting = [(i, a.state) for i, a in enumerate(self.attempts)]
        meeting.append((len(self.attempts), 0))
        while meeting:
            guarded = [(i, s) for i, s in meeting if states[s].barred >= 0]
            answers = yield [*((states[s].variable, before[i], row) for i, s in meeting),
                             *((states[s].barred, before[i], row) for i, s in guarded)]
            barred = {place for place, bars in zip(guarded, answers[len(meeting):], strict=True) if bars}
            later: list[tuple[int, int]] = []
            for (i, s), takes in zip(meeting, answers[:len(meeting)], strict=True):
                state = states[s]
                if (i, s) in barred:
                    continue
                if takes:
                    taking[i].append(s)
                if 0 <= state.skip < end and not (state.greedy and takes):
                    later.append((i, state.skip))
            meeting = later
        attempts: list[Attempt] = []
        complete: list[Path] = []
        for path, by in zip(before, taking, strict=True):
            for s in by:
                longer, target = taken(path, states[s].variable, row), states[s].take
                if target < end:
                    attempts.append(Attempt(longer, target))
                if self.automaton.accepting[target]:
                    complete.append(longer)
        return attempts, complete

    def expire(self, time_us: int) -> None:
        """Time is `time_us`: attempts as long as WITHIN end, one start after another."""
        while self.within_us and self.attempts and self.attempts[0].path.start.time_us + self.within_us <= time_us:
            start = self.attempts[0].path.start
            self.attempts = [a for a in self.attempts if a.path.start.number != start.number]
            if self.complete:
                self._give(start.time_us + self.within_us)

    def _give(self, time_us: int) -> None:
        """Give the matches for which no earlier attempt is alive, and skip after each."""
        while self.complete and (not self.attempts or self.complete[0].start <= self.attempts[0].path.start.number):
            path = heapq.heappop(self.complete).path
            self.found.append(Found(time_us, path))
            limit = self._limit(path)
            self.attempts = [a for a in self.attempts if a.path.start.number >= limit]
            self.complete = [c for c in self.complete if c.start >= limit]
            heapq.heapify(self.complete)

    def _limit(self, path: Path) -> int:
        """The least number of a row with which a further match may begin."""
        if self.skip == "PAST LAST ROW":
            return path.row.number + 1
        if self.skip == "TO NEXT ROW":
            return path.start.number + 1
        row = path.nth(self.target, 0) if self.skip == "TO FIRST" else path.nth_last(self.target, 0)
        name = self.names[self.target]
        if row is None:
            raise DataError(f'AFTER MATCH SKIP {self.skip} "{name}": the match has no row of "{name}"', whole=True)
        if row is path.start:
            raise DataError(f'AFTER MATCH SKIP {self.skip} "{name}" would begin again with the first row of the match',
                            whole=True)
        return row.number

    def needed_from(self) -> int | None:
        """The number of the first row that an attempt holds; None if none is alive."""
        return self.attempts[0].path.start.number if self.attempts else None

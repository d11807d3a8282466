"""MATCH_RECOGNIZE against a plain matcher that tries every way, one start after another.

The matcher says the rules in another form than the automaton: of each row that a match may begin
with, in order, all ways are tried; the one that ends first counts. DuckDB has no MATCH_RECOGNIZE.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import streamsql
from streamsql.operators._nfa import Element, Matcher, Path, Row, Skip, compiled

NAMES = "ABCD"
SKIPS: tuple[Skip, ...] = ("PAST LAST ROW", "TO NEXT ROW", "TO FIRST", "TO LAST")

Taken = tuple[tuple[int, int], ...]
"""The rows of a match: variable and number of each."""


@dataclass
class Rule:
    """Which rows a variable takes: from `low` on; and with `rising`, none less than its row before."""

    low: int
    rising: bool

    def holds(self, value: int, before: Sequence[int]) -> bool:
        return value >= self.low and not (self.rising and before and value < before[-1])

    def sql(self, name: str) -> str:
        rising = f" AND ({name}.v >= LAST({name}.v, 1) OR LAST({name}.v, 1) IS NULL)" if self.rising else ""
        return f"{name} AS {name}.v >= {self.low}{rising}"


@dataclass
class Plain:
    """All ways to match from one row on; `complete` in the order in which they are preferred."""

    elements: Sequence[Element]
    rules: Sequence[Rule]
    rows: Sequence[tuple[int, int]]
    within: int
    alive: bool = False
    complete: list[Taken] = field(default_factory=list)

    def go(self, at: int, number: int, count: int, taken: Taken) -> None:
        """Row `at` comes, and element `number` has `count` rows."""
        if at == len(self.rows):
            self.alive = True
            return
        if self.within and taken and self.rows[at][0] - self.rows[taken[0][1]][0] >= self.within:
            return
        element, following = self.elements[number], self.elements[number + 1:]
        if count == 0 and number and bars(self.elements[number - 1]) and self.takes(number - 1, at, taken):
            return
        takes = self.takes(number, at, taken)
        if takes:
            longer, full = (*taken, (number, at)), count + 1 == element.high
            enough = full or (count + 1 >= element.low and not greedy(element))
            if enough and all(e.low == 0 and not greedy(e) for e in following):
                self.complete.append(longer)
            if not full or following:
                self.go(at + 1, number + full, 0 if full else count + 1, longer)
        if count >= element.low and following and not (greedy(element) and takes):
            self.go(at, number + 1, 0, taken)

    def takes(self, number: int, at: int, taken: Taken) -> bool:
        before = [self.rows[n][1] for v, n in taken if v == number]
        return self.rules[number].holds(self.rows[at][1], before)


def bars(element: Element) -> bool:
    """It leaves no row that it could take to what follows, even when it has its most rows."""
    return greedy(element) and element.high is not None


def greedy(element: Element) -> bool:
    """It never leaves a row that it can take; of one number of rows there is no choice, and `?` has it always."""
    return element.greedy and element.low != element.high and (element.low, element.high) != (0, 1)


def expected(case: Case) -> list[Taken]:
    """Every match, in order. Raises ValueError where skipping has no row to go to."""
    found: list[Taken] = []
    start = 0
    while start < len(case.rows):
        plain = Plain(case.elements, case.rules, case.rows, case.within)
        plain.go(start, 0, 0, ())
        if not plain.complete:
            if plain.alive and not case.within:
                break  # what began later waits for it; WITHIN ends it at the end of all rows
            start += 1
            continue
        best = min(plain.complete, key=lambda m: m[-1][1])
        found.append(best)
        aim = [n for v, n in best if v == case.target]
        if case.skip in ("TO FIRST", "TO LAST"):
            aim = aim[:1] if case.skip == "TO FIRST" else aim[-1:]
            if not aim or aim[0] == start:
                raise ValueError(case.skip)
            start = aim[0]
        else:
            start = best[-1][1] + 1 if case.skip == "PAST LAST ROW" else start + 1
    return found


@st.composite
def elements(draw: st.DrawFn) -> tuple[Element, ...]:
    """A pattern that Flink takes: it needs a row, and does not end with a greedy quantifier."""
    found: list[Element] = []
    for number in range(draw(st.integers(1, 4))):
        low = draw(st.integers(1 if found and greedy(found[-1]) else 0, 2))
        high = draw(st.one_of(st.none(), st.integers(max(low, 1), 3 if low else 1)))
        wanted = draw(st.booleans()) or (low, high) == (0, 1)
        found.append(Element(number, low, high, wanted))
    last = found[-1]
    if greedy(last):
        found[-1] = Element(last.variable, last.low, last.high, False)
    if all(e.low == 0 for e in found):
        found[0] = Element(0)
    return tuple(found)


@dataclass(frozen=True)
class Case:
    elements: tuple[Element, ...]
    rules: tuple[Rule, ...]
    rows: tuple[tuple[int, int], ...]
    skip: Skip
    target: int
    within: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    pattern = draw(elements())
    rules = tuple(Rule(draw(st.integers(0, 3)), draw(st.booleans())) for _ in pattern)
    steps = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4)), min_size=1, max_size=14))
    rows, time = [], 0
    for step, value in steps:
        time += step
        rows.append((time, value))
    skip = draw(st.sampled_from(SKIPS))
    target = draw(st.integers(0, len(pattern) - 1))
    return Case(pattern, rules, tuple(rows), skip, target, draw(st.sampled_from((0, 0, 4, 7))))


def matched(case: Case) -> list[Taken]:
    """What the automaton finds."""
    matcher = Matcher(compiled(case.elements), case.skip, case.target, case.within, NAMES)
    steps = matcher.feed(Row(i, t, (v,)) for i, (t, v) in enumerate(case.rows))
    questions = next(steps, None)
    while questions is not None:
        answers = [case.rules[v].holds(row.values[0], _before(path, v)) for v, path, row in questions]
        try:
            questions = steps.send(answers)
        except StopIteration:
            break
    matcher.expire(10**9)
    return [tuple((p.variable, p.row.number) for p in _paths(f.path)) for f in matcher.found]


def _before(path: Path | None, variable: int) -> list[int]:
    return [row.values[0] for row in path.rows(variable)] if path is not None else []


def _paths(path: Path | None) -> list[Path]:
    found = []
    while path is not None:
        found.append(path)
        path = path.before
    return found[::-1]


@settings(max_examples=600, deadline=None)
@given(cases())
def test_the_automaton_finds_what_trying_every_way_finds(case: Case) -> None:
    try:
        want = expected(case)
    except ValueError:
        with pytest.raises(streamsql.DataError, match="AFTER MATCH SKIP"):
            matched(case)
        return
    assert matched(case) == want


def _quantified(element: Element) -> str:
    high = "" if element.high is None else element.high
    reluctant = "" if element.greedy or element.low == element.high else "?"
    return f"{NAMES[element.variable]}{{{element.low},{high}}}{reluctant}"


def _query(case: Case) -> str:
    names = [NAMES[e.variable] for e in case.elements]
    measures = ", ".join(f"FIRST({n}.n) AS f{n}, LAST({n}.n) AS l{n}, COUNT({n}.n) AS c{n}" for n in names)
    skip = case.skip + (f" {names[case.target]}" if case.skip in ("TO FIRST", "TO LAST") else "")
    within = f" WITHIN INTERVAL '{case.within}' SECOND" if case.within else ""
    return (f"SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES {measures} ONE ROW PER MATCH "
            f"AFTER MATCH SKIP {skip} PATTERN ({' '.join(map(_quantified, case.elements))}){within} "
            f"DEFINE {', '.join(r.sql(n) for r, n in zip(case.rules, names, strict=True))}) AS m")


def _answer(case: Case, key: str) -> list[tuple[object, ...]]:
    """The rows of the query, one per match."""
    found = []
    for match in expected(case):
        row: list[object] = [key]
        for element in case.elements:
            own = [n for v, n in match if v == element.variable]
            row += [own[0], own[-1], len(own)] if own else [None, None, 0]
        found.append(tuple(row))
    return found


DDL = ("CREATE TABLE t (k STRING, n INT, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '20' SECOND) "
       "WITH ('connector' = 'memory')")


def _run(case: Case, order: Callable[[list[int]], list[int]], cuts: Sequence[int]) -> list[tuple[object, ...]]:
    """The query's rows over two partitions of the same rows, out of order and cut."""
    base = dt.datetime(2024, 1, 1)
    rows = [(key, n, v, base + dt.timedelta(seconds=t)) for n, (t, v) in enumerate(case.rows) for key in "pq"]
    rows = [rows[i] for i in order(list(range(len(rows))))]
    kinds = (pa.string(), pa.int32(), pa.int32(), pa.timestamp("us"))
    found: list[tuple[object, ...]] = []
    with streamsql.Session({}, threaded=False) as session:
        list(session.execute(DDL))
        with closing(session.sql(_query(case))) as query:
            bounds = sorted({0, *(c % (len(rows) + 1) for c in cuts), len(rows)})
            for a, b in pairwise(bounds):
                columns = zip(*rows[a:b], strict=True)
                arrays = [pa.array(c, kind) for c, kind in zip(columns, kinds, strict=True)]
                session.memory("t").append(pa.Table.from_arrays(arrays, names=["k", "n", "v", "ts"]))
                while query.turn():
                    pass
            session.memory("t").end()
            while not query.finished:
                query.turn()
            for table in query.taken():
                found += zip(*(c.to_pylist() for n, c in zip(table.column_names, table.columns, strict=True)
                               if not n.startswith("$")), strict=True)
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.randoms(use_true_random=False), st.lists(st.integers(0, 40), max_size=4))
def test_a_query_finds_the_same_however_its_input_is_cut(case: Case, random: Random, cuts: list[int]) -> None:
    def order(numbers: list[int]) -> list[int]:
        return sorted(numbers, key=lambda n: n + random.uniform(0, 8))

    try:
        want = _answer(case, "p") + _answer(case, "q")
    except ValueError:
        return
    assert sorted(_run(case, order, cuts), key=repr) == sorted(want, key=repr)

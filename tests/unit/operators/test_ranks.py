"""Ranks, deduplication and OVER of random streams, cut at random, against DuckDB over all rows and plain Python."""

from __future__ import annotations

import datetime
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamsql.aggregates import bind
from streamsql.core.batch import DIFF, MAX_WATERMARK, MIN_WATERMARK, SEQ, WATERMARK
from streamsql.core.node import Node
from streamsql.core.schema import Column, Schema
from streamsql.core.types import BIGINT, STRING, timestamp
from streamsql.operators._over_calls import Frame, OverCall
from streamsql.operators._ranked import DENSE_RANK, RANKED, ROW_NUMBER, SortKey
from streamsql.operators.deduplicate import Deduplicate
from streamsql.operators.limit import Limit
from streamsql.operators.over_aggregate import OverAggregate
from streamsql.operators.over_changes import OverChanges
from streamsql.operators.sort import Sort
from streamsql.operators.top_n import TopN
from streamsql.state.database import Database
from tests.unit.operators.driving import SECOND, Chain, Row, bag, cuts, leaf, meaning, stamped, typed

COLUMNS = (Column("k", STRING), Column("v", BIGINT), Column("ts", timestamp(3), "rowtime"))
ADDED = (WATERMARK, SEQ)

keys = st.sampled_from(["a", "b", None])
values = st.sampled_from([None, 1, 2, 3, 5])
seconds = st.integers(0, 12)
a_row = st.tuples(keys, values, seconds)
terms = st.tuples(st.sampled_from(["v", "ts"]), st.booleans())
orders = st.lists(terms, max_size=2)
functions = st.sampled_from([RANKED, DENSE_RANK])


def plain(rows: Sequence[tuple[str | None, int | None, int]]) -> list[Row]:
    return [{"k": k, "v": v, "ts": t * SECOND} for k, v, t in rows]


def changes(rows: Sequence[tuple[str | None, int | None, int]], picks: Sequence[int]) -> tuple[list[Row], list[Row]]:
    """A changelog in which some of the rows are taken back, and the rows that are left, as they came."""
    log: list[Row] = []
    live: list[Row] = []
    for row, pick in zip(plain(rows), picks, strict=True):
        if pick < len(live):
            gone = live[pick]
            live.remove(gone)
            log.append({**gone, DIFF: -1})
        log.append({**row, DIFF: 1})
        live.append(row)
    return log, live


@st.composite
def changelogs(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    rows = draw(st.lists(a_row, max_size=40))
    return changes(rows, [draw(st.integers(0, 20)) for _ in rows])


def summed(chain: Chain) -> Counter[str]:
    """The sum of all changes; no row goes that is not there, and none goes and comes in one batch."""
    total: Counter[str] = Counter()
    for table in chain.out:
        moved: dict[str, set[int]] = {}
        for row in table.to_pylist():
            diff = row.pop(DIFF, 1)
            text = bag([{c: v for c, v in row.items() if c not in ADDED}])[0]
            total[text] += diff
            assert total[text] >= 0, f"{text} goes but is not there"
            moved.setdefault(text, set()).add(diff)
        assert all(len(d) == 1 for d in moved.values()), "a row goes and comes at once"
    return +total


def same_as_duckdb(node: Node, log: Sequence[Row], live: Sequence[Row], seed: int, most: int) -> None:
    """The sum of the deltas is what DuckDB says of the rows that are left."""
    rng, database = random.Random(seed), Database()
    try:
        chain = Chain(node, database)
        for part in cuts(stamped([*log], delay_us=3600 * SECOND), rng, most):
            chain.step(part)
        chain.advance(MAX_WATERMARK)
        assert summed(chain) == Counter(bag(meaning(node, database, stamped(live))))
    finally:
        database.close()


def order_of(terms: Sequence[tuple[str, bool]]) -> tuple[SortKey, ...]:
    return tuple(SortKey(f'"{name}"', down, not down) for name, down in terms)


def top_n(changelog: bool, partition: bool, terms: Sequence[tuple[str, bool]], start: int, end: int,
          rank: bool, function: str = ROW_NUMBER) -> TopN:
    source = leaf(*COLUMNS, changelog=changelog)
    columns = (*COLUMNS, Column("rn", BIGINT)) if rank else COLUMNS[:2]
    return TopN((source,), Schema(columns), False, (DIFF,), ('"k"',) if partition else (), order_of(terms), start,
                end, "rn" if rank else "", function)


@settings(max_examples=60, deadline=None)
@given(changelogs(), st.booleans(), orders, st.integers(1, 2), st.integers(1, 4), st.booleans(), st.integers(0, 99),
       st.sampled_from([1, 3, 50]))
def test_top_n_of_changes(log: tuple[list[Row], list[Row]], partition: bool, terms: list[tuple[str, bool]], start: int,
                          end: int, rank: bool, seed: int, most: int) -> None:
    same_as_duckdb(top_n(True, partition, terms, start, end, rank), *log, seed, most)


@settings(max_examples=60, deadline=None)
@given(st.lists(a_row, max_size=40), st.booleans(), orders, st.integers(1, 2), st.integers(1, 4), st.booleans(),
       st.integers(0, 99), st.sampled_from([1, 3, 50]))
def test_top_n_of_new_rows(rows: list[tuple[str | None, int | None, int]], partition: bool,
                           terms: list[tuple[str, bool]], start: int, end: int, rank: bool, seed: int,
                           most: int) -> None:
    given_rows = plain(rows)
    same_as_duckdb(top_n(False, partition, terms, start, end, rank), given_rows, given_rows, seed, most)


@settings(max_examples=100, deadline=None)
@given(changelogs(), st.booleans(), functions, st.booleans(), st.lists(terms, min_size=1, max_size=2),
       st.integers(1, 2), st.integers(1, 4), st.booleans(), st.integers(0, 99), st.sampled_from([1, 3, 50]))
def test_top_n_with_ties(log: tuple[list[Row], list[Row]], changelog: bool, function: str, partition: bool,
                         by: list[tuple[str, bool]], start: int, end: int, rank: bool, seed: int, most: int) -> None:
    node = top_n(changelog, partition, by, start, end, rank, function)
    same_as_duckdb(node, log[0] if changelog else log[1], log[1], seed, most)


@pytest.mark.parametrize("function", [ROW_NUMBER, RANKED, DENSE_RANK])
@settings(max_examples=12, deadline=None)
@given(distinct=st.integers(1, 60), start=st.integers(1, 3), more=st.integers(0, 3), rank=st.booleans(),
       seed=st.integers(0, 999), most=st.sampled_from([10, 40, 500]))
def test_top_n_of_large_partitions(function: str, distinct: int, start: int, more: int, rank: bool, seed: int,
                                   most: int) -> None:
    """Partitions of which the state has a rest: first they grow, then their first rows go, then rows come back."""
    rng = random.Random(seed)
    rows = plain([(rng.choice(["a", None]), rng.randint(1, distinct), n) for n in range(150)])
    live, log = rows[:120], [{**r, DIFF: 1} for r in rows[:120]]
    for row in rows[120:]:
        live.sort(key=lambda r: -r["v"])
        gone = [live.pop(min(int(rng.expovariate(0.3)), len(live) - 1)) for _ in range(rng.choice([0, 1, 6])) if live]
        log += [*({**g, DIFF: -1} for g in gone), {**row, DIFF: 1}]
        live.append(row)
    live.sort(key=lambda r: r["ts"])
    same_as_duckdb(top_n(True, True, [("v", True)], start, start + more, rank, function), log, live, seed, most)


@pytest.mark.parametrize(("function", "rows"), [(ROW_NUMBER, 2), (RANKED, 4), (DENSE_RANK, 8)])
def test_top_n_keeps_rows_that_tie(function: str, rows: int) -> None:
    database = Database()
    try:
        chain = Chain(top_n(False, True, [("v", True)], 1, 2, True, function), database)
        chain.step(stamped(plain([("a", v // 4, v) for v in range(100)])))
        chain.step(stamped(plain([("a", 3, 0)])))
        assert chain.operators[0].statistics()["state_rows"] == rows
    finally:
        database.close()


def test_top_n_keeps_what_can_be_in_the_result() -> None:
    database = Database()
    try:
        chain = Chain(top_n(False, True, [("v", True)], 1, 2, True), database)
        chain.step(stamped(plain([("a", v, 0) for v in range(100)])))
        assert chain.operators[0].statistics()["state_rows"] == 2
    finally:
        database.close()


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_top_n_of_changes_fills_its_head_again(most: int) -> None:
    """All rows of a large partition come, and then the first ones go until few are left."""
    rng = random.Random(most)
    rows = plain([("a", rng.randint(0, 50), n) for n in range(200)])
    live = sorted(rows, key=lambda r: r["v"], reverse=True)
    gone, left = live[:190], live[190:]
    log = [*({**r, DIFF: 1} for r in rows), *({**r, DIFF: -1} for r in gone)]
    same_as_duckdb(top_n(True, True, [("v", True)], 1, 3, True), log, [r for r in rows if r in left], most, most)


def test_limit_counts_over_restarts(tmp_path: Path) -> None:
    source = leaf(*COLUMNS)
    node = Limit((source,), source.schema, True, ADDED, 2, 3)
    out: list[int] = []
    for v in range(5):
        database = Database(tmp_path / "state.db")
        try:
            database.begin()
            chain = Chain(node, database)
            chain.step(stamped(plain([("a", v, 0)])))
            out += [row["v"] for row in chain.rows()]
            database.commit()
        finally:
            database.close()
    assert out == [1, 2]


CALLS = {
    "s": OverCall("SUM", BIGINT, bind("SUM", [typed("v")])),
    "n": OverCall("COUNT", BIGINT, bind("COUNT", [])),
    "m": OverCall("MAX", BIGINT, bind("MAX", [typed("v")])),
    "a": OverCall("AVG", BIGINT, bind("AVG", [typed("v")])),
    "d": OverCall("COUNT", BIGINT, bind("COUNT", [typed("v")], distinct=True)),
    "f": OverCall("FIRST_VALUE", BIGINT, bind("FIRST_VALUE", [typed("v")])),
    "l": OverCall("LAST_VALUE", BIGINT, bind("LAST_VALUE", [typed("v")])),
    "p": OverCall("LAG", BIGINT, None, ('"v"',), 2),
    "r": OverCall("ROW_NUMBER", BIGINT),
}
frames = st.sampled_from([Frame("ROWS"), Frame("RANGE"), Frame("ROWS", 0), Frame("ROWS", 2),
                          Frame("RANGE", 9 * SECOND)])
calls = st.sets(st.sampled_from(sorted(CALLS)), min_size=1)


def over_calls(names: set[str], frame: Frame) -> tuple[tuple[str, OverCall], ...]:
    """Calls that the frame has: a bounded one has no LAG and no ROW_NUMBER, and edges of a RANGE may tie."""
    names = names - ({"p", "r"} if frame.lower is not None else {"r"} if frame.kind == "RANGE" else set())
    names -= {"f", "l"} if frame.kind == "RANGE" and frame.lower is not None else set()
    return tuple((f"$over{n}", CALLS[n]) for n in sorted(names or {"s"}))


def over_aggregate(partition: bool, names: set[str], frame: Frame) -> OverAggregate:
    source, listed = leaf(*COLUMNS), over_calls(names, frame)
    schema = Schema((*COLUMNS, *(Column(n, c.type) for n, c in listed)))
    return OverAggregate((source,), schema, True, ADDED, ('"k"',) if partition else (), "ts", frame, listed)


@settings(max_examples=60, deadline=None)
@given(st.lists(a_row, max_size=40), st.booleans(), calls, frames, st.sampled_from([0, 2, 4]), st.integers(0, 99),
       st.sampled_from([1, 3, 50]))
def test_over_by_rowtime(rows: list[tuple[str | None, int | None, int]], partition: bool, names: set[str],
                         frame: Frame, delay: int, seed: int, most: int) -> None:
    """What DuckDB says of the rows that are not late, for every cut."""
    node, stream = over_aggregate(partition, names, frame), stamped(plain(rows), delay_us=delay * SECOND)
    punctual, late = accepted(stream, frame, partition)
    rng, database = random.Random(seed), Database()
    try:
        chain = Chain(node, database)
        out = chain.run(stream, rng, most, delay * SECOND)
        assert bag(out) == bag(meaning(node, database, punctual))
        assert sorted(chain.side.late_seqs) == late
    finally:
        database.close()


def accepted(stream: Sequence[Row], frame: Frame, partition: bool) -> tuple[list[Row], list[int]]:
    """The rows that Flink takes, and `$seq` of the others, row by row.

    With a bounded frame a row is late only when a row of its key at or after its time was passed.
    """
    taken: list[Row] = []
    late = []
    for row in stream:
        mark, key = row[WATERMARK], row["k"] if partition else None
        behind = row["ts"] <= mark
        if behind and frame.lower is not None:
            remembered = frame.lower + frame.lower // 2 + 1000 if frame.kind == "RANGE" else MAX_WATERMARK
            behind = any((r["k"] if partition else None) == key and row["ts"] <= r["ts"] <= mark
                         and (r["ts"] > r[WATERMARK] or r[WATERMARK] < mark)
                         and (r["ts"] + remembered > mark) for r in stream[:stream.index(row)])
        if behind:
            late.append(row[SEQ])
        else:
            taken.append(row)
    return taken, late


@settings(max_examples=60, deadline=None)
@given(changelogs(), st.booleans(), st.booleans(), calls, st.sampled_from([Frame("ROWS"), Frame("RANGE"),
                                                                           Frame("ROWS", 1), Frame("ROWS", 3)]),
       st.sampled_from([("v", False), ("ts", False), ("v", True)]), st.integers(0, 99), st.sampled_from([1, 3, 50]))
def test_over_of_changes(log: tuple[list[Row], list[Row]], changelog: bool, partition: bool, names: set[str],
                         frame: Frame, term: tuple[str, bool], seed: int, most: int) -> None:
    source, listed = leaf(*COLUMNS, changelog=changelog), over_calls(names, frame)
    schema = Schema((*COLUMNS, *(Column(n, c.type) for n, c in listed)))
    node = OverChanges((source,), schema, False, (DIFF,), ('"k"',) if partition else (), order_of([term]), frame,
                       listed)
    given_log = log[0] if changelog else log[1]
    same_as_duckdb(node, given_log, log[1], seed, most)


@pytest.mark.parametrize("every", [False, True])
@settings(max_examples=60, deadline=None)
@given(rows=st.lists(a_row, max_size=30), seed=st.integers(0, 99), most=st.sampled_from([1, 3, 50]),
       by=st.sampled_from(["ts", ""]), cut=st.booleans())
def test_keep_last(every: bool, rows: list[tuple[str | None, int | None, int]], seed: int, most: int,
                   by: Literal["ts", ""], cut: bool) -> None:
    source = leaf(*COLUMNS)
    schema = Schema(COLUMNS[:2] if cut else COLUMNS)
    node = Deduplicate((source,), schema, False, (DIFF, *ADDED), ('"k"',), by, "last", every_change=every)
    last: dict[str | None, Row] = {}
    versions = 0
    for row in plain(rows):
        if row["k"] not in last or not by or row["ts"] >= last[row["k"]]["ts"]:
            versions += row["k"] not in last or {**row, "ts": 0 if cut else row["ts"]} != {
                **last[row["k"]], "ts": 0 if cut else last[row["k"]]["ts"]}
            last[row["k"]] = row
    rng, database = random.Random(seed), Database()
    try:
        chain = Chain(node, database)
        out = chain.run(stamped(plain(rows), delay_us=2 * SECOND), rng, most, 2 * SECOND)
        total: Counter[str] = Counter()
        for row in out:
            total[bag([{c: v for c, v in row.items() if c != DIFF}])[0]] += row[DIFF]
        assert +total == Counter(bag([{c: _shown(r, c) for c in schema.names} for r in last.values()]))
        assert not -total
        if every:
            assert sum(r[DIFF] > 0 for r in out) == versions
    finally:
        database.close()


def _shown(row: Row, column: str) -> object:
    if column != "ts":
        return row[column]
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=row["ts"])


@settings(max_examples=80, deadline=None)
@given(st.lists(a_row, max_size=40), st.sampled_from([0, 3]), st.integers(0, 99), st.sampled_from([1, 3, 50]))
def test_keep_first(rows: list[tuple[str | None, int | None, int]], delay: int, seed: int, most: int) -> None:
    source, stream = leaf(*COLUMNS), stamped(plain(rows), delay_us=delay * SECOND)
    node = Deduplicate((source,), source.schema, True, ADDED, ('"k"',), "ts", "first")
    first: dict[str | None, Row] = {}
    late = []
    for row in stream:
        if row["ts"] <= row[WATERMARK]:
            late.append(row[SEQ])
        elif row["k"] not in first or (first[row["k"]]["ts"] > row[WATERMARK] and row["ts"] < first[row["k"]]["ts"]):
            first[row["k"]] = row
    database = Database()
    try:
        chain = Chain(node, database)
        out = chain.run(stream, random.Random(seed), most, delay * SECOND)
        assert bag(out) == bag([{c: _shown(r, c) for c in ("k", "v", "ts")} for r in first.values()])
        assert sorted(chain.side.late_seqs) == late
    finally:
        database.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(a_row, max_size=40), st.sampled_from([0, 3]), st.integers(0, 99), st.sampled_from([1, 3, 50]))
def test_sort(rows: list[tuple[str | None, int | None, int]], delay: int, seed: int, most: int) -> None:
    source, stream = leaf(*COLUMNS), stamped(plain(rows), delay_us=delay * SECOND)
    node = Sort((source,), source.schema, True, ADDED, "ts", order_of([("v", True)]))
    punctual = [r for r in stream if r["ts"] > r[WATERMARK]]
    punctual.sort(key=lambda r: (r["ts"], -(r["v"] if r["v"] is not None else MIN_WATERMARK)))
    database = Database()
    try:
        out = Chain(node, database).run(stream, random.Random(seed), most, delay * SECOND)
        assert out == [{c: _shown(r, c) for c in ("k", "v", "ts")} for r in punctual]
    finally:
        database.close()

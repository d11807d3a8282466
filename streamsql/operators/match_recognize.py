"""MatchRecognize: the matches of a row pattern within each partition, in order of time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from streamsql.core.batch import DERIVED_SEQ, MIN_WATERMARK, SEQ, WATERMARK, Batch
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import quote
from streamsql.core.types import DataType
from streamsql.errors import DataError, PlanError
from streamsql.operators._match_values import (
    Evaluator,
    Formula,
    Plain,
    Rows,
    Value,
    absent_row,
    closure,
    operand_name,
    plain_column,
)
from streamsql.operators._nfa import Element, Found, Matcher, Question, Row, Skip, compiled

Key = tuple[str | None, ...]
"""Of a partition: the texts of its columns."""

_KEY, _TIME, _ROW = "$key", "$time", "$row"


@dataclass(frozen=True, slots=True)
class Condition:
    """When a variable takes a row. plain: the same in Python, where it can be said so."""

    variable: int
    formula: Formula
    plain: Plain | None


@dataclass(frozen=True)
class MatchRecognize(Node):
    """`input MATCH_RECOGNIZE (…)`, one row per match.

    text        the pattern, for EXPLAIN
    pattern     its elements; a variable is its number in `variables`
    variables   their names, those first that the pattern has
    partition   columns of the input
    time        the column of the input that rows are ordered by first; proctime: it is processing time
    order       further keys: DuckDB text over the input's columns, and direction
    operands    DuckDB text over the input's columns, and type: see `_match_values`
    conditions  of the variables that have one; the others take every row
    measures    the output's columns
    skip        after a match, with the variable it names (-1: none); within_us: 0 for any length
    """

    text: str
    pattern: tuple[Element, ...]
    variables: tuple[str, ...]
    partition: tuple[str, ...]
    time: str
    proctime: bool
    order: tuple[tuple[str, str], ...]
    operands: tuple[tuple[str, DataType], ...]
    conditions: tuple[Condition, ...]
    measures: Formula
    skip: Skip
    target: int
    within_us: int

    def expressible(self) -> bool:
        return False

    def relation(self, inputs: Sequence[str]) -> str:
        raise PlanError("MATCH_RECOGNIZE over constants is not supported: DuckDB has no word for it",
                        hint="Read the rows from a table, with 'connector' = 'filesystem' or 'memory'.")

    def narrowed(self, needed: Collection[str]) -> MatchRecognize:
        measures = self.measures.only(needed)
        formulas = [measures, *(c.formula for c in self.conditions)]
        used = {o for f in formulas for o in f.operands()}
        operands = tuple((sql if i in used else "NULL", kind) for i, (sql, kind) in enumerate(self.operands))
        return replace(self, schema=self.schema.only(needed), measures=measures, operands=operands)

    def operator(self, context: Context) -> Operator:
        return MatchStep(self, context)

    def holds_state(self) -> bool:
        return True

    def explain(self) -> Explain:
        by = (("partition by", ", ".join(self.partition)),) if self.partition else ()
        keys = [self.time, *(f"{sql} {way}" for sql, way in self.order)]
        skip = self.skip + (f" {self.variables[self.target]}" if self.target >= 0 else "")
        within = (("within", f"{self.within_us / 1_000_000:g} s"),) if self.within_us else ()
        slow = [self.variables[c.variable] for c in self.conditions if c.plain is None]
        return Explain("MatchRecognize", (
            *by, ("order by", ", ".join(keys)), ("pattern", self.text), *within, ("after match skip", skip),
            *((("conditions by statement", ", ".join(slow)),) if slow else ()),
            ("emits", "a row per match, when no earlier attempt is alive")))

    def stored(self) -> list[tuple[str, str]]:
        """The columns kept of a row, over the input's."""
        time = "CAST(0 AS BIGINT)" if self.proctime else f"epoch_us({quote(self.time)})"
        hidden = self.inputs[0].hidden
        arrival = [(h, quote(h) if h in hidden else "CAST(0 AS BIGINT)") for h in (WATERMARK, SEQ)]
        columns = [(_KEY, "CAST(0 AS UBIGINT)"), (_TIME, time), *arrival]
        columns += [(f"$k{i}", f"CAST({quote(c)} AS VARCHAR)") for i, c in enumerate(self.partition)]
        columns += [(f"$o{i}", sql) for i, (sql, _) in enumerate(self.order)]
        columns += [(operand_name(i), f"CAST({sql} AS {t.duck_type()})") for i, (sql, t) in enumerate(self.operands)]
        return columns


@dataclass(slots=True)
class _Partition:
    """The attempts of one partition, and the numbers of the rows that are kept for them.

    scheduled  the number of the first row of the attempt that WITHIN ends next
    """

    matcher: Matcher
    kept: deque[int] = field(default_factory=deque)
    scheduled: int = -1


class MatchStep(Operator):
    """Match rows in order, once the watermark says that no earlier one will come.

        Δout = matches(I up to the watermark) − matches(I up to the watermark before)

    Input:   partition keys, order keys, what expressions read; append-only
    Output:  partition columns and measures; append-only, ordered by when matches were given;
             `$watermark` is just before that: never late for what follows
    State:   rows ahead of the watermark; rows from the first of the oldest attempt alive on, by
             partition. Attempts are in memory alone: a fresh automaton over the kept rows comes to
             the same ones, since what skipping or WITHIN has ended is always the oldest
    Cost:    O(rows passed by the watermark × attempts they meet); nothing for rows that wait
    Forgets: a row when no attempt that began at it or before is alive
    Late:    a row at or behind its `$watermark` is dropped and reported
    Source:  SQL:2016 row pattern recognition as Flink has it; see `_nfa`
    """

    def __init__(self, node: MatchRecognize, context: Context) -> None:
        self._node, self._clock, self._side = node, context.clock, context.side
        database, hidden = context.database, node.inputs[0].hidden
        self._judges, self._named = WATERMARK in hidden and not node.proctime, SEQ in hidden
        fused = fuse(node.inputs[0])
        self._input = database.over(f"{context.name}$in", fused.source.batch_schema())
        rows = fused.select(quote(self._input.name))
        stored = ", ".join(f"{sql} AS {quote(name)}" for name, sql in node.stored())
        self._store = database.compute(f"SELECT {stored} FROM ({rows})")
        schema = self._store.run().schema
        self._waiting = database.state(f"{context.name}$waiting", schema, time=_TIME)
        self._kept = database.state(f"{context.name}$kept", schema)
        self._passed = database.over(f"{context.name}$passed", self._waiting.found_schema)
        self._sorted = database.compute(self._order(quote(self._passed.name)))
        self._absent = absent_row(self._of_nulls(context))
        self._conditions(context)
        self._measures = Evaluator(context, "measures", node.measures, [t for _, t in node.operands],
                                   Rows(self._absent))
        self._automaton = compiled(node.pattern)
        self._partitions: dict[Key, _Partition] = {}
        self._due: list[tuple[int, int, Key]] = []
        self._pushed = self._next = self._late_rows = 0
        self._restore()

    def _order(self, relation: str) -> str:
        further = "".join(f", {quote(f'$o{i}')} {way}" for i, (_, way) in enumerate(self._node.order))
        return f'SELECT * FROM {relation} ORDER BY "{_TIME}"{further}, "{WATERMARK}", "{SEQ}", "{_ROW}"'

    def _of_nulls(self, context: Context) -> list[Any]:
        """The operands of a row of NULLs."""
        node = self._node
        nulls = ", ".join(f"CAST(NULL AS {c.type.duck_type()}) AS {quote(c.name)}" for c in node.inputs[0].schema)
        values = ", ".join(f"CAST({sql} AS {t.duck_type()}) AS {quote(operand_name(i))}"
                           for i, (sql, t) in enumerate(node.operands))
        if not values:
            return []
        table = context.database.query(f"SELECT {values} FROM (SELECT {nulls or '1'})")
        return [plain_column(column)[0] for column in table.columns]

    def _conditions(self, context: Context) -> None:
        """By variable a function, or an Evaluator where only DuckDB can say it."""
        self._plain: dict[int, Value] = {}
        self._asked: dict[int, Evaluator] = {}
        types = [t for _, t in self._node.operands]
        for condition in self._node.conditions:
            variable, rows = condition.variable, Rows(self._absent, condition.variable)
            if condition.plain is not None:
                self._plain[variable] = closure(condition.plain, condition.formula, rows)
            else:
                self._asked[variable] = Evaluator(context, f"is{variable}", condition.formula, types, rows)

    def _restore(self) -> None:
        """Take the kept rows once more, which brings back the attempts that were alive."""
        rows = self._kept.all()
        if rows.num_rows:
            numbers = rows.column(_KEY).to_numpy().astype(np.int64)
            order = np.argsort(numbers)
            self._next = int(numbers.max()) + 1
            self._match(rows.take(pa.array(order)), numbers[order].tolist())
            for key, partition in self._partitions.items():
                self._schedule(key, partition)

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        rows = self._store.run()
        if rows.column(_TIME).null_count:
            raise DataError("rowtime is NULL")
        if self._judges and batch.may_be_late:
            rows = self._punctual(rows)
        if not self._node.proctime:
            self._waiting.add(rows)
            return None
        now_us = self._now_us()
        times = pa.array(np.full(rows.num_rows, now_us))
        rows = rows.set_column(rows.schema.get_field_index(_TIME), _TIME, times)
        self._waiting.add(rows)
        return self._pass(now_us)

    def _punctual(self, rows: pa.Table) -> pa.Table:
        """The rows before which their partition's watermark was; the others are late."""
        keep = rows.column(_TIME).to_numpy() > rows.column(WATERMARK).to_numpy()
        if keep.all():
            return rows
        late = rows.filter(pa.array(~keep))
        self._late_rows += late.num_rows
        if self._named:
            self._side.late(late.column(SEQ).to_pylist(), "late for MATCH_RECOGNIZE")
        return rows.filter(pa.array(keep))

    def advance(self, watermark_us: int) -> Batch | None:
        return None if self._node.proctime else self._pass(watermark_us)

    def tick(self, now_us: int) -> Batch | None:
        return self._pass(self._now_us()) if self._node.proctime and self._due else None

    def _now_us(self) -> int:
        return self._clock.now_us() // 1000 * 1000

    def _pass(self, time_us: int) -> Batch | None:
        """Match the rows up to a time, and end what is as long as WITHIN by then."""
        self._passed.set(self._waiting.pop(time_us, through=True))
        rows = self._sorted.run()
        numbers = list(range(self._next, self._next + rows.num_rows))
        self._next += rows.num_rows
        touched, at = self._match(rows, numbers)
        while self._due and self._due[0][0] <= time_us:
            key = heapq.heappop(self._due)[2]
            if key in self._partitions:
                self._partitions[key].matcher.expire(time_us)
                touched[key] = None
        found = self._settle(touched, rows, at)
        found.sort(key=lambda f: (f.time_us, f.path.row.number))
        return self._emitted(found) if found else None

    def _match(self, rows: pa.Table, numbers: Sequence[int]) -> tuple[dict[Key, None], dict[int, int]]:
        """Feed rows, in order; the partitions that have got some, and where in `rows` a number is."""
        node = self._node
        keys = [rows.column(f"$k{i}").to_pylist() for i in range(len(node.partition))]
        values = [plain_column(rows.column(operand_name(i))) for i in range(len(node.operands))]
        tuples = zip(*values, strict=True) if values else iter([()] * rows.num_rows)
        given: dict[Key, list[Row]] = {}
        named = zip(*keys, strict=True) if keys else iter([()] * rows.num_rows)
        for number, time_us, key, row in zip(numbers, rows.column(_TIME).to_pylist(), named, tuples, strict=True):
            given.setdefault(key, []).append(Row(number, time_us, row))
        self._feed([(self._partition(key).matcher, own) for key, own in given.items()])
        for key, own in given.items():
            self._partitions[key].kept.extend(row.number for row in own)
        return dict.fromkeys(given), {number: index for index, number in enumerate(numbers)}

    def _partition(self, key: Key) -> _Partition:
        found = self._partitions.get(key)
        if found is None:
            node = self._node
            matcher = Matcher(self._automaton, node.skip, node.target, node.within_us, node.variables)
            found = self._partitions[key] = _Partition(matcher)
        return found

    def _schedule(self, key: Key, partition: _Partition) -> None:
        """Come back when WITHIN ends the oldest attempt."""
        start = partition.matcher.attempts[0].path.start
        if self._node.within_us and start.number != partition.scheduled:
            partition.scheduled = start.number
            self._pushed += 1
            heapq.heappush(self._due, (start.time_us + self._node.within_us, self._pushed, key))

    def _feed(self, work: Sequence[tuple[Matcher, list[Row]]]) -> None:
        """Run the automata: one after another, or where conditions are statements, all side by side."""
        running: list[tuple[Generator[list[Question], list[bool], None], list[Question]]] = []
        for matcher, rows in work:
            steps = matcher.feed(iter(rows))
            questions = next(steps, None)
            while questions is not None and not self._asked:
                questions = _next(steps, self._answers(questions))
            if questions is not None:
                running.append((steps, questions))
        while running:
            answers = self._answers([q for _, questions in running for q in questions])
            at, later = 0, []
            for steps, questions in running:
                following = _next(steps, answers[at:at + len(questions)])
                at += len(questions)
                if following is not None:
                    later.append((steps, following))
            running = later

    def _answers(self, questions: Sequence[Question]) -> list[bool]:
        plain = self._plain
        answers = [plain[v](path, row) is True if v in plain else True for v, path, row in questions]
        for variable, evaluator in self._asked.items():
            at = [i for i, (v, _, _) in enumerate(questions) if v == variable]
            if at:
                told = evaluator.run([questions[i][1:] for i in at]).column(0).to_pylist()
                for i, value in zip(at, told, strict=True):
                    answers[i] = value is True
        return answers

    def _settle(self, touched: Collection[Key], rows: pa.Table, at: Mapping[int, int]) -> list[Found]:
        """Take the matches away, keep the rows that attempts still hold, and forget the others."""
        found: list[Found] = []
        gone: list[int] = []
        keep: list[int] = []
        for key in touched:
            partition = self._partitions[key]
            matcher = partition.matcher
            found += matcher.found
            matcher.found = []
            needed = matcher.needed_from()
            while partition.kept and (needed is None or partition.kept[0] < needed):
                number = partition.kept.popleft()
                if number not in at:
                    gone.append(number)
            keep += [number for number in partition.kept if number in at]
            if needed is None:
                del self._partitions[key]
            else:
                self._schedule(key, partition)
        if gone:
            self._kept.remove(self._kept.find(pa.array(gone, pa.uint64())).column(_ROW))
        if keep:
            added = rows.take(pa.array([at[number] for number in keep])).drop_columns([_ROW])
            keys = pa.array(keep, pa.uint64())
            self._kept.add(added.set_column(added.schema.get_field_index(_KEY), _KEY, keys))
        return found

    def _emitted(self, found: Sequence[Found]) -> Batch:
        times = [f.time_us for f in found]
        rows = self._measures.run([(f.path, None) for f in found], times)
        watermark = (np.full(len(found), MIN_WATERMARK, np.int64) if self._node.proctime
                     else np.array(times, np.int64) - 1)
        seq = np.arange(DERIVED_SEQ, DERIVED_SEQ + len(found), dtype=np.int64)
        columns = [rows.column(name) for name in self._node.schema.names]
        arrays = [*columns, pa.array(watermark), pa.array(seq)]
        names = [*self._node.schema.names, WATERMARK, SEQ]
        return Batch(pa.Table.from_arrays(arrays, names=names), may_be_late=False)

    def statistics(self) -> Mapping[str, int]:
        return {"state_rows": len(self._waiting) + len(self._kept), "late_rows": self._late_rows,
                "attempts": sum(len(p.matcher.attempts) for p in self._partitions.values())}


def _next(steps: Generator[list[Question], list[bool], None], answers: list[bool]) -> list[Question] | None:
    try:
        return steps.send(answers)
    except StopIteration:
        return None

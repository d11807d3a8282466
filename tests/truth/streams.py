"""Runs a streaming case of `tests/truth/streams` through the public API; STREAMS.md says what a case is.

A case is run in several ways, each of which has to give the same answer: `rows`, one row a batch in
the recorded order; `batch`, each table in one; `shuffle`, cut and interleaved otherwise by a seeded
generator; `restart`, as `rows`, everything closed and taken up again from its state now and then.
`oracle` compares what DuckDB answers over all input at once, where no row may be late.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pyarrow as pa

import streamsql
from streamsql.core.types import DataType
from streamsql.errors import Source
from streamsql.planner.changelogs import changes_of
from streamsql.planner.planner import Plan
from streamsql.planner.relational import expressible
from streamsql.session import Query, Session
from streamsql.sql import parse
from streamsql.sql import statements as st
from streamsql.testing.oracle import Oracle
from streamsql.testing.watch import Watch

Case = Mapping[str, Any]
Portion = tuple[str, list[tuple[int, Any]]]

_MANY = 200
"""Rows of a case beyond which all ways but `rows` take them in stretches."""

WAYS = ("rows", "batch", "shuffle", "restart", "oracle")


def ways(case: Case) -> tuple[str, ...]:
    """In which ways the case is run."""
    if case["error"] is not None:
        return ("rows", "batch")
    return ("rows", "batch", "restart", "oracle") if case["order_dependent"] else WAYS


def run(case: Case, way: str) -> None:
    """Raises AssertionError when the answer differs.

    A case whose answer depends on the order of its tables keeps that order, in batches as long as
    the order allows.
    """
    if case["error"] is not None:
        _refused(case, way)
        return
    outputs = _outputs(case, way)
    if way == "oracle":
        return
    expected = ({name: o["final"] for name, o in case["outputs"].items()} if case.get("inserts")
                else {"": case["final"]})
    for name, rows in expected.items():
        want, got = sorted(map(_text, rows)), sorted(map(_text, outputs[name]))
        assert want == got, _difference(name, want, got)


def _refused(case: Case, way: str) -> None:
    try:
        _outputs(case, way)
    except streamsql.InternalError as error:
        raise AssertionError(f"an internal error instead of a refusal: {error}") from error
    except streamsql.StreamSQLError as error:
        if "is not built" in str(error):
            raise AssertionError(f"not built: {error}") from error
        return
    raise AssertionError(f"accepted, but Flink says: {case['error']['message'][:120]}")


def _outputs(case: Case, way: str) -> dict[str, list[list[Any]]]:
    """The rows left, by sink; '' is the query's own."""
    with ExitStack() as stack:
        state = stack.enter_context(tempfile.TemporaryDirectory(prefix="streamsql-")) if way == "restart" else None
        settings = {"streamsql.strict": "true", **case["settings"]}
        session = stack.enter_context(streamsql.Session(settings, threaded=False, state=state))
        for statement in case["ddl"]:
            list(session.execute(_with_connector(statement, case)))
        oracle = Oracle(session)
        if way == "oracle":
            session.watch = Watch(oracle.saw)
        job = stack.enter_context(_Job(session, case, state is not None))
        for number, (name, rows) in enumerate(_portions(case, way)):
            session.memory(name).append(_table(session, name, rows), diff=[d for d, _ in rows])
            job.drain()
            if state is not None and number % 5 == 4:
                job.restart()
        for name in case["inputs"]:
            session.memory(name).end()
        job.drain()
        while not job.query.finished:
            job.query.turn()
        if way == "oracle":
            job.compare(oracle)
        return job.left()


class _Job:
    """The query or the INSERTs of a case, and all that they have given."""

    def __init__(self, session: Session, case: Case, durable: bool) -> None:
        self._session = session
        self._durable = durable
        self._text = ";\n".join(case["inserts"]) if case.get("inserts") else case["query"]
        self._types = {name: [c.type for c in session.describe(name) if c.kind != "computed"]
                       for name in (case.get("sinks") or {})}
        self._taken: list[pa.Table] = []
        self.query = self._started()

    def _started(self) -> Query:
        statements = parse(Source(self._text))
        plan = self._plan(statements)
        self._columns = [c.type for c in plan.schema]
        self._roots = plan.roots
        query = self._session.query(plan, self._text, "case" if self._durable else "")
        query.turn()
        return query

    def _plan(self, statements: Sequence[st.Statement]) -> Plan:
        first = statements[0]
        if isinstance(first, st.Select):
            return self._session.planner.select(first)
        return self._session.planner.inserts([s for s in statements if isinstance(s, st.Insert)])

    def drain(self) -> None:
        while self.query.turn():
            pass

    def restart(self) -> None:
        """Commit, close, and take up again as a new process would."""
        self.query.commit()
        self._taken += self.query.taken()
        self.query.close()
        self.query = self._started()

    def compare(self, oracle: Oracle) -> None:
        """The sum of the changes is what DuckDB answers over all input at once. Sinks, which may keep
        rows by key, are left out, and input with rows that may be late."""
        if self._types or not expressible(self._roots[0]) or oracle.disordered(""):
            return
        got = sorted(map(_text, _applied(self.query.taken(), self._columns)))
        want = sorted(map(_text, _applied([oracle.answer("", self._roots[0])], self._columns)))
        assert want == got, _difference("what DuckDB answers over all input", want, got)

    def left(self) -> dict[str, list[list[Any]]]:
        self.query.commit()
        if self._types:
            return {name: _applied(self._session.memory(name).take(), kinds, self._key(name))
                    for name, kinds in self._types.items()}
        return {"": _applied([*self._taken, *self.query.taken()], self._columns)}

    def _key(self, sink: str) -> tuple[str, ...]:
        """By which columns a sink is given rows that replace each other; () where by none."""
        table = self._session.planner.catalog.tables[sink]
        return table.primary_key if changes_of(table, write=True) == "upsert" else ()

    def __enter__(self) -> _Job:
        return self

    def __exit__(self, *_: object) -> None:
        self.query.close()


def _with_connector(statement: str, case: Case) -> str:
    """The table, in memory: an input (a changelog if the case says so), or a sink. A bad value ends the
    job, as in Flink."""
    if not statement.lstrip().upper().startswith("CREATE TABLE"):
        return statement
    name = statement.split()[2].strip("`")
    given = case["inputs"].get(name, {})
    mode = given.get("changelog_mode", "all") if given.get("changelog") else "append"
    mode = {"upsert": "upsert", "all": "all"}.get((case.get("sinks") or {}).get(name, ""), mode)
    return f"{statement} WITH ('connector' = 'memory', 'changelog-mode' = '{mode}', 'error-handling.mode' = 'fail')"


def _portions(case: Case, way: str) -> Iterator[Portion]:
    """(table, rows with +1 or -1) in the order in which they are handed over."""
    rows = {name: [_change(r, given["changelog"]) for r in given["rows"]] for name, given in case["inputs"].items()}
    order = case["order"] or [name for name in rows for _ in rows[name]]
    if way == "batch" and not case["order_dependent"]:
        yield from ((name, found) for name, found in rows.items() if found)
    elif way == "shuffle":
        yield from _shuffled(case, rows)
    elif len(order) > _MANY and way != "rows" and not case["order_dependent"]:
        yield from _grouped(list(_in_order(rows, order, one_by_one=way != "batch")))
    else:
        yield from _in_order(rows, order, one_by_one=way != "batch")


def _grouped(portions: Sequence[Portion]) -> Iterator[Portion]:
    """The same order in about twenty stretches, of each table's rows there in one."""
    size = len(portions) // 20 + 1
    for start in range(0, len(portions), size):
        stretch: dict[str, list[tuple[int, Any]]] = {}
        for name, found in portions[start:start + size]:
            stretch.setdefault(name, []).extend(found)
        yield from stretch.items()


def _in_order(rows: Mapping[str, list[tuple[int, Any]]], order: Sequence[str], *,
              one_by_one: bool) -> Iterator[Portion]:
    at = dict.fromkeys(rows, 0)
    portion: list[tuple[int, Any]] = []
    for i, name in enumerate(order):
        portion.append(rows[name][at[name]])
        at[name] += 1
        if one_by_one or i + 1 == len(order) or order[i + 1] != name:
            yield name, portion
            portion = []


def _shuffled(case: Case, rows: Mapping[str, list[tuple[int, Any]]]) -> Iterator[Portion]:
    chance = random.Random(case["name"])
    left = {name: list(found) for name, found in rows.items() if found}
    while left:
        name = chance.choice(list(left))
        count = chance.randint(1, max(3, len(rows[name]) // 4))
        yield name, left[name][:count]
        left[name] = left[name][count:]
        if not left[name]:
            del left[name]


def _change(row: Any, changelog: bool) -> tuple[int, Any]:
    if not changelog:
        return 1, row
    return (1 if row["op"] in ("+I", "+U") else -1), row["row"]


def _table(session: streamsql.Session, name: str, rows: Sequence[tuple[int, Any]]) -> pa.Table:
    columns = [c for c in session.describe(name) if c.kind == "physical"]
    return pa.table({c.name: pa.array([value(row.get(c.name), c.type) for _, row in rows], c.type.arrow_type())
                     for c in columns})


def value(given: Any, type_: DataType) -> Any:
    """A value of the files as the Python value that Arrow takes for its type."""
    if given is None:
        return None
    match type_.root:
        case "TIMESTAMP" | "TIMESTAMP_LTZ":
            return dt.datetime.fromisoformat(given.replace("Z", "+00:00"))
        case "DATE":
            return dt.date.fromisoformat(given)
        case "TIME":
            return dt.time.fromisoformat(given)
        case "DECIMAL":
            return Decimal(given)
        case "FLOAT" | "DOUBLE":
            return float(given)
        case "BINARY" | "VARBINARY":
            return bytes.fromhex(given)
        case "ARRAY":
            return [value(v, type_.children[0]) for v in given]
        case "MAP":
            pairs = given.items() if isinstance(given, dict) else given
            return [(value(k, type_.children[0]), value(v, type_.children[1])) for k, v in pairs]
        case "ROW":
            fields = given.values() if isinstance(given, dict) else given
            return dict(zip(type_.names, (value(v, t) for v, t in zip(fields, type_.children, strict=True)),
                            strict=True))
    return given


def _applied(batches: Sequence[pa.Table], types: Sequence[DataType], key: Sequence[str] = ()) -> list[list[Any]]:
    """The changes applied, rows as the files write them. With a key +1 replaces the row of it, -1 deletes it."""
    left: dict[str, tuple[int, list[Any]]] = {}
    for batch in batches:
        diffs = batch["$diff"].to_pylist() if "$diff" in batch.column_names else [1] * batch.num_rows
        names = [n for n in batch.column_names if not n.startswith("$")]
        at = [names.index(k) for k in key]
        for diff, row in zip(diffs, zip(*(batch[n].to_pylist() for n in names), strict=True), strict=True):
            shown = [show(v, t) for v, t in zip(row, types, strict=True)]
            name = _text([shown[i] for i in at] if at else shown)
            count, _ = left.get(name, (0, shown))
            left[name] = (max(diff, 0) if at else count + diff, shown)
    negative = [row for count, row in left.values() if count < 0]
    assert not negative, f"rows taken back that never came: {negative[:3]}"
    return [row for count, row in left.values() for _ in range(count)]


def show(given: Any, type_: DataType, *, full: bool = False) -> Any:
    """A Python value of a result as the files write it; full: a time has the digits of its type."""
    if given is None:
        return None
    match type_.root:
        case "TIMESTAMP":
            return _iso(given, type_.precision if full else -1)
        case "TIMESTAMP_LTZ":
            return _iso(given.astimezone(dt.UTC).replace(tzinfo=None), type_.precision if full else -1) + "Z"
        case "INTERVAL YEAR TO MONTH":
            return given.months
        case "INTERVAL DAY TO SECOND":
            return given.days * 86_400_000 + given.nanoseconds // 1_000_000
        case "DATE":
            return given.isoformat()
        case "TIME":
            return _iso(dt.datetime.combine(dt.date(1970, 1, 1), given), type_.precision if full else -1)[11:]
        case "DECIMAL":
            return f"{given:f}"
        case "FLOAT" | "DOUBLE":
            return given if given == given and abs(given) != float("inf") else _special(given)
        case "BINARY" | "VARBINARY":
            return given.hex()
        case "ARRAY":
            return [show(v, type_.children[0], full=full) for v in given]
        case "MAP":
            pairs = ([show(k, type_.children[0], full=full), show(v, type_.children[1], full=full)] for k, v in given)
            return sorted(pairs, key=_text)
        case "MULTISET":
            return sorted(([show(k, type_.children[0], full=full), v] for k, v in given), key=_text)
        case "ROW":
            return [show(v, t, full=full) for v, t in zip(given.values(), type_.children, strict=True)]
    return given


def _special(number: float) -> str:
    return "NaN" if number != number else "Infinity" if number > 0 else "-Infinity"


def _iso(moment: dt.datetime, digits: int) -> str:
    """ISO text with so many fraction digits; -1: none if the fraction is zero, else 3, 6 or 9."""
    nanoseconds = moment.microsecond * 1000 + getattr(moment, "nanosecond", 0)
    if digits < 0:
        digits = 0 if not nanoseconds else 3 if nanoseconds % 1_000_000 == 0 else 6 if nanoseconds % 1000 == 0 else 9
    text = f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}"
    return f"{text}.{nanoseconds:09d}"[: len(text) + 1 + digits] if digits else text


def _text(row: Any) -> str:
    return json.dumps(row, ensure_ascii=False)


def _difference(name: str, want: Sequence[str], got: Sequence[str]) -> str:
    missing = [w for w in want if w not in got][:5]
    extra = [g for g in got if g not in want][:5]
    label = f"sink {name}: " if name else ""
    return f"{label}expected {len(want)} rows, got {len(got)}; missing {missing}; not expected {extra}"


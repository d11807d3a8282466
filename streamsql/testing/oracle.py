"""Oracle: law 3. What DuckDB answers over all rows at once must be the sum of the changes.

The plan of a job says what it means over all input (`Node.relation`); the rows are those that its
tables have let in, less those that were late. So the input is ended first, that every window is
closed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from streamsql.core.batch import DIFF, SEQ, SEQ_SHIFT, WATERMARK
from streamsql.core.node import Node
from streamsql.core.schema import quote
from streamsql.core.system import SIDE_SCHEMA
from streamsql.engine.changes import applied
from streamsql.operators.insert import Insert
from streamsql.operators.scan import Scan
from streamsql.operators.side import SideScan
from streamsql.planner.relational import expressible, leaves
from streamsql.session import Session
from streamsql.state.database import Database
from streamsql.testing import cells
from streamsql.testing.execution import Execution
from streamsql.testing.rows import Shape
from streamsql.values import user_calls
from streamsql.values.macros import SETUP, set_clock
from streamsql.values.udfs import register


class Oracle:
    """Keeps the rows that the tables of a session's jobs have let in, and asks DuckDB about them.

    saw: to be told of every batch of a table; what `Watch` calls.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seen: dict[tuple[str, Scan], list[pa.Table]] = {}

    def saw(self, job: str, scan: Scan, rows: pa.Table) -> None:
        self._seen.setdefault((job, scan), []).append(rows)

    def disordered(self, job: str) -> bool:
        """Some row came at or behind the watermark of its partition: it may be missing in part of its
        windows, which DuckDB knows nothing of."""
        for (name, leaf), batches in self._seen.items():
            time = leaf.rowtime.column if leaf.rowtime else ""
            for rows in batches if name == job and time in leaf.schema else ():
                moment = rows[time].cast(pa.timestamp("us", rows[time].type.tz), safe=False).cast(pa.int64())
                if pc.any(pc.less_equal(moment, rows[WATERMARK])).as_py():
                    return True
        return False

    def answer(self, job: str, root: Node) -> pa.Table:
        """What `root` means over all that its tables let in, but for rows that were late."""
        database = Database()
        try:
            register(database)
            for statement in SETUP:
                database.everywhere(statement)
            set_clock(database.everywhere, self._session.clock.now_us())
            names: dict[Node, str] = {}
            for index, leaf in enumerate(dict.fromkeys(leaves(root))):
                if isinstance(leaf, Scan):
                    given = database.over(f"leaf{index}", _shape(leaf))
                    given.set(self._rows(job, leaf))
                    names[leaf] = quote(given.name)
                elif isinstance(leaf, SideScan):
                    database.over(leaf.table + leaf.side, SIDE_SCHEMA.arrow()).set(
                        self._session.sides.rows(leaf.table, leaf.side))
            text = composed(root, names)
            user_calls.load(database, self._session.planner.catalog.functions, text)
            return database.query(text)
        finally:
            database.close()

    def _rows(self, job: str, leaf: Scan) -> pa.Table:
        """All rows that the table let in, changes applied, without those that were too late for all."""
        late = self._session.sides.rows(leaf.name, "$late")
        gone = {(p << SEQ_SHIFT) | o for p, o in zip(late["partition"].to_pylist(), late["offset"].to_pylist(),
                                                    strict=True)}
        shape = _shape(leaf)
        kept = []
        for rows in self._seen.get((job, leaf), []):
            keep = pa.array([seq not in gone for seq in rows[SEQ].to_pylist()], pa.bool_())
            rows = rows if len(leaf.schema) else rows.append_column(_NONE, pa.array([0] * len(rows), pa.int32()))
            kept.append(rows.filter(keep))
        if leaf.upsert:
            return _left(kept, leaf.table.primary_key, shape)
        if leaf.append_only:
            return pa.concat_tables([rows.select(shape.names) for rows in kept]).cast(shape) if kept \
                else shape.empty_table()
        return applied([rows.select([*shape.names, DIFF]) for rows in kept], shape)


_NONE = "$none"
"""A column for a table of which only the number of rows is asked: DuckDB sees none without columns."""


def _shape(leaf: Scan) -> pa.Schema:
    return leaf.schema.arrow() if len(leaf.schema) else pa.schema([pa.field(_NONE, pa.int32())])


class OracleExecution(Execution):
    """A run that keeps the rows of its tables and asks DuckDB at the end."""

    def prepare(self) -> None:
        self._oracle = Oracle(self.session)

    def on_scan(self, job: str, scan: Scan, rows: pa.Table) -> None:
        self._oracle.saw(job, scan, rows)

    def finish(self) -> None:
        super().finish()
        for name in self.unended():
            self.feed.end(name)
        self.jobs.settle()
        for number, job in enumerate(self.jobs.running):
            expected: dict[str, Counter[tuple[str, ...]]] = {}
            unknown: set[str] = set()
            for root in job.current.roots:
                if not (isinstance(root, Insert) and root.table.encoded):
                    name = root.name if isinstance(root, Insert) else job.name
                    if not expressible(root):
                        unknown.add(name)
                        continue
                    found = self._oracle.answer(str(number), root)
                    expected.setdefault(name, Counter()).update(_shown(found, self.jobs.outputs[name].shape))
            for name, rows in expected.items():
                if name not in unknown:
                    self._check(name, rows)

    def _check(self, name: str, expected: Counter[tuple[str, ...]]) -> None:
        total = self.jobs.outputs[name].total
        actual = Counter({row: count for row, count in total.items() if count})
        if expected != actual:
            self.fail(len(self.case.lines) - 1, f'the sum of the changes of "{name}" is not what DuckDB answers',
                      [" | ".join(r) for r in sorted(expected.elements())],
                      [f"{count} × {' | '.join(r)}" if count != 1 else " | ".join(r)
                       for r, count in sorted(actual.items())])


def _left(batches: Sequence[pa.Table], key: Sequence[str], shape: pa.Schema) -> pa.Table:
    """The rows that upserts by `key` leave."""
    left: dict[str, dict[str, object]] = {}
    for batch in batches:
        for row, diff in zip(batch.select(shape.names).to_pylist(), batch[DIFF].to_pylist(), strict=True):
            left.pop(repr([row[k] for k in key]), None)
            if diff > 0:
                left[repr([row[k] for k in key])] = row
    return pa.Table.from_pylist(list(left.values()), schema=shape)


def _shown(found: pa.Table, shape: Shape) -> list[tuple[str, ...]]:
    columns = [cells.shown_column(found[name], type_) for name, type_ in shape]
    return list(zip(*columns, strict=True)) if columns else [()] * found.num_rows


def composed(node: Node, names: Mapping[Node, str]) -> str:
    """The whole tree as one SELECT over its tables, which are known as `names`."""
    if node in names:
        return node.relation((names[node],))
    if not node.inputs:
        return node.relation(())
    inputs = [quote(f"$in{n}") for n in range(len(node.inputs))]
    named = ", ".join(f"{name} AS ({composed(i, names)})" for name, i in zip(inputs, node.inputs, strict=True))
    relation = node.relation(inputs)
    return f"WITH {named} SELECT * FROM ({relation})"

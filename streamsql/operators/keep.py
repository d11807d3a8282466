"""Keep: the end of a query whose rows are kept, and the Shelf from which any thread reads them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streamsql.core.batch import DIFF, Batch, batch_schema
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import Schema, quote
from streamsql.errors import InternalError, StateError, StreamSQLError
from streamsql.operators.collect import Take

NUMBER = "$n"
"""BIGINT: the order in which changes came."""
_COMPACTED_ROWS = 50_000
"""Changes are not summed up before there are this many more of them than rows."""


def log_schema(schema: Schema, append_only: bool) -> pa.Schema:
    """The changes that a shelf holds: the columns, `$diff` where rows go, and their number."""
    return batch_schema(schema, () if append_only else (DIFF,)).append(pa.field(NUMBER, pa.int64()))


def left(log: str, schema: Schema, append_only: bool) -> str:
    """The rows that are left of all changes, as SQL over their log, in the order in which they came."""
    columns = ", ".join(quote(c) for c in schema.names)
    if append_only:
        return f"SELECT {columns} FROM {log}"
    count, last = quote("$count"), quote("$last")
    sums = (f"SELECT {columns}, CAST(sum({quote(DIFF)}) AS BIGINT) AS {count}, max({quote(NUMBER)}) AS {last} "
            f"FROM {log} GROUP BY {columns} HAVING sum({quote(DIFF)}) > 0")
    return (f"SELECT {columns} FROM (SELECT *, unnest(generate_series(1, {count})) FROM ({sums})) ORDER BY {last}")


class Shelf:
    """The rows of a materialized table as they are at the last committed epoch.

    The job that keeps them publishes; any thread reads. What is published is never changed, it is
    replaced whole, so that a reader cannot see half an epoch.
    """

    def __init__(self) -> None:
        self._log: tuple[pa.Table, ...] = ()
        self._ready = threading.Event()
        self._error: BaseException | None = None

    def publish(self, log: tuple[pa.Table, ...]) -> None:
        self._log = log
        self._ready.set()

    def ended(self, error: BaseException | None) -> None:
        """The job has ended; with an error, what it left is not the answer any more."""
        self._error = error
        self._ready.set()

    def changes(self, name: str, schema: pa.Schema) -> pa.Table:
        """The log of changes, whose sum are the rows. Waits until the job has taken up its state.

        Raises StateError when the job has failed.
        """
        self._ready.wait()
        if self._error is not None:
            words = self._error.message if isinstance(self._error, StreamSQLError) else str(self._error)
            raise StateError(f'the query of materialized table "{name}" has failed', detail=words,
                             hint="DROP it, and create it again once the cause is gone.")
        return pa.concat_tables(self._log).cast(schema) if self._log else schema.empty_table()


@dataclass(frozen=True)
class Keep(Node):
    """The result of a query, kept under a name."""

    name: str

    def relation(self, inputs: Sequence[str]) -> str:
        return f"SELECT {', '.join(quote(c) for c in self.schema.names)} FROM {inputs[0]}"

    def operator(self, context: Context) -> Operator:
        raise InternalError("a Keep needs to know its shelf: use bound()")

    def bound(self, context: Context, shelf: Shelf, take: Take | None = None) -> KeepStep:
        return KeepStep(self, context, shelf, take)

    def holds_state(self) -> bool:
        return True

    def grows(self) -> bool:
        return self.append_only

    def explain(self) -> Explain:
        return Explain(f"Keep({self.name})")


class KeepStep(Operator):
    """Log the changes of an epoch, and publish them when it is committed.

        Δout = none; Σ Δin is what readers see

    Input:   any changelog mode
    Output:  none within the job
    State:   the log of changes, summed up when it has doubled; a table of the same where state is durable
    Cost:    an append a batch and an epoch; readers sum up what they read
    Forgets: rows that went
    Late:    never sees them
    """

    def __init__(self, node: Keep, context: Context, shelf: Shelf, take: Take | None) -> None:
        self._node, self._shelf, self._take = node, shelf, take
        database = self._database = context.database
        fused = fuse(node.inputs[0])
        self._input = database.over(f"{context.name}$in", fused.source.batch_schema())
        self._names = [*node.schema.names, *([] if node.append_only else [DIFF])]
        columns = ", ".join(quote(n) for n in self._names)
        self._statement = database.compute(f"SELECT {columns} FROM ({fused.select(quote(self._input.name))})")
        self._shape = log_schema(node.schema, node.append_only)
        self._rows_out = 0
        self._pending: list[pa.Table] = []
        self._log_input = database.over(f"{context.name}$log", self._shape)
        log = quote(self._log_input.name)
        self._left = database.compute(left(log, node.schema, node.append_only))
        self._table = quote(f"{context.name}$kept")
        kept = self._shape.empty_table()
        if database.durable:
            database.create_table(f"{context.name}$kept", self._shape)
            self._insert = database.prepare(f"INSERT INTO {self._table} SELECT * FROM {log}")
            kept = database.query(f"SELECT * FROM {self._table} ORDER BY {quote(NUMBER)}").cast(self._shape)
        self._next = int(kept.column(NUMBER)[-1].as_py()) + 1 if kept.num_rows else 0
        self._log: tuple[pa.Table, ...] = (kept,) if kept.num_rows else ()
        self._log_rows = self._base_rows = kept.num_rows
        shelf.publish(self._log)

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        rows = self._statement.run()
        if rows.num_rows:
            if self._take is not None:
                self._take(rows)
            self._rows_out += rows.num_rows
            self._append(rows)
        return None

    def _append(self, rows: pa.Table) -> None:
        numbers = np.arange(self._next, self._next + rows.num_rows, dtype=np.int64)
        self._next += rows.num_rows
        logged = rows.append_column(NUMBER, pa.array(numbers)).cast(self._shape)
        self._pending.append(logged)
        self._store(logged)

    def _store(self, rows: pa.Table) -> None:
        if self._database.durable:
            self._log_input.set(rows)
            self._insert.run()

    def publish(self) -> None:
        """The epoch is committed: readers see it from now on."""
        if not self._pending:
            return
        self._log_rows += sum(t.num_rows for t in self._pending)
        self._log, self._pending = (*self._log, *self._pending), []
        if not self._node.append_only and self._log_rows > 2 * self._base_rows + _COMPACTED_ROWS:
            self._compact()
        elif len(self._log) > 64:
            self._log = (pa.concat_tables(self._log),)
        self._shelf.publish(self._log)

    def _compact(self) -> None:
        """The log as the rows that are left; its durable copy becomes so with the next epoch."""
        self._log_input.set(pa.concat_tables(self._log))
        rows = self._left.run()
        rows = rows.append_column(DIFF, pa.array(np.ones(rows.num_rows, np.int32)))
        if self._database.durable:
            self._database.execute(f"DELETE FROM {self._table}")
        self._log = ()
        self._append(rows)
        self._log, self._pending = tuple(self._pending), []
        self._log_rows = self._base_rows = rows.num_rows

    def statistics(self) -> Mapping[str, int]:
        return {"rows_out": self._rows_out, "state_rows": self._log_rows + sum(t.num_rows for t in self._pending)}

"""Project: expressions and a filter over one input, without state; consumers inline it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from streamsql.core.batch import Batch
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import quote
from streamsql.values.let import hoisted


@dataclass(frozen=True)
class Project(Node):
    """SELECT columns FROM input WHERE condition.

    columns  name and DuckDB text over the input's columns, in the order of the schema
    where    DuckDB text of the condition, or None
    """

    columns: tuple[tuple[str, str], ...]
    where: str | None = None

    def _select(self, relation: str, hidden: Sequence[str]) -> str:
        condition = f" WHERE {self.where}" if self.where else ""
        computed, source = hoisted(self.columns, f"{relation}{condition}")
        columns = [f"{sql} AS {quote(name)}" for name, sql in computed]
        columns += [quote(name) for name in hidden]
        return f"SELECT {', '.join(columns) or '1'} FROM {source}"

    def narrowed(self, needed: Collection[str]) -> Project:
        kept = tuple((name, sql) for name, sql in self.columns if name in needed)
        return replace(self, columns=kept, schema=self.schema.only(needed))

    def unique_keys(self) -> frozenset[frozenset[str]]:
        names = {sql: name for name, sql in reversed(self.columns)}
        keys = self.inputs[0].unique_keys()
        return frozenset(frozenset(names[quote(c)] for c in key) for key in keys if all(quote(c) in names for c in key))

    def relation(self, inputs: Sequence[str]) -> str:
        return self._select(inputs[0], ())

    def stateless(self, relation: str) -> str | None:
        return self._select(relation, self.hidden)

    def operator(self, context: Context) -> Operator:
        return StatelessStep(self, context)

    def explain(self) -> Explain:
        details = tuple((name, sql) for name, sql in self.columns if sql != quote(name))
        return Explain("Project", (*details, *((("where", self.where),) if self.where else ())))


class StatelessStep(Operator):
    """Run a stateless node and those below it as one prepared statement a batch.

        Δout = node(Δin)

    Input:   the batches of `fuse(node).source`; any changelog mode
    Output:  the same mode; hidden columns pass
    State:   none
    Cost:    one statement a batch; only where no consumer inlines the node
    Late:    passes them
    """

    def __init__(self, node: Node, context: Context) -> None:
        fused = fuse(node)
        self._input = context.database.over(f"{context.name}$in", fused.source.batch_schema())
        self._statement = context.database.compute(fused.select(quote(self._input.name)))
        self._rows = 0

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        rows = self._statement.run()
        self._rows += rows.num_rows
        return Batch(rows, batch.may_be_late) if rows.num_rows else None

    def statistics(self) -> Mapping[str, int]:
        return {"rows_out": self._rows}

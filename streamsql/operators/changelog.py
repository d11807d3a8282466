"""ToChangelog and FromChangelog: changes as rows that say which change they are, and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from streamsql.core.batch import DIFF, SEQ, Batch
from streamsql.core.node import Context, Explain, Node, Operator, fuse
from streamsql.core.schema import quote, text_literal
from streamsql.errors import PlanError
from streamsql.operators.project import StatelessStep

KINDS = ("INSERT", "UPDATE_BEFORE", "UPDATE_AFTER", "DELETE")
_AT, _TWIN, _FIRST = quote("$at"), quote("$twin"), quote("$first")


@dataclass(frozen=True)
class ToChangelog(Node):
    """Every change of the input as a row that comes, with a column that says which change it is.

    op       the column that says it
    columns  those of the input, quoted, that the rows are made of: all of them count, read or not
    codes    what is said of a kind; a change of another kind is left out
    pair     columns, quoted, that −old and +new of one update have alike; None: nothing pairs them
    """

    op: str
    columns: tuple[str, ...]
    codes: tuple[tuple[str, str], ...]
    pair: tuple[str, ...] | None

    def _code(self, kind: str) -> str:
        cases = " ".join(f"WHEN '{name}' THEN {text_literal(code)}" for name, code in self.codes)
        return f"CASE {kind} {cases} END" if cases else "NULL::VARCHAR"

    def _selected(self, kind: str, rows: str, hidden: Sequence[str]) -> str:
        columns = [f"{self._code(kind)} AS {quote(c)}" if c == self.op else quote(c) for c in self.schema.names]
        columns += [quote(h) for h in hidden]
        return f"SELECT {', '.join(columns) or '1'} FROM {rows} WHERE {self._code(kind)} IS NOT NULL"

    def select(self, rows: str) -> str:
        """Of a batch of changes: −old and +new that belong together are an update, and come together."""
        numbered = f"(SELECT *, row_number() OVER () AS {_AT} FROM ({rows}))"
        if self.pair is None:
            kind = f"CASE WHEN {quote(DIFF)} > 0 THEN 'INSERT' ELSE 'DELETE' END"
            return f"{self._selected(kind, numbered, self.hidden)} ORDER BY {_AT}"
        same = ", ".join(self.pair) or "1"
        twins = (f"(SELECT *, count(*) OVER (PARTITION BY {same}, {_TWIN}) = 2 AS {_FIRST}, "
                 f"min({_AT}) OVER (PARTITION BY {same}, {_TWIN}) AS {quote('$place')} FROM ("
                 f"SELECT *, row_number() OVER (PARTITION BY {same}, {quote(DIFF)} > 0 ORDER BY {_AT}) AS {_TWIN} "
                 f"FROM {numbered}))")
        kind = (f"CASE WHEN {quote(DIFF)} > 0 THEN CASE WHEN {_FIRST} THEN 'UPDATE_AFTER' ELSE 'INSERT' END "
                f"WHEN {_FIRST} THEN 'UPDATE_BEFORE' ELSE 'DELETE' END")
        return f"{self._selected(kind, twins, self.hidden)} ORDER BY {quote('$place')}, {quote(DIFF)}"

    def narrowed(self, needed: Collection[str]) -> ToChangelog:
        return replace(self, schema=self.schema.only(needed))

    def relation(self, inputs: Sequence[str]) -> str:
        if not self.inputs[0].append_only:
            raise PlanError("the changes of a table are known while it changes, not from its rows")
        return self._selected("'INSERT'", inputs[0], ())

    def expressible(self) -> bool:
        return self.inputs[0].append_only

    def stateless(self, relation: str) -> str | None:
        return self._selected("'INSERT'", relation, self.hidden) if self.inputs[0].append_only else None

    def by_row(self) -> bool:
        """What stands below is handed one row at a time: else the changes that are seen depended on the cut."""
        return not self.inputs[0].append_only and bool(fuse(self.inputs[0]).source.inputs)

    def operator(self, context: Context) -> Operator:
        return StatelessStep(self, context) if self.inputs[0].append_only else ToChangelogStep(self, context)

    def explain(self) -> Explain:
        codes = ", ".join(kind if kind == code else f"{kind} as {code}" for kind, code in self.codes)
        by_row = (("input", "one row at a time, so that each change is seen"),) if self.by_row() else ()
        return Explain("ToChangelog", (("op", self.op), ("changes", codes), *by_row))


class ToChangelogStep(Operator):
    """Say of each change which it is.

        Δout = {(kind(r), r) : r in Δin}

    Input:   any columns and `$diff`; a batch is what became of one row, or changes of a source's own
    Output:  the op and the columns; append-only. Of an update −old, then +new
    State:   none
    Cost:    one statement a batch; below it a row at a time (`ToChangelog.by_row`)
    Late:    passes them
    Source:  Flink's ToChangelogFunction (FLIP-564)
    """

    def __init__(self, node: ToChangelog, context: Context) -> None:
        fused = fuse(node.inputs[0])
        self._input = context.database.over(f"{context.name}$in", fused.source.batch_schema())
        self._statement = context.database.compute(node.select(fused.select(quote(self._input.name))))
        self._rows = 0

    def step(self, port: int, batch: Batch) -> Batch | None:
        self._input.set(batch.table)
        rows = self._statement.run()
        self._rows += rows.num_rows
        return Batch(rows, batch.may_be_late) if rows.num_rows else None

    def statistics(self) -> Mapping[str, int]:
        return {"rows_out": self._rows}


@dataclass(frozen=True)
class FromChangelog(Node):
    """The table whose changes the rows of the input are.

    op     the input's column that says which change a row is; it is left out
    codes  what it says, and the kind that this is. Any other code is an error of the row
    """

    op: str
    codes: tuple[tuple[str, str], ...]

    def _diff(self) -> str:
        op = quote(self.op)
        signs = " ".join(f"WHEN {text_literal(code)} THEN {1 if kind in ('INSERT', 'UPDATE_AFTER') else -1}"
                         for code, kind in self.codes)
        known = ", ".join(code for code, _ in self.codes)
        ending = text_literal('"; known are ' + known)
        missing = f"error({text_literal('the op code is NULL; known are ' + known)})"
        unknown = f"error('unknown op code \"' || {op} || {ending})"
        return f"CAST(CASE {op} {signs} ELSE CASE WHEN {op} IS NULL THEN {missing} ELSE {unknown} END END AS INTEGER)"

    def stateless(self, relation: str) -> str | None:
        columns = [*(quote(c) for c in self.schema.names), f"{self._diff()} AS {quote(DIFF)}"]
        columns += [quote(h) for h in self.hidden if h != DIFF]
        return f"SELECT {', '.join(columns)} FROM {relation}"

    def narrowed(self, needed: Collection[str]) -> FromChangelog:
        return replace(self, schema=self.schema.only(needed))

    def relation(self, inputs: Sequence[str]) -> str:
        columns = ", ".join(quote(c) for c in self.schema.names)
        listed = f"{columns}, " if columns else ""
        rows = f"SELECT {listed}{self._diff()} AS {quote(DIFF)} FROM {inputs[0]}"
        net = f"SELECT {listed}CAST(sum({quote(DIFF)}) AS BIGINT) AS {_AT} FROM ({rows}) GROUP BY ALL"
        copies = f"SELECT *, unnest(generate_series(1, {_AT})) FROM ({net}) WHERE {_AT} > 0"
        return f"SELECT {columns or '1'} FROM ({copies})"

    def operator(self, context: Context) -> Operator:
        return StatelessStep(self, context)

    def explain(self) -> Explain:
        return Explain("FromChangelog", (("op", self.op), ("codes", ", ".join(f"{c} is {k}" for c, k in self.codes))))


def paired(node: Node) -> tuple[str, ...] | None:
    """What −old and +new of one update of `node` have alike: their record, or a key."""
    if SEQ in node.hidden and not fuse(node).source.inputs:
        return (quote(SEQ),)
    keys = sorted(node.unique_keys(), key=lambda key: (len(key), sorted(key)))
    return tuple(quote(c) for c in sorted(keys[0])) if keys else None

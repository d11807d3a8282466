"""TableFunction: each row of the input with every row that a function gives for it, without state."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import quote, text_literal
from streamsql.operators.project import StatelessStep

_ROW = quote("$row")


@dataclass(frozen=True)
class TableFunction(Node):
    """`input, LATERAL TABLE(call)`; or with `padded` `input LEFT JOIN LATERAL TABLE(call) ON TRUE`.

    Hidden columns pass: each row that comes of an input row is of its record, and goes when it goes.
    The schema may leave out columns that nobody reads.

    call     DuckDB text over the input's columns: a list of STRUCTs, NULL for no rows
    columns  (column, field of the STRUCT)
    padded   an input row without rows comes once, the columns NULL
    """

    call: str
    columns: tuple[tuple[str, str], ...]
    padded: bool = False

    def _select(self, relation: str, hidden: Sequence[str]) -> str:
        rows = f"coalesce({self.call}, [NULL])" if self.padded else self.call
        fields = dict(self.columns)
        columns = [f"struct_extract({_ROW}, {text_literal(fields[n])}) AS {quote(n)}" if n in fields else quote(n)
                   for n in self.schema.names]
        columns += [quote(n) for n in hidden]
        return f"SELECT {', '.join(columns) or '1'} FROM (SELECT *, unnest({rows}) AS {_ROW} FROM {relation})"

    def narrowed(self, needed: Collection[str]) -> TableFunction:
        return replace(self, schema=self.schema.only(needed))

    def relation(self, inputs: Sequence[str]) -> str:
        return self._select(inputs[0], ())

    def stateless(self, relation: str) -> str | None:
        return self._select(relation, self.hidden)

    def operator(self, context: Context) -> Operator:
        return StatelessStep(self, context)

    def explain(self) -> Explain:
        details = (("call", self.call), ("columns", ", ".join(name for name, _ in self.columns)))
        return Explain("TableFunction", (*details, *((("padded", "yes"),) if self.padded else ())))

"""SideScan: `t$late` and `t$errors` as a source of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import quote
from streamsql.errors import InternalError
from streamsql.operators.scan import Scan


@dataclass(frozen=True)
class SideScan(Node):
    """The records that a table set aside.

    Within a job that reads the table it gives them as they come; alone, what the session kept; and
    `t$errors` alone, when nothing was kept, reads the table itself.

    table, side   `t` and `$late` or `$errors`
    scan          the table's own scan, for `$errors`; None for `$late`
    """

    table: str
    side: str
    scan: Scan | None

    def relation(self, inputs: Sequence[str]) -> str:
        return f"SELECT * FROM {quote(self.table + self.side)}"

    def operator(self, context: Context) -> Operator:
        raise InternalError("a side table is fed by the engine, it has no operator")

    def explain(self) -> Explain:
        return Explain(f"Side({self.table}{self.side})")

"""Watch: a wrapper around every operator of a run that asserts what each promises to the next.

    batches have the columns of the node that made them, in order and type
    a watermark never falls
    each row that goes was there
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import pyarrow as pa

from streamsql.core.batch import DIFF, HIDDEN, MIN_WATERMARK, Batch
from streamsql.core.node import Node, Operator, fuse
from streamsql.errors import InternalError
from streamsql.operators.scan import Scan

Rows = Counter[str]
"""How often each row is there, by its text."""

OnScan = Callable[[str, Scan, pa.Table], None]
"""(job, table, rows)"""


class Watch:
    """Makes the wrappers of a session and keeps what outlives a restart: the rows each has given.

    on_scan: told of every batch that a table let in, once.
    """

    def __init__(self, on_scan: OnScan | None = None) -> None:
        self._rows: dict[tuple[str, str], Rows] = {}
        self._on_scan = on_scan
        self._readers: dict[tuple[str, Node], tuple[str, int]] = {}
        self.job = ""

    def __call__(self, name: str, node: Node, operator: Operator) -> Operator:
        return Watched(name, node, operator, self._rows.setdefault((self.job, name), Counter()), self.scanned)

    def scanned(self, reader: tuple[str, int], node: Scan, rows: pa.Table) -> None:
        """A consumer got a batch of a table; the first one to do so speaks for all."""
        if self._on_scan is not None and self._readers.setdefault((self.job, node), reader) == reader:
            self._on_scan(self.job, node, rows)


class Watched(Operator):
    """An operator, looked at from outside."""

    def __init__(self, name: str, node: Node, operator: Operator, rows: Rows,
                 scanned: Callable[[tuple[str, int], Scan, pa.Table], None]) -> None:
        self._name, self._node, self._operator, self._rows = name, node, operator, rows
        self._sources = [fuse(i).source for i in node.inputs]
        self._marks = [MIN_WATERMARK] * len(node.inputs)
        self._least = MIN_WATERMARK
        self._scanned = scanned

    def step(self, port: int, batch: Batch) -> Batch | None:
        source = self._sources[port]
        self._shaped(batch, source, "was given")
        out = self._operator.step(port, batch)
        if isinstance(source, Scan):
            self._scanned((self._name, port), source, batch.table)
        return self._seen(out)

    def watermark(self, port: int, watermark_us: int) -> None:
        if watermark_us < self._marks[port]:
            raise InternalError(f"{self._name}: the watermark of port {port} fell to {watermark_us}")
        self._marks[port] = watermark_us
        self._operator.watermark(port, watermark_us)

    def advance(self, watermark_us: int) -> Batch | None:
        if watermark_us < self._least:
            raise InternalError(f"{self._name}: the watermark fell from {self._least} to {watermark_us}")
        self._least = watermark_us
        return self._seen(self._operator.advance(watermark_us))

    def emitted(self, watermark_us: int) -> int:
        return self._operator.emitted(watermark_us)

    def tick(self, now_us: int) -> Batch | None:
        return self._seen(self._operator.tick(now_us))

    def statistics(self) -> Mapping[str, int]:
        return self._operator.statistics()

    def _shaped(self, batch: Batch, node: Node, what: str) -> None:
        """Nullability and metadata of fields are not part of the promise."""
        promised = [(f.name, f.type) for f in node.batch_schema()]
        given = [(f.name, f.type) for f in batch.table.schema]
        if promised != given:
            raise InternalError(f"{self._name} {what} a batch that {type(node).__name__} does not promise",
                                detail=f"promised {promised}; given {given}")

    def _seen(self, out: Batch | None) -> Batch | None:
        if out is None:
            return None
        self._shaped(out, self._node, "gave")
        if self._node.append_only:
            return out
        rows = out.table.select([n for n in out.table.column_names if n not in HIDDEN]).to_pylist()
        for diff, row in zip(out.table[DIFF].to_pylist(), rows, strict=True):
            self._rows[repr(row)] += diff
        gone = [row for row, count in self._rows.items() if count < 0]
        if gone:
            raise InternalError(f"{self._name} took back a row that was not there", detail=gone[0])
        return out

"""Dataflow: the operators of a job, wired; how a batch and a watermark travel through them.

Equal nodes are one vertex, so a view or a table that several queries read runs once. Stateless
nodes are inlined by whoever reads them (`core.node.fuse`) and are no vertices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from streamsql.core.batch import MIN_WATERMARK, SEQ, Batch
from streamsql.core.node import Node, Operator, fuse
from streamsql.errors import DataError


@dataclass(slots=True)
class Vertex:
    """A node that runs; `operator` is None for a source, which the job reads itself.

    inputs     the watermark of each port in µs
    reached    the least of them; `watermark` is that of the output, which may be held back
    consumers  who takes the output, and on which port
    """

    name: str
    node: Node
    operator: Operator | None
    inputs: list[int]
    watermark: int = MIN_WATERMARK
    reached: int = MIN_WATERMARK
    consumers: list[tuple[Vertex, int]] = field(default_factory=list)


MakeOperator = Callable[[str, Node], Operator | None]
"""(stable name, node) → its operator; None for a source."""

OnBadRow = Callable[[Vertex, Batch, DataError], None]
"""Called for a single row that an operator refuses; raises to end the job."""


class Dataflow:
    """A directed acyclic graph of operators, driven from its sources."""

    def __init__(self, roots: Iterable[Node], make: MakeOperator, on_bad_row: OnBadRow) -> None:
        self._by_node: dict[Node, Vertex] = {}
        self._make = make
        self._on_bad_row = on_bad_row
        self.vertices: list[Vertex] = []
        for root in roots:
            self._vertex(root)
        self._single: set[str] = set()
        for vertex in self.vertices:
            if vertex.node.by_row():
                self._singly(vertex.node)

    def _vertex(self, node: Node) -> Vertex:
        if node in self._by_node:
            return self._by_node[node]
        sources = [self._vertex(fuse(i).source) for i in node.inputs]
        name = f"op{len(self.vertices)}_{type(node).__name__.lower()}"
        vertex = Vertex(name, node, self._make(name, node), [MIN_WATERMARK] * len(node.inputs))
        for port, source in enumerate(sources):
            source.consumers.append((vertex, port))
        self._by_node[node] = vertex
        self.vertices.append(vertex)
        return vertex

    def _singly(self, node: Node) -> None:
        """Hand one row at a time to all that stands below `node`."""
        for below in (self._by_node[fuse(i).source] for i in node.inputs):
            if below.name not in self._single:
                self._single.add(below.name)
                self._singly(below.node)

    def sources(self) -> list[Vertex]:
        return [v for v in self.vertices if v.operator is None]

    def push(self, vertex: Vertex, batch: Batch) -> None:
        """Hand a batch that `vertex` has emitted to all that read it, and on to theirs."""
        for consumer, port in vertex.consumers:
            if consumer.name not in self._single:
                self._step(consumer, port, batch)
                continue
            for row in range(len(batch)):
                self._step(consumer, port, Batch(batch.table.slice(row, 1), batch.may_be_late))

    def _step(self, vertex: Vertex, port: int, batch: Batch) -> None:
        """A step that fails has had no effect, so a batch with a bad row is cut until it stands alone."""
        assert vertex.operator is not None
        try:
            out = vertex.operator.step(port, batch)
        except DataError as error:
            if error.whole or error.offset is not None or SEQ not in batch.table.column_names:
                raise
            if len(batch) == 1:
                self._on_bad_row(vertex, batch, error)
                return
            half = len(batch) // 2
            for part in (batch.table.slice(0, half), batch.table.slice(half)):
                self._step(vertex, port, Batch(part, batch.may_be_late))
            return
        if out is not None and len(out):
            self.push(vertex, out)

    def advance(self, vertex: Vertex, watermark_us: int) -> None:
        """Event time at the output of `vertex` has reached `watermark_us`; it never falls."""
        if watermark_us <= vertex.watermark and vertex.operator is None:
            return
        vertex.watermark = watermark_us
        for consumer, port in vertex.consumers:
            if watermark_us <= consumer.inputs[port]:
                continue
            consumer.inputs[port] = watermark_us
            assert consumer.operator is not None
            consumer.operator.watermark(port, watermark_us)
            least = min(consumer.inputs)
            if least > consumer.reached:
                consumer.reached = least
                out = consumer.operator.advance(least)
                if out is not None and len(out):
                    self.push(consumer, out)
                emitted = max(consumer.operator.emitted(least), consumer.watermark)
                if emitted > consumer.watermark:
                    self.advance(consumer, emitted)

    def tick(self, now_us: int) -> bool:
        """Processing time is `now_us`; True if an operator emitted something for it."""
        worked = False
        for vertex in self.vertices:
            out = vertex.operator.tick(now_us) if vertex.operator is not None else None
            if out is not None and len(out):
                worked = True
                self.push(vertex, out)
        return worked

    def snapshot(self) -> dict[str, list[int]]:
        """The watermarks of every port, by vertex name; JSON-able."""
        return {v.name: [v.watermark, *v.inputs] for v in self.vertices}

    def restore(self, snapshot: Mapping[str, list[int]]) -> None:
        for vertex in self.vertices:
            if vertex.name in snapshot:
                vertex.watermark, *vertex.inputs = snapshot[vertex.name]
                vertex.reached = min(vertex.inputs, default=vertex.watermark)
                for port, watermark in enumerate(vertex.inputs):
                    if vertex.operator is not None:
                        vertex.operator.watermark(port, watermark)

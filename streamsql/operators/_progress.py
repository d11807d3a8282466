"""How far the inputs of an operator have come in event time, and what a row of one of them is late against."""

from __future__ import annotations

from streamsql.core.batch import MAX_WATERMARK, MIN_WATERMARK
from streamsql.core.node import Node


def origins(node: Node) -> frozenset[Node]:
    """The nodes without inputs below `node`: where its watermark comes from."""
    if not node.inputs:
        return frozenset((node,))
    return frozenset[Node]().union(*(origins(i) for i in node.inputs))


class Progress:
    """The watermark of each port, which the engine tells, again after a restart.

    A row is late against the least of its own `$watermark` and what the other ports have reached, as the
    watermark of an operator is the least of its inputs'. Ports that read the same sources leave each
    other's rows alone: a batch comes to one after the other, and its cut must not show.
    """

    def __init__(self, node: Node) -> None:
        self._us = [MIN_WATERMARK] * len(node.inputs)
        from_ = [origins(i) for i in node.inputs]
        self._others = [[j for j, theirs in enumerate(from_) if j != i and not theirs <= mine]
                        for i, mine in enumerate(from_)]

    def reach(self, port: int, watermark_us: int) -> None:
        self._us[port] = watermark_us

    def limit(self, port: int) -> int:
        """What the other inputs have reached, for a row of `port` that has a `$watermark` of its own."""
        return min((self._us[j] for j in self._others[port]), default=MAX_WATERMARK)

    def least(self) -> int:
        """What all inputs have reached, for a row without one."""
        return min(self._us)

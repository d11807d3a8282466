"""Ends: where the rows of a job leave it, or are looked up outside: opened, flushed, committed and closed together."""

from __future__ import annotations

from dataclasses import replace

from streamsql.core.clock import Clock
from streamsql.core.connector import Sink
from streamsql.core.node import Context, Node, Operator
from streamsql.operators.collect import Collect, Take
from streamsql.operators.insert import Insert
from streamsql.operators.keep import Keep, KeepStep, Shelf
from streamsql.operators.lookup_join import LookupJoin, LookupJoinStep
from streamsql.planner import modules


class Ends:
    """The sinks, kept rows and lookups of one job.

    take   receives the batches of a SELECT; None for INSERT jobs
    shelf  where the rows of a materialized table are read
    """

    def __init__(self, take: Take | None, shelf: Shelf | None) -> None:
        self._take = take
        self._shelf = shelf
        self._sinks: list[Sink] = []
        self._keeps: list[KeepStep] = []
        self._lookups: list[LookupJoinStep] = []

    def operator(self, node: Node, context: Context, job: str) -> Operator:
        """The operator of a node; what it needs of the outside is bound to it. job: the name a sink knows it by."""
        if isinstance(node, Insert):
            module = modules.connector(node.table.raw["connector"])
            sink = module.sink(replace(node.table, job=job))
            self._sinks.append(sink)
            step = node.operator(context)
            step.bind(sink)
            return step
        if isinstance(node, LookupJoin):
            found = modules.connector(node.table().table.raw["connector"])
            looking = node.operator(context)
            looking.bind(found.source, getattr(found, "lookup", None))
            self._lookups.append(looking)
            return looking
        if isinstance(node, Keep):
            assert self._shelf is not None
            keep = node.bound(context, self._shelf, self._take)
            self._keeps.append(keep)
            return keep
        if isinstance(node, Collect):
            assert self._take is not None
            return node.bound(context, self._take)
        return node.operator(context)

    def open(self, epoch: int, clock: Clock) -> None:
        for sink in self._sinks:
            sink.open(epoch, clock)

    def flush(self) -> None:
        """All that was written is outside when this returns, though perhaps not yet to be seen."""
        for sink in self._sinks:
            sink.flush()

    def commit(self, epoch: int) -> None:
        """The epoch is to be seen: in the sinks, and in the materialized table."""
        for sink in self._sinks:
            sink.commit(epoch)
        for keep in self._keeps:
            keep.publish()

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()
        for lookup in self._lookups:
            lookup.close()
        self._sinks = []

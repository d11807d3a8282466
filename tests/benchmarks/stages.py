"""Where a run's time goes: clocks around the engine's stages, while a benchmark runs.

They count the processor's time of the thread that is in the stage; a stage inside another is taken
out of it. What DuckDB and librdkafka do on threads of their own is seen in the total only.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from streamsql.connectors.kafka_reader import KafkaSource
from streamsql.connectors.kafka_writer import KafkaSink
from streamsql.engine.checkpoint import Checkpoint
from streamsql.engine.dataflow import Dataflow
from streamsql.operators._scan_statements import Statements
from streamsql.operators._watermarks import SplitWatermarks
from streamsql.operators.insert import InsertStep

STAGES: dict[str, tuple[tuple[type[Any], str], ...]] = {
    "poll": ((KafkaSource, "poll"),),
    "decode": ((Statements, "rows"),),
    "watermark": ((SplitWatermarks, "before"),),
    "operators": ((Dataflow, "push"), (Dataflow, "advance"), (InsertStep, "rows")),
    "write": ((KafkaSink, "write"), (KafkaSink, "flush")),
    "commit": ((Checkpoint, "save"),),
}


class Clocks:
    """CPU seconds by stage, of all threads."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._running = threading.local()

    def around(self, stage: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            outer = getattr(self._running, "inner_s", None)
            self._running.inner_s = 0.0
            started = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                spent = time.thread_time() - started
                self.seconds[stage] += spent - self._running.inner_s
                self._running.inner_s = None if outer is None else outer + spent
        return timed


@contextmanager
def measured() -> Iterator[Clocks]:
    """Count while the block runs."""
    clocks = Clocks()
    plain = {(owner, name): getattr(owner, name) for places in STAGES.values() for owner, name in places}
    for stage, places in STAGES.items():
        for owner, name in places:
            setattr(owner, name, clocks.around(stage, plain[owner, name]))
    try:
        yield clocks
    finally:
        for (owner, name), method in plain.items():
            setattr(owner, name, method)

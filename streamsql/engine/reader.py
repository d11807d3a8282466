"""Reader: the thread that polls one source, so that reading overlaps computing.

It holds at most `DEPTH` chunks ahead; then it waits, and the client's own queues fill up to their
limits: that is the backpressure towards the broker.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamsql.core.clock import Clock
from streamsql.core.connector import Chunk, Source, SourceStatistics, Split
from streamsql.errors import StreamSQLError

DEPTH = 2
"""Chunks read ahead of the engine."""

POLL_S = 0.05
"""Longest wait of one poll: how long a reader takes to notice that it is to stop."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One poll's outcome, with the source's facts right after it."""

    chunk: Chunk | None
    splits: Sequence[Split]
    ended: frozenset[int]
    finished: bool
    statistics: SourceStatistics


class Reader:
    """Polls a source; `next` gives what it read, in order.

    threaded=False polls inside `next`, on the caller's thread: deterministic, for tests.
    """

    def __init__(self, source: Source, *, threaded: bool, max_rows: int, wake: threading.Event) -> None:
        self.source = source
        self.max_rows = max_rows
        self._wake = wake
        self._threaded = threaded
        self._queue: queue.Queue[Reading | StreamSQLError] = queue.Queue(DEPTH)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="streamsql-reader", daemon=True)
        self._commit: Mapping[str, int] | None = None
        self._finished = False

    def open(self, positions: Mapping[str, int], clock: Clock, keys: Sequence[str]) -> None:
        """Open the source on this thread, so that its errors come here; then start reading."""
        self.source.open(positions, clock, keys)
        if self._threaded:
            self._thread.start()

    def _poll(self, timeout_s: float) -> Reading:
        chunk = self.source.poll(self.max_rows, timeout_s)
        return Reading(
            chunk, self.source.splits(), self.source.ended(), self.source.finished(), self.source.statistics()
        )

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                reading = self._poll(POLL_S)
                self._put(reading)
                commit, self._commit = self._commit, None
                if commit is not None:
                    self.source.commit(commit)
                if reading.finished:
                    return
        except StreamSQLError as error:
            self._put(error)

    def _put(self, item: Reading | StreamSQLError) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=POLL_S)
            except queue.Full:
                continue
            self._wake.set()
            return

    def next(self) -> Reading | None:
        """What was read since, None if nothing is there now. Raises what the source raised."""
        if self._finished:
            return None
        if not self._threaded:
            reading = self._poll(0.0)
            self._finished = reading.finished and reading.chunk is None
            return reading
        try:
            item = self._queue.get_nowait()
        except queue.Empty:
            return None
        if isinstance(item, StreamSQLError):
            raise item
        self._finished = item.finished
        return item

    def commit(self, positions: Mapping[str, int]) -> None:
        """Tell the source, on the thread that owns it, that an epoch is durable."""
        if self._threaded and self._thread.is_alive():
            self._commit = positions
        else:
            self.source.commit(positions)

    def close(self) -> None:
        self._stop.set()
        if self._threaded and self._thread.ident is not None:
            self._thread.join(10.0)
        self.source.close()

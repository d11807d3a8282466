"""The watermarks of a source's splits: of each row, of each split, and of them all.

The rules are DESIGN §5's. A row is judged by the running maximum of its own split just before it,
so where a chunk was cut, and how splits were interleaved, makes no difference.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from streamsql.core.batch import MAX_WATERMARK, MIN_WATERMARK

Int64s = np.ndarray[tuple[int], np.dtype[np.int64]]
Int32s = np.ndarray[tuple[int], np.dtype[np.int32]]


class SplitWatermarks:
    """Watermarks in µs of event time, one a split; `us` is the source's as it was last told."""

    def __init__(self) -> None:
        self.us = MIN_WATERMARK
        self._finished = False
        self._ids: list[str] = []
        self._own: list[int] = []
        self._idle: list[bool] = []
        self._started: list[bool] = []
        self._active_s: list[float] = []
        self._ended: frozenset[int] = frozenset()
        self._restored: dict[str, Any] = {}

    def observe(self, ids: Sequence[str], ended: Collection[int], finished: bool, now_s: float) -> None:
        """The splits that there are now, and which of them gave all they have."""
        for known in ids[len(self._ids):]:
            own, idle = self._restored.pop(known, (None, False))
            self._ids.append(known)
            self._own.append(MIN_WATERMARK if own is None else own)
            self._idle.append(idle)
            self._started.append(own is not None)
            self._active_s.append(now_s)
        self._ended, self._finished = frozenset(ended), finished

    def before(self, split: Int32s, watermark: Int64s, now_s: float) -> Int64s:
        """The watermark of each row's split just before it; then that of the split moves on.

        watermark: of each row, MIN_WATERMARK for one that moves nothing. Rows of a split are in
        offset order; splits may be mixed.
        """
        counts = np.bincount(split)
        out = np.empty(len(split), np.int64)
        for n in np.flatnonzero(counts).tolist():
            of_split: Any = slice(None) if counts[n] == len(split) else np.flatnonzero(split == n)
            self._wake(n, now_s)
            running = np.empty(int(counts[n]) + 1, np.int64)
            running[0] = self._own[n]
            running[1:] = watermark[of_split]
            np.maximum.accumulate(running, out=running)
            out[of_split] = running[:-1]
            self._own[n] = int(running[-1])
        return out

    def _wake(self, n: int, now_s: float) -> None:
        """A split that is new, or back from idleness, is measured by what was already emitted as
        well; as long as it lags behind that, the minimum stands still, so this once is enough."""
        if self._idle[n] or not self._started[n]:
            self._own[n] = max(self._own[n], self.us)
        self._idle[n], self._started[n], self._active_s[n] = False, True, now_s

    def idle(self, now_s: float, timeout_s: float) -> list[str]:
        """Mark the splits that were silent for too long; the ids of those that were not idle before."""
        found = [n for n, since in enumerate(self._active_s)
                 if now_s - since >= timeout_s and not self._idle[n] and n not in self._ended]
        for n in found:
            self._idle[n] = True
        return [self._ids[n] for n in found]

    def advance(self) -> int:
        """The watermark of the source now; never less than it was told before.

        Only when asked: a source may say that a split has ended together with its last rows, which
        must not be measured by that end.
        """
        if self._finished or (self._ids and len(self._ended) == len(self._ids)):
            self.us = MAX_WATERMARK
        active = [own for n, own in enumerate(self._own) if not self._idle[n] and n not in self._ended]
        if active:  # all idle: time stands still
            self.us = max(self.us, min(active))
        return self.us

    def snapshot(self) -> dict[str, Any]:
        """JSON-able: the source's watermark, and of each split that had rows its own and if it is idle."""
        own = {i: [self._own[n] if self._started[n] else None, self._idle[n]]
               for n, i in enumerate(self._ids) if self._started[n] or self._idle[n]}
        return {"watermark": self.us, "splits": {**self._restored, **own}}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Before the first `observe`."""
        self.us = int(snapshot["watermark"])
        self._restored = {i: tuple(state) for i, state in snapshot["splits"].items()}

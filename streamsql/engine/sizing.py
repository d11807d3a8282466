"""BatchSize: how many rows the next batch may have."""

from __future__ import annotations

LEAST, MOST = 1_000, 50_000
"""Bounds in rows; below 10 000 the fixed cost of a statement dominates, above 50 000 caches do."""

TARGET_S = 0.25
"""A full batch that takes longer than this makes the next one smaller."""


class BatchSize:
    """Adapts to load: doubled while full batches are quick, halved when one is slow.

    An idle source gives small batches by itself: a poll returns what there is.
    """

    def __init__(self, rows: int = 20_000) -> None:
        self.rows = rows

    def took(self, rows: int, seconds: float) -> None:
        """A batch of `rows` rows took `seconds` from decode to the last operator."""
        if seconds > TARGET_S:
            self.rows = max(LEAST, min(self.rows, rows) // 2)
        elif rows >= self.rows:
            self.rows = min(MOST, self.rows * 2)

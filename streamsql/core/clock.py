"""The clock is injected: one class reads the wall clock, tests turn one by hand."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the engine asks for the time. Called once per batch, never per row."""

    def now_us(self) -> int:
        """UTC microseconds since 1970-01-01."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never go back, for idle timeouts and commit intervals."""
        ...


class SystemClock:
    """The wall clock; the only place that reads it."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, now_us: int = 0) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us

    def monotonic_s(self) -> float:
        return self._now_us / 1e6

    def advance_us(self, by_us: int) -> None:
        self._now_us += by_us

    def set_us(self, now_us: int) -> None:
        self._now_us = now_us

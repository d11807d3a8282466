"""SIGINT and SIGTERM while a job runs: the first lets it finish its epoch, the second does not wait."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

INTERRUPTED = 130
"""Exit code of a process that a signal ended."""


class Interrupts:
    """Takes SIGINT and SIGTERM over, for as long as the `with` block lasts.

    While something is watched the first signal calls its `stop`, on a thread of its own since the
    main thread may hold any lock just then; nothing is interrupted half way. With nothing watched
    a signal raises KeyboardInterrupt. `again` is called by the second signal: the command line
    ends the process at once, the shell goes back to its prompt.
    """

    def __init__(self, again: Callable[[], None]) -> None:
        self._again = again
        self._stop: Callable[[], None] | None = None
        self._previous: dict[signal.Signals, Any] = {}
        self.interrupted = False

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def watching(self, stop: Callable[[], None]) -> Iterator[None]:
        """A signal inside this block calls `stop`, which must make the block end."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        again, self.interrupted = self.interrupted, True
        if again:
            self._again()
        elif self._stop is None:
            raise KeyboardInterrupt
        else:
            threading.Thread(target=self._stop, name="streamsql-stop", daemon=True).start()


def end_at_once() -> None:
    """End the process without another step; a terminal gets its cursor back."""
    for descriptor in (1, 2):
        if os.isatty(descriptor):
            os.write(descriptor, b"\x1b[?25h\n")
            break
    os._exit(INTERRUPTED)

"""Hashes in their order, found by where their upper bits say that they lie.

A binary search in a million of them is twenty places of memory a key; hashes are spread evenly, so
that a table of the first place of each range of them leads beside what is sought (interpolation
search; Perl, Itai and Avni, "Interpolation search", 1978).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

_LEAST = 1 << 15
"""So few are searched by halves: they are in the processor's cache."""
_CROWDED = 16
"""A range with more than so many, as of a key that has many rows, is searched by halves."""


class SortedHashes:
    """Ascending 64-bit hashes, any of them several times."""

    def __init__(self, hashes: UInt64s) -> None:
        self.hashes = hashes
        self._starts: npt.NDArray[np.int32] | None = None
        if len(hashes) >= _LEAST:
            bits = len(hashes).bit_length() - 2
            self._shift = np.uint64(64 - bits)
            counts = np.bincount((hashes >> self._shift).astype(np.int64), minlength=1 << bits)
            self._starts = np.zeros((1 << bits) + 1, np.int32)
            np.cumsum(counts, out=self._starts[1:])

    def __len__(self) -> int:
        return len(self.hashes)

    def find(self, wanted: UInt64s) -> tuple[Int64s, Int64s]:
        """Of those of the ascending `wanted` that are here: where the first lies, and how many there are."""
        known = self.hashes
        low = self._first(wanted)
        hit = low < len(known)
        hit[hit] = known[low[hit]] == wanted[hit]
        low, wanted = low[hit], wanted[hit]
        counts = np.ones(len(low), np.int64)
        last = np.minimum(low + 1, len(known) - 1)
        more = np.flatnonzero((last > low) & (known[last] == wanted))
        counts[more] = np.searchsorted(known, wanted[more], side="right") - low[more]
        return low, counts

    def _first(self, wanted: UInt64s) -> Int64s:
        """The first places whose hashes are not less."""
        known = self.hashes
        if self._starts is None:
            return np.searchsorted(known, wanted)
        ranges = (wanted >> self._shift).astype(np.int64)
        low, high = self._starts[ranges].astype(np.int64), self._starts[ranges + 1].astype(np.int64)
        crowded = np.flatnonzero(high - low > _CROWDED)
        low[crowded] = high[crowded] = np.searchsorted(known, wanted[crowded])
        on = np.flatnonzero(low < high)
        while len(on):
            on = on[known[low[on]] < wanted[on]]
            low[on] += 1
            on = on[low[on] < high[on]]
        return low

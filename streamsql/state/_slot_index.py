"""Where a hash leads: an open-addressing index from 64-bit hashes to row numbers, a batch at a time.

Linear probing by the upper bits of the hash (Knuth, The Art of Computer Programming 3, 6.4), each
round of probes one vector operation. At most half of the slots are taken, so that a lookup takes
about two rounds of most keys and few of the rest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamsql.core.arrays import distinct, is_distinct

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

_EMPTY, _DELETED = -1, -2
_LEAST_BITS = 10


class SlotIndex:
    """Hashes to row numbers; rows of one hash are few (two keys that collide), never many."""

    def __init__(self, keys: UInt64s | None = None, rows: Int64s | None = None) -> None:
        self._build(np.empty(0, np.uint64) if keys is None else keys, np.empty(0, np.int64) if rows is None else rows)

    def _build(self, keys: UInt64s, rows: Int64s) -> None:
        """Lay out all entries anew, in one pass over them in the order of their hashes."""
        self._bits = max(_LEAST_BITS, int(4 * len(keys)).bit_length())
        self._shift = np.uint64(64 - self._bits)
        size = 1 << self._bits
        order = np.argsort(keys)
        keys, rows = keys[order], rows[order]
        counted = np.arange(len(keys))
        home = (keys >> self._shift).astype(np.int64)
        at = np.maximum.accumulate(home - counted) + counted if len(keys) else home
        self._entries = np.full((size, 2), _EMPTY, np.int64)
        self._keys, self._rows = self._entries[:, 0].view(np.uint64), self._entries[:, 1]
        self._several = bool((keys[1:] == keys[:-1]).any())
        inside = at < size
        self._keys[at[inside]], self._rows[at[inside]] = keys[inside], rows[inside]
        self._taken = int(inside.sum())
        if not inside.all():
            self._place(keys[~inside], rows[~inside])

    def nbytes(self) -> int:
        return self._entries.nbytes

    def find(self, keys: UInt64s) -> Int64s:
        """The rows of these hashes, each once, ascending."""
        if self.one_each:
            rows = self.lookup(keys)
            return distinct(rows[rows >= 0])
        found = []
        at = (keys >> self._shift).astype(np.int64)
        mask = len(self._rows) - 1
        while len(keys):
            rows = self._rows[at]
            hit = (self._keys[at] == keys) & (rows >= 0)
            found.append(rows[hit])
            on = rows != _EMPTY
            keys, at = keys[on], (at[on] + 1) & mask
        return distinct(np.concatenate(found)) if found else np.empty(0, np.int64)

    @property
    def one_each(self) -> bool:
        """No hash leads to two rows."""
        return not self._several

    def lookup(self, keys: UInt64s) -> Int64s:
        """The row of each of these hashes in turn, negative for none; only where a hash has one row."""
        wanted = keys.view(np.int64)
        at = (keys >> self._shift).astype(np.int64)
        entries = self._entries.take(at, axis=0)
        found = entries[:, 1].copy()
        left = np.flatnonzero((entries[:, 0] != wanted) & (found != _EMPTY))  # the key of a deleted entry may stand
        mask = len(self._rows) - 1
        while len(left):
            at[left] = (at[left] + 1) & mask
            entries = self._entries.take(at[left], axis=0)
            found[left] = entries[:, 1]
            left = left[(entries[:, 0] != wanted[left]) & (entries[:, 1] != _EMPTY)]
        return found

    def add(self, keys: UInt64s, rows: Int64s) -> None:
        """Enter rows whose numbers are not in the index."""
        if not self._several:
            self._several = not is_distinct(keys) or bool((self.lookup(keys) >= 0).any())
        if 2 * (self._taken + len(keys)) > len(self._rows):
            kept = self._rows >= 0
            self._build(np.concatenate((self._keys[kept], keys)), np.concatenate((self._rows[kept], rows)))
        else:
            self._place(keys, rows)

    def _place(self, keys: UInt64s, rows: Int64s) -> None:
        at = (keys >> self._shift).astype(np.int64)
        mask = len(self._rows) - 1
        while len(keys):
            free = np.flatnonzero(self._rows[at] < 0)
            spots = at[free]
            self._taken += int((self._rows[spots] == _EMPTY).sum())
            self._rows[spots] = rows[free]  # of several that want a spot one gets it, the others go on
            won = free[self._rows[spots] == rows[free]]
            self._taken -= len(free) - len(won)
            self._keys[at[won]] = keys[won]
            left = np.ones(len(keys), np.bool_)
            left[won] = False
            keys, rows, at = keys[left], rows[left], (at[left] + 1) & mask

    def remove(self, keys: UInt64s, rows: Int64s) -> None:
        """Take out rows by number; `keys` are their hashes."""
        at = (keys >> self._shift).astype(np.int64)
        mask = len(self._rows) - 1
        while len(rows):
            here = self._rows[at]
            self._rows[at[here == rows]] = _DELETED
            on = (here != rows) & (here != _EMPTY)
            rows, at = rows[on], (at[on] + 1) & mask

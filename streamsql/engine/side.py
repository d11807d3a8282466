"""Side outputs: the records that are not in a result, kept by table and reason (law 5).

They are bounded: the newest rows of each side table stay, all are counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from streamsql.core.system import SIDE_SCHEMA

_IDENTITY = ("topic", "partition", "offset", "reason")
"""What makes two rows the same: one record, set aside for one reason, by however many queries."""


@dataclass(slots=True)
class _Kept:
    """The rows of one side table, in pieces: most come one by one."""

    pieces: list[pa.Table] = field(default_factory=list)
    known: set[tuple[object, ...]] = field(default_factory=set)

    def add(self, rows: pa.Table) -> None:
        keys = _keys(rows)
        fresh = [n for n, key in enumerate(keys) if key not in self.known]
        self.known.update(keys)
        if fresh:
            self.pieces.append(rows if len(fresh) == len(keys) else rows.take(pa.array(fresh)))

    def trim(self, max_rows: int) -> pa.Table:
        rows = pa.concat_tables(self.pieces).combine_chunks() if self.pieces else SIDE_SCHEMA.arrow().empty_table()
        rows = rows.slice(max(0, rows.num_rows - max_rows))
        self.pieces, self.known = [rows], set(_keys(rows))
        return rows


def _keys(rows: pa.Table) -> list[tuple[object, ...]]:
    return list(zip(*(rows[name].to_pylist() for name in _IDENTITY), strict=True))


class SideTables:
    """`t$late` and `t$errors` of every table of a session, newest rows last."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._most: dict[tuple[str, str], int] = {}
        self._dirty: set[tuple[str, str]] = set()
        self.seen: set[str] = set()

    def add(self, table: str, side: str, rows: pa.Table, max_rows: int) -> None:
        """Keep `rows` (SIDE_SCHEMA), each once; the oldest beyond `max_rows` go."""
        key = (table, side)
        kept = self._kept.setdefault(key, _Kept())
        kept.add(rows)
        self._most[key] = max_rows
        self._dirty.add(key)
        if len(kept.known) > 2 * max_rows:
            kept.trim(max_rows)

    def rows(self, table: str, side: str) -> pa.Table:
        """What is kept, in the order in which it came."""
        key = (table, side)
        if key not in self._kept:
            return SIDE_SCHEMA.arrow().empty_table()
        return self._kept[key].trim(self._most[key])

    def changed(self) -> dict[tuple[str, str], pa.Table]:
        """The side tables that changed since the last call, for the commit."""
        changed = {key: self.rows(*key) for key in self._dirty}
        self._dirty = set()
        return changed

    def restore(self, table: str, side: str, rows: pa.Table) -> None:
        """Take up what an earlier run had kept; rows that are here already stay."""
        self.add(table, side, rows, max(rows.num_rows, self._most.get((table, side), 0)))
        self._dirty.discard((table, side))

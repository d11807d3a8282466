"""Side outputs: the records that are not in a result, kept by table and reason (law 5).

They are bounded: the newest rows of each side table stay, all are counted.
"""

from __future__ import annotations

import pyarrow as pa

from streamsql.core.system import SIDE_SCHEMA


class SideTables:
    """`t$late` and `t$errors` of every table of a session, newest rows last."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], pa.Table] = {}
        self._dirty: set[tuple[str, str]] = set()
        self.seen: set[str] = set()

    def add(self, table: str, side: str, rows: pa.Table, max_rows: int) -> None:
        """Keep `rows` (SIDE_SCHEMA), each once however many queries set it aside; the oldest beyond
        `max_rows` go."""
        key = (table, side)
        known = self._rows.get(key)
        joined = rows if known is None else _distinct(pa.concat_tables([known, rows]))
        self._rows[key] = joined.slice(max(0, joined.num_rows - max_rows)).combine_chunks()
        self._dirty.add(key)

    def rows(self, table: str, side: str) -> pa.Table:
        return self._rows.get((table, side), SIDE_SCHEMA.arrow().empty_table())

    def changed(self) -> dict[tuple[str, str], pa.Table]:
        """The side tables that changed since the last call, for the commit."""
        changed = {key: self._rows[key] for key in self._dirty}
        self._dirty = set()
        return changed

    def restore(self, table: str, side: str, rows: pa.Table) -> None:
        self._rows[(table, side)] = rows


def _distinct(rows: pa.Table) -> pa.Table:
    """Each row once, where it was first."""
    return rows.group_by(rows.column_names, use_threads=False).aggregate([]).cast(rows.schema)

"""A batch's rows with what a table of slots has of their keys: one row beside each, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streamsql.core.node import Database, SlotTable, Statement
from streamsql.core.schema import quote
from streamsql.state.table import KEY, ROW

_SAME = "$same"


class Beside:
    """A SELECT over `d`, rows that each have a key of their own, and `f`, the table's row of that key or NULLs.

    A hash leads to one row of the table, so the rows are laid side by side and no join has to find them
    again. Where the keys of two that lie together differ, or two rows of the table have one hash, the
    same SELECT runs over the join: it is what the quick way has to equal.

    shape    the schema of `d`
    keys     the quoted columns that make up a key, beside `$key`
    columns  of the rows put together, over `d`, `f` and what `more` joins to them; the statement's own
             text is what `over` makes of that SELECT
    """

    def __init__(self, database: Database, name: str, shape: pa.Schema, state: SlotTable, keys: Sequence[str],
                 columns: Sequence[str], *, more: str = "", over: Callable[[str], str] = str) -> None:
        self._database, self._state = database, state
        self._rows = database.over(f"{name}$delta", shape)
        self._found = database.over(f"{name}$found", state.found_schema)
        d, f = (f"{quote(given.name)} {alias}" for given, alias in ((self._rows, "d"), (self._found, "f")))
        equal = " AND ".join(f"d.{k} IS NOT DISTINCT FROM f.{k}" for k in keys) or "TRUE"
        listed, key = ", ".join(columns), quote(KEY)
        same = f'(f.{quote(ROW)} IS NULL OR ({equal})) AS "{_SAME}"'
        self._quick = database.compute(over(f"SELECT {listed}, {same} FROM {d} POSITIONAL JOIN {f}{more}"))
        self._plain: Statement | None = None
        self._plain_sql = over(f'SELECT {listed}, TRUE AS "{_SAME}" FROM {d} '
                               f"LEFT JOIN {f} ON d.{key} = f.{key} AND {equal}{more}")
        self._beside = False
        self.schema = _without_same(self._quick.run()).schema

    def find(self, rows: pa.Table) -> pa.Table:
        """Take the batch's rows; the table's rows of their keys, and maybe of others with the same hash."""
        keys = rows.column(KEY)
        laid = self._state.beside(keys)
        self._beside = laid is not None
        if laid is None:
            found = self._state.find(keys)
        else:
            order, found = laid
            rows = rows.take(pa.array(order))
        self._rows.set(rows)
        self._found.set(found)
        return found

    def run(self) -> pa.Table:
        if self._beside:
            laid = self._quick.run()
            if pc.all(laid.column(_SAME)).as_py() is not False:
                return _without_same(laid)
        if self._plain is None:
            self._plain = self._database.compute(self._plain_sql)
        return _without_same(self._plain.run())


def _without_same(rows: pa.Table) -> Any:
    return rows.drop_columns([_SAME])

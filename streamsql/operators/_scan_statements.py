"""The running statements of a scan: which one a chunk needs, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from streamsql.core.batch import DIFF
from streamsql.core.connector import KEY, VALUE, Chunk
from streamsql.core.format import Decoding
from streamsql.core.node import Context, Statement
from streamsql.errors import DataError
from streamsql.operators import _scan_sql
from streamsql.operators._scan_sql import ScanSQL
from streamsql.operators._watermarks import Int64s

if TYPE_CHECKING:
    from streamsql.operators.scan import Scan

GUARDED_CHUNKS = 64
"""Chunks for which a scan stays with the slower statement after one that needed it."""

_EXPLAINED_ROWS = 10
"""Failed expressions of a chunk that are run once more, alone, to hear why."""


@dataclass(slots=True)
class Refusals:
    """Rows of a chunk that are refused: position → (kind, reason, detail). Kinds are counted."""

    rows: dict[int, tuple[str, str, str | None]] = field(default_factory=dict)

    def add(self, at: Sequence[int], kind: str, reasons: Sequence[str], detail: str | None = None) -> None:
        """The first reason of a row stands."""
        for position, reason in zip(at, reasons, strict=True):
            self.rows.setdefault(position, (kind, reason, detail))


class Statements:
    """The prepared statements of a scan, and which of them the records lately need."""

    def __init__(self, node: Scan, context: Context) -> None:
        self._node = node
        self._database = context.database
        self._name = context.name
        self._sql = ScanSQL(node)
        self._prepared: dict[tuple[str, pa.Schema], tuple[Any, Statement]] = {}
        self._level = 0
        self._calm = 0
        self.skips = any(p and p.decoding.skip for p in (node.value, node.key))

    def rows(self, chunk: Chunk, refusals: Refusals) -> tuple[pa.Table, Int64s | None]:
        """The decoded chunk, with the records that are no rows in `refusals`.

        It is row for row; or beside it stands of each row the number of its record.
        """
        raw = self._raw(chunk)
        out = self._run_from(self._level, raw)
        self._settle()
        at = out[_scan_sql.AT].to_numpy() if self._node.expands else None
        suspect = np.flatnonzero(out[_scan_sql.SUSPECT].to_numpy())
        if at is not None:
            suspect = np.unique(at[suspect])
        if len(suspect):
            given = self._run("reasons", self._with_bytes(raw, chunk).take(pa.array(suspect)))
            records = given[_scan_sql.AT].to_numpy() if at is not None else suspect
            bad = np.flatnonzero(given["reason"].is_valid().to_numpy())
            refusals.add(records[bad].tolist(), "undecodable", given["reason"].take(pa.array(bad)).to_pylist())
        if _scan_sql.RAISED in out.column_names:
            self._refuse_raised(raw, out[_scan_sql.RAISED], at, refusals)
        return out, at

    def _run_from(self, level: int, raw: pa.Table) -> pa.Table:
        """Try the statements from the fastest that is likely to do, each slower and more patient."""
        for n, name in enumerate(("fast", "guarded")[level:], level):
            try:
                return self._run(name, raw)
            except DataError:
                self._level, self._calm = n + 1, GUARDED_CHUNKS
        return self._halved(raw)

    def _halved(self, raw: pa.Table) -> pa.Table:
        """By `careful`; where even that raises, by halves, until the row at fault stands alone."""
        try:
            return self._run("careful", raw)
        except DataError:
            if len(raw) == 1:
                return self._blank(raw)
        half = len(raw) // 2
        return pa.concat_tables([self._halved(raw.slice(0, half)), self._halved(raw.slice(half))])

    def _blank(self, raw: pa.Table) -> pa.Table:
        """What stands for one row that raises whatever is tried: NULLs, and that it raised."""
        shape = self._run("careful", raw.slice(0, 0)).schema
        known: dict[str, list[Any]] = {_scan_sql.SUSPECT: [False], _scan_sql.SKIP: [False], _scan_sql.RAISED: [""]}
        if self._node.expands:
            known[_scan_sql.AT] = raw[_scan_sql.AT].to_pylist()
        return pa.table([known.get(f.name, [None]) for f in shape], schema=shape)

    def _settle(self) -> None:
        if self._level:
            self._calm -= 1
            if self._calm <= 0:
                self._level = 0

    def _refuse_raised(self, raw: pa.Table, raised: pa.ChunkedArray, records: Int64s | None,
                       refusals: Refusals) -> None:
        at = np.flatnonzero(raised.is_valid().to_numpy())
        names = raised.take(pa.array(at)).to_pylist()
        where = at if records is None else records[at]
        for n, (position, name) in enumerate(zip(where.tolist(), names, strict=True)):
            detail = self._complaint(raw.slice(position, 1)) if n < _EXPLAINED_ROWS else None
            what = f'column "{name}"' if name else "a column"
            refusals.add([position], "computed", [f"{what} cannot be computed"], detail)

    def _complaint(self, row: pa.Table) -> str | None:
        try:
            self._run("guarded", row)
        except DataError as error:
            return f"{error.message}\n{error.detail}" if error.detail else error.message
        return None

    def _run(self, name: str, raw: pa.Table) -> pa.Table:
        key = (name, raw.schema)
        if key not in self._prepared:
            source = self._database.over(f"{self._name}$in{len(self._prepared)}", raw.schema)
            sql: str = getattr(self._sql, name)(source.name)
            self._prepared[key] = source, self._database.compute(sql)
        source, statement = self._prepared[key]
        source.set(raw)
        return statement.run()

    def _raw(self, chunk: Chunk) -> pa.Table:
        """The chunk's table as the statements see it: encoded parts under their own names, as the
        format wants them."""
        table, node = chunk.table, self._node
        columns: dict[str, Any] = {}
        for name, part in ((VALUE, node.value), (KEY, node.key)):
            if part is not None:
                columns[f"${name}"] = _raw_column(table[name], part.decoding)
        names = [f"$meta.{m.key}" for m in node.metadata]
        if not node.table.encoded:
            names += node.table.schema.names
        columns |= {name: table[name] for name in names}
        if node.expands:
            columns[_scan_sql.AT] = pa.array(np.arange(len(table)))
        if not node.append_only and not node.table.encoded:
            ones = pa.array(np.ones(len(table), np.int32))
            columns[DIFF] = table[DIFF] if DIFF in table.column_names else ones
        if not columns:
            columns["$offset"] = pa.array(chunk.offset)
        return pa.table(columns)

    def _with_bytes(self, raw: pa.Table, chunk: Chunk) -> pa.Table:
        for name, part in ((VALUE, self._node.value), (KEY, self._node.key)):
            if part is not None:
                raw = raw.append_column(f"${name}$bytes", chunk.table[name])
        return raw


def _raw_column(column: pa.ChunkedArray, decoding: Decoding) -> pa.ChunkedArray:
    """A BINARY column as its format wants it; the view as text checks and copies nothing."""
    if decoding.arrow is not None:
        return decoding.arrow(column)
    if not decoding.text:
        return column
    return pa.chunked_array([c.view(pa.string()) for c in column.chunks], pa.string())

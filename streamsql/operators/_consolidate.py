"""Consolidation: of the changes of one step, what is left when those that undo each other are gone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from streamsql.core.batch import DIFF
from streamsql.core.node import Database
from streamsql.core.schema import quote


class Consolidation:
    """The net changes of rows of one schema, which has `$diff`: − before +, each in order of arrival.

    A row that leaves and comes back unchanged is not among them; one that comes n times is there n times.
    """

    def __init__(self, database: Database, name: str, schema: pa.Schema) -> None:
        self._schema = schema
        self._input = database.over(f"{name}$net", schema)
        columns = [quote(c) for c in schema.names if c != DIFF]
        listed, diff = ", ".join(columns), quote(DIFF)
        grouped = f" GROUP BY {listed}" if columns else ""
        total = f"CAST(sum({diff}) AS BIGINT)"
        self._statement = database.compute(
            f"SELECT {', '.join([*columns, f'{total} AS {diff}'])} FROM "
            f"(SELECT *, row_number() OVER () AS \"$at\" FROM {quote(self._input.name)}){grouped} "
            f'HAVING sum({diff}) <> 0 ORDER BY sum({diff}) > 0, min("$at")'
        )

    def net(self, rows: pa.Table) -> pa.Table:
        """`rows` themselves where none can undo another."""
        diffs = rows.column(DIFF).to_numpy()
        if not len(diffs) or diffs.min() > 0 or diffs.max() < 0:
            return rows
        self._input.set(rows)
        left = self._statement.run()
        counts = left.column(DIFF).to_numpy()
        if len(counts) and np.abs(counts).max() > 1:
            left = left.take(pa.array(np.repeat(np.arange(len(counts)), np.abs(counts))))
        at = left.column_names.index(DIFF)
        signs = pa.array(np.sign(left.column(DIFF).to_numpy()).astype(np.int32))
        return left.set_column(at, DIFF, signs).select(self._schema.names).cast(self._schema)

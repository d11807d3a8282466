"""Changes applied: a changelog becomes the rows that it leaves."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from streamsql.core.batch import DIFF
from streamsql.core.changes import values


def applied(batches: Sequence[pa.Table], shape: pa.Schema) -> pa.Table:
    """The rows left after all changes, in the order in which they last came.

    Rows are compared by value. For results that a person reads, not for the hot path.
    """
    left: dict[str, list[object]] = {}
    for batch in batches:
        diffs = batch[DIFF].to_pylist()
        columns = [values(batch, name) for name in shape.names]
        rows = [dict(zip(shape.names, row)) for row in zip(*columns)] if columns else [{}] * batch.num_rows
        for diff, row in zip(diffs, rows, strict=True):
            copies = left.setdefault(repr(row), [])
            if diff > 0:
                copies.extend([row] * diff)
            else:
                del copies[:-diff]
            if not copies:
                del left[repr(row)]
    return pa.Table.from_pylist([row for copies in left.values() for row in copies], schema=shape)

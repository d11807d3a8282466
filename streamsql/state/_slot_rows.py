"""Rows of values of fixed width, one behind the other: what a table of slots changes in place.

A row is read and written whole, so that a key costs one place of memory and not one a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64s = npt.NDArray[np.int64]

_DTYPES = {1: "u1", 8: "u1", 16: "u2", 32: "u4", 64: "u8", 128: "V16"}


def fixed(kind: pa.DataType) -> bool:
    """Values of the type have one width, and a place in a row."""
    if pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or pa.types.is_null(kind):
        return False
    try:
        return kind.bit_width in _DTYPES
    except ValueError:  # of a type whose values have no one width
        return False


class SlotRows:
    """Columns by name over rows that are numbered; each has a byte beside it that says whether it is NULL."""

    def __init__(self, kinds: Mapping[str, pa.DataType]) -> None:
        self.kinds = dict(kinds)
        values = sorted(((_DTYPES[kind.bit_width], f"v{i}") for i, kind in enumerate(self.kinds.values())),
                        key=lambda field: -np.dtype(field[0]).itemsize)
        nulls = [(np.bool_, f"n{i}") for i in range(len(self.kinds))]
        self._dtype = np.dtype([(name, kind) for kind, name in [*values, *nulls]], align=True)
        self._raw = np.dtype((np.void, max(1, self._dtype.itemsize)))
        self._numbers = {name: i for i, name in enumerate(self.kinds)}
        self._has_nulls = [False] * len(self.kinds)
        self._rows: npt.NDArray[Any] = np.zeros(0, self._raw)

    def resize(self, size: int) -> None:
        made = np.zeros(size, self._raw)
        made[:min(size, len(self._rows))] = self._rows[:size]
        self._rows = made

    def put(self, rows: Int64s, columns: Mapping[str, pa.ChunkedArray]) -> None:
        """Write these rows; `columns` has all."""
        block = np.zeros(len(rows), self._dtype)
        for i, (name, kind) in enumerate(self.kinds.items()):
            column = columns[name].cast(kind).combine_chunks()
            if column.null_count:
                self._has_nulls[i] = True
                block[f"n{i}"] = column.is_null().to_numpy(zero_copy_only=False)
            plain = column.cast(pa.uint8()) if pa.types.is_boolean(kind) else column
            buffer = plain.buffers()[1]
            if buffer is not None:
                end = plain.offset + len(plain)
                field = block[f"v{i}"]
                field[:] = np.frombuffer(buffer, field.dtype, end)[plain.offset:]
        self._rows[rows] = block.view(self._raw)

    def take(self, rows: Int64s) -> dict[str, pa.Array]:
        """The columns of these rows."""
        block = self._rows.take(rows).view(self._dtype)
        return {name: self._column(block, i, kind) for i, (name, kind) in enumerate(self.kinds.items())}

    def column(self, name: str, rows: Int64s) -> npt.NDArray[Any]:
        """The values of one column, NULL or not."""
        field: npt.NDArray[Any] = self._rows.view(self._dtype)[f"v{self._numbers[name]}"]
        return field[rows]

    def _column(self, block: npt.NDArray[Any], i: int, kind: pa.DataType) -> pa.Array:
        data = pa.py_buffer(np.ascontiguousarray(block[f"v{i}"]))
        valid = None
        if self._has_nulls[i]:
            valid = pa.py_buffer(np.packbits(~block[f"n{i}"], bitorder="little"))
        if pa.types.is_boolean(kind):
            return pa.Array.from_buffers(pa.uint8(), len(block), [valid, data]).cast(pa.bool_())
        return pa.Array.from_buffers(kind, len(block), [valid, data])

"""Kinds of changes, as Flink names them: +I, -U and +U, -D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from streamsql.core.batch import DIFF
from streamsql.errors import DataError


def values(batch: pa.Table, name: str) -> list[Any]:
    """A column as values of Python. Raises DataError for what Python has no value of."""
    try:
        given: list[Any] = batch[name].to_pylist()
    except (OverflowError, ValueError) as error:
        raise DataError(f'"{name}" holds a time that Python has no value for',
                        detail=str(error), hint="Select it as text: CAST(… AS STRING).") from error
    return given


def kinds(rows: pa.Table, key: Sequence[str] | None) -> pa.Array:
    """The kind of each change of a batch.

    key: columns that name at most one row at a time, () for a result of one row: -old and the +new that
    follows it are -U and +U. None: not known, so that they are -D and +I.
    """
    if DIFF not in rows.column_names:
        return pa.array(["+I"] * rows.num_rows, pa.string())
    comes = rows[DIFF].to_numpy() > 0
    updates = np.zeros(len(comes), bool)
    groups = None if key is None or comes.all() else _groups(rows, key)
    if groups is not None:
        order = np.argsort(groups, kind="stable")
        pairs = (groups[order][1:] == groups[order][:-1]) & comes[order][1:] & ~comes[order][:-1]
        at = np.flatnonzero(pairs)
        updates[order[at]] = updates[order[at + 1]] = True
    names = pa.array(["-D", "+I", "-U", "+U"], pa.string())
    return names.take(pa.array(comes.astype(np.int8) + 2 * updates))


def _groups(rows: pa.Table, key: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
    """Rows of one key have one number; None where the key has a type that cannot be compared."""
    groups = np.zeros(rows.num_rows, np.int64)
    for name in key:
        if pa.types.is_nested(rows[name].type):
            return None
        codes = rows[name].combine_chunks().dictionary_encode("encode").indices.to_numpy()
        _, groups = np.unique(np.stack([groups, codes.astype(np.int64)]), axis=1, return_inverse=True)
        groups = groups.reshape(-1)
    return groups

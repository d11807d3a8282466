"""NumPy arrays of row numbers and hashes: what every table of state does with them."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", bound=np.generic)


def distinct(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Each value once, ascending. np.unique looks them up in a hash table, at ten times the cost."""
    ordered = np.sort(values)
    if len(ordered) < 2:
        return ordered
    first = np.empty(len(ordered), np.bool_)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered if first.all() else ordered[first]


def is_distinct(values: npt.NDArray[Any]) -> bool:
    """No value is there twice."""
    return len(distinct(values)) == len(values)

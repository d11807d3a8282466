"""The rows over which the examples of aggregate functions are true, in order of arrival; the last is all NULLs."""

from __future__ import annotations

import re

TYPES = {"v": "INT", "w": "INT", "s": "STRING", "b": "BOOLEAN"}
ROWS = (("1", "3", "'a'", "TRUE"), ("2", "5", "'b'", "FALSE"), ("4", "9", "'b'", "TRUE"), ("9", "19", "'c'", "TRUE"),
        tuple(f"CAST(NULL AS {kind})" for kind in TYPES.values()))
"""By column of TYPES, as they are written in SQL."""


def over_sample(expression: str) -> str:
    """A query of one row, TRUE: the expression over those columns of the sample that it names."""
    named = [n for n, c in enumerate(TYPES) if re.search(rf"\b{c}\b", expression)] or [0]
    rows = ", ".join(f"({', '.join(row[n] for n in named)})" for row in ROWS)
    return f"SELECT {expression} FROM (VALUES {rows}) AS t({', '.join(list(TYPES)[n] for n in named)})"

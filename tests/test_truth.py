"""Streaming cases recorded from Apache Flink, each run in every way of `tests.truth.streams`.

Value vectors, which are many, are run by `make truth`. A case that differs is named here with its
reason; `docs/flink-differences.md` says more.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.truth import streams

FILES = sorted((Path(__file__).parent / "truth" / "streams").rglob("*.json"))

DIFFERS = {
    "ltz_shanghai_day": "Flink loses a row when no checkpoint comes in between",
    "random_over": "Flink drops late rows by a clean-up timer of the row before",
}
"""Cases in which Flink's answer is not ours, by design."""


@functools.cache
def case(path: Path) -> Any:
    return json.loads(path.read_text())


def runs() -> list[Any]:
    found = []
    for path in FILES:
        given = case(path)
        for way in streams.ways(given):
            marks = []
            if given["name"] in DIFFERS and way != "oracle":
                marks.append(pytest.mark.xfail(strict=True, raises=AssertionError, reason=DIFFERS[given["name"]]))
            if given["area"] == "random" and way == "rows":
                marks.append(pytest.mark.slow)  # up to 2000 steps of one row
            found.append(pytest.param(path, way, marks=marks, id=f"{given['area']}/{given['name']}-{way}"))
    return found


@pytest.mark.parametrize(("path", "way"), runs())
def test_the_answer_is_flinks(path: Path, way: str) -> None:
    streams.run(case(path), way)

"""Examples run: ```stream fences of README.md and docs, and the `.stream` files of examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streamsql.testing import Case, Mode, parse, read, run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```stream\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fences(page: Path) -> list[Case]:
    """The cases of a page; blank lines before each keep its line numbers those of the page."""
    text = page.read_text()
    origin = str(page.relative_to(ROOT))
    return [parse("\n" * text.count("\n", 0, found.start(1)) + found[1], origin) for found in FENCE.finditer(text)]


def _runs() -> list[object]:
    cases = [case for page in PAGES if page.exists() for case in fences(page)]
    cases += [read(path) for path in sorted((ROOT / "examples").rglob("*.stream"))]
    found: list[object] = []
    for case in cases:
        name = Path(case.origin).name
        first = case.steps[0].line + 1 if case.steps else 1
        found += [pytest.param(case, mode, id=f"{name}:{first}-{mode.value}")
                  for mode in Mode if mode.reason_against(case) is None]
    return found


@pytest.mark.parametrize(("case", "mode"), _runs())
def test_example(case: Case, mode: Mode) -> None:
    run(case, mode)


def test_every_example_has_its_proof() -> None:
    """A script of `examples` has beside it the `.stream` that proves it."""
    scripts = {path.stem for path in (ROOT / "examples").glob("*.sql")}
    assert scripts <= {path.stem for path in (ROOT / "examples").glob("*.stream")}

"""The results as Markdown: on the terminal, and between the marks in docs/performance.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

from tests.benchmarks.stages import STAGES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
BEGIN = "<!-- begin {}: written by `python -m tests.benchmarks --write` -->"
END = "<!-- end {} -->"
_PACKAGES = ("duckdb", "pyarrow", "confluent-kafka", "sqlglot", "numpy")


@dataclass(frozen=True, slots=True)
class Line:
    """One benchmark's medians. cpu_s and stages_s: CPU seconds a million rows."""

    name: str
    rate: float
    ratio: float
    target: float
    cpu_s: float
    stages_s: dict[str, float]


def machine() -> str:
    """What ran, in one line."""
    versions = ", ".join(f"{p} {version(p)}" for p in _PACKAGES)
    return f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, {versions}"


def median_line(lines: Sequence[Line]) -> Line:
    """The medians of one benchmark's rounds."""
    stages = {s: median(line.stages_s[s] for line in lines) for s in STAGES}
    return Line(lines[0].name, median(line.rate for line in lines), median(line.ratio for line in lines),
                lines[0].target, median(line.cpu_s for line in lines), stages)


def table(lines: Sequence[Line]) -> str:
    """Rates, ratios, and where the CPU time of a million rows goes."""
    stages = [*STAGES, "other"]
    out = [f"| query | rows/s | ratio | target | CPU s/M | {' | '.join(stages)} |",
           "|---|---|---|---|---|" + "---|" * len(stages)]
    for line in lines:
        spent = [line.stages_s[s] for s in STAGES]
        shares = [f"{100 * s / line.cpu_s:.0f} %" for s in (*spent, max(0.0, line.cpu_s - sum(spent)))]
        if not any(spent):
            shares = [""] * len(stages)
        out.append(f"| {line.name} | {line.rate / 1000:.0f} k | {line.ratio:.2f} | {line.target:.2f} "
                   f"| {line.cpu_s:.2f} | {' | '.join(shares)} |")
    return "\n".join(out)


def write(text: str, part: str) -> None:
    """Put `text` between the marks of that part of the page."""
    page = PAGE.read_text()
    begin, end = BEGIN.format(part), END.format(part)
    head, tail = page.split(begin)[0], page.split(end)[1]
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{tail}")

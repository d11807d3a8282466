"""The pages of docs/, the README and the examples: what they show runs, what they link to is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import streamsql
from streamsql.testing import run

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
EXAMPLES = sorted((ROOT / "examples").glob("*.sql"))
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
FOR_LOOKING_UP = ("functions.md", "options.md", "flink-differences.md")

ASSUMED = {
    "sql.md": """
        CREATE TABLE visits (name STRING, page STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
        WITH ('connector' = 'memory');""",
    "tables.md": """
        CREATE TABLE clean (id BIGINT, price DECIMAL(10, 2)) WITH ('connector' = 'blackhole');
        CREATE TABLE dead_letters (t STRING, p INT, o BIGINT, v BYTES, reason STRING)
        WITH ('connector' = 'blackhole');""",
}
"""Tables that a page's statements speak of and that it does not show."""


def fences(page: Path, language: str) -> list[str]:
    """The blocks of a page in a language; '' for those without one."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)
            for indent, named, text in found if named == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_sql_of_a_page_can_be_planned(page: Path) -> None:
    text = ASSUMED.get(page.name, "") + "\n".join(fences(page, "sql"))
    with streamsql.connect() as session:
        assert [str(error) for error in session.check(text, origin=page.name)] == []


@pytest.mark.parametrize(("page", "case"), [(p, c) for p in PAGES for c in fences(p, "stream")],
                         ids=lambda v: v.name if isinstance(v, Path) else None)
def test_the_cases_of_a_page_pass(page: Path, case: str) -> None:
    run(case)


def printed(script: Path, output: str = "table") -> str:
    """What `streamsql run` prints for a script that ends well."""
    done = subprocess.run([sys.executable, "-m", "streamsql", "run", "--output", output, str(script)],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_prints_what_it_says(tmp_path: Path) -> None:
    script = tmp_path / "clicks.sql"
    script.write_text(fences(README, "sql")[0])
    assert printed(script) == fences(README, "")[1]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.name)
def test_an_example_can_be_planned(example: Path) -> None:
    with streamsql.connect() as session:
        assert [str(error) for error in session.check(example.read_text(), origin=example.name)] == []


def test_the_dead_letters_are_what_the_averages_lack() -> None:
    rows = [json.loads(line) for line in printed(ROOT / "examples" / "dead_letters.sql", "json").splitlines()]
    assert [row["celsius"] for row in rows if "celsius" in row] == [22.0, 11.0]
    assert {row["offset"]: row["reason"] for row in rows if "offset" in row} == {
        1: 'column "celsius" of type DOUBLE cannot hold "warm"',
        3: "the record is not JSON: sensor=cellar celsius=11",
        5: "late for every window",
    }


def test_the_python_of_the_readme_prints_what_it_says() -> None:
    code = "import streamsql\n" + fences(README, "python")[0]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"# {done.stdout.strip()}\n" in code


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in FOR_LOOKING_UP], ids=lambda p: p.name)
def test_a_page_is_short(page: Path) -> None:
    assert len(page.read_text().splitlines()) < 150

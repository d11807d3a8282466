"""The house keeps its floors and doors: what a module may import, and how long it may be."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "streamsql"

FLOORS = {
    "errors": 0,
    "core": 1,
    "sql": 2, "state": 2, "formats": 2, "connectors": 2,
    "windows": 3, "aggregates": 3, "values": 3,
    "operators": 4,
    "planner": 5,
    "engine": 6,
    "session": 7,
    "shell": 8, "testing": 8,
    "cli": 9,
    "__main__": 10,
}
"""A module imports lower floors only; a package imports itself; one floor never imports its own."""

PUBLIC = "session"
"""`import streamsql` is the public face: it stands on this floor, for its clients above."""

DOORS = {
    "sqlglot": ("sql/*",),
    "duckdb": ("state/database.py",),
    "confluent_kafka": ("connectors/kafka*",),
    "prompt_toolkit": ("shell/*",),
    "pygments": ("shell/*",),
    "rich": ("shell/*", "cli.py"),
    "click": ("cli.py",),
    "regex": ("values/java_regex.py",),
    "pyarrow": ("*",),
    "numpy": ("*",),
    "pandas": ("session.py", "session/*", "connectors/memory.py"),
    "zstandard": ("connectors/*", "formats/*"),
    "time": ("core/clock.py",),
}
"""The modules through which each library is reached; the wall clock is one of them."""

MODULE_LINES, FUNCTION_LINES = 600, 80


@dataclass(frozen=True)
class Import:
    """One imported module, as a dotted name, and where it stands."""

    name: str
    place: str


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imports(path: Path) -> Iterator[Import]:
    """Every import of a module, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, f"{path.relative_to(ROOT)}:{node.lineno}")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides its floor"
            for alias in node.names:
                yield Import(f"{node.module}.{alias.name}", f"{path.relative_to(ROOT)}:{node.lineno}")


def unit(parts: tuple[str, ...]) -> str:
    """The room of a module: the first name below `streamsql`; the public face for the package itself."""
    name = parts[0].removesuffix(".py") if parts else ""
    return name if name in FLOORS else PUBLIC


def test_every_module_has_a_floor() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules(PACKAGE)}
    assert rooms - {"__init__"} <= set(FLOORS)


@pytest.mark.parametrize("path", modules(PACKAGE), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_lower_floors_only(path: Path) -> None:
    room = unit(path.relative_to(PACKAGE).parts)
    for found in imports(path):
        head, *rest = found.name.split(".")
        if head != "streamsql":
            continue
        target = unit(tuple(rest))
        assert target == room or FLOORS[target] < FLOORS[room], (
            f"{found.place}: {room} (floor {FLOORS[room]}) imports {found.name} (floor {FLOORS[target]})")


@pytest.mark.parametrize("path", modules(PACKAGE), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_each_library_has_one_door(path: Path) -> None:
    inside = str(path.relative_to(PACKAGE))
    for found in imports(path):
        library = found.name.split(".")[0]
        if library in DOORS:
            assert any(fnmatch(inside, door) for door in DOORS[library]), (
                f"{found.place}: {library} is reached through {', '.join(DOORS[library])} only")
        else:
            assert library == "streamsql" or library in sys.stdlib_module_names, (
                f"{found.place}: {library} has no door; give it one in DOORS, and a place in pyproject.toml")


@pytest.mark.parametrize("path", [*modules(PACKAGE), *modules(ROOT / "tests")],
                         ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_and_no_function_is_too_long(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MODULE_LINES, f"{path}: split it by noun"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            assert node.end_lineno - node.lineno < FUNCTION_LINES, f"{path}:{node.lineno}: {node.name}"

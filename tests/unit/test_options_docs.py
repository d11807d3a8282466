"""docs/options.md is written from the options that connectors, formats and the engine declare.

`python -m tests.unit.test_options_docs` writes the page anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from streamsql.connectors.memory import NAMESPACE
from streamsql.core.options import Option
from streamsql.planner import modules
from streamsql.planner.options import ENGINE
from streamsql.session.settings import OPTIONS, SETTINGS

PAGE = Path(__file__).parents[2] / "docs" / "options.md"
HEAD = """# Options of WITH, and settings

Written from the code by `python -m tests.unit.test_options_docs`; [tables.md](tables.md) says what they are for.
An option that is unknown or malformed is an error at its place. Durations are written as `'5 s'`, `'100 ms'`,
`'1 min'` (a bare number is milliseconds), sizes as `'64 mb'`; lists are separated by `;`.
"""
_DURATIONS = ((3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms"))
_SIZES = ((1 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb"), (1, "b"))


def _default(option: Option) -> str:
    value = option.default
    if option.required:
        return "required"
    if value is None or value in ((), ""):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if option.kind in ("duration", "memory") and isinstance(value, int):
        units = _DURATIONS if option.kind == "duration" else _SIZES
        size, unit = next(u for u in units if value % u[0] == 0)
        return f"{value // size} {unit}"
    return str(value).replace("|", r"\|")


def _meaning(option: Option) -> str:
    choices = f"; one of {', '.join(f'`{c}`' for c in option.choices)}" if option.choices else ""
    text = option.doc.rstrip(".").replace("|", r"\|")
    return (text if text[1:2].isupper() else text[:1].lower() + text[1:]) + choices


def _table(options: Iterable[Option]) -> str:
    shown = [o for o in options if o.key != NAMESPACE and not o.secret]
    rows = [f"| `{o.key}` | {_default(o)} | {_meaning(o)} |" for o in shown]
    return "\n".join(["| Option | Default | Meaning |", "|---|---|---|", *rows])


def page() -> str:
    parts = [HEAD, "## Every table\n\n" + _table(ENGINE)]
    for name in modules.names("connectors"):
        options = modules.connector(name).OPTIONS
        parts.append(f"## Connector `{name}`\n\n" + (_table(options) if options else "It has none."))
    for name in modules.names("formats"):
        head = f"## Format `{name}`\n\nIn WITH each begins with `{name}.`, `value.{name}.` or `key.{name}.`.\n\n"
        parts.append(head + _table(modules.format_module(name, "format").OPTIONS))
    parts.append("## Settings\n\nOf `SET 'key' = 'value'`, `--set key=value` and `streamsql.connect({key: value})`.\n\n"
                 + _table(replace(o, default=SETTINGS[o.key], kind="string") for o in OPTIONS))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def test_the_page_shows_the_options_that_there_are() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.unit.test_options_docs"


if __name__ == "__main__":
    PAGE.write_text(page())

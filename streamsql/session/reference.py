"""What is known of every built-in function, as one kind of fact: for SHOW, DESCRIBE, completion and the docs.

The facts come from the two tables of functions, `values.functions` and `aggregates`; nothing is said here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from streamsql import aggregates
from streamsql.values import functions as scalars
from streamsql.values.typed import Function


@dataclass(frozen=True, slots=True)
class Entry:
    """One function. `local` says that Flink lacks it: it runs here alone, and strict mode refuses it."""

    name: str
    kind: Literal["scalar", "aggregate"]
    signature: str
    doc: str
    example: str = ""
    aliases: tuple[str, ...] = ()
    deterministic: bool = True
    local: bool = False
    group: str = "aggregate"

    def facts(self) -> tuple[tuple[str, str], ...]:
        """What DESCRIBE FUNCTION shows; aliases and example only where there are any."""
        found = (
            ("signature", self.signature), ("doc", self.doc), ("example", self.example), ("kind", self.kind),
            ("deterministic", str(self.deterministic).lower()), ("local", str(self.local).lower()),
            ("aliases", ", ".join(self.aliases)),
        )
        return tuple((fact, value) for fact, value in found if value)


def _scalar(function: Function) -> Entry:
    return Entry(function.name, "scalar", function.signature, function.doc, function.example, function.aliases,
                 function.deterministic, function.local_only, function.group)


@functools.cache
def described() -> Sequence[Entry]:
    """The functions of our own tables, scalar ones by group and then aggregates, each once."""
    listed = (Entry(f.name, "aggregate", f.signature, f.doc, aliases=f.aliases, local=f.local_only)
              for f in dict.fromkeys(aggregates.FUNCTIONS.values()))
    return (*map(_scalar, scalars.functions()), *listed)


@functools.cache
def entries() -> Mapping[str, Entry]:
    """Every name and alias, sorted, with DuckDB's own functions; an aggregate goes before a function of its name."""
    found = {f.name: _scalar(f) for f in scalars.local_functions()}
    found |= {name: e for e in described() for name in (e.name, *e.aliases)}
    return dict(sorted(found.items()))


def find(name: str) -> Entry | None:
    return entries().get(name.upper())

"""What is known of every built-in function, as one kind of fact: for SHOW, DESCRIBE, completion and the docs.

The facts come from the two tables of functions, `values.functions` and `aggregates`. Said here are only those of the
forms that are no functions of values: ranks and neighbours, groupings, window functions in FROM.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from streamsql import aggregates
from streamsql.aggregates.sample import over_sample
from streamsql.values import functions as scalars
from streamsql.values.typed import Function


@dataclass(frozen=True, slots=True)
class Entry:
    """One function. `local` says that Flink lacks it: it runs here alone, and strict mode refuses it."""

    name: str
    kind: Literal["scalar", "aggregate", "window", "table"]
    signature: str
    doc: str
    example: str = ""
    aliases: tuple[str, ...] = ()
    deterministic: bool = True
    local: bool = False
    group: str = "aggregate"

    def facts(self) -> tuple[tuple[str, str], ...]:
        """What DESCRIBE FUNCTION shows; aliases and example only where there are any."""
        example = over_sample(self.example) if self.kind == "aggregate" and self.example else self.example
        found = (
            ("signature", self.signature), ("doc", self.doc), ("example", example), ("kind", self.kind),
            ("deterministic", str(self.deterministic).lower()), ("local", str(self.local).lower()),
            ("aliases", ", ".join(self.aliases)),
        )
        return tuple((fact, value) for fact, value in found if value)


_OVER = "OVER ([PARTITION BY ...] ORDER BY ...)"
_FORMS: tuple[tuple[str, Literal["aggregate", "window", "table"], str, str], ...] = (
    ("CUME_DIST", "window", f"CUME_DIST() {_OVER}", "The share of the partition's rows that are not after the row."),
    ("CUMULATE", "table", "TABLE(CUMULATE(TABLE t, DESCRIPTOR(ts), step, size [, offset]))",
     "Each row once for every window that grows by a step until it has its size."),
    ("DENSE_RANK", "window", f"DENSE_RANK() {_OVER}", "The row's rank in its partition, without gaps after equals."),
    ("GROUPING", "aggregate", "GROUPING(key, ...)",
     "A bit for each key, 1 if the row's grouping set leaves it out."),
    ("GROUPING_ID", "aggregate", "GROUPING_ID(key, ...)", "The same as GROUPING."),
    ("HOP", "table", "TABLE(HOP(TABLE t, DESCRIPTOR(ts), slide, size [, offset]))",
     "Each row once for every window of a size that begins at a multiple of the slide."),
    ("LAG", "window", f"LAG(value [, rows [, default]]) {_OVER}", "The value of a row before, NULL or the default."),
    ("LEAD", "window", f"LEAD(value [, rows [, default]]) {_OVER}", "The value of a row after, NULL or the default."),
    ("NTILE", "window", f"NTILE(groups) {_OVER}", "Which of so many groups of like size the row is in."),
    ("PERCENT_RANK", "window", f"PERCENT_RANK() {_OVER}", "The row's rank as a share, from 0 to 1."),
    ("RANK", "window", f"RANK() {_OVER}", "The row's rank in its partition, with gaps after equals."),
    ("ROW_NUMBER", "window", f"ROW_NUMBER() {_OVER}", "The row's number in its partition, from 1."),
    ("SESSION", "table", "TABLE(SESSION(TABLE t [PARTITION BY key], DESCRIPTOR(ts), gap))",
     "Each row with the window of those that follow each other within a gap."),
    ("TUMBLE", "table", "TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), size [, offset]))",
     "Each row with its window of a fixed size."),
)
"""Name, kind, signature, doc."""


def _scalar(function: Function) -> Entry:
    return Entry(function.name, "scalar", function.signature, function.doc, function.example, function.aliases,
                 function.deterministic, function.local_only, function.group)


@functools.cache
def described() -> Sequence[Entry]:
    """The functions of our own tables, scalar ones by group, then aggregates, then forms, each once."""
    listed = (Entry(f.name, "aggregate", f.signature, f.doc, f.example, f.aliases, local=f.local_only)
              for f in dict.fromkeys(aggregates.FUNCTIONS.values()))
    forms = (Entry(name, kind, signature, doc, group="form") for name, kind, signature, doc in _FORMS)
    return (*map(_scalar, scalars.functions()), *listed, *forms)


@functools.cache
def entries() -> Mapping[str, Entry]:
    """Every name and alias, sorted, with DuckDB's own functions; an aggregate goes before a function of its name."""
    found = {f.name: _scalar(f) for f in scalars.local_functions()}
    found |= {name: e for e in described() for name in (e.name, *e.aliases)}
    return dict(sorted(found.items()))


def find(name: str) -> Entry | None:
    return entries().get(name.upper())

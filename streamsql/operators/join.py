"""Join: rows of two inputs that match, and the rows that match nothing, over inputs that change."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from streamsql.core.node import Context, Explain, Node, Operator
from streamsql.core.schema import quote
from streamsql.operators._matching import Kind, Matching, MatchStep

JoinKind = Literal["INNER", "LEFT", "RIGHT", "FULL"]

KINDS: Mapping[str, Kind] = {
    "INNER": Kind(True, (0, 0)),
    "LEFT": Kind(True, (1, 0)),
    "RIGHT": Kind(True, (0, 1)),
    "FULL": Kind(True, (1, 1)),
}


@dataclass(frozen=True)
class Join(Node):
    """`SELECT schema FROM (SELECT columns FROM left [INNER | LEFT | RIGHT | FULL] JOIN right ON …) WHERE where`.

    columns   name and DuckDB text over both sides' columns; those of the schema, and what `where` reads
    where     DuckDB text over `columns`, or None: a filter that is part of the step, so that a row is not
              taken back and given again when only what the filter reads has changed
    """

    kind: JoinKind
    matching: Matching
    columns: tuple[tuple[str, str], ...]
    where: str | None = None

    def relation(self, inputs: Sequence[str]) -> str:
        computed = ", ".join(f"{sql} AS {quote(name)}" for name, sql in self.columns)
        joined = f"SELECT {computed} FROM {inputs[0]} {self.kind} JOIN {inputs[1]} ON {self.matching.on()}"
        where = f" WHERE {self.where}" if self.where else ""
        return f"SELECT {', '.join(quote(c) for c in self.schema.names)} FROM ({joined}){where}"

    def narrowed(self, needed: Collection[str]) -> Join:
        if not any(name in needed for name in self.schema.names):
            needed = self.schema.names[:1]  # Arrow counts no rows without a column
        kept = tuple((name, sql) for name, sql in self.columns if name in needed or quote(name) in (self.where or ""))
        return replace(self, columns=kept, schema=self.schema.only(needed))

    def unique_keys(self) -> frozenset[frozenset[str]]:
        names = {sql: name for name, sql in reversed(self.columns) if name in self.schema}
        left, right = (list(_named(i.unique_keys(), names)) for i in self.inputs)
        both = {a | b for a in left for b in right}
        single = [self._single(port) for port in (0, 1)]
        if single[1] and self.kind in ("INNER", "LEFT"):
            both |= set(left)
        if single[0] and self.kind in ("INNER", "RIGHT"):
            both |= set(right)
        return frozenset(both)

    def _single(self, port: int) -> bool:
        """At most one row of this side matches a row of the other: a key of it is among the equal columns."""
        equal = {k[port] for k in self.matching.keys}
        return any(all(quote(c) in equal for c in key) for key in self.inputs[port].unique_keys())

    def operator(self, context: Context) -> Operator:
        return MatchStep(self, context, self.matching, KINDS[self.kind], self.columns, self.where)

    def explain(self) -> Explain:
        where = (("where", self.where),) if self.where else ()
        return Explain("Join", (("kind", self.kind.lower()), ("on", self.matching.on()), *where))

    def holds_state(self) -> bool:
        return True

    def grows(self) -> bool:
        return True


def _named(keys: Iterable[frozenset[str]], names: Mapping[str, str]) -> Iterable[frozenset[str]]:
    """The keys of an input by the names that their columns have above; those that are not whole are left out."""
    for key in keys:
        if all(quote(c) in names for c in key):
            yield frozenset(names[quote(c)] for c in key)

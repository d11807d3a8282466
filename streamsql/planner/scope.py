"""Relation and Scope: which columns a clause may name, and what each name means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from streamsql.core.node import Node
from streamsql.core.schema import TimeAttribute, quote, text_literal
from streamsql.core.typed import Typed
from streamsql.core.types import DataType
from streamsql.errors import BindError, did_you_mean, nearest
from streamsql.sql import exp, span_of
from streamsql.sql.cursor import sentence
from streamsql.sql.habits import COLUMNS


@dataclass(frozen=True, slots=True)
class Field:
    """A column that can be named: `qualifier.name`; in SQL it is the node's column `column`.

    merged  USING made it one with another: it is named with its qualifier only
    """

    name: str
    column: str
    type: DataType
    time: TimeAttribute = ""
    qualifier: str = ""
    merged: bool = False

    def typed(self) -> Typed:
        return Typed(quote(self.column), self.type, time=self.time)


@dataclass(frozen=True, slots=True)
class Window:
    """The window columns that a relation still has: what makes GROUP BY over them windowed.

    start, end, time   columns of the node; time is '' where it was not kept
    local              the rowtime is TIMESTAMP_LTZ: start and end are local time, they close by zone
    function           TUMBLE, HOP, CUMULATE or SESSION
    proctime           it is a window of processing time: the clock closes it
    lengths            raises where an aggregation does not take the lengths, at their place
    aggregated         the rows are results of closed windows already
    spec               the lengths: windows of one function and one spec are the same windows
    """

    start: str
    end: str
    time: str = ""
    local: bool = False
    function: str = "TUMBLE"
    aggregated: bool = False
    rowtime: bool = True
    proctime: bool = False
    lengths: Callable[[], None] | None = field(default=None, compare=False)
    spec: object = None


@dataclass(frozen=True, slots=True)
class Relation:
    """A planned FROM item: the node, its columns by the names a clause may use, its window."""

    node: Node
    fields: tuple[Field, ...]
    window: Window | None = None

    def aliased(self, qualifier: str, names: Sequence[str] = ()) -> Relation:
        fields = tuple(
            replace(f, qualifier=qualifier, name=names[i] if i < len(names) else f.name, merged=False)
            for i, f in enumerate(self.fields)
        )
        return replace(self, fields=fields)


class Scope:
    """Resolves column names against relations, innermost first."""

    def __init__(self, fields: Iterable[Field], outer: Scope | None = None) -> None:
        self.fields = tuple(fields)
        self.outer = outer
        self.correlated = False

    def column(self, tree: exp.Expr) -> Typed:
        """A column or a path into a ROW. Raises BindError: unknown, or ambiguous."""
        parts = [part.name for part in tree.parts] if isinstance(tree, exp.Column) else [tree.name]
        found = self._resolve(parts, tree)
        if found is not None:
            return found
        if self.outer is not None:
            self.correlated = True
            return self.outer.column(tree)
        raise self._unknown(parts, tree)

    def has(self, tree: exp.Expr) -> bool:
        """Whether a column is of this scope itself, not of one around it; an ambiguous name is not."""
        parts = [part.name for part in tree.parts] if isinstance(tree, exp.Column) else [tree.name]
        try:
            return self._resolve(parts, tree) is not None
        except BindError:
            return False

    def call(self, tree: exp.Expr) -> Typed | None:
        return None

    def _resolve(self, parts: list[str], tree: exp.Expr) -> Typed | None:
        if len(parts) > 1 and any(f.qualifier == parts[0] for f in self.fields):
            inside = [f for f in self.fields if f.qualifier == parts[0] and f.name == parts[1]]
            return self._path(inside, parts[1:], tree) if inside else None
        return self._path([f for f in self.fields if f.name == parts[0] and not f.merged], parts, tree)

    def _path(self, fields: list[Field], parts: list[str], tree: exp.Expr) -> Typed | None:
        if not fields:
            return None
        if len(fields) > 1:
            owners = ", ".join(f'"{f.qualifier}"' for f in fields if f.qualifier)
            raise BindError(
                f'column "{parts[0]}" is ambiguous',
                span_of(tree),
                hint=f"Write it with its table: it is in {owners}."
                if owners
                else "Give one of them another name with AS where it comes from.",
            )
        value = fields[0].typed()
        for name in parts[1:]:
            value = row_field(value, name, tree)
        return value

    def _unknown(self, parts: list[str], tree: exp.Expr) -> BindError:
        qualifiers = sorted({f.qualifier for f in self.fields if f.qualifier})
        known = [*qualifiers, *(f.name for f in self.fields)]
        if len(parts) > 1 and parts[0] not in known:
            return BindError(
                f'table or column "{parts[0]}" is not in FROM',
                span_of(tree),
                hint=did_you_mean(parts[0], qualifiers, "Tables here"),
            )
        name = parts[1] if len(parts) > 1 and parts[0] in qualifiers else parts[0]
        owner = parts[0] if len(parts) > 1 else qualifiers[0] if len(qualifiers) == 1 else ""
        names = [f.name for f in self.fields if len(parts) == 1 or f.qualifier == parts[0]]
        where = f' in "{owner}"' if owner else ""
        hint = _column_hint(name, names, tree) if names else "There is no FROM clause."
        return BindError(f'column "{name}" does not exist{where}', span_of(tree), hint=hint)


def _column_hint(name: str, names: list[str], tree: exp.Expr) -> str:
    """What may have been meant by a column that does not exist: one like it, a habit, a text without quotes."""
    select, habit = tree.find_ancestor(exp.Select), COLUMNS.get(name.upper())
    if select is not None and any(isinstance(e, exp.Alias) and e.alias == name for e in select.expressions):
        return f'SELECT gives "{name}" its name later: write its expression here, or SELECT … FROM (SELECT …) WHERE ….'
    if nearest(name, names) is not None:
        return did_you_mean(name, names, "Columns")
    if habit is not None:
        return sentence(habit) or ""
    if nearest(name, ["DISTINCT"]) is not None:
        return 'Did you mean "DISTINCT"?'
    listed = did_you_mean(name, names, "Columns")
    compared = isinstance(tree.parent, exp.EQ | exp.NEQ | exp.Like) and tree.parent.expression is tree
    return f"{listed}; a text is written '{name}'" if compared else listed


def row_field(value: Typed, name: str, tree: exp.Expr) -> Typed:
    """`value.name` of a ROW. Raises BindError when there is no such field."""
    if value.type.root != "ROW" or name not in value.type.names:
        if value.type.root == "ROW":
            hint: str | None = did_you_mean(name, value.type.names, "Fields")
        else:
            hint = f"It is {value.type}, not a ROW."
        raise BindError(f'field "{name}" does not exist', span_of(tree), hint=hint)
    type_ = value.type.children[value.type.names.index(name)]
    nullable = type_.nullable or value.type.nullable
    return Typed(f"struct_extract({value.sql}, {text_literal(name)})", type_.as_nullable(nullable))

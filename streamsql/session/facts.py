"""What a session knows, as tables of facts: SHOW, DESCRIBE, and the names for completion."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from streamsql.errors import BindError, did_you_mean
from streamsql.planner.catalog import Catalog, Table, View
from streamsql.session import reference
from streamsql.session.query import Query
from streamsql.session.settings import SETTINGS
from streamsql.sql import canonical
from streamsql.sql import statements as st
from streamsql.values.user import UserFunction


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement gave: a message, a table of facts, or a query that can be read.

    statements  how many statements of the text it answers: INSERTs that are one job have one Result
    """

    kind: Literal["message", "table", "query", "job"]
    message: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    query: Query | None = None
    statements: int = 1


class CatalogView:
    """The names a session knows, for completion."""

    def __init__(self, catalog: Catalog, settings: Mapping[str, str]) -> None:
        self._catalog = catalog
        self._settings = settings

    def tables(self) -> dict[str, list[str]]:
        tables = {t.name: [c.name for c in t.columns] for t in self._catalog.tables.values()}
        named = [*self._catalog.views.values(), *self._catalog.materialized.values()]
        views = {v.name: list(v.schema.names) if v.schema else [] for v in named}
        return {**tables, **views}

    def functions(self) -> list[str]:
        return sorted([*reference.entries(), *self._catalog.functions])

    def settings(self) -> list[str]:
        return sorted({*SETTINGS, *self._settings})


class Facts:
    """Answers SHOW and DESCRIBE from a catalog."""

    def __init__(self, catalog: Catalog, settings: Mapping[str, str]) -> None:
        self._catalog = catalog
        self._settings = settings

    def show(self, statement: st.Show, jobs: Sequence[Query] = ()) -> Result:
        match statement.what:
            case "TABLES":
                names = self._catalog.names()
            case "VIEWS":
                names = sorted(self._catalog.views)
            case "MATERIALIZED TABLES" | "MATERIALIZED VIEWS":
                names = sorted(self._catalog.materialized)
            case "FUNCTIONS":
                return self._functions(statement.like)
            case "USER FUNCTIONS":
                names = sorted(self._catalog.functions)
            case "JOBS":
                shown = [q for q in jobs if q.is_job or q.statistics().running]
                rows = tuple((q.name, "running" if q.statistics().running else "ended", " ".join(q.text.split()))
                             for q in shown)
                return Result(
                    "table",
                    columns=(("job", "STRING"), ("status", "STRING"), ("statement", "STRING")),
                    rows=rows,
                )
            case "COLUMNS" if statement.name is not None:
                described, like = self._described(statement.name), statement.like
                return replace(described, rows=tuple(r for r in described.rows if not like or _like(str(r[0]), like)))
            case what if what.startswith("CREATE ") and statement.name is not None:
                return Result("table", columns=(("result", "STRING"),), rows=((self._created(statement.name),),))
            case _:
                raise BindError(
                    f"SHOW {statement.what} is not built",
                    statement.span,
                    hint="SHOW TABLES, VIEWS, MATERIALIZED TABLES, FUNCTIONS, JOBS, COLUMNS FROM t, CREATE TABLE t.",
                )
        kept = [n for n in names if statement.like is None or _like(n, statement.like)]
        header = statement.what.lower().removeprefix("user ").removesuffix("s") + " name"
        return Result("table", columns=((header, "STRING"),), rows=tuple((n,) for n in kept))

    def _functions(self, like: str | None) -> Result:
        """The user's first; `local` marks what Flink lacks."""
        own = [(name, f.form, "false") for name, f in sorted(self._catalog.functions.items())]
        known = [(name, e.kind, str(e.local).lower()) for name, e in reference.entries().items()]
        columns = (("function name", "STRING"), ("kind", "STRING"), ("local", "STRING"))
        return Result("table", columns=columns, rows=tuple(r for r in (*own, *known) if not like or _like(r[0], like)))

    def _created(self, name: st.Name) -> str:
        found = self._catalog.find(name)
        if isinstance(found, Table):
            assert found.definition is not None
            return canonical(found.definition)
        return found.text

    def describe(self, statement: st.Describe) -> Result:
        if statement.kind == "FUNCTION":
            own = self._catalog.functions.get(statement.name.last.lower())
            if own is not None:
                return _facts_of(own)
            found = reference.find(statement.name.last)
            if found is None:
                raise BindError(
                    f'function "{statement.name}" does not exist',
                    statement.name.span,
                    hint=did_you_mean(
                        statement.name.last, [*reference.entries(), *self._catalog.functions], "Functions"
                    ),
                )
            return Result("table", columns=(("fact", "STRING"), ("value", "STRING")), rows=found.facts())
        return self._described(statement.name)

    def _described(self, name: st.Name) -> Result:
        columns = tuple((n, "STRING") for n in ("name", "type", "null", "key", "extras", "watermark"))
        found = self._catalog.find(name)
        if isinstance(found, View):
            assert found.schema is not None
            facts = [
                (c.name, str(c.type.as_nullable()), str(c.type.nullable).upper(), None, None, None)
                for c in found.schema
            ]
            return Result("table", columns=columns, rows=tuple(facts))
        rows: list[tuple[str | None, ...]] = []
        for c in found.columns:
            key = f"PRI({', '.join(found.primary_key)})" if c.name in found.primary_key else None
            extras = (
                f"METADATA FROM '{c.metadata_key}'" + (" VIRTUAL" if c.virtual else "")
                if c.kind == "metadata"
                else f"AS {c.expression.sql('streamsql')}"
                if c.expression is not None
                else None
            )
            mark = (
                found.watermark.definition.expression.sql("streamsql")
                if found.watermark and found.watermark.column == c.name
                else None
            )
            rows.append(
                (
                    c.name,
                    str(c.type.as_nullable()) + (" *ROWTIME*" if mark else ""),
                    str(c.type.nullable).upper(),
                    key,
                    extras,
                    mark,
                )
            )
        return Result("table", columns=columns, rows=tuple(rows))


def _facts_of(function: UserFunction) -> Result:
    called = f"with Arrow arrays (pa.{function.arrays})" if function.arrays else "row by row"
    facts = (
        ("signature", function.signature),
        ("doc", function.doc),
        ("kind", function.form),
        ("called", called),
        ("definition", function.definition),
        ("deterministic", str(function.deterministic).lower()),
    )
    return Result("table", columns=(("fact", "STRING"), ("value", "STRING")), rows=facts)


def _like(name: str, pattern: str) -> bool:
    """SQL's LIKE for names: `%` and `_`."""
    return fnmatch.fnmatchcase(name, pattern.replace("%", "*").replace("_", "?"))

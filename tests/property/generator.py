"""Random queries over two random tables, as SQL text, and random changes of those tables.

A query is built from the inside out: each step wraps the one before in a subquery whose columns are
c0, c1, …; so every operator meets every other as its input, and its input changes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

NUMBERS = ("INT", "BIGINT", "DECIMAL(6, 2)")
TYPES = (*NUMBERS, "STRING", "STRING", "BOOLEAN", "DATE")

Value = int | str | bool | Decimal | dt.date | dt.datetime | None
Row = tuple[Value, ...]
Change = tuple[int, Row]
"""+1 or -1, and a row."""


DELAY_S = 3
"""By how much the rows of a timed table may come out of order."""
START = dt.datetime(2024, 1, 1)


@dataclass(frozen=True)
class Table:
    """append_only: rows only come. timed: they have a rowtime, `ts`, after the columns c0, c1, …"""

    name: str
    types: tuple[str, ...]
    append_only: bool
    timed: bool = False

    @property
    def columns(self) -> list[str]:
        return [f"c{i}" for i in range(len(self.types))]

    @property
    def all_columns(self) -> list[str]:
        return [*self.columns, *(["ts"] if self.timed else [])]

    def ddl(self) -> str:
        columns = ", ".join(f"{c} {t}" for c, t in zip(self.columns, self.types, strict=True))
        if self.timed:
            columns += f", ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '{DELAY_S}' SECOND"
        mode = "append" if self.append_only else "all"
        return f"CREATE TABLE {self.name} ({columns}) WITH ('connector' = 'memory', 'changelog-mode' = '{mode}')"


@dataclass(frozen=True)
class Part:
    """A query, and the types of its columns c0, c1, …; what is computed counts as the type's family."""

    sql: str
    types: tuple[str, ...]

    def of(self, *types: str) -> list[str]:
        return [f"c{i}" for i, t in enumerate(self.types) if family(t) in types]


def family(kind: str) -> str:
    """NUMBER, or the type itself: what may be compared."""
    return "NUMBER" if kind in NUMBERS else kind


def table(random: Random, name: str) -> Table:
    types = tuple(random.choice(TYPES) for _ in range(random.randint(1, 3)))
    return Table(name, ("INT", *types), random.random() < 0.3)


def timed_table(random: Random, name: str) -> Table:
    types = tuple(random.choice(TYPES) for _ in range(random.randint(1, 2)))
    return Table(name, ("INT", *types), append_only=True, timed=True)


def value(random: Random, kind: str) -> Value:
    if random.random() < 0.15:
        return None
    number = random.randint(0, 3)
    if kind in ("INT", "BIGINT"):
        return number
    if kind == "STRING":
        return "xyz"[number % 3]
    if kind == "BOOLEAN":
        return number > 1
    return Decimal(number) / 2 if kind.startswith("DECIMAL") else dt.date(2024, 1, 1 + number)


def changing(random: Random, made: Table) -> Iterator[Change]:
    """Inserts for ever, and if the table takes them deletes and updates of the rows that are there."""
    there: list[Row] = []
    while True:
        what = random.random()
        if there and not made.append_only and what < 0.5:
            gone = there.pop(random.randrange(len(there)))
            yield -1, gone
            if what < 0.3:
                continue
        row = tuple(value(random, t) for t in made.types)
        there.append(row)
        yield 1, row


def coming(random: Random, made: Table) -> Iterator[Change]:
    """Rows of a timed table, out of order and never late."""
    latest = 0
    while True:
        moment = max(0, latest + random.randint(1 - DELAY_S, 3))
        latest = max(latest, moment)
        yield 1, (*(value(random, t) for t in made.types), START + dt.timedelta(seconds=moment))


class Queries:
    """Draws queries over some tables."""

    def __init__(self, random: Random, tables: Sequence[Table]) -> None:
        self.random = random
        self.tables = tables

    def query(self, steps: int) -> Part:
        part = self._base()
        for _ in range(steps):
            part = self.random.choice(_STEPS)(self, part)
        return part

    def timed_query(self, steps: int) -> Part:
        """What goes by the rowtime of a table, and steps around it."""
        part = self.random.choice(_TIMED)(self, self.random.choice(self.tables))
        for _ in range(steps):
            part = self.random.choice(_STEPS)(self, part)
        return part

    def _base(self) -> Part:
        made = self.random.choice(self.tables)
        return Part(f"SELECT {', '.join(made.columns)} FROM {made.name}", made.types)

    def _other(self) -> Part:
        """A second input, now and then not a plain table."""
        part = self._base()
        return self.random.choice(_SIMPLE)(self, part) if self.random.random() < 0.4 else part

    # Expressions

    def constant(self, kind: str) -> str:
        number = self.random.randint(0, 3)
        return {"NUMBER": str(number), "STRING": f"'{'xyz'[number % 3]}'", "BOOLEAN": "TRUE",
                "DATE": f"DATE '2024-01-0{1 + number}'"}[family(kind)]

    def condition(self, part: Part, prefix: str = "") -> str:
        index = self.random.randrange(len(part.types))
        column, kind = f"{prefix}c{index}", part.types[index]
        match self.random.randrange(4):
            case 0:
                return f"{column} IS {self.random.choice(('NULL', 'NOT NULL'))}"
            case 1:
                return f"({self.condition(part, prefix)} {self.random.choice(('AND', 'OR'))} " \
                       f"{self.condition(part, prefix)})"
            case 2:
                return f"NOT ({column} = {self.constant(kind)})"
            case _:
                sign = self.random.choice(("=", "<>") if kind == "BOOLEAN" else ("=", "<>", "<", ">="))
                return f"{column} {sign} {self.constant(kind)}"

    def computed(self, part: Part) -> tuple[str, str]:
        """An expression and its type."""
        index = self.random.randrange(len(part.types))
        column, kind = f"c{index}", part.types[index]
        wants = self.random.random()
        if wants < 0.5 or kind == "BOOLEAN":
            return column, kind
        if wants < 0.65:
            return f"({self.condition(part)})", "BOOLEAN"
        if wants < 0.8:
            return f"COALESCE({column}, {self.constant(kind)})", "BIGINT" if family(kind) == "NUMBER" else kind
        if family(kind) == "NUMBER":
            return f"{column} + {self.random.randint(1, 2)}", kind
        return (f"UPPER({column})", kind) if kind == "STRING" else (column, kind)

    # Steps: a query around a query

    def project(self, part: Part) -> Part:
        items = [self.computed(part) for _ in range(self.random.randint(1, 3))]
        columns = ", ".join(f"{sql} AS c{i}" for i, (sql, _) in enumerate(items))
        return Part(f"SELECT {columns} FROM ({part.sql}) AS x", tuple(kind for _, kind in items))

    def where(self, part: Part) -> Part:
        return Part(f"SELECT * FROM ({part.sql}) AS x WHERE {self.condition(part)}", part.types)

    def distinct(self, part: Part) -> Part:
        return Part(f"SELECT DISTINCT * FROM ({part.sql}) AS x", part.types)

    def grouped(self, part: Part) -> Part:
        return self._aggregated(part, [i for i in range(len(part.types)) if self.random.random() < 0.4], "")

    def in_sets(self, part: Part) -> Part:
        """GROUPING SETS, ROLLUP, CUBE."""
        keys = self.random.sample(range(len(part.types)), min(len(part.types), self.random.randint(1, 2)))
        word = self.random.choice(("ROLLUP", "CUBE", "GROUPING SETS"))
        listed = ", ".join(f"c{k}" for k in keys)
        if word == "GROUPING SETS":
            singly = ", ".join(f"(c{k})" for k in keys)
            listed = self.random.choice((f"({listed}), ()", singly, f"({listed}), (c{keys[0]})"))
        return self._aggregated(part, keys, f"{word} ({listed})")

    def _aggregated(self, part: Part, keys: Sequence[int], sets: str) -> Part:
        calls = [self._call(part) for _ in range(self.random.randint(1, 3))]
        if sets and self.random.random() < 0.5:
            calls.append((f"GROUPING(c{keys[0]})", "BIGINT"))
        items = [f"c{k}" for k in keys] + [sql for sql, _ in calls]
        columns = ", ".join(f"{sql} AS c{i}" for i, sql in enumerate(items))
        by = sets or ", ".join(f"c{k}" for k in keys)
        by = f" GROUP BY {by}" if by else ""
        having = f" HAVING COUNT(*) {self.random.choice(('>', '<', '='))} {self.random.randint(1, 3)}" \
            if self.random.random() < 0.3 else ""
        types = (*(part.types[k] for k in keys), *(kind for _, kind in calls))
        return Part(f"SELECT {columns} FROM ({part.sql}) AS x{by}{having}", types)

    def _call(self, part: Part) -> tuple[str, str]:
        sql, kind = self._plain_call(part)
        index = self.random.randrange(len(part.types))
        if self.random.random() < 0.3:
            word, column = self.random.choice(("COUNT", "SUM")), f"c{index}"
            word = word if family(part.types[index]) == "NUMBER" else "COUNT"
            sql, kind = f"{word}(DISTINCT {column})", "BIGINT" if word == "COUNT" else part.types[index]
        where = f" FILTER (WHERE {self.condition(part)})" if self.random.random() < 0.25 else ""
        return sql + where, kind

    def _plain_call(self, part: Part) -> tuple[str, str]:
        index = self.random.randrange(len(part.types))
        column, kind = f"c{index}", part.types[index]
        choices = [("COUNT(*)", "BIGINT"), (f"COUNT({column})", "BIGINT"), (f"MIN({column})", kind),
                   (f"MAX({column})", kind)]
        if family(kind) == "NUMBER":
            choices += [(f"SUM({column})", kind), (f"AVG({column})", kind)]
        return self.random.choice(choices)

    def joined(self, part: Part) -> Part:
        other = self._other()
        pairs = [(i, j) for i, a in enumerate(part.types) for j, b in enumerate(other.types) if family(a) == family(b)]
        if not pairs:
            return self.where(part)
        i, j = self.random.choice(pairs)
        kind = self.random.choice(("INNER", "INNER", "LEFT", "RIGHT", "FULL"))
        on = f"x.c{i} = y.c{j}"
        if self.random.random() < 0.3:
            on += f" AND {self.condition(other, 'y.')}"
        elif self.random.random() < 0.2:
            i, j = self.random.choice(pairs)
            on += f" AND x.c{i} {'=' if part.types[i] == 'BOOLEAN' else '<='} y.c{j}"
        sides = [(f"x.c{n}", t) for n, t in enumerate(part.types)] + [(f"y.c{n}", t) for n, t in enumerate(other.types)]
        kept = sorted(self.random.sample(range(len(sides)), min(len(sides), self.random.randint(1, 4))))
        columns = ", ".join(f"{sides[n][0]} AS c{at}" for at, n in enumerate(kept))
        return Part(f"SELECT {columns} FROM ({part.sql}) AS x {kind} JOIN ({other.sql}) AS y ON {on}",
                    tuple(sides[n][1] for n in kept))

    def semi(self, part: Part) -> Part:
        other = self._other()
        pairs = [(i, j) for i, a in enumerate(part.types) for j, b in enumerate(other.types) if family(a) == family(b)]
        if not pairs:
            return self.where(part)
        i, j = self.random.choice(pairs)
        word = self.random.choice(("", "NOT "))
        if self.random.random() < 0.5:
            test = f"x.c{i} {word}IN (SELECT c{j} FROM ({other.sql}) AS y)"
        else:
            more = f" AND {self.condition(other, 'y.')}" if self.random.random() < 0.4 else ""
            test = f"{word}EXISTS (SELECT 1 FROM ({other.sql}) AS y WHERE y.c{j} = x.c{i}{more})"
        return Part(f"SELECT * FROM ({part.sql}) AS x WHERE {test}", part.types)

    def scalar(self, part: Part) -> Part:
        """A subquery as a value, in SELECT or WHERE; now and then it speaks of the rows around it."""
        other = self._other()
        pairs = [(i, j) for i, a in enumerate(part.types) for j, b in enumerate(other.types) if family(a) == family(b)]
        where = ""
        if pairs and self.random.random() < 0.5:
            i, j = self.random.choice(pairs)
            where = f" WHERE y.c{j} = x.c{i}"
        j = self.random.randrange(len(other.types))
        call, kind = self.random.choice(((f"MAX(y.c{j})", other.types[j]), (f"MIN(y.c{j})", other.types[j]),
                                         ("COUNT(*)", "BIGINT")))
        value = f"(SELECT {call} FROM ({other.sql}) AS y{where})"
        same = [i for i, t in enumerate(part.types) if family(t) == family(kind)]
        if same and self.random.random() < 0.5:
            sign = self.random.choice(("=", "<>") if kind == "BOOLEAN" else ("=", "<", ">="))
            test = f"x.c{self.random.choice(same)} {sign} {value}"
            return Part(f"SELECT * FROM ({part.sql}) AS x WHERE {test}", part.types)
        return Part(f"SELECT x.*, {value} AS c{len(part.types)} FROM ({part.sql}) AS x", (*part.types, kind))

    def over(self, part: Part) -> Part:
        """An aggregate up to each row and its peers."""
        call, kind = self._plain_call(part)
        order = f"ORDER BY c{self.random.randrange(len(part.types))}"
        by = f"PARTITION BY c{self.random.randrange(len(part.types))} " if self.random.random() < 0.7 else ""
        return Part(f"SELECT *, {call} OVER ({by}{order}) AS c{len(part.types)} FROM ({part.sql}) AS x",
                    (*part.types, kind))

    def qualified(self, part: Part) -> Part:
        order = ", ".join(f"c{i}{self.random.choice(('', ' DESC'))}" for i in range(len(part.types)))
        by = f"PARTITION BY c{self.random.randrange(len(part.types))} " if self.random.random() < 0.7 else ""
        return Part(f"SELECT * FROM ({part.sql}) AS x QUALIFY ROW_NUMBER() OVER ({by}ORDER BY {order}) "
                    f"<= {self.random.randint(1, 3)}", part.types)

    def tied(self, part: Part) -> Part:
        """RANK and DENSE_RANK, where rows that tie are all first."""
        columns = ", ".join(f"c{i}" for i in range(len(part.types)))
        order = f"c{self.random.randrange(len(part.types))}{self.random.choice(('', ' DESC'))}"
        by = f"PARTITION BY c{self.random.randrange(len(part.types))} " if self.random.random() < 0.7 else ""
        word = self.random.choice(("RANK", "DENSE_RANK"))
        inner = f"SELECT *, {word}() OVER ({by}ORDER BY {order}) AS n FROM ({part.sql}) AS x"
        shown = self.random.random() < 0.4
        return Part(f"SELECT {columns}{f', n AS c{len(part.types)}' if shown else ''} FROM ({inner}) AS y "
                    f"WHERE n <= {self.random.randint(1, 3)}", (*part.types, "BIGINT") if shown else part.types)

    def combined(self, part: Part) -> Part:
        """UNION, INTERSECT, EXCEPT with what is of the same families, cast to the same types."""
        other = self._other()
        word = self.random.choice(("UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"))
        pairs = []
        for i, kind in enumerate(part.types):
            matching = [j for j, t in enumerate(other.types) if family(t) == family(kind)]
            if matching:
                pairs.append((i, self.random.choice(matching)))
        if not pairs:
            return self.distinct(part)
        pairs = pairs[:2]
        left = ", ".join(f"c{i} AS c{n}" for n, (i, _) in enumerate(pairs))
        right = ", ".join(f"c{j} AS c{n}" for n, (_, j) in enumerate(pairs))
        return Part(f"SELECT {left} FROM ({part.sql}) AS x {word} SELECT {right} FROM ({other.sql}) AS y",
                    tuple(part.types[i] for i, _ in pairs))

    def ranked(self, part: Part) -> Part:
        """The first rows of each group, in an order that leaves no tie between rows that differ."""
        order = ", ".join(f"c{i}{self.random.choice(('', ' DESC'))}" for i in range(len(part.types)))
        by = f"PARTITION BY c{self.random.randrange(len(part.types))} " if self.random.random() < 0.7 else ""
        columns = ", ".join(f"c{i}" for i in range(len(part.types)))
        shown = self.random.random() < 0.4
        inner = f"SELECT *, ROW_NUMBER() OVER ({by}ORDER BY {order}) AS n FROM ({part.sql}) AS x"
        outer = f"{columns}, n AS c{len(part.types)}" if shown else columns
        return Part(f"SELECT {outer} FROM ({inner}) AS y WHERE n <= {self.random.randint(1, 3)}",
                    (*part.types, "BIGINT") if shown else part.types)

    def limited(self, part: Part) -> Part:
        order = ", ".join(f"c{i}{self.random.choice(('', ' DESC'))}" for i in range(len(part.types)))
        return Part(f"SELECT * FROM (SELECT * FROM ({part.sql}) AS x ORDER BY {order} "
                    f"LIMIT {self.random.randint(1, 3)}) AS y", part.types)


    # Queries of timed tables

    def windowed(self, made: Table) -> Part:
        part = Part("", made.types)
        key = self.random.randrange(len(made.types))
        calls = [(f"c{key}", made.types[key]), *(self._call(part) for _ in range(self.random.randint(1, 3)))]
        calls.append(("EXTRACT(SECOND FROM window_start)", "BIGINT"))
        columns = ", ".join(f"{sql} AS c{i}" for i, (sql, _) in enumerate(calls))
        size, step = self.random.randint(2, 4), "INTERVAL '2' SECOND"
        window = self.random.choice((
            f"TUMBLE(TABLE {made.name}, DESCRIPTOR(ts), INTERVAL '{size}' SECOND)",
            f"HOP(TABLE {made.name}, DESCRIPTOR(ts), {step}, INTERVAL '4' SECOND)",
            f"CUMULATE(TABLE {made.name}, DESCRIPTOR(ts), {step}, INTERVAL '6' SECOND)",
            f"SESSION(TABLE {made.name} PARTITION BY c{key}, DESCRIPTOR(ts), {step})"))
        return Part(f"SELECT {columns} FROM TABLE({window}) GROUP BY window_start, window_end, c{key}",
                    tuple(kind for _, kind in calls))

    def within(self, made: Table) -> Part:
        """A join by an interval of time."""
        other = self.random.choice(self.tables)
        kind = self.random.choice(("INNER", "LEFT", "RIGHT", "FULL"))
        on = f"x.c0 = y.c0 AND x.ts BETWEEN y.ts - INTERVAL '{self.random.randint(0, 2)}' SECOND " \
             f"AND y.ts + INTERVAL '{self.random.randint(0, 2)}' SECOND"
        if self.random.random() < 0.4:
            on += f" AND {self.condition(Part('', other.types), 'y.')}"
        sides = [(f"x.{c}", t) for c, t in zip(made.columns, made.types, strict=True)]
        sides += [(f"y.{c}", t) for c, t in zip(other.columns, other.types, strict=True)]
        columns = ", ".join(f"{sql} AS c{i}" for i, (sql, _) in enumerate(sides))
        return Part(f"SELECT {columns} FROM {made.name} AS x {kind} JOIN {other.name} AS y ON {on}",
                    tuple(t for _, t in sides))

    def over_time(self, made: Table) -> Part:
        call, kind = self._plain_call(Part("", made.types))
        by = f"PARTITION BY c{self.random.randrange(len(made.types))} " if self.random.random() < 0.7 else ""
        frame = self.random.choice(("", " RANGE BETWEEN INTERVAL '2' SECOND PRECEDING AND CURRENT ROW"))
        return Part(f"SELECT {', '.join(made.columns)}, {call} OVER ({by}ORDER BY ts{frame}) AS c{len(made.types)} "
                    f"FROM {made.name}", (*made.types, kind))


Step = Callable[[Queries, Part], Part]
_SIMPLE: tuple[Step, ...] = (Queries.project, Queries.where, Queries.distinct, Queries.grouped)
_STEPS: tuple[Step, ...] = (*_SIMPLE, Queries.grouped, Queries.joined, Queries.joined, Queries.semi, Queries.combined,
                            Queries.combined, Queries.ranked, Queries.limited, Queries.in_sets, Queries.scalar,
                            Queries.over, Queries.qualified, Queries.tied)
_TIMED: tuple[Callable[[Queries, Table], Part], ...] = (Queries.windowed, Queries.within, Queries.over_time)

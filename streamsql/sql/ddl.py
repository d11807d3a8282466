"""CREATE and DROP: tables, views, functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NoReturn, TypeAlias

from streamsql.errors import Span
from streamsql.sql.keywords import RESERVED
from streamsql.sql.queries import QueryRules
from streamsql.sql.statements import (
    ColumnDef,
    CreateFunction,
    CreateTable,
    CreateView,
    Drop,
    LikeClause,
    Name,
    OptionDef,
    Statement,
    WatermarkDef,
)
from streamsql.sql.types import TYPE_WORDS

Kind: TypeAlias = Literal["TABLE", "VIEW", "FUNCTION", "MATERIALIZED TABLE", "MATERIALIZED VIEW"]
_LIKE_WHAT = (
    "ALL",
    "CONSTRAINTS",
    "GENERATED",
    "METADATA",
    "OPTIONS",
    "PARTITIONS",
    "WATERMARKS",
    "DISTRIBUTION",
)
_NOT_CREATED = {
    "CATALOG": "tables are created without a catalog",
    "DATABASE": "tables are created without a database",
    "MODEL": "call a Python function: CREATE FUNCTION f AS 'module.f' LANGUAGE PYTHON",
    "CONNECTION": "give the options of the connection in CREATE TABLE",
    "INDEX": "indexes are kept where a query needs them",
}


class DefinitionRules(QueryRules):
    """The rules of CREATE and DROP."""

    def create(self) -> Statement:
        start = self.index
        self.expect("CREATE")
        or_replace = self.take("OR", "REPLACE")
        temporary = self.take("TEMPORARY")
        if temporary and self.at("SYSTEM"):
            self.fail("there are no system functions", self.here(), hint="write CREATE TEMPORARY FUNCTION")
        if self.kind in _NOT_CREATED:
            self.fail(
                f"CREATE {self.kind} is not supported",
                self.since_with_here(start),
                hint=_NOT_CREATED[self.kind],
            )
        word = self.expect_any("TABLE", "VIEW", "FUNCTION", "STREAM", "SOURCE", "SINK")
        exists = self.take("IF", "NOT", "EXISTS")
        if word == "FUNCTION":
            made: Statement = self._function(start, temporary, exists, or_replace)
        elif word == "VIEW":
            made = self._view(start, temporary, exists, or_replace)
        else:
            table = self._table_definition(start, word)
            made = replace(table, temporary=temporary, if_not_exists=exists, or_replace=or_replace)
        return replace(made, span=self.since(start))

    def since_with_here(self, start: int) -> Span:
        return Span(self.tokens[start].start, self.here().end)

    # Views and functions.

    def _view(self, start: int, temporary: bool, exists: bool, or_replace: bool) -> CreateView:
        name = self.qualified("a view")
        columns = self.names() if self.at("(") else ()
        comment = self.string() if self.take("COMMENT") else ""
        self.expect("AS")
        query = self.query()
        self.no_emit("a view", "say it where the view is used")
        return CreateView(
            self.source, self.since(start), name, columns, query, temporary, exists, or_replace, comment
        )

    def no_emit(self, where: str, hint: str) -> None:
        if self.at_clause():
            self.fail(f"EMIT is not part of {where}", self.here(), hint=hint)

    def _function(self, start: int, temporary: bool, exists: bool, or_replace: bool) -> CreateFunction:
        name = self.qualified("a function")
        self.expect("AS")
        body = target = ""
        if self.at("$$"):
            body = self.token.text
            self.index += 1
        else:
            target = self.string("the function as 'module.name', or its body in $$")
        language = "PYTHON"
        if self.take("LANGUAGE"):
            here = self.here()
            language = self.expect_any("PYTHON", "JAVA", "SCALA")
            if language != "PYTHON":
                self.fail(f"functions in {language} are not supported", here, hint="write LANGUAGE PYTHON")
        if self.at("USING"):
            self.fail(
                "USING JAR is not supported", self.here(), hint="install the module in Python's environment"
            )
        return CreateFunction(
            self.source, self.since(start), name, target, body, language, temporary, exists, or_replace
        )

    # Tables.

    def _table_definition(self, start: int, word: str) -> CreateTable:
        table = CreateTable(self.source, self.since(start), self.qualified("a table"), (), ())
        if word == "SINK" and self.take("FROM"):
            table = replace(table, query=self.star_from(self.index - 1))
        if self.at("("):
            table = self._columns(table)
        while self.at("COMMENT", "PARTITIONED", "DISTRIBUTED", "WITH", "LIKE", "AS", "FORMAT"):
            table = self._table_clause(table)
        return self.foreign(table, word) if word != "TABLE" or _kafka_style(table) else table

    def foreign(self, table: CreateTable, word: str) -> CreateTable:
        """Other dialects' CREATE, in the canonical one: see `foreign.py`."""
        return table

    def format_clause(self, table: CreateTable) -> CreateTable:
        """`FORMAT … ENCODE …`: see `foreign.py`."""
        self.unexpected("the end of the statement")

    def _table_clause(self, table: CreateTable) -> CreateTable:
        word = self.kind
        if word == "DISTRIBUTED":
            self.fail(
                "DISTRIBUTED is not supported",
                self.here(),
                hint="the connector partitions rows; with kafka say 'sink.partitioner'",
            )
        if word == "FORMAT":
            return self.format_clause(table)
        self.index += 1
        if word == "COMMENT":
            return replace(table, comment=self.string())
        if word == "PARTITIONED":
            self.expect("BY")
            return replace(table, partitioned_by=self.names())
        if word == "WITH":
            if table.options:
                self.fail(
                    "WITH stands twice", self.since(self.index - 1), hint="write all options in one WITH (…)"
                )
            return replace(table, options=self.options())
        if word == "LIKE":
            return replace(table, like=self._like())
        query = self.query()
        return replace(table, query=query)

    def _columns(self, table: CreateTable) -> CreateTable:
        self.expect("(")
        columns: list[ColumnDef] = []
        while True:
            if self.at("WATERMARK"):
                if table.watermark is not None:
                    self.fail("a table has one watermark", self.here())
                table = replace(table, watermark=self._watermark())
            elif self.at("FOREIGN", "CHECK", "INDEX") or (self.at("KEY") and self.ahead() == "("):
                self.fail(f"{self.kind} is not supported", self.here(), hint="filter with WHERE: nothing is enforced")
            elif self.at_name() and self.ahead() in ("KEY", "FOR"):
                self._no_column()
            elif self.at("PRIMARY", "CONSTRAINT", "UNIQUE"):
                table = self._key(table, self._constraint())
            else:
                column, key = self._column_definition()
                if any(c.name == column.name for c in columns):
                    self.fail(f'column "{column.name}" is declared twice', column.span)
                columns.append(column)
                table = self._key(table, (Name((column.name,), column.span),)) if key else table
            if not self.take(","):
                break
        self.expect(")", hint=f"is a comma missing before {self.found()}?" if self.at_name() else None)
        return replace(table, columns=tuple(columns))

    def _no_column(self) -> NoReturn:
        """A column of the type KEY or FOR: a word of the language is misspelt."""
        self._try(("PRIMARY", "CONSTRAINT", "UNIQUE", "WATERMARK"))
        self.unexpected("a column, PRIMARY KEY or WATERMARK FOR")

    def _key(self, table: CreateTable, key: tuple[Name, ...]) -> CreateTable:
        if table.primary_key:
            self.fail(
                "a table has one primary key", key[0].span, hint="write PRIMARY KEY (a, b) NOT ENFORCED"
            )
        return replace(table, primary_key=key)

    def _column_definition(self) -> tuple[ColumnDef, bool]:
        """A column, and whether it is the primary key."""
        start = self.index
        if self.kind in RESERVED and self.ahead() in TYPE_WORDS:
            self.fail(f"expected a column but found {self.found()}", self.here(),
                      hint=f"{self.found()} is a reserved word: write `{self.token.text}` to use it as a name")
        name = self.identifier("a column").name
        span = self.since(start)
        key = False
        if self.take("AS"):
            column = ColumnDef(name, span, "computed", expression=self.expression())
        else:
            column = ColumnDef(name, span, "physical", type=self.type())
            if self.take("METADATA"):
                source = self.string() if self.take("FROM") else ""
                column = replace(column, kind="metadata", metadata_key=source, virtual=self.take("VIRTUAL"))
            key = self.inline_key()
            if self.take("NOT", "NULL") and column.type is not None:
                column = replace(column, type=column.type.not_null())
        if self.at("DEFAULT", "REFERENCES", "CHECK", "UNIQUE"):
            self.fail(
                f"a column has no {self.kind}", self.here(), hint="constraints are not enforced; filter rows"
            )
        if self.take("COMMENT"):
            column = replace(column, comment=self.string())
        return column, key

    def inline_key(self) -> bool:
        """`PRIMARY KEY NOT ENFORCED` after a column's type."""
        start = self.index
        if self.take("CONSTRAINT"):
            self.identifier("a constraint")
        if not self.take("PRIMARY", "KEY"):
            return False
        self._not_enforced(start)
        return True

    def _constraint(self) -> tuple[Name, ...]:
        start = self.index
        if self.take("CONSTRAINT"):
            self.identifier("a constraint")
        if self.at("UNIQUE"):
            self.fail("UNIQUE is not supported", self.here(), hint="write PRIMARY KEY (…) NOT ENFORCED")
        self.expect("PRIMARY", "KEY")
        key = self.names()
        self._not_enforced(start)
        return key

    def _not_enforced(self, start: int) -> None:
        if self.take("NOT", "ENFORCED"):
            return
        self.fail(
            "a primary key is not enforced",
            self.since(start),
            hint="write PRIMARY KEY (…) NOT ENFORCED: the data is trusted to have distinct keys",
        )

    def _watermark(self) -> WatermarkDef:
        start = self.index
        how = "write WATERMARK FOR ts AS ts - INTERVAL '5' SECOND"
        self.expect("WATERMARK", "FOR", hint=how)
        column = self.identifier("a time column")
        if self.at("."):
            self.fail(
                "a watermark is for a column of the table",
                self.here(),
                hint="declare the field as a column: ts AS r.ts",
            )
        self.expect("AS", hint=how)
        expression = self.expression()
        return WatermarkDef(column.name, expression, self.since(start))

    def _like(self) -> LikeClause:
        table = self.qualified("a table")
        if not self.take("("):
            return LikeClause(table)
        choices: list[tuple[Literal["including", "excluding", "overwriting"], str]] = []
        hows: dict[str, Literal["including", "excluding", "overwriting"]] = {
            "INCLUDING": "including",
            "EXCLUDING": "excluding",
            "OVERWRITING": "overwriting",
        }
        while not self.at(")"):
            how = self.expect_any(*hows)
            choices.append((hows[how], self.expect_any(*_LIKE_WHAT).lower()))
        self.expect(")")
        return LikeClause(table, tuple(choices))

    def options(self) -> tuple[OptionDef, ...]:
        """`('key' = 'value', …)`; keys and simple values may do without quotes."""
        self.expect("(", hint="write WITH ('key' = 'value', …)")
        found: list[OptionDef] = []
        while not self.at(")"):
            if found:
                self.expect(",")
            option = self._option_definition()
            if any(o.key == option.key for o in found):
                self.fail(f'option "{option.key}" is given twice', option.key_span)
            found.append(option)
        self.expect(")")
        return tuple(found)

    def _option_definition(self) -> OptionDef:
        start = self.index
        key = self.option_key()
        key_span = self.since(start)
        self.expect("=", hint="write 'key' = 'value'")
        start = self.index
        return OptionDef(key, self.option_value(), key_span, self.since(start))

    def option_key(self) -> str:
        """`'scan.startup.mode'` or `scan.startup.mode`."""
        if self.at("'"):
            return self.string()
        start = self.index
        while self.kind[:1].isalpha() or self.at("_", "`", "-", ".", "0") or self.kind[:1] == "_":
            self.index += 1
        if self.index == start:
            self.unexpected("an option", hint=self._slip() or "write 'key' = 'value'")
        return self.text(self.since(start))

    def option_value(self) -> str:
        if self.at("'"):
            return self.string()
        start = self.index
        self.take("-")
        if not (self.at("0", "TRUE", "FALSE") or self.at_name()):
            self.unexpected("a value as a string")
        self.index += 1
        return self.text(self.since(start))

    def drop(self) -> Statement:
        start = self.index
        self.expect("DROP")
        temporary = self.take("TEMPORARY")
        if self.at("CATALOG", "DATABASE", "MODEL", "CONNECTION"):
            self._not_dropped()
        if self.take("MATERIALIZED"):
            kept: Kind = "MATERIALIZED VIEW" if self.expect_any("TABLE", "VIEW") == "VIEW" else "MATERIALIZED TABLE"
        else:
            if self.at_name() and self.ahead() in (";", ""):
                self.unexpected('"TABLE", "VIEW" or "FUNCTION"', hint=f"write DROP TABLE {self.token.text}")
            word = self.expect_any("TABLE", "VIEW", "FUNCTION", "STREAM", "SOURCE", "SINK")
            kinds: dict[str, Kind] = {"VIEW": "VIEW", "FUNCTION": "FUNCTION"}
            kept = kinds.get(word, "TABLE")
        exists = self.take("IF", "EXISTS")
        name = self.qualified()
        return Drop(self.source, self.since(start), kept, name, exists, temporary)

    def _not_dropped(self) -> NoReturn:
        self.fail(
            f"DROP {self.kind} is not supported", self.here(), hint="tables, views and functions are dropped"
        )


def _kafka_style(table: CreateTable) -> bool:
    return any(o.key.lower() == "kafka_topic" for o in table.options)

"""Scripts: statements between semicolons, each read into a dataclass of `statements.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NoReturn

from sqlglot import exp

from streamsql.errors import ParseError, Source, Span, SQLError, nearest
from streamsql.sql import habits, materialized
from streamsql.sql.foreign import ForeignRules
from streamsql.sql.habits import STATEMENTS
from streamsql.sql.literals import interval_value
from streamsql.sql.statements import (
    CreateTable,
    Describe,
    Explain,
    Insert,
    Name,
    OptionDef,
    Reset,
    Select,
    Set,
    Show,
    Statement,
    StatementSet,
    StopJob,
)
from streamsql.sql.types import interval_type_of
from streamsql.sql.unsupported import SHOWN, UNSUPPORTED

Emit = tuple[Literal["", "final", "changes", "every"], int]
_QUERY_WORDS = ("SELECT", "WITH", "VALUES", "(", "TABLE")


class ScriptRules(ForeignRules):
    """The rules of whole statements."""

    def script(self) -> list[Statement]:
        found: list[Statement] = []
        while self.kind:
            if self.take(";"):
                continue
            found.append(self.statement())
            if self.kind and not self.at(";"):
                self.unexpected('";" or the end of the statement')
        return found

    def statement(self) -> Statement:
        rule = _STATEMENTS.get(self.kind)
        if rule is not None:
            return rule(self)
        if self.kind in _QUERY_WORDS:
            return self._select_statement()
        return self._no_statement()

    def _no_statement(self) -> NoReturn:
        if self.kind in UNSUPPORTED:
            what, hint = UNSUPPORTED[self.kind]
            self.fail(f"{what} is not supported", self.here(), hint=hint)
        if self.kind in STATEMENTS:
            self.fail(f"expected a statement but found {self.found()}", self.here(),
                      hint=f"write {STATEMENTS[self.kind]}")
        words = [*_STATEMENTS, "SELECT", "WITH", "VALUES"]
        near = nearest(self.token.text, words)
        self.fail(
            f"expected a statement but found {self.found()}",
            self.here(),
            hint=f'did you mean "{near}"?' if near else f"statements begin with {', '.join(sorted(words))}",
        )

    def _select_statement(self) -> Select:
        start = self.index
        query = self.query()
        emit, every_ms = self.emission()
        return Select(self.source, self.since(start), query, emit, every_ms)

    def emission(self) -> Emit:
        """`EMIT FINAL`, `EMIT ON WINDOW CLOSE`, `EMIT CHANGES`, `EMIT EVERY INTERVAL …`."""
        if not self.take("EMIT"):
            return "", 0
        if self.take("FINAL") or self.take("ON", "WINDOW", "CLOSE"):
            return "final", 0
        if self.take("CHANGES"):
            return "changes", 0
        if not self.take("EVERY"):
            self.unexpected('"FINAL", "ON WINDOW CLOSE", "CHANGES" or "EVERY"')
        start = self.index
        if not self.at("INTERVAL"):
            self.unexpected('"INTERVAL"')
        interval = self.expression()
        if not isinstance(interval, exp.Interval) or interval_type_of(
            interval.args["unit"].name
        ).root.endswith("MONTH"):
            self.fail(
                "EMIT EVERY takes an interval of days to seconds",
                self.since(start),
                hint="write EMIT EVERY INTERVAL '5' SECOND",
            )
        every_ms = interval_value(interval) // 1000
        if every_ms <= 0:
            self.fail("EMIT EVERY takes a positive interval", self.since(start))
        return "every", every_ms

    def _create(self) -> Statement:
        if materialized.comes(self):
            return materialized.create(self, self.index)
        made = self.create()
        if isinstance(made, CreateTable):
            self.no_emit("CREATE TABLE", "create the table, then INSERT INTO it SELECT … EMIT …")
        return made

    def _insert(self) -> Insert:
        start = self.index
        self.expect("INSERT")
        if not self.at("INTO", "OVERWRITE"):
            self.unexpected('"INTO"', hint="write INSERT INTO t SELECT …")
        overwrite = self.expect_any("INTO", "OVERWRITE") == "OVERWRITE"
        self.take("TABLE")
        name = self.qualified("a table")
        options = self._hint_options()
        if self.at("PARTITION"):
            self.fail("INSERT has no PARTITION", self.here(), hint="select the value as a column")
        columns: tuple[Name, ...] = ()
        if self.at("(") and self.ahead() not in _QUERY_WORDS:
            columns = self.names()
        if not self.at(*_QUERY_WORDS):
            self.unexpected("a query", hint="write INSERT INTO t SELECT …, or VALUES (…)")
        query = self.query()
        emit, every_ms = self.emission()
        return Insert(
            self.source, self.since(start), name, columns, query, overwrite, options, emit, every_ms, self._conflict()
        )

    def _conflict(self) -> Literal["", "deduplicate"]:
        if not self.at("ON"):
            return ""
        self.expect("ON", "CONFLICT", "DO")
        if not self.at("DEDUPLICATE"):
            self.fail("ON CONFLICT only knows DO DEDUPLICATE here", self.here(),
                      hint="it keeps all rows of a key, and gives the last of them")
        self.expect("DEDUPLICATE")
        return "deduplicate"

    def _hint_options(self) -> tuple[OptionDef, ...]:
        if not self.at("/*+"):
            return ()
        pairs = self.options_hint().expressions
        return tuple(
            OptionDef(p.this.name, p.expression.name, _placed(p.this), _placed(p.expression)) for p in pairs
        )

    def _execute(self) -> Statement:
        start = self.index
        self.expect("EXECUTE")
        if self.at("PLAN"):
            self.fail("EXECUTE PLAN is not supported", self.here(), hint="run the script itself")
        if not self.at("STATEMENT"):
            return self.statement()
        self.expect("STATEMENT", "SET", "BEGIN")
        return self._statement_set(start)

    def _begin(self) -> Statement:
        start = self.index
        self.expect("BEGIN", "STATEMENT", "SET", ";")
        return self._statement_set(start)

    def _statement_set(self, start: int) -> StatementSet:
        inserts: list[Insert] = []
        while not self.at("END"):
            if self.take(";"):
                continue
            if not self.at("INSERT"):
                self.unexpected('"INSERT" or "END"', hint="a statement set holds INSERT statements")
            inserts.append(self._insert())
            if not self.at("END"):
                self.expect(";")
        self.expect("END")
        if not inserts:
            self.fail("a statement set holds at least one INSERT", self.since(start))
        return StatementSet(self.source, self.since(start), tuple(inserts))

    def _explain(self) -> Explain:
        start = self.index
        self.expect("EXPLAIN")
        options: list[str] = []
        if self.take("PLAN", "FOR"):
            options.append("PLAN FOR")
        elif self.take("ANALYZE"):
            options.append("ANALYZE")
        else:
            words = ("ESTIMATED_COST", "CHANGELOG_MODE", "JSON_EXECUTION_PLAN", "PLAN_ADVICE")
            while self.at(*words):
                options.append(self.expect_any(*words))
                if not self.take(","):
                    break
        begin = self.index
        if self.take("STATEMENT", "SET", "BEGIN"):
            inner: Statement = self._statement_set(begin)
        elif self.at(*_QUERY_WORDS, "INSERT", "EXECUTE", "CREATE"):
            inner = self.statement()
        else:
            self.unexpected("a query, INSERT or a statement set", hint="write EXPLAIN SELECT … or EXPLAIN INSERT …")
        return Explain(self.source, self.since(start), inner, tuple(options))

    def _describe(self) -> Describe:
        start = self.index
        self.expect_any("DESCRIBE", "DESC")
        if self.at("JOB", "CATALOG", "DATABASE", "MODEL", "CONNECTION") and self.ahead() not in (
            ";",
            "",
            ".",
        ):
            self.fail(
                f"DESCRIBE {self.kind} is not supported", self.here(), hint="see SHOW TABLES and SHOW JOBS"
            )
        function = self.at("FUNCTION")
        self.take("FUNCTION")
        extended = self.take("EXTENDED")
        name = self.qualified("a function" if function else "a table")
        return Describe(self.source, self.since(start), "FUNCTION" if function else "TABLE", name, extended)

    def _show(self) -> Show:
        start = self.index
        self.expect("SHOW")
        name: Name | None = None
        if self.take("CREATE"):
            word = self.expect_any("TABLE", "VIEW", "MATERIALIZED")
            word += f" {self.expect_any('TABLE', 'VIEW')}" if word == "MATERIALIZED" else ""
            what, name = f"CREATE {word}", self.qualified(f"a {word.lower()}")
        else:
            if self.take("MATERIALIZED"):
                user = "MATERIALIZED "
                if not self.at("TABLES", "VIEWS"):
                    self.unexpected('"TABLES" or "VIEWS"')
            else:
                user = "USER " if self.at_all("USER", "FUNCTIONS") and self.take("USER") else ""
            if not self.at(*SHOWN):
                known = habits.SHOWN.get(self.kind)
                hint = f"write {known}" if known else UNSUPPORTED["SHOW"][1]
                self.unexpected(f"one of {', '.join(SHOWN)}", hint=hint)
            what = user + self.kind
            self.index += 1
            if what == "COLUMNS":
                self.expect_any("FROM", "IN")
                name = self.qualified("a table")
        like = None
        if self.at("NOT") and self.ahead() in ("LIKE", "ILIKE"):
            self.fail("SHOW has no NOT LIKE", self.here(), hint="write LIKE 'pattern'")
        if self.take("LIKE"):
            like = self.string()
        return Show(self.source, self.since(start), what, name, like)

    def _set(self) -> Set:
        start = self.index
        self.expect("SET")
        if not self.kind or self.at(";"):
            return Set(self.source, self.since(start))
        key = self.option_key()
        self.expect("=", hint="write SET 'key' = 'value'")
        value = self.option_value()
        if self.kind and not self.at(";"):
            self.unexpected("the end of the statement", hint="write SET 'key' = 'value', the value in quotes")
        return Set(self.source, self.since(start), key, value)

    def _reset(self) -> Reset:
        start = self.index
        self.expect("RESET")
        key = None if not self.kind or self.at(";") else self.option_key()
        return Reset(self.source, self.since(start), key)

    def _stop(self) -> StopJob:
        start = self.index
        self.expect("STOP", "JOB")
        job = self.string("a job as a string")
        if self.at("WITH"):
            self.fail("STOP JOB has no WITH", self.here(), hint="a stopped job always keeps its state")
        return StopJob(self.source, self.since(start), job)


_STATEMENTS: dict[str, Callable[[ScriptRules], Statement]] = {
    "CREATE": ScriptRules._create,
    "DROP": ScriptRules.drop,
    "INSERT": ScriptRules._insert,
    "EXECUTE": ScriptRules._execute,
    "BEGIN": ScriptRules._begin,
    "EXPLAIN": ScriptRules._explain,
    "DESCRIBE": ScriptRules._describe,
    "DESC": ScriptRules._describe,
    "SHOW": ScriptRules._show,
    "SET": ScriptRules._set,
    "RESET": ScriptRules._reset,
    "STOP": ScriptRules._stop,
}


def parse(source: Source) -> list[Statement]:
    """The statements of a script, in canonical form.

    Raises ParseError or SQLTypeError, with span and source, at the first place that is not the language.
    """
    try:
        return ScriptRules(source).script()
    except RecursionError:
        span = Span(0, len(source.text.split("\n")[0]))
        raise ParseError(
            "the script is nested too deeply", span, source=source, hint="split the expression with views"
        ) from None
    except SQLError as error:
        raise error.located(source) from None


def parse_trees(source: Source) -> list[exp.Expression]:
    """What `sqlglot.parse(sql, read="streamsql")` returns: queries as trees, other statements as Command-free
    `exp.Expression` wrappers around their dataclass."""
    from streamsql.sql.tree import StatementTree

    statements = parse(source)
    return [s.query if isinstance(s, Select) else StatementTree(statement=s) for s in statements]


def _placed(tree: exp.Expr) -> Span:
    return Span(tree.meta["start"], tree.meta["end"] + 1)

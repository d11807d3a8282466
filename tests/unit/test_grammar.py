"""The grammar is the language: statements generated from it parse, its words are the dialect's keywords."""

from __future__ import annotations

import ast
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from lark import Lark
from lark.grammar import NonTerminal, Rule, Terminal
from lark.lexer import PatternStr

from streamsql.errors import Source, SQLError
from streamsql.sql import KEYWORDS, canonical, functions, parse, types, unsupported
from streamsql.sql.statements import Select, Statement

ROOT = Path(__file__).parents[2]
GRAMMAR = Lark((ROOT / "grammar" / "streamsql.lark").read_text(), parser="earley", maybe_placeholders=False)
LITERAL = {t.name: t.pattern.value for t in GRAMMAR.terminals if isinstance(t.pattern, PatternStr)}
STATEMENTS = 100
DEPTH = 30
SIZE = 12

# The choices that context decides: the parser refuses them at random, so cases stand for them.
CASES = {
    "window columns": "SELECT TUMBLE_END(ts, INTERVAL '1' DAY) FROM t GROUP BY TUMBLE(ts, INTERVAL '1' DAY)",
    "OVER w": "SELECT SUM(v) OVER w FROM t WINDOW w AS (PARTITION BY k ORDER BY ts)",
    "QUALIFY": "SELECT k FROM t QUALIFY ROW_NUMBER() OVER (PARTITION BY k ORDER BY v) = 1",
}


# Words that the parser knows only to say what to write instead, and words of its own trees.
REFUSED = frozenset("""
    ALTER ANTI BITMAP BLOB CATALOG CHECK CLOB CONNECTION CORRESPONDING DATABASE DATETIME DISTRIBUTED
    EXCLUDE FOREIGN GRACE INDEX JAVA MINUS MODEL PIVOT RAW REAL RECURSIVE REFERENCES RENAME
    RETENTION SCALA SEMI SYMBOL SYSTEM TABLESAMPLE TOP UNIQUE UNPIVOT UUID
""".split())  # noqa: SIM905
INTERNAL = frozenset("""
    IS_JSON ON_EMPTY ON_ERROR ON_NULL START END ROWTIME PROCTIME WINDOWSTART WINDOWEND VAR
""".split())  # noqa: SIM905


class Sampler:
    """Draws statements from the rules: at random while they are small, then by the shortest way out."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rules: dict[str, list[Rule]] = {}
        for rule in GRAMMAR.rules:
            self.rules.setdefault(rule.origin.name, []).append(rule)
        self.height = self._heights()
        self.used: Counter[Rule] = Counter()
        self.names = 0
        self.size = 0

    def _heights(self) -> dict[str, int]:
        """For each rule the depth of its shallowest sentence."""
        height: dict[str, int] = {}
        changed = True
        while changed:
            changed = False
            for name, rules in self.rules.items():
                known = [self._height(r, height) for r in rules]
                least = min((h for h in known if h is not None), default=None)
                if least is not None and least < height.get(name, 10_000):
                    height[name], changed = least, True
        return height

    @staticmethod
    def _height(rule: Rule, height: dict[str, int]) -> int | None:
        parts = [height.get(s.name) if isinstance(s, NonTerminal) else 0 for s in rule.expansion]
        known = [p for p in parts if p is not None]
        return 1 + max(known, default=0) if len(known) == len(parts) else None

    def draw(self, name: str, depth: int, path: tuple[Rule, ...] = ()) -> list[str]:
        """A sentence of rule `name`; where `path` says which production, that one."""
        rule = path[0] if path else self._choice(name, depth)
        self.used[rule] += 1
        self.size += sum(isinstance(s, Terminal) for s in rule.expansion)
        rest = path[1:]
        parts: list[str] = []
        for symbol in rule.expansion:
            if isinstance(symbol, Terminal):
                parts.append(self.word(symbol))
                continue
            follows = bool(rest) and symbol.name == rest[0].origin.name
            parts += self.draw(symbol.name, depth - 1, rest if follows else ())
            rest = () if follows else rest
        return parts

    def _choice(self, name: str, depth: int) -> Rule:
        rules = self.rules[name]
        if depth <= 0 or self.size > SIZE:
            least = min(h for r in rules if (h := self._height(r, self.height)) is not None)
            rules = [r for r in rules if self._height(r, self.height) == least]
        return self.random.choice(rules)

    def paths(self) -> dict[Rule, tuple[Rule, ...]]:
        """For each production the shortest chain of productions from `statement` to it."""
        found: dict[Rule, tuple[Rule, ...]] = {}
        queue: list[tuple[str, tuple[Rule, ...]]] = [("statement", ())]
        seen = {"statement"}
        for name, path in queue:
            for rule in self.rules[name]:
                found[rule] = (*path, rule)
                for symbol in rule.expansion:
                    if isinstance(symbol, NonTerminal) and symbol.name not in seen:
                        seen.add(symbol.name)
                        queue.append((symbol.name, (*path, rule)))
        return found

    def word(self, terminal: Terminal) -> str:
        if terminal.name in LITERAL:
            return LITERAL[terminal.name]
        self.names += 1
        pick = self.random.choice
        made: dict[str, Callable[[], str]] = {
            "NAME": lambda: pick(["k", "v", "ts", "`a b`", "`select`", "t1", "window_start", "first"]),
            "NEW_NAME": lambda: f"c{self.names}",
            "FUNCTION_NAME": lambda: pick(["SUM", "abs", "MyFunction", "LEFT", "IF", "COALESCE", "LISTAGG"]),
            "STRING": lambda: pick(["'a'", "'it''s'", "''", "'-- no comment'", "'1'"]),
            "NEW_STRING": lambda: f"'key.{self.names}'",
            "POSITIVE": lambda: "'5'",
            "UNICODE_STRING": lambda: "U&'!0041 b'",
            "ESCAPE_MARK": lambda: "'!'",
            "HEX_STRING": lambda: pick(["X'00ff'", "x''"]),
            "BODY": lambda: "$$def f(x): return 'it;'$$",
            "NUMBER": lambda: pick(["0", "12", "1.5", "1.", ".5", "1e3", "2.5E-3"]),
            "INTEGER": lambda: pick(["1", "10"]),
            "PRECISION_NUMBER": lambda: "12",
            "SCALE_NUMBER": lambda: "3",
        }
        return made[terminal.name]()

    def statement(self, path: tuple[Rule, ...] = ()) -> str:
        self.size = 0
        return " ".join(self.draw("statement", DEPTH, path))


def parsed(text: str) -> Statement:
    try:
        return parse(Source(text))[0]
    except SQLError as error:
        start = error.span.start if error.span else 0
        pytest.fail(f"{text}\n{error.message} {error.hint} before: {text[start:start + 60]}", pytrace=False)


def assert_round_trip(text: str) -> None:
    """The text parses, and what is written back means the same."""
    before = parsed(text)
    after = parsed(canonical(before))
    assert canonical(after) == canonical(before)
    if isinstance(before, Select) and isinstance(after, Select):
        assert before.query == after.query


def test_random_statements_parse() -> None:
    sampler = Sampler(seed=20_240_229)
    for _ in range(STATEMENTS):
        assert_round_trip(sampler.statement())


def test_every_production_has_a_statement_that_parses() -> None:
    sampler = Sampler(seed=7)
    for path in sampler.paths().values():
        parsed(sampler.statement(path))
    unused = [r for rules in sampler.rules.values() for r in rules
              if not sampler.used[r] and not r.origin.name.strip("_").startswith("start")]
    assert unused == []


@pytest.mark.parametrize("text", CASES.values(), ids=CASES.keys())
def test_choices_of_context_parse(text: str) -> None:
    assert parse(Source(text))


def test_a_script_is_statements_between_semicolons() -> None:
    for script in ("SET 'a' = 'b'; SHOW TABLES;", ";SET 'a' = 'b';; SHOW TABLES"):
        assert len(parse(Source(script))) == 2


def grammar_words() -> set[str]:
    return {v for v in LITERAL.values() if re.fullmatch(r"[A-Z][A-Z_0-9]*", v)}


def test_words_of_the_grammar_are_the_keywords() -> None:
    assert grammar_words() - KEYWORDS == set(), "in the grammar alone"
    assert KEYWORDS - grammar_words() == set(), "in KEYWORDS alone"


def test_words_of_the_rules_are_the_keywords() -> None:
    """Each word that a rule of the parser compares with is a keyword, or one that is only refused."""
    found: set[str] = set()
    for module in ("calls", "special_calls", "ddl", "expressions", "foreign", "materialized", "queries", "relations",
                   "script", "sugar", "types"):
        tree = ast.parse((ROOT / "streamsql" / "sql" / f"{module}.py").read_text())
        found |= {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
                  and re.fullmatch(r"[A-Z][A-Z_]+[A-Z]", n.value)}
    known = KEYWORDS | REFUSED | functions.NILADIC | functions.TIME_UNITS | {*unsupported.SHOWN}
    assert found - known - INTERNAL == set()
    assert {*types.TYPE_WORDS} <= KEYWORDS
    assert not KEYWORDS & REFUSED

"""What may come next in half-written SQL: a pure function of the text, the cursor and the names known.

Built after litecli's completion engine: find the statement, the word being typed and the last word
that decides what is expected, then offer the names and words that fit there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from streamsql.shell import words
from streamsql.shell.tokens import Token, tokenize
from streamsql.sql.keywords import RESERVED

SuggestionKind = Literal["column", "table", "function", "keyword", "setting", "option"]


@dataclass(frozen=True, slots=True)
class Names:
    """What the session knows: tables with their columns, functions, settings, options by connector."""

    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    functions: Sequence[str] = ()
    settings: Sequence[str] = ()
    options: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`text` replaces what stands between `start` and the cursor."""

    text: str
    start: int
    kind: SuggestionKind


@dataclass(frozen=True, slots=True)
class Place:
    """Where the cursor stands.

    before     the statement's tokens before the word being typed, comments left out
    statement  all tokens of the statement, also those behind the cursor
    word       what is typed of the word, with an opening quote if there is one
    start      where the word starts
    """

    before: Sequence[Token]
    statement: Sequence[Token]
    word: str
    start: int

    def last(self, back: int = 1) -> str:
        """The last, last but one … token as an upper-case word or a mark; '' when it is neither."""
        if len(self.before) < back:
            return ""
        token = self.before[-back]
        return token.text if token.kind == "mark" else token.upper


Offer = tuple[SuggestionKind, Iterable[str]]


def suggest(text: str, cursor: int, names: Names) -> list[Suggestion]:
    """What may stand at `cursor` and begins with (or, for names, contains) the word typed there."""
    place = locate(text, cursor)
    if place is None:
        return []
    found: list[Suggestion] = []
    seen: set[str] = set()
    for kind, candidates in _offers(place, names):
        for inserted in _matching(kind, candidates, place.word):
            if inserted.lower() not in seen:
                seen.add(inserted.lower())
                found.append(Suggestion(inserted, place.start, kind))
    return found


def locate(text: str, cursor: int) -> Place | None:
    """The statement and the word at the cursor; None inside a comment."""
    left = tokenize(text[:cursor])
    if left and left[-1].kind == "comment" and left[-1].open and left[-1].end == cursor:
        return None
    word, start = "", cursor
    if left and left[-1].end == cursor and (left[-1].kind == "word" or left[-1].open):
        typed = left.pop()
        word, start = typed.text, typed.start
    before = _after_last_end([t for t in left if t.kind != "comment"])
    behind = [t for t in tokenize(text[cursor:]) if t.kind != "comment"]
    ends = (i for i, t in enumerate(behind) if t.text == ";")
    return Place(before, [*before, *behind[:next(ends, len(behind))]], word, start)


def _after_last_end(tokens: list[Token]) -> list[Token]:
    """The tokens of the last statement; inside STATEMENT SET, those behind BEGIN."""
    for index in range(len(tokens) - 1, -1, -1):
        if tokens[index].text == ";" or (tokens[index].upper == "BEGIN" and _in_set(tokens[:index])):
            return tokens[index + 1:]
    return tokens


def _in_set(tokens: list[Token]) -> bool:
    return bool(tokens) and tokens[-1].upper == "SET"


def _offers(place: Place, names: Names) -> Iterator[Offer]:
    """What fits at a place, the likeliest first."""
    first = place.before[0].upper if place.before else ""
    if place.word.startswith("'"):
        yield from _inside_string(place, names, first)
    elif not place.before:
        yield "keyword", words.STATEMENTS
    elif place.last() == ".":
        known = _columns_of(place.before[-2].name, place, names) if len(place.before) > 1 else ()
        yield "column", known or (_columns(place, names) if _in_match(place.before) is not None else ())
    elif first == "STOP" and len(place.before) > 1:
        return
    elif first in ("SET", "RESET"):
        if len(place.before) == 1:
            yield "setting", (f"'{key}'" for key in names.settings)
    elif place.last() in words.AFTER and not _defines_columns(place.before):
        yield "keyword", words.AFTER[place.last()]
        if place.last() in ("LEFT", "RIGHT", "IF"):
            yield "function", (f for f in names.functions if f.upper() == place.last())
    elif place.last() in ("AS", ">") and _inside_cast(place.before):
        yield "keyword", words.TYPES
    elif place.before[-1].kind == "string" and place.last(2) == "INTERVAL":
        yield "keyword", words.UNITS
    elif _defines_columns(place.before):
        yield from _column_definition(place)
    elif _expects_table(place.before):
        yield from _tables(place, names)
    elif _in_match(place.before) is not None:
        yield from _match(place, names)
    else:
        yield from _expression(place, names)


def _inside_string(place: Place, names: Names, first: str) -> Iterator[Offer]:
    if first in ("SET", "RESET") and len(place.before) == 1:
        yield "setting", (f"'{key}'" for key in names.settings)
    elif _in_options(place.before):
        if place.last() in ("(", ","):
            yield "option", (f"'{key}'" for key in _option_keys(place, names))
        elif place.last() == "=" and place.before[-2].text == "'connector'":
            yield "option", (f"'{name}'" for name in names.options)


def _in_options(tokens: Sequence[Token]) -> bool:
    opening = _opening(tokens)
    return opening is not None and opening > 0 and tokens[opening - 1].upper == "WITH"


def _option_keys(place: Place, names: Names) -> Iterable[str]:
    """The options of the connector that the statement names, or all; those set already left out."""
    texts = [t.text for t in place.statement]
    pairs = {texts[i].strip("'"): texts[i + 2].strip("'")
             for i in range(len(texts) - 2) if texts[i + 1] == "="}
    connector = pairs.get("connector")
    known = ["connector", "format", *names.options.get(connector or "", ())]
    return (key for key in dict.fromkeys(known) if key not in pairs)


def _tables(place: Place, names: Names) -> Iterator[Offer]:
    yield "table", [*_ctes(place.statement), *names.tables]
    if place.last() in ("FROM", "JOIN"):
        yield "keyword", ("TABLE(", "LATERAL TABLE(")
    if place.last() == "(":
        yield "keyword", ("TABLE", "SELECT")
    if place.last() in ("TABLE", "VIEW") and place.before[0].upper in ("CREATE", "DROP"):
        yield "keyword", ("IF EXISTS",) if place.before[0].upper == "DROP" else ("IF NOT EXISTS",)
    if _is_window_call(place.before):
        yield "keyword", (f"{name}(" for name in words.WINDOW_FUNCTIONS)


def _expression(place: Place, names: Names) -> Iterator[Offer]:
    clause = _clause(place.before)
    if _operand_ended(place.before):
        yield "keyword", words.CLAUSES.get(clause, words.CLAUSES["WHERE"])
        if clause == "CREATE":
            yield "keyword", words.AFTER_COLUMNS
        return
    if clause == "INTO":
        yield "keyword", words.CLAUSES["INTO"]
        yield "column", _columns_of(_target(place.before), place, names)
        return
    yield "column", _columns(place, names)
    if place.last() == "(" and place.last(2) == "DESCRIPTOR":
        return
    yield "function", (f"{name}(" for name in names.functions)
    if place.last() != ".":
        yield "keyword", words.EXPRESSION_START
    if clause == "GROUP":
        yield "keyword", words.GROUPING
    if place.last() in ("(", "AS"):
        yield "keyword", ("SELECT",)
    if _opening(place.before) is not None:
        yield "keyword", ("DESCRIPTOR(",)


def _in_match(tokens: Sequence[Token]) -> int | None:
    """Where the parenthesis of MATCH_RECOGNIZE that is open at the end stands, be there others inside it."""
    opening = _opening(tokens)
    while opening is not None and tokens[opening - 1].upper != "MATCH_RECOGNIZE":
        opening = _opening(tokens[:opening])
    return opening


def _match(place: Place, names: Names) -> Iterator[Offer]:
    """Inside MATCH_RECOGNIZE: the clauses that may still come, and values of rows."""
    opening = _in_match(place.before)
    inside = place.before[opening or 0:]
    used = [i for i, clause in enumerate(words.MATCH) if any(t.upper == clause.split()[0] for t in inside)]
    if place.last(2) == "MATCH_RECOGNIZE" or _operand_ended(place.before):
        yield "keyword", words.MATCH[max(used, default=-1) + 1:]
        if "MEASURES" in (t.upper for t in inside):
            yield "keyword", ("AS", *words.OPERATORS[:-1])
        return
    yield "column", _columns(place, names)
    if "MEASURES" in (t.upper for t in inside):
        yield "keyword", words.MATCH_VALUES
    yield "function", (f"{name}(" for name in names.functions)


def _column_definition(place: Place) -> Iterator[Offer]:
    """Inside the parentheses of CREATE TABLE: a name, then a type, then the rest."""
    last = place.last()
    opening = _opening(place.before)
    since = len(place.before) - 1 - max(
        (i for i, t in enumerate(place.before) if t.text == "," or i == opening), default=-1)
    if last in ("(", ","):
        yield "keyword", words.COLUMN_START
    elif last in words.AFTER:
        yield "keyword", words.AFTER[last]
    elif since == 1:
        yield "keyword", (*words.TYPES, "AS")
    else:
        yield "keyword", words.COLUMN_REST


def _defines_columns(tokens: Sequence[Token]) -> bool:
    """In the column list of CREATE TABLE, at its own level."""
    opening = _opening(tokens)
    if opening is None or opening < 3 or tokens[0].upper != "CREATE":
        return False
    head = tokens[1:opening]
    return (head[-1].kind in ("word", "quoted") and head[-1].upper != "WITH"
            and any(t.upper == "TABLE" for t in head) and not any(t.text == "(" for t in head))


def _expects_table(tokens: Sequence[Token]) -> bool:
    """A table name is due: right after a word that asks for one, or after a comma in FROM."""
    last = tokens[-1]
    if last.upper in words.TABLE_EXPECTED:
        return not (last.upper == "LIKE" and tokens[0].upper != "CREATE")
    if last.text == "(" and len(tokens) > 1:
        return tokens[-2].upper in ("TABLE", *words.WINDOW_FUNCTIONS)
    if last.upper == "EXISTS":
        return tokens[0].upper in ("DROP", "CREATE")
    return last.text == "," and _clause(tokens) == "FROM" and _opening(tokens) is None


def _is_window_call(tokens: Sequence[Token]) -> bool:
    return len(tokens) > 1 and tokens[-1].text == "(" and tokens[-2].upper == "TABLE"


def _operand_ended(tokens: Sequence[Token]) -> bool:
    """The last token completes a value or a name, so an operator or a clause comes next."""
    last = tokens[-1]
    if last.kind in ("quoted", "string", "number") or last.text in (")", "]"):
        return True
    if last.text == "*":
        return len(tokens) > 1 and tokens[-2].upper in ("SELECT", ",", "") and tokens[-2].text in (
            "SELECT", "select", ",", ".")
    return last.kind == "word" and (last.upper not in words.OPERAND_DUE)


def _clause(tokens: Sequence[Token]) -> str:
    """The word that opened the clause around the end: SELECT, FROM, WHERE, GROUP …"""
    depth = 0
    for token in reversed(tokens):
        depth += (token.text == ")") - (token.text == "(")
        if depth < 0:
            depth = 0
        if depth == 0 and token.upper in (*words.CLAUSES, "JOIN", "CREATE"):
            return "FROM" if token.upper == "JOIN" else token.upper
    return ""


def _opening(tokens: Sequence[Token]) -> int | None:
    """The index of the parenthesis that is open at the end."""
    depth = 0
    for index in range(len(tokens) - 1, -1, -1):
        depth += (tokens[index].text == ")") - (tokens[index].text == "(")
        if depth < 0:
            return index
    return None


def _inside_cast(tokens: Sequence[Token]) -> bool:
    opening = _opening(tokens)
    return opening is not None and opening > 0 and tokens[opening - 1].upper in ("CAST", "TRY_CAST")


def _target(tokens: Sequence[Token]) -> str:
    """The table of INSERT INTO."""
    for index, token in enumerate(tokens[:-1]):
        if token.upper == "INTO":
            return tokens[index + 1].name
    return ""


def _ctes(tokens: Sequence[Token]) -> list[str]:
    """Names defined by WITH in the statement."""
    fours = zip(tokens, tokens[1:], tokens[2:], tokens[3:])
    return [name.name for lead, name, as_, opening in fours
            if (lead.upper == "WITH" or lead.text == ",") and name.kind in ("word", "quoted")
            and as_.upper == "AS" and opening.text == "("]


def _scope(tokens: Sequence[Token]) -> dict[str, str]:
    """The tables that the statement reads: alias (or name), as written, to name."""
    scope: dict[str, str] = {}
    for index, token in enumerate(tokens[:-1]):
        if token.upper not in ("FROM", "JOIN", "TABLE", "INTO") and not (
                token.text == "," and _clause(tokens[:index]) == "FROM"):
            continue
        table = tokens[index + 1]
        if table.kind not in ("word", "quoted") or table.upper in ("TABLE", "LATERAL", "SELECT", "IF"):
            continue
        rest = tokens[index + 2:index + 4]
        if rest and rest[0].upper == "AS":
            rest = rest[1:]
        named = rest and rest[0].kind in ("word", "quoted") and rest[0].upper not in RESERVED | {"EMIT"}
        scope[rest[0].name if named else table.name] = table.name
    return scope


def _columns(place: Place, names: Names) -> Iterator[str]:
    """The columns in scope; before any FROM those of every table."""
    scope = _scope(place.statement)
    for table in scope.values() or names.tables:
        yield from _known(table, names.tables)
    if any(t.upper in words.WINDOW_FUNCTIONS for t in place.statement):
        yield from words.WINDOW_COLUMNS
    if len(scope) > 1:
        yield from scope


def _columns_of(alias: str, place: Place, names: Names) -> Sequence[str]:
    by_alias = {written.lower(): table for written, table in _scope(place.statement).items()}
    return _known(by_alias.get(alias.lower(), alias), names.tables)


def _known(table: str, tables: Mapping[str, Sequence[str]]) -> Sequence[str]:
    found = tables.get(table)
    if found is not None:
        return found
    return next((columns for name, columns in tables.items() if name.lower() == table.lower()), ())


def _matching(kind: SuggestionKind, candidates: Iterable[str], word: str) -> list[str]:
    """The candidates that fit what is typed, as they are to be inserted: prefixes, then inner matches."""
    typed = word.lstrip("`\"'").lower()
    starting, inside = [], []
    for candidate in candidates:
        bare = candidate.strip("'").lower()
        if bare.startswith(typed):
            starting.append(_spelled(kind, candidate, word))
        elif kind != "keyword" and len(typed) > 1 and typed in bare:
            inside.append(_spelled(kind, candidate, word))
    if kind in ("column", "table", "function"):
        starting.sort(key=str.lower)
        inside.sort(key=str.lower)
    return starting + inside


def _spelled(kind: SuggestionKind, candidate: str, word: str) -> str:
    """Keywords take the case that is being typed; a name that is not a plain one takes backticks."""
    if kind in ("keyword", "function"):
        return candidate.lower() if word and word == word.lower() and kind == "keyword" else candidate
    if kind in ("column", "table"):
        plain = re.fullmatch(r"[A-Za-z_]\w*", candidate) and candidate.upper() not in RESERVED
        return candidate if plain and not word.startswith("`") else f"`{candidate.replace('`', '``')}`"
    return candidate

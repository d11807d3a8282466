"""A place in the tokens of a source: the verbs that every rule of the grammar is written in.

`kind` of a token is what the grammar compares: a bare word in upper case, a symbol as itself, and
`'` for a string, `` ` `` for a quoted name, `0` for a number, "" for the end of the text.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import NoReturn, TypeVar

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from streamsql.errors import ParseError, Source, Span
from streamsql.sql.habits import PLACES
from streamsql.sql.keywords import NOT_FUNCTIONS, RESERVED
from streamsql.sql.lexer import tokenize
from streamsql.sql.spans import place
from streamsql.sql.statements import Name

Tree = TypeVar("Tree", bound=exp.Expr)

_KINDS = {
    TokenType.STRING: "'",
    TokenType.IDENTIFIER: "`",
    TokenType.NUMBER: "0",
    TokenType.HEX_STRING: "X'",
    TokenType.UNICODE_STRING: "U&'",
    TokenType.NATIONAL_STRING: "N'",
    TokenType.RAW_STRING: "$$",
    TokenType.HINT: "/*+",
    TokenType.NEQ: "<>",
}

_BEFORE_NAMES = ("FROM", "JOIN", "INTO", "TABLE", "AS", ".")
"""Words after which a name stands: it may be like a keyword and is none."""


class Cursor:
    """Reads tokens from left to right; a rule that returns has consumed exactly its own tokens."""

    def __init__(self, source: Source, tokens: list[Token] | None = None) -> None:
        self.source = source
        size = len(source.text)
        end = Token(TokenType.SENTINEL, "", start=size, end=size)
        self.tokens = [*(tokenize(source) if tokens is None else tokens), end]
        self.kinds = [_kind(t, source.text) for t in self.tokens]
        self.index = 0
        self._tried: dict[int, set[str]] = {}

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    @property
    def kind(self) -> str:
        return self.kinds[self.index]

    def ahead(self, count: int = 1) -> str:
        """The kind of a later token."""
        return self.kinds[min(self.index + count, len(self.kinds) - 1)]

    def at(self, *kinds: str) -> bool:
        """Whether the next token is one of `kinds`."""
        return self.kind in self._try(kinds)

    def _try(self, kinds: tuple[str, ...]) -> tuple[str, ...]:
        """Note what could have stood at the next token: a misspelt keyword is one of these words."""
        if self.index not in self._tried:
            before = self._tried.get(self.index - 1)
            self._tried = {self.index - 1: before} if before else {}
        self._tried.setdefault(self.index, set()).update(kinds)
        return kinds

    def at_all(self, *kinds: str) -> bool:
        """Whether the next tokens are `kinds`, in this order."""
        self._try(kinds[:1])
        return all(self.ahead(i) == kind for i, kind in enumerate(kinds))

    def take(self, *kinds: str) -> bool:
        """Consume `kinds` if they come next, in this order; else nothing."""
        found = self.at_all(*kinds)
        if found:
            self.index += len(kinds)
        return found

    def take_any(self, *kinds: str) -> str:
        """Consume one token of `kinds` and return its kind, or return '' and consume nothing."""
        kind = self.kind
        if kind not in self._try(kinds):
            return ""
        self.index += 1
        return kind

    def expect(self, *kinds: str, hint: str | None = None) -> None:
        """Consume `kinds` in this order. Raises ParseError at the first that does not come."""
        for kind in kinds:
            if not self.take(kind):
                self.unexpected(f'"{kind}"', hint=hint)

    def expect_any(self, *kinds: str) -> str:
        kind = self.take_any(*kinds)
        if not kind:
            named = [f'"{k}"' for k in kinds]
            self.unexpected(" or ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named))
        return kind

    def unexpected(self, expected: str, hint: str | None = None) -> NoReturn:
        """Raise the error of this token: what the language wants here, and what stands here."""
        if self.kind == '"':
            self.double_quoted()
        meant = self._misspelt()
        hint = f'did you mean "{meant}"?' if meant else hint or PLACES.get(self.kind) or self._slip()
        self.fail(f"expected {expected} but found {self.found()}", self.here(), hint=hint)

    def _misspelt(self) -> str:
        """The keyword that is meant by the word here, or by the one before, at which the cursor then stands.

        A misspelt keyword is a name to the grammar: `FROM t GRUOP` gives t an alias, and only what comes
        after it cannot be; what could have come there could have come in the alias's place as well.
        """
        here = self._tried.get(self.index, set())
        for index in (self.index, self.index - 1):
            words = here | self._tried.get(index, set())
            if index < 0 or self.tokens[index].token_type != TokenType.VAR or self.kinds[index] in RESERVED:
                continue
            if index < self.index and index and self.kinds[index - 1] in _BEFORE_NAMES:
                continue
            meant = _meant(self.kinds[index], sorted(w for w in words if w[:1].isalpha() and len(w) > 1))
            if meant:
                self.index = index
                return meant
        return ""

    def found(self) -> str:
        if not self.kind:
            return "the end of the text"
        if self.kind == "'":
            return f"the string {self.text(self.here())}"
        return f'"{self.text(self.here())}"'

    def fail(self, message: str, span: Span, hint: str | None = None) -> NoReturn:
        raise ParseError(message, span, source=self.source, hint=sentence(hint))

    def _slip(self) -> str | None:
        """The hint for a comma before nothing, and for a word or a value that follows another: its comma is missing."""
        before = self.kinds[self.index - 1] if self.index else ""
        if before == "," and self.kind in (")", "]", "FROM", ";", ""):
            return "remove the comma" + (f" before {self.found()}" if self.kind else " at the end")
        if before == self.kind == "=":
            return PLACES["=="]
        value = self.kind in ("'", "0") or self.at_name()
        after = before in ("`", "'", "0", ")") or (before[:1].isalpha() and before not in RESERVED)
        return f"is a comma missing before {self.found()}?" if value and after else None

    def double_quoted(self) -> NoReturn:
        text = self.token.text
        self.fail(
            "double quotes mean nothing in Flink SQL",
            self.here(),
            hint=f"write '{text}' for a string, or `{text}` for a name",
        )

    def here(self) -> Span:
        """The range of the next token."""
        token = self.token
        return Span(token.start, token.end + 1)

    def since(self, start: int) -> Span:
        """The range from token number `start` to the token consumed last."""
        last = self.tokens[max(self.index - 1, start)]
        return Span(self.tokens[start].start, last.end + 1)

    def text(self, span: Span) -> str:
        return self.source.text[span.start : span.end]

    def hint_tokens(self) -> list[Token]:
        """The tokens inside the hint that comes next, at their places in the source."""
        span = self.here()
        inside = self.source.text[span.start + 3 : span.end - 2]
        return tokenize(Source(" " * (span.start + 3) + inside, self.source.origin))

    def put(self, tree: Tree, start: int) -> Tree:
        """Give `tree` the range from token number `start` to here."""
        return place(tree, self.since(start))

    # Names and constants, which every rule needs.

    def at_name(self) -> bool:
        """Whether the next token may be a name: quoted, or a word that is not reserved."""
        return self.kind == "`" or (self.token.token_type == TokenType.VAR and self.kind not in RESERVED)

    def identifier(self, what: str = "a name") -> exp.Identifier:
        """A name as a tree. Raises ParseError at a reserved word, saying how to quote it."""
        token = self.token
        if not self.at_name():
            reserved = self.kind in RESERVED - NOT_FUNCTIONS
            hint = (
                f'"{token.text}" is a reserved word: write `{token.text}` to use it as a name'
                if reserved
                else None
            )
            self.unexpected(what, hint=hint)
        self.index += 1
        return self.put(
            exp.Identifier(this=token.text, quoted=token.token_type == TokenType.IDENTIFIER), self.index - 1
        )

    def name(self, what: str = "a name") -> Name:
        """A name of one part."""
        identifier = self.identifier(what)
        return Name((identifier.name,), self.since(self.index - 1))

    def qualified(self, what: str = "a name") -> Name:
        """A name of up to three parts: `catalog.database.name`."""
        start = self.index
        parts = [self.identifier(what).name]
        while self.take("."):
            parts.append(self.identifier(what).name)
        span = self.since(start)
        if len(parts) > 3:
            self.fail(f'the name "{".".join(parts)}" has more than three parts', span)
        return Name(tuple(parts), span)

    def names(self) -> tuple[Name, ...]:
        """`(a, b, …)`."""
        self.expect("(")
        found = [self.name()]
        while self.take(","):
            found.append(self.name())
        self.expect(")")
        return tuple(found)

    def string(self, what: str = "a string") -> str:
        if self.kind != "'":
            self.unexpected(what)
        self.index += 1
        return self.tokens[self.index - 1].text

    def integer(self, what: str = "a whole number") -> int:
        if self.kind != "0" or not self.token.text.isdigit():
            self.unexpected(what)
        self.index += 1
        return int(self.tokens[self.index - 1].text)


def sentence(hint: str | None) -> str | None:
    """A hint as a sentence."""
    if not hint:
        return hint
    return hint[0].upper() + hint[1:] + ("" if hint[-1] in ".?!" else ".")


def _meant(word: str, keywords: list[str]) -> str:
    """The keyword that `word` was to be: with the same letters, or else most of them; '' when it is none."""
    if word in keywords:
        return ""
    swapped = [k for k in keywords if sorted(k) == sorted(word)]
    return next(iter(swapped or (get_close_matches(word, keywords, n=1, cutoff=0.7) if len(word) > 2 else [])), "")


def _kind(token: Token, text: str) -> str:
    if token.token_type == TokenType.STRING and text.startswith('"', token.start):
        return '"'
    return _KINDS.get(token.token_type) or token.text.upper()

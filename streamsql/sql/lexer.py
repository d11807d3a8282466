"""The words of the language: Flink's lexical rules on sqlglot's tokenizer, and where a statement ends.

Every word is a VAR token, whatever it means: only the grammar knows where a word is a keyword, so a
column may be called `first`. Offsets of tokens count from the start of the whole source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from sqlglot import tokens
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from streamsql.errors import ParseError, Source, Span


class Tokenizer(tokens.Tokenizer):
    """`` `name` ``, `'it''s'`, `U&''`, `X''`, `N''`, `$$ … $$`, `--`, `//`, `/* */` (not nested), `/*+ … */`.

    Double quotes are read as a string only so that the parser can say what to write instead.
    """

    IDENTIFIERS = ["`"]  # noqa: RUF012
    QUOTES = ["'", '"']  # noqa: RUF012
    STRING_ESCAPES = ["'"]  # noqa: RUF012
    HEX_STRINGS = [("X'", "'"), ("x'", "'")]  # noqa: RUF012
    UNICODE_STRINGS = [("U&'", "'"), ("u&'", "'")]  # noqa: RUF012
    RAW_STRINGS = [("$$", "$$")]  # noqa: RUF012
    COMMENTS = ["--", "//", ("/*", "*/")]  # noqa: RUF012
    SINGLE_TOKENS = {**tokens.Tokenizer.SINGLE_TOKENS, "$": TokenType.DOLLAR}  # noqa: RUF012
    VAR_SINGLE_TOKENS = {"$"}  # noqa: RUF012
    NESTED_COMMENTS = False
    COMMANDS: ClassVar[set[TokenType]] = set()
    TOKENS_PRECEDING_HINT = set(TokenType)  # noqa: RUF012
    KEYWORDS = {  # noqa: RUF012
        "/*+": TokenType.HINT,
        "::": TokenType.DCOLON,
        "||": TokenType.DPIPE,
        ">=": TokenType.GTE,
        "<=": TokenType.LTE,
        "<>": TokenType.NEQ,
        "!=": TokenType.NEQ,
        "=>": TokenType.FARROW,
        "->": TokenType.ARROW,
        ":=": TokenType.COLON_EQ,
    }


_PIECE = re.compile(
    r"""(?P<comment>(?:--|//)[^\n]*|/\*.*?(?:\*/|(?P<open_comment>\Z)))
      | (?P<text>'(?:[^']|'')*(?:'|(?P<open_text>\Z)))
      | (?P<quoted>`(?:[^`]|``)*(?:`|(?P<open_quoted>\Z)))
      | (?P<double>"(?:[^"]|"")*(?:"|(?P<open_double>\Z)))
      | (?P<body>\$\$.*?(?:\$\$|(?P<open_body>\Z)))
      | (?P<word>[^\W\d][\w$]*)
      | (?P<space>\s+)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_UNTERMINATED = {
    "open_comment": ("comment", 'End it with "*/".'),
    "open_text": ("string", "A string ends with '; a quote inside it is written ''."),
    "open_quoted": ("identifier", "A quoted name ends with `."),
    "open_double": ("string", "Strings are written in single quotes, names in backticks."),
    "open_body": ("function body", 'End it with "$$".'),
}


def tokenize(source: Source) -> list[Token]:
    """The tokens of a source. Raises ParseError at the start of a string or comment that does not end."""
    for piece in _PIECE.finditer(source.text):
        for group, (what, hint) in _UNTERMINATED.items():
            if piece.group(group) is not None:
                span = Span(piece.start(), piece.start() + 1)
                raise ParseError(f"unterminated {what}", span, source=source, hint=hint)
    try:
        return [part for token in Tokenizer().tokenize(source.text) for part in _parts(token)]
    except TokenError as error:
        span = _bad_literal(source.text)
        raise ParseError(
            "malformed literal", span, source=source, hint="X'…' takes hexadecimal digits."
        ) from error


def _parts(token: Token) -> list[Token]:
    """`1e` is the number 1 and the name e, as in Flink; sqlglot reads one number without digits."""
    if token.token_type != TokenType.NUMBER or token.text[-1] not in "eE":
        return [token]
    last = token.end
    return [
        Token(token.token_type, token.text[:-1], token.line, token.col - 1, token.start, last - 1),
        Token(TokenType.VAR, token.text[-1], token.line, token.col, last, last, token.comments),
    ]


def _bad_literal(text: str) -> Span:
    found = re.search(r"[xX]'[^']*[^0-9a-fA-F'][^']*'", text)
    return Span(found.start(), found.end()) if found else Span(0, 1)


def split(text: str) -> list[str]:
    """The statements of a text, each with its `;`; what follows the last `;`, if not blank, is the last.

    A `;` inside a string, a comment or a statement set (`BEGIN … END`) ends nothing.
    """
    ends = [*_ends(text)]
    starts = [0, *ends]
    parts = [text[a:b] for a, b in zip(starts, [*ends, len(text)], strict=True)]
    return [
        p.strip() for p in parts if any(m.lastgroup not in ("space", "comment") for m in _PIECE.finditer(p))
    ]


def apart(text: str) -> list[str]:
    """The statements of a text one by one, each behind blanks in place of what stands before it.

    So an error in one, even of its syntax, leaves the others to be run, and names its own line and column.
    """
    ends = [*_ends(text)]
    if not ends or is_complete(text):
        ends[-1:] = [len(text)]
    else:
        ends.append(len(text))
    starts = [0, *ends[:-1]]
    return [re.sub(r"[^\n]", " ", text[:a]) + text[a:b] for a, b in zip(starts, ends, strict=True)]


def is_complete(text: str) -> bool:
    """Whether the shell may run `text`: blank, or its last statement ends with `;`."""
    ends = [*_ends(text)]
    rest = text[ends[-1] if ends else 0 :]
    return all(m["space"] or (m["comment"] and m["open_comment"] is None) for m in _PIECE.finditer(rest))


def _ends(text: str) -> Iterator[int]:
    """The offset after each `;` that ends a statement."""
    words: list[str] = []
    inside = False
    for piece in _PIECE.finditer(text):
        if piece["space"] or piece["comment"]:
            continue
        word = piece[0].upper()
        if word == "BEGIN" and (not words or words[-1] == "SET"):
            inside = True
        elif word == "END" and inside and words[-1] in (";", "BEGIN"):
            inside = False
        words.append(word)
        if word == ";" and not inside:
            words = []
            yield piece.end()

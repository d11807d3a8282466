"""Java's regular expressions: which of them RE2, DuckDB's engine, can say, and how.

A pattern is taken apart once. `Regex.native` is the RE2 text that finds the same matches, or None when the pattern
needs what RE2 lacks (look-around, back references, possessive quantifiers, intersections of classes …) or means
otherwise; `guard` says for which texts the native form is right. `Regex.exact` is the same for the `regex` package,
which the vectorised functions of `udfs` use for all the rest.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field

import regex

_LINE_ENDS = r"\n\r\x{85}\x{2028}\x{2029}"
_POSIX = {"Lower": "lower", "Upper": "upper", "Alpha": "alpha", "Digit": "digit", "Alnum": "alnum",
          "Punct": "punct", "Graph": "graph", "Print": "print", "Blank": "blank", "Cntrl": "cntrl",
          "XDigit": "xdigit", "Space": "space"}
_CATEGORY = re.compile(r"(?:Is)?(C[cfons]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?)")
_SIMPLE_ESCAPES = "tnrfadDwW"
_BLANKS = r" \t\xA0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000"
_VERTICAL = r"\n\x0B\f\r\x85\u2028\u2029"
_FORMS = {"G": r"\G", "R": rf"(?:\r\n|[{_VERTICAL}])", "h": f"[{_BLANKS}]", "H": f"[^{_BLANKS}]",
          "v": f"[{_VERTICAL}]", "V": f"[^{_VERTICAL}]", "X": r"\X"}
_QUANTIFIER = re.compile(r"(?:[*+?]|\{(\d+)(?:,(\d*))?\})([?+]?)")
RE2_REPEAT = 1000


@dataclass(frozen=True, slots=True)
class Regex:
    """A pattern of Java's.

    valid     Java compiles it
    native    RE2's text, or None
    ascii     the native form is right for ASCII texts only (`\\b`, `(?i)`)
    ends      the native form is right for texts that do not end in a line terminator only (`$`)
    empty     it may match the empty text, where engines differ in how they go on
    groups    how many there are
    certain   those that take part in every match; others may be NULL
    exact     the text for the `regex` package
    """

    valid: bool
    native: str | None = None
    ascii: bool = False
    ends: bool = False
    empty: bool = False
    groups: int = 0
    certain: frozenset[int] = frozenset()
    exact: str = ""

    def guard(self, text: str) -> str:
        """A DuckDB condition under which `native` is right for `text`; '' for always."""
        tests = [f"strlen({text}) = length({text})"] if self.ascii else []
        if self.ends:
            tests.append(f"NOT regexp_matches(right({text}, 1), '[{_LINE_ENDS}]')")
        return " AND ".join(tests)


@dataclass(slots=True)
class _Reader:
    """Walks a Java pattern, writing both forms."""

    pattern: str
    at: int = 0
    native: list[str] = field(default_factory=list)
    exact: list[str] = field(default_factory=list)
    portable: bool = True
    ascii: bool = False
    ends: bool = False
    dot_all: bool = False
    boundaries: bool = False

    def both(self, text: str) -> None:
        self.native.append(text)
        self.exact.append(text)

    def only_exact(self, text: str) -> None:
        self.portable = False
        self.exact.append(text)

    def read(self) -> None:
        while self.at < len(self.pattern):
            char = self.pattern[self.at]
            rule = _RULES.get(char)
            if rule:
                rule(self)
            else:
                self.both(char if char not in "}]" else "\\" + char)
                self.at += 1

    def dot(self) -> None:
        self.at += 1
        self.native.append("(?s:.)" if self.dot_all else f"[^{_LINE_ENDS}]")
        self.exact.append("(?s:.)" if self.dot_all else r"[^\n\r\x85\u2028\u2029]")

    def end(self) -> None:
        self.at += 1
        self.ends = True
        self.native.append("$")
        self.exact.append(r"(?=(?:\r\n|[\n\r\x85\u2028\u2029])?\Z)")

    def group(self) -> None:
        rest = self.pattern[self.at:]
        named = re.match(r"\(\?<([A-Za-z][A-Za-z0-9]*)>", rest)
        flags = re.match(r"\(\?([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])", rest)
        if named:
            self.both(f"(?P<{named[1]}>")
            self.at += named.end()
        elif flags:
            self._flags(flags)
        elif rest.startswith(("(?=", "(?!", "(?<=", "(?<!", "(?>")):
            length = 4 if rest.startswith("(?<") else 3
            self.only_exact(rest[:length])
            self.at += length
        elif rest.startswith("(?"):
            raise ValueError("unknown inline modifier")
        else:
            self.both("(")
            self.at += 1

    def _flags(self, found: re.Match[str]) -> None:
        on, off = found[1], found[2] or ""
        if not set(on + off) <= set("idmsuxU"):
            raise ValueError("unknown inline modifier")
        if "s" in on + off and found[3] == ")":
            self.dot_all = "s" in on
        elif "s" in on + off:
            self.portable = False
        if set(on + off) & set("dmuxU"):
            self.portable = False
        self.ascii = self.ascii or "i" in on
        kept, dropped = on.replace("d", "").replace("U", "u"), off.replace("d", "").replace("U", "u")
        text = f"(?{kept}{'-' + dropped if dropped else ''}{found[3]}"
        self.exact.append(text if text != "(?)" else "")
        self.native.append(f"(?{on}{'-' + off if off else ''}{found[3]}" if on + off or found[3] == ":" else "")
        self.at += found.end()

    def quantifier(self) -> None:
        found = _QUANTIFIER.match(self.pattern, self.at)
        if not found or not self.exact:
            raise ValueError("dangling quantifier")
        self.at = found.end()
        if max(int(found[1] or 0), int(found[2] or 0)) > RE2_REPEAT or found[3] == "+":
            self.only_exact(found.group())
        else:
            self.both(found.group())

    def escape(self) -> None:
        native, exact, length = self._escaped(in_class=False)
        self.exact.append(exact)
        self.native.append(native or "")
        self.portable = self.portable and native is not None
        self.at += length

    def _escaped(self, in_class: bool) -> tuple[str | None, str, int]:
        """What an escape becomes in each form (None: RE2 cannot), and its length."""
        rest = self.pattern[self.at + 1:]
        if not rest:
            raise ValueError("unexpected end of pattern")
        char = rest[0]
        if char in _SIMPLE_ESCAPES:
            return "\\" + char, "\\" + char, 2
        if char in "sS":
            return self._space(char, in_class)
        if char == "Q":
            text, _, _ = rest[1:].partition("\\E")
            quoted = "".join(_quote(c) for c in text)
            return quoted, quoted, min(len(text) + 4, len(rest) + 1)
        if char in "xu0c":
            return self._code(rest)
        if char in "pP":
            return self._property(rest, in_class)
        if char == "e":
            return r"\x{1b}", r"\x1b", 2
        if not char.isalnum():
            return _quote(char), _quote(char), 2
        if in_class and char not in "hHvV":
            raise ValueError(f"illegal escape \\{char} in a class")
        return self._assertion(char)

    def _space(self, char: str, in_class: bool) -> tuple[str | None, str, int]:
        if in_class:
            return (r"\s\x0B" if char == "s" else None), "\\" + char, 2
        return (r"[\s\x0B]" if char == "s" else r"[^\s\x0B]"), "\\" + char, 2

    def _code(self, rest: str) -> tuple[str | None, str, int]:
        found = (re.match(r"x([0-9a-fA-F]{2})|x\{([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4})|0([0-3]?[0-7]{1,2})", rest))
        if found:
            code = int(next(g for g in found.groups()[:3] if g), 16) if not found[4] else int(found[4], 8)
        else:
            control = re.match(r"c(.)", rest)
            if not control:
                raise ValueError("illegal escape")
            found, code = control, ord(control[1]) ^ 64
        return f"\\x{{{code:x}}}", _quote(chr(code)) if code > 32 else f"\\x{code:02x}", found.end() + 1

    def _property(self, rest: str, in_class: bool) -> tuple[str | None, str, int]:
        found = re.match(r"([pP])(?:\{(\w+)(?:=(\w+))?\}|(\w))", rest)
        if not found:
            raise ValueError("unknown property")
        letter, name, length = found[1], found[3] or found[2] or found[4], found.end() + 1
        posix = _POSIX.get(name) or ("ascii" if name == "ASCII" else None)
        if posix:
            inverse = "^" if letter == "P" else ""
            inner = f"[:{inverse}{posix}:]"
            exact = r"[\x00-\x7f]" if posix == "ascii" else inner
            if posix == "ascii" and inverse:
                exact = r"[^\x00-\x7f]"
            return (inner if in_class else f"[{inner}]"), (exact if in_class or posix == "ascii" else f"[{exact}]"), \
                length
        category = _CATEGORY.fullmatch(name)
        if category:
            text = f"\\{letter}{{{category[1]}}}"
            return text, text, length
        bare = name.removeprefix("Is").removeprefix("In").removeprefix("java")
        return None, f"\\{letter}{{{ {'LowerCase': 'Ll', 'UpperCase': 'Lu'}.get(bare, bare)}}}", length

    def _assertion(self, char: str) -> tuple[str | None, str, int]:
        if char in "bB":
            self.ascii = self.boundaries = True
            return "\\" + char, "\\" + char, 2
        if char == "A":
            return r"\A", r"\A", 2
        if char == "z":
            return r"\z", r"\Z", 2
        if char == "Z":
            self.ends = True
            return r"\z", r"(?=(?:\r\n|[\n\r\x85\u2028\u2029])?\Z)", 2
        if char == "k":
            found = re.match(r"\\k<(\w+)>", self.pattern[self.at:])
            if not found:
                raise ValueError("\\k is not followed by a name")
            return None, f"(?P={found[1]})", found.end()
        if char in _FORMS:
            return None, _FORMS[char], 2
        if char.isdigit():
            return None, f"(?:\\{char})", 2
        raise ValueError(f"illegal escape \\{char}")

    def char_class(self) -> None:
        """`[…]`; nested classes and intersections are for the exact form only."""
        native, exact, depth = ["["], ["["], 1
        self.at += 1
        if self.pattern.startswith("^", self.at):
            native.append("^")
            exact.append("^")
            self.at += 1
        first = True
        while depth:
            if self.at >= len(self.pattern):
                raise ValueError("unclosed character class")
            char = self.pattern[self.at]
            if char == "\\":
                n, e, length = self._escaped(in_class=True)
                self.portable = self.portable and n is not None
                native.append(n or "")
                exact.append(e)
                self.at += length
            elif char == "]" and not first:
                depth -= 1
                native.append("]")
                exact.append("]")
                self.at += 1
            elif char == "[" or self.pattern.startswith("&&", self.at):
                self.portable = False
                depth += char == "["
                exact.append(char if char == "[" else "&&")
                self.at += 1 if char == "[" else 2
                if char == "[" and self.pattern.startswith("^", self.at):
                    exact.append("^")
                    self.at += 1
            else:
                native.append("\\" + char if char == "]" else char)
                exact.append("\\" + char if char in "]|~" else char)
                self.at += 1
            first = False
        self.native.append("".join(native))
        self.exact.append("".join(exact))


def _quote(char: str) -> str:
    return "\\" + char if not char.isalnum() and char.isascii() and char != "_" and char > " " else char


_RULES = {".": _Reader.dot, "$": _Reader.end, "(": _Reader.group, "*": _Reader.quantifier,
          "+": _Reader.quantifier, "?": _Reader.quantifier, "{": _Reader.quantifier, "\\": _Reader.escape,
          "[": _Reader.char_class}


@functools.lru_cache(maxsize=1024)
def analyse(pattern: str) -> Regex:
    """What there is to know of a Java pattern; never raises."""
    reader = _Reader(pattern)
    try:
        reader.read()
        exact = "(?V1a)" + "".join(reader.exact)
        compiled = regex.compile(exact)
    except (ValueError, regex.error):
        return Regex(valid=False)
    empty = reader.boundaries or not reader.portable or compiled.search("") is not None
    return Regex(True, "".join(reader.native) if reader.portable else None, reader.ascii, reader.ends, empty,
                 compiled.groups, _certain_groups(pattern), exact)


@dataclass(slots=True)
class _Level:
    """An open parenthesis while groups are counted."""

    number: int = 0
    negative: bool = False
    alternatives: bool = False
    inside: list[int] = field(default_factory=list)


_NOT_STRUCTURE = re.compile(r"\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)


def _certain_groups(pattern: str) -> frozenset[int]:
    """The groups that take part in every match: under no alternative, and in no part that may be skipped."""
    text = _NOT_STRUCTURE.sub(lambda m: "x" * len(m.group()), pattern)
    levels, skipped, number = [_Level()], set[int](), 0
    for at, char in enumerate(text):
        if char == "(":
            captures = not text.startswith("(?", at) or re.match(r"\(\?<[A-Za-z]", text[at:at + 4]) is not None
            number += captures
            levels.append(_Level(number if captures else 0, text.startswith(("(?!", "(?<!"), at)))
        elif char == "|":
            levels[-1].alternatives = True
        elif char == ")" and len(levels) > 1:
            level = levels.pop()
            if level.alternatives:
                skipped.update(level.inside)
            members = [*level.inside, *([level.number] if level.number else [])]
            if level.negative or re.match(r"[*?]|\{0", text[at + 1:at + 3]):
                skipped.update(members)
            levels[-1].inside.extend(members)
    if levels[0].alternatives:
        skipped.update(levels[0].inside)
    return frozenset(range(1, number + 1)) - skipped


@functools.lru_cache(maxsize=1024)
def compiled(pattern: str) -> regex.Pattern[str]:
    """The pattern for the exact engine; raises ValueError if Java refuses it."""
    found = analyse(pattern)
    if not found.valid:
        raise ValueError(f"invalid regular expression: {pattern}")
    return regex.compile(found.exact)

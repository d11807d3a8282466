"""Java's text methods that DuckDB has no word for: `String.format`, charsets, decoders, digests.

Called a row at a time by the functions of `udfs`.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from urllib.parse import unquote_to_bytes

from streamsql.values.java_regex import compiled

CHARSETS = {"US-ASCII": "ascii", "ASCII": "ascii", "ISO-8859-1": "latin-1", "LATIN1": "latin-1", "UTF-8": "utf-8",
            "UTF8": "utf-8", "UTF-16": "utf-16", "UTF-16BE": "utf-16-be", "UTF-16LE": "utf-16-le",
            "UTF-32": "utf-32-be", "WINDOWS-1252": "cp1252", "GBK": "gbk", "GB2312": "gb2312", "BIG5": "big5",
            "SHIFT_JIS": "shift_jis", "EUC-KR": "euc_kr", "EUC-JP": "euc_jp"}


def _charset(name: str) -> str:
    found = CHARSETS.get(name.upper())
    if found is None:
        raise ValueError(f'character set "{name}" is not known')
    return found


def encode(text: str, charset: str) -> bytes:
    """ENCODE: what the charset lacks becomes `?`; UTF-16 begins with its mark."""
    codec = _charset(charset)
    if codec == "utf-16":
        return b"\xfe\xff" + text.encode("utf-16-be", "replace") if text else b""
    return text.encode(codec, "replace")


def decode(data: bytes, charset: str) -> str:
    """DECODE: bytes that are none become U+FFFD; UTF-16 without a mark is big-endian."""
    codec = _charset(charset)
    if codec == "utf-16":
        little = data.startswith(b"\xff\xfe")
        marked = little or data.startswith(b"\xfe\xff")
        return data[2 if marked else 0:].decode("utf-16-le" if little else "utf-16-be", "replace")
    return data.decode(codec, "replace")


def from_base64(text: str) -> str:
    """FROM_BASE64: padding may be left out; an illegal character is an error."""
    bad = re.search(r"[^A-Za-z0-9+/]", text.rstrip("="))
    if bad:
        raise ValueError(f"illegal base64 character {ord(bad.group()):x}")
    bare = text.rstrip("=")
    if len(bare) % 4 == 1:
        raise ValueError("the last base64 unit has not enough bits")
    return base64.b64decode(bare + "=" * (-len(bare) % 4)).decode("utf-8", "replace")


def hexadecimal(text: str) -> float | None:
    """A double written as `0x1.8p1`, as `Double.parseDouble` reads it; None if it is none."""
    found = re.fullmatch(r"([+-]?0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]+)[fFdD]?", text.strip())
    try:
        return float.fromhex(found[1]) if found else None
    except (ValueError, OverflowError):
        return None


def url_decode(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")


def sha(data: bytes, bits: int) -> str:
    """SHA-2 of 224, 256, 384 or 512 bits, in hexadecimal."""
    if bits not in (224, 256, 384, 512):
        raise ValueError(f"SHA2 takes 224, 256, 384 or 512 bits, not {bits}")
    return hashlib.new(f"sha{bits}", data).hexdigest()


def split(text: str, delimiter: str, limit: int = 0) -> list[str]:
    """`String.split`: by a regular expression, empty texts at the end left out."""
    parts: list[str] = []
    start = 0
    for found in compiled(delimiter).finditer(text):
        if found.end() == 0 or (found.start() == found.end() and found.start() in (0, len(text))):
            continue
        if limit and len(parts) == limit - 1:
            break
        parts.append(text[start:found.start()])
        start = found.end()
    parts.append(text[start:])
    if not limit and len(parts) > 1:
        while parts and not parts[-1]:
            parts.pop()
    return parts


def str_to_map(text: str, pairs: str, keys: str) -> dict[str, str | None]:
    """STR_TO_MAP: a pair without the second delimiter has the value NULL; the last of a key wins."""
    result: dict[str, str | None] = {}
    for pair in split(text, pairs) if text else []:
        key, *value = split(pair, keys, 2)
        result[key] = value[0] if value else None
    return result


# ------------------------------------------------------------------------------------------------ printf

_SPEC = re.compile(r"%(?:(\d+)\$|(<))?([-#+ 0,(]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")
Argument = tuple[str, str | None]
"""The kind of an argument (`integer:8` to `integer:64`, `decimal`, `double`, `boolean`, `string`) and its text."""


class _Unformattable(ValueError):
    """What Java answers with an IllegalFormatException."""


@functools.lru_cache(maxsize=256)
def _parts(form: str) -> tuple[str | re.Match[str], ...]:
    parts: list[str | re.Match[str]] = []
    at = 0
    while at < len(form):
        if form[at] != "%":
            end = form.find("%", at)
            end = len(form) if end < 0 else end
            parts.append(form[at:end])
            at = end
            continue
        found = _SPEC.match(form, at)
        if not found:
            raise _Unformattable
        parts.append(found)
        at = found.end()
    return tuple(parts)


def printf(form: str, kinds: list[str], texts: list[str | None]) -> str | None:
    """PRINTF as `String.format`; NULL where Java refuses the format or an argument."""
    try:
        return _formatted(form, list(zip(kinds, texts)))
    except (_Unformattable, InvalidOperation):
        return None


def _formatted(form: str, arguments: list[Argument]) -> str:
    out, following, last = "", 0, -1
    for part in _parts(form):
        if isinstance(part, str):
            out += part
            continue
        letter = part[6]
        if letter in "%n":
            out += _padded("%", part) if letter == "%" else "\n"
            continue
        index = int(part[1]) - 1 if part[1] else last if part[2] else following
        following += not (part[1] or part[2])
        if not 0 <= index < len(arguments):
            raise _Unformattable
        last = index
        text = _conversion(part, arguments[index])
        out += text.upper() if letter.isupper() else text
    return out


def _conversion(part: re.Match[str], argument: Argument) -> str:
    letter, (kind, text) = part[6].lower(), argument
    kind, _, bits = kind.partition(":")
    if text is None:
        return _padded(("false" if letter == "b" else "null")[:int(part[5]) if part[5] else None], part)
    rule = _CONVERSIONS.get((letter, kind)) or _CONVERSIONS.get((letter, ""))
    if rule is None or (letter == "c" and bits == "64"):
        raise _Unformattable
    if letter in "xo" and text.startswith("-"):
        text = str(int(text) % (1 << int(bits)))
    return rule(part, text)


def _padded(text: str, part: re.Match[str]) -> str:
    width = int(part[4] or 0)
    if "-" in part[3]:
        if not width:
            raise _Unformattable
        return text.ljust(width)
    return text.rjust(width)


def _general(part: re.Match[str], text: str) -> str:
    return _padded(text[:int(part[5])] if part[5] else text, part)


def _signed(digits: str, negative: bool, part: re.Match[str]) -> str:
    """A number with its sign, zeros and spaces, as the flags say."""
    flags, width = part[3], int(part[4] or 0)
    if (("-" in flags or "0" in flags) and not width) or ("-" in flags and "0" in flags):
        raise _Unformattable
    if "," in flags:
        whole, dot, rest = digits.partition(".")
        digits = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", ",", whole) + dot + rest
    before, after = ("(", ")") if negative and "(" in flags else ("-", "") if negative else (
        "+" if "+" in flags else " " if " " in flags else "", "")
    if "0" in flags:
        digits = digits.rjust(width - len(before) - len(after), "0")
    return _padded(before + digits + after, part)


def _integer(part: re.Match[str], text: str) -> str:
    if part[5]:
        raise _Unformattable
    return _signed(text.lstrip("-"), text.startswith("-"), part)


def _based(letter: str) -> Callable[[re.Match[str], str], str]:
    def convert(part: re.Match[str], text: str) -> str:
        prefix = {"x": "0x", "o": "0"}[letter] if "#" in part[3] else ""
        digits = prefix + format(int(text), letter)
        return digits.rjust(int(part[4] or 0), "0") if "0" in part[3] else _padded(digits, part)
    return convert


def _fixed(part: re.Match[str], text: str) -> str:
    number = Decimal(text)
    if not number.is_finite():
        return _padded(text, part)
    places = int(part[5]) if part[5] else 6
    rounded = abs(number).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return _signed(format(rounded, "f"), number.is_signed(), part)


def _scientific(part: re.Match[str], text: str) -> str:
    number = Decimal(text)
    if not number.is_finite():
        return _padded(text, part)
    places = int(part[5]) if part[5] else 6
    exponent = number.adjusted() if number else 0
    mantissa = abs(number).scaleb(-exponent).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    if mantissa >= 10:
        mantissa, exponent = (mantissa / 10).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP), exponent + 1
    digits = f"{mantissa:f}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return _signed(digits, number.is_signed(), part)


def _shortest(part: re.Match[str], text: str) -> str:
    number = Decimal(text)
    places = int(part[5]) if part[5] else 6
    places = places or 1
    if number and not Decimal("0.0001") <= abs(number) < Decimal(10) ** places:
        return _signed(_scientific_digits(number, places - 1), number.is_signed(), part)
    after = places - (number.adjusted() + 1 if number else 1)
    return _signed(format(abs(number).quantize(Decimal(1).scaleb(-max(after, 0)), ROUND_HALF_UP), "f"),
                   number.is_signed(), part)


def _scientific_digits(number: Decimal, places: int) -> str:
    exponent = number.adjusted()
    mantissa = abs(number).scaleb(-exponent).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return f"{mantissa:f}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _character(part: re.Match[str], text: str) -> str:
    return _padded(chr(int(text)), part)


def java_hash(text: str) -> str:
    """`%h`: the hash code of a string, in hexadecimal."""
    value = 0
    units = text.encode("utf-16-be")
    for at in range(0, len(units), 2):
        value = (value * 31 + units[at] * 256 + units[at + 1]) % (1 << 32)
    return format(value, "x")


_CONVERSIONS: dict[tuple[str, str], Callable[[re.Match[str], str], str]] = {
    ("s", ""): _general, ("b", "boolean"): _general, ("b", ""): lambda part, _: _general(part, "true"),
    ("d", "integer"): _integer, ("x", "integer"): _based("x"), ("o", "integer"): _based("o"),
    ("f", "decimal"): _fixed, ("f", "double"): _fixed, ("e", "decimal"): _scientific, ("e", "double"): _scientific,
    ("g", "decimal"): _shortest, ("g", "double"): _shortest, ("c", "integer"): _character,
    ("h", "string"): lambda part, text: _padded(java_hash(text), part),
}

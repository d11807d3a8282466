"""JSON as Flink reads it: Jackson's parser, Jayway's paths, SQL's lax and strict modes.

The exact engine behind `functions.json`, for documents that DuckDB reads otherwise (a second document behind the
first, a trailing comma, digits of decimals) and paths beyond member and index. Called a row at a time by `udfs`.
`definite_path` gives the DuckDB path for the rest.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from streamsql.values.json_filter import predicate

EMPTY, ERROR, VALUE, TREE = "empty", "error", "value", "tree"
"""How a look-up ends: nothing, an error, a scalar, an array or object."""


NULL_IN_STRICT = "strict mode requires a value, and it is null"


class JsonError(ValueError):
    """The document is no JSON."""


class PathError(ValueError):
    """The path leads nowhere, or is no path."""


def _constant(name: str) -> Any:
    raise JsonError(f"unrecognized token '{name}'")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_constant)
_SPACE = re.compile(r"[ \t\r\n]*")


def parse(text: str) -> Any:
    """The first value of the text; what follows is not read, as Jackson does. Raises JsonError."""
    start = _SPACE.match(text).end()  # type: ignore[union-attr]
    if start == len(text):
        raise JsonError("no content to map due to end-of-input")
    try:
        found, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise JsonError(f"not JSON: {error.msg.lower()} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise JsonError("the document is nested too deeply") from error
    if not isinstance(found, (dict, list, str)) and text[end:end + 1] not in ("", " ", "\t", "\r", "\n"):
        raise JsonError(f"unexpected character at {end + 1}")
    return found


_CONTROL = re.compile(r'["\\\x00-\x1f]')
_NAMED = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _string(text: str) -> str:
    escaped = _CONTROL.sub(lambda m: _NAMED.get(m.group()) or f"\\u{ord(m.group()):04X}", text)
    return '"' + escaped.encode("utf-8", "replace").decode() + '"'


def serialise(value: Any) -> str:
    """Compact JSON with keys in order, and numbers with the digits they were written with."""
    if isinstance(value, dict):
        inner = ",".join(f"{_string(k)}:{serialise(value[k])}" for k in sorted(value, key=_java_order))
        return "{" + inner + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(serialise, value)) + "]"
    return _string(value) if isinstance(value, str) else scalar(value)


def _java_order(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def scalar(value: Any) -> str:
    """A scalar as Java's `toString` writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, Decimal) and not value:
        value = abs(value)
    return str(value).encode("utf-8", "replace").decode()


# ------------------------------------------------------------------------------------------------- paths


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path.

    kind  `member` (names), `index` (numbers), `slice` (start, stop), `all`, `deep` (the step after it
          applies to every level), `filter` (its text), `length`
    """

    kind: str
    names: tuple[str, ...] = ()
    numbers: tuple[int | None, ...] = ()
    text: str = ""

    @property
    def definite(self) -> bool:
        many = len(self.numbers) > 1 if self.kind == "index" else False
        return self.kind in ("member", "index", "length") and not many


_MODE = re.compile(r"\s*(strict|lax)\s+(.+)", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(
    r"\.\.(?=[\w*\[$@-])|\.?\[\s*(?P<quoted>'(?:\\.|[^'\\])*'(?:\s*,\s*'(?:\\.|[^'\\])*')*"
    r'|"(?:\\.|[^"\\])*"(?:\s*,\s*"(?:\\.|[^"\\])*")*)\s*\]'
    r"|\.?\[\s*(?P<slice>-?\d*\s*:\s*-?\d*)\s*\]|\.?\[\s*(?P<index>-?\d+(?:\s*,\s*-?\d+)*)\s*\]"
    r"|\.?\[\s*(?P<all>\*)\s*\]|\.(?P<star>\*)|\.(?P<length>(?:length|size))\(\)|\.(?P<name>[^.\[\]()*\s]+)"
    r"|(?P<deep_name>(?<=\.\.)[^.\[\]()*\s]+)|(?P<deep_star>(?<=\.\.)\*)")
_QUOTED = re.compile(r"'((?:\\.|[^'\\])*)'|\"((?:\\.|[^\"\\])*)\"")


def split_mode(path: str) -> tuple[bool, str]:
    """Whether the path is lax, and the path without its mode."""
    found = _MODE.fullmatch(path)
    return (found[1].lower() == "lax", found[2]) if found else (False, path)


@functools.lru_cache(maxsize=512)
def steps(path: str) -> tuple[Step, ...]:
    """A Jayway path taken apart; raises PathError for one that is none."""
    path = path.strip()
    if not path:
        raise PathError("a path cannot be empty")
    if path[0] not in "$@":
        path = "$" + path if path[0] == "[" else "$." + path
    found: list[Step] = []
    at = 1
    while at < len(path):
        if re.match(r"\.?\[\s*\?", path[at:]):
            step, at = _filter(path, at)
            found.append(step)
            continue
        token = _TOKEN.match(path, at)
        if not token:
            raise PathError(f"could not parse the path at {at + 1}: {path}")
        found.append(_step(token))
        at = token.end()
    if found and found[-1].kind == "deep":
        raise PathError("a path must not end with '..'")
    return tuple(found)


def _step(token: re.Match[str]) -> Step:
    if token["quoted"]:
        names = (re.sub(r"\\(.)", r"\1", a or b) for a, b in _QUOTED.findall(token["quoted"]))
        return Step("member", names=tuple(names))
    if token["slice"]:
        start, stop = (int(n) if n.strip() else None for n in token["slice"].split(":"))
        return Step("slice", numbers=(start, stop))
    if token["index"]:
        return Step("index", numbers=tuple(int(n) for n in token["index"].split(",")))
    if token["all"] or token["star"] or token["deep_star"]:
        return Step("all")
    if token["length"]:
        return Step("length")
    name = token["name"] or token["deep_name"]
    return Step("member", names=(name,)) if name else Step("deep")


def _filter(path: str, at: int) -> tuple[Step, int]:
    """`[?(…)]` from `at`, quotes and brackets inside it respected."""
    start = path.index("?", at) + 1
    depth, end, quote = 1, start, ""
    while end < len(path) and depth:
        char = path[end]
        if quote:
            quote = "" if char == quote and path[end - 1] != "\\" else quote
        elif char in "'\"":
            quote = char
        else:
            depth += (char == "[") - (char == "]")
        end += 1
    if depth:
        raise PathError(f"the filter is not closed: {path}")
    text = path[start:end - 1].strip()
    try:
        predicate(text)
    except (ValueError, KeyError, IndexError) as error:
        raise PathError(f"the filter cannot be read: {text}") from error
    return Step("filter", text=text), end


def read(document: Any, path: str) -> Any:
    """What the path leads to; a list if it may lead to many. Raises PathError."""
    parts = steps(path)
    if document is None:
        raise PathError("json object can not be null")
    if all(step.definite for step in parts):
        found = document
        for step in parts:
            found = _one(found, step)
        return found
    return list(_many(document, parts, root=document, definite=True))


def _one(value: Any, step: Step) -> Any:
    if step.kind == "length":
        return len(value) if isinstance(value, (list, dict)) else None
    if step.kind == "member" and isinstance(value, dict):
        if len(step.names) > 1:
            return {name: value[name] for name in step.names if name in value}
        if step.names[0] in value:
            return value[step.names[0]]
    if step.kind == "index" and isinstance(value, list):
        number = step.numbers[0]
        if number is not None and -len(value) <= number < len(value):
            return value[number]
    raise PathError(f"no results for path: {step.names[0] if step.names else step.numbers[0]}")


def _many(value: Any, parts: tuple[Step, ...], root: Any, definite: bool) -> Iterator[Any]:
    """Every value that the steps lead to; a step that fails raises only while the way is definite."""
    if not parts:
        yield value
        return
    step, rest = parts[0], parts[1:]
    if step.kind == "deep":
        for inner in _levels(value):
            yield from _many(inner, rest, root, definite=False)
        return
    if step.definite:
        try:
            inner = _one(value, step)
        except PathError:
            if definite:
                raise
            return
        yield from _many(inner, rest, root, definite)
        return
    for inner in _chosen(value, step, root):
        yield from _many(inner, rest, root, definite=False)


def _levels(value: Any) -> Iterator[Any]:
    """A value and all below it, the outer first."""
    yield value
    if isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            if isinstance(inner, (dict, list)):
                yield from _levels(inner)


def _chosen(value: Any, step: Step, root: Any) -> Iterator[Any]:
    members = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if step.kind == "all":
        yield from members
    elif step.kind == "index" and isinstance(value, list):
        yield from (value[n] for n in step.numbers if n is not None and -len(value) <= n < len(value))
    elif step.kind == "slice" and isinstance(value, list):
        yield from value[step.numbers[0]:step.numbers[1]]
    elif step.kind == "filter":
        test = predicate(step.text)
        candidates = members if isinstance(value, list) else [value]
        yield from (inner for inner in candidates if test(inner, root, read))


# --------------------------------------------------------------------------------------- the SQL functions


def _looked_up(text: str, path: str) -> tuple[str, Any, bool]:
    """How the look-up ends, the value or the message, and whether the path is lax."""
    lax, bare = split_mode(path)
    try:
        document = parse(text)
    except JsonError as error:
        return (EMPTY, None, lax) if lax else (ERROR, str(error), lax)
    try:
        steps(bare)
        found = read(document, bare)
    except PathError as error:
        suppressed = lax and document is not None and _is_path(bare)
        if not suppressed:
            return ERROR, str(error), lax
        found = None if all(s.definite for s in steps(bare)) else []
    if found is None:
        return EMPTY, None, lax
    return (TREE if isinstance(found, (dict, list)) else VALUE), found, lax


def _is_path(path: str) -> bool:
    try:
        steps(path)
        return True
    except PathError:
        return False


def value(text: str, path: str) -> list[str | None]:
    """JSON_VALUE: [how it ends, the text or the message]."""
    how, found, lax = _looked_up(text, path)
    if how == EMPTY and not lax:
        return [ERROR, NULL_IN_STRICT]
    if how == TREE:
        shown = serialise(found)
        return [EMPTY, None] if lax else [ERROR, f"a scalar is required in strict mode, not {shown}"]
    return [how, scalar(found) if how == VALUE else found]


def _wrapped(text: str, path: str, wrapper: str) -> tuple[str, Any]:
    how, found, lax = _looked_up(text, path)
    if how == EMPTY and not lax:
        return ERROR, NULL_IN_STRICT
    if how in (EMPTY, ERROR):
        return how, found
    if wrapper == "UNCONDITIONAL" or (wrapper == "CONDITIONAL" and not isinstance(found, list)):
        found = [found]
    if not isinstance(found, (dict, list)):
        message = f"an array or object is required in strict mode, not {scalar(found)}"
        return (EMPTY, None) if lax else (ERROR, message)
    return TREE, found


def query(text: str, path: str, wrapper: str) -> list[str | None]:
    """JSON_QUERY: [how it ends, the JSON or the message]."""
    how, found = _wrapped(text, path, wrapper)
    return [how, serialise(found) if how == TREE else found]


def elements(text: str, path: str, wrapper: str) -> list[str | None]:
    """JSON_QUERY … RETURNING ARRAY<STRING>: [how it ends, the message, the elements …]."""
    how, found = _wrapped(text, path, wrapper)
    if how != TREE:
        return [how, found]
    if not isinstance(found, list):
        return [ERROR, "an array is required"]
    return [TREE, None, *(None if e is None else serialise(e) if isinstance(e, (dict, list)) else scalar(e)
                          for e in found)]


def exists(text: str, path: str) -> int:
    """JSON_EXISTS: 1, 0, or -1 for an error."""
    how, _, _ = _looked_up(text, path)
    return -1 if how == ERROR else int(how != EMPTY)


def message(text: str, path: str) -> str:
    """Why a look-up fails, for ERROR ON ERROR."""
    return str(_looked_up(text, path)[1])


def kind(text: str) -> str | None:
    """`object`, `array` or `scalar`; None for what is no JSON."""
    try:
        found = parse(text)
    except JsonError:
        return None
    return "object" if isinstance(found, dict) else "array" if isinstance(found, list) else "scalar"


def rewritten(text: str) -> str:
    """The JSON in Jackson's form; raises JsonError."""
    return serialise(parse(text))


def tried(text: str) -> str | None:
    """As `rewritten`; None for what is no JSON."""
    try:
        return rewritten(text)
    except JsonError:
        return None


def quoted(text: str) -> str:
    """JSON_QUOTE: everything beyond ASCII, and the slash, is escaped."""
    named = {**_NAMED, "/": "\\/"}
    out = "".join(named.get(c) or (c if c < "\x80" else "") or "".join(
        f"\\u{int.from_bytes(pair, 'big'):04x}" for pair in _units(c)) for c in text)
    return f'"{out}"'


def _units(char: str) -> list[bytes]:
    data = char.encode("utf-16-be")
    return [data[i:i + 2] for i in range(0, len(data), 2)]


def definite_path(path: str) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """The DuckDB path of a Jayway path that is members and indexes, else None; and the member names of
    it, each with the DuckDB path of the object it is in."""
    try:
        parts = steps(path)
    except PathError:
        return None
    native, members = "$", []
    for step in parts:
        if step.kind == "member" and len(step.names) == 1 and not set(step.names[0]) & set('"\\*'):
            members.append((native, step.names[0]))
            native += f'."{step.names[0]}"'
        elif step.kind == "index" and len(step.numbers) == 1:
            number = step.numbers[0] or 0
            native += f"[{number}]" if number >= 0 else f"[#-{-number}]"
        else:
            return None
    return native, tuple(members)

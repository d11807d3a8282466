"""Decoding of CSV lines: the fields of a line once, then the text of each column."""

from __future__ import annotations

from streamsql.core.format import Decoding
from streamsql.core.schema import Schema, quote, text_literal
from streamsql.core.types import DataType
from streamsql.formats import _scalar
from streamsql.formats._csv_line import Line, in_class

_TEXT, _CUT, _FIELDS = '"{raw}$text"', '"{raw}$cut"', '"{raw}$fields"'


def _shared(line: Line) -> tuple[tuple[str, str], ...]:
    """The text of the line; its pieces if there are quotes in it, each with a delimiter before it;
    its fields, NULL if the pieces do not make up the line."""
    text = "rtrim(decode(\"{raw}\"), chr(13) || chr(10))"
    split = f"string_split({_TEXT}, {text_literal(line.delimiter)})"
    special = [c for c in (line.quote, line.escape) if c]
    if not special:
        return (("{raw}$text", text), ("{raw}$fields", split))
    marked = " OR ".join(f"contains({_TEXT}, {text_literal(c)})" for c in special)
    pieces = f"regexp_extract_all({text_literal(line.delimiter)} || {_TEXT}, {text_literal(_piece(line))})"
    whole = f"list_sum(list_transform({_CUT}, lambda p: length(p))) = length({_TEXT}) + 1"
    plain = f"list_transform({_CUT}, lambda p: {_unquoted('substr(p, 2)', line)})"
    fields = f"CASE WHEN {_CUT} IS NULL THEN {split} WHEN {whole} THEN {plain} END"
    cut = f"CASE WHEN {marked} THEN {pieces} END"
    return (("{raw}$text", text), ("{raw}$cut", cut), ("{raw}$fields", fields))


def _piece(line: Line) -> str:
    """Regular expression of a delimiter and the field behind it, quoted or not."""
    d, e = in_class(line.delimiter), in_class(line.escape) if line.escape else ""
    escaped = f"|{e}." if e else ""
    if line.quote is None:
        return rf"(?s){d}(?:[^{d}{e}\n]{escaped})*"
    q = in_class(line.quote)
    quoted = f" *{q}(?:[^{q}{e}]|{q}{q}{escaped})*{q} *"
    plain = rf"(?:(?:[^{d}{q}{e}\n]{escaped})(?:[^{d}{e}\n]{escaped})*)?"
    return f"(?s){d}(?:{quoted}|{plain})"


def _unquoted(piece: str, line: Line) -> str:
    text = piece
    if line.quote:
        q = text_literal(line.quote)
        inner = f"trim({piece}, ' ')"
        inside = f"replace(substr({inner}, 2, length({inner}) - 2), {q} || {q}, {q})"
        text = f"CASE WHEN starts_with(ltrim({piece}, ' '), {q}) THEN {inside} ELSE {piece} END"
    if line.escape:
        pattern = text_literal(f"(?s){in_class(line.escape)}(.)")
        text = f"regexp_replace({text}, {pattern}, '\\1', 'g')"
    return text


def _column(t: str, kind: DataType, name: str, line: Line, lenient: bool) -> tuple[str, str, str]:
    """(value, suspect, reason) of the column whose text is `t`; '' for never."""
    if kind.root in _scalar.SCALARS:
        return _scalar_of(t, kind, name, lenient)
    parts = f"CASE WHEN {t} = '' THEN [] ELSE string_split({t}, {text_literal(line.element)}) END"
    if kind.root == "ARRAY" and kind.children[0].root in _scalar.SCALARS:
        x = _nulled("x", line)
        value, _, reason = _scalar_of(x, kind.children[0], f"{name}[]", lenient)
        reasons = f"list_filter(list_transform({parts}, lambda x: {reason}), lambda r: r IS NOT NULL)[1]" \
            if reason else ""
        values = f"list_transform({parts}, lambda x: {value})"
        return values, f"({reasons}) IS NOT NULL" if reason else "", reasons
    if kind.root == "ROW" and all(k.root in _scalar.SCALARS for k in kind.children):
        found = [_scalar_of(_nulled(f"({parts})[{n}]", line), k, f"{name}.{field}", lenient)
                 for n, (field, k) in enumerate(zip(kind.names, kind.children, strict=True), 1)]
        packed = ", ".join(f"{quote(n)} := {v}" for n, (v, _, _) in zip(kind.names, found, strict=True))
        size = f"CASE WHEN len({parts}) <> {len(found)} THEN {_scalar.refusal(name, kind, t, iso=False)} END"
        reason = f"coalesce({', '.join([size, *(r for _, _, r in found if r)])})"
        value = f"CASE WHEN {t} IS NOT NULL THEN struct_pack({packed}) END"
        return (value, "", "") if lenient else (value, f"({reason}) IS NOT NULL", reason)
    raise _scalar.unsupported(kind, name, "csv")


def _scalar_of(t: str, kind: DataType, name: str, lenient: bool) -> tuple[str, str, str]:
    value = _scalar.value(t, kind)
    suspect = _scalar.suspect(t, value, kind, iso=False)
    if suspect is None:
        return value, "", ""
    bad = _scalar.bad(t, kind, iso=False)
    if lenient:
        return f"CASE WHEN coalesce({suspect}, false) AND {bad} THEN NULL ELSE {value} END", "", ""
    refusal = _scalar.refusal(name, kind, f"('\"' || {t} || '\"')", iso=False)
    return value, suspect, f"CASE WHEN {t} IS NOT NULL AND {bad} THEN {refusal} END"


def _nulled(t: str, line: Line) -> str:
    return t if line.null is None else f"nullif({t}, {text_literal(line.null)})"


def decoding(schema: Schema, record: Schema, line: Line, *, lenient: bool, comments: bool) -> Decoding:
    """Decoding of lines with the columns of `record` into those of `schema`."""
    position = {c.name: n for n, c in enumerate(record, 1)}
    found = [_column(_nulled(f"{_FIELDS}[{position[c.name]}]", line), c.type, c.name, line, lenient)
             for c in schema]
    shared = _shared(line)
    skips = ['"{raw}" IS NULL', *([f"starts_with({_TEXT}, '#')"] if comments else [])]
    valid = '("{raw}" IS NULL OR TRY(decode("{raw}")) IS NOT NULL)'
    values = tuple(v for v, _, _ in found)
    if lenient:
        skips.append(f"{_FIELDS} IS NULL")
        return Decoding(values, shared, False, valid, skip=" OR ".join(skips))
    size = f"len({_FIELDS})"
    lines = f"contains({_TEXT}, chr(10))"  # of a line with quotes the expression has judged that
    if line.quote or line.escape:
        lines = f"({_CUT} IS NULL AND {lines})"
    odd = f"({_FIELDS} IS NULL OR {size} <> {len(record)} OR {lines})"
    suspect = " OR ".join([odd, *(f"({s})" for _, s, _ in found if s)])
    reasons = [
        "CASE WHEN \"{raw}\" IS NULL AND \"{raw}$bytes\" IS NOT NULL THEN 'the record is not UTF-8' END",
        f"CASE WHEN \"{{raw}}\" IS NULL OR {skips[-1]} THEN NULL "
        f"WHEN {_FIELDS} IS NULL THEN 'the record is not CSV: ' || left({_TEXT}, 80) "
        f"WHEN {lines} THEN 'the record has more than one line' "
        f"WHEN {size} <> {len(record)} THEN 'the record has ' || {size} || ' fields, "
        f"the table has {len(record)}: ' || left({_TEXT}, 80) END",
        *(r for _, _, r in found if r)]
    return Decoding(values, shared, False, valid, suspect, f"coalesce({', '.join(reasons)})",
                    " OR ".join(skips))

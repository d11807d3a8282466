"""Decoding of JSON objects: the texts of all leaves in one pass, then a cast of each.

An array or a map is read as JSON text and taken apart by lambdas, to any depth; a row inside one
is a record again, read in one pass of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from streamsql.core.format import Decoding
from streamsql.core.schema import Schema, quote, text_literal
from streamsql.core.types import INT, DataType
from streamsql.formats import _scalar
from streamsql.formats._scalar import unsupported

_DOCUMENT = '"{raw}"'


@dataclass(slots=True)
class _Record:
    """One JSON object, and the pointers that are read of it in one pass.

    document     SQL of its JSON text
    texts, parts SQL of the lists of what was read: scalars as text, containers as JSON
    """

    document: str
    texts: str
    parts: str
    scalar_pointers: list[str] = field(default_factory=list)
    part_pointers: list[str] = field(default_factory=list)

    def text(self, pointer: str) -> str:
        return f"{self.texts}[{_position(self.scalar_pointers, pointer)}]"

    def part(self, pointer: str) -> str:
        return f"{self.parts}[{_position(self.part_pointers, pointer)}]"

    def reads(self) -> list[tuple[str, str]]:
        """(function call that reads, list it makes) of those passes that are needed."""
        return [(f"{function}({self.document}, [{', '.join(text_literal(p) for p in pointers)}])", name)
                for function, pointers, name in (
                    ("json_extract_string", self.scalar_pointers, self.texts),
                    ("json_extract", self.part_pointers, self.parts)) if pointers]


def _position(pointers: list[str], pointer: str) -> int:
    if pointer not in pointers:
        pointers.append(pointer)
    return pointers.index(pointer) + 1


def _child(pointer: str, name: str) -> str:
    """JSON pointer (RFC 6901) of a member."""
    return f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"


@dataclass(frozen=True, slots=True)
class _Read:
    """How a value is read.

    value    of the column's type; right unless `suspect`
    present  BOOLEAN, never NULL: it, or something in it, is surely not NULL
    suspect  as in Decoding; '' for never
    reason   as in Decoding; '' for none
    """

    value: str
    present: str
    suspect: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Reader:
    """The rules of one table: `iso` timestamps, `missing` fields are errors, `lenient` to bad values."""

    iso: bool
    missing: bool
    lenient: bool

    def member(self, record: _Record, pointer: str, kind: DataType, label: str) -> _Read:
        """A member of an object."""
        if kind.root == "ROW":
            read = self.row(record, pointer, kind, label)
        elif kind.root in _scalar.SCALARS:
            shown = f"json_extract({record.document}, {text_literal(pointer)})::VARCHAR"
            read = self.scalar(record.text(pointer), kind, label, shown, record.document)
        else:
            read = self.container(record.part(pointer), kind, label)
        return self._required(read, record, pointer, label) if self.missing else read

    def _required(self, read: _Read, record: _Record, pointer: str, label: str) -> _Read:
        there = f"json_exists({record.document}, {text_literal(pointer)})"
        absent = f"CASE WHEN {read.present} THEN false ELSE NOT {there} END"
        message = text_literal(f'field "{label}" is missing')
        reason = f"CASE WHEN {absent} THEN {message} END"
        return _Read(read.value, read.present, _any(read.suspect, absent), _first(read.reason, reason))

    def scalar(self, t: str, kind: DataType, label: str, shown: str, document: str = "") -> _Read:
        value = _scalar.value(t, kind)
        if kind.root == "DECIMAL" and document:
            value = _exact_decimal(t, kind, value, document)
        suspect = _scalar.suspect(t, value, kind, iso=self.iso)
        present = f"{t} IS NOT NULL"
        if suspect is None:
            return _Read(value, present)
        bad = _scalar.bad(t, kind, iso=self.iso)
        if self.lenient:
            kept = f"CASE WHEN NOT {bad} THEN {value} END"
            return _Read(f"CASE WHEN coalesce({suspect}, false) THEN {kept} ELSE {value} END", present)
        refusal = _scalar.refusal(label, kind, shown, iso=self.iso)
        return _Read(value, present, suspect, f"CASE WHEN {t} IS NOT NULL AND {bad} THEN {refusal} END")

    def row(self, record: _Record, pointer: str, kind: DataType, label: str) -> _Read:
        """An object in an object, read by the pass of the outer one. Only when all that was read of
        it is NULL it must be asked whether it is there: that reads the record once more."""
        reads = [self.member(record, _child(pointer, n), t, f"{label}.{n}")
                 for n, t in zip(kind.names, kind.children, strict=True)]
        present = "(" + " OR ".join(r.present for r in reads) + ")"
        what = f"json_type({record.document}, {text_literal(pointer)})"
        there = f"CASE WHEN {present} THEN true ELSE coalesce({what} = 'OBJECT', false) END"
        packed = ", ".join(f"{quote(n)} := {r.value}" for n, r in zip(kind.names, reads, strict=True))
        value = f"CASE WHEN {there} THEN struct_pack({packed}) END"
        if self.lenient:
            return _Read(value, present)
        other = f"CASE WHEN {present} THEN false ELSE coalesce({what} NOT IN ('NULL', 'OBJECT'), false) END"
        shown = f"json_extract({record.document}, {text_literal(pointer)})::VARCHAR"
        no_row = f"CASE WHEN {other} THEN {_scalar.refusal(label, kind, shown, iso=self.iso)} END"
        nulls = [(f"{there} AND {r.value} IS NULL", f"{label}.{n}")
                 for n, t, r in zip(kind.names, kind.children, reads, strict=True) if not t.nullable]
        refusals = [f"CASE WHEN {test} THEN {_null_refused(name)} END" for test, name in nulls]
        inner = [f"CASE WHEN {there} THEN {_first(*(r.reason for r in reads))} END"] \
            if any(r.reason for r in reads) else []
        return _Read(value, present, _any(*(r.suspect for r in reads), other, *(test for test, _ in nulls)),
                     _first(no_row, *inner, *refusals))

    def container(self, part: str, kind: DataType, label: str) -> _Read:
        """An array or a map, from its JSON text."""
        if kind.root == "ARRAY":
            return self._array(part, kind, label)
        if kind.root in ("MAP", "MULTISET"):
            return self._map(part, kind, label)
        raise unsupported(kind, label, "json")

    def _array(self, part: str, kind: DataType, label: str) -> _Read:
        element = kind.children[0]
        fits = f"starts_with({part}::VARCHAR, '[')"
        values, reasons = self._elements(part, "$[*]", element, f"{label}[]")
        return self._contained(part, kind, label, fits, values, reasons)

    def _map(self, part: str, kind: DataType, label: str) -> _Read:
        key, element = kind.children[0], kind.children[1] if kind.root == "MAP" else INT
        if not key.is_character:
            raise unsupported(kind, label, "json")
        keys = f"json_keys({part})"
        distinct = f"len({keys}) = list_unique({keys})"
        fits = f"CASE WHEN starts_with({part}::VARCHAR, '{{') THEN {distinct} ELSE false END"
        values, reasons = self._elements(part, "$.*", element, f"{label}[]")
        return self._contained(part, kind, label, fits, f"map({keys}, {values})", reasons)

    def _contained(self, part: str, kind: DataType, label: str, fits: str, value: str, reasons: str) -> _Read:
        given = f"({part} IS NOT NULL AND {part}::VARCHAR <> 'null')"
        value = f"CASE WHEN {given} AND {fits} THEN {value} END"
        if self.lenient:
            return _Read(value, given)
        refusal = _scalar.refusal(label, kind, f"{part}::VARCHAR", iso=self.iso)
        inner = f" ELSE list_filter({reasons}, lambda r: r IS NOT NULL)[1]" if reasons else ""
        reason = f"CASE WHEN {given} THEN CASE WHEN NOT {fits} THEN {refusal}{inner} END END"
        suspect = f"({reason}) IS NOT NULL" if reasons else f"{given} AND NOT {fits}"
        return _Read(value, given, suspect, reason)

    def _elements(self, part: str, path: str, kind: DataType, label: str) -> tuple[str, str]:
        """SQL of the list of values, and of the list of reasons ('' if there can be none)."""
        depth = label.count("[]")
        x = f"x{depth}"
        if kind.root in _scalar.SCALARS:
            items = f"json_extract_string({part}, '{path}')"
            read = self.scalar(x, kind, label, x)
        elif kind.root == "ROW":
            x = f"y{depth}"
            record = _Record(f"{x}.document", f"{x}.texts", f"{x}.parts")
            read = self.row(record, "", kind, label)
            reads = "".join(f", {name.split('.')[1]} := {call}" for call, name in record.reads())
            fields = f"struct_pack(document := x{depth}{reads})".replace(f"({x}.document,", f"(x{depth},")
            items = f"list_transform(json_extract({part}, '{path}'), lambda x{depth}: {fields})"
        else:
            items = f"json_extract({part}, '{path}')"
            read = self.container(x, kind, label)
        reason = read.reason
        if not kind.nullable:
            reason = _first(reason, f"CASE WHEN {read.value} IS NULL THEN {_null_refused(label)} END")
        values = items if read.value == x else f"list_transform({items}, lambda {x}: {read.value})"
        return values, f"list_transform({items}, lambda {x}: {reason})" if reason and not self.lenient else ""


def _exact_decimal(t: str, kind: DataType, value: str, document: str) -> str:
    """Numbers with a fraction come as doubles: of one with too many digits take those that were written."""
    number = r"-?[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?"
    written = f"list_filter(regexp_extract_all({document}::VARCHAR, {text_literal(number)}), " \
              f"lambda n: n::DOUBLE = TRY_CAST({t} AS DOUBLE))[1]"
    exact = f"TRY_CAST({written} AS {kind.duck_type()})"
    quoted = f"contains({document}::VARCHAR, '\"' || {t} || '\"')"
    return f"CASE WHEN length({t}) > 16 AND NOT {quoted} THEN coalesce({exact}, {value}) ELSE {value} END"


def _null_refused(label: str) -> str:
    return text_literal(f'column "{label}" is NOT NULL and got NULL')


def _any(*tests: str) -> str:
    return " OR ".join(f"({t})" for t in tests if t)


def _first(*reasons: str) -> str:
    given = [r for r in reasons if r]
    return f"coalesce({', '.join(given)})" if len(given) > 1 else "".join(given)


@dataclass(frozen=True, slots=True)
class Fields:
    """The columns of a schema, read from one JSON object.

    shared   (quoted name, expression), as in Decoding
    odd      BOOLEAN: true for every document that is no object
    reasons  why a column cannot hold what it is given; in order
    """

    values: tuple[str, ...]
    shared: tuple[tuple[str, str], ...]
    suspects: tuple[str, ...]
    odd: str
    no_object: str
    reasons: tuple[str, ...]


def fields(schema: Schema, document: str, name: str, *, iso: bool, missing: bool, lenient: bool) -> Fields:
    """The columns of `schema` in the JSON text `document`; what is shared begins with `name`."""
    reader = _Reader(iso, missing, lenient)
    record = _Record(document, f'"{name}$texts"', f'"{name}$parts"')
    reads = [reader.member(record, _child("", c.name), c.type, c.name) for c in schema]
    shared = tuple((made.strip('"'), call) for call, made in record.reads())
    present = _any(*(r.present for r in reads)) or "false"
    # an object begins with a brace; whoever writes spaces before it pays for a second look
    odd = f"CASE WHEN {present} THEN false ELSE NOT starts_with({document}, '{{') END"
    kind = f"json_type({document})"
    no_object = f"CASE WHEN {kind} <> 'OBJECT' THEN 'the record is JSON of type ' || lower({kind}) " \
                "|| ', not an object' END"
    return Fields(tuple(r.value for r in reads), shared, tuple(r.suspect for r in reads if r.suspect), odd, no_object,
                  tuple(r.reason for r in reads if r.reason))


VALID = f"({_DOCUMENT} IS NULL OR json_valid({_DOCUMENT}))"
MALFORMED = 'CASE WHEN "{raw}" IS NULL AND "{raw}$bytes" IS NOT NULL THEN ' \
            "coalesce('the record is not JSON: ' || left(TRY(decode(\"{raw}$bytes\")), 80), " \
            "'the record is not JSON: its bytes are not UTF-8') END"
"""Of a whole record: `valid` of a Decoding, and the reason where it does not hold."""


def decoding(schema: Schema, *, iso: bool, missing: bool, lenient: bool) -> Decoding:
    """Decoding of objects with the columns of `schema`."""
    found = fields(schema, _DOCUMENT, "{raw}", iso=iso, missing=missing, lenient=lenient)
    unread = "" if found.values else f"NOT {VALID}"
    if lenient:
        kind = f"json_type({_DOCUMENT})"
        skip = f"CASE WHEN {_DOCUMENT} IS NULL THEN true WHEN {found.odd} THEN {kind} <> 'OBJECT' ELSE false END"
        return Decoding(found.values, found.shared, True, VALID, unread or None, skip=skip)
    return Decoding(
        found.values, found.shared, True, VALID, _any(*found.suspects, found.odd, unread),
        _first(MALFORMED, found.no_object, *found.reasons), f"{_DOCUMENT} IS NULL")

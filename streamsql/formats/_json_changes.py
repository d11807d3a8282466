"""What the formats `canal-json`, `maxwell-json` and `ogg-json` share: a JSON record that says how rows changed.

An Envelope says where in the record things are. Writing knows no updates: a row that goes is a delete, one
that comes an insert, as in Flink.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamsql.core.format import RAW, Decoding, Encoding
from streamsql.core.options import Options
from streamsql.core.schema import Schema, text_literal
from streamsql.formats import _json_decode, _json_encode
from streamsql.formats.json import OPTIONS as JSON_OPTIONS

_OF_JSON = ("ignore-parse-errors", "timestamp-format.standard", "map-null-key.mode", "map-null-key.literal",
            "encode.decimal-as-plain-number", "encode.ignore-null-fields")
OPTIONS = tuple(option for option in JSON_OPTIONS if option.key in _OF_JSON)

RECORD = f'"{RAW}"'
_OP, _BEFORE, _AFTER, _ROW = (f"{RAW}${part}" for part in ("op", "before", "after", "row"))


def text(pointer: str) -> str:
    return f"json_extract_string({RECORD}, {text_literal(pointer)})"


def instant(ms: str) -> str:
    return f"make_timestamptz(TRY_CAST({ms} AS BIGINT) * 1000)"


def texts(pointer: str) -> str:
    """VARCHAR[]: the texts of an array, NULL where there is none."""
    there = f"json_type({RECORD}, {text_literal(pointer)}) = 'ARRAY'"
    path = "$" + pointer.replace("/", ".") + "[*]"
    return f"CASE WHEN {there} THEN json_extract_string({RECORD}, {text_literal(path)}) END"


def member(pointer: str) -> str:
    """VARCHAR: the JSON text of a member, NULL where it is missing or null."""
    return f"nullif(json_extract({RECORD}, {text_literal(pointer)})::VARCHAR, 'null')"


def members(pointer: str) -> str:
    """VARCHAR[]: the JSON texts of an array's elements; of an object, itself."""
    path = "$" + pointer.replace("/", ".") + "[*]"
    kind = f"json_type({RECORD}, {text_literal(pointer)})"
    many = f"json_extract({RECORD}, {text_literal(path)})::VARCHAR[]"
    return f"CASE {kind} WHEN 'ARRAY' THEN {many} WHEN 'OBJECT' THEN [{member(pointer)}] END"


def patched() -> str:
    """The rows before an update: those after it with the values of `old`, which has what has changed."""
    data, old = members("/data"), members("/old")
    rows = f"list_transform(list_zip({data}, {old}), lambda p: json_merge_patch(p[1]::JSON, p[2]::JSON)::VARCHAR)"
    return f"CASE WHEN len({data}) = len({old}) THEN {rows} END"


@dataclass(frozen=True, slots=True)
class Envelope:
    """Where things are in a record of a format.

    op        the member that names the operation
    insert, update, delete   how it names them
    before    VARCHAR[]: the rows that an update or a delete takes back
    after     VARCHAR[]: the rows that an insert or an update brings
    removed   what a delete takes back, where it is not `before`
    ignored   operations that are no changes of rows
    metadata  its expressions by key
    many      a record holds rows in arrays
    """

    op: str
    insert: str
    update: str
    delete: str
    before: str
    after: str
    removed: str
    ignored: tuple[str, ...]
    metadata: Mapping[str, str]


def decoder(envelope: Envelope, schema: Schema, options: Options, metadata: Sequence[str],
            left_out: str = "") -> Decoding:
    """How a record becomes the rows of `schema`. left_out: BOOLEAN, a record that is passed over."""
    lenient, iso = options.flag("ignore-parse-errors"), options.text("timestamp-format.standard") == "iso-8601"
    op, before, after, row = (f'"{name}"' for name in (_OP, _BEFORE, _AFTER, _ROW))
    insert, update, delete = (text_literal(o) for o in (envelope.insert, envelope.update, envelope.delete))
    removed = f"CASE {op} WHEN {delete} THEN {envelope.removed} WHEN {update} THEN {envelope.before} END"
    brought = f"CASE WHEN {op} IN ({insert}, {update}) THEN {envelope.after} END"
    shared = ((_OP, text(envelope.op)), (_BEFORE, removed), (_AFTER, brought))
    none = "coalesce(len({}), 0) = 0"
    lacks = (f"CASE {op} WHEN {insert} THEN {none.format(after)} WHEN {delete} THEN {none.format(before)} "
             f"WHEN {update} THEN {none.format(before)} OR {none.format(after)} OR len({before}) <> len({after}) "
             f"ELSE true END")
    ones = "list_transform({}, lambda r: {})"
    both = f"flatten(list_transform({after}, lambda r: [-1, 1]))"
    diffs = (f"CASE WHEN {lacks} THEN [1] WHEN {op} = {insert} THEN {ones.format(after, 1)} "
             f"WHEN {op} = {delete} THEN {ones.format(before, -1)} ELSE {both} END")
    pairs = f"flatten(list_transform(list_zip({before}, {after}), lambda p: [p[1], p[2]]))"
    rows = (f"CASE WHEN {lacks} THEN [NULL::VARCHAR] WHEN {op} = {insert} THEN {after} WHEN {op} = {delete} "
            f"THEN {before} ELSE {pairs} END")
    found = _json_decode.fields(schema, row, _ROW, iso=iso, missing=False, lenient=lenient)
    columns = (*found.values, *(envelope.metadata[key] for key in metadata))
    valid = f"({RECORD} IS NULL OR json_valid({RECORD}))"
    skip = f"{RECORD} IS NULL OR {RECORD} = ''"
    if envelope.ignored:
        skip += f" OR coalesce({op} IN ({', '.join(map(text_literal, envelope.ignored))}), false)"
    skip += f" OR {left_out}" if left_out else ""
    no_row = f"json_type({row}) IS DISTINCT FROM 'OBJECT'"
    if lenient:
        return Decoding(columns, shared, True, valid, None, skip=f"{skip} OR {lacks} OR {_other(before, after)}",
                        diffs=diffs, rows=(_ROW, rows), part=found.shared)
    malformed = f"CASE WHEN octet_length(\"{RAW}$bytes\") > 0 THEN {_json_decode.MALFORMED} END"
    no_object = f"CASE WHEN NOT {lacks} AND {no_row} THEN 'a row of the record is no object' END"
    suspect = " OR ".join(f"({test})" for test in (lacks, found.odd, *found.suspects))
    reason = f"coalesce({', '.join((malformed, _complaint(envelope, lacks), no_object, *found.reasons))})"
    return Decoding(columns, shared, True, valid, suspect, reason, skip, diffs=diffs, rows=(_ROW, rows),
                    part=found.shared)


def _other(before: str, after: str) -> str:
    """A row is no object."""
    each = "coalesce(list_bool_or(list_transform({}, lambda r: json_type(r) IS DISTINCT FROM 'OBJECT')), false)"
    return f"{each.format(before)} OR {each.format(after)}"


def _complaint(envelope: Envelope, lacks: str) -> str:
    """VARCHAR: why the record is none."""
    op, name = f'"{_OP}"', envelope.op.strip("/")
    known = ", ".join(text_literal(o) for o in (envelope.insert, envelope.update, envelope.delete))
    return (f"CASE WHEN {RECORD} IS NULL OR NOT {lacks} THEN NULL "
            f"WHEN {op} IS NULL THEN {text_literal(f'the record has no {quoted(name)}')} "
            f"WHEN {op} NOT IN ({known}) THEN {text_literal(f'unknown {quoted(name)} ')} || "
            f"'\"' || left({op}, 80) || '\"' "
            f"ELSE 'the record lacks rows of its {name} \"' || {op} || '\"' END")


def quoted(name: str) -> str:
    return f'"{name}"'


def encoder(schema: Schema, options: Options, comes: str, goes: str,
            absent: tuple[str, ...] = ()) -> Encoding:
    """comes, goes: the record with `{}` for the row. absent: what `{0}` and `{1}` in them are, unless NULL fields
    are left out."""
    sparse = options.flag("encode.ignore-null-fields")
    row = _json_encode.encoded(schema, iso=options.text("timestamp-format.standard") == "iso-8601",
                               plain=options.flag("encode.decimal-as-plain-number"), sparse=sparse)

    def record(form: str) -> str:
        for at, member in enumerate(absent):
            form = form.replace(f"{{{at}}}", "" if sparse else member)
        first, last = form.split("{}")
        return f"{text_literal(first)} || {row} || {text_literal(last)}"

    return Encoding(f"CASE WHEN \"$diff\" > 0 THEN {record(comes)} ELSE {record(goes)} END")

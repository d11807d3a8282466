"""Format `debezium-json`: the changes of a database's table, as Debezium writes them; Flink's options.

A record is an envelope: `before` and `after` are the row, `op` is c (create), r (read by a snapshot),
u (update: two changes, the row before goes and the row after comes) or d (delete); with
`schema-include` the envelope is its `payload`. The record without a value that follows a delete is
skipped. Writing knows no updates: a row that goes is a `d`, one that comes a `c`, as in Flink.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamsql.core.connector import Metadata
from streamsql.core.format import RAW, Decoding, Encoding
from streamsql.core.options import Option, OptionError, Options
from streamsql.core.schema import Schema, text_literal
from streamsql.core.types import STRING, map_of, timestamp_ltz
from streamsql.formats import _json_decode, _json_encode
from streamsql.formats.json import OPTIONS as JSON_OPTIONS

CHANGES = True

_OF_JSON = ("ignore-parse-errors", "timestamp-format.standard", "map-null-key.mode", "map-null-key.literal",
            "encode.decimal-as-plain-number", "encode.ignore-null-fields")
OPTIONS = (
    Option("schema-include", "bool", False, "The envelope is the `payload` of a record that has its schema too; "
           "only for reading."),
    *(option for option in JSON_OPTIONS if option.key in _OF_JSON),
)

METADATA: Mapping[str, Metadata] = {
    "schema": Metadata(STRING),
    "ingestion-timestamp": Metadata(timestamp_ltz(3)),
    "source.timestamp": Metadata(timestamp_ltz(3)),
    "source.database": Metadata(STRING),
    "source.schema": Metadata(STRING),
    "source.table": Metadata(STRING),
    "source.properties": Metadata(map_of(STRING, STRING)),
}

_RECORD = f'"{RAW}"'
_OP, _SIDES, _ROW = f"{RAW}$op", f"{RAW}$sides", f"{RAW}$row"


def _iso(options: Options) -> bool:
    return options.text("timestamp-format.standard") == "iso-8601"


@dataclass(frozen=True, slots=True)
class _Envelope:
    """Where in the record things are; `at` is the JSON pointer of the envelope."""

    at: str

    def text(self, pointer: str) -> str:
        return f"json_extract_string({_RECORD}, {text_literal(self.at + pointer)})"

    def shared(self) -> tuple[tuple[str, str], ...]:
        """The operation; the row before and the row after, as JSON text, NULL where there is none."""
        sides = [f"nullif(json_extract({_RECORD}, {text_literal(f'{self.at}/{side}')})::VARCHAR, 'null')"
                 for side in ("before", "after")]
        return ((_OP, self.text("/op")), (_SIDES, f"[{', '.join(sides)}]"))

    def metadata(self, key: str) -> str:
        source = f"json_extract({_RECORD}, {text_literal(self.at + '/source')})"
        match key:
            case "schema":
                return f"json_extract({_RECORD}, '/schema')::VARCHAR" if self.at else "NULL::VARCHAR"
            case "ingestion-timestamp":
                return _instant(self.text("/ts_ms"))
            case "source.timestamp":
                return _instant(self.text("/source/ts_ms"))
            case "source.properties":
                there = f"json_type({source}) = 'OBJECT'"
                pairs = f"map(json_keys({source}), json_extract_string({source}, '$.*'))"
                return f"CASE WHEN {there} THEN {pairs} END"
            case _:
                name = {"source.database": "db"}.get(key, key.removeprefix("source."))
                return self.text(f"/source/{name}")


def _instant(ms: str) -> str:
    return f"make_timestamptz(TRY_CAST({ms} AS BIGINT) * 1000)"


_OPERATION, _BEFORE, _AFTER = f'"{_OP}"', f'"{_SIDES}"[1]', f'"{_SIDES}"[2]'
_LACKS = f"CASE {_OPERATION} WHEN 'u' THEN {_BEFORE} IS NULL OR {_AFTER} IS NULL WHEN 'd' THEN {_BEFORE} IS NULL " \
         f"WHEN 'c' THEN {_AFTER} IS NULL WHEN 'r' THEN {_AFTER} IS NULL ELSE true END"
"""BOOLEAN, never NULL: the envelope does not have what its operation needs, or no known operation."""


def _complaint(schema_include: bool) -> str:
    """VARCHAR: why the envelope is none."""
    where = 'no object "payload" with an' if schema_include else "no"
    hint = "" if schema_include else \
        f" || CASE WHEN json_exists({_RECORD}, '/payload') THEN ', but a \"payload\": set schema-include' ELSE '' END"
    no_op = f"""WHEN {_OPERATION} IS NULL THEN 'the record has {where} "op"'{hint}"""
    unknown = f"WHEN {_OPERATION} NOT IN ('c', 'r', 'u', 'd') " \
              f"""THEN 'unknown "op" "' || left({_OPERATION}, 80) || '"'"""
    before = f"""WHEN {_OPERATION} IN ('u', 'd') AND {_BEFORE} IS NULL THEN 'the "before" of op "' || {_OPERATION} """ \
             """|| '" is null: for PostgreSQL set the table''s REPLICA IDENTITY to FULL'"""
    after = f"""WHEN {_AFTER} IS NULL THEN 'the "after" of op "' || {_OPERATION} || '" is null'"""
    return f"CASE WHEN {_RECORD} IS NULL OR NOT {_LACKS} THEN NULL {no_op} {unknown} {before} {after} END"


def decoder(schema: Schema, options: Options, record: Schema | None = None,
            metadata: Sequence[str] = ()) -> Decoding:
    """How an envelope becomes the rows of `schema`, and the `metadata` beside each."""
    lenient, included = options.flag("ignore-parse-errors"), options.flag("schema-include")
    envelope = _Envelope("/payload" if included else "")
    row = f'"{_ROW}"'
    found = _json_decode.fields(schema, row, _ROW, iso=_iso(options), missing=False, lenient=lenient)
    no_row = f"json_type({row}) IS DISTINCT FROM 'OBJECT'"
    part = ((_ROW, f"CASE WHEN \"$diff\" < 0 THEN {_BEFORE} ELSE {_AFTER} END"), *found.shared)
    columns = (*found.values, *(envelope.metadata(key) for key in metadata))
    diffs = f"CASE {_OPERATION} WHEN 'u' THEN [-1, 1] WHEN 'd' THEN [-1] ELSE [1] END"
    empty = f"({_RECORD} IS NULL OR {_RECORD} = '')"
    valid = f"({_RECORD} IS NULL OR json_valid({_RECORD}))"
    if lenient:
        objects = " AND ".join(f"({side} IS NULL OR json_type({side}) = 'OBJECT')" for side in (_BEFORE, _AFTER))
        skip = f"{empty} OR {_LACKS} OR NOT ({objects})"
        return Decoding(columns, envelope.shared(), True, valid, None, skip=skip, diffs=diffs, part=part)
    malformed = f"CASE WHEN octet_length(\"{RAW}$bytes\") > 0 THEN {_json_decode.MALFORMED} END"
    no_object = f"CASE WHEN NOT {_LACKS} AND {no_row} THEN 'the row of op \"' || {_OPERATION} || '\" is no object' END"
    suspect = " OR ".join(f"({test})" for test in (_LACKS, found.odd, *found.suspects))
    reason = f"coalesce({', '.join((malformed, _complaint(included), no_object, *found.reasons))})"
    return Decoding(columns, envelope.shared(), True, valid, suspect, reason, empty, diffs=diffs, part=part)


def encoder(schema: Schema, options: Options) -> Encoding:
    """A row that comes as a `c`, one that goes as a `d`."""
    if options.flag("schema-include"):
        raise OptionError('option "schema-include" of format "debezium-json" is only for reading', "schema-include",
                          "Leave it out for a table that is written: no schema is.")
    sparse = options.flag("encode.ignore-null-fields")
    row = _json_encode.encoded(schema, iso=_iso(options), plain=options.flag("encode.decimal-as-plain-number"),
                               sparse=sparse)
    none = {side: "" if sparse else f'"{side}":null,' for side in ("before", "after")}
    comes = f"'{{{none['before']}\"after\":' || {row} || ',\"op\":\"c\"}}'"
    goes = f"'{{\"before\":' || {row} || ',{none['after']}\"op\":\"d\"}}'"
    return Encoding(f"CASE WHEN \"$diff\" > 0 THEN {comes} ELSE {goes} END")

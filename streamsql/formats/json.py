"""Format `json`: one object a record, Flink's options and texts.

Decoding reads all leaves that the plan uses in one pass (`json_extract_string` with a list of
pointers was measured fastest) and casts their texts; `json_transform` would cut 12.5 to 12 and
make NULL of "abc" in silence. A JSON string that holds a number is one, as in Flink. Differences
from Flink: the first of two equal keys counts, and a trailing comma is accepted.
"""

from __future__ import annotations

from streamsql.core.format import Decoding, Encoding
from streamsql.core.options import Option, OptionError, Options
from streamsql.core.schema import Schema
from streamsql.formats import _json_decode, _json_encode

OPTIONS = (
    Option("fail-on-missing-field", "bool", False, "A missing field is an error, not NULL."),
    Option("ignore-parse-errors", "bool", False, "A bad value is NULL, a bad record is skipped."),
    Option("timestamp-format.standard", "string", "sql", "Form of timestamps: SQL or ISO-8601.",
           choices=("sql", "iso-8601")),
    Option("map-null-key.mode", "string", "fail", "What to do with a NULL key of a map when writing.",
           choices=("fail", "drop", "literal")),
    Option("map-null-key.literal", "string", "null", "The key written by map-null-key.mode LITERAL."),
    Option("encode.decimal-as-plain-number", "bool", False, "Write decimals never as 2.7E+8."),
    Option("encode.ignore-null-fields", "bool", False, "Leave out fields that are NULL when writing."),
    Option("decode.json-parser.enabled", "bool", True, "Accepted; there is one way of decoding."),
)


def decoder(schema: Schema, options: Options, record: Schema | None = None) -> Decoding:
    """How records become the columns of `schema`, whatever else is in them."""
    if options.flag("fail-on-missing-field") and options.flag("ignore-parse-errors"):
        raise OptionError('options "fail-on-missing-field" and "ignore-parse-errors" exclude each other',
                          "ignore-parse-errors", "Leave one out.")
    return _json_decode.decoding(
        schema, iso=options.text("timestamp-format.standard") == "iso-8601",
        missing=options.flag("fail-on-missing-field"), lenient=options.flag("ignore-parse-errors"))


def encoder(schema: Schema, options: Options) -> Encoding:
    """How rows of `schema` become records. A map has no NULL keys here, so `map-null-key.*` never act."""
    return _json_encode.encoding(
        schema, iso=options.text("timestamp-format.standard") == "iso-8601",
        plain=options.flag("encode.decimal-as-plain-number"),
        sparse=options.flag("encode.ignore-null-fields"))

"""Format `csv`: one line a record, Flink's options; columns by position.

A line without quotes is split at the delimiter; one with quotes is taken apart by a regular
expression that must cover it whole. Writing quotes where Flink does: text of more than 24
characters, or with one that does not sort behind the delimiter and the quote.
"""

from __future__ import annotations

from streamsql.core.format import Decoding, Encoding
from streamsql.core.options import Option, OptionError, Options
from streamsql.core.schema import Schema
from streamsql.formats import _csv_decode, _csv_encode
from streamsql.formats._csv_line import Line

OPTIONS = (
    Option("field-delimiter", "string", ",", "The character between fields."),
    Option("disable-quote-character", "bool", False, "Quotes mean nothing."),
    Option("quote-character", "string", '"', "The character around text with delimiters in it."),
    Option("allow-comments", "bool", False, "A record that begins with # is skipped."),
    Option("ignore-parse-errors", "bool", False, "A bad value is NULL, a bad record is skipped."),
    Option("array-element-delimiter", "string", ";", "What stands between elements of an array or a row."),
    Option("escape-character", "string", None, "The character that takes the meaning of the next one."),
    Option("null-literal", "string", None, "The text of NULL; without it empty text is no NULL."),
    Option("write-bigdecimal-in-scientific-notation", "bool", True, "Decimals may be written as 1E-9."),
)


def _line(options: Options) -> Line:
    quote = None if options.flag("disable-quote-character") else _character(options, "quote-character")
    delimiter, escape = _character(options, "field-delimiter"), _character(options, "escape-character")
    assert delimiter is not None
    null = options["null-literal"]
    return Line(delimiter, quote, escape, _unescaped(options.text("array-element-delimiter")),
                None if null is None else str(null))


def _unescaped(text: str) -> str:
    return {r"\t": "\t", r"\n": "\n", r"\r": "\r", r"\\": "\\"}.get(text, text)


def _character(options: Options, key: str) -> str | None:
    if options[key] is None:
        return None
    text = _unescaped(options.text(key))
    if len(text) != 1:
        raise OptionError(f'option "{key}" of format "csv" is "{text}"', key, "Write one character.")
    return text


def decoder(schema: Schema, options: Options, record: Schema | None = None) -> Decoding:
    """How records with the columns of `record` become those of `schema`."""
    return _csv_decode.decoding(schema, record or schema, _line(options),
                                lenient=options.flag("ignore-parse-errors"),
                                comments=options.flag("allow-comments"))


def encoder(schema: Schema, options: Options) -> Encoding:
    """How rows of `schema` become records."""
    return _csv_encode.encoding(schema, _line(options),
                                plain=not options.flag("write-bigdecimal-in-scientific-notation"))

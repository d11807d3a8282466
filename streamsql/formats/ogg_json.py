"""Format `ogg-json`: the changes of a table, as Oracle GoldenGate writes them; Flink's options.

`before` and `after` are the row, `op_type` is I, U or D.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streamsql.core.connector import Metadata
from streamsql.core.format import Decoding, Encoding
from streamsql.core.options import Options
from streamsql.core.schema import Schema
from streamsql.core.types import STRING, DataType
from streamsql.formats import _json_changes as changes

CHANGES = True

OPTIONS = changes.OPTIONS

METADATA: Mapping[str, Metadata] = {
    "table": Metadata(STRING),
    "primary-keys": Metadata(DataType("ARRAY", children=(STRING,))),
}

_BEFORE, _AFTER = changes.members("/before"), changes.members("/after")
_ENVELOPE = changes.Envelope("/op_type", "I", "U", "D", _BEFORE, _AFTER, _BEFORE, (), {
    "table": changes.text("/table"), "primary-keys": changes.texts("/primary_keys")})


def decoder(schema: Schema, options: Options, record: Schema | None = None, metadata: Sequence[str] = ()) -> Decoding:
    """How a record becomes rows of `schema`, and the `metadata` beside each."""
    return changes.decoder(_ENVELOPE, schema, options, metadata)


def encoder(schema: Schema, options: Options) -> Encoding:
    """A row that comes as an I, one that goes as a D."""
    return changes.encoder(schema, options, '{{0}"after":{},"op_type":"I"}',
                           '{"before":{},{1}"op_type":"D"}', ('"before":null,', '"after":null,'))

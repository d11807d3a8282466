"""Format `maxwell-json`: the changes of a MySQL table, as Maxwell's daemon writes them; Flink's options.

`data` is the row, `old` what an update has changed in it, `type` is insert, update or delete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streamsql.core.connector import Metadata
from streamsql.core.format import Decoding, Encoding
from streamsql.core.options import Options
from streamsql.core.schema import Schema
from streamsql.core.types import STRING, DataType, timestamp_ltz
from streamsql.formats import _json_changes as changes

CHANGES = True

OPTIONS = changes.OPTIONS

METADATA: Mapping[str, Metadata] = {
    "database": Metadata(STRING),
    "table": Metadata(STRING),
    "primary-key-columns": Metadata(DataType("ARRAY", children=(STRING,))),
    "ingestion-timestamp": Metadata(timestamp_ltz(3)),
}

_ENVELOPE = changes.Envelope(
    "/type", "insert", "update", "delete", changes.patched(), changes.members("/data"), changes.members("/data"), (), {
        "database": changes.text("/database"), "table": changes.text("/table"),
        "primary-key-columns": changes.texts("/primary-key-columns"),
        "ingestion-timestamp": changes.instant(changes.text("/ts")),
    })


def decoder(schema: Schema, options: Options, record: Schema | None = None, metadata: Sequence[str] = ()) -> Decoding:
    """How a record becomes rows of `schema`, and the `metadata` beside each."""
    return changes.decoder(_ENVELOPE, schema, options, metadata)


def encoder(schema: Schema, options: Options) -> Encoding:
    """A row that comes as an insert, one that goes as a delete."""
    return changes.encoder(schema, options, '{"data":{},"type":"insert"}', '{"data":{},"type":"delete"}')

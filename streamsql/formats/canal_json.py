"""Format `canal-json`: the changes of a MySQL table, as Alibaba's Canal writes them; Flink's options.

A record holds the rows of one statement: `data` are rows, `old` what an UPDATE has changed in each, `type` is
INSERT, UPDATE, DELETE, or CREATE, which is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streamsql.core.connector import Metadata
from streamsql.core.format import Decoding, Encoding
from streamsql.core.options import Option, Options
from streamsql.core.schema import Schema, text_literal
from streamsql.core.types import INT, STRING, DataType, map_of, timestamp_ltz
from streamsql.formats import _json_changes as changes

CHANGES = True

OPTIONS = (
    *changes.OPTIONS,
    Option("database.include", "string", "", "A regular expression: records of other databases are passed over; "
           "only for reading."),
    Option("table.include", "string", "", "A regular expression: records of other tables are passed over; "
           "only for reading."),
)

METADATA: Mapping[str, Metadata] = {
    "database": Metadata(STRING),
    "table": Metadata(STRING),
    "sql-type": Metadata(map_of(STRING, INT)),
    "pk-names": Metadata(DataType("ARRAY", children=(STRING,))),
    "ingestion-timestamp": Metadata(timestamp_ltz(3)),
    "event-timestamp": Metadata(timestamp_ltz(3)),
}

_TYPES = f"json_extract({changes.RECORD}, '/sqlType')"
_ENVELOPE = changes.Envelope(
    "/type", "INSERT", "UPDATE", "DELETE", changes.patched(), changes.members("/data"), changes.members("/data"),
    ("CREATE",), {
        "database": changes.text("/database"), "table": changes.text("/table"),
        "sql-type": f"CASE WHEN json_type({_TYPES}) = 'OBJECT' THEN map(json_keys({_TYPES}), list_transform("
                    f"json_extract_string({_TYPES}, '$.*'), lambda v: TRY_CAST(v AS INTEGER))) END",
        "pk-names": changes.texts("/pkNames"), "ingestion-timestamp": changes.instant(changes.text("/ts")),
        "event-timestamp": changes.instant(changes.text("/es")),
    })


def decoder(schema: Schema, options: Options, record: Schema | None = None, metadata: Sequence[str] = ()) -> Decoding:
    """How a record becomes rows of `schema`, and the `metadata` beside each."""
    others = [f"NOT coalesce(regexp_full_match({changes.text('/' + part)}, {text_literal(pattern)}), false)"
              for part in ("database", "table") if (pattern := options.text(f"{part}.include"))]
    return changes.decoder(_ENVELOPE, schema, options, metadata, " OR ".join(others))


def encoder(schema: Schema, options: Options) -> Encoding:
    """A row that comes as an INSERT, one that goes as a DELETE."""
    return changes.encoder(schema, options, '{"data":[{}],"type":"INSERT"}', '{"data":[{}],"type":"DELETE"}')

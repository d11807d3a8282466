"""CREATE as ksqlDB and RisingWave write it, in canonical form.

Only what has the same meaning is rewritten; any other option of theirs is an error that names Flink's.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from streamsql.sql.ddl import DefinitionRules
from streamsql.sql.spans import place_all
from streamsql.sql.statements import CreateTable, OptionDef, WatermarkDef

_KSQL_OPTIONS = {
    "kafka_topic": "topic",
    "value_format": "value.format",
    "key_format": "key.format",
    "format": "format",
    "partitions": "sink.topic.partitions",
    "bootstrap_servers": "properties.bootstrap.servers",
}
_KSQL_FORMATS = {
    "json": "json",
    "delimited": "csv",
    "avro": "avro-confluent",
    "kafka": "raw",
    "json_sr": "json",
}
_RISINGWAVE_OPTIONS = {"properties.bootstrap.server": "properties.bootstrap.servers"}
_RISINGWAVE_MODES = {"earliest": "earliest-offset", "latest": "latest-offset"}


class ForeignRules(DefinitionRules):
    """The rules of CREATE STREAM, SOURCE and SINK, and of tables with `kafka_topic`."""

    def inline_key(self) -> bool:
        """ksqlDB also writes `id INT PRIMARY KEY`."""
        if self.at_all("PRIMARY", "KEY") and self.ahead(2) in (",", ")") and self.foreign_table:
            self.index += 2
            return True
        if self.at("KEY"):
            self.fail(
                "KEY is not supported",
                self.here(),
                hint="name the key in WITH: 'key.format' = 'raw', 'key.fields' = 'id'",
            )
        return super().inline_key()

    foreign_table = False

    def foreign(self, table: CreateTable, word: str) -> CreateTable:
        if any(o.key.lower() == "kafka_topic" for o in table.options):
            return self._ksql(table, word)
        return (
            replace(table, options=tuple(self._risingwave(o) for o in table.options))
            if word != "STREAM"
            else table
        )

    def _ksql(self, table: CreateTable, word: str) -> CreateTable:
        span = table.options[0].key_span
        connector = "upsert-kafka" if table.primary_key else "kafka"
        options = [OptionDef("connector", connector, span, span)]
        for option in table.options:
            key = option.key.lower()
            if key in ("timestamp", "timestamp_format"):
                table = self._timestamp(table, option)
                continue
            value = option.value
            if key in ("value_format", "key_format", "format"):
                value = _KSQL_FORMATS.get(value.lower(), value.lower())
            options.append(replace(option, key=_KSQL_OPTIONS.get(key, option.key), value=value))
        return replace(table, options=tuple(options))

    def _timestamp(self, table: CreateTable, option: OptionDef) -> CreateTable:
        if option.key.lower() == "timestamp_format":
            self.fail(
                "timestamp_format is not supported",
                option.key_span,
                hint="compute the time: ts AS TO_TIMESTAMP(s, 'yyyy-MM-dd'), WATERMARK FOR ts AS ts",
            )
        column = place_all(exp.Column(this=exp.to_identifier(option.value)), option.value_span)
        return replace(table, watermark=WatermarkDef(option.value, column, option.value_span))

    def _risingwave(self, option: OptionDef) -> OptionDef:
        key = _RISINGWAVE_OPTIONS.get(option.key, option.key)
        value = (
            _RISINGWAVE_MODES.get(option.value, option.value) if key == "scan.startup.mode" else option.value
        )
        return replace(option, key=key, value=value)

    def format_clause(self, table: CreateTable) -> CreateTable:
        """`FORMAT PLAIN|UPSERT|DEBEZIUM ENCODE JSON|CSV|AVRO [(option = value, …)]`."""
        start = self.index
        self.expect("FORMAT")
        shape = self.expect_any("PLAIN", "UPSERT", "DEBEZIUM")
        self.expect("ENCODE")
        coding = self.expect_any("JSON", "CSV", "AVRO", "BYTES").lower()
        span = self.since(start)
        coding = {"avro": "avro-confluent", "bytes": "raw"}.get(coding, coding)
        if shape == "DEBEZIUM":
            coding = f"debezium-{coding}"
        extra = self.options() if self.at("(") else ()
        given = [OptionDef(f"{coding}.{o.key}", o.value, o.key_span, o.value_span) for o in extra]
        if shape != "UPSERT":
            return replace(table, options=(*table.options, OptionDef("format", coding, span, span), *given))
        options = [o if o.key != "connector" else replace(o, value="upsert-kafka") for o in table.options]
        formats = [OptionDef(k, coding, span, span) for k in ("key.format", "value.format")]
        given = [replace(o, key=f"value.{o.key}") for o in given]
        return replace(table, options=(*options, *formats, *given))

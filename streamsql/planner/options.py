"""The WITH clause of a table: whose option each key is, checked before anything runs.

Keys belong to the connector, to a format (`json.*`, `key.json.*`, `value.json.*`), or to the
engine (`scan.watermark.*`, `error-handling.mode`, …). What is left over is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streamsql.core.options import Option, OptionError, Options, validate
from streamsql.errors import did_you_mean, nearest
from streamsql.planner import modules

ENGINE: tuple[Option, ...] = (
    Option("connector", doc="the connector's name", required=True),
    Option("format", doc="the format of the value"),
    Option("value.format", doc="the format of the value"),
    Option("key.format", doc="the format of the key"),
    Option("key.fields", "list", (), "columns that are in the record's key"),
    Option("key.fields-prefix", default="", doc="what the names of key columns start with"),
    Option(
        "value.fields-include",
        default="all",
        choices=("all", "except_key"),
        doc="whether the value holds the key columns too",
    ),
    Option(
        "scan.watermark.idle-timeout",
        "duration",
        30_000,
        "a partition silent for this long no longer holds back the watermark; 0: it does for ever",
    ),
    Option(
        "scan.watermark.max-future",
        "duration",
        3_600_000,
        "a row further ahead of the clock is an error row; 0: none is",
    ),
    Option(
        "scan.watermark.emit.strategy",
        default="on-event",
        choices=("on-event", "on-periodic"),
        doc="accepted for Flink's sake: the watermark of a row never depends on it",
    ),
    Option("scan.parallelism", "int", 1, "accepted for Flink's sake: one process reads"),
    Option("sink.parallelism", "int", 1, "accepted for Flink's sake: one process writes"),
    Option(
        "error-handling.mode",
        default="log",
        choices=("fail", "log", "ignore"),
        doc="an undecodable record: end the job; keep it in `t$errors` and count it; only count it",
    ),
    Option(
        "late-handling.mode",
        default="log",
        choices=("log", "ignore"),
        doc="a late row: keep it in `t$late` and count it; only count it",
    ),
    Option("side-output.max-rows", "int", 10_000, "how many rows `t$late` and `t$errors` keep"),
)


@dataclass(frozen=True, slots=True)
class FormatUse:
    """A format by name, and its options, parsed."""

    name: str
    options: Options


@dataclass(frozen=True, slots=True)
class TableOptions:
    connector: str
    engine: Options
    own: Options
    value: FormatUse | None
    key: FormatUse | None

    @property
    def key_fields(self) -> tuple[str, ...]:
        value = self.engine["key.fields"]
        return value if isinstance(value, tuple) else ()


def _format(given: Mapping[str, str], key: str, prefixes: tuple[str, ...], taken: set[str]) -> FormatUse:
    name = given[key]
    module = modules.format_module(name, key)
    options: dict[str, str] = {}
    for prefix in prefixes:
        start = f"{prefix}{name}."
        for full, text in given.items():
            if full.startswith(start):
                options[full[len(start) :]] = text
                taken.add(full)
    try:
        return FormatUse(name, validate(options, module.OPTIONS, f'format "{name}"'))
    except OptionError as error:
        at = next((p + f"{name}.{error.option}" for p in prefixes if p + f"{name}.{error.option}" in given), key)
        raise OptionError(error.message, at, error.hint) from error


def table_options(given: Mapping[str, str]) -> TableOptions:
    """Raises OptionError, whose `option` is the key at fault."""
    if "connector" not in given:
        raise OptionError(
            "the table has no connector",
            nearest("connector", given),
            f"Add WITH ('connector' = '…'); one of {', '.join(modules.names('connectors'))}.",
        )
    if "format" in given and "value.format" in given:
        raise OptionError('"format" and "value.format" say the same thing', "value.format", "Keep one of them.")
    name = given["connector"]
    module = modules.connector(name)
    taken: set[str] = set()
    value_key = "format" if "format" in given else "value.format" if "value.format" in given else None
    typed = value_key is not None and given[value_key] in getattr(module, "TYPED_FORMATS", ())
    value = _format(given, value_key, ("", "value."), taken) if value_key and not typed else None
    key = _format(given, "key.format", ("key.",), taken) if "key.format" in given else None
    engine_keys = {o.key for o in ENGINE} - {o.key for o in module.OPTIONS}
    engine = validate({k: v for k, v in given.items() if k in engine_keys}, ENGINE, "the table")
    rest = {k: v for k, v in given.items() if k not in engine_keys and k not in taken}
    _refuse_unknown(name, rest, module.OPTIONS)
    own = validate(rest, module.OPTIONS, f'connector "{name}"')
    return TableOptions(name, engine, own, value, key)


def _refuse_unknown(connector: str, given: Mapping[str, str], declared: Iterable[Option]) -> None:
    """The hint names the connector's options first, and looks for a slip among the engine's too."""
    known = [o.key for o in declared]
    for key in given:
        if key not in known and not any(k.endswith("*") and key.startswith(k[:-1]) for k in known):
            hint = did_you_mean(key, [*known, *(o.key for o in ENGINE)], "Options")
            raise OptionError(f'connector "{connector}" has no option "{key}"', key, hint)

"""Options of connectors and formats: declared as data, validated in one place.

A connector or format module declares `OPTIONS`; `validate` refuses unknown keys with the nearest
name, missing required ones, and values that are not of the declared kind. Secrets print `***`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from streamsql.errors import ConnectorError, did_you_mean, nearest

Kind = Literal["string", "int", "bool", "duration", "memory", "list", "float"]
Value = str | int | float | bool | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Option:
    """One option key.

    key       as written in WITH; a trailing `*` makes it a prefix (`properties.*`)
    kind      duration is parsed to int milliseconds, memory to int bytes, list splits at `;`
    default   the value when absent, already parsed
    choices   allowed values for kind `string` (lower case), empty for any
    secret    mask the value wherever options are shown
    """

    key: str
    kind: Kind = "string"
    default: Value = None
    doc: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()
    secret: bool = False


_DURATION_MS = {"ms": 1, "milli": 1, "s": 1000, "sec": 1000, "second": 1000, "m": 60_000, "min": 60_000,
                "minute": 60_000, "h": 3_600_000, "hour": 3_600_000, "d": 86_400_000, "day": 86_400_000}
_MEMORY = {"": 1, "b": 1, "byte": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20,
           "g": 1 << 30, "gb": 1 << 30, "t": 1 << 40, "tb": 1 << 40}


def duration_ms(text: str) -> int:
    """Flink's duration text (`5 s`, `100ms`, `1 min`; a bare number is milliseconds) to ms."""
    found = re.fullmatch(r"\s*(\d+)\s*([a-zA-Z]*)\s*", text)
    unit = found[2].lower() if found else ""
    if unit not in _DURATION_MS and unit.endswith("s"):
        unit = unit[:-1]
    if not found or (unit and unit not in _DURATION_MS):
        raise ValueError("a duration such as '5 s', '100 ms' or '1 min'")
    return int(found[1]) * _DURATION_MS.get(unit, 1)


def memory_bytes(text: str) -> int:
    """Flink's memory size text (`64mb`, `1 gb`; a bare number is bytes) to bytes."""
    found = re.fullmatch(r"\s*(\d+)\s*([a-zA-Z]*)\s*", text)
    if not found or found[2].lower().removesuffix("ytes") not in _MEMORY:
        raise ValueError("a size such as '64mb' or '1 gb'")
    return int(found[1]) * _MEMORY[found[2].lower().removesuffix("ytes")]


def _parsed(option: Option, text: str) -> Value:
    match option.kind:
        case "int":
            if not re.fullmatch(r"\s*-?\d+\s*", text):
                raise ValueError("an integer")
            return int(text)
        case "float":
            try:
                return float(text)
            except ValueError:
                raise ValueError("a number") from None
        case "bool":
            if text.strip().lower() not in ("true", "false"):
                raise ValueError("'true' or 'false'")
            return text.strip().lower() == "true"
        case "duration":
            return duration_ms(text)
        case "memory":
            return memory_bytes(text)
        case "list":
            return tuple(part.strip() for part in text.split(";") if part.strip())
        case _:
            if option.choices and text.lower() not in option.choices:
                raise ValueError(f"one of {', '.join(option.choices)}")
            return text.lower() if option.choices else text


class OptionError(ConnectorError):
    """An option that is unknown, missing or malformed; `option` is its key, None when missing."""

    def __init__(self, message: str, option: str | None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.option = option


class Options(Mapping[str, Value]):
    """Validated options: every declared key is present (its default when unset)."""

    def __init__(self, values: Mapping[str, Value], secrets: frozenset[str] = frozenset()) -> None:
        self._values = dict(values)
        self._secrets = secrets

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def text(self, key: str) -> str:
        """The value of a string option that is known to be set."""
        value = self._values[key]
        assert isinstance(value, str), key
        return value

    def integer(self, key: str) -> int:
        value = self._values[key]
        assert isinstance(value, int), key
        return value

    def flag(self, key: str) -> bool:
        value = self._values[key]
        assert isinstance(value, bool), key
        return value

    def prefixed(self, prefix: str) -> dict[str, str]:
        """All keys under `prefix` (which ends in a dot), with the prefix taken off."""
        return {k[len(prefix):]: str(v) for k, v in self._values.items()
                if k.startswith(prefix) and v is not None}

    def __repr__(self) -> str:
        shown = {k: "***" if k in self._secrets else v for k, v in self._values.items()}
        return f"Options({shown})"


def validate(given: Mapping[str, str], declared: Iterable[Option], where: str) -> Options:
    """Check `given` against `declared` and parse it.

    Raises: OptionError naming `where` (as `connector "kafka"`) and the option at fault; the
    planner turns it into an SQL error at the option's place in WITH.
    """
    exact = {o.key: o for o in declared if not o.key.endswith("*")}
    prefixes = [o for o in declared if o.key.endswith("*")]
    values: dict[str, Value] = {o.key: o.default for o in exact.values()}
    secrets = {o.key for o in exact.values() if o.secret}
    for key, text in given.items():
        option = exact.get(key) or next((p for p in prefixes if key.startswith(p.key[:-1])), None)
        if option is None:
            raise OptionError(f'{where} has no option "{key}"', key,
                              did_you_mean(key, [*exact, *(p.key for p in prefixes)], "Options"))
        try:
            values[key] = _parsed(option, text)
        except ValueError as error:
            raise OptionError(f'option "{key}" of {where} is "{text}"', key, f"Write {error}.") from None
        if option.secret:
            secrets.add(key)
    for option in exact.values():
        if option.required and values[option.key] is None:
            near = nearest(option.key, [key for key in given if key not in exact])
            meant = f'Did you mean it by "{near}"? ' if near else ""
            raise OptionError(f'{where} needs the option "{option.key}"', near, f"{meant}{option.key}: {option.doc}")
    return Options(values, frozenset(secrets))

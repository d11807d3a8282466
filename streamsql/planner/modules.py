"""Connectors and formats by name: the module of that name, or an entry point of another package."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, cast

import streamsql.connectors
import streamsql.formats
from streamsql.core.connector import Metadata, Sink, Source, TableSpec
from streamsql.core.format import Decoding, Encoding
from streamsql.core.options import Option, OptionError, Options
from streamsql.core.schema import Schema
from streamsql.errors import did_you_mean


class Connector(Protocol):
    """What `core.connector` asks of a connector's module; source or sink may be missing."""

    OPTIONS: tuple[Option, ...]
    METADATA: Mapping[str, Metadata]
    source: Callable[[TableSpec], Source]
    sink: Callable[[TableSpec], Sink]


class FormatModule(Protocol):
    OPTIONS: tuple[Option, ...]
    decoder: Callable[..., Decoding]
    encoder: Callable[[Schema, Options], Encoding]


@functools.cache
def _installed(package: str) -> Mapping[str, EntryPoint]:
    """The entry points of other packages, by name. Looking through all packages takes 10 ms, so once."""
    return {e.name: e for e in entry_points(group=f"streamsql.{package}")}


@functools.cache
def _modules(package: str) -> frozenset[str]:
    """Listed once: each table looks its connector up several times, and the folder does not change."""
    return frozenset(m.name for m in pkgutil.iter_modules(getattr(streamsql, package).__path__))


def names(package: str) -> list[str]:
    """All connectors (package `connectors`) or formats: ours, and those of entry points.

    `kafka_reader` is a part of `kafka`; `upsert_kafka`, as there is no `upsert`, is `upsert-kafka`.
    """
    modules = _modules(package)
    ours = {n.replace("_", "-") for n in modules if "_" not in n or n.split("_")[0] not in {*modules, ""}}
    return sorted({*ours, *_installed(package)})


def _load(package: str, kind: str, option: str, name: str) -> object:
    if name in names(package):
        if name in _installed(package):
            return cast(object, _installed(package)[name].load())
        return importlib.import_module(f"streamsql.{package}.{name.replace('-', '_')}")
    raise OptionError(
        f'{kind} "{name}" does not exist', option, did_you_mean(name, names(package), f"{kind.capitalize()}s")
    )


def connector(name: str) -> Connector:
    """Raises OptionError at `connector` with the nearest names."""
    return cast(Connector, _load("connectors", "connector", "connector", name))


def format_module(name: str, option: str) -> FormatModule:
    """`option` is the key that named it (`format`, `key.format`, …), for the error."""
    return cast(FormatModule, _load("formats", "format", option, name))

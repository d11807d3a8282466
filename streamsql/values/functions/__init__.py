"""The function table: every scalar function by its documented name and synonyms.

Each module of this package is a group and offers `FUNCTIONS: tuple[Function, ...]`. To add a
function is one row there. Names that none of them has may be DuckDB's (`values.local`).
Aggregates, window functions and user functions are the planner's.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import replace

from streamsql.values import local
from streamsql.values.typed import Function


@functools.cache
def functions() -> Sequence[Function]:
    """All rows, by group and name; each knows its group."""
    groups = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(
        replace(function, group=function.group or group)
        for group in groups
        for function in importlib.import_module(f"{__name__}.{group}").FUNCTIONS
    )


@functools.cache
def _by_name() -> Mapping[str, Function]:
    return {name: f for f in functions() for name in (f.name, *f.aliases)}


def lookup(name: str) -> Function | None:
    """The function of this name or alias, in any case: Flink's, else DuckDB's, which is `local_only`."""
    return _by_name().get(name.upper()) or local.lookup(name)


def local_functions() -> Sequence[Function]:
    """DuckDB's functions that run here alone, without those whose name has Flink's meaning."""
    return tuple(f for name, f in local.functions().items() if name not in _by_name())


def names() -> Sequence[str]:
    """Every name and alias, for hints and completion."""
    return (*_by_name(), *(f.name for f in local_functions()))

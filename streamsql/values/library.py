"""What a Database must know before it runs bound expressions: macros, functions, the batch's time.

Defining all of them takes a third of a second, so a job defines those that its SQL calls.
"""

from __future__ import annotations

import functools
import re
from typing import Protocol

from streamsql.values.macros import CLOCK, SETUP
from streamsql.values.udfs import Registry, register

_CALL = re.compile(r"\bf_\w+")
_DEFINED = re.compile(r"CREATE OR REPLACE TEMP (?:MACRO|TABLE) (f_\w+)")


class Library(Registry, Protocol):
    """A Database, as far as it is needed here."""

    def everywhere(self, sql: str, *params: object) -> None: ...


@functools.cache
def _definitions() -> dict[str, tuple[str, frozenset[str]]]:
    """By name the statement that defines it, and the names it calls; in the order of definition."""
    found = {}
    for statement in SETUP:
        name = _DEFINED.match(statement)
        assert name is not None, statement
        found[name[1]] = statement, frozenset(_CALL.findall(statement)) - {name[1]}
    return found


def called(text: str) -> frozenset[str]:
    """The names that SQL calls, and those that these call."""
    known: set[str] = set()
    open_names = set(_CALL.findall(text))
    while open_names:
        name = open_names.pop()
        if name not in known:
            known.add(name)
            open_names |= _definitions()[name][1] if name in _definitions() else set()
    return frozenset(known)


def load(database: Library, text: str) -> bool:
    """Define on `database` what the SQL in `text` calls; once, before any statement is prepared.

    True if it reads the clock, which `set_clock` then binds before each batch: that costs two updates.
    """
    names = called(text)
    register(database, names)
    for name, (statement, _) in _definitions().items():
        if name in names:
            database.everywhere(statement)
    return CLOCK in names

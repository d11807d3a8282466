"""`${name}` and `${env:NAME}` in a script's text, replaced before it is parsed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from streamsql.errors import ParseError, Source, Span, did_you_mean

_HOLE = re.compile(r"\$\{(env:)?([A-Za-z_][A-Za-z0-9_.]*)(?:\s*:-([^}]*))?\}")


def substituted(source: Source, variables: Mapping[str, str]) -> Source:
    """The text with every variable replaced; `${name:-default}` has a default.

    Raises ParseError at a variable that has no value. Errors found later show the replaced text.
    """

    def value(found: re.Match[str]) -> str:
        known: Mapping[str, str] = os.environ if found[1] else variables
        if found[2] in known:
            return known[found[2]]
        if found[3] is not None:
            return found[3]
        what = "environment variable" if found[1] else "variable"
        hint = (
            "Set it in the environment."
            if found[1]
            else (
                did_you_mean(found[2], variables, "Variables")
                if variables
                else f"Give it: --var {found[2]}=value."
            )
        )
        raise ParseError(f'{what} "{found[2]}" has no value', Span(*found.span()), source=source, hint=hint)

    return Source(_HOLE.sub(value, source.text), source.origin)

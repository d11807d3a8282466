"""Casts (first cut)."""

from __future__ import annotations

from dataclasses import replace

from streamsql.core.types import DataType
from streamsql.errors import Span
from streamsql.values.typed import Typed


def cast(value: Typed, target: DataType, *, safe: bool = False, implicit: bool = False,
         span: Span | None = None) -> Typed:
    del implicit, span
    nullable = value.type.nullable or safe
    return replace(value, sql=f"CAST({value.sql} AS {target.duck_type()})", type=target.as_nullable(nullable),
                   literal=None, is_literal=False)

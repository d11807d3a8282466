"""ROW, ARRAY, MAP and MULTISET: how they are made, and how what is in them is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamsql.core.schema import quote, text_literal
from streamsql.core.types import DataType, array, map_of, multiset
from streamsql.errors import BindError, Span, SQLTypeError, did_you_mean
from streamsql.values import macros
from streamsql.values.casts import UTC, cast
from streamsql.values.conversions import family
from streamsql.values.promotion import common_type
from streamsql.values.typed import Typed


def row(values: Sequence[Typed], span: Span | None = None) -> Typed:
    """`ROW(a, b)`: fields named EXPR$0, EXPR$1 …"""
    for value in values:
        if value.type.root == "NULL":
            raise SQLTypeError("a field of a ROW needs a type", span, hint="write CAST(NULL AS type)")
    names = tuple(f"EXPR${i}" for i in range(len(values)))
    type_ = DataType("ROW", nullable=False, children=tuple(v.type for v in values), names=names)
    fields = ", ".join(f"{quote(n)}: {v.sql}" for n, v in zip(names, values))
    return _of(f"{{{fields}}}", type_, values)


def array_of(values: Sequence[Typed], span: Span | None = None, zone: str = UTC) -> Typed:
    """`ARRAY[a, b]`: the elements become one type. Of literals, the value says what they are."""
    elements, common = _unified("ARRAY", values, span, zone)
    found = _of(f"[{', '.join(v.sql for v in elements)}]", array(common).not_null(), values)
    known = all(v.is_literal for v in values)
    return replace(found, literal=tuple(v.literal for v in values)) if known else found


def multiset_of(values: Sequence[Typed], span: Span | None = None, zone: str = UTC) -> Typed:
    """`MULTISET[a, b]`: each element with its count."""
    elements, common = _unified("MULTISET", values, span, zone)
    listed = f"list_transform([{', '.join(v.sql for v in elements)}], lambda m: m)"
    return _of(macros.call("f_counts", listed), multiset(common).not_null(), values)


def map_from(values: Sequence[Typed], span: Span | None = None, zone: str = UTC) -> Typed:
    """`MAP[k, v, …]`: the last value of a key wins."""
    if not values or len(values) % 2:
        raise SQLTypeError("MAP takes keys and values in turn", span, hint="write MAP['a', 1, 'b', 2]")
    keys, key = _unified("MAP", values[::2], span, zone)
    if all(v.type.root == "NULL" for v in values[1::2]):
        entries, value = [cast(v, key) for v in values[1::2]], key.as_nullable()
    else:
        if any(v.type.root == "NULL" for v in values[1::2]):
            raise SQLTypeError("a NULL among the values of MAP needs a type", span, hint="write CAST(NULL AS type)")
        entries, value = _unified("MAP", values[1::2], span, zone)
    k, v = (f"[{', '.join(e.sql for e in listed)}]" for listed in (keys, entries))
    literals = [e.literal for e in values[::2] if e.is_literal]
    apart = len({repr(e) for e in literals}) == len(keys)
    sql = f"map({k}, {v})" if apart else macros.call("f_map", k, v)
    return _of(sql, map_of(key, value).not_null(), values)


def _unified(name: str, values: Sequence[Typed], span: Span | None, zone: str) -> tuple[list[Typed], DataType]:
    if not values:
        raise SQLTypeError(f"{name} needs at least one element", span)
    common = common_type([v.type for v in values])
    if common is None:
        kinds = ", ".join(dict.fromkeys(str(v.type.as_nullable()) for v in values))
        raise SQLTypeError(f"{name} takes elements of one type, not {kinds}", span, hint="write CAST on some")
    return [cast(v, common, implicit=not common.is_numeric, span=span, zone=zone) for v in values], common


def item(collection: Typed, key: Typed, span: Span | None = None, zone: str = UTC) -> Typed:
    """`a[i]` of an array, counted from 1, or of a map; NULL where there is none."""
    kind = collection.type
    if kind.root == "ARRAY" and key.type.is_integer:
        if key.is_literal and isinstance(key.literal, int) and key.literal < 1:
            raise SQLTypeError(f"an array is counted from 1, not {key.literal}", span)
        index = key.sql if key.is_literal else macros.call("f_index", key.sql)
        return _of(f"({collection.sql})[{index}]", kind.children[0].as_nullable(), (collection, key))
    if kind.root == "MAP" and _is_key(key.type, kind.children[0]):
        wanted = cast(key, kind.children[0].as_nullable(), zone=zone)
        return _of(f"({collection.sql})[{wanted.sql}]", kind.children[1].as_nullable(), (collection, key))
    if kind.root == "ROW" and key.type.is_integer and isinstance(key.literal, int):
        if not 1 <= key.literal <= len(kind.names):
            raise SQLTypeError(f"the ROW has {len(kind.names)} fields, not {key.literal}", span)
        return field(collection, kind.names[key.literal - 1], span)
    raise SQLTypeError(f"{kind.as_nullable()} has no element [{key.type.as_nullable()}]", span,
                       hint="write array[position] or map[key]")


def _is_key(given: DataType, declared: DataType) -> bool:
    return family(given) == family(declared) or (given.is_numeric and declared.is_numeric) or given.root == "NULL"


def field(value: Typed, name: str, span: Span | None = None) -> Typed:
    """`row.name`. Raises BindError when there is no such field."""
    if value.type.root != "ROW":
        raise BindError(f'field "{name}" does not exist', span, hint=f"It is {value.type}, not a ROW.")
    if name not in value.type.names:
        raise BindError(f'field "{name}" does not exist', span,
                        hint=did_you_mean(name, value.type.names, "Fields"))
    type_ = value.type.children[value.type.names.index(name)]
    return _of(f"struct_extract({value.sql}, {text_literal(name)})",
               type_.as_nullable(type_.nullable or value.type.nullable), (value,))



def _of(sql: str, type_: DataType, values: Sequence[Typed]) -> Typed:
    return Typed(sql, type_, deterministic=all(v.deterministic for v in values),
                 aggregate=any(v.aggregate for v in values))

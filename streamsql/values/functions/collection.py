"""Functions of arrays and maps. Positions count from 1; NULL elements equal each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from streamsql.core.types import BOOLEAN, INT, STRING, DataType, array, map_of, row
from streamsql.errors import SQLTypeError
from streamsql.values.let import let, let_all
from streamsql.values.signature import same
from streamsql.values.typed import Function, Typed

Arguments = Sequence[Typed]


def _body(text: str) -> Callable[[Arguments], str]:
    """A body text whose arguments are evaluated once each."""
    return lambda args: let_all([a.sql for a in args], lambda names: text.format(*names))


def _of_array(args: Arguments) -> DataType:
    """The array's own type, nullable with it alone."""
    return args[0].type


def _element_or_null(args: Arguments) -> DataType:
    return args[0].type.children[0]


def _sole(args: Arguments) -> DataType:
    element = args[0].type.children[0]
    return element.as_nullable(element.nullable or args[0].type.nullable)


def _with_element(args: Arguments) -> DataType:
    """The array, whose elements may be NULL if the new one may."""
    element = args[0].type.children[0]
    nullable = element.nullable or args[1].type.nullable
    return replace(args[0].type, children=(element.as_nullable(nullable),))


def _found_type(type_: DataType) -> Callable[[Arguments], DataType]:
    return lambda args: type_.as_nullable(args[0].type.nullable)


def _concat(args: Arguments) -> str:
    names = [a.sql for a in args]
    if len(names) == 1:
        return names[0]
    given = " AND ".join(f"{{{i}}} IS NOT NULL" for i in range(len(names)))
    listed = ", ".join(f"{{{i}}}" for i in range(len(names)))
    return _body(f"CASE WHEN {given} THEN list_concat({listed}) END")(args)


def _union_of_maps(args: Arguments) -> str:
    names = [a.sql for a in args]
    if len(names) == 1:
        return names[0]
    given = " AND ".join(f"{{{i}}} IS NOT NULL" for i in range(len(names)))
    listed = ", ".join(f"{{{i}}}" for i in range(len(names)))
    return _body(f"CASE WHEN {given} THEN map_concat({listed}) END")(args)


def _distinct(list_: str) -> str:
    return let(list_, lambda a: f"list_filter({a}, lambda e, i: list_position({a}, e) = i)", "all")


def _strings(args: Arguments) -> DataType:
    if not args[0].type.children[0].is_character:
        raise SQLTypeError(f'function "ARRAY_JOIN" takes an array of strings, not {args[0].type}')
    return STRING


def _join(args: Arguments) -> str:
    """array_to_string takes a constant delimiter only."""
    def body(names: list[str]) -> str:
        list_, delimiter, *rest = names
        texts = f"list_transform({list_}, lambda e: COALESCE(e, {rest[0]}))" if rest else list_
        given = " AND ".join(f"{n} IS NOT NULL" for n in [delimiter, *rest])
        if args[1].is_literal:
            return f"CASE WHEN {given} THEN array_to_string({texts}, {delimiter}) END"
        known = f"list_filter({texts}, lambda e: e IS NOT NULL)"
        return (f"CASE WHEN {given} THEN substring(list_reduce({known}, lambda a, b: a || {delimiter} || b, ''), "
                f"length({delimiter}) + 1) END")
    return let_all([a.sql for a in args], body)


def _slice(args: Arguments) -> str:
    def body(names: list[str]) -> str:
        list_, start = names[:2]
        end = names[2] if len(names) > 2 else f"len({list_})"

        def place(offset: str) -> str:
            return (f"CASE WHEN {offset} < 0 THEN len({list_}) + {offset} + 1 "
                    f"WHEN {offset} = 0 THEN 1 ELSE {offset} END")
        given = " AND ".join(f"{n} IS NOT NULL" for n in names)
        return (f"CASE WHEN {given} THEN CASE WHEN {place(end)} < 1 THEN {list_}[1:0] "
                f"ELSE {list_}[greatest({place(start)}, 1):{place(end)}] END END")
    return let_all([a.sql for a in args], body)


def _sort(args: Arguments) -> str:
    flags = [a.literal if a.is_literal else None for a in args[1:]]
    if all(isinstance(f, bool) for f in flags):
        ascending = flags[0] if flags else True
        first = flags[1] if len(flags) > 1 else ascending
        return _sorted(args[0].sql, bool(ascending), bool(first))

    def body(names: list[str]) -> str:
        first = names[2] if len(names) > 2 else names[1]
        return (f"CASE WHEN {names[1]} AND {first} THEN {_sorted(names[0], True, True)} "
                f"WHEN {names[1]} AND NOT {first} THEN {_sorted(names[0], True, False)} "
                f"WHEN NOT {names[1]} AND {first} THEN {_sorted(names[0], False, True)} "
                f"WHEN NOT {names[1]} AND NOT {first} THEN {_sorted(names[0], False, False)} END")
    return let_all([a.sql for a in args], body)


def _sorted(list_: str, ascending: bool, first: bool) -> str:
    return f"list_sort({list_}, '{'ASC' if ascending else 'DESC'}', 'NULLS {'FIRST' if first else 'LAST'}')"


def _entry(args: Arguments) -> DataType:
    key, value = args[0].type.children
    return array(row({"key": key, "value": value}))


FUNCTIONS = (
    Function("ARRAY_APPEND", "ARRAY_APPEND(array, element)", ("array", "element?"), _with_element,
             _body("CASE WHEN {0} IS NOT NULL THEN list_append({0}, {1}) END"), "The array with an element more.",
             "ARRAY_APPEND(ARRAY[1, 2], 3) = ARRAY[1, 2, 3]"),
    Function("ARRAY_CONCAT", "ARRAY_CONCAT(array, ...)", ("array@T",), same(), _concat, "The arrays in a row.",
             "ARRAY_CONCAT(ARRAY[1], ARRAY[2]) = ARRAY[1, 2]", variadic=True),
    Function("ARRAY_CONTAINS", "ARRAY_CONTAINS(array, element)", ("array", "element?"), _found_type(BOOLEAN),
             _body("CASE WHEN {0} IS NOT NULL THEN list_position({0}, {1}) IS NOT NULL END"),
             "Whether the element is there, NULL included.", "ARRAY_CONTAINS(ARRAY[1, 2], 2) = TRUE", nulls="rule"),
    Function("ARRAY_DISTINCT", "ARRAY_DISTINCT(array)", ("array",), same(), lambda args: _distinct(args[0].sql),
             "Each element once, in order.", "ARRAY_DISTINCT(ARRAY[1, 2, 1]) = ARRAY[1, 2]"),
    Function("ARRAY_EXCEPT", "ARRAY_EXCEPT(array, other)", ("array@T", "array@T"), same(),
             _body("CASE WHEN {1} IS NOT NULL THEN list_filter({0}, lambda e, i: list_position({0}, e) = i "
                   "AND list_position({1}, e) IS NULL) END"),
             "The elements that are not in the other, each once.",
             "ARRAY_EXCEPT(ARRAY[1, 2, 2], ARRAY[1]) = ARRAY[2]"),
    Function("ARRAY_INTERSECT", "ARRAY_INTERSECT(array, other)", ("array@T", "array@T"), same(),
             _body("CASE WHEN {1} IS NOT NULL THEN list_filter({0}, lambda e, i: list_position({0}, e) = i "
                   "AND list_position({1}, e) IS NOT NULL) END"),
             "The elements that are in both, each once.",
             "ARRAY_INTERSECT(ARRAY[1, 2, 2], ARRAY[2, 3]) = ARRAY[2]"),
    Function("ARRAY_JOIN", "ARRAY_JOIN(array, delimiter [, null_replacement])", ("array", "string", "string"),
             _strings, _join, "The strings with a delimiter between them; NULLs left out or replaced.",
             "ARRAY_JOIN(ARRAY['a', 'b'], ',') = 'a,b'", optional=1),
    Function("ARRAY_MAX", "ARRAY_MAX(array)", ("array",), _element_or_null, "list_max({0})",
             "The greatest element.", "ARRAY_MAX(ARRAY[1, 3, 2]) = 3", nulls="always"),
    Function("ARRAY_MIN", "ARRAY_MIN(array)", ("array",), _element_or_null, "list_min({0})", "The least element.",
             "ARRAY_MIN(ARRAY[3, 1, 2]) = 1", nulls="always"),
    Function("ARRAY_POSITION", "ARRAY_POSITION(array, element)", ("array", "element?"), INT,
             _body("CASE WHEN {0} IS NOT NULL AND {1} IS NOT NULL "
                   "THEN CAST(COALESCE(list_position({0}, {1}), 0) AS INTEGER) END"),
             "Where the element first is; 0 if nowhere.", "ARRAY_POSITION(ARRAY[1, 2, 2], 2) = 2"),
    Function("ARRAY_PREPEND", "ARRAY_PREPEND(array, element)", ("array", "element?"), _with_element,
             _body("CASE WHEN {0} IS NOT NULL THEN list_prepend({1}, {0}) END"),
             "The array with an element before it.", "ARRAY_PREPEND(ARRAY[2], 1) = ARRAY[1, 2]"),
    Function("ARRAY_REMOVE", "ARRAY_REMOVE(array, element)", ("array", "element?"), _of_array,
             _body("list_filter({0}, lambda e: e IS DISTINCT FROM {1})"), "The array without the element.",
             "ARRAY_REMOVE(ARRAY[1, 2, 1], 1) = ARRAY[2]", nulls="rule"),
    Function("ARRAY_REVERSE", "ARRAY_REVERSE(array)", ("array",), same(), "list_reverse({0})", "Backwards.",
             "ARRAY_REVERSE(ARRAY[1, 2]) = ARRAY[2, 1]"),
    Function("ARRAY_SLICE", "ARRAY_SLICE(array, start [, end])", ("array", "bigint?", "bigint?"), same(), _slice,
             "The elements from a position to another, both included; negative ones count from the end.",
             "ARRAY_SLICE(ARRAY[1, 2, 3], 2, 3) = ARRAY[2, 3]", optional=1),
    Function("ARRAY_SORT", "ARRAY_SORT(array [, ascending [, nulls_first]])", ("array", "boolean?", "boolean?"),
             same(), _sort, "In order, NULLs first if ascending unless said.",
             "ARRAY_SORT(ARRAY[3, 1]) = ARRAY[1, 3]", optional=2),
    Function("ARRAY_UNION", "ARRAY_UNION(array, other)", ("array@T", "array@T"), same(),
             lambda args: _distinct(_concat(args)), "The elements of both, each once.",
             "ARRAY_UNION(ARRAY[1, 2], ARRAY[2, 3]) = ARRAY[1, 2, 3]"),
    Function("CARDINALITY", "CARDINALITY(collection)", ("array|map|multiset",), INT,
             lambda args: f"CAST({'len' if args[0].type.root == 'ARRAY' else 'cardinality'}({args[0].sql}) "
                          "AS INTEGER)",
             "How many elements or entries.", "CARDINALITY(ARRAY[1, 2]) = 2"),
    Function("ELEMENT", "ELEMENT(array)", ("array|multiset",), _sole,
             _body("CASE WHEN len({0}) > 1 THEN error('the array has more than one element') ELSE {0}[1] END"),
             "The only element; an error if there are more.", "ELEMENT(ARRAY[1]) = 1", nulls="rule"),
    Function("MAP_ENTRIES", "MAP_ENTRIES(map)", ("map",), _entry, "map_entries({0})",
             "The entries as rows of key and value.", "CARDINALITY(MAP_ENTRIES(MAP['a', 1])) = 1"),
    Function("MAP_FROM_ARRAYS", "MAP_FROM_ARRAYS(keys, values)", ("array", "array"),
             lambda args: map_of(args[0].type.children[0], args[1].type.children[0]),
             _body("CASE WHEN len({0}) <> len({1}) THEN error('keys and values differ in number') "
                   "ELSE f_map({0}, {1}) END"),
             "A map of keys and their values; the last of a key wins.",
             "MAP_FROM_ARRAYS(ARRAY['a'], ARRAY[1])['a'] = 1"),
    Function("MAP_KEYS", "MAP_KEYS(map)", ("map",), lambda args: array(args[0].type.children[0]), "map_keys({0})",
             "The keys.", "MAP_KEYS(MAP['a', 1]) = ARRAY['a']"),
    Function("MAP_UNION", "MAP_UNION(map, ...)", ("map@T",), same(), _union_of_maps,
             "The entries of all maps; the last of a key wins.",
             "MAP_UNION(MAP['a', 1], MAP['b', 2])['b'] = 2", variadic=True),
    Function("MAP_VALUES", "MAP_VALUES(map)", ("map",), lambda args: array(args[0].type.children[1]),
             "map_values({0})", "The values.", "MAP_VALUES(MAP['a', 1]) = ARRAY[1]"),
)

"""Types as they are written: from tokens to `core.types.DataType`, and the tree that carries one.

A type inside a query is `exp.DataType(this=USERDEFINED, kind=text)`, its text Flink's own spelling, so that
no rule of another engine touches it; `data_type` reads it back.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from streamsql.core import types
from streamsql.core.types import DataType
from streamsql.errors import ParseError, Source, Span, SQLTypeError, did_you_mean
from streamsql.sql.cursor import Cursor
from streamsql.sql.habits import TYPES
from streamsql.sql.spans import span_of

_PLAIN = {
    "BOOLEAN": types.BOOLEAN,
    "TINYINT": types.TINYINT,
    "SMALLINT": types.SMALLINT,
    "INT": types.INT,
    "INTEGER": types.INT,
    "BIGINT": types.BIGINT,
    "FLOAT": types.FLOAT,
    "DATE": types.DATE,
    "STRING": types.STRING,
    "BYTES": types.BYTES,
    "NULL": types.NULL,
    "VARIANT": DataType("VARIANT"),
    "TEXT": types.STRING,
    "TIMESTAMPTZ": types.timestamp_ltz(),
}
_FRACTIONAL = ("TIME", "TIMESTAMP", "TIMESTAMP_LTZ")
_UNSUPPORTED = {
    "RAW": "Declare the column as BYTES.",
    **{word: f"Write {TYPES[word]}."
       for word in ("REAL", "CLOB", "BLOB", "JSON", "BITMAP", "DATETIME", "UUID", "SYMBOL")},
}
TYPE_WORDS = (
    *_PLAIN,
    *_FRACTIONAL,
    "CHAR",
    "CHARACTER",
    "VARCHAR",
    "BINARY",
    "VARBINARY",
    "DECIMAL",
    "DEC",
    "NUMERIC",
    "DOUBLE",
    "ARRAY",
    "MAP",
    "MULTISET",
    "ROW",
    "STRUCT",
    "STRUCTURED",
    "INTERVAL",
)

UNITS = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")
"""The units of an interval, from long to short."""
_MONTHLY = ("YEAR", "QUARTER", "MONTH")
_NO_PRECISION = 2
_NO_FRACTION = 6


class TypeRules(Cursor):
    """The rules of types."""

    def type_tree(self) -> exp.DataType:
        """A type in a query, as a tree. NOT NULL is for columns: a cast keeps that of its value."""
        start = self.index
        found = self.type()
        if not found.nullable:
            self.fail("a cast has no NOT NULL", self.since(start), hint="write the type alone")
        tree = exp.DataType(this=exp.DType.USERDEFINED, kind=str(found))
        tree.meta["data_type"] = found
        return self.put(tree, start)

    def type(self) -> DataType:
        """A type with its nullability; `T ARRAY` and `T MULTISET` may follow it."""
        found = self._nullability(self._base_type())
        while self.at("ARRAY", "MULTISET"):
            found = self._nullability(DataType(self.expect_any("ARRAY", "MULTISET"), children=(found,)))
        return found

    def _nullability(self, found: DataType) -> DataType:
        if self.take("NOT", "NULL"):
            return found.not_null()
        if self.at("NULL") and self.ahead() != "ON":  # RETURNING INT NULL ON EMPTY
            self.expect("NULL")
        return found

    def _base_type(self) -> DataType:
        word, span = self.kind, self.here()
        if word in _UNSUPPORTED:
            raise SQLTypeError(
                f'type "{word}" is not supported', span, source=self.source, hint=_UNSUPPORTED[word]
            )
        if word not in TYPE_WORDS:
            self._unknown_type()
        self.index += 1
        if word in _PLAIN:
            return _PLAIN[word]
        if word in _FRACTIONAL:
            return self._fractional(word)
        if word in ("ARRAY", "MULTISET", "MAP"):
            return self._collection(word)
        if word in ("ROW", "STRUCT"):
            return self._row()
        if word == "STRUCTURED":
            return self._structured()
        if word == "INTERVAL":
            return interval_type_of(self.interval_unit())
        if word == "DOUBLE":
            self.take("PRECISION")
            return types.DOUBLE
        if word in ("DECIMAL", "DEC", "NUMERIC"):
            return self._decimal(span)
        return self._sized(word, span)

    def _unknown_type(self) -> None:
        if not self.at_name() or self.at("`"):
            self.unexpected("a type")
        foreign = TYPES.get(self.kind)
        named = [w for w in TYPE_WORDS if w not in ("TEXT", "STRUCT", "STRUCTURED", "TIMESTAMPTZ", "DEC", "CHARACTER")]
        raise SQLTypeError(
            f'type "{self.token.text}" does not exist',
            self.here(),
            source=self.source,
            hint=f"Write {foreign}." if foreign else did_you_mean(self.token.text, named, "Types"),
        )

    def _sized(self, word: str, span: Span) -> DataType:
        root = "CHAR" if word == "CHARACTER" else word
        if self.take("VARYING"):
            root = "VAR" + root
        length = self._in_range("length", root, 0, types.MAX_LENGTH, span) if self.take("(") else None
        if length is None:
            length = types.MAX_LENGTH if root.startswith("VAR") else 1
        return DataType(root, precision=length)

    def _decimal(self, span: Span) -> DataType:
        precision, scale = 10, 0
        if self.take("("):
            # Flink takes a larger precision for the largest there is.
            precision = min(self._between("precision", "DECIMAL", 1, types.MAX_LENGTH, span), 38)
            if self.take(","):
                scale = self._between("scale", "DECIMAL", 0, precision, span)
            self.expect(")")
        return types.decimal(precision, scale)

    def _fractional(self, word: str) -> DataType:
        span = Span(self.tokens[self.index - 1].start, self.tokens[self.index - 1].end + 1)
        default = 0 if word == "TIME" else 6
        precision = self._in_range("precision", word, 0, 9, span) if self.take("(") else default
        if self.take("WITHOUT", "TIME", "ZONE") or word == "TIMESTAMP_LTZ":
            return DataType(word, precision=precision)
        if word == "TIMESTAMP" and self.take("WITH", "LOCAL", "TIME", "ZONE"):
            return types.timestamp_ltz(precision)
        if self.at_all("WITH", "TIME", "ZONE"):
            raise SQLTypeError(
                f'type "{word} WITH TIME ZONE" is not supported',
                self.here(),
                source=self.source,
                hint="Write TIMESTAMP_LTZ(3), an instant in the session's time zone.",
            )
        return DataType(word, precision=precision)

    def _collection(self, word: str) -> DataType:
        self.expect("<")
        children = [self.type()]
        if word == "MAP":
            self.expect(",")
            children.append(self.type())
        self.expect(">")
        return DataType(word, children=tuple(children))

    def _structured(self) -> DataType:
        """`STRUCTURED<'Name', a INT, …>`: a ROW with the name of a class."""
        self.expect("<")
        name = self.string()
        self.expect(",")
        return replace(self._fields(">"), class_name=name)

    def _row(self) -> DataType:
        close = ">" if self.take("<") else ")"
        if close == ")":
            self.expect("(")
        return self._fields(close)

    def _fields(self, close: str) -> DataType:
        names: list[str] = []
        children: list[DataType] = []
        while not self.at(close):
            if names:
                self.expect(",")
            span = self.here()
            names.append(self.identifier("a field name").name)
            if names[-1] in names[:-1]:
                self.fail(f'field "{names[-1]}" is declared twice', span)
            children.append(self.type())
            if self.at("'"):
                self.string()
        self.expect(close)
        return DataType("ROW", children=tuple(children), names=tuple(names))

    def _in_range(self, what: str, root: str, least: int, most: int, span: Span) -> int:
        value = self._between(what, root, least, most, span)
        self.expect(")")
        return value

    def _between(self, what: str, root: str, least: int, most: int, span: Span) -> int:
        here = self.here()
        value = self.integer()
        if not least <= value <= most:
            raise SQLTypeError(
                f"the {what} of {root} is {value}, must be from {least} to {most}",
                Span(span.start, here.end),
                source=self.source,
            )
        return value

    def interval_unit(self) -> str:
        """`DAY`, `DAY(3) TO SECOND(2)`, …: canonical text. Plurals are taken for singulars."""
        start = self.index
        first, text = self._unit()
        if not self.take("TO"):
            return text
        last, end = self._unit()
        pair = (first, last)
        allowed = UNITS.index(first) < UNITS.index(last) and (first in _MONTHLY) == (last in _MONTHLY)
        if not allowed or {"WEEK", "QUARTER"} & {*pair}:
            self.fail(
                f"{first} TO {last} is no interval",
                self.since(start),
                hint="write YEAR TO MONTH, or two of DAY, HOUR, MINUTE, SECOND in this order",
            )
        return f"{text} TO {end}"

    def _unit(self) -> tuple[str, str]:
        word = self.kind.removesuffix("S")
        if word not in UNITS:
            self.unexpected("a unit of time", hint=f"units are {', '.join(UNITS)}")
        self.index += 1
        if not self.take("("):
            return word, word
        digits = [str(self.integer())]
        if word == "SECOND" and self.take(","):
            digits.append(str(self.integer()))
        self.expect(")")
        return word, f"{word}({', '.join(digits)})"


def interval_type_of(unit: str) -> DataType:
    """The type of an interval whose unit is written as `unit`, such as `DAY(3) TO SECOND(2)`."""
    words = [part.split("(") for part in unit.split(" TO ")]
    names = [w[0] for w in words]
    if names[0] in _MONTHLY:
        precision = int(words[0][1].rstrip(")")) if len(words[0]) > 1 else _NO_PRECISION
        return DataType("INTERVAL YEAR TO MONTH", precision=precision, unit=" TO ".join(names))
    digits = [[int(d) for d in w[1].rstrip(")").split(",")] if len(w) > 1 else [] for w in words]
    single = len(names) == 1
    leading = digits[0][0] if digits[0] else _NO_PRECISION
    last = digits[-1][1:] if single else digits[-1]
    return DataType(
        "INTERVAL DAY TO SECOND",
        precision=leading,
        scale=last[0] if last else _NO_FRACTION,
        unit=" TO ".join(names),
    )


def data_type(tree: exp.Expr) -> DataType:
    """The type that a tree of `Cast.to` means. Raises SQLTypeError at the tree if it means none."""
    known = tree.meta.get("data_type")
    if isinstance(known, DataType):
        return known
    text = tree.args.get("kind") if isinstance(tree, exp.DataType) else None
    try:
        return parse_type(str(text) if text else tree.sql("streamsql"))
    except (ParseError, SQLTypeError) as error:
        raise SQLTypeError(error.message, span_of(tree), hint=error.hint) from error


def parse_type(text: str) -> DataType:
    """The type written in `text`, as `DECIMAL(10, 2) NOT NULL`. Raises ParseError or SQLTypeError."""
    rules = TypeRules(Source(text, "<type>"))
    found = rules.type()
    if rules.kind:
        rules.unexpected("the end of the type")
    return found


def cast_span(tree: exp.Expr | None, message: str) -> Span | None:
    """The range of the cast of a constant in `tree` that failed with `message`; None if it has none such."""
    for cast in tree.find_all(exp.Cast) if tree is not None else ():
        if isinstance(cast, exp.TryCast) or not isinstance(cast.this, exp.Literal):
            continue
        if message == f'cannot cast "{cast.this.name}" to {data_type(cast.args["to"]).as_nullable()}':
            return span_of(cast)
    return None

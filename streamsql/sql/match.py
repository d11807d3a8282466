"""MATCH_RECOGNIZE: its clauses, and the grammar of row patterns.

    pattern  := sequence ("|" sequence)*
    sequence := factor+
    factor   := (name | "(" pattern ")" | "PERMUTE" "(" pattern ("," pattern)* ")" | "{-" pattern "-}") quantifier?
    quantifier := ("*" | "+" | "?" | "{" n "}" | "{" n "," "}" | "{" n "," m "}" | "{" "," m "}") "?"?

What Flink reads and then refuses (alternatives, groups that repeat) is read here too, so that the
planner can say so at its place.
"""

from __future__ import annotations

from sqlglot import exp

from streamsql.sql.expressions import ExpressionRules
from streamsql.sql.tree import MatchTable, Pattern, Quantified

_SHORT: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class MatchRules(ExpressionRules):
    """The rules of MATCH_RECOGNIZE."""

    def match_recognize(self, relation: exp.Expression) -> exp.Expression:
        """The relation, inside of MATCH_RECOGNIZE if that comes."""
        if not self.take("MATCH_RECOGNIZE"):
            return relation
        self.expect("(")
        tree = MatchTable(this=relation)
        if self.take("PARTITION", "BY"):
            tree.set("partition_by", self._columns_of())
        if self.at("ORDER"):
            tree.set("order", self.order_by())
        if self.take("MEASURES"):
            tree.set("measures", self._aliased_list())
        start = self.index
        rows = self._words(("ONE", "ROW", "PER", "MATCH"), ("ALL", "ROWS", "PER", "MATCH"))
        if rows:
            tree.set("rows", self.put(exp.Var(this=rows), start))
        self._after_match(tree)
        self._pattern_clause(tree)
        if self.take("WITHIN"):
            tree.set("within", self.expression())
        if self.at("SUBSET"):
            self.fail("SUBSET is not supported", self.here(), hint="name the pattern variables one by one")
        self.expect("DEFINE")
        tree.set("define", self._definitions())
        self.expect(")")
        return tree

    def _columns_of(self) -> list[exp.Expression]:
        columns = [self.column()]
        while self.take(","):
            columns.append(self.column())
        return columns

    def _aliased_list(self) -> list[exp.Expression]:
        """`expression AS name, …`."""
        found: list[exp.Expression] = []
        while not found or self.take(","):
            start = self.index
            value = self.expression()
            self.expect("AS")
            found.append(self.put(exp.Alias(this=value, alias=self.identifier("a measure")), start))
        return found

    def _definitions(self) -> list[exp.Expression]:
        """`variable AS condition, …`."""
        found: list[exp.Expression] = []
        while not found or self.take(","):
            start = self.index
            name = self.identifier("a pattern variable")
            self.expect("AS")
            found.append(self.put(exp.Alias(this=self.expression(), alias=name), start))
        return found

    def _words(self, *choices: tuple[str, ...]) -> str:
        for words in choices:
            if self.take(*words):
                return " ".join(words)
        return ""

    def _after_match(self, tree: MatchTable) -> None:
        if not self.take("AFTER", "MATCH", "SKIP"):
            return
        start = self.index
        words = self._words(("PAST", "LAST", "ROW"), ("TO", "NEXT", "ROW"))
        if not words:
            self.expect("TO")
            words = f"TO {self.kind}" if self.at("FIRST", "LAST") and self.ahead() != "PATTERN" else "TO LAST"
            if self.ahead() != "PATTERN":  # LAST may be left out, and a variable may be called so
                self.expect_any("FIRST", "LAST")
            tree.set("target", self.identifier("a pattern variable"))
        tree.set("after", self.put(exp.Var(this=words), start))

    # The pattern.

    def _pattern_clause(self, tree: MatchTable) -> None:
        self.expect("PATTERN", "(")
        tree.set("pattern", self._row_pattern())
        self.expect(")")

    def _row_pattern(self) -> exp.Expression:
        start = self.index
        choices = [self._sequence()]
        while self.take("|"):
            choices.append(self._sequence())
        if len(choices) == 1:
            return choices[0]
        return self.put(Pattern(kind="choice", expressions=choices), start)

    def _sequence(self) -> exp.Expression:
        start = self.index
        parts = [self._factor()]
        while self.at("(", "{", "PERMUTE") or self.at_name():
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else self.put(Pattern(kind="sequence", expressions=parts), start)

    def _factor(self) -> exp.Expression:
        start = self.index
        inner = self._primary()
        bounds = self._bounds()
        if bounds is None:
            return inner
        return self.put(
            Quantified(this=inner, low=bounds[0], high=bounds[1], reluctant=self.take("?") or None), start)

    def _primary(self) -> exp.Expression:
        start = self.index
        if self.at("^", "$"):
            self.fail(f'the anchor "{self.kind}" is not supported in a pattern', self.here(), hint="leave it out")
        if self.take("("):
            inner = self._row_pattern()
            self.expect(")")
            return self.put(Pattern(kind="group", expressions=[inner]), start)
        if self.take("{", "-"):
            inner = self._row_pattern()
            self.expect("-", "}")
            return self.put(Pattern(kind="exclusion", expressions=[inner]), start)
        if self.take("PERMUTE", "("):
            parts = [self._row_pattern()]
            while self.take(","):
                parts.append(self._row_pattern())
            self.expect(")")
            return self.put(Pattern(kind="permutation", expressions=parts), start)
        return self.identifier("a pattern variable")

    def _bounds(self) -> tuple[int, int | None] | None:
        """The least and the greatest number of rows of a quantifier, if one comes; None for no greatest."""
        short = self.take_any(*_SHORT)
        if short:
            return _SHORT[short]
        if not self.at("{") or self.ahead() == "-":
            return None
        self.expect("{")
        if self.take(","):
            low, high = 0, self.integer("a number of rows")
        else:
            low = self.integer("a number of rows")
            high = low
            if self.take(","):
                if self.take("}"):
                    return low, None
                high = self.integer("a number of rows")
        self.expect("}")
        return low, high

"""`TO_CHANGELOG(input => TABLE t, …)` and `FROM_CHANGELOG(…)` in FROM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from streamsql.sql.tree import ChangelogTable

if TYPE_CHECKING:
    from streamsql.sql.relations import RelationRules

CHANGELOG_FUNCTIONS = ("TO_CHANGELOG", "FROM_CHANGELOG")
_ARGUMENTS = ("INPUT", "OP", "OP_MAPPING")


def changelog_table(rules: RelationRules, name: str) -> ChangelogTable:
    """The call from its name on, by position or by name."""
    rules.index += 1
    rules.expect("(")
    tree = ChangelogTable(function=name)
    if rules.at_name() and rules.ahead() == "=>":
        _named(rules, tree, name)
    else:
        _argument(rules, tree, "INPUT")
        for key in _ARGUMENTS[1:]:
            if not rules.take(","):
                break
            _argument(rules, tree, key)
    rules.expect(")")
    return tree


def _named(rules: RelationRules, tree: ChangelogTable, name: str) -> None:
    hint = f"its arguments are {', '.join(a.lower() for a in _ARGUMENTS)}"
    start = rules.index
    seen: set[str] = set()
    while not seen or rules.take(","):
        key = rules.token.text.upper()
        if key not in _ARGUMENTS or key in seen:
            rules.unexpected(f"an argument of {name}", hint=hint)
        seen.add(key)
        rules.index += 1
        rules.expect("=>")
        _argument(rules, tree, key)
    if "INPUT" not in seen:
        rules.fail(f"{name} lacks input", rules.since(start), hint=hint)


def _argument(rules: RelationRules, tree: ChangelogTable, key: str) -> None:
    if key == "INPUT":
        tree.set("this", rules.input_relation())
        if rules.at("PARTITION"):
            rules.fail(f"{tree.args['function']} has no PARTITION BY", rules.here(), hint="leave it out, as Flink does")
    elif key == "OP":
        rules.expect("DESCRIPTOR")
        rules.expect("(")
        tree.set("op", rules.column())
        rules.expect(")", hint="the descriptor names one column")
    else:
        tree.set("mapping", rules.expression())


def changelog_text(tree: ChangelogTable, sql: object, alias: str) -> str:
    """As it is written. sql: gives the text of a tree."""
    assert callable(sql)
    relation = sql(tree.this)
    relation = f"TABLE {relation}" if isinstance(tree.this, exp.Table) else relation
    parts = [f"input => {relation}"]
    if tree.args.get("op") is not None:
        parts.append(f"op => DESCRIPTOR({sql(tree.args['op'])})")
    if tree.args.get("mapping") is not None:
        parts.append(f"op_mapping => {sql(tree.args['mapping'])}")
    return f"{tree.args['function']}({', '.join(parts)}){alias}"

"""The public face by name: whoever adds, renames or removes a part of it changes this file too."""

from __future__ import annotations

import click

import streamsql
from streamsql.cli import cli

NAMES = {
    "connect", "function", "Session", "Query", "QueryStatistics", "Result", "Change",
    "StreamSQLError", "SQLError", "ParseError", "BindError", "SQLTypeError", "PlanError",
    "DataError", "ConnectorError", "StateError", "UsageError", "InternalError",
}
COMMANDS = {
    "": {"--set", "--var", "--output", "--state", "--log-level", "--version"},
    "run": {"-e", "--execute", "--set", "--var", "--output", "--state", "--log-level"},
    "check": {"-e", "--execute", "--set", "--var", "--log-level"},
    "explain": {"-e", "--execute", "--set", "--sql", "--var", "--log-level"},
    "test": set(),
}


def options(command: click.Command) -> set[str]:
    return {name for parameter in command.params if isinstance(parameter, click.Option)
            for name in parameter.opts}


def test_names_of_the_package() -> None:
    assert set(streamsql.__all__) == NAMES
    assert all(getattr(streamsql, name).__doc__ for name in NAMES)


def test_commands_and_their_options() -> None:
    found = {"": options(cli)} | {name: options(command) for name, command in cli.commands.items()}
    assert found == COMMANDS


def test_every_option_says_what_it_does() -> None:
    for command in (cli, *cli.commands.values()):
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{command.name} {parameter.opts}"

"""The tree of commands: each has help, takes the global options, and completes."""

from collections.abc import Iterator

import click
import pytest

from homarus.cli.app import MODULES, SECTIONS, cli
from homarus.cli.command import Command
from tests.support.commands import Terminal


def leaves() -> Iterator[list[str]]:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ([name, inner] for inner in command.list_commands(click.Context(command)))
        else:
            yield [name]


LEAVES = list(leaves())


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_explains_itself(path: list[str], homarus: Terminal) -> None:
    ran = homarus(*path, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: homarus {' '.join(path)}")
    _usage, about, *_ = ran.out.split("\n\n")
    assert len(about.strip()) > 10, "a line that says what it does"
    assert "--json" in ran.out


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_takes_the_global_options(path: list[str]) -> None:
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    assert isinstance(command, Command)
    assert {"home", "url", "token", "company", "json"} <= {p.name for p in command.params}


def test_help_shows_all_sections(homarus: Terminal) -> None:
    ran = homarus("--help")
    assert [f"{name}:" in ran.out for name in SECTIONS] == [True] * len(SECTIONS)
    assert all(name in ran.out for name in MODULES)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(homarus: Terminal, shell: str) -> None:
    ran = homarus("completion", shell)
    assert ran.code == 0
    assert "_HOMARUS_COMPLETE" in ran.out

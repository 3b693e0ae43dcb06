"""Every `homarus …` that a text of the program or a page tells people to type is a command."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from homarus.cli.app import cli

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
TOLD = re.compile(r"`homarus ((?:[^`\n]|\n\s*)+)`")
TYPED = re.compile(r"^ {4}(?:\$ )?homarus ((?:.*\\\n)*.*)$", re.M)
ENDS = {"|", ">", ">>", "&&", ";", "…", "..."}
NAMES = re.compile(r"[a-z][a-z-]*(?:\|[a-z-]+)*")
BLANK = "VALUE"
"""Stands for what a text fills in."""


def texts(source: Path) -> Iterator[str]:
    """The string literals of a module, f-strings with BLANK for what they fill in."""
    tree = ast.parse(source.read_text("utf-8"))
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
             for part in ast.walk(node) if part is not node}  # fmt: skip
    for node in ast.walk(tree):
        if id(node) in parts:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else BLANK for part in node.values
            )


def fault(line: str) -> str:
    """What is wrong with a line that somebody is to type; empty where nothing is."""
    words = iter(shlex.split(re.split(r" {3,}", line.replace("\\\n", " "))[0], comments=True))
    command: click.Command = cli
    with click.Context(cli) as context:
        for word in words:
            if word in ENDS:
                break
            if word.startswith("--") and len(word) > 2:
                name, has_value, _ = word.partition("=")
                option = options(command, context).get(name)
                if option is None:
                    return f"no option {word} in {line!r}"
                if not (has_value or option.is_flag or option.count):
                    next(words, None)
            elif isinstance(command, click.Group):
                if not NAMES.fullmatch(word):
                    break
                try:
                    found = [command.resolve_command(context, [name]) for name in word.split("|")]
                except click.UsageError:
                    return f"no command {word!r} in {line!r}"
                command = found[-1][1] or command
    return ""


def options(command: click.Command, context: click.Context) -> dict[str, click.Option]:
    return {name: one for one in command.get_params(context) if isinstance(one, click.Option)
            for name in (*one.opts, *one.secondary_opts)}  # fmt: skip


def wrong(found: list[tuple[Path, str]]) -> list[str]:
    assert len(found) > 200, "the patterns find what they look for"
    return [f"{path.relative_to(ROOT)}: {fault(line)}" for path, line in found if fault(line)]


@pytest.mark.parametrize(
    ("line", "is_wrong"),
    [
        ("task list", False),
        ("task list --state queued", False),
        ("task lost", True),
        ("task list --colour", True),
        ("nothing", True),
        ("task list|lost", True),
        ("task list|show", False),
        ("NOUN list", False),
        ("change new --setting level=enforce", False),
        ("task show T-192 | less", False),
        ("--company harbour token create box-1", False),
        ("trust ada      what the number is made of, --all", False),
    ],
)
def test_what_the_check_finds(line: str, is_wrong: bool) -> None:
    assert bool(fault(line)) is is_wrong


def test_what_the_program_tells_people_to_type() -> None:
    texts_ = [(path, text) for path in SOURCES for text in texts(path)]
    assert wrong([(path, line) for path, text in texts_ for line in TOLD.findall(text)]) == []


def test_what_the_pages_tell_people_to_type() -> None:
    pages = [(path, path.read_text("utf-8")) for path in PAGES]
    assert wrong([(path, line) for path, text in pages
                  for kind in (TOLD, TYPED) for line in kind.findall(text)]) == []  # fmt: skip

"""Every `homarus …` that a text of the program or a page tells people to type is a command."""

import ast
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
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
    """The string literals of a module, f-strings with its constants that are texts and with BLANK
    for what else they fill in."""
    tree = ast.parse(source.read_text("utf-8"))
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
             for part in ast.walk(node) if part is not node}  # fmt: skip
    for node in ast.walk(tree):
        if id(node) in parts:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else filled(part, source)
                          for part in node.values)  # fmt: skip


def filled(part: ast.expr, source: Path) -> str:
    match part:
        case ast.FormattedValue(value=ast.Name(id=name)) if name.isupper():
            module = ".".join(source.relative_to(ROOT / "src").with_suffix("").parts)
            value = getattr(import_module(module), name, None)
            return value if isinstance(value, str) else BLANK
        case _:
            return BLANK


def fault(line: str) -> str:
    """What is wrong with a line that somebody is to type; empty where nothing is. A command that is
    named without options is not given whole; with one it has all that it asks for, or `…`."""
    line = re.sub(r"\\?\n\s*", " ", line)
    words = iter(shlex.split(re.split(r" {3,}", line)[0], comments=True))
    command: click.Command = cli
    given: set[str | None] = set()
    with click.Context(cli) as context:
        for word in words:
            if word in ENDS:
                if word in ("…", "..."):
                    return ""  # and what else it asks for
                break
            if word.startswith("--") and len(word) > 2:
                name, has_value, _ = word.partition("=")
                option = options(command, context).get(name)
                if option is None:
                    return f"no option {word} in {line!r}"
                if word == "--help":
                    return ""
                given.add(option.name)
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
                given.clear()  # those were of the group
        wanted = sorted({one.opts[0] for one in options(command, context).values()
                         if one.required and one.name not in given})  # fmt: skip
    return f"no {', '.join(wanted)} in {line!r}" if given and wanted else ""


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
        ("change new", False),
        ("change new --help", False),
        ("change new --setting level=enforce", True),
        ("change new --setting level=enforce …", False),
        ("change new --setting level=enforce --intent A --impact B --rollback C", True),
        ("change new --setting level=enforce --intent A \\\n      --impact B --rollback C "
         "--validation D", False),
        ("task show T-192 | less", False),
        ("--company harbour token create box-1", False),
        ("trust ada      what the number is made of, --all", False),
    ],
)  # fmt: skip
def test_what_the_check_finds(line: str, is_wrong: bool) -> None:
    assert bool(fault(line)) is is_wrong


def test_what_the_program_tells_people_to_type() -> None:
    texts_ = [(path, text) for path in SOURCES for text in texts(path)]
    assert wrong([(path, line) for path, text in texts_ for line in TOLD.findall(text)]) == []


def test_what_the_pages_tell_people_to_type() -> None:
    pages = [(path, path.read_text("utf-8")) for path in PAGES]
    assert wrong([(path, line) for path, text in pages
                  for kind in (TOLD, TYPED) for line in kind.findall(text)]) == []  # fmt: skip

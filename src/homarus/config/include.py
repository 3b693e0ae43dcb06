"""`$include`: an object may take its keys from other files of the home; its own keys win.

    {"$include": ["models.json5", "limits.json5"], gateway: {port: 1}}

Later files win over earlier ones, objects are merged key by key, everything else is replaced.
"""

from pathlib import Path
from typing import Final

import msgspec

from homarus.config import files
from homarus.config.problem import Place, Problem
from homarus.config.text import Kind, Member, Node, Text, parse

WORD: Final = "$include"
MAX_DEPTH: Final = 10
MAX_FILES: Final = 50


class Included(msgspec.Struct, frozen=True):
    """`root`: the object of all files together; `problems`: keys that stand twice in one file."""

    root: Node
    problems: list[Problem]


def resolve(home: Path, name: str, text: str, seen: list[Path], *, alone: bool = False) -> Included:
    """`seen` gets every other file that was looked for, also when it ends in a mistake; `alone`:
    included files are left out. Raises Problem `settings.file`, `settings.include`."""
    merging = _Merging(home, seen, alone)
    root = merging.parsed(name, text)
    return Included(merging.resolved(root, (home / name,)), merging.problems)


class _Merging:
    def __init__(self, home: Path, seen: list[Path], alone: bool) -> None:
        self.home = home
        self.alone = alone
        self.files = seen
        self.problems: list[Problem] = []

    def parsed(self, name: str, text: str) -> Node:
        root, twice = parse(Text(name, text))
        self.problems += twice
        return root

    def resolved(self, node: Node, stack: tuple[Path, ...]) -> Node:
        """The node with its includes, and theirs, put in place. `stack`: files being read."""
        if node.kind is not Kind.OBJECT:
            return node
        own = {
            key: Member(member.source, member.start, self.resolved(member.node, stack))
            for key, member in node.value.items()
            if key != WORD
        }
        asked = node.value.get(WORD)
        members: dict[str, Member] = {}
        if asked is not None and not self.alone:
            for name in _names(asked):
                members = _merged(members, self.file(name, asked.node.place, stack).value)
        return Node(Kind.OBJECT, _merged(members, own), node.source, node.start, node.end)

    def file(self, name: str, place: Place, stack: tuple[Path, ...]) -> Node:
        path = (stack[-1].parent / name).resolve()
        if not path.is_relative_to(self.home.resolve()):
            raise _problem(place, f"{name[:80]} lies outside {self.home}", "Put it into the home.")
        if path in [at.resolve() for at in stack]:
            way = " -> ".join(at.name for at in (*stack, path))
            raise _problem(place, f"files include each other: {way}", "Take one of them out.")
        if len(stack) > MAX_DEPTH or len(self.files) >= MAX_FILES:
            raise _problem(
                place, f"more than {MAX_DEPTH} files deep, or {MAX_FILES} files", "Use fewer."
            )
        shown = str(path.relative_to(self.home.resolve()))
        self.files.append(path)
        found = files.read(path, shown)
        if found is None:
            raise _problem(place, f"there is no file {shown[:80]}", "Make it, or correct the name.")
        return self.resolved(self.parsed(shown, found.text), (*stack, path))


def _names(asked: Member) -> list[str]:
    node = asked.node
    values = node.plain() if node.kind is Kind.LIST else [node.value]
    if not all(isinstance(value, str) and value and "\0" not in value for value in values):
        raise _problem(node.place, "this names no file", "Give a text, or a list of texts.")
    return list(values)


def _merged(base: dict[str, Member], over: dict[str, Member]) -> dict[str, Member]:
    found = dict(base)
    for key, member in over.items():
        before = found.get(key)
        if before and before.node.kind is Kind.OBJECT and member.node.kind is Kind.OBJECT:
            node = member.node
            both = _merged(before.node.value, node.value)
            node = Node(Kind.OBJECT, both, node.source, node.start, node.end)
            member = Member(member.source, member.start, node)
        found[key] = member
    return found


def _problem(place: Place, what: str, remedy: str) -> Problem:
    return Problem(
        "settings.include", what, remedy, place=place, path=WORD, expected="a file of the home"
    )

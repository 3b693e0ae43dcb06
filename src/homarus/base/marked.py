"""YAML with places: a tree of plain values that know their line and column.

For rule files, whose errors say file, line, column and what was expected. Only data: no tags, no
anchors, no second document, duplicate keys are kept for the reader to name. Every bound is one that
a hostile text meets before it costs anything.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import yaml

MAX_BYTES: Final = 524_288
MAX_DEPTH: Final = 32
MAX_NODES: Final = 100_000
MAX_SHOWN: Final = 80

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a file. Lines and columns count from 1."""

    line: int
    column: int
    message: str
    expected: str = ""

    def told(self, file: str) -> str:
        """`file:line:column: what; expected …`"""
        tail = f"; expected {self.expected}" if self.expected else ""
        return f"{file}:{self.line}:{self.column}: {self.message}{tail}"


class Unreadable(Exception):
    """The text is no document that could be walked."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Node:
    """`value`: a scalar (text, number, truth value, None), a list of nodes, or a list of pairs of
    nodes in the order of the file; `kind` is "scalar", "list" or "map"."""

    __slots__ = ("column", "kind", "line", "value")

    def __init__(self, kind: str, value: Any, line: int, column: int) -> None:
        self.kind, self.value, self.line, self.column = kind, value, line, column

    def plain(self) -> Any:
        """Without places. Of a key that is there twice the last counts."""
        if self.kind == "list":
            return [node.plain() for node in self.value]
        if self.kind == "map":
            return {str(key.value): node.plain() for key, node in self.value}
        return self.value

    def get(self, key: str) -> "Node | None":
        if self.kind != "map":
            return None
        return next((node for name, node in self.value if name.value == key), None)

    def at(self, path: tuple[str | int, ...]) -> "Node":
        """The node at the path, or the last one on the way to it."""
        node = self
        for part in path:
            if node.kind == "list" and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                continue
            below = node.get(str(part))
            if below is None:
                return node
            node = below
        return node

    def problem(self, message: str, expected: str = "") -> Problem:
        return Problem(self.line, self.column, message, expected)

    def shown(self) -> str:
        """What it is, for a message."""
        if self.kind != "scalar":
            return "a list" if self.kind == "list" else "a mapping"
        return "nothing" if self.value is None else repr(self.value)[:MAX_SHOWN]


def read(text: str) -> Node:
    """The only document of the text. Raises Unreadable."""
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise Unreadable(Problem(1, 1, "the file is too large", f"at most {MAX_BYTES} bytes"))
    try:
        return _built(yaml.parse(text, Loader=_LOADER))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "no YAML"
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise Unreadable(Problem(line, column, str(what), "well-formed YAML")) from error
    except UnicodeError as error:
        raise Unreadable(Problem(1, 1, "the text is no Unicode", "UTF-8")) from error


def _built(events: Iterator[Any]) -> Node:
    """A tree without recursion: `open_` holds the lists and mappings being filled."""
    resolver = yaml.SafeLoader("")
    root: Node | None = None
    open_: list[tuple[Node, list[Node]]] = []
    count = 0
    for event in events:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        match event:
            case yaml.AliasEvent():
                raise Unreadable(Problem(line, column, "aliases are not read", "the value itself"))
            case yaml.DocumentStartEvent() if root is not None:
                raise Unreadable(Problem(line, column, "a second document", "one document"))
            case yaml.ScalarEvent():
                node = Node("scalar", _scalar(resolver, event, line, column), line, column)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                if event.tag is not None:
                    raise Unreadable(Problem(line, column, f"the tag {event.tag[:40]}", "no tag"))
                kind = "list" if isinstance(event, yaml.SequenceStartEvent) else "map"
                node = Node(kind, [], line, column)
                if len(open_) >= MAX_DEPTH:
                    raise Unreadable(Problem(line, column, "too deep", f"{MAX_DEPTH} levels"))
                open_.append((node, []))
                count += 1
                continue
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                node, children = open_.pop()
                node.value = children if node.kind == "list" else _pairs(children)
            case _:
                continue
        count += 1
        if count > MAX_NODES:
            raise Unreadable(Problem(line, column, "too many values", f"at most {MAX_NODES}"))
        if open_:
            open_[-1][1].append(node)
        else:
            root = node
    return root if root is not None else Node("scalar", None, 1, 1)


def _pairs(children: list[Node]) -> list[tuple[Node, Node]]:
    pairs = list(zip(children[::2], children[1::2], strict=True))
    for key, _ in pairs:
        if key.kind != "scalar" or not isinstance(key.value, str):
            raise Unreadable(key.problem(f"{key.shown()} stands as a key", "a text"))
    return pairs


def _scalar(resolver: Any, event: Any, line: int, column: int) -> Any:
    if event.tag is not None and event.tag != "!":
        raise Unreadable(Problem(line, column, f"the tag {event.tag[:40]}", "no tag"))
    if event.style:
        return event.value
    tag = resolver.resolve(yaml.ScalarNode, event.value, (True, False))
    try:
        match str(tag).rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return yaml.SafeLoader.bool_values[event.value.lower()]
            case "int":
                return _integer(event.value)
            case "float":
                return _float(event.value)
            case _:
                return event.value
    except ValueError as error:
        raise Unreadable(
            Problem(line, column, f"{event.value[:MAX_SHOWN]!r} is no number", "a number or a text")
        ) from error


def _integer(text: str) -> int:
    """Decimal only: what YAML 1.1 reads as octal, binary or base 60 is nobody's intent."""
    return int(text.replace("_", ""))


def _float(text: str) -> float:
    value = float(text.replace("_", ""))
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(text)
    return value

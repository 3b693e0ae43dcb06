"""JSON5 with places: each value knows where it stands, so that mistakes can be shown and values
replaced without touching what is around them.

    parse(Text("homarus.json", text)) -> (Node, [duplicate keys])      raises Problem

Grammar: https://spec.json5.org. One pass over regular expressions, bounded in depth; the caller
bounds the length.
"""

import bisect
import re
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, NoReturn

from homarus.config.problem import Place, Problem

MAX_DEPTH: Final = 40
MAX_NUMBER: Final = 320
"""Characters. Longer ones are no number that a setting could hold."""

_BLANK: Final = re.compile(
    r"(?:[\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]"
    r"|//[^\n\r\u2028\u2029]*|/\*.*?\*/)*",
    re.DOTALL,
)
_STRING: Final = re.compile(
    r'"(?:[^"\\\n\r]|\\(?:\r\n|.))*"' r"|'(?:[^'\\\n\r]|\\(?:\r\n|.))*'", re.DOTALL
)
_NUMBER: Final = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F]+|Infinity|NaN"
    r"|(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w$.])"
)
_NAME: Final = re.compile(r"(?:[$_]|[^\W\d])[\w$\u200c\u200d]*")
_WORD: Final = re.compile(r"[^\s,:{}\[\]\"']{1,40}")
_LINE: Final = re.compile(r"\r\n|\n|\r")
_SOLID: Final = frozenset("{}[],:\"'")
"""No blank and no comment starts with these."""
_WORDS: Final = {"true": True, "false": False, "null": None}


class Kind(StrEnum):
    """As people call them."""

    OBJECT = "an object"
    LIST = "a list"
    STRING = "a text"
    NUMBER = "a number"
    BOOL = "true or false"
    NULL = "null"


class Text:
    """A file's text and what people call the file."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(found.end() for found in _LINE.finditer(self.text))]

    def place(self, offset: int) -> Place:
        line = bisect.bisect_right(self._starts, offset)
        return Place(self.name, line, offset - self._starts[line - 1] + 1)


class Node:
    """A value and where it stands: `text[start:end]`. `value`: a dict of Members, a list of Nodes,
    or a plain scalar."""

    __slots__ = ("end", "kind", "source", "start", "value")

    def __init__(self, kind: Kind, value: Any, source: Text, start: int, end: int) -> None:
        self.kind = kind
        self.value = value
        self.source = source
        self.start = start
        self.end = end

    @property
    def place(self) -> Place:
        return self.source.place(self.start)

    def plain(self) -> Any:
        """As JSON values."""
        if self.kind is Kind.OBJECT:
            return {key: member.node.plain() for key, member in self.value.items()}
        if self.kind is Kind.LIST:
            return [node.plain() for node in self.value]
        return self.value


class Member:
    """A key of an object, where it stands, and its value."""

    __slots__ = ("node", "source", "start")

    def __init__(self, source: Text, start: int, node: Node) -> None:
        self.source = source
        self.start = start
        self.node = node

    @property
    def place(self) -> Place:
        return self.source.place(self.start)


def parse(source: Text) -> tuple[Node, list[Problem]]:
    """The document, and the keys that stand twice. Raises Problem `settings.file`."""
    reader = _Reader(source)
    reader.blank()
    if reader.at == len(source.text):
        reader.fail("the file is empty", "an object", "Write `{}`.")
    root = reader.value(0)
    if root.kind is not Kind.OBJECT:
        reader.at = root.start
        reader.fail(f"the file holds {root.kind}", "an object", "Start it with `{`.")
    reader.blank()
    if reader.at < len(source.text):
        reader.fail(f"{reader.seen()} after the end", "nothing more", "Remove what follows.")
    return root, reader.twice


def after_blank(text: str, at: int) -> int:
    """The place of the next character that is neither blank nor comment."""
    found = _BLANK.match(text, at)
    return found.end() if found else at


class _Reader:
    def __init__(self, source: Text) -> None:
        self.source = source
        self.text = source.text
        self.at = 0
        self.twice: list[Problem] = []

    def fail(self, what: str, expected: str, remedy: str = "") -> NoReturn:
        raise Problem(
            "settings.file", what, remedy or "Correct it there.",
            place=self.source.place(self.at), expected=expected,
        )  # fmt: skip

    def seen(self) -> str:
        """What stands here, as people call it."""
        if self.at >= len(self.text):
            return "the file ends"
        word = _WORD.match(self.text, self.at)
        return repr(word[0] if word else self.text[self.at])

    def blank(self) -> None:
        if self.text[self.at : self.at + 1] in _SOLID:
            return
        self.at = after_blank(self.text, self.at)
        if self.text.startswith("/*", self.at):
            self.fail("a comment does not end", "`*/`")

    def peek(self) -> str:
        self.blank()
        return self.text[self.at : self.at + 1]

    def value(self, depth: int) -> Node:
        start, first = self.at, self.text[self.at : self.at + 1]
        if depth > MAX_DEPTH:
            self.fail(f"nested deeper than {MAX_DEPTH}", "less depth")
        if first == "{":
            members = self.members(depth)
            return Node(Kind.OBJECT, members, self.source, start, self.at)
        if first == "[":
            items = self.items(depth)
            return Node(Kind.LIST, items, self.source, start, self.at)
        if first in ('"', "'"):
            return Node(Kind.STRING, self.string(), self.source, start, self.at)
        if (name := _NAME.match(self.text, start)) and name[0] in _WORDS:
            self.at = name.end()
            value = _WORDS[name[0]]
            kind = Kind.NULL if value is None else Kind.BOOL
            return Node(kind, value, self.source, start, self.at)
        if found := _NUMBER.match(self.text, start):
            if len(found[0]) > MAX_NUMBER:
                self.fail("a number is too long", f"at most {MAX_NUMBER} characters")
            self.at = found.end()
            return Node(Kind.NUMBER, _number(found[0]), self.source, start, self.at)
        remedy = "Put texts in quotes." if first.isalpha() else ""
        return self.fail(self.seen(), "a value", remedy)

    def members(self, depth: int) -> dict[str, Member]:
        members: dict[str, Member] = {}
        self.at += 1
        while (first := self.peek()) != "}":
            start = self.at
            key = self.string() if first in ('"', "'") else self.name()
            if self.peek() != ":":
                self.fail(f"{self.seen()} after the key {key[:80]!r}", "`:`")
            self.at += 1
            self.blank()
            node = self.value(depth + 1)
            if key in members:
                self.twice.append(
                    Problem(
                        "settings.twice",
                        f"the key stands twice; first in line {members[key].place.line}",
                        "Keep one of them.", place=self.source.place(start), path=key[:80],
                        expected="each key once",
                    )
                )  # fmt: skip
            else:
                members[key] = Member(self.source, start, node)
            self.comma("}")
        self.at += 1
        return members

    def items(self, depth: int) -> list[Node]:
        items = []
        self.at += 1
        while self.peek() != "]":
            items.append(self.value(depth + 1))
            self.comma("]")
        self.at += 1
        return items

    def comma(self, end: str) -> None:
        found = self.peek()
        if found == ",":
            self.at += 1
        elif found != end:
            self.fail(self.seen(), f"`,` or `{end}`")

    def name(self) -> str:
        found = _NAME.match(self.text, self.at)
        if found is None:
            self.fail(self.seen(), "a key or `}`", "Put keys with odd characters in quotes.")
        self.at = found.end()
        return found[0]

    def string(self) -> str:
        found = _STRING.match(self.text, self.at)
        if found is None:
            self.fail("a text does not end in its line", f"the closing {self.text[self.at]}")
        if "\\" not in found[0]:
            self.at = found.end()
            return found[0][1:-1]
        import pyjson5  # loaded only where a text needs it

        try:
            value = str(pyjson5.decode(found[0]))
            value.encode()  # half a surrogate pair is no character
        except (pyjson5.Json5DecoderException, UnicodeEncodeError):
            self.fail("an escape in this text is not complete", "escapes such as `\\n`, `\\u00e9`")
        self.at = found.end()
        return value


def _number(text: str) -> int | float:
    bare = text.lstrip("+-")
    sign = -1 if text[0] == "-" else 1
    if bare[:2].lower() == "0x":
        return sign * int(bare, 16)
    return sign * (int(bare) if bare.isdigit() else float(bare))

"""One value of `homarus.json` replaced, added or removed; every other character stays.

text = changed(text, "gateway.port", 8080)
write(path, name, text, base)              raises Conflict where somebody else wrote meanwhile
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from homarus.base import private
from homarus.base.errors import Conflict
from homarus.config import files
from homarus.config.text import Kind, Member, Node, Text, after_blank, parse

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

INDENT: Final = "  "
_PLAIN: Final = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
_INDENT: Final = re.compile(r"[ \t]*")


def changed(text: str, path: str | Sequence[str], value: Any) -> str:
    """`path`: dotted, or its names. `value`: plain JSON. Objects that are missing are made. Raises
    Problem where `text` is no JSON5."""
    if not text.strip():
        text = "{\n}\n"
    node, _ = parse(Text("homarus.json", text))
    names = _names(path)
    while names and node.kind is Kind.OBJECT and names[0] in node.value:
        node = node.value[names.pop(0)].node
    if names and node.kind is Kind.OBJECT:
        return _added(text, node, names, value)
    for name in reversed(names):  # something else stands where an object must be
        value = {name: value}
    return text[: node.start] + _written(value) + text[node.end :]


def removed(text: str, path: str | Sequence[str]) -> str:
    """Without the key; as it was where it has none."""
    node, _ = parse(Text("homarus.json", text))
    *above, last = _names(path)
    for name in above:
        if node.kind is not Kind.OBJECT or name not in node.value:
            return text
        node = node.value[name].node
    if node.kind is not Kind.OBJECT or last not in node.value:
        return text
    return _without(text, node.value[last])


def _names(path: str | Sequence[str]) -> list[str]:
    return path.split(".") if isinstance(path, str) else list(path)


def _added(text: str, node: Node, names: list[str], value: Any) -> str:
    """As the last member of an object, written as its neighbours are."""
    newline = "\r\n" if "\r\n" in text else "\n"
    outer = _indent(text, node.start)
    members: list[Member] = list(node.value.values())
    inside = _indent(text, members[-1].start) if members else outer + INDENT
    many_lines = not members or "\n" in text[node.start : members[0].start]
    quoted = bool(members) and text[members[-1].start] == '"'
    name, *rest = names
    for inner in reversed(rest):
        value = {inner: value}
    entry = f"{_key(name, quoted=quoted)}: {_written(value, quoted=quoted)}"
    if not members:
        body = text[node.start + 1 : node.end - 1].rstrip()
        made = f"{{{body}{newline}{inside}{entry},{newline}{outer}}}"
        return text[: node.start] + made + text[node.end :]
    at = members[-1].node.end
    comma = _comma_after(text, at)
    if not many_lines:
        return f"{text[:at]}, {entry}{text[at:]}"
    if comma is None:
        text, comma = f"{text[:at]},{text[at:]}", at + 1
        end = ""
    else:
        end = ","
    at = _end_of_line(text, comma)
    return f"{text[:at]}{newline}{inside}{entry}{end}{text[at:]}"


def _without(text: str, member: Member) -> str:
    start, end = member.start, member.node.end
    comma = _comma_after(text, end)
    end = end if comma is None else comma
    line_start = text.rfind("\n", 0, start) + 1
    line_end = _end_of_line(text, end)
    if not text[line_start:start].strip() and not text[end:line_end].strip():
        return text[:line_start] + text[line_end:].removeprefix("\r").removeprefix("\n")
    if comma is not None:
        return text[:start] + text[end:].lstrip(" ")
    return text[:start].rstrip().removesuffix(",") + text[end:]


def _comma_after(text: str, at: int) -> int | None:
    """The place behind the comma that follows, comments in between passed over."""
    at = after_blank(text, at)
    return at + 1 if text.startswith(",", at) else None


def _end_of_line(text: str, at: int) -> int:
    found = text.find("\n", at)
    end = len(text) if found < 0 else found
    end = end - 1 if text[at:end].endswith("\r") else end
    return end if _is_comment(text[at:end]) else at


def _is_comment(rest: str) -> bool:
    """Whether only blanks and a comment follow in a line, so that it stays with its member."""
    rest = rest.strip()
    whole = rest.startswith("/*") and rest.find("*/") == len(rest) - 2
    return not rest or rest.startswith("//") or whole


def _indent(text: str, at: int) -> str:
    start = text.rfind("\n", 0, at) + 1
    found = _INDENT.match(text, start)
    return found[0] if found else ""


def _key(name: str, *, quoted: bool) -> str:
    return name if _PLAIN.fullmatch(name) and not quoted else json.dumps(name)


def _written(value: Any, *, quoted: bool = False) -> str:
    if isinstance(value, dict):
        inner = ", ".join(
            f"{_key(name, quoted=quoted)}: {_written(each, quoted=quoted)}"
            for name, each in value.items()
        )
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_written(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def write(path: Path, name: str, text: str, base: str, *, bom: bool = False) -> str:
    """Put `text` in the place of the file whose digest is `base` ("": there is none); its digest.

    Whole or not at all, on disk when the call returns, for its owner alone; a link stays one, and
    its file is replaced. One command at a time; what an editor saved until just before the rename
    is seen. Raises Conflict `settings.changed`, Problem, OSError.
    """
    target = path.resolve()
    text = ("\ufeff" if bom else "") + text

    def unchanged() -> None:
        found = files.read(path, name)
        if ("" if found is None else found.digest) != base:
            raise Conflict(
                "settings.changed", f"{name} was changed meanwhile",
                "Look at it, and give the command again.",
            )  # fmt: skip

    with _one_at_a_time(path.parent):
        private.write(target, text, unchanged)
    return hashlib.sha256(text.encode()).hexdigest()


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)

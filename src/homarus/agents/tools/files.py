"""Tools over the agent's workspace. What is read is judged when it is shown: one unit a call."""

import asyncio
import base64
from pathlib import Path
from typing import Annotated, Final

import msgspec

from homarus.agents.tools import looking
from homarus.agents.tools.hands import Hands
from homarus.agents.tools.space import Content, Space, of_agent, parts_of, target_of
from homarus.agents.tools.tool import Tool, number, told, truth, words
from homarus.base.action import Effect
from homarus.base.errors import Conflict, Invalid, TooLarge
from homarus.flows.turn_tools import Result
from homarus.store.port import Tx

MAX_LINES: Final = 2_000
MAX_SHOWN: Final = 50_000
MAX_LINE: Final = 2_000
MAX_IMAGE_BYTES: Final = 1_000_000
MAX_TEXT: Final = 1_000_000
MAX_DEPTH: Final = 5
MAX_FOUND: Final = 20
"""Places of a text that occurs too often that an error names."""

PATH: Final = "A path below your workspace, such as notes/today.md."
SHA256: Final = "SHA-256 of what the file must hold now; empty text: it must not exist."

_IMAGES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)

Path_ = Annotated[str, words(PATH, 500, 1)]


class ReadArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: Path_
    offset: Annotated[int, number("First line, from 1.", 1, 10_000_000)] = 1
    limit: Annotated[int, number("How many lines.", 1, MAX_LINES)] = MAX_LINES


class WriteArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: Path_
    content: Annotated[str, words("The whole text of the file.", MAX_TEXT)]
    expected_sha256: Annotated[str, words(SHA256, 64)] | None = None


class EditArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: Path_
    old: Annotated[str, words("The exact text to replace; it must occur once.", MAX_TEXT, 1)]
    new: Annotated[str, words("What stands there afterwards.", MAX_TEXT)]
    all: Annotated[bool, truth("Replace every place instead of exactly one.")] = False


class ListArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: Annotated[str, words("A folder; empty: the workspace itself.", 500)] = ""
    depth: Annotated[int, number("How many folders deep.", 1, MAX_DEPTH)] = 1


class SearchArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, words("What to look for, in one line.", looking.MAX_PATTERN, 1)]
    path: Annotated[str, words("Where: a folder or file; empty: everywhere.", 500)] = ""
    regex: Annotated[bool, truth("Read `text` as a regular expression.")] = False
    any_case: Annotated[bool, truth("Upper and lower case are the same.")] = False
    glob: Annotated[str, words("Only files of this name, such as *.md.", 300)] | None = None


def shown(tx: Tx, result: Result) -> Result:
    """What was read before this unit, once the kernel has allowed that it be shown."""
    _ = tx
    return result


class Files:
    def __init__(self, home: Path) -> None:
        self._home = home

    def tools(self) -> tuple[Tool, ...]:
        where = "workspace:<path>"
        return (
            Tool("read", "Read a text file or an image in your workspace.", self._read,
                 "fs.read", where, ReadArguments, harmless=True),
            Tool("write", "Write a file in your workspace, whole.", self._write,
                 "fs.write", where, WriteArguments, harmless=True),
            Tool("edit", "Replace a text in a file of your workspace.", self._edit,
                 "fs.write", where, EditArguments),
            Tool("list", "List a folder of your workspace.", self._list,
                 "fs.list", where, ListArguments, harmless=True),
            Tool("search", "Find lines in the files of your workspace.", self._search,
                 "fs.search", where, SearchArguments, harmless=True),
        )  # fmt: skip

    def _space(self, hands: Hands) -> Space:
        return Space(of_agent(self._home, hands.started.agent.id))

    async def _read(self, given: ReadArguments, hands: Hands) -> Result:
        target = target_of(given.path)
        found = await asyncio.to_thread(self._space(hands).read, given.path)
        return await hands.apply("fs.read", shown, _read(found, given, target), target=target)

    async def _write(self, given: WriteArguments, hands: Hands) -> Result:
        target, data = target_of(given.path), _bytes(given.content)
        await hands.begin("fs.write", target=target, effect=Effect.LOCAL_WRITE,
                          what=f"{len(data)} bytes")  # fmt: skip
        changed = await asyncio.to_thread(
            self._space(hands).write, given.path, data, given.expected_sha256
        )
        return _written(Content("/".join(parts_of(given.path)), data), target, changed)

    async def _edit(self, given: EditArguments, hands: Hands) -> Result:
        target, space = target_of(given.path), self._space(hands)
        found = await asyncio.to_thread(space.read, given.path)
        after = Content(found.path, _bytes(edited(_text(found), given)))
        await hands.begin("fs.write", target=target, effect=Effect.LOCAL_WRITE,
                          what=f"{len(after.data)} bytes")  # fmt: skip
        changed = await asyncio.to_thread(space.write, given.path, after.data, found.sha256)
        return _written(after, target, changed)

    async def _list(self, given: ListArguments, hands: Hands) -> Result:
        target = target_of(given.path)
        found, whole = await asyncio.to_thread(self._space(hands).entries, given.path, given.depth)
        lines = [
            f"{e.path}/" if e.kind == "folder"
            else f"{e.path}  {e.size_bytes} bytes" if e.kind == "file" else f"{e.path}  ({e.kind})"
            for e in found
        ]  # fmt: skip
        lines += [] if whole else ["[more than can be listed: name a folder]"]
        result = told("\n".join(lines) or "[empty]", source=target, entries=len(found))
        return await hands.apply("fs.list", shown, result, target=target)

    async def _search(self, given: SearchArguments, hands: Hands) -> Result:
        target = target_of(given.path)
        matches = looking.matcher(given.text, regex=given.regex, any_case=given.any_case)
        found = await asyncio.to_thread(
            looking.search, self._space(hands), given.path, matches, given.glob
        )
        lines = [f"{hit.path}:{hit.line}: {hit.text}" for hit in found.hits]
        if found.ended is not None:
            lines.append(f"[not all: the bound on {found.ended} was reached]")
        result = told(
            "\n".join(lines) or f"[nothing in {found.files} files]", source=target,
            hits=len(found.hits), files=found.files,
        )  # fmt: skip
        return await hands.apply("fs.search", shown, result, target=target)


def edited(text: str, given: EditArguments) -> str:
    """Raises `edit.missing`, `edit.ambiguous`, `edit.same`."""
    if given.old == given.new:
        raise Invalid("edit.same", "`old` and `new` are the same", "Nothing to do.")
    count = text.count(given.old)
    if count == 0:
        raise Conflict("edit.missing", f"the text is not in {given.path}",
                       "Read the file, and repeat the text exactly, blanks included.")  # fmt: skip
    if count > 1 and not given.all:
        raise Conflict(
            "edit.ambiguous", f"the text is in {given.path} {count} times",
            "Take in more of what stands around it, or set `all`.", lines=_lines(text, given.old),
        )  # fmt: skip
    return text.replace(given.old, given.new)


def _lines(text: str, old: str) -> list[int]:
    found: list[int] = []
    at = text.find(old)
    while at >= 0 and len(found) < MAX_FOUND:
        found.append(text.count("\n", 0, at) + 1)
        at = text.find(old, at + len(old))
    return found


def _read(found: Content, given: ReadArguments, target: str) -> Result:
    media = image_type(found.data)
    if media is not None:
        return _image(found, media, target)
    lines = _text(found).split("\n")
    first = given.offset - 1
    if first >= len(lines):
        raise Invalid("read.offset", f"{found.path} has {len(lines)} lines", "Give a lower offset.")
    taken: list[str] = []
    size = 0
    for line in lines[first : first + given.limit]:
        if taken and size + len(line) > MAX_SHOWN:
            break
        cut = line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]} [… {len(line)} characters]"
        taken.append(cut)
        size += len(cut) + 1
    last = first + len(taken)
    head = f"[{target}, lines {first + 1} to {last} of {len(lines)}, sha256 {found.sha256}]"
    more = [f"[go on with offset {last + 1}]"] if last < len(lines) else []
    return told(
        "\n".join([head, *taken, *more]), source=target, sha256=found.sha256, lines=len(lines)
    )


def image_type(data: bytes) -> str | None:
    """The media type of an image that models take; None: it is none."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((media for magic, media in _IMAGES if data.startswith(magic)), None)


def _image(found: Content, media: str, target: str) -> Result:
    if len(found.data) > MAX_IMAGE_BYTES:
        raise TooLarge("read.image", f"{found.path} has {len(found.data)} bytes",
                       f"An image may have {MAX_IMAGE_BYTES}: make it smaller.")  # fmt: skip
    head = {"type": "text", "text": f"[{target}, {media}, {len(found.data)} bytes]"}
    data = base64.b64encode(found.data).decode()
    return Result((head, {"type": "image", "mimeType": media, "data": data}),
                  details={"source": target, "sha256": found.sha256})  # fmt: skip


def _text(found: Content) -> str:
    try:
        if b"\0" not in found.data:
            return found.data.decode()
    except UnicodeDecodeError:
        pass
    raise Invalid("workspace.text", f"{found.path} is no text (UTF-8), and no image",
                  "Use a command that reads such files.")  # fmt: skip


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Invalid("workspace.text", "the content is no Unicode", "Send plain text.") from None


def _written(after: Content, target: str, changed: bool) -> Result:
    what = "written" if changed else "it held exactly this already"
    return told(f"{target}: {what}, {len(after.data)} bytes, sha256 {after.sha256}",
                sha256=after.sha256)  # fmt: skip

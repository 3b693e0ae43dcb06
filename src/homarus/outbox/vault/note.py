"""A note as text: frontmatter, our region between two markers, and what people write. Pure.

    ---
    hm_id: "..."                    ours: every key with `hm_`; a person's keys stay as they are
    ---
    %% homarus:begin %%
    # Title ...                     ours
    %% homarus:end %%
    whatever people write           theirs, byte for byte; so is text before the region

`hm_hash` says what ours was when it was written, so an edit is seen whatever else is known: values
count as parsed, because Obsidian writes properties anew in its own form; links by what they show,
because a rename rewrites where they lead. See mirrors contract, 6.1 and 6.3.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import yaml

BEGIN: Final = "%% homarus:begin %%"
END: Final = "%% homarus:end %%"
ID: Final = "hm_id"
HASH: Final = "hm_hash"
NUMBER: Final = "hm_number"
TITLE: Final = "hm_title"
ALIASES: Final = "aliases"
PREFIX: Final = "hm_"

_MARKER: Final = re.compile(r"%% homarus:(begin|end) %%")
_KEY: Final = re.compile(r"""(?:"([^"\n]*)"|'([^'\n]*)'|([^\s#:"'\-\[\]{}][^:\n]*)):(?=\s|$)""")
_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")
_QUOTED: Final = re.compile(r""""(?:\\.|[^"\\])*"|'(?:[^']|'')*'""", re.S)
_LINK: Final = re.compile(r"\[\[[^\[\]|]*\|([^\[\]|]*)\]\]")
_FENCE: Final = re.compile(r" {0,3}(```+|~~~+)")

_LOADER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_DUMPER_BASE: Final[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_NO_WIDTH: Final = 2**31 - 1


class Moment(str):
    """A text that YAML shall read as a date or date-time."""


class _Plain(str):
    """A key of ours."""


class _Dumper(_DUMPER_BASE):  # type: ignore[misc]
    """Strings in double quotes, whatever they hold: a YAML 1.1 reader makes `no`, `012`, `[[x]]` of
    bare ones what they are not."""


def _quoted(dumper: Any, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(value), style='"')


def _bare(dumper: Any, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(value), style="")


def _moment(dumper: Any, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:timestamp", str(value), style="")


_Dumper.add_representer(str, _quoted)
_Dumper.add_representer(_Plain, _bare)
_Dumper.add_representer(Moment, _moment)


class Entry(NamedTuple):
    """One key of the frontmatter with its lines as they stand; comments have the key ``."""

    key: str
    raw: str


class Note(NamedTuple):
    """`region` None: there is none, or its markers are damaged. Then all text is in `tail`."""

    front: tuple[Entry, ...]
    head: str
    region: str | None
    tail: str


class Ours(NamedTuple):
    """What of a note is ours: `values` without the hash, in order; `region` ends its last line."""

    values: Mapping[str, Any]
    region: str

    @property
    def digest(self) -> str:
        return _digest({key: _read(value) for key, value in self.values.items()}, self.region)


def text_of(content: bytes) -> str:
    """Whatever bytes people keep in a note come out of it as they were."""
    return content.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# -- reading -------------------------------------------------------------------------------


def parse(text: str) -> Note:
    """Any text is a note of some kind."""
    front, body = _split(text.removeprefix("\ufeff"))
    markers = [match[1] for match in _MARKER.finditer(body)]
    if markers != ["begin", "end"]:
        return Note(front, "", None, body)
    head, _, rest = body.partition(BEGIN)
    region, _, tail = rest.partition(END)
    return Note(front, head, region.replace("\r\n", "\n").removeprefix("\n"), tail)


def _split(text: str) -> tuple[tuple[Entry, ...], str]:
    """The entries of the frontmatter, and what follows it."""
    lines = _lines(text) if text.startswith("---") else []
    if not lines or lines[0].rstrip() != "---" or not lines[0].endswith("\n"):
        return (), text
    for number, line in enumerate(lines[1:], 1):
        if line.rstrip() == "---":
            return tuple(_entries(lines[1:number])), "".join(lines[number + 1 :])
    return (), text


def _lines(text: str) -> list[str]:
    """With their ends; `splitlines` knows more of them than YAML and Obsidian do."""
    return _LINE.findall(text)


def _entries(lines: list[str]) -> list[Entry]:
    found: list[Entry] = []
    for line in lines:
        match = _KEY.match(line)
        if match is not None:
            found.append(Entry(next(part for part in match.groups() if part is not None), line))
        elif line[:1] in " \t-" and line.strip() and found and found[-1].key:
            found[-1] = Entry(found[-1].key, found[-1].raw + line)
        else:
            found.append(Entry("", line))
    return found


def covers(text: str, old: Note) -> bool:
    """Whether all that is a person's of an older text is in this one."""
    return all(part.strip() in text for part in theirs(old))


def value_of(note: Note, key: str) -> Any:
    """Texts, lists and dictionaries of texts; None where the key is missing or unreadable."""
    return next((_parsed(entry) for entry in note.front if entry.key == key), None)


def _parsed(entry: Entry) -> Any:
    try:
        found = yaml.load(entry.raw, Loader=_LOADER)  # noqa: S506 - makes texts only
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return found.get(entry.key) if isinstance(found, dict) and len(found) == 1 else None


class Standing(NamedTuple):
    """`digest` of what is ours as it stands, None where it cannot be read; `hash`: as written."""

    digest: str | None
    hash: str | None

    @property
    def touched(self) -> bool:
        """Whether somebody changed what is ours since it was written."""
        return self.digest is None or self.digest != self.hash

    def is_as(self, digest: str) -> bool:
        return self.digest == digest == self.hash


def standing(note: Note, *, known: bool = False) -> Standing:
    """`known`: it is the very text that we wrote last, so nothing need be worked out."""
    if known:
        hash_ = value_of(note, HASH)
        return Standing(hash_, hash_)
    ours = [entry for entry in note.front if entry.key.startswith(PREFIX)]
    values = {entry.key: _parsed(entry) for entry in ours}
    hash_ = values.pop(HASH, None)
    readable = (
        note.region is not None
        and len({entry.key for entry in ours}) == len(ours)
        and None not in values.values()
        and not any(_has_comment(entry.raw) for entry in ours)
    )
    digest = _digest(values, note.region or "") if readable else None
    return Standing(digest, hash_ if isinstance(hash_, str) else None)


def theirs(note: Note) -> tuple[str, ...]:
    """What of a note is a person's."""
    title = value_of(note, TITLE)
    kept = (
        entry.raw
        for entry in note.front
        if not entry.key.startswith(PREFIX)
        and not (entry.key == ALIASES and _parsed(entry) == [title])
    )
    return (*kept, note.head, note.tail)


def _has_comment(raw: str) -> bool:
    return re.search(r"\s#", _QUOTED.sub("", raw)) is not None


def _digest(values: Mapping[str, Any], region: str) -> str:
    text = json.dumps([sorted(values.items()), region], ensure_ascii=False)
    return hashlib.sha256(_LINK.sub(r"[[\1]]", text).encode("utf-8", "replace")).hexdigest()[:32]


def _read(value: Any) -> Any:
    """A value of ours as `_parsed` will find it."""
    if isinstance(value, list):
        return [_read(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


# -- writing -------------------------------------------------------------------------------


def fresh(ours: Ours) -> str:
    """A new note."""
    aliases = {ALIASES: [str(ours.values[TITLE])]} if TITLE in ours.values else {}
    return _joined(_dumped(aliases | _stamped(ours)), "", ours.region, "\n")


def rewritten(note: Note, ours: Ours) -> str:
    """The note with ours anew. What is a person's stays: keys, comments, order, text."""
    new = {entry.key: entry.raw for entry in _entries(_lines(_dumped(_stamped(ours))))}
    title, new_title = value_of(note, TITLE), str(ours.values.get(TITLE, ""))
    front: list[str] = []
    place = 0
    for entry in note.front:
        if entry.key.startswith(PREFIX):
            front.append(new.pop(entry.key, ""))
            place = len(front)
        elif entry.key == ALIASES and title != new_title and _parsed(entry) == [title]:
            front.append(_dumped({ALIASES: [new_title]}))
        else:
            front.append(entry.raw)
    front.insert(place, "".join(new.values()))
    if note.region is None:
        kept = _MARKER.sub(r"%% homarus:\1 (copy) %%", note.tail)
        return _joined("".join(front), "", ours.region, f"\n{kept}" if kept else "\n")
    return _joined("".join(front), note.head, ours.region, note.tail)


def conflict_copy(text: str) -> str:
    """The text as it was found, without what makes it our note."""
    note = parse(text)
    if not note.front:
        return text
    _, body = _split(text.removeprefix("\ufeff"))
    kept = "".join(entry.raw for entry in note.front if entry.key not in (ID, HASH))
    return f"---\n{kept}---\n{body}"


def relinked(text: str, links: Mapping[str, str]) -> str:
    """An untouched note with links in place of numbers that are values of ours."""
    note = parse(text)
    if standing(note).touched or note.region is None:
        return text
    values: dict[str, Any] = {}
    front: list[Entry] = []
    for entry in note.front:
        value = _parsed(entry)
        if entry.key.startswith(PREFIX) and entry.key != HASH:
            before = value
            if entry.key in (ID, NUMBER, TITLE):
                pass
            elif isinstance(value, list):
                value = [links.get(item, item) for item in value]
            else:
                value = links.get(value, value)
            values[entry.key] = value
            if value != before:
                entry = Entry(entry.key, _dumped({entry.key: value}))
        front.append(entry)
    hash_ = _dumped({HASH: _digest(values, note.region)})
    raw = "".join(hash_ if entry.key == HASH else entry.raw for entry in front)
    return _joined(raw, note.head, note.region, note.tail)


def region_text(parts: list[str]) -> str:
    """Markdown that neither ends our region nor reaches beyond it."""
    text = "\n\n".join(part.strip("\n") for part in parts if part.strip())
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("%%", "%\\%")
    open_fence = ""
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if match is None:
            continue
        if not open_fence:
            open_fence = match[1]
        elif match[1].startswith(open_fence) and not line[match.end() :].strip():
            open_fence = ""
    return f"{text}\n{open_fence}\n" if open_fence else f"{text}\n"


def _stamped(ours: Ours) -> dict[str, Any]:
    return dict(ours.values) | {HASH: ours.digest}


def _dumped(values: Mapping[str, Any]) -> str:
    return str(
        yaml.dump(
            {_Plain(key): value for key, value in values.items()},
            Dumper=_Dumper, width=_NO_WIDTH, allow_unicode=True, sort_keys=False,
            default_flow_style=False,
        )
    )  # fmt: skip


def _joined(front: str, head: str, region: str, tail: str) -> str:
    return f"---\n{front}---\n{head}{BEGIN}\n{region}{END}{tail}"

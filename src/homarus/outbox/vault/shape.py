"""An entity as a note: which of its fields are properties, and which are text. Pure."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from homarus.outbox.port import Change
from homarus.outbox.vault import note, today

MAX_PROPERTY: Final = 300
"""Characters of a property; a longer text, or one of several lines, is a section of its own."""
TEXTS: Final = ("description", "body")
"""Fields that are the note's text, by their names in lower case."""
KIND: Final = "hm_kind"
_OWN: Final = frozenset((note.ID, KIND, note.NUMBER, note.TITLE, note.HASH))

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")
_REFERENCE: Final = re.compile(r"[TEW]-\d{1,15}")
_WORD: Final = re.compile(r"[^a-z0-9]+")
_BLANK: Final = re.compile(r"\s+")

Link = Callable[[str], str | None]


class Shape(NamedTuple):
    """`facts`: what `Today.md` needs; `refs`: numbers that it names, which are links where there is
    such a note."""

    title: str
    ours: note.Ours
    facts: dict[str, str]
    refs: tuple[str, ...]


def shape(change: Change, zone: ZoneInfo, link: Link) -> Shape:
    """`link(number)` is the link to a note of ours, None where there is none."""
    title = _BLANK.sub(" ", _titled(change.fields)).strip() or change.number
    values: dict[str, Any] = {
        note.ID: change.entity_id,
        KIND: change.entity_type,
        note.NUMBER: change.number,
        note.TITLE: title,
    }
    parts, sections = [f"# {title}"], []
    facts: dict[str, str] = {}
    refs: list[str] = []
    for name, given in change.fields.items():
        low = name.lower()
        value = _value(given, zone)
        if low in ("title", "number") or value in (None, "", []):
            continue
        if low in TEXTS:
            parts.append(str(value))
        elif isinstance(value, str) and ("\n" in value or len(value) > MAX_PROPERTY):
            sections.append(f"## {_BLANK.sub(' ', name).strip()}\n\n{value}")
        else:
            values[_key(name, values)] = _linked(value, link, refs)
        if low in today.FACTS and isinstance(value, str):
            facts[low] = str(value)
    ours = note.Ours(values, note.region_text(parts + sections))
    return Shape(title, ours, facts, tuple(dict.fromkeys(refs)))


def _titled(fields: Mapping[str, Any]) -> str:
    return next((str(value) for name, value in fields.items() if name.lower() == "title"), "")


def _key(name: str, taken: Mapping[str, Any]) -> str:
    """`Due date` -> `hm_due_date`: one name has one type in the whole vault, so ours are apart."""
    word = _WORD.sub("_", name.lower().removeprefix(note.PREFIX)).strip("_") or "field"
    key = note.PREFIX + word
    while key in taken or key in _OWN:
        key += "_"
    return key


def _value(value: Any, zone: ZoneInfo) -> Any:
    """As a property has it: a text, number, flag, moment or list of texts."""
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() else f"{value:g}"
    if isinstance(value, str) and _TIME.fullmatch(value):
        return _moment(value, zone)
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def _moment(text: str, zone: ZoneInfo) -> str:
    """Obsidian's date-times have no zone: as the vault's clock shows it."""
    try:
        at = datetime.fromisoformat(text.upper()).astimezone(zone)
    except (ValueError, OverflowError):
        return text
    return note.Moment(at.replace(tzinfo=None).isoformat(timespec="seconds"))


def _linked(value: Any, link: Link, refs: list[str]) -> Any:
    if isinstance(value, list):
        return [_linked(item, link, refs) for item in value]
    if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
        return value
    refs.append(value)
    return link(value) or value

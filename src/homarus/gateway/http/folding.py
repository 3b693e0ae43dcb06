"""A client's list of messages, to what is asked now and what went before. Pure.

What the last message of a person says, or the tool results at the very end, is the turn; what went
before becomes context in front of it (gateway contract, 14.1, 14.2).
"""

import json
from collections.abc import Sequence
from typing import Final

import msgspec

from homarus.base.errors import Invalid
from homarus.flows.answering import Brought
from homarus.gateway.http.content import Part, text_of, text_part

MAX_ITEMS: Final = 2_000
BEFORE: Final = "The conversation so far, as the client tells it:"
NOW: Final = "What follows is to be answered now."
ATTACHED: Final = "[an attachment]"


class Line(msgspec.Struct, frozen=True):
    """Something said. `role`: user or assistant."""

    role: str
    parts: tuple[Part, ...]


class Asked(msgspec.Struct, frozen=True):
    """A tool call that the client was given."""

    call: str
    name: str
    arguments: str


class Output(msgspec.Struct, frozen=True):
    """Its result."""

    call: str
    parts: tuple[Part, ...]


Item = Line | Asked | Output


class Folded(msgspec.Struct, frozen=True):
    """`text` stands for the turn in lists; `content`: parts of the message, `history` of what went
    before; both empty where results alone are the turn."""

    text: str
    content: tuple[Part, ...]
    history: tuple[Part, ...]
    results: tuple[Brought, ...]


def fold(items: Sequence[Item], missing: str, *, goes_on: bool = False) -> Folded:
    """`goes_on`: from a response, so that all of it is new and nothing is history.

    Raises `request.items`, `request.no_user_message` with the text `missing`."""
    if len(items) > MAX_ITEMS:
        raise Invalid("request.items", f"{len(items)} messages", f"At most {MAX_ITEMS}.")
    last = next((n for n in range(len(items) - 1, -1, -1) if _asks(items[n])), None)
    if last is None:
        raise Invalid("request.no_user_message", missing, "Say something in the role `user`.")
    tail = items[last]
    names = {item.call: item.name for item in items if isinstance(item, Asked)}
    if isinstance(tail, Line):
        now: Sequence[Item] = (tail,)
        text, content = text_of(tail.parts) or ATTACHED, tail.parts
    else:
        first = last
        while first > 0 and isinstance(items[first - 1], Output):
            first -= 1
        now = items[first : last + 1]
        text = f"Results of {', '.join(_name(item, names) for item in now)}"
        content = ()
    results = tuple(
        Brought(item.call, _name(item, names), item.parts, goes_on or _among(item, now))
        for item in items if isinstance(item, Output)
    )  # fmt: skip
    before = _said(items, now) if goes_on else _history(items, now, names)
    return Folded(text, content, before, results)


def _among(item: Item, some: Sequence[Item]) -> bool:
    return any(item is one for one in some)


def _asks(item: Item) -> bool:
    if isinstance(item, Line):
        return item.role == "user" and bool(text_of(item.parts).strip() or _attached(item))
    return isinstance(item, Output)


def _attached(item: Line) -> bool:
    return any(part["type"] != "text" or "source" in part for part in item.parts)


def _name(item: Item, names: dict[str, str]) -> str:
    return names.get(item.call, "tool") if isinstance(item, Output) else "tool"


def _said(items: Sequence[Item], now: Sequence[Item]) -> tuple[Part, ...]:
    """What else a person says in the same request; results of tools go their own way."""
    lines = [item for item in items if isinstance(item, Line) and not _among(item, now)]
    return tuple(part for line in lines if line.role == "user" for part in line.parts)


def _history(items: Sequence[Item], now: Sequence[Item], names: dict[str, str]) -> tuple[Part, ...]:
    """Lines as text; what tools and files said keeps its source."""
    told: list[Part] = []
    for item in items:
        if _among(item, now):
            continue
        match item:
            case Line(role=role, parts=parts):
                for part in parts:
                    plain = part["type"] == "text" and "source" not in part
                    told.append(text_part(f"{role}: {part['text']}") if plain else part)
            case Asked(call=call, name=name, arguments=arguments):
                told.append(text_part(f"assistant called {name} as {call}: {arguments}"))
            case Output(parts=parts):
                told += [part | {"source": _name(item, names)} for part in parts]
    if not told:
        return ()
    return _joined([text_part(BEFORE), *told, text_part(NOW)])


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Neighbouring texts of one source in one part."""
    found: list[Part] = []
    for part in parts:
        before = found[-1] if found else None
        if (
            before is not None
            and before["type"] == part["type"] == "text"
            and before.get("source") == part.get("source")
        ):
            found[-1] = before | {"text": f"{before['text']}\n\n{part['text']}"}
        else:
            found.append(part)
    return tuple(found)


def as_json(value: object) -> str:
    """Arguments of a call, as the text that they are on the wire."""
    return value if isinstance(value, str) else json.dumps(value)

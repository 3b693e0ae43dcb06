"""Session keys: which memory of an agent a message belongs to (gateway contract, 10.1). Pure.

    agent:ada:main                 the agent's own conversation, and direct talk by default
    agent:ada:telegram:group:7     a room
    agent:ada:…:thread:9           a thread of one of these

Always lower case. `main` alone, and `dm` for `direct`, are read as what they mean.
"""

import hashlib
import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from homarus.base.errors import Invalid

MAX_KEY: Final = 300
MAIN: Final = "main"
_AGENT: Final = "agent"
_ODD: Final = re.compile(r"[^a-z0-9_-]+")
_PART: Final = re.compile(r"[^\s:]{1,128}")
MAX_SLUG: Final = 64
MAX_PEER: Final = 48
"""Characters of a peer's or thread's id in a key; a longer one ends in its digest."""
_DIGEST: Final = 16
MAX_KNOWN: Final = 4_096
"""Keys whose one form is remembered: each row of a list is asked for the agent of its key."""


def slug(name: str) -> str:
    """An agent's or account's id in a key: `[a-z0-9][a-z0-9_-]{0,63}`; odd runs become `-`."""
    text = _ODD.sub("-", name.lower()).strip("-_")[:MAX_SLUG]
    return text or "agent"


def part(id_: str) -> str:
    """A peer's or thread's id as a part of a key. What would end a part or mean something there is
    written as in a URL, so that two ids are two parts, but for case: keys have none."""
    text = quote(id_.strip().lower(), safe="!#$&'()*+,/;=?@[]|~") or "%"
    text = "%64m" if text == "dm" else text
    if len(text) <= MAX_PEER:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{text[: MAX_PEER - _DIGEST - 1]}-{digest}"


def main_of(agent: str) -> str:
    """The key of an agent's own conversation; `agent` is its name."""
    return f"{_AGENT}:{slug(agent)}:{MAIN}"


def of(agent: str, *parts: str) -> str:
    """`of("Ada", "openresponses-user", "mia")`."""
    return parse(":".join((_AGENT, slug(agent), *parts)))


@lru_cache(MAX_KNOWN)
def parse(key: str) -> str:
    """A full key in its one form. Raises `session.key`."""
    parts = key.strip().lower().split(":")
    if len(parts) < 3 or parts[0] != _AGENT or len(key) > MAX_KEY:
        raise _unusable(key)
    if parts[1] != slug(parts[1]) or not all(_PART.fullmatch(part) for part in parts):
        raise _unusable(key)
    return ":".join("direct" if n > 1 and part == "dm" else part for n, part in enumerate(parts))


def unaliased(key: str, alias: str, own: str = MAIN) -> str:
    """A key as a client gave it, with `own` in the place of `main` and of the name that this
    daemon's settings give it besides (`session.mainKey`). What hangs on it hangs on `main`."""
    parts = key.split(":")
    at = 2 if parts[0].lower() == _AGENT else 0
    if len(parts) <= at or parts[at].strip().lower() not in (alias, MAIN):
        return key
    word = own if len(parts) == at + 1 else MAIN
    return ":".join((*parts[:at], word, *parts[at + 1 :]))


def resolve(key: str, agent: str) -> str:
    """What a person's or client's key means for an agent (its name): `main` and short forms too.

    Raises `session.key`, also for another agent's.
    """
    text = key.strip().lower()
    full = parse(text if text.startswith(f"{_AGENT}:") else f"{_AGENT}:{slug(agent)}:{text}")
    if full.split(":")[1] != slug(agent):
        raise Invalid(
            "session.key", f"{key[:80]!r} is another agent's session", "Name that agent instead."
        )
    return full


def agent_of(key: str) -> str:
    """The slug of the agent in a full key."""
    return parse(key).split(":")[1]


def _unusable(key: str) -> Invalid:
    return Invalid(
        "session.key",
        f"{key[:80]!r} is no session key",
        "It looks like agent:NAME:main, in parts of 1 to 128 characters without blanks.",
    )

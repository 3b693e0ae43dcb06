"""What in `homarus.json` is a secret: by the name of a value, by what it stands under, or as an
address with a password; in comments too, as what is commented out was a setting once.
"""

import re
from collections.abc import Iterator
from typing import Final

from homarus.config.read import in_clear
from homarus.config.text import Kind, Node

Path = tuple[str | int, ...]
Span = tuple[int, int]

_REFERENCE: Final = re.compile(r"\$\{[A-Z_][A-Z0-9_]*\}")
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ENDS: Final = re.compile(
    r"((token|password|passphrase|secret|credential|cookie)s?|passwd|authorization|webhookurl)$"
)
_KEY: Final = re.compile(
    r"(access|api|auth|bot|client|encrypt|encryption|master|private|secret|service|shared|sign"
    r"|signing)keys?"
)
_ALONE: Final = frozenset({"pass", "bearer"})
_NO_SECRET_KEY: Final = frozenset({
    "allowed", "cache", "config", "conversation", "dedupe", "foreign", "group", "hot",
    "idempotency", "label", "lane", "lookup", "main", "map", "modifier", "object", "order",
    "parent", "partition", "primary", "public", "required", "route", "routing", "row",
    "session", "shortcut", "skill", "sort", "thread", "unique",
})  # fmt: skip
"""`sessionKey` and the like name a thing; a key of any other name opens one."""
_COUNTED: Final = frozenset({
    "budget", "cached", "completion", "context", "floor", "input", "keep", "limit", "max",
    "min", "output", "prompt", "reasoning", "recent", "reserve", "thinking", "threshold",
    "total", "used",
})  # fmt: skip
"""`maxTokens` and the like are numbers of tokens."""
_HOLDERS: Final = frozenset({"env", "tokens", "passwords", "credentials", "cookies", "secrets"})
"""Objects whose values are secrets, whatever they are called."""


def is_secret(path: Path, value: str) -> bool:
    if not value or _REFERENCE.fullmatch(value):
        return False
    return _is_named(path) or in_clear(value)


def _is_named(path: Path) -> bool:
    names = [name for name in path if isinstance(name, str)]
    if not names:
        return False
    last = names[-1]
    return (
        names_secret(last)
        or last.lower() == "headers"
        or any(_holds(name, at) for at, name in enumerate(names[:-1]))
    )


def _holds(name: str, depth: int) -> bool:
    words = _words(name)
    plain = "".join(words)
    if plain == "secrets" and depth == 0:  # where secrets come from, not what they are
        return False
    return plain in _HOLDERS or plain.endswith("headers") or _is_key(words, "keys")


def names_secret(name: str) -> bool:
    """Whether what is called so is a secret."""
    words = _words(name)
    if words[-1:] and words[-1] in _ALONE:
        return True
    if _ENDS.search("".join(words)):
        return not _counts(words)
    return _is_key(words, "key") or _is_key(words, "keys")


def _counts(words: list[str]) -> bool:
    """`max_tokens`, `maxtokens`"""
    before = words[-2] if words[-1] == "tokens" and len(words) > 1 else words[-1][: -len("tokens")]
    return words[-1].endswith("tokens") and before in _COUNTED


def _is_key(words: list[str], ending: str) -> bool:
    if words[-1:] == [ending]:
        return len(words) == 1 or words[-2] not in _NO_SECRET_KEY
    plain = "".join(words)
    return plain.endswith(ending) and _KEY.fullmatch(plain) is not None


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]


# -- in comments -------------------------------------------------------------------------------

_TEXT: Final = r'"(?:[^"\\\n\r]|\\.)*"' r"|'(?:[^'\\\n\r]|\\.)*'"
_COMMENT: Final = re.compile(rf"{_TEXT}|(//[^\n\r\u2028\u2029]*|/\*.*?\*/)", re.DOTALL)
_PIECE: Final = re.compile(
    rf"(?P<name>{_TEXT}|[\w$][\w$.-]*)\s*:(?!//)|(?P<text>{_TEXT})|(?P<in>[{{\[])|(?P<out>[}}\]])"
    r"|(?P<comma>,)|(?P<word>[^\s,{}\[\]\"'/*](?:(?!\*/)[^\s,{}\[\]\"'])*)"
)
_PHRASE: Final = re.compile(r"[^\S\n\r]*((?:(?!\*/)[^\n\r,{}\[\]\"'])+)")
MIN_PHRASE: Final = 6
"""Characters behind the name of a secret, without quotes, that are taken for one."""


def comments(text: str) -> list[Span]:
    """Of a text that can be read."""
    return [found.span(1) for found in _COMMENT.finditer(text) if found[1] is not None]


def commented(text: str, root: Node) -> Iterator[Span]:
    """Secrets in comments, with their quotes. Comments with nothing between them are one."""
    runs: list[Span] = []
    for start, end in comments(text):
        if runs and not text[runs[-1][1] : start].strip():
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    for start, end in runs:
        yield from _in_run(text, start, end, _around(root, start))


def _in_run(text: str, at: int, end: int, around: Path) -> Iterator[Span]:
    """`around`: the path of what the comment stands in."""
    within: list[Path] = []
    path, here = around, around
    while (found := _PIECE.search(text, at, end)) is not None:
        at = found.end()
        kind = found.lastgroup
        if kind == "name":
            here = (*path, found["name"].strip("\"'"))
            phrase = _PHRASE.match(text, at, end)
            if phrase and len(phrase[1].strip()) >= MIN_PHRASE and is_secret(here, phrase[1]):
                at = phrase.end()
                yield phrase.span(1)
        elif kind == "text" or kind == "word":
            bare = found[0].strip("\"'")
            if is_secret(here, bare) if kind == "text" else in_clear(bare):
                yield found.span()
        elif kind == "in":
            within.append(path)
            path = here
        elif kind == "out" and within:
            path = here = within.pop()
        else:
            here = path


def _around(root: Node, at: int) -> Path:
    path: Path = ()
    node = root
    while True:
        below = _below(node, at)
        if below is None:
            return path
        path, node = (*path, below[0]), below[1]


def _below(node: Node, at: int) -> tuple[str | int, Node] | None:
    if node.kind is Kind.OBJECT:
        for name, member in node.value.items():
            if member.start <= at < member.node.end:
                return name, member.node
    elif node.kind is Kind.LIST:
        for n, item in enumerate(node.value):
            if item.start <= at < item.end:
                return n, item
    return None

"""What a note says about itself: its tags, and the titles it links to. Pure text, no rows.

A tag is `#word` in the text, or an entry of `tags` in the front matter (a YAML block between two
lines `---` at the start). A link is `[[title]]` or `[[title|shown words]]`. Neither counts inside
code. The text of a resource that is one JSON value is settings, not a note.
"""

import re
from typing import Any, Final

import msgspec
import yaml

MAX_TAGS: Final = 50
MAX_TAG: Final = 64
MAX_LINKS: Final = 200
MAX_TITLE: Final = 300
MAX_FRONT_CHARS: Final = 8_000

_FRONT: Final = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_CODE: Final = re.compile(r"^(```|~~~).*?(?:^\1|\Z)|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_TAG: Final = re.compile(rf"(?<![\w#&/\[(])#([^\W\d_][\w/-]{{0,{MAX_TAG - 1}}})")
_LINK: Final = re.compile(
    rf"\[\[([^\[\]|\n]{{1,{MAX_TITLE}}})(?:\|[^\[\]\n]{{0,{MAX_TITLE}}})?\]\]"
)
_TAG_WHOLE: Final = re.compile(rf"[^\W_][\w/-]{{0,{MAX_TAG - 1}}}")
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Facets(msgspec.Struct, frozen=True):
    """`tags` in lower case, sorted; `links` are titles as written, each once, in order."""

    tags: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


class Text(msgspec.Struct, frozen=True):
    """A note's text, read once: parsing half a megabyte takes longer than a unit may. By `read`."""

    text: str
    facets: Facets


def read(text: str) -> Text:
    return Text(text, facets(text))


def title_key(title: str) -> str:
    """What two spellings of one title share: case and runs of white space do not count."""
    return " ".join(title.split()).casefold()


def facets(text: str | None) -> Facets:
    """Tags and links of a text; the first MAX_TAGS and MAX_LINKS of them."""
    if not text or _is_json(text):
        return Facets()
    front = _FRONT.match(text)
    tags = [] if front is None else _front_tags(front[1])
    body = text if front is None else text[front.end() :]
    plain = _CODE.sub(" ", body) if "`" in body or "~~~" in body else body
    if "#" in plain:
        tags += [m[1].rstrip("/-").lower() for m in _TAG.finditer(plain)]
    links: dict[str, str] = {}
    if "[[" in plain:
        for match in _LINK.finditer(plain):
            title = " ".join(match[1].split())
            if title and len(links) < MAX_LINKS:
                links.setdefault(title_key(title), title)
    return Facets(
        tuple(sorted(dict.fromkeys(tags[: 20 * MAX_TAGS]))[:MAX_TAGS]), tuple(links.values())
    )


def _front_tags(block: str) -> list[str]:
    """`tags: [a, b]`, `tags: a, b` or one a line. A block that is no YAML has none."""
    if len(block) > MAX_FRONT_CHARS or "&" in block:
        return []  # too long to be read on every save, or an anchor that could unfold
    try:
        found = yaml.load(block, Loader=_LOADER)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    said = found.get("tags") if isinstance(found, dict) else None
    if isinstance(said, str):
        said = said.replace(",", " ").split()
    if not isinstance(said, list):
        return []
    words = (str(word).strip().lstrip("#").lower() for word in said[:MAX_TAGS] if word is not None)
    return [word for word in words if _TAG_WHOLE.fullmatch(word)]


def _is_json(text: str) -> bool:
    plain = text.strip()
    if not plain or plain[0] + plain[-1] not in ("{}", "[]"):
        return False
    try:
        msgspec.json.decode(plain)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False
    return True

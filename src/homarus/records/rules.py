"""Pure decisions about records: safe names, content types, the words that are allowed."""

import codecs
import re
from typing import Final
from urllib.parse import quote

from homarus.base.errors import Invalid

CLASSES: Final = (
    "source_document",
    "working_file",
    "proof",
    "deliverable",
    "template",
    "export_bundle",
)
IMPORTANCES: Final = ("operational", "record", "canonical", "temporary")
VISIBILITIES: Final = ("private", "company")
STATUSES: Final = ("open", "acknowledged", "resolved")
MAX_NAME_BYTES: Final = 255
MAX_TYPE: Final = 200
MAX_WORD: Final = 100

_TYPE: Final = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+"
    r"(\s*;\s*[A-Za-z0-9!#$&^_.+-]+=(\"[^\"\\\x00-\x1f\x7f]*\"|[A-Za-z0-9!#$&^_.+-]+))*"
)
_RESERVED: Final = re.compile(
    r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?|[a-z]:.*", re.I | re.S
)
"""Names that are a device or another drive where a client may save them (Windows)."""
_MISLEADING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of writing: `cod.exe` shown as `exe.doc`."""
_TEXTUAL: Final = re.compile(
    r"text/.*|application/(json|xml|yaml|x-yaml|toml|sql|javascript|x-ndjson|.*\+(json|xml|yaml))"
)
MAX_PREVIEW: Final = 2_000
MAX_SEARCH: Final = 1_500
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def name_of(text: str) -> str | None:
    """A name and nothing but a name, on any client's disk, without outer blanks; None: no name."""
    name = text.strip()
    bad = (
        not name
        or name in (".", "..")
        or not all(_plain(c) for c in name)
        or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES
        or _RESERVED.fullmatch(name)
    )
    return None if bad else name


def file_name(text: str) -> str:
    """See `name_of`. Raises `artifact.file_name`."""
    name = name_of(text)
    if name is None:
        raise Invalid(
            "artifact.file_name",
            f"{text[:60]!r} is not a plain file name",
            "Send a name without a path or control characters, that no system reserves, "
            f"1 to {MAX_NAME_BYTES} bytes.",
        )
    return name


def _plain(c: str) -> bool:
    code = ord(c)
    return not (
        c in "/\\" or code < 32 or code == 127 or 0xD800 <= code < 0xE000 or c in _MISLEADING
    )


def safe_name(text: str) -> str:
    """A name that `file_name` accepts, for a file that is there already, whatever it is called."""
    name = "".join(c if _plain(c) else "_" for c in text).strip()
    name = name.encode("utf-8", "replace")[: MAX_NAME_BYTES - 1].decode("utf-8", "ignore")
    return f"_{name}" if name in ("", ".", "..") or _RESERVED.fullmatch(name) else name


def content_type(text: str) -> str:
    """A media type, kept as it was given. Raises `artifact.content_type`."""
    value = text.strip()
    if len(value) > MAX_TYPE or not _TYPE.fullmatch(value):
        raise Invalid(
            "artifact.content_type",
            f"{text[:60]!r} is not a media type",
            "Send `type/subtype`, such as text/markdown.",
        )
    return value


def disposition(name: str) -> str:
    """`Content-Disposition` that always downloads and never shows (RFC 6266)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def checksum(text: str) -> str:
    """SHA-256 in lower-case hexadecimal, `sha256:` before it or not. Raises `artifact.checksum`."""
    value = text.strip().lower().removeprefix("sha256:")
    if not _SHA256.fullmatch(value):
        raise Invalid(
            "artifact.checksum", "the checksum is no SHA-256", "Send 64 hexadecimal digits."
        )
    return value


def word(text: str, field: str, noun: str = "artifact") -> str:
    """A short free word (`kind`, `severity`). Raises `artifact.<field>` or `incident.<field>`."""
    value = text.strip()
    if not 0 < len(value) <= MAX_WORD or not value.isprintable():
        raise Invalid(
            f"{noun}.{field}", f"{field} is missing or too long", f"1 to {MAX_WORD} characters."
        )
    return value


def one_of(value: str, allowed: tuple[str, ...], code: str) -> str:
    """Raises `code`, naming what is allowed."""
    if value not in allowed:
        raise Invalid(code, f"{value[:40]!r} is not allowed", f"One of {', '.join(allowed)}.")
    return value


def importance_of(artifact_class: str) -> str:
    """Deliverables and exports are records unless told otherwise (control-plane contract, 10)."""
    return "record" if artifact_class in ("deliverable", "export_bundle") else "operational"


def preview(content_type: str, head: bytes) -> str | None:
    """How a text begins, from the first bytes of the content; None: it is no text in UTF-8."""
    media = content_type.partition(";")[0].strip().lower()
    if not _TEXTUAL.fullmatch(media) or b"\0" in head:
        return None
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")("strict").decode(head)
    except UnicodeDecodeError:
        return None
    return text[:MAX_PREVIEW]


def search_text(*parts: str | None) -> str:
    """What `search` looks in: all that is there, in lower case."""
    return " ".join(part for part in parts if part).lower()[:MAX_SEARCH]


def containing(text: str) -> str:
    """A LIKE pattern for `escape '!'`: the text anywhere, in lower case."""
    literal = text.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{literal}%"

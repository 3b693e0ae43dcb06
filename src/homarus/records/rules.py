"""Pure decisions about records: safe names, content types, the words that are allowed."""

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
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def file_name(text: str) -> str:
    """A name and nothing but a name. Raises `artifact.file_name`."""
    name = text.strip()
    bad = (
        not name
        or name in (".", "..")
        or any(
            c in "/\\" or ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in name
        )
        or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES
    )
    if bad:
        raise Invalid(
            "artifact.file_name",
            f"{text[:60]!r} is not a plain file name",
            f"Send a name without a path or control characters, 1 to {MAX_NAME_BYTES} bytes.",
        )
    return name


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


def importance_of(given: str | None, artifact_class: str) -> str:
    """Deliverables and exports are records unless told otherwise (control-plane contract, 10)."""
    if given is not None:
        return one_of(given, IMPORTANCES, "artifact.importance")
    return "record" if artifact_class in ("deliverable", "export_bundle") else "operational"

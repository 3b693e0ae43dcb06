"""One-tap links: a signed answer to one approval, for whoever holds the link (docs/adr/0014).

A link names the approval, the answer, the operator's token that it acts for, and its end. It opens
a page; only the page's button decides, and only while the approval is open: so it works once.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode

import msgspec

from homarus.base.errors import Refused
from homarus.base.ids import is_uuid

DECISIONS: Final = ("approve", "reject")
PATH: Final = "/app/tap"
KeyOf = Callable[[str], bytes]
"""The key of a company, by its id."""


class Link(msgspec.Struct, frozen=True):
    """`company`, `approval`, `token`: ids; `expires_ms` exclusive."""

    company: str
    approval: str
    decision: str
    token: str
    expires_ms: int


def url(base: str, key: bytes, link: Link) -> str:
    """`base` without a trailing slash."""
    values = {
        "c": link.company,
        "a": link.approval,
        "d": link.decision,
        "t": link.token,
        "e": str(link.expires_ms),
        "s": _signature(key, link),
    }
    return f"{base}{PATH}?{urlencode(values)}"


def read(key_of: KeyOf, values: Mapping[str, str], now_ms: int) -> Link:
    """The link of a query or form. Raises `link.bad`, `link.over`."""
    ids = [values.get(name, "") for name in "cat"]
    end = values.get("e", "")
    good = all(map(is_uuid, ids)) and values.get("d") in DECISIONS
    if not (good and end.isascii() and end.isdecimal() and len(end) <= 15):
        raise bad()
    link = Link(ids[0], ids[1], values["d"], ids[2], int(end))
    given = values.get("s", "").encode("ascii", "replace")
    if not hmac.compare_digest(_signature(key_of(link.company), link).encode(), given):
        raise bad()
    if now_ms >= link.expires_ms:
        raise Refused(
            "link.over", "this link has ended", "Decide on the Desk: `homarus dashboard`.",
            rule="link",
        )  # fmt: skip
    return link


def _signature(key: bytes, link: Link) -> str:
    text = "\n".join((link.company, link.approval, link.decision, link.token, str(link.expires_ms)))
    return hmac.digest(key, text.encode(), hashlib.sha256).hex()


def bad() -> Refused:
    return Refused(
        "link.bad", "this is no link of ours, or it was changed",
        "Decide on the Desk: `homarus dashboard`.", rule="link",
    )  # fmt: skip


def sign_body(key: bytes, at_s: int, body: bytes) -> str:
    """The header that a webhook's receiver checks: HMAC-SHA-256 over `<seconds>.<body>`."""
    return "sha256=" + hmac.digest(key, f"{at_s}.".encode() + body, hashlib.sha256).hex()

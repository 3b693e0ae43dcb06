"""What comes in by a company's webhook: its signature, and the secret that makes it.

    X-Homarus-Signature: t=<Unix seconds>,v1=<HMAC-SHA-256 of "<t>.<body>", hexadecimal>

Several `v1` may be given, while a sender changes its secret. A time off by more than SKEW_S is
refused, so that what was recorded cannot be sent again later; within it, the message's id dedupes.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from homarus.base.action import Actor
from homarus.base.errors import Invalid, NotFound, Unauthenticated
from homarus.conversations import rules
from homarus.conversations.model import MAX_REF, Draft, SenderType
from homarus.store.port import Rx, Tx

HEADER: Final = "x-homarus-signature"
EVENT: Final = "message.created"
SKEW_S: Final = 300
MAX_HEADER: Final = 1_000
MAX_SIGNATURES: Final = 5
MAX_TIME: Final = 64
SECRET_CHARS: Final = (16, 200)

_TIME: Final = re.compile(r"[1-9][0-9]{0,11}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Inbound(msgspec.Struct, frozen=True):
    """A message from elsewhere. `id` dedupes within the company; `thread_id` counts where it is a
    thread of ours; `timestamp` is only kept."""

    id: str
    chat_id: str
    text: str
    thread_id: str | None = None
    from_user_id: str | None = None
    timestamp: str | int | float | None = None


class Delivery(msgspec.Struct, frozen=True):
    event: str
    message: Inbound


def check(secret: bytes, header: str | None, body: bytes, now_ms: int) -> None:
    """Raises `webhook.unsigned`, `webhook.stale`, `webhook.signature`."""
    if header is None:
        raise Unauthenticated(
            "webhook.unsigned",
            "this company takes signed messages only",
            "Send `X-Homarus-Signature: t=…,v1=…`.",
        )
    at_s, given = _parsed(header)
    if abs(now_ms - at_s * 1000) > SKEW_S * 1000:
        raise Unauthenticated(
            "webhook.stale",
            f"the signature's time is off by more than {SKEW_S} seconds",
            "Sign when you send, and set the sender's clock.",
        )
    wanted = signature(secret, at_s, body)
    if not any(hmac.compare_digest(wanted, one) for one in given):
        raise _wrong("the signature is not of this body and this company's secret")


def signature(secret: bytes, at_s: int, body: bytes) -> str:
    return hmac.digest(secret, f"{at_s}.".encode() + body, hashlib.sha256).hex()


def _parsed(header: str) -> tuple[int, list[str]]:
    if len(header) > MAX_HEADER:
        raise _wrong("the signature's header is too long")
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    given = [value for name, _, value in pairs if name == "v1"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]) or not _good(given):
        raise _wrong("the signature's header is malformed")
    return int(times[0]), given


def _good(given: Iterable[str]) -> bool:
    found = list(given)
    return 0 < len(found) <= MAX_SIGNATURES and all(map(_DIGEST.fullmatch, found))


def _wrong(message: str) -> Unauthenticated:
    return Unauthenticated("webhook.signature", message, "See docs/how-to/webhook.md.")


def draft(actor: Actor, message: Inbound) -> Draft:
    """A person's message, as relayed. Its own time and place are kept as metadata: what came late
    is new all the same, and moves no cursor. Raises `message.platform_id`."""
    if not 0 < len(message.id) <= MAX_REF:
        raise Invalid("message.platform_id", "unusable id", f"1 to {MAX_REF} characters.")
    who = rules.sender(actor, SenderType.HUMAN, message.from_user_id, SenderType.HUMAN)
    about: dict[str, Any] = {
        "chatId": message.chat_id[:MAX_REF],
        "threadId": None if message.thread_id is None else message.thread_id[:MAX_REF],
        "sentAt": None if message.timestamp is None else str(message.timestamp)[:MAX_TIME],
        "source": "webhook",
    }
    return Draft(
        sender=who,
        text=message.text,
        metadata=rules.metadata({k: v for k, v in about.items() if v is not None}, who),
        platform_message=message.id,
    )


# -- the secret ------------------------------------------------------------------------------


def purpose(company: str) -> bytes:
    """What a company's secret is sealed for."""
    return f"webhook:{company}".encode()


def sealed(rx: Rx, company: str) -> tuple[bytes, int] | None:
    """`(the sealed secret, when it was set)`; None: messages need no signature."""
    row = rx.one("select sealed, updated_ms from webhook_secret where company=?", (company,))
    return None if row is None else (bytes(row[0]), int(row[1]))


def set_secret(tx: Tx, secret: bytes) -> None:
    """`secret` is sealed. Emits `webhook_secret_set`."""
    tx.run(
        "insert into webhook_secret(company, sealed, by_actor, updated_ms) values(?,?,?,?) "
        "on conflict(company) do update set sealed=excluded.sealed, by_actor=excluded.by_actor, "
        "updated_ms=excluded.updated_ms",
        (tx.company, secret, tx.actor.key, tx.now_ms),
    )
    tx.emit("webhook_secret_set", tx.company)


def remove_secret(tx: Tx) -> None:
    """Raises `webhook.unset`. Emits `webhook_secret_removed`."""
    if not tx.run("delete from webhook_secret where company=?", (tx.company,)):
        raise NotFound("webhook.unset", "no secret is set", "Nothing to do.")
    tx.emit("webhook_secret_removed", tx.company)

"""Idempotency keys: from a header to the store's `Key` (control-plane contract, 3).

Identity of a stored reply: company, the company that the token is bound to, method, path below the
mount without trailing slash, key; and the token of an agent, operator or device, whose replies are
nobody else's. A company token shares its keys with the company's others, as the contract has it.
The same key with another body is another request, or 409 where the route says `strict`.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from homarus.base.errors import Invalid
from homarus.control_plane.auth import Caller
from homarus.conversations import turns
from homarus.store.port import Key, Reply, Tx

MAX_KEY: Final = 512
OWN_KEYS: Final = frozenset({"agent", "operator"})
"""Kinds of token that share their keys with no other. A device's token is of kind operator."""
Replay = Callable[[Tx, bytes], Reply | None] | Callable[..., Reply | None]


def key_text(headers: Mapping[bytes, bytes], keyed: str) -> bytes | None:
    """The header's value where it counts. Raises `idempotency.missing`, `idempotency.key`."""
    if keyed == "ignored":
        return None
    text = headers.get(b"idempotency-key")
    if not text:
        if keyed == "required":
            raise Invalid(
                "idempotency.missing",
                "this request needs an Idempotency-Key header",
                "Send any text of your own, a new one for each new request.",
            )
        return None
    if len(text) > MAX_KEY:
        raise Invalid(
            "idempotency.key", f"the key has more than {MAX_KEY} characters", "Send a shorter one."
        )
    return text


def turn_key(token: str, key: str) -> str:
    """The key of a turn: the caller's, apart from those of others. `token`: id of the caller's."""
    text = f"{token}:{key}"
    if len(text) <= turns.MAX_KEY:
        return text
    return f"{token}:{hashlib.sha256(key.encode()).hexdigest()}"


def key_of(
    text: bytes,
    caller: Caller,
    method: str,
    path: str,
    body: bytes,
    *,
    strict: bool = False,
    replay: Any = None,
) -> Key:
    """The key in use. `path` is canonical; `body` is hashed as it came."""
    own = caller.token.id if caller.token.kind in OWN_KEYS else ""
    parts = (caller.company, caller.token.company, own, f"{method} {path}")
    scope = "\0".join(parts).encode("utf-8", "surrogatepass") + b"\0" + text
    return Key(
        id=hashlib.sha256(scope).digest()[:16],
        body=hashlib.sha256(body).digest()[:8],
        strict=strict,
        replay=replay,
    )

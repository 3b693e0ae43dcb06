"""What clients send about resources, and what of it a unit may see.

`prepare` runs before the unit: secrets are sealed there, open fields are looked at for what belongs
into the sealed one, and a note's text is read for its tags and links.
"""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.base.redact import redact_tokens
from homarus.company import notes, secretlike
from homarus.company.notes import Text
from homarus.company.resources import MAX_CONFIG, ResourceChange
from homarus.control_plane.route import Call, Sealer

MAX_SECRET_BYTES: Final = 65_536


class ResourceBody(msgspec.Struct, rename="camel"):
    """What a client sets. `secretText` (alias `secretJson`) is kept sealed and given out by a lease
    only; null takes it away. `configJson` is an alias of `configText`. `exclusive`: lent to one at
    a time. A value in an open field that looks like a secret is refused, unless `allowSecretLike`
    says that it is none."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    resource_type: str | msgspec.UnsetType = msgspec.UNSET
    provider: str | msgspec.UnsetType = msgspec.UNSET
    scope_type: str | None = None
    scope_id: str | None = None
    agent_id: str | None = None
    project_id: str | None = None
    customer_id: str | None = None
    config_text: str | msgspec.UnsetType | None = msgspec.UNSET
    config_json: Any = msgspec.UNSET
    secret_text: str | msgspec.UnsetType | None = msgspec.UNSET
    secret_json: Any = msgspec.UNSET
    display_name: str | msgspec.UnsetType | None = msgspec.UNSET
    path: str | msgspec.UnsetType | None = msgspec.UNSET
    status: str | msgspec.UnsetType = msgspec.UNSET
    ownership: str | msgspec.UnsetType = msgspec.UNSET
    is_shared: bool | msgspec.UnsetType = msgspec.UNSET
    exclusive: bool | msgspec.UnsetType = msgspec.UNSET
    allow_secret_like: bool = False


class ReadyBody(msgspec.Struct, frozen=True):
    """A `ResourceBody` after `prepare`: its secret, if it had one, is unreadable from here on.

    `fields` keeps what names the scope.
    """

    fields: ResourceBody
    change: ResourceChange


def json_text(value: Any) -> Any:
    """Text as it is, other JSON as its text; UNSET and null as they are."""
    if value is None or value is msgspec.UNSET or isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def sealed(clear: Any, sealer: Sealer, about: bytes) -> bytes | msgspec.UnsetType | None:
    """A secret (text or JSON) sealed; null and "" are none. Raises `resource.secret` when it is too
    long."""
    clear = json_text(clear)
    if isinstance(clear, msgspec.UnsetType):
        return clear
    if clear is None or clear == "":
        return None
    raw = str(clear).encode("utf-8", "surrogatepass")
    if len(raw) > MAX_SECRET_BYTES:
        raise Invalid(
            "resource.secret", "the secret is too long", f"At most {MAX_SECRET_BYTES} bytes."
        )
    return sealer.seal(raw, about)


def about(company: str) -> bytes:
    """What a resource's secret is sealed for: it opens in its own company only."""
    return f"resource:{company}".encode()


def prepare(call: Call[ResourceBody], sealer: Sealer) -> Call[ReadyBody]:
    """Raises `resource.secret`, `resource.secret_like`."""
    body = call.body
    secret = sealed(
        body.secret_json if body.secret_text is msgspec.UNSET else body.secret_text,
        sealer,
        about(call.company),
    )
    body.secret_text = body.secret_json = msgspec.UNSET
    config = body.config_text
    if config is msgspec.UNSET:
        config = json_text(body.config_json)
    texts = {
        "configText": config,
        "name": body.name,
        "displayName": body.display_name,
        "path": body.path,
        "provider": body.provider,
        "resourceType": body.resource_type,
    }
    check(texts, allow=body.allow_secret_like, right="secretText")
    body.config_text = body.config_json = msgspec.UNSET
    change = ResourceChange(
        provider=body.provider,
        type=body.resource_type,
        name=_plain(body.name),
        display_name=_plain(body.display_name),
        path=_plain(body.path),
        config=read(config),
        secret_sealed=secret,
        status=body.status,
        is_shared=body.is_shared,
        is_exclusive=body.exclusive,
        ownership=body.ownership,
    )
    return ready(call, ReadyBody(body, change))


def check(texts: dict[str, Any], *, allow: bool, right: str) -> None:
    """Raises `resource.secret_like`."""
    if not allow:
        given = {name: text for name, text in texts.items() if isinstance(text, str)}
        secretlike.refuse({name: text[: MAX_CONFIG + 1] for name, text in given.items()}, right)


def _plain(text: Any) -> Any:
    """Our own access tokens are blanked whatever the writer says: no text has a use for them."""
    return redact_tokens(text) if isinstance(text, str) else text


def read(config: Any) -> Text | msgspec.UnsetType | None:
    """A text with its tags and links; one that is too long is left for the unit to refuse."""
    if not isinstance(config, str):
        unset: msgspec.UnsetType | None = config
        return unset
    plain = redact_tokens(config)
    return notes.read(plain) if len(plain) <= MAX_CONFIG else Text(plain, notes.Facets())


def ready(call: Call[Any], body: Any) -> Call[Any]:
    """The call with another body, and without the bytes that it came in."""
    return msgspec.structs.replace(call, body=body, raw=b"")

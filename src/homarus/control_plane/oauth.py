"""OAuth 2.1 over HTTP: discovery, registration, the way to the consent page, tokens.

    /.well-known/oauth-authorization-server                RFC 8414
    /.well-known/oauth-protected-resource[/mcp]            RFC 9728
    POST /api/oauth/register                               RFC 7591
    GET  /authorize -> /app/authorize             the dashboard asks a person (`web/consent.py`)
    POST /api/oauth/token                                  RFC 6749, 4.1.3

Nobody is known here, so what can be refused without the door is: only a sound registration and a
code that exists reach a unit. Errors have the RFC's form. No answer may be cached or read by
another site's pages: there is no CORS.
"""

from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import Any, Final
from urllib.parse import parse_qsl, quote

import msgspec
import structlog

from homarus.base.action import Action
from homarus.base.errors import (
    HomarusError,
    Invalid,
    Refused,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from homarus.control_plane import parse
from homarus.control_plane.answers import Receive, Scope, Send, error_headers, status_of, unforeseen
from homarus.control_plane.edge import WrongMethod, base_url
from homarus.kernel import oauth
from homarus.kernel import oauth_rules as rules
from homarus.kernel.oauth import Client, Exchange
from homarus.kernel.tokens import SCOPES, Token
from homarus.store.port import Store

log = structlog.get_logger("oauth")

SERVER: Final = "/.well-known/oauth-authorization-server"
RESOURCE: Final = "/.well-known/oauth-protected-resource"
REGISTER: Final = "/api/oauth/register"
AUTHORIZE: Final = "/authorize"
TOKEN: Final = "/api/oauth/token"  # noqa: S105 - a path
CONSENT: Final = "/app/authorize"
WORKER: Final = "oauth"
GRANT_TYPE: Final = "authorization_code"
MAX_BODY_BYTES: Final = 16_384
MAX_QUERY_BYTES: Final = 8_192
MAX_FIELDS: Final = 30

App = Callable[[Scope, Receive, Send], Awaitable[None]]
_Answer = tuple[int, bytes, bytes, list[tuple[bytes, bytes]]]
_JSON: Final = b"application/json"
_encode = msgspec.json.Encoder().encode
_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"pragma", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
)


class OAuth:
    """The application of `paths()`. `public_url`: the daemon's address as people call it; "": as
    the request says."""

    def __init__(self, store: Store, public_url: str = "") -> None:
        self._store = store
        self._public_url = public_url.rstrip("/")
        self._answers: Final[dict[str, tuple[str, Callable[..., Awaitable[_Answer]]]]] = {
            SERVER: ("GET", self._server),
            RESOURCE: ("GET", self._resource),
            RESOURCE + "/mcp": ("GET", self._resource),
            REGISTER: ("POST", self._register),
            AUTHORIZE: ("GET", self._authorize),
            TOKEN: ("POST", self._token),
        }

    def paths(self) -> tuple[str, ...]:
        return tuple(self._answers)

    def base(self, scope: Scope) -> str:
        """This daemon's address, and the issuer (RFC 8414): no path, no trailing slash."""
        return self._public_url or base_url(scope, dict(scope["headers"]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, answer = self._answers[scope["path"]]
        try:
            if scope["method"] not in (method, "HEAD" if method == "GET" else method):
                raise WrongMethod("route.method", "not offered here", f"Offered: {method}.")
            made = await answer(scope, receive)
        except HomarusError as error:
            made = failed(error)
            if isinstance(error, WrongMethod):
                made[3].append((b"allow", method.encode()))
        except Exception as error:  # this supervises requests
            log.error("request_failed", path=scope["path"], exc_info=error)
            made = failed(unforeseen())
        status, kind, body, more = made
        headers = [
            (b"content-type", kind), (b"content-length", b"%d" % len(body)), *_HEADERS, *more,
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _server(self, scope: Scope, receive: Receive) -> _Answer:
        base = self.base(scope)
        return _json(
            {
                "issuer": base,
                "authorization_endpoint": base + AUTHORIZE,
                "token_endpoint": base + TOKEN,
                "registration_endpoint": base + REGISTER,
                "scopes_supported": SCOPES,
                "response_types_supported": ("code",),
                "response_modes_supported": ("query",),
                "grant_types_supported": (GRANT_TYPE,),
                "token_endpoint_auth_methods_supported": ("none",),
                "code_challenge_methods_supported": ("S256",),
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _resource(self, scope: Scope, receive: Receive) -> _Answer:
        base = self.base(scope)
        return _json(
            {
                "resource": base + str(scope["path"]).removeprefix(RESOURCE),
                "authorization_servers": (base,),
                "scopes_supported": SCOPES,
                "bearer_methods_supported": ("header",),
                "resource_name": "Homarus",
            }
        )

    async def _register(self, scope: Scope, receive: Receive) -> _Answer:
        raw = await _body(scope, receive, b"application/json")
        try:
            document = msgspec.json.decode(raw) if not parse.too_deep(raw) else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise rules.invalid("invalid_client_metadata", f"no JSON: {error}"[:200]) from None
        new = rules.new_client(document)
        if not await self._store.read(oauth.has_room):
            raise oauth.no_room()
        action = Action("", "oauth.register", "oauth:client", system=WORKER)
        row = await self._store.write(action, oauth.register, new)
        return _json(client_shape(row), 201)

    async def _authorize(self, scope: Scope, receive: Receive) -> _Answer:
        """One hop by a page of ours: the dashboard's cookie is `SameSite=Strict`, and no browser
        sends it along when another site's page led here."""
        query: bytes = scope["query_string"]
        if len(query) > MAX_QUERY_BYTES:
            raise rules.invalid("invalid_request", f"more than {MAX_QUERY_BYTES} bytes of query")
        there = escape(f"{CONSENT}?{query.decode('latin-1')}", quote=True)
        page = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="refresh" content="0;url={there}"><title>Homarus</title></head>'
            f'<body><p><a href="{there}">Continue to Homarus</a></p></body></html>'
        )
        return 200, b"text/html; charset=utf-8", page.encode(), []

    async def _token(self, scope: Scope, receive: Receive) -> _Answer:
        raw = await _body(scope, receive, b"application/x-www-form-urlencoded")
        values = form(raw)
        if values.get("grant_type") != GRANT_TYPE:
            raise rules.invalid("unsupported_grant_type", f"grant_type is `{GRANT_TYPE}`")
        for name in ("code", "redirect_uri", "code_verifier"):
            if name not in values:
                raise rules.invalid("invalid_request", f"{name} is missing")
        named = values.get("client_id", "")
        if await self._store.read(oauth.client, named) is None:
            raise Unauthenticated("oauth.invalid_client", "client_id names no registered program")
        given = Exchange(
            values["code"],
            named,
            values["redirect_uri"],
            values["code_verifier"],
            rules.resource_of(values.get("resource"), self.base(scope)),
        )
        company = await self._store.read(oauth.company_of, given.code)
        made: tuple[Token, str] | None = None
        if company is not None:
            action = Action(company, "oauth.token", "oauth:code", system=WORKER)
            made = await self._store.write(action, oauth.exchange, given)
        if made is None:
            raise rules.invalid(
                "invalid_grant", "the code is unknown, over, used, or of somebody else"
            )
        return _json(token_shape(*made))


def client_shape(row: Client) -> dict[str, Any]:
    """What was registered (RFC 7591, 3.2.1): public clients, one grant."""
    shape = {
        "client_id": row.id,
        "client_id_issued_at": row.created_ms // 1000,
        "client_name": row.name,
        "redirect_uris": row.redirects,
        "grant_types": (GRANT_TYPE,),
        "response_types": ("code",),
        "token_endpoint_auth_method": "none",
        "scope": " ".join(SCOPES),
    }
    return shape if row.uri is None else shape | {"client_uri": row.uri}


def token_shape(row: Token, secret: str) -> dict[str, Any]:
    """RFC 6749, 5.1. `expires_in` in seconds."""
    shape: dict[str, Any] = {"access_token": secret, "token_type": "Bearer", "scope": row.scope}
    if row.expires_ms is not None:
        shape["expires_in"] = (row.expires_ms - row.created_ms) // 1000
    return shape


def challenge(base: str, path: str = "/mcp", error: str = "") -> tuple[bytes, bytes]:
    """The header of a 401 that tells a client where to ask for a token (RFC 9728, 5.1).

    `base`: this daemon's address as the caller reached it; `error` as in RFC 6750, 3.1, when a
    token was given.
    """
    where = quote(f"{base}{RESOURCE}{path}", safe=":/[]")
    value = f'Bearer realm="homarus", resource_metadata="{where}"'
    if error:
        value += f', error="{error}"'
    return b"www-authenticate", value.encode("latin-1", "replace")


def form(raw: bytes) -> dict[str, str]:
    """Raises `oauth.invalid_request`: too many fields, one of them twice, no UTF-8."""
    try:
        pairs = parse_qsl(
            raw.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError:
        raise rules.invalid("invalid_request", "the form cannot be read") from None
    if any("\0" in text for pair in pairs for text in pair):
        raise rules.invalid("invalid_request", "the form holds the character U+0000")
    return rules.single(pairs)


def failed(error: HomarusError) -> _Answer:
    """`{"error", "error_description"}` with the status that the RFCs want."""
    body = {
        "error": word_of(error),
        "error_description": f"{error.message}. {error.remedy}".strip(),
    }
    return status_of(error), _JSON, _encode(body), error_headers(error)


def word_of(error: HomarusError) -> str:
    """The error as RFC 6749 and 7591 call it."""
    if error.code.startswith("oauth."):
        return error.code.removeprefix("oauth.")
    match error:
        case Refused():
            return "access_denied"
        case Unavailable():
            return "temporarily_unavailable"
        case Invalid() | TooLarge() | WrongMethod():
            return "invalid_request"
        case _:
            return "server_error"


def _json(value: Mapping[str, Any], status: int = 200) -> _Answer:
    return status, _JSON, _encode(value), []


async def _body(scope: Scope, receive: Receive, kind: bytes) -> bytes:
    """A page of another site can post a form or plain text unasked, but no other content type."""
    headers = dict(scope["headers"])
    if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != kind:
        raise rules.invalid("invalid_request", f"Content-Type is {kind.decode()}")
    raw = await parse.read_body(receive, headers)
    if len(raw) > MAX_BODY_BYTES:
        raise TooLarge("request.body_too_large", f"the body has more than {MAX_BODY_BYTES} bytes")
    return raw

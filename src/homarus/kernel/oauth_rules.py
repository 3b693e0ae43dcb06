"""What an OAuth request may look like: pure checks (control-plane contract, 2).

OAuth 2.1 with PKCE for public clients: RFC 6749 (errors), 7636 (S256 alone), 7591 (registration),
8252 (programs on the same machine), 8707 (`resource`), 9700 (what has gone wrong elsewhere).

A code `oauth.WORD` is the RFC's error `WORD`; the surface strips the prefix.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from homarus.base.errors import Invalid
from homarus.kernel.tokens import SCOPES

MAX_REDIRECTS: Final = 10
MAX_URI: Final = 2_000
MAX_STATE: Final = 2_000
MAX_NAME: Final = 100
UNNAMED: Final = "unnamed program"
RESOURCES: Final = ("", "/mcp", "/api/mcp")
"""Paths of this daemon that a token may be asked for (RFC 8707); it is the same token for all."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_URI: Final = re.compile(r"[!-~]+")
_UNSAFE: Final = frozenset("\"'<>\\^`{|}*")
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class NewClient(msgspec.Struct, frozen=True):
    """What a program registers. `redirects`: where a person's browser may be sent with a code."""

    name: str
    redirects: tuple[str, ...]
    uri: str | None = None


class Ask(msgspec.Struct, frozen=True):
    """A checked authorization request. `scope`: the most that is asked for."""

    client: str
    redirect: str
    challenge: str
    scope: str
    state: str | None = None
    resource: str | None = None


def single(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A name twice is an error (RFC 6749, 3.1); an empty value counts as left out."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise invalid("invalid_request", f"{name[:40]!r} is given twice")
        values[name] = value
    return {name: value for name, value in values.items() if value}


def new_client(document: Any) -> NewClient:
    """RFC 7591. What is unknown is ignored; what cannot be had is left out of the answer.

    Raises `oauth.invalid_client_metadata`, `oauth.invalid_redirect_uri`.
    """
    if not isinstance(document, dict):
        raise invalid("invalid_client_metadata", "the body is no JSON object")
    redirects = document.get("redirect_uris")
    if not isinstance(redirects, list) or not 0 < len(redirects) <= MAX_REDIRECTS:
        raise invalid("invalid_redirect_uri", f"redirect_uris lists 1 to {MAX_REDIRECTS} URIs")
    for redirect in redirects:
        check_redirect(redirect)
    for field, ours in (("grant_types", "authorization_code"), ("response_types", "code")):
        wanted = document.get(field)
        if wanted is not None and (not isinstance(wanted, list) or ours not in wanted):
            raise invalid("invalid_client_metadata", f"{field} must contain {ours!r}")
    name = document.get("client_name")
    if name is not None and (not isinstance(name, str) or len(name) > MAX_NAME):
        raise invalid("invalid_client_metadata", f"client_name has at most {MAX_NAME} characters")
    return NewClient((name or "").strip() or UNNAMED, tuple(dict.fromkeys(redirects)),
                     _client_uri(document.get("client_uri")))  # fmt: skip


def _client_uri(uri: Any) -> str | None:
    """Where people read about the program; anything but a plain HTTPS address is left out."""
    try:
        check_redirect(uri)
    except Invalid:
        return None
    return str(uri) if str(uri).startswith("https://") else None


def check_redirect(uri: Any) -> None:
    """HTTPS, or HTTP to this machine (RFC 8252, 7.3). Raises `oauth.invalid_redirect_uri`."""
    problem = _redirect_problem(uri)
    if problem is not None:
        raise invalid("invalid_redirect_uri", f"a redirect URI {problem}")


def _redirect_problem(uri: Any) -> str | None:
    if not isinstance(uri, str) or not 0 < len(uri) <= MAX_URI or not _URI.fullmatch(uri):
        return f"is 1 to {MAX_URI} printable ASCII characters without blanks"
    if _UNSAFE.intersection(uri):
        return "contains characters that no URI contains, or a wildcard"
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is malformed"
    if not host or "#" in uri or "@" in parts.netloc:
        return "names a host, no user and no fragment"
    if host not in _LOOPBACK and not _HOST.fullmatch(host):
        return "names no host that exists"
    if parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK):
        return None
    return "is `https://…`, or `http://` to localhost, 127.0.0.1 or [::1]"


def is_loopback(uri: str) -> bool:
    """Of a checked redirect URI: whether it is a program on the browser's own machine."""
    return urlsplit(uri).hostname in _LOOPBACK


def may_redirect(registered: Iterable[str], uri: str) -> bool:
    """Character by character; of HTTP to this machine the port is free, as such programs take
    whichever is (RFC 8252, 7.3)."""
    if uri in registered:
        return True
    if _redirect_problem(uri) is not None:
        return False
    wanted = _portless(uri)
    return wanted is not None and any(_portless(known) == wanted for known in registered)


def _portless(uri: str) -> tuple[str | None, str] | None:
    """Host, and all that follows the authority; None: the port of such a URI is not free."""
    parts = urlsplit(uri)
    if parts.scheme != "http":
        return None
    return parts.hostname, uri.partition("://")[2].removeprefix(parts.netloc)


def ask(values: Mapping[str, str], base: str) -> Ask:
    """The rest of a request whose client and redirect URI are known to be right.

    Raises `oauth.unsupported_response_type`, `oauth.invalid_request`, `oauth.invalid_scope`,
    `oauth.invalid_target`.
    """
    if values.get("response_type") != "code":
        raise invalid("unsupported_response_type", "response_type is `code`")
    if values.get("response_mode", "query") != "query":
        raise invalid("invalid_request", "response_mode is `query`")
    if values.get("code_challenge_method") != "S256":
        raise invalid("invalid_request", "PKCE is needed: code_challenge_method is `S256`")
    challenge = values.get("code_challenge", "")
    if not _CHALLENGE.fullmatch(challenge):
        raise invalid("invalid_request", "code_challenge is 43 characters of base64url")
    state = values.get("state")
    if state is not None and (len(state) > MAX_STATE or not state.isprintable()):
        raise invalid("invalid_request", f"state has at most {MAX_STATE} printable characters")
    return Ask(
        client=values["client_id"],
        redirect=values["redirect_uri"],
        challenge=challenge,
        scope=scope_of(values.get("scope")),
        state=state,
        resource=resource_of(values.get("resource"), base),
    )


def scope_of(text: str | None) -> str:
    """The widest of the scopes named; `mcp_full` where none is. Raises `oauth.invalid_scope`."""
    words = (text or SCOPES[0]).split()
    if not words or not set(words) <= set(SCOPES):
        raise invalid("invalid_scope", f"scope is one of {', '.join(SCOPES)}")
    return max(words, key=SCOPES.index)


def narrowed(asked: str, chosen: str) -> str:
    """What the person grants of it, never more. Raises `oauth.invalid_scope`."""
    if chosen not in SCOPES or SCOPES.index(chosen) > SCOPES.index(asked):
        raise invalid("invalid_scope", "more was chosen than the program asked for")
    return chosen


def resource_of(resource: str | None, base: str) -> str | None:
    """Raises `oauth.invalid_target` for what is not at this daemon."""
    if resource is None:
        return None
    found = resource.rstrip("/")
    if found not in {base + path for path in RESOURCES}:
        raise invalid("invalid_target", f"resource is {base}/mcp")
    return found


def proves(verifier: str, challenge: str) -> bool:
    """RFC 7636, 4.6, method S256."""
    if not _VERIFIER.fullmatch(verifier):
        return False
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    made = base64.urlsafe_b64encode(digest).rstrip(b"=")
    return hmac.compare_digest(made, challenge.encode("ascii", "replace"))


def invalid(word: str, message: str) -> Invalid:
    return Invalid(f"oauth.{word}", message, "See docs/how-to/oauth.md for what is accepted.")

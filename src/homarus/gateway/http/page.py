"""The control page of OpenClaw, from a folder of its package that the operator names: `/control`.

    /control/control-ui-config.json      what the page asks first, with a token
    /control/<file of the folder>        as it lies there
    /control/<anything else>             index.html: the page finds its own way from the address

The folder is the operator's; nothing of it is ours. It holds no secret, so anybody may read it;
the page asks for the gateway's secret itself. Files are opened below the folder only, whatever a
link in it points to.
"""

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus import __version__
from homarus.base.errors import HomarusError, NotFound, Unavailable
from homarus.control_plane.answers import Receive, Scope, Send, send_error, send_reply
from homarus.control_plane.auth import Door
from homarus.control_plane.socket import headers_of
from homarus.store.port import Reply

HOME: Final = "/control"
INDEX: Final = "index.html"
CONFIG: Final = f"{HOME}/control-ui-config.json"
MAX_FILE_BYTES: Final = 32 * 1024 * 1024
MAX_PATH: Final = 1_000
TYPES: Final = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8", ".json": "application/json; charset=utf-8",
    ".map": "application/json; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png",
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
    ".ico": "image/x-icon", ".txt": "text/plain; charset=utf-8", ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json; charset=utf-8", ".woff2": "font/woff2",
}  # fmt: skip
_BASE: Final = "data-openclaw-control-ui-base-path"
_LINK: Final = re.compile(r'\b(href|src)="\./')
_SCRIPT: Final = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_encode = msgspec.json.Encoder().encode


class Page:
    """`root()`: the folder, "" for none. An ASGI application, for HTTP."""

    def __init__(self, door: Door, root: Callable[[], str]) -> None:
        self._door = door
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _ = receive
        path: str = scope["path"]
        try:
            if scope["method"] not in ("GET", "HEAD") or not self._root():
                raise _nothing(path)
            if path == CONFIG:
                await self._door.token(headers_of(scope))
                await send_reply(send, Reply(status=200, body=_encode(facts())))
                return
            kind, body, policy = await asyncio.to_thread(found, Path(self._root()), path)
        except HomarusError as error:
            await send_error(send, error)
            return
        await _send(send, kind, body, policy, whole=scope["method"] == "GET")

    async def home(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`/`: there, if there is a page."""
        _ = receive
        if not self._root():
            await send_error(send, _nothing(scope["path"]))
            return
        headers = [(b"location", f"{HOME}/".encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def facts() -> dict[str, Any]:
    """What the page is told before it connects: it may embed nothing of others."""
    return {
        "basePath": HOME, "serverVersion": __version__, "assistantName": "Homarus",
        "assistantAvatar": None, "embedSandbox": "strict", "allowExternalEmbedUrls": False,
        "automaticallyFetchFavicons": False, "communityInvite": False, "terminalEnabled": False,
        "cliAgentsEnabled": False, "pluginAssetsRequireAuth": True, "pluginFrameGrants": [],
    }  # fmt: skip


def found(root: Path, path: str) -> tuple[str, bytes, str]:
    """`(content type, body, security policy)` of what is asked for. Raises HomarusError."""
    name = path.removeprefix(HOME).lstrip("/")[:MAX_PATH]
    kind = TYPES.get(Path(name).suffix.lower())
    if kind is None or name == INDEX:
        body = _index(_read(root, INDEX).decode("utf-8", "replace"))
        return TYPES[".html"], body.encode(), policy_of(body)
    return kind, _read(root, name), policy_of("")


def _read(root: Path, name: str) -> bytes:
    try:
        base = root.expanduser().resolve(strict=True)
        place = (base / name).resolve(strict=True)
        if not place.is_relative_to(base) or not place.is_file():
            raise _nothing(f"{HOME}/{name}")
        with place.open("rb") as file:
            body = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError):
        if name != INDEX:
            raise _nothing(f"{HOME}/{name}") from None
        raise Unavailable(
            "control.page", f"there is no page in {str(root)!r}",
            "Set `gateway.controlUi.root` to the folder `dist/control-ui` of the npm package "
            "`openclaw`.",
        ) from None  # fmt: skip
    if len(body) > MAX_FILE_BYTES:
        raise _nothing(f"{HOME}/{name}")
    return body


def _index(text: str) -> str:
    """The page with addresses that hold at any depth, and told where it lies."""
    text = _LINK.sub(rf'\1="{HOME}/', text)
    return text.replace("<html", f'<html {_BASE}="{HOME}"', 1)


def policy_of(page: str) -> str:
    """Only what lies here may run, and the scripts that stand in the page itself."""
    inline = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in _SCRIPT.findall(page)
    )
    return (
        f"default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; "
        f"script-src 'self' {inline}; style-src 'self' 'unsafe-inline'; worker-src 'self'; "
        f"img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self' ws: wss: "
        f"data:"
    )


async def _send(send: Send, kind: str, body: bytes, policy: str, *, whole: bool) -> None:
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-cache"),
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body if whole else b""})


def _nothing(path: str) -> NotFound:
    return NotFound("route.unknown", f"nothing is at {path[:200]!r}", "See /api/docs.")

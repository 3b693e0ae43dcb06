"""`/api/docs`: the routes as one plain page, rendered here; no script, nothing from elsewhere."""

from collections.abc import Iterable
from html import escape
from typing import Final

from homarus.control_plane.match import AnyRoute
from homarus.control_plane.route import MOUNTS

STYLE: Final = (
    b"body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    b"table{border-collapse:collapse;width:100%}"
    b"td,th{border-bottom:1px solid #8884;padding:.3rem .6rem;text-align:left;vertical-align:top}"
    b"code{font-family:ui-monospace,monospace}:root{color-scheme:light dark}"
)
_KEYS: Final = {"required": "required", "accepted": "yes", "ignored": ""}


def page(routes: Iterable[AnyRoute]) -> bytes:
    """The page as UTF-8 HTML; rows by path."""
    rows = "".join(map(_row, sorted(routes, key=lambda r: (r.path, r.method))))
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        "<title>Homarus API</title><link rel=stylesheet href=/api/docs.css></head><body>"
        "<h1>Homarus API</h1>"
        f"<p>All paths are below <code>{MOUNTS[1]}</code> and <code>{MOUNTS[0]}</code>. "
        "Send <code>Authorization: Bearer &lt;token&gt;</code>. "
        "Machine-readable: <a href=/api/openapi.json>openapi.json</a>. "
        f"Events: a WebSocket at <code>{MOUNTS[0]}/ws</code>.</p>"
        "<table><thead><tr><th>Method<th>Path<th>What it does<th>Capability"
        f"<th>Idempotency-Key</tr></thead><tbody>{rows}</tbody></table></body></html>"
    ).encode()


def _row(route: AnyRoute) -> str:
    key = _KEYS[route.keyed] if route.kind == "write" else ""
    return (
        f"<tr><td>{route.method}<td><code>{escape(route.path or '/')}</code>"
        f"<td>{escape(route.summary)}<td><code>{escape(route.capability)}</code><td>{key}</tr>"
    )

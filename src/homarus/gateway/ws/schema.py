"""The protocol as JSON Schema, made from the very types that decode it: `GET /api/gateway.json`."""

from typing import Any, Final

import msgspec

from homarus import __version__
from homarus.control_plane.answers import Receive, Scope, Send, send_error, send_text
from homarus.control_plane.edge import WrongMethod
from homarus.gateway.ws import frames
from homarus.gateway.ws.handshake import Connect
from homarus.gateway.ws.hub import EVENTS
from homarus.gateway.ws.method import Method

PATH: Final = "/api/gateway.json"


REQUEST: Final = {
    "type": "object",
    "properties": {
        "type": {"const": "req"},
        "id": {"type": "string", "minLength": 1, "maxLength": frames.MAX_ID},
        "method": {"type": "string", "minLength": 1, "maxLength": frames.MAX_METHOD},
        "params": {"type": ["object", "null"]},
        "traceparent": {"type": ["string", "null"], "maxLength": 128},
        "expectedProfileId": {"type": ["string", "null"], "maxLength": 128},
    },
    "required": ["type", "id", "method"],
    "additionalProperties": False,
}


def document(methods: dict[str, Method]) -> dict[str, Any]:
    """Frames, methods with their parameters, events; every schema of an object is closed."""
    rows: dict[str, Any] = {"connect": Connect}
    rows |= {row.name: row.params for row in methods.values()}
    kinds = list(dict.fromkeys(rows.values()))
    schemas, defs = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    of_kind = dict(zip(kinds, schemas, strict=True))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Homarus gateway protocol",
        "version": __version__,
        "protocol": frames.PROTOCOL,
        "request": REQUEST,
        "methods": {
            name: {"params": of_kind[kind]} | _about(methods.get(name))
            for name, kind in sorted(rows.items())
        },
        "events": EVENTS,
        "$defs": defs,
    }


def _about(row: Method | None) -> dict[str, Any]:
    if row is None:
        return {}
    return {"scope": row.scope, "description": row.about, "offered": row.advertised}


class Schema:
    """The ASGI application of PATH. The document is made when somebody first asks for it."""

    def __init__(self, methods: dict[str, Method]) -> None:
        self._methods = methods
        self._text = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            error = WrongMethod("route.method", "this is read", "Offered: GET.")
            await send_error(send, error, [(b"allow", b"GET")])
            return
        self._text = self._text or msgspec.json.encode(document(self._methods))
        await send_text(send, self._text, b"application/schema+json")

"""The daemon's settings, read (gateway contract, 8): a file that its user writes (design, 9)."""

import asyncio
import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from homarus import __version__
from homarus.base.clock import iso_ms
from homarus.base.errors import HomarusError
from homarus.base.redact import is_secret_key
from homarus.config import settings
from homarus.gateway.ws import frames
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Desk, Nothing, work
from homarus.kernel.scopes import READ
from homarus.store.port import Rx

REDACTED: Final = "__OPENCLAW_REDACTED__"
_TYPES: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
Doc = dict[str, Any]


class OfPath(Params):
    path: str


def _judged(rx: Rx) -> None:
    """Only whether it may be asked."""


async def get(desk: Desk, params: Nothing) -> Doc:
    _ = params
    await desk.read(_judged)
    desk.instance_only()
    return await asyncio.to_thread(shown, desk.hub.means.home)


def shown(home: Path) -> Doc:
    """The file, and what it comes to. A URL with a password in it is left out whole."""
    path = home / settings.FILE
    try:
        raw: str | None = path.read_bytes()[: settings.MAX_FILE_BYTES].decode("utf-8", "replace")
    except FileNotFoundError:
        raw = None
    issues: list[Doc] = []
    values: Doc = {}
    try:
        found = settings.load(home)
        values = {f.name: _safe(f.name, getattr(found, f.name))
                  for f in fields(settings.Settings) if f.name != "home"}  # fmt: skip
    except HomarusError as error:
        issues = [{"path": str(error.details.get("setting") or ""), "message": str(error)}]
    digest = hashlib.sha256((raw or "").encode()).hexdigest()
    if raw is not None and "://" in raw:
        raw = None if _has_password(raw) else raw
    return {
        "path": str(path), "exists": path.exists(), "raw": raw, "parsed": values,
        "sourceConfig": values, "resolved": values, "config": values, "runtimeConfig": values,
        "valid": not issues, "issues": issues, "warnings": [], "legacyIssues": [],
        "hash": digest, "configRevisionHash": digest, "appliedConfigHash": digest,
    }  # fmt: skip


def _has_password(text: str) -> bool:
    return any("@" in rest.split("/", 1)[0] for rest in text.split("://")[1:])


def _safe(name: str, value: Any) -> Any:
    if is_secret_key(name) or (isinstance(value, str) and "://" in value and _has_password(value)):
        return REDACTED
    return value


def schema_of() -> Doc:
    properties = {}
    hints = {}
    for order, row in enumerate(settings.rows()):
        if row.name == "home":
            continue
        kind = _TYPES.get(row.type, "string")
        properties[row.name] = {"type": kind, "description": row.text}
        hints[row.name] = {"label": row.name, "help": row.text, "order": order}
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"schema": schema, "uiHints": hints}


async def schema(desk: Desk, params: Nothing) -> Doc:
    _ = params
    await desk.read(_judged)
    return schema_of() | {"version": __version__, "generatedAt": iso_ms(desk.hub.now_ms())}


async def lookup(desk: Desk, params: OfPath) -> Doc:
    await desk.read(_judged)
    found = schema_of()
    one = found["schema"]["properties"].get(params.path)
    if one is None:
        raise Fault(frames.INVALID_REQUEST, f"config schema path not found: {params.path[:80]}")
    return {"path": params.path, "schema": one, "reloadKind": "restart",
            "hint": found["uiHints"][params.path], "hintPath": params.path,
            "children": []}  # fmt: skip


METHODS: Final = (
    work("config.get", READ, Nothing, get, "The settings, and the file they come from",
         "path, raw, config, valid, hash"),
    work("config.schema", READ, Nothing, schema, "What settings there are", "schema, uiHints"),
    work("config.schema.lookup", READ, OfPath, lookup, "One setting", "schema, reloadKind"),
)  # fmt: skip

"""The daemon's configuration, read (gateway contract, 8): a file of its user's (design, 9)."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any, Final

from homarus import __version__
from homarus.base.clock import iso_ms
from homarus.config import active, change, settings
from homarus.config.files import MAX_FILE_BYTES
from homarus.config.problem import Problem, Rejected
from homarus.config.read import read, shown
from homarus.config.schema import BY_PATH, FILE, HOT, KEYS, RESTART, json_schema
from homarus.gateway.ws import frames
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Desk, Nothing, work
from homarus.kernel.scopes import READ
from homarus.store.port import Rx

KINDS: Final = {HOT: "hot", RESTART: "restart"}
"""What a client calls how a key comes into force; `none`: only a restart by hand does it."""
Doc = dict[str, Any]


class OfPath(Params):
    path: str


def _judged(rx: Rx) -> None:
    """Only whether it may be asked."""


async def get(desk: Desk, params: Nothing) -> Doc:
    _ = params
    await desk.read(_judged)
    desk.instance_only()
    return await asyncio.to_thread(document, desk.hub.means.home)


def document(home: Path) -> Doc:
    """The file, and what it comes to; secrets are hidden (`config/change.py`)."""
    path = home / FILE
    try:
        raw: str | None = path.read_bytes()[:MAX_FILE_BYTES].decode("utf-8", "replace")
    except OSError:
        raw = None
    issues: list[Doc] = []
    values: Doc = {}
    try:
        found = read(settings.source(home)).settings
        for key in KEYS:
            _place(values, key.path, shown(key, getattr(found, key.field)))
    except Rejected as rejected:
        issues = [{"path": each.path, "message": each.line()} for each in rejected.problems]
    values = change.concealed(values)
    shown_raw, parsed = _file(raw)
    applied = active.read(home)
    digest = hashlib.sha256((raw or "").encode()).hexdigest()
    return {
        "path": str(path), "exists": raw is not None,
        "raw": shown_raw, "parsed": parsed, "sourceConfig": parsed,
        "resolved": values, "config": values, "runtimeConfig": values,
        "valid": not issues, "issues": issues, "warnings": [], "legacyIssues": [],
        "hash": digest, "configRevisionHash": digest,
        "appliedConfigHash": (applied.digest if applied else "") or digest,
    }  # fmt: skip


def _place(root: Doc, path: str, value: Any) -> None:
    *above, last = path.split(".")
    for name in above:
        root = root.setdefault(name, {})
    root[last] = value


def _file(raw: str | None) -> tuple[str | None, Doc]:
    """The text and what it holds, without its secrets. One that cannot be read is not shown: what
    in it is secret is not known."""
    if raw is None:
        return None, {}
    try:
        text = change.hidden(raw) if raw.strip() else raw
        return text, change.plain(text)
    except Problem:
        return None, {}


async def schema(desk: Desk, params: Nothing) -> Doc:
    _ = params
    await desk.read(_judged)
    hints = {
        key.path: {"label": key.path, "help": key.text, "order": order}
        for order, key in enumerate(KEYS)
    }
    return {
        "schema": json_schema(), "uiHints": hints, "version": __version__,
        "generatedAt": iso_ms(desk.hub.now_ms()),
    }  # fmt: skip


async def lookup(desk: Desk, params: OfPath) -> Doc:
    await desk.read(_judged)
    found: Any = json_schema()
    for name in params.path.split("."):
        found = found.get("properties", {}).get(name)
        if found is None:
            raise Fault(frames.INVALID_REQUEST, f"config schema path not found: {params.path[:80]}")
    children = [
        {"key": name, "path": f"{params.path}.{name}", "required": False,
         "hasChildren": "properties" in child, "reloadKind": _kind(f"{params.path}.{name}")}
        for name, child in found.get("properties", {}).items()
    ]  # fmt: skip
    return {
        "path": params.path, "schema": found, "reloadKind": _kind(params.path),
        "hint": {"label": params.path, "help": found.get("description", "")},
        "hintPath": params.path, "children": children,
    }  # fmt: skip


def _kind(path: str) -> str:
    key = BY_PATH.get(path)
    return "none" if key is None else KINDS.get(key.applies, "none")


METHODS: Final = (
    work("config.get", READ, Nothing, get, "The settings, and the file they come from",
         "path, raw, config, valid, hash"),
    work("config.schema", READ, Nothing, schema, "What settings there are", "schema, uiHints"),
    work("config.schema.lookup", READ, OfPath, lookup, "One setting", "schema, reloadKind"),
)  # fmt: skip

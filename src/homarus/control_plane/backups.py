"""Backups over the wire: take one, list them. Restoring is done by the CLI with the daemon off."""

import asyncio
from typing import Any, Final

from homarus.base.canonical import digest
from homarus.base.clock import iso_ms
from homarus.base.errors import HomarusError
from homarus.control_plane.route import Call, Stream, StreamRoute, json_reply
from homarus.store import backup
from homarus.store.port import Reply, Rx, Tx


def _now(rx: Rx) -> int:
    return rx.now_ms


def _noted(tx: Tx, kind: str, name: str, facts: dict[str, Any]) -> Reply:
    """A row that says what is about to be done, or what became of it."""
    tx.emit(kind, tx.new_id(), {"name": name, **facts})
    return json_reply({})


async def taken(stream: Stream, call: Call[None]) -> Reply:
    """POST /backups: a new folder in `backups/`; nothing of it is left when it fails."""
    _ = call
    at_ms = await stream.read(_now)
    name = iso_ms(at_ms).replace(":", "").replace("-", "").replace(".", "")
    await _note(stream, "backup_started", name)
    target = stream.home / backup.FOLDER / name
    try:
        made = await backup.take(stream.store, stream.home, target, at_ms)
    except HomarusError as error:
        await _note(stream, "backup_failed", name, code=error.code)
        raise
    await _note(stream, "backup_taken", name, bytes=made.manifest.bytes)
    return json_reply({"backup": backup.described(made.path, made.manifest)}, 201)


async def _note(stream: Stream, kind: str, name: str, **facts: Any) -> None:
    await stream.write(_noted, kind, name, facts, digest=digest([kind, name]))


async def listed(stream: Stream, call: Call[None]) -> Reply:
    """GET /backups: whole ones in the home's own folder, newest first."""
    _ = call
    await stream.read(_now)
    found = await asyncio.to_thread(backup.listed, stream.home)
    return json_reply({"backups": [backup.described(*each) for each in found]})


_MORE: Final[dict[str, Any]] = {
    "capability": "store.backup",
    "keyed": "ignored",
    "scope": "instance",
    "target": "store:",
    "tags": ("backups",),
}
ROUTES: Final[tuple[StreamRoute, ...]] = (
    StreamRoute(
        method="POST", path="/backups", handler=taken, kind="write", status=201,
        summary="Take an online backup", **_MORE,
    ),
    StreamRoute(
        method="GET", path="/backups", handler=listed, kind="read", summary="List backups", **_MORE
    ),
)  # fmt: skip
FRAMES: Final[dict[str, Any]] = {}

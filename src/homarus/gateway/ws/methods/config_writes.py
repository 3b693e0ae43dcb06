"""The settings, changed by a client (gateway contract, 8, 13): the file is written as a person
would write it, and counts as any edit does.

    check what it comes to -> intent -> write, if nobody else did -> outcome -> look at it as usual

Passwords that a client was not shown stay as they are where it sends their mark back. What only an
approved change sets is refused, with the command for it.
"""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from homarus.base.errors import Conflict
from homarus.config import change, edit, files, settings
from homarus.config.files import OnDisk
from homarus.config.problem import Problem, Rejected
from homarus.config.read import read_text
from homarus.config.reload import Plan
from homarus.config.schema import FILE
from homarus.gateway.ws import frames, restarts
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Desk, work
from homarus.gateway.ws.methods import config
from homarus.kernel.scopes import ADMIN
from homarus.store.port import Tx

MAX_REPLACED: Final = 256
Doc = dict[str, Any]
Made = Callable[[str], str]
"""From the file's text to the wanted one. Raises Problem."""


class Set(Params):
    raw: str
    base_hash: str | None = None


class Delivery(Params):
    channel: str | None = None
    to: str | None = None
    account_id: str | None = None
    thread_id: str | int | None = None


class Apply(Set):
    session_key: str | None = None
    delivery_context: Delivery | None = None
    note: str | None = None
    restart_delay_ms: int | None = None


class Patch(Apply):
    replace_paths: tuple[str, ...] = ()


async def set_(desk: Desk, params: Set) -> Doc:
    """Written, and nothing more: the watcher takes it up."""
    name = "config.set"
    text, _, digest = await _written(
        desk, params, name, lambda before: change.restored(params.raw, before)
    )
    shown = await asyncio.to_thread(_shown, text)
    return {"ok": True, "path": _path(desk), "hash": digest, "config": shown}


async def apply(desk: Desk, params: Apply) -> Doc:
    return await _changed(
        desk, params, "config.apply", lambda before: change.restored(params.raw, before)
    )


async def patch(desk: Desk, params: Patch) -> Doc:
    if len(params.replace_paths) > MAX_REPLACED:
        raise frames.bad_params("config.patch", f"at replacePaths: at most {MAX_REPLACED} items")
    replaced = frozenset(params.replace_paths)

    def made(before: str) -> str:
        return change.merged(before, change.plain(params.raw), replaced)

    return await _changed(desk, params, "config.patch", made)


def _shown(text: str) -> Doc:
    """What the file holds, without its secrets."""
    return change.plain(change.hidden(text or "{}"))


async def _changed(desk: Desk, params: Apply, name: str, made: Made) -> Doc:
    """Written and looked at, with a restart where that is what it takes."""
    text, paths, digest = await _written(desk, params, name, made)
    process = desk.hub.process
    plan: Plan | None = None
    if paths and process is not None:
        plan = await process.reread()
    restarts_ = plan is not None and plan.restarts
    context = params.delivery_context
    payload = restarts.payload(
        name.replace(".", "-"), desk.hub.now_ms(), mode=name, root=_path(desk), requires=restarts_,
        session=params.session_key, note=params.note,
        delivery=None if context is None else frames.plain(context),
    )  # fmt: skip
    found: Doc = {
        "ok": True, "path": _path(desk), "hash": digest,
        "config": await asyncio.to_thread(_shown, text), "changedPaths": paths,
        "sentinel": {"persisted": restarts_, "payload": payload},
    }  # fmt: skip
    if not paths:
        found["noop"] = True
    if plan is not None and plan.waiting and not restarts_:
        found["waiting"] = list(plan.waiting)
    if restarts_:
        found["restart"] = await desk.hub.restarts.ask(name, payload, params.restart_delay_ms)
    return found


async def _written(desk: Desk, params: Set, name: str, made: Made) -> tuple[str, list[str], str]:
    """The new text, the paths that differ, its hash. Raises Fault."""
    desk.instance_only()
    _check_rate(desk, name)
    if not params.raw.strip():
        raise frames.bad_params(name, "at raw: must not be empty")
    if len(params.raw) > files.MAX_FILE_BYTES:
        raise frames.bad_params(name, f"at raw: at most {files.MAX_FILE_BYTES} characters")
    home = desk.hub.means.home
    before, text, paths = await asyncio.to_thread(_prepared, home, params.base_hash, made, name)
    digest = "" if before is None else before.digest
    facts = {"method": name, "paths": paths}
    request = hashlib.sha256(text.encode()).digest()
    await desk.write(_noted, "settings_change_started", facts, arguments=request, what=name)
    bom = before is not None and before.bom
    try:
        if before is None or text != before.text:
            digest = await asyncio.to_thread(_put, home, text, digest, bom)
    except (Fault, OSError) as error:
        failed = facts | {"error": type(error).__name__}
        await desk.write(_noted, "settings_change_failed", failed, arguments=request, what=name)
        if isinstance(error, OSError):
            raise Fault(frames.UNAVAILABLE, f"{FILE} cannot be written: {error.strerror}") from None
        raise
    await desk.write(_noted, "settings_changed", facts, arguments=request, what=name)
    return text, paths, digest


def _noted(tx: Tx, kind: str, facts: Doc) -> None:
    """A row that says what is about to be done, or what became of it; never a value."""
    tx.emit(kind, tx.new_id(), facts)


def _check_rate(desk: Desk, name: str) -> None:
    peer = desk.peer
    who = peer.device or f"{peer.token.id}:{peer.address}"
    wait_s = desk.hub.rates.wait_s(name, who, asyncio.get_running_loop().time())
    if wait_s:
        details = {"code": "rate.method", "method": name}
        message = f"rate limit exceeded for {name}; retry later"
        raise Fault(frames.UNAVAILABLE, message, details, retry_ms=round(wait_s * 1000))


def _prepared(
    home: Path, base: str | None, made: Made, name: str
) -> tuple[OnDisk | None, str, list[str]]:
    """What is there, what it is to be, and where they differ: a daemon would start with it."""
    try:
        before = files.read(home / FILE, FILE)
    except Problem as problem:
        raise _invalid([problem], name) from None
    if before is not None:
        _check_base(before.digest, base)
    old = "" if before is None else before.text
    try:
        text = made(old)
        read_text(settings.source(home), text or "{}")
        return before, text, change.differences(_plain(old), change.plain(text))
    except Problem as problem:
        raise _invalid([problem], name) from None
    except Rejected as rejected:
        raise _invalid(list(rejected.problems), name) from None


def _plain(text: str) -> Doc:
    """What the file comes to, where it can be read."""
    try:
        return change.plain(text)
    except Problem:
        return {}


def _check_base(digest: str, base: str | None) -> None:
    if base is None:
        raise Fault(frames.INVALID_REQUEST,
                    "config base hash required; re-run config.get and retry")  # fmt: skip
    if base != digest:
        raise _stale()


def _stale() -> Fault:
    return Fault(frames.INVALID_REQUEST,
                 "config changed since last load; re-run config.get and retry")  # fmt: skip


def _invalid(problems: list[Problem], name: str) -> Fault:
    issues = [
        {"path": each.path, "message": each.line(), "code": each.code} for each in problems
    ]  # fmt: skip
    return Fault(frames.INVALID_REQUEST, f"invalid config: {problems[0].line()}",
                 {"issues": issues, "method": name})  # fmt: skip


def _put(home: Path, text: str, digest: str, bom: bool) -> str:
    try:
        return edit.write(home / FILE, FILE, text, digest, bom=bom)
    except Conflict:
        raise _stale() from None
    except Problem as problem:
        raise Fault(frames.INVALID_REQUEST, problem.line()) from None


def _path(desk: Desk) -> str:
    return str(desk.hub.means.home / FILE)


_WRITE: Final[Doc] = {"capability": "settings.write", "target": "settings:"}
METHODS: Final = (
    *config.METHODS,
    work("config.set", ADMIN, Set, set_, "Write the whole file of settings", "path, hash, config",
         **_WRITE),
    work("config.patch", ADMIN, Patch, patch, "Change settings by a merge patch",
         "path, hash, changedPaths, sentinel, restart", **_WRITE),
    work("config.apply", ADMIN, Apply, apply, "Replace the settings, and restart where it takes it",
         "path, hash, changedPaths, sentinel, restart", **_WRITE),
)  # fmt: skip

"""Registered capabilities: commands that an owner allows, as rows of a company.

A command is an argv template, never a shell line (governance contract, 6). What its elements and
slots mean is the runner's business (`homarus.backends.argv`); surfaces check them there before they
register. Registering an id again is its next version.
"""

import json
import re
from typing import Any, Final

import msgspec

from homarus.base.action import Effect
from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.kernel.capabilities import BUILTIN
from homarus.store.port import Row, Rx, Tx

MAX_ID: Final = 100
MAX_TITLE: Final = 200
MAX_DESCRIPTION: Final = 4_000
MAX_SLOTS: Final = 32
MAX_GRANTS: Final = 64
MAX_REGISTERED: Final = 10_000

_ID: Final = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z0-9][a-z0-9_-]*)+")
_GRANT: Final = re.compile(r"\*|role:[^\s]{1,100}|agent:[0-9a-f-]{36}")
_COLUMNS: Final = (
    "id, version, title, description, kind, effect, argv, slots, trusted, enabled, grants, "
    "limits, created_ms, updated_ms, restartable, approval"
)


class Capability(msgspec.Struct, frozen=True):
    """A registered row. `slots`: name → type or object; `limits`: bounds of a run by name.

    `trusted`: may run without a sandbox (design, 7). `restartable`: a run whose outcome is unknown
    may be run again. `approval`: each call of an agent needs one.
    `grants`: `role:NAME`, `agent:ID` or `*`.
    """

    id: str
    version: int
    title: str
    description: str
    kind: str
    effect: int
    argv: tuple[str, ...]
    slots: dict[str, Any]
    trusted: bool
    enabled: bool
    grants: tuple[str, ...]
    limits: dict[str, Any]
    created_ms: int
    updated_ms: int
    restartable: bool
    approval: bool = False


class NewCapability(msgspec.Struct, frozen=True):
    """What an owner registers."""

    id: str
    title: str
    argv: tuple[str, ...]
    description: str = ""
    slots: dict[str, Any] = {}
    trusted: bool = False
    grants: tuple[str, ...] = ("*",)
    limits: dict[str, int] = {}
    restartable: bool = False
    approval: bool = False


def _capability(row: Row) -> Capability:
    values = list(row)
    values[6] = tuple(json.loads(values[6]))
    values[7] = json.loads(values[7])
    values[8], values[9] = bool(values[8]), bool(values[9])
    values[10] = tuple(json.loads(values[10]))
    values[11] = json.loads(values[11])
    values[14], values[15] = bool(values[14]), bool(values[15])
    return Capability(*values)


def by_id(rx: Rx, company: str, capability: str) -> Capability | None:
    row = rx.one(
        f"select {_COLUMNS} from capability where company=? and id=?",  # noqa: S608
        (company, capability),
    )
    return None if row is None else _capability(row)


def need(rx: Rx, company: str, capability: str) -> Capability:
    """Raises `capability.unknown`."""
    found = by_id(rx, company, capability)
    if found is None:
        raise NotFound(
            "capability.unknown",
            f"no capability {capability[:MAX_ID]!r} is registered",
            "See `homarus capability list`.",
        )
    return found


def listed(rx: Rx, company: str, *, limit: int, after: str = "") -> list[Capability]:
    """By id; the disabled ones too."""
    rows = rx.all(
        f"select {_COLUMNS} from capability where company=? and id>? order by id limit ?",  # noqa: S608
        (company, after, limit),
    )
    return [_capability(row) for row in rows]


def _wrong(code: str, message: str, remedy: str) -> Invalid:
    return Invalid(f"capability.{code}", message, remedy)


def check(new: NewCapability) -> None:
    """Raises `capability.id|title|argv|grants|limits`."""
    if len(new.id) > MAX_ID or not _ID.fullmatch(new.id) or new.id in BUILTIN:
        raise _wrong(
            "id",
            f"{new.id[:MAX_ID]!r} cannot be a capability's id",
            "Use a dotted name of your own, such as `files.inventory`.",
        )
    if not 0 < len(new.title) <= MAX_TITLE or len(new.description) > MAX_DESCRIPTION:
        raise _wrong("title", "title or description has a wrong length", f"1 to {MAX_TITLE}.")
    if not new.argv or len(new.slots) > MAX_SLOTS:
        raise _wrong("argv", "argv is empty, or there are too many slots", "Name a program.")
    if len(new.grants) > MAX_GRANTS or any(not _GRANT.fullmatch(g) for g in new.grants):
        raise _wrong("grants", "a grant is unreadable", "Use `*`, `role:NAME` or `agent:ID`.")
    if len(new.limits) > MAX_SLOTS or any(v <= 0 for v in new.limits.values()):
        raise _wrong("limits", "a limit is not above 0", "Give whole numbers above 0.")


def register(tx: Tx, new: NewCapability) -> Capability:
    """Insert it, or make its next version; enables it. Raises `capability.*`."""
    check(new)
    before = by_id(tx, tx.company, new.id)
    count = tx.one("select count(*) from capability where company=?", (tx.company,))
    if before is None and count is not None and count[0] >= MAX_REGISTERED:
        raise Conflict("capability.many", f"{MAX_REGISTERED} are registered", "Disable some.")
    tx.run(
        "insert into capability(company, id, version, title, description, kind, effect, argv, "
        "slots, trusted, enabled, grants, limits, created_ms, updated_ms, restartable, approval) "
        "values(?,?,?,?,?,'command',?,?,?,?,1,?,?,?,?,?,?) "
        "on conflict(company, id) do update set version=excluded.version, title=excluded.title, "
        "description=excluded.description, effect=excluded.effect, argv=excluded.argv, "
        "slots=excluded.slots, trusted=excluded.trusted, enabled=1, grants=excluded.grants, "
        "limits=excluded.limits, updated_ms=excluded.updated_ms, "
        "restartable=excluded.restartable, approval=excluded.approval",
        (
            tx.company,
            new.id,
            1 if before is None else before.version + 1,
            new.title,
            new.description,
            int(Effect.EXEC),
            json.dumps(new.argv),
            json.dumps(new.slots),
            int(new.trusted),
            json.dumps(new.grants),
            json.dumps(new.limits),
            tx.now_ms,
            tx.now_ms,
            int(new.restartable),
            int(new.approval),
        ),
    )
    found = need(tx, tx.company, new.id)
    tx.emit(
        "capability_registered",
        "",
        {"id": new.id, "version": found.version, "trusted": new.trusted},
    )
    return found


def disable(tx: Tx, capability: str) -> Capability:
    """Raises `capability.unknown`, `capability.disabled`."""
    changed = tx.run(
        "update capability set enabled=0, updated_ms=? where company=? and id=? and enabled=1",
        (tx.now_ms, tx.company, capability),
    )
    found = need(tx, tx.company, capability)
    if not changed:
        raise Conflict("capability.disabled", f"{capability} is disabled already", "Nothing to do.")
    tx.emit("capability_disabled", "", {"id": capability})
    return found

"""Registered capabilities: what an owner, or the approved capabilities.yaml, allows a company.

A command is an argv template (`argv.py`), never a shell line (governance contract, 6). Registering
an id again is its next version.

Grants change by `set_grants` alone once a capability exists: a change record's switch calls it.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.base.ids import is_uuid
from homarus.base.nearest import did_you_mean
from homarus.kernel import schemas
from homarus.kernel.registrable import (
    COMMAND,
    EFFECTS,
    GRANT,
    MAX_GRANTS,
    MAX_ID,
    MAX_REGISTERED,
    SKILL,
    NewCapability,
    check,
    effect_of,
)
from homarus.store.port import Row, Rx, Tx

__all__ = [
    "COMMAND",
    "EFFECTS",
    "MAX_GRANTS",
    "SKILL",
    "Capability",
    "NewCapability",
    "register",
    "set_grants",
]

MAX_NAMES: Final = 300
DOCUMENT: Final = "document"

_COLUMNS: Final = (
    "id, version, title, description, kind, effect, argv, slots, trusted, enabled, grants, "
    "limits, created_ms, updated_ms, restartable, keywords, risk, owner, input, targets, quota, "
    "approval, mirror, quarantined, sha256, content, source"
)


class Capability(msgspec.Struct, frozen=True):
    """A registered row. `slots`: name → type or object; `limits`: bounds of a run by name.

    `trusted`: may run without a sandbox (design, 7). `restartable`: a run whose outcome is unknown
    may be run again. `grants`: `role:NAME`, `agent:ID` or `*`. `owner`: the agent that answers for
    it. `input`: JSON Schema of its arguments, as text. `targets`: patterns (`kernel/targets.py`);
    without any it reaches its task, and a reading one whatever it names. `mirror`: the target type
    of the mirror it reaches. `quarantined`: a skill that waits for its first grant, or for one
    since it changed; `sha256` and `content`: of its folder, of its SKILL.md. `source`: `owner`,
    `document` for what capabilities.yaml declares, or `promoted` (`kernel/proposals.py`).
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
    keywords: tuple[str, ...]
    risk: str
    owner: str | None
    input: str | None
    targets: tuple[str, ...]
    quota: str | None
    approval: bool
    mirror: str | None
    quarantined: bool
    sha256: bytes | None
    content: str | None
    source: str


def _capability(row: Row) -> Capability:
    values = list(row)
    for i in (6, 10, 15, 19):
        values[i] = tuple(json.loads(values[i]))
    for i in (7, 11):
        values[i] = json.loads(values[i])
    for i in (8, 9, 14, 21, 23):
        values[i] = bool(values[i])
    values[24] = None if values[24] is None else bytes(values[24])
    return Capability(*values)


def by_id(rx: Rx, company: str, capability: str) -> Capability | None:
    row = rx.one(
        f"select {_COLUMNS} from capability where company=? and id=?",  # noqa: S608
        (company, capability),
    )
    return None if row is None else _capability(row)


def need(rx: Rx, company: str, capability: str) -> Capability:
    """Raises `capability.unknown`, which names the nearest ones."""
    found = by_id(rx, company, capability)
    if found is None:
        raise NotFound(
            "capability.unknown",
            f"no capability {capability[:MAX_ID]!r} is registered",
            nearest(rx, company, capability, "See `homarus capability list`."),
        )
    return found


def nearest(rx: Rx, company: str, capability: str, otherwise: str) -> str:
    """`Did you mean …?` for one that is not registered, among those with its first letter."""
    rows = rx.all(
        "select id from capability where company=? and substr(id, 1, 1)=? order by id limit ?",
        (company, capability[:1], MAX_NAMES),
    )
    return did_you_mean(capability, [row[0] for row in rows], otherwise)


def listed(rx: Rx, company: str, *, limit: int, after: str = "") -> list[Capability]:
    """By id; the disabled ones too."""
    rows = rx.all(
        f"select {_COLUMNS} from capability where company=? and id>? order by id limit ?",  # noqa: S608
        (company, after, limit),
    )
    return [_capability(row) for row in rows]


SKILL_STATUSES: Final = {
    "proposed": "quarantined=1", "active": "quarantined=0 and enabled=1",
    "retired": "quarantined=0 and enabled=0",
}  # fmt: skip


def skill_status(row: Capability) -> str:
    if row.quarantined:
        return "proposed"
    return "active" if row.enabled else "retired"


def skills_listed(
    rx: Rx, company: str, *, limit: int, after: str = "", status: str | None = None
) -> list[Capability]:
    """Skills by id; `status` one of SKILL_STATUSES, None for all."""
    more = "" if status is None else f" and {SKILL_STATUSES[status]}"
    rows = rx.all(
        f"select {_COLUMNS} from capability where company=? and id>? and kind=?{more} "  # noqa: S608
        "order by id limit ?",
        (company, after, SKILL, limit),
    )
    return [_capability(row) for row in rows]


# -- whom a grant names ----------------------------------------------------------------------


def agent_named(rx: Rx, company: str, ref: str) -> str | None:
    """The id of a live agent by name or id."""
    column = "id" if is_uuid(ref) else "name"
    row = rx.one(
        f"select id from agent where company=? and {column}=? and deleted_ms is null",  # noqa: S608
        (company, ref),
    )
    return None if row is None else str(row[0])


def agents_nearest(rx: Rx, company: str, ref: str) -> str:
    """`Did you mean …?` for an agent that does not exist."""
    rows = rx.all(
        "select name from agent where company=? and deleted_ms is null order by name limit ?",
        (company, MAX_NAMES),
    )
    return did_you_mean(ref, [row[0] for row in rows], "See `homarus agent list`.")


def resolved(rx: Rx, company: str, grants: Iterable[str]) -> tuple[str, ...]:
    """Grants with agents by id, sorted. Raises `capability.grants`, `capability.grant_unknown`."""
    found = set()
    for grant in grants:
        if not GRANT.fullmatch(grant):
            raise Invalid("capability.grants", f"the grant {grant[:MAX_ID]!r} is unreadable",
                          "Use `*`, `role:NAME` or `agent:ID`.")  # fmt: skip
        kind, _, ref = grant.partition(":")
        if kind == "agent":
            agent = agent_named(rx, company, ref)
            if agent is None:
                raise Invalid(
                    "capability.grant_unknown",
                    f"a grant names the agent {ref[:MAX_ID]!r}, which this company does not have",
                    agents_nearest(rx, company, ref),
                )
            grant = f"agent:{agent}"
        found.add(grant)
    if len(found) > MAX_GRANTS:
        raise Invalid("capability.grants", "there are too many grants", f"At most {MAX_GRANTS}.")
    return tuple(sorted(found))


# -- writes ----------------------------------------------------------------------------------


def register(tx: Tx, new: NewCapability) -> Capability:
    """Insert it, or make its next version; enables it. A skill that is new or has changed waits in
    quarantine for its grant. Raises `capability.*`."""
    check(new)
    before = by_id(tx, tx.company, new.id)
    if before is not None and before.kind != new.kind:
        raise Conflict("capability.kind_fixed", f"{new.id} is a {before.kind}",
                       "Register the other kind under an id of its own.")  # fmt: skip
    grants = _grants(tx, new, before)
    same = before is not None and before.sha256 == new.sha256 and not before.quarantined
    return put(tx, new, before, grants, quarantined=new.kind == SKILL and not same)


def _grants(tx: Tx, new: NewCapability, before: Capability | None) -> tuple[str, ...]:
    if new.kind == SKILL and new.grants:
        raise Invalid(
            "capability.grants",
            "a skill is granted by a change, after somebody has looked at it",
            f"Register it without grants, then `homarus capability grant {new.id}`.",
        )
    if before is None:
        given = ("*",) if new.grants is None and new.kind == COMMAND else new.grants or ()
        return resolved(tx, tx.company, given)
    if new.grants is None or new.kind == SKILL:
        return before.grants
    if set(resolved(tx, tx.company, new.grants)) != set(before.grants):
        raise Conflict(
            "capability.grants_fixed",
            f"{new.id} is granted to {', '.join(before.grants) or 'nobody'}; "
            "registering it again does not change that",
            f"Propose the change: `homarus capability grant {new.id} …`, or leave the grants out.",
        )
    return before.grants


def put(
    tx: Tx,
    new: NewCapability,
    before: Capability | None,
    grants: tuple[str, ...],
    *,
    quarantined: bool = False,
) -> Capability:
    """Write the row as it was checked; `register` and the approved capabilities.yaml call it.

    Raises `capability.many`, `capability.owner`, `capability.effect`.
    """
    if before is None:
        count = tx.one("select count(*) from capability where company=?", (tx.company,))
        if count is not None and count[0] >= MAX_REGISTERED:
            raise Conflict("capability.many", f"{MAX_REGISTERED} are registered", "Disable some.")
    write(tx, new, before, values_of(tx, new, before, grants, quarantined=quarantined))
    return need(tx, tx.company, new.id)


def write(tx: Tx, new: NewCapability, before: Capability | None, values: dict[str, Any]) -> None:
    """One row of these columns, and its event."""
    if before is None:
        values |= {
            "company": tx.company, "id": new.id, "kind": new.kind, "created_ms": tx.now_ms,
        }  # fmt: skip
        tx.run(
            f"insert into capability({', '.join(values)}) values({', '.join('?' * len(values))})",
            tuple(values.values()),
        )
    else:
        sets = ", ".join(f"{column}=?" for column in values)
        tx.run(
            f"update capability set {sets} where company=? and id=?",  # noqa: S608
            (*values.values(), tx.company, new.id),
        )
    _changed(
        tx, "capability_registered", new.id,
        version=values["version"], trusted=new.trusted, quarantined=bool(values["quarantined"]),
    )  # fmt: skip


def values_of(
    tx: Tx,
    new: NewCapability,
    before: Capability | None,
    grants: tuple[str, ...],
    *,
    quarantined: bool,
) -> dict[str, Any]:
    """The columns that a registration sets. Raises `capability.owner`, `capability.effect`."""
    effect = effect_of(new)
    if effect is None:
        raise Invalid("capability.effect", f"a {new.kind} must say its effect",
                      f"One of {', '.join(EFFECTS)}.")  # fmt: skip
    owner = None if new.owner is None else agent_named(tx, tx.company, new.owner)
    if new.owner is not None and owner is None:
        raise Invalid(
            "capability.owner",
            f"the owner {new.owner[:MAX_ID]!r} is no agent of this company",
            agents_nearest(tx, tx.company, new.owner),
        )
    return {
        "version": 1 if before is None else before.version + 1,
        "title": new.title,
        "description": new.description,
        "effect": int(effect),
        "argv": json.dumps(new.argv),
        "slots": json.dumps(new.slots),
        "trusted": int(new.trusted),
        "enabled": int(not quarantined),
        "grants": json.dumps(grants),
        "limits": json.dumps(new.limits),
        "updated_ms": tx.now_ms,
        "restartable": int(new.restartable),
        "keywords": json.dumps(new.keywords, ensure_ascii=False),
        "risk": new.risk,
        "owner": owner,
        "input": None if new.input is None else schemas.need(new.input),
        "targets": json.dumps(new.targets, ensure_ascii=False),
        "quota": new.quota,
        "approval": int(new.approval),
        "mirror": new.mirror,
        "quarantined": int(quarantined),
        "sha256": new.sha256,
        "content": new.content,
        "source": new.source,
    }


def unchanged(before: Capability, values: dict[str, Any]) -> bool:
    """Whether a registration with these columns would change nothing but version and time."""
    kept = {
        "title": before.title,
        "description": before.description,
        "effect": before.effect,
        "argv": json.dumps(before.argv),
        "slots": json.dumps(before.slots),
        "trusted": int(before.trusted),
        "enabled": int(before.enabled),
        "grants": json.dumps(before.grants),
        "limits": json.dumps(before.limits),
        "restartable": int(before.restartable),
        "keywords": json.dumps(before.keywords, ensure_ascii=False),
        "risk": before.risk,
        "owner": before.owner,
        "input": before.input,
        "targets": json.dumps(before.targets, ensure_ascii=False),
        "quota": before.quota,
        "approval": int(before.approval),
        "mirror": before.mirror,
        "quarantined": int(before.quarantined),
        "sha256": before.sha256,
        "content": before.content,
        "source": before.source,
    }
    return all(kept[column] == value for column, value in values.items() if column in kept)


def set_grants(
    tx: Tx,
    capability: str,
    grants: Iterable[str],
    *,
    sha256: bytes | None = None,
    quarantined: bool | None = None,
) -> Capability:
    """Whom the capability is granted to from now on: all of them, an empty list is nobody.

    A change record's switch calls it. What is in quarantine and granted comes out of it, unless
    somebody merely lost a grant; `quarantined` says so outright. `sha256`, when given, must be that
    of the folder that was looked at. Raises `capability.unknown`, `capability.grants`,
    `capability.grant_unknown`, `capability.skill_changed`.
    """
    before = need(tx, tx.company, capability)
    if sha256 is not None and sha256 != before.sha256:
        raise Conflict("capability.skill_changed", f"{capability} has changed since it was read",
                       "Read it again, and propose the grant for what it is now.")  # fmt: skip
    after = resolved(tx, tx.company, grants)
    if quarantined is None:
        quarantined = before.quarantined and (not after or set(after) < set(before.grants))
    freed = before.quarantined and not quarantined
    enabled = not quarantined and (before.enabled or freed)
    tx.run(
        "update capability set grants=?, quarantined=?, enabled=?, updated_ms=? "
        "where company=? and id=?",
        (
            json.dumps(after), int(quarantined), int(enabled), tx.now_ms, tx.company, capability,
        ),
    )  # fmt: skip
    _changed(tx, "capability_granted", capability, before=before.grants, after=after)
    return need(tx, tx.company, capability)


def disable(tx: Tx, capability: str) -> Capability:
    """Raises `capability.unknown`, `capability.disabled`."""
    changed = tx.run(
        "update capability set enabled=0, updated_ms=? where company=? and id=? and enabled=1",
        (tx.now_ms, tx.company, capability),
    )
    found = need(tx, tx.company, capability)
    if not changed:
        raise Conflict("capability.disabled", f"{capability} is disabled already", "Nothing to do.")
    _changed(tx, "capability_disabled", capability)
    return found


def forget(tx: Tx, capability: str) -> None:
    """Take away a row that never was in force; its receipts and events stay."""
    tx.run(
        "delete from capability where company=? and id=? and quarantined=1 and enabled=0",
        (tx.company, capability),
    )
    _changed(tx, "capability_withdrawn", capability)


def _changed(tx: Tx, kind: str, capability: str, **data: Any) -> None:
    """The event, and the stamp by which the search index knows that it is behind."""
    tx.run(
        "insert into registry_stamp(company, stamp) values(?,?) "
        "on conflict(company) do update set stamp=excluded.stamp",
        (tx.company, tx.new_id()),
    )
    tx.emit(kind, "", {"id": capability, **data})

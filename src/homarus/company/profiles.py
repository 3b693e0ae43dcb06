"""Project agent profiles: one worker, another face in each project (control-plane contract, 5.1).

An agent has at most one live profile in a project; writing it again changes it.
"""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid, NotFound
from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx

WORKER: Final = "worker"
MAX_ROLE: Final = 100
MAX_NAME: Final = 200
MAX_SIGNATURE: Final = 10_000
MAX_SEED: Final = 100_000
MAX_POLICY: Final = 65_536

_COLUMNS: Final = (
    "id, no, company, project, agent, role_type, display_name, signature, memory_seed, "
    "resource_policy, created_ms, updated_ms, deleted_ms"
)


class Profile(msgspec.Struct, frozen=True, gc=False):
    """A row of `project_agent_profile`."""

    id: str
    no: int
    company: str
    project: str
    agent: str
    role_type: str
    display_name: str | None
    signature: str | None
    memory_seed: str | None
    resource_policy: dict[str, Any]
    created_ms: int
    updated_ms: int
    deleted_ms: int | None


class ProfileChange(msgspec.Struct, frozen=True):
    """What a caller sets; UNSET leaves it."""

    role_type: str | msgspec.UnsetType = msgspec.UNSET
    display_name: str | msgspec.UnsetType | None = msgspec.UNSET
    signature: str | msgspec.UnsetType | None = msgspec.UNSET
    memory_seed: str | msgspec.UnsetType | None = msgspec.UNSET
    resource_policy: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def _profile(row: Row) -> Profile:
    values = list(row)
    values[9] = json.loads(row[9])
    return Profile(*values)


def need(rx: Rx, project: str, profile: str) -> Profile:
    """A live profile of this project. Raises `profile.unknown`."""
    row = rx.one(
        f"select {_COLUMNS} from project_agent_profile "  # noqa: S608
        "where id=? and project=? and deleted_ms is null",
        (profile, project),
    )
    if row is None:
        raise NotFound(
            "profile.unknown",
            f"no profile {profile[:80]!r} in this project",
            "See GET /projects/{id}/agent-profiles.",
        )
    return _profile(row)


def of_agent(rx: Rx, project: str, agent: str) -> Profile | None:
    """The face that the agent has in the project; None: its own."""
    row = rx.one(
        f"select {_COLUMNS} from project_agent_profile "  # noqa: S608
        "where project=? and agent=? and deleted_ms is null",
        (project, agent),
    )
    return None if row is None else _profile(row)


def listed(rx: Rx, project: str, *, limit: int, before: int | None = None) -> list[Profile]:
    """Newest first; `before` is the `no` of the last one seen."""
    select = f"select {_COLUMNS} from project_agent_profile where project=? and deleted_ms is null"  # noqa: S608
    rows = newest(rx, select, (project,), limit=limit, before=before)
    return [_profile(row) for row in rows]


def _checked(change: ProfileChange) -> dict[str, Any]:
    values = {
        field: getattr(change, field)
        for field in change.__struct_fields__
        if getattr(change, field) is not msgspec.UNSET
    }
    if not 0 < len(values.get("role_type", WORKER).strip()) <= MAX_ROLE:
        raise Invalid(
            "profile.role_type", "unusable roleType", f"`worker` or `lead`; 1 to {MAX_ROLE}."
        )
    for field, most in (
        ("display_name", MAX_NAME),
        ("signature", MAX_SIGNATURE),
        ("memory_seed", MAX_SEED),
    ):
        if len(values.get(field) or "") > most:
            raise Invalid(
                f"profile.{field}", f"the {field} is too long", f"At most {most} characters."
            )
    if "resource_policy" in values:
        values["resource_policy"] = json.dumps(
            values["resource_policy"], separators=(",", ":"), ensure_ascii=False
        )
        if len(values["resource_policy"]) > MAX_POLICY:
            raise Invalid(
                "profile.resource_policy", "resourcePolicyJson is too long", f"{MAX_POLICY} bytes."
            )
    return values


def put(tx: Tx, project: str, agent: str, change: ProfileChange) -> tuple[Profile, bool]:
    """The agent's face in the project: a new one, or its live one changed; `(row, is new)`.

    Project and agent are checked by the caller. Raises `profile.*`.
    """
    found = of_agent(tx, project, agent)
    if found is not None:
        return update(tx, project, found.id, change, empty=True), False
    profile = tx.new_id()
    values = {"role_type": WORKER} | _checked(change)
    values |= {
        "id": profile,
        "no": tx.number("profile"),
        "company": tx.company,
        "project": project,
        "agent": agent,
        "created_ms": tx.now_ms,
        "updated_ms": tx.now_ms,
    }
    tx.run(
        f"insert into project_agent_profile({', '.join(values)}) "
        f"values({','.join('?' * len(values))})",
        tuple(values.values()),
    )
    tx.emit("agent_profile_created", profile, {"project": project, "agent": agent})
    return need(tx, project, profile), True


def update(
    tx: Tx, project: str, profile: str, change: ProfileChange, *, empty: bool = False
) -> Profile:
    """`empty`: a change of nothing is fine. Raises `profile.unknown`, `profile.nothing`, `…`."""
    before = need(tx, project, profile)
    values = _checked(change)
    if not values:
        if empty:
            return before
        raise Invalid("profile.nothing", "nothing to change", "Give at least one field.")
    fields = sorted(values)
    values["updated_ms"] = tx.now_ms
    sets = ", ".join(f"{column}=?" for column in values)
    tx.run(
        f"update project_agent_profile set {sets} where id=?",  # noqa: S608
        (*values.values(), profile),
    )
    tx.emit("agent_profile_updated", profile, {"project": project, "fields": fields})
    return need(tx, project, profile)


def delete(tx: Tx, project: str, profile: str) -> Profile:
    """Soft; the agent may get another face then. Raises `profile.unknown`."""
    row = need(tx, project, profile)
    tx.run("update project_agent_profile set deleted_ms=? where id=?", (tx.now_ms, profile))
    tx.emit("agent_profile_deleted", profile, {"project": project, "agent": row.agent})
    return msgspec.structs.replace(row, deleted_ms=tx.now_ms)

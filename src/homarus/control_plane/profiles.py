"""Project agent profiles: routes and shape (control-plane contract, 5.1)."""

from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.company import agents, profiles, projects
from homarus.company.profiles import Profile, ProfileChange
from homarus.control_plane.pages import cut, going_on
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.control_plane.shapes_work import ts
from homarus.store.port import Reply, Rx, Tx
from homarus.tasks.model import Task

UNSET = msgspec.UNSET


def shape(row: Profile) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "projectId": row.project,
        "agentId": row.agent,
        "roleType": row.role_type,
        "displayName": row.display_name,
        "signature": row.signature,
        "memorySeed": row.memory_seed,
        "resourcePolicyJson": row.resource_policy,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
        "deletedAt": ts(row.deleted_ms),
    }


def of_task(rx: Rx, task: Task) -> dict[str, Any] | None:
    """The face of the task's agent in its project, for the task's context; None: it has none."""
    found = None if task.agent is None else profiles.of_agent(rx, task.project, task.agent)
    return None if found is None else shape(found)


class ProfileBody(msgspec.Struct, rename="camel"):
    role_type: str | msgspec.UnsetType = UNSET
    display_name: str | msgspec.UnsetType | None = UNSET
    signature: str | msgspec.UnsetType | None = UNSET
    memory_seed: str | msgspec.UnsetType | None = UNSET
    resource_policy_json: dict[str, Any] | msgspec.UnsetType = UNSET

    def change(self) -> ProfileChange:
        return ProfileChange(
            role_type=self.role_type,
            display_name=self.display_name,
            signature=self.signature,
            memory_seed=self.memory_seed,
            resource_policy=self.resource_policy_json,
        )


class NewProfile(ProfileBody, rename="camel", kw_only=True):
    """`agentId`: id or name. What an agent already has in the project is changed."""

    agent_id: str


def _project(rx: Rx, call: Call[Any]) -> str:
    return projects.need(rx, call.company, call.id("pid")).id


def listed(rx: Rx, call: Call[None]) -> Reply:
    limit = call.limit()
    rows = profiles.listed(rx, _project(rx, call), limit=limit + 1, before=call.cursor())
    rows, cursor = cut(rows, limit)
    return json_reply({"profiles": [shape(row) for row in rows]} | going_on(cursor))


def create(tx: Tx, call: Call[NewProfile]) -> Reply:
    project = _project(tx, call)
    agent = agents.need(tx, tx.company, call.body.agent_id).id
    row, new = profiles.put(tx, project, agent, call.body.change())
    return json_reply({"profile": shape(row)}, 201 if new else 200)


def read(rx: Rx, call: Call[None]) -> Reply:
    return json_reply({"profile": shape(profiles.need(rx, _project(rx, call), call.id()))})


def change(tx: Tx, call: Call[ProfileBody]) -> Reply:
    row = profiles.update(tx, _project(tx, call), call.id(), call.body.change())
    return json_reply({"profile": shape(row)})


def delete(tx: Tx, call: Call[None]) -> Reply:
    return json_reply({"profile": shape(profiles.delete(tx, _project(tx, call), call.id()))})


_TAGS: Final = ("projects",)
_LIST: Final = "/projects/{pid}/agent-profiles"
_ONE: Final = "/projects/{pid}/agent-profiles/{id}"
ROUTES: Final[tuple[Route, ...]] = (
    read_route(_LIST, listed, "Faces of agents in a project", query=("limit", "cursor"),
               tags=_TAGS),
    write_route(
        "POST", _LIST, "profile.write", create, "Give an agent a face in a project",
        body=NewProfile, status=201, also=(200,), target="project:{pid}", tags=_TAGS,
    ),
    read_route(_ONE, read, "One face", tags=_TAGS),
    write_route(
        "PATCH", _ONE, "profile.write", change, "Change a face",
        body=ProfileBody, target="project:{pid}", tags=_TAGS,
    ),
    write_route(
        "DELETE", _ONE, "profile.delete", delete, "Take a face away",
        target="project:{pid}", tags=_TAGS,
    ),
)  # fmt: skip

"""A company at work on a `Ground`: agents with their own tokens, an owner, projects, tasks.

    async with ground(tmp_path) as g:
        shop = await open_shop(g)
        ada = await shop.agent("ada", role="coder")
        task = await shop.task(priority=5)
        claim = await shop.claim("ada")

Every call goes through the store and the kernel as a client's would. `as_` names an agent, `owner`
(an operator of role owner), `runtime` (a company token) or `system` (the daemon itself).
"""

from collections.abc import Callable
from typing import Any, Final

from homarus.base.action import Action
from homarus.company import agents, projects
from homarus.flows import by_hand, claiming, creating, editing, leases, reporting, stopping
from homarus.kernel import stop, tokens
from homarus.records import artifacts
from homarus.records.artifact_fields import NewArtifact
from homarus.store.port import Key, Reply, T, Ts, Tx
from homarus.tasks import lanes
from homarus.tasks.model import LEASE_MS, State, Task
from homarus.testing.ground import Ground
from homarus.testing.recount import recount

OWNER: Final = "owner"
RUNTIME: Final = "runtime"
SYSTEM: Final = "system"


def _hire(tx: Tx, change: agents.AgentChange) -> tuple[str, str]:
    agent = agents.create(tx, change)
    token, _ = tokens.mint(
        tx, company=tx.company, kind="agent", name=agent.name, agent=agent.id,
        lifetime_ms=tokens.NEVER,
    )  # fmt: skip
    return agent.id, token.id


def _token(tx: Tx, kind: str, role: str | None) -> str:
    token, _ = tokens.mint(
        tx, company=tx.company, kind=kind, name=kind, role=role, lifetime_ms=tokens.NEVER
    )
    return token.id


def _set_project(tx: Tx, project: str, values: dict[str, Any]) -> None:
    """What PATCH /projects/{id} does: the row, then its lanes."""
    row = projects.update(tx, project, values)
    stopped = stop.covers(tx, tx.company, "project", project)
    lanes.set_project(
        tx, project, is_open=row.status == "active" and not stopped, cap=row.max_active_agents
    )


def _remove_project(tx: Tx, project: str) -> None:
    """What DELETE /projects/{id} does."""
    row = projects.delete(tx, project)
    lanes.set_project(tx, project, is_open=False, cap=row.max_active_agents)


def _beat(tx: Tx, agent: str) -> int:
    return leases.renew(tx, agent)


class Shop:
    """`agents` and `credentials` by name; `project_id` is where tasks go unless told otherwise."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.agents: dict[str, str] = {}
        self.credentials: dict[str, str] = {}
        self.project_id = ""

    def action(self, capability: str, as_: str, target: str, task: str | None = None) -> Action:
        if as_ == SYSTEM:
            return self.ground.action(capability, target, task=task)
        return self.ground.action(capability, target, task=task, credential=self.credentials[as_])

    async def do(
        self, capability: str, as_: str, fn: Callable[[Tx, *Ts], T], *args: *Ts,
        target: str = "company:", task: str | None = None,
    ) -> T:  # fmt: skip
        return await self.ground.store.write(self.action(capability, as_, target, task), fn, *args)

    async def once(
        self, capability: str, as_: str, fn: Callable[[Tx, *Ts], Reply], *args: *Ts, key: Key,
        target: str = "company:", task: str | None = None,
    ) -> Reply:  # fmt: skip
        return await self.ground.store.write_once(
            self.action(capability, as_, target, task), fn, *args, key=key
        )

    async def recount(self) -> list[str]:
        """Differences between stored counters and what the rows say; nothing when all is well."""
        found: list[str] = await self.ground.read(recount, self.ground.company)
        return found

    # -- who and where ---------------------------------------------------------------------

    async def agent(
        self, name: str, *, role: str | None = None, skills: tuple[str, ...] = (), limit: int = 1
    ) -> str:
        change = agents.AgentChange(
            name=name, role=role, skills_wire=list(skills), concurrency_limit=limit
        )
        found: tuple[str, str] = await self.do("agent.create", OWNER, _hire, change)
        self.agents[name], self.credentials[name] = found
        return found[0]

    async def project(self, **values: Any) -> str:
        row = await self.do("project.create", OWNER, projects.create, {"goal": "g"} | values)
        return str(row.id)

    async def set_project(self, project: str, **values: Any) -> None:
        await self.do("project.update", OWNER, _set_project, project, values)

    async def remove_project(self, project: str) -> None:
        await self.do("project.delete", OWNER, _remove_project, project)

    # -- tasks -----------------------------------------------------------------------------

    async def task(self, as_: str = OWNER, **fields: Any) -> Task:
        """`role` and `done` (Definition of Done) go into the spec; the rest as in `NewTask`."""
        spec = {"title": "t", "ownerRole": fields.pop("role", None)}
        if "done" in fields:
            spec["definitionOfDone"] = fields.pop("done")
        new = creating.NewTask(
            **({"project": self.project_id, "type": "test_task"} | fields),
            spec={k: v for k, v in spec.items() if v is not None},
            allow_underspecified=True,
        )
        made = await self.do("task.create", as_, creating.create, new, target="task:new")
        task: Task = made.task
        return task

    async def claim(self, agent: str, **request: Any) -> Task | None:
        wanted = claiming.ClaimRequest(**({"owner": agent} | request))
        got = await self.do(
            "task.claim", agent, claiming.claim, wanted,
            target=f"task:{wanted.task or ''}", task=wanted.task,
        )  # fmt: skip
        return None if got is None else got.task

    async def result(self, agent: str, task: str, state: str, **more: Any) -> Task:
        request = reporting.ResultRequest(task, state, **more)
        after: Task = await self.do(
            "task.result", agent, reporting.result, request, target=f"task:{task}", task=task
        )
        return after

    async def release(self, agent: str, task: str, lease_token: int | None = None) -> Task:
        after: Task = await self.do(
            "task.release", agent, reporting.release, task, lease_token, None,
            target=f"task:{task}", task=task,
        )  # fmt: skip
        return after

    async def assign(self, task: str, agent: str, as_: str = OWNER) -> Task:
        after: Task = await self.do(
            "task.assign", as_, by_hand.assign, task, agent, target=f"task:{task}", task=task
        )
        return after

    async def move(self, task: str, to: State, reason: str | None = None) -> Task:
        after: Task = await self.do(
            "task.move", OWNER, by_hand.move, task, to, reason, target=f"task:{task}", task=task
        )
        return after

    async def archive(self, task: str, as_: str = OWNER) -> Task:
        after: Task = await self.do(
            "task.delete", as_, by_hand.archive, task, target=f"task:{task}", task=task
        )
        return after

    async def patch(self, task: str, as_: str = OWNER, **change: Any) -> Task:
        after: Task = await self.do(
            "task.update", as_, editing.patch, task, editing.TaskPatch(**change),
            target=f"task:{task}", task=task,
        )  # fmt: skip
        return after

    async def artifact(self, agent: str, task: str, kind: str) -> str:
        new = NewArtifact(kind=kind, content_type="text/plain", task=task)
        row = await self.do("artifact.create", agent, artifacts.create, new)
        return str(row.id)

    async def stop(self, scope: str, subject: str = "", reason: str = "because") -> str:
        row = await self.do("stop.set", OWNER, stopping.put, scope, subject, reason)
        return str(row.id)

    async def lift(self, stop_id: str) -> None:
        await self.do("stop.lift", OWNER, stopping.lift, stop_id)

    async def give_back(self) -> int:
        """One round of the worker that queues what a lifted STOP still holds."""
        count: int = await self.do(
            "task.expire", SYSTEM, stopping.give_back, stopping.MAX_GIVEN_BACK
        )
        return count

    # -- time ------------------------------------------------------------------------------

    async def beat(self, agent: str) -> int:
        """A heartbeat's renewal; how many leases were rewritten."""
        renewed: int = await self.do("agent.heartbeat", agent, _beat, self.agents[agent])
        return renewed

    async def expire(self) -> int:
        taken: int = await self.do("task.expire", SYSTEM, leases.expire_due, 500)
        return taken

    async def let_leases_end(self) -> int:
        """Time passes until every lease of ordinary length has run out; then the watchdog runs."""
        self.ground.clock.advance(LEASE_MS)
        return await self.expire()


async def open_shop(ground: Ground) -> Shop:
    """An owner's token, a company token, and one project without a cap."""
    shop = Shop(ground)
    for name, kind, role in ((OWNER, "operator", "owner"), (RUNTIME, "runtime", None)):
        shop.credentials[name] = await ground.write("token.create", _token, kind, role)
    shop.project_id = await shop.project()
    return shop

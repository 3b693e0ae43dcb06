"""Agents: who they are, how much they may hold, when they were last heard of."""

import json
from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind
from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.base.ids import is_uuid
from homarus.company import executors
from homarus.kernel.trust_rules import LOW
from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx

_decode = msgspec.json.Decoder().decode

MAX_NAME: Final = 200
MAX_SKILLS: Final = 200
MAX_SKILL: Final = 100
MAX_CONCURRENCY: Final = 1_000
ONLINE_MS: Final = 60_000
"""An agent heard of within this time is online."""

MAX_BETTER: Final = 100
"""Agents that a claim of a fresh task looks at; with more, a fitting one was found long before."""

BUDGET_STATUSES: Final = ("active", "warning", "paused")
"""From best to worst."""

COLUMNS: Final = (
    "id, no, company, name, role, avatar_url, skills, skills_wire, memory, model_policy, "
    "concurrency_limit, active, llm_provider, llm_model, budget_status, budget_month, suspended, "
    "status, current_load, last_seen_ms, created_ms, updated_ms, deleted_ms, executor, trust, "
    "executor_config"
)


class Agent(msgspec.Struct, frozen=True, gc=False):
    """A row of `agent`. `skills` is sorted; `concurrency_limit` 0 takes no work; `active` counts
    the tasks it holds; `budget_status` is what was said of it in `budget_month` (2026-05), see
    `flows.wallet`; `trust` 0 to 100 (governance contract, 12); times in Unix ms."""

    id: str
    no: int
    company: str
    name: str
    role: str | None
    avatar_url: str | None
    skills: tuple[str, ...]
    skills_wire: Any
    memory: str | None
    model_policy: dict[str, Any] | None
    concurrency_limit: int
    active: int
    llm_provider: str | None
    llm_model: str | None
    budget_status: str
    budget_month: str
    suspended: bool
    status: str
    current_load: int
    last_seen_ms: int | None
    created_ms: int
    updated_ms: int
    deleted_ms: int | None
    executor: str
    trust: int
    executor_config: dict[str, Any] | None = None


class AgentChange(msgspec.Struct, frozen=True):
    """What a caller sets; UNSET leaves it. What it may spend is a budget (`flows.wallet`)."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    role: str | msgspec.UnsetType | None = msgspec.UNSET
    avatar_url: str | msgspec.UnsetType | None = msgspec.UNSET
    skills_wire: Any = msgspec.UNSET
    memory: str | msgspec.UnsetType | None = msgspec.UNSET
    model_policy: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    concurrency_limit: int | msgspec.UnsetType = msgspec.UNSET
    llm_provider: str | msgspec.UnsetType | None = msgspec.UNSET
    llm_model: str | msgspec.UnsetType | None = msgspec.UNSET
    suspended: bool | msgspec.UnsetType = msgspec.UNSET
    executor: str | msgspec.UnsetType = msgspec.UNSET
    executor_config: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


def _agent(row: Row) -> Agent:
    values = list(row)
    values[6] = tuple(_decode(values[6]))
    values[7] = None if values[7] is None else _decode(values[7])
    values[9] = None if values[9] is None else _decode(values[9])
    values[16] = bool(values[16])
    values[25] = None if values[25] is None else _decode(values[25])
    return Agent(*values)


def skills_of(column: str) -> frozenset[str]:
    """The skills in an agent's stored list."""
    return frozenset(_decode(column)) if column != "[]" else frozenset()


def by_id(rx: Rx, company: str, agent: str) -> Agent | None:
    row = rx.one(
        f"select {COLUMNS} from agent where id=? and company=? and deleted_ms is null",  # noqa: S608
        (agent, company),
    )
    return None if row is None else _agent(row)


def find(rx: Rx, company: str, ref: str) -> Agent | None:
    """By exact name, or by id in any case; no name looks like an id (contract, 4.2)."""
    if is_uuid(ref.lower()):
        return by_id(rx, company, ref.lower())
    row = rx.one(
        f"select {COLUMNS} from agent where company=? and name=? and deleted_ms is null",  # noqa: S608
        (company, ref),
    )
    return None if row is None else _agent(row)


def need(rx: Rx, company: str, ref: str) -> Agent:
    """Raises `agent.unknown`."""
    agent = find(rx, company, ref)
    if agent is None:
        raise NotFound(
            "agent.unknown",
            f"no agent {ref[:MAX_NAME]!r} in this company",
            "See `homarus agent list`, or create it first.",
        )
    return agent


def run_by(rx: Rx, company: str, executor: str, limit: int) -> list[Agent]:
    """Those whose work this executor does, oldest first."""
    rows = rx.all(
        f"select {COLUMNS} from agent where company=? and deleted_ms is null and executor=? "  # noqa: S608
        "order by no limit ?",
        (company, executor, limit),
    )
    return [_agent(row) for row in rows]


def called(rx: Rx, company: str, limit: int) -> list[tuple[str, str, str]]:
    """`(id, name, executor)`, oldest first."""
    rows = rx.all(
        "select id, name, executor from agent where company=? and deleted_ms is null "
        "order by no limit ?",
        (company, limit),
    )
    return [(row[0], row[1], row[2]) for row in rows]


def listed(rx: Rx, company: str, *, limit: int, before: int | None = None) -> list[Agent]:
    """Newest first; `before` is the `no` of the last one seen."""
    select = f"select {COLUMNS} from agent where company=? and deleted_ms is null"  # noqa: S608
    rows = newest(rx, select, (company,), limit=limit, before=before)
    return [_agent(row) for row in rows]


def normal_skills(wire: Any) -> tuple[str, ...]:
    """The texts in a client's skill list, trimmed, lower-case, sorted; other items are ignored.

    Raises `agent.skills` when it is no list or too long.
    """
    if wire is None:
        return ()
    if not isinstance(wire, list | tuple) or len(wire) > MAX_SKILLS:
        raise Invalid("agent.skills", "skills must be a list", f"At most {MAX_SKILLS} texts.")
    found = set()
    for item in wire:
        text = item.get("name") if isinstance(item, dict) else item
        if isinstance(text, str) and 0 < len(text.strip()) <= MAX_SKILL:
            found.add(" ".join(text.lower().split()))
    return tuple(sorted(found))


def _checked(change: AgentChange) -> dict[str, Any]:
    """Column values of a change. Raises `agent.name`, `agent.limit`, `agent.executor`."""
    values: dict[str, Any] = {}
    for field in change.__struct_fields__:
        value = getattr(change, field)
        if value is msgspec.UNSET:
            continue
        if field == "skills_wire":
            values["skills"] = json.dumps(normal_skills(value))
            values["skills_wire"] = None if value is None else json.dumps(value)
        elif field in ("model_policy", "executor_config"):
            values[field] = None if value is None else json.dumps(value)
        elif field == "suspended":
            values[field] = int(value)
        else:
            values[field] = value
    name = values.get("name", "x")
    if not isinstance(name, str) or not 0 < len(name.strip()) <= MAX_NAME:
        raise Invalid("agent.name", "an agent needs a name", f"1 to {MAX_NAME} characters.")
    if is_uuid(name.lower()):
        raise Invalid("agent.name", "a name must not look like an id", "Choose another name.")
    if not 0 <= values.get("concurrency_limit", 1) <= MAX_CONCURRENCY:
        raise Invalid("agent.limit", "concurrencyLimit is out of range", f"0 to {MAX_CONCURRENCY}.")
    if values.get("executor", "external") not in executors.NAMES:
        raise Invalid("agent.executor", "unknown executor", f"One of {list(executors.NAMES)}.")
    return values


def _check_executor(change: AgentChange, executor: str, config: dict[str, Any] | None) -> None:
    """The two go together, whichever of them changes. Raises `agent.executor_config`."""
    if change.executor is not msgspec.UNSET:
        executor = change.executor
    if change.executor_config is not msgspec.UNSET:
        config = change.executor_config
    executors.read(executor, config)


def create(tx: Tx, change: AgentChange) -> Agent:
    """Raises `agent.exists` for a name that a live agent has. Emits `agent_registered`."""
    values = _checked(change)
    _check_executor(change, "external", None)
    if "name" not in values:
        raise Invalid("agent.name", "an agent needs a name", "Give `name`.")
    values["role_confirmed"] = int(_by_person(tx))
    if find(tx, tx.company, values["name"]) is not None:
        raise Conflict(
            "agent.exists",
            f"an agent named {values['name']!r} exists already",
            "Use it (GET /agents), or choose another name.",
        )
    agent = tx.new_id()
    values |= {
        "id": agent,
        "no": tx.number("agent"),
        "company": tx.company,
        "created_ms": tx.now_ms,
        "updated_ms": tx.now_ms,
    }
    marks = ",".join("?" * len(values))
    tx.run(
        f"insert into agent({', '.join(values)}) values({marks})",
        tuple(values.values()),
    )
    tx.emit("agent_registered", agent, {"name": values["name"]})
    return _again(tx, agent)


def _again(tx: Tx, agent: str) -> Agent:
    row = by_id(tx, tx.company, agent)
    if row is None:
        raise NotFound("agent.unknown", f"no agent {agent}", "See `homarus agent list`.")
    return row


def _by_person(tx: Tx) -> bool:
    """Whether an operator, as itself, says what the agent's role is: only then the role counts
    when changes are approved."""
    return tx.actor.kind is ActorKind.OPERATOR


def update(tx: Tx, agent: str, change: AgentChange) -> Agent:
    """Raises `agent.unknown`, `agent.exists`, `agent.nothing`. Emits `agent_updated`."""
    before = _again(tx, agent)
    values = _checked(change)
    _check_executor(change, before.executor, before.executor_config)
    if not values:
        raise Invalid("agent.nothing", "nothing to change", "Give at least one field.")
    if values.get("name", before.name) != before.name:
        other = find(tx, tx.company, values["name"])
        if other is not None:
            raise Conflict("agent.exists", f"{values['name']!r} is taken", "Choose another name.")
    fields = sorted(values)
    if values.get("role", before.role) != before.role:
        values["role_confirmed"] = int(_by_person(tx))
    values["updated_ms"] = tx.now_ms
    sets = ", ".join(f"{column}=?" for column in values)
    tx.run(f"update agent set {sets} where id=?", (*values.values(), agent))  # noqa: S608
    tx.emit("agent_updated", agent, {"fields": sorted([*fields, "updated_ms"])})
    return _again(tx, agent)


def set_role(tx: Tx, agent: str, role: str | None) -> Agent:
    """By a change that was approved. Raises `agent.unknown`. Emits `agent_updated`."""
    row = _again(tx, agent)
    tx.run(
        "update agent set role=?, role_confirmed=1, updated_ms=? where id=?",
        (role, tx.now_ms, row.id),
    )
    tx.emit("agent_updated", row.id, {"fields": ["role"]})
    return _again(tx, row.id)


def ever_held(rx: Rx, company: str, roles: frozenset[str]) -> bool:
    """Whether an agent holds one of these roles, or held it when it was removed."""
    rows = rx.all(
        "select distinct role from agent where company=? and role is not null limit 1000",
        (company,),
    )
    return any(row[0] in roles for row in rows)


def delete(tx: Tx, agent: str) -> Agent:
    """Soft. Raises `agent.unknown`, `agent.busy` while it holds work."""
    row = _again(tx, agent)
    if row.active:
        raise Conflict(
            "agent.busy", f"{row.name} holds {row.active} task(s)", "Let it finish or release them."
        )
    tx.run("update agent set deleted_ms=?, status='offline' where id=?", (tx.now_ms, agent))
    tx.emit("agent_deleted", agent, {"name": row.name})
    return msgspec.structs.replace(row, deleted_ms=tx.now_ms, status="offline")


def run_here(rx: Rx, *names: str) -> list[tuple[str, str]]:
    """`(company, agent)` of all agents whose work these executors do and who may take more."""
    rows = rx.all(
        "select company, id from agent where deleted_ms is null and suspended=0 and trust>=? "  # noqa: S608
        f"and active<concurrency_limit and executor in ({','.join('?' * len(names))}) "
        "order by active, id",
        (LOW, *names),
    )
    return [(company, agent) for company, agent in rows]


def better_waits(
    rx: Rx, company: str, least_trust: int, role: str | None, skills: frozenset[str]
) -> bool:
    """Whether an agent of at least this trust could take a task of this audience now: alive, not
    suspended, with a free place (design, 6)."""
    rows = rx.all(
        "select skills from agent where company=? and trust>=? and deleted_ms is null "
        "and suspended=0 and active<concurrency_limit and (last_seen_ms>? or executor<>'external') "
        "and (?='' or role=?) limit ?",
        (company, least_trust, rx.now_ms - ONLINE_MS, role or "", role or "", MAX_BETTER),
    )
    return any(skills_of(row[0]) >= skills for row in rows)


def take_slot(tx: Tx, agent: str) -> bool:
    """One more task in hand, if its limit allows; the row count is the answer."""
    return bool(
        tx.run("update agent set active=active+1 where id=? and active<concurrency_limit", (agent,))
    )


def free_slot(tx: Tx, agent: str) -> None:
    tx.run("update agent set active=active-1 where id=? and active>0", (agent,))


def beat(tx: Tx, agent: str, load: int) -> None:
    """It lives: online, seen now, with this load."""
    tx.run(
        "update agent set status='online', last_seen_ms=?, current_load=? where id=?",
        (tx.now_ms, load, agent),
    )


def keep_budget_status(tx: Tx, agent: str, status: str, month: str) -> None:
    """What its budget has come to in this month (2026-05). Emits `agent_updated`."""
    tx.run(
        "update agent set budget_status=?, budget_month=?, updated_ms=? where id=?",
        (status, month, tx.now_ms, agent),
    )
    tx.emit("agent_updated", agent, {"fields": ["budget_status"]})

"""Lanes: where a claimer looks, so that a claim costs the same at a million queued tasks.

A lane is (project, audience); an audience is one agent, or an owner role (or none) with required
skills. A claim takes the head of each lane that is open to it by one index seek, then the best
head. `live` says that a lane may have claimable work; claims clear it when they find none
(store notes, "shape of a claim"). Every way in or out of `queued` goes through this module.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from homarus.store.port import Rx, Tx

_FIND: Final = (
    "select id, live from lane where project=? and coalesce(agent, '')=? and "
    "coalesce(role, '')=? and skills=?"
)
_HEADS: Final = (
    "select l.id, l.skills, l.cap, t.id, t.priority, t.seq, l.role, l.agent, t.created_ms "
    "from lane l "
    "left join task t on t.id = (select x.id from task x where x.lane=l.id "
    "and x.state='queued' and x.blocked=0{} order by x.priority desc, x.seq limit 1) "
    "where l.company=? and l.live=1 and l.is_open=1 "
    "and (l.agent=? or (l.agent is null and (?=0 or l.role is null or l.role=?))) "
    "and (l.is_full=0 or exists(select 1 from project_active p "
    "where p.project=l.project and p.agent=?))"
)


NOTHING: Final[Mapping[str, int]] = {}


def heads(beside: int = 0) -> str:
    """The first claimable task of each lane that is open to an agent; `beside`: how many tasks are
    passed over. Parameters: those, company, agent, whether roles count, role, agent."""
    return _HEADS.format(f" and x.id not in ({','.join('?' * beside)})" if beside else "")


HEADS: Final = heads()


class Head(msgspec.Struct, frozen=True, gc=False):
    """The first claimable task of a lane. `cap`: the project's limit of agents at work; `role`,
    `skills`: the lane's audience; `assigned`: to the claimer itself."""

    lane: int
    task: str
    cap: int | None
    priority: int
    seq: int
    role: str | None
    skills: str
    assigned: bool
    created_ms: int


def lane_for(
    tx: Tx,
    project: str,
    *,
    cap: int | None,
    agent: str | None,
    role: str | None,
    skills: tuple[str, ...],
    claimable: bool,
) -> int:
    """The lane of an audience, made when it is new; live when something claimable goes in."""
    role, skill_text = (None, "") if agent is not None else (role, "\n".join(skills))
    row = tx.one(_FIND, (project, agent or "", role or "", skill_text))
    if row is not None:
        if claimable and not row[1]:
            tx.run("update lane set live=1 where id=?", (row[0],))
        return int(row[0])
    count = tx.one("select count(*) from project_active where project=?", (project,))
    full = cap is not None and count is not None and count[0] >= cap
    closed = tx.one("select 1 from lane where project=? and is_open=0 limit 1", (project,))
    made = tx.one(
        "insert into lane(company, project, agent, role, skills, cap, is_open, is_full, live) "
        "values(?,?,?,?,?,?,?,?,?) returning id",
        (
            tx.company, project, agent, role, skill_text, cap,
            0 if closed else 1, int(full), int(claimable),
        ),
    )  # fmt: skip
    if made is None:
        raise AssertionError("an insert returned no row")
    return int(made[0])


def wake(tx: Tx, lane: int | None) -> None:
    """Something claimable is in this lane again."""
    if lane is not None:
        tx.run("update lane set live=1 where id=? and live=0", (lane,))


def best_head(
    tx: Tx,
    *,
    agent: str,
    role: str | None,
    skills: frozenset[str],
    strict_role: bool,
    without: frozenset[int] = frozenset(),
    beside: Mapping[str, int] = NOTHING,
) -> Head | None:
    """The task that a claim by this agent gets: highest priority, then oldest, from lanes that are
    not in `without`. `beside`: tasks that are passed over (a few), and the lane of each."""
    best: Head | None = None
    empty: list[int] = []
    passed = frozenset(beside.values())
    for lane, needs, cap, task, priority, seq, audience, own, created_ms in tx.all(
        heads(len(beside)), (*beside, tx.company, agent, int(strict_role), role or "", agent)
    ):
        if task is None:
            if lane not in passed:
                empty.append(lane)
        elif (
            (best is None or (-priority, seq) < (-best.priority, best.seq))
            and lane not in without
            and (not needs or skills.issuperset(needs.split("\n")))
        ):
            best = Head(
                lane, task, cap, priority, seq, audience, needs, own is not None, created_ms
            )
    for lane in empty:
        tx.run("update lane set live=0 where id=?", (lane,))
    return best


def waits(rx: Rx, company: str, agent: str, role: str | None, skills: frozenset[str]) -> bool:
    """Whether anything stands in a lane that is open to this agent; a claim judges further."""
    rows = rx.all(HEADS, (company, agent, 1, role or "", agent))
    return any(
        row[3] is not None and (not row[1] or skills.issuperset(row[1].split("\n"))) for row in rows
    )


def companies(rx: Rx) -> frozenset[str]:
    """Those where anything waits in a lane: the rest need not be asked for each of their agents."""
    rows = rx.all(
        "select distinct l.company from lane l where l.live=1 and l.is_open=1 and exists("
        "select 1 from task x where x.lane=l.id and x.state='queued' and x.blocked=0)"
    )
    return frozenset(row[0] for row in rows)


def occupy(tx: Tx, project: str, agent: str) -> None:
    """An agent has one more task in a capped project; the cap-th agent closes its lanes."""
    row = tx.one(
        "insert into project_active(project, agent, n) values(?,?,1) "
        "on conflict(project, agent) do update set n=project_active.n+1 returning n",
        (project, agent),
    )
    if row is not None and row[0] == 1:
        _set_full(tx, project)


def leave(tx: Tx, project: str, agent: str) -> None:
    """The inverse of `occupy`; projects without a cap have no rows and pay one look-up."""
    if tx.run("delete from project_active where project=? and agent=? and n=1", (project, agent)):
        _set_full(tx, project)
    else:
        tx.run("update project_active set n=n-1 where project=? and agent=?", (project, agent))


def _set_full(tx: Tx, project: str) -> None:
    """Lanes carry their project's cap; without one they are never full."""
    tx.run(
        "update lane set is_full=1-is_full where project=? and is_full<>case when cap<="
        "(select count(*) from project_active p where p.project=?) then 1 else 0 end",
        (project, project),
    )


def set_project(tx: Tx, project: str, *, is_open: bool, cap: int | None) -> None:
    """The project's status, STOP or cap changed. A new cap recounts who is at work in it."""
    old = tx.one("select cap from lane where project=? limit 1", (project,))
    tx.run("update lane set is_open=?, cap=? where project=?", (int(is_open), cap, project))
    if old is not None and old[0] != cap:
        tx.run("delete from project_active where project=?", (project,))
        if cap is not None:
            tx.run(
                "insert into project_active(project, agent, n) select project, agent, count(*) "
                "from task where project=? and state='in_progress' and agent is not null "
                "group by project, agent",
                (project,),
            )
        _set_full(tx, project)


def is_full(rx: Rx, project: str, agent: str, cap: int | None) -> bool:
    """Whether the project's cap keeps this agent out (it is not at work there yet)."""
    if cap is None:
        return False
    row = rx.one(
        "select count(*), coalesce(sum(case when agent=? then 1 else 0 end), 0) "
        "from project_active where project=?",
        (agent, project),
    )
    return row is not None and row[0] >= cap and not row[1]

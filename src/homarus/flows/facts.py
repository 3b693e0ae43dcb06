"""What the kernel may ask about agents, tasks and documents, from their tables (design, 2)."""

from typing import Any, Final

import msgspec

from homarus.base.ids import is_uuid
from homarus.company import agents
from homarus.kernel.facts import AgentFacts, TaskFacts
from homarus.store.port import Row, Rx
from homarus.tasks import sql as tasks

_AGENT: Final = (
    "select id, name, role, suspended, skills, trust, exists(select 1 from budget b "
    "where b.company=agent.company and b.subject in (agent.id, agent.company)) from agent "
    "where company=? and deleted_ms is null and "
)
_TASK: Final = (
    "select t.id, t.project, t.agent, t.trace, t.state, t.token, t.lease_until_ms, t.lease_proof, "
    "s.route_level, s.capability from task t join task_spec s on s.task=t.id where t.company=? and "
)
_HELD: Final = (
    _TASK + "t.agent=? and t.state='in_progress' and t.lease_until_ms>? "
    "order by t.started_ms desc, t.seq desc limit 1"
)

_RUNNING: Final = (
    "select u.until_ms from session s join turn u on u.session=s.id "
    "where s.task=? and u.state in ('queued', 'running', 'parked') and u.state='running'"
)


class SqlFacts:
    """`homarus.kernel.facts.Facts` over the store's own rows."""

    def agent(self, rx: Rx, company: str, ref: str) -> AgentFacts | None:
        """A live agent by exact name, or by id in any case; no name looks like an id (contract,
        4.2)."""
        lower = ref.lower()
        by_id = is_uuid(lower)
        row = rx.one(_AGENT + ("id=?" if by_id else "name=?"), (company, lower if by_id else ref))
        if row is None:
            return None
        skills = agents.skills_of(row[4])
        return AgentFacts(row[0], row[1], row[2], bool(row[3]), skills, row[5], bool(row[6]))

    def task(self, rx: Rx, company: str, task: str) -> TaskFacts | None:
        """By id in any case or by number: a rule binds a task however it is named."""
        at = tasks.address(task)
        if at is None:
            return None
        column = "t.seq=?" if isinstance(at, int) else "t.id=?"
        found = _task(rx.one(_TASK + column, (company, at)))
        return found if found is None or found.project else _standing(rx, found)

    def held(self, rx: Rx, company: str, agent: str, task: str | None) -> TaskFacts | None:
        named = None if task is None else self.task(rx, company, task)
        if named is not None and named.held_by(agent, rx.now_ms):
            return named
        return _task(rx.one(_HELD, (company, agent, rx.now_ms)))

    def document(self, rx: Rx, company: str, path: str) -> str | None:
        row = rx.one("select class from document where company=? and path=?", (company, path))
        return None if row is None else str(row[0])


def _task(row: Row | None) -> TaskFacts | None:
    values: tuple[Any, ...] | None = row
    return None if values is None else TaskFacts(*values)


def _standing(rx: Rx, task: TaskFacts) -> TaskFacts:
    """A conversation's own task is held by its agent while a turn of it runs (design, 6)."""
    row = rx.one(_RUNNING, (task.id,))
    return task if row is None else msgspec.structs.replace(task, lease_until_ms=row[0])

"""What the kernel may ask about agents and tasks, read from their tables (design, 2)."""

from typing import Final

from homarus.base.ids import is_uuid
from homarus.company import agents
from homarus.kernel.facts import AgentFacts, TaskFacts
from homarus.store.port import Rx
from homarus.tasks import sql as tasks

_AGENT: Final = (
    "select id, name, role, suspended, skills from agent "
    "where company=? and deleted_ms is null and "
)


class SqlFacts:
    """`homarus.kernel.facts.Facts` over the store's own rows."""

    def agent(self, rx: Rx, company: str, ref: str) -> AgentFacts | None:
        """A live agent by exact name or by id; no name looks like an id (contract, 4.2)."""
        row = rx.one(_AGENT + ("id=?" if is_uuid(ref) else "name=?"), (company, ref))
        if row is None:
            return None
        return AgentFacts(row[0], row[1], row[2], bool(row[3]), agents.skills_of(row[4]))

    def task(self, rx: Rx, company: str, task: str) -> TaskFacts | None:
        """By id in any case or by number: a rule binds a task however it is named."""
        row = tasks.find(rx, company, task)
        return None if row is None else TaskFacts(row.id, row.project, row.agent, row.trace)

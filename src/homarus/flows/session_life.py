"""The life of a session: opened when first needed, begun anew by hand or by its policy.

A session that begins anew keeps who it is: key, conversation, standing task (so that a STOP on it
holds), and what was set for it. The lines so far stay under the old id.
"""

import re
from typing import Final

from homarus.company import agents, models
from homarus.conversations import keys, session_policies, sessions, turns
from homarus.conversations import service as talk
from homarus.conversations.sessions import Session
from homarus.store.port import Tx
from homarus.tasks import sql as tasks
from homarus.tasks.model import Spec, Task
from homarus.tasks.model import State as TaskState

STANDING_KIND: Final = "conversation"
KEPT: Final = ("label", "model", "thinking", "queue_mode", "pinned")
_COMMAND: Final = re.compile(r"/(new|reset)(?:\s+(.*))?", re.IGNORECASE | re.DOTALL)


def open_session(tx: Tx, agent: agents.Agent, key: str | None, kind: str) -> Session:
    """The live session of this key, made with its conversation and standing task when first
    needed. The agent's own is its direct conversation. Raises `session.key`."""
    full = keys.main_of(agent.name) if key is None else keys.resolve(key, agent.name)
    found = sessions.by_key(tx, tx.company, full)
    if found is not None:
        return found
    return begin(tx, agent, full, kind)


def begin(tx: Tx, agent: agents.Agent, key: str, kind: str, ended_as: str | None = None) -> Session:
    """A session with its conversation and standing task. `key` in its full form, which no live one
    has; `ended_as`: the id of one that is not live from the start."""
    if key == keys.main_of(agent.name):
        place = talk.direct(tx, agent.id)
    else:
        place = talk.create(tx, "session", title=key)
    task = _standing(tx, agent, key).id
    return _begin(tx, agent.id, key, kind, place.id, task, ended_as)


def _begin(
    tx: Tx, agent: str, key: str, kind: str, conversation: str, task: str,
    ended_as: str | None = None,
) -> Session:  # fmt: skip
    row = Session(
        id=ended_as or tx.new_id(), company=tx.company, agent=agent, key=key, kind=kind,
        conversation=conversation, task=task, label=None, model=None,
        thinking=None, queue_mode=None, entries=0, first_kept=1, compactions=0, input_tokens=0,
        output_tokens=0, context_tokens=0, created_ms=tx.now_ms, updated_ms=tx.now_ms,
        interaction_ms=tx.now_ms, ended_ms=None if ended_as is None else tx.now_ms,
    )  # fmt: skip
    sessions.insert(tx, row)
    return row


def _standing(tx: Tx, agent: agents.Agent, key: str) -> Task:
    """The task that a session's turns are about. Archived from the start, so that it is in no list
    and nobody moves it; rules, budgets and STOP find it all the same. It has no project."""
    row = Task(
        id=tx.new_id(), seq=tx.number("task"), company=tx.company, project="",
        state=TaskState.ARCHIVED, lane=None, priority=0, blocked=0, agent=agent.id, member=None,
        reviewer=None, token=0, lease_until_ms=None, lease_proof=None, lease_owner=None,
        started_ms=None, retries=0, reason=None, trace=tx.new_id(),
        created_ms=tx.now_ms, updated_ms=tx.now_ms,
    )  # fmt: skip
    spec = Spec(
        task=row.id, type=STANDING_KIND, kind=STANDING_KIND,
        input={"title": f"Conversation {key}"},
    )  # fmt: skip
    tasks.insert(tx, row, spec)
    return row


def renew(tx: Tx, row: Session) -> Session:
    """End a session and begin its key anew. Emits `session_ended`, `session_opened`."""
    sessions.end(tx, row)
    fresh = _begin(tx, row.agent, row.key, row.kind, row.conversation, row.task)
    kept = {name: getattr(row, name) for name in KEPT if getattr(row, name)}
    if kept:
        sessions.change(tx, fresh.id, **kept)
    tx.about(task=row.task)
    return sessions.need(tx, tx.company, fresh.id)


def for_message(tx: Tx, agent: agents.Agent, key: str | None, kind: str) -> Session:
    """The session that a message which has just come belongs to: a new one, where the policy says
    so. While turns of it are open it is in use, and goes on. Raises `session.key`."""
    row = open_session(tx, agent, key, kind)
    policy = session_policies.of(tx, tx.company, row.key, row.kind)
    if policy.mode == session_policies.NONE or turns.open_of(tx, row.id):
        return row
    zone = session_policies.zone_of(tx, tx.company)
    if not row.entries or not session_policies.is_stale(policy, row, zone, tx.now_ms):
        return row
    return renew(tx, row)


def command(text: str) -> tuple[str, str] | None:
    """`("new" | "reset", what stands behind it)` where a text is that command. Pure."""
    found = _COMMAND.fullmatch(text.strip())
    return None if found is None else (found[1].lower(), (found[2] or "").strip())


def begin_anew(tx: Tx, row: Session, rest: str) -> tuple[Session, str]:
    """By `/new` or `/reset`: `(the fresh session, what is left to say)`. A configured model named
    first becomes the session's (gateway contract, 12.5). The caller has ended what was open."""
    fresh = renew(tx, row)
    name, _, left = rest.partition(" ")
    if name and models.by_name(tx, tx.company, name) is not None:
        sessions.change(tx, fresh.id, model=name)
        return sessions.need(tx, tx.company, fresh.id), left.strip()
    return fresh, rest

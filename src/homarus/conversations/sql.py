"""SQL of the talk tables: rows in, rows out."""

import json
from typing import Any, Final

from homarus.conversations.model import (
    Conversation,
    Message,
    SenderType,
)
from homarus.store import paging
from homarus.store.paging import ABOVE_ALL
from homarus.store.port import Row, Rx, Tx

_CONVERSATION: Final = (
    "c.id, c.no, c.company, c.type, c.agent, c.title, c.project, c.task, c.incident, "
    "c.created_by_type, c.created_by, c.created_ms, c.archived_ms"
)
_MESSAGE: Final = (
    "m.company, m.seq, m.id, m.conversation, m.sender_type, m.sender, m.target_agent, m.text, "
    "m.metadata, m.delivery_state, m.platform_message, m.created_ms, c.type, c.task"
)
_FROM: Final = "from message m join conversation c on c.id=m.conversation"


def _json(metadata: dict[str, Any]) -> str:
    return json.dumps(metadata, separators=(",", ":"), ensure_ascii=False)


def message_of(row: Row) -> Message:
    values = list(row)
    values[8] = json.loads(values[8])
    return Message(*values)


def conversation(rx: Rx, company: str, ref: str) -> Conversation | None:
    row = rx.one(
        f"select {_CONVERSATION} from conversation c where c.id=? and c.company=?",  # noqa: S608
        (ref, company),
    )
    return None if row is None else Conversation(*row)


def team(rx: Rx, company: str) -> Conversation | None:
    row = rx.one(
        f"select {_CONVERSATION} from conversation c "  # noqa: S608
        "where c.company=? and c.type='team'",
        (company,),
    )
    return None if row is None else Conversation(*row)


def direct(rx: Rx, company: str, agent: str) -> Conversation | None:
    row = rx.one(
        f"select {_CONVERSATION} from conversation c "  # noqa: S608
        "where c.company=? and c.agent=? and c.type='direct'",
        (company, agent),
    )
    return None if row is None else Conversation(*row)


def insert_conversation(tx: Tx, row: Conversation) -> bool:
    """False when the company's team, or the agent's direct conversation exists already."""
    return bool(
        tx.run(
            "insert into conversation(id, no, company, type, agent, title, project, task, "
            "incident, created_by_type, created_by, created_ms) values(?,?,?,?,?,?,?,?,?,?,?,?) "
            "on conflict do nothing",
            (
                row.id, row.no, row.company, row.type, row.agent, row.title, row.project,
                row.task, row.incident, row.created_by_type, row.created_by, row.created_ms,
            ),
        )
    )  # fmt: skip


def conversations(
    rx: Rx,
    company: str,
    *,
    limit: int,
    before: int | None = None,
    kind: str | None = None,
    agent: str | None = None,
    project: str | None = None,
    task: str | None = None,
) -> list[Conversation]:
    """Newest first. `agent`: those it takes part in; everybody takes part in the team's."""
    its = (
        "c.id in (select t.id from conversation t where t.company=? and t.type='team' "
        "union all select p.conversation from participant p where p.ref=? and p.kind='agent')"
    )
    select = f"select {_CONVERSATION} from conversation c where c.company=?"  # noqa: S608
    filters = {
        "c.type=?": kind,
        "c.project=?": project,
        "c.task=?": task,
        its: None if agent is None else (company, agent),
    }
    rows = paging.newest(rx, select, (company,), filters, limit=limit, before=before, by="c.no")
    return [Conversation(*row) for row in rows]


def join(tx: Tx, conversation: str, kind: str, ref: str) -> None:
    """Make somebody a participant. Idempotent."""
    tx.run(
        "insert into participant(conversation, kind, ref, joined_ms) values(?,?,?,?) "
        "on conflict(conversation, kind, ref) do nothing",
        (conversation, kind, ref, tx.now_ms),
    )


def sent(tx: Tx, conversation: str, kind: str, ref: str, seq: int) -> None:
    """A participant spoke: message `seq` is its latest here."""
    tx.run(
        "insert into participant(conversation, kind, ref, joined_ms, last_sent_seq) "
        "values(?,?,?,?,?) on conflict(conversation, kind, ref) "
        "do update set last_sent_seq=excluded.last_sent_seq",
        (conversation, kind, ref, tx.now_ms, seq),
    )


def mark(
    tx: Tx, conversation: str, ref: str, *, typing_until_ms: int | None, read_ms: int | None
) -> None:
    """Set an agent's typing end and, when given, its read mark."""
    tx.run(
        "insert into participant(conversation, kind, ref, joined_ms, typing_until_ms, "
        "last_read_ms) values(?,'agent',?,?,?,?) "
        "on conflict(conversation, kind, ref) do update set "
        "typing_until_ms=excluded.typing_until_ms, "
        "last_read_ms=coalesce(excluded.last_read_ms, participant.last_read_ms)",
        (conversation, ref, tx.now_ms, typing_until_ms, read_ms),
    )


def message(rx: Rx, company: str, ref: str) -> Message | None:
    row = rx.one(f"select {_MESSAGE} {_FROM} where m.id=? and m.company=?", (ref, company))
    return None if row is None else message_of(row)


def by_platform_id(rx: Rx, company: str, platform_message: str) -> Message | None:
    row = rx.one(
        f"select {_MESSAGE} {_FROM} where m.company=? and m.platform_message=?",
        (company, platform_message),
    )
    return None if row is None else message_of(row)


def newest(rx: Rx, company: str) -> tuple[int, int]:
    """`(seq, created_ms)` of the company's last message; zeros before the first."""
    row = rx.one(
        "select seq, created_ms from message where company=? order by seq desc limit 1", (company,)
    )
    return (0, 0) if row is None else (row[0], row[1])


def insert_message(tx: Tx, row: Message) -> None:
    tx.run(
        "insert into message(company, seq, id, conversation, sender_type, sender, target_agent, "
        "text, metadata, delivery_state, platform_message, created_ms) "
        "values(?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            row.company, row.seq, row.id, row.conversation, row.sender_type, row.sender,
            row.target_agent, row.text,
            _json(row.metadata),
            row.delivery_state, row.platform_message, row.created_ms,
        ),
    )  # fmt: skip


def latest_human(rx: Rx, conversation: str) -> tuple[int, str, str] | None:
    """`(seq, id, delivery_state)` of the last message by a person here."""
    row = rx.one(
        "select seq, id, delivery_state from message "
        "where conversation=? and sender_type='human' order by seq desc limit 1",
        (conversation,),
    )
    return None if row is None else (row[0], row[1], row[2])


def set_state(tx: Tx, company: str, seq: int, before: str, after: str) -> bool:
    return bool(
        tx.run(
            "update message set delivery_state=? where company=? and seq=? and delivery_state=?",
            (after, company, seq, before),
        )
    )


def reword(tx: Tx, row: Message, text: str, metadata: dict[str, Any]) -> None:
    """Change what a message says, and what is known of it."""
    tx.run(
        "update message set text=?, metadata=? where company=? and seq=?",
        (text, _json(metadata), row.company, row.seq),
    )


def link_task(tx: Tx, message: str, task: str) -> bool:
    """Keep that a task was made of a message; False: one was already."""
    return bool(
        tx.run(
            "insert into message_task(message, company, task, by_actor, created_ms) "
            "values(?,?,?,?,?) on conflict do nothing",
            (message, tx.company, task, tx.actor.key, tx.now_ms),
        )
    )


def task_of(rx: Rx, message: str) -> tuple[str, str, int] | None:
    """`(task, who made it, when)` of a message."""
    row = rx.one("select task, by_actor, created_ms from message_task where message=?", (message,))
    return None if row is None else (row[0], row[1], row[2])


def message_of_task(rx: Rx, task: str) -> str | None:
    row = rx.one("select message from message_task where task=?", (task,))
    return None if row is None else str(row[0])


def page(
    rx: Rx,
    conversation: str,
    *,
    limit: int,
    after: int = 0,
    before: int | None = None,
    forward: bool = False,
) -> list[Message]:
    """Messages of one conversation with `after < seq < before`, in the reading direction."""
    rows = rx.all(
        f"select {_MESSAGE} {_FROM} where m.conversation=? and m.seq>? and m.seq<? "
        f"order by m.seq {'asc' if forward else 'desc'} limit ?",
        (conversation, after, ABOVE_ALL if before is None else before, limit),
    )
    return [message_of(row) for row in rows]


def seq_at(rx: Rx, company: str, at_ms: int) -> int:
    """The last `seq` created at or before a time; 0 before the first message."""
    row = rx.one(
        "select seq from message where company=? and created_ms<=? "
        "order by created_ms desc limit 1",
        (company, at_ms),
    )
    return 0 if row is None else int(row[0])


def after(
    rx: Rx,
    company: str,
    *,
    seq: int,
    limit: int,
    senders: tuple[SenderType, ...],
    agent: str | None,
    newest_first: bool = False,
) -> list[Message]:
    """Messages of a company after `seq`, oldest first; see `sync.changes` for `agent`."""
    where, params = ["m.company=?", "m.seq>?"], [company, seq]
    if senders:
        kinds = ", ".join(f"'{kind.value}'" for kind in senders)
        where.append(
            f"m.sender_type in ({kinds})" if len(senders) > 1 else f"m.sender_type={kinds}"
        )
    joined = ""
    if agent is not None:
        joined = (
            " left join participant p on p.conversation=m.conversation and p.kind='agent' "
            "and p.ref=?"
        )
        params.insert(0, agent)
        where.append("(c.type='team' or p.ref is not null)")
        where.append("m.seq > coalesce(p.last_sent_seq, 0)")
        where.append("(m.sender is null or m.sender<>? or m.sender_type<>'agent')")
        params.append(agent)
    rows = rx.all(
        f"select {_MESSAGE} {_FROM}{joined} where {' and '.join(where)} "
        f"order by m.seq {'desc' if newest_first else 'asc'} limit ?",
        (*params, limit),
    )
    found = [message_of(row) for row in rows]
    return found[::-1] if newest_first else found

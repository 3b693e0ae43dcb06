"""Heartbeats: an agent looks by itself whether something needs it (design, 7).

    due      whose time has come                          one read
    look     is there news since the last one went well?  no: a note in its row, and no model
             yes: a turn of its own session               row before act
    settle   what the turn came to (`heartbeat_turns.py`)

News is what others did: an assigned task that somebody changed or whose deadline passed, a message
that nobody answered, a changed HEARTBEAT.md, a wake-up. Nobody is woken by what it did itself.
"""

import hashlib
import re
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid
from homarus.base.ids import to_blob
from homarus.company import agents, heartbeats
from homarus.company import heartbeat_rules as rules
from homarus.company.heartbeats import Heartbeat, Mark
from homarus.conversations import keys, sessions, turns
from homarus.flows import turn_inbound
from homarus.flows.turn_inbound import Given, Inbound
from homarus.kernel import budgets, stop
from homarus.store.port import Rx, Tx

AGENTS_A_UNIT: Final = 5
BUSY_RETRY_MS: Final = 60_000
"""A wake-up that finds its agent busy is tried again after so long."""
MAX_AGENTS: Final = 1_000
"""Of a company, whose heartbeats one call reaches."""
MAX_TASKS: Final = 12
NEWEST_TASKS: Final = 200
"""Of an agent's tasks, those that are looked through."""
MAX_MESSAGES: Final = 20
NEWEST_MESSAGES: Final = 2_000
"""Of a company's messages, those that are looked through."""
MAX_LINE: Final = 240
MAX_ORDERS: Final = 20_000
UNCHANGED: Final = "unchanged"
BUSY: Final = "busy"

PROMPT: Final = (
    "This is your heartbeat: nobody wrote to you. Look whether something needs you now. What is "
    "new since the last time stands below, and so do your orders, HEARTBEAT.md of your "
    "workspace. Do what needs doing, as far as your rules allow, and do not repeat old work. "
    "Your answer is told to people: when nothing needs to be told, answer "
    f"{rules.TOKEN} and nothing else."
)
_HEADING: Final = re.compile(r"#{1,6}(\s|$)")
_TRACKED: Final = "'queued', 'in_progress', 'review', 'blocked'"


class Seen(msgspec.Struct, frozen=True):
    """An agent whose time has come; `orders`: the text of its HEARTBEAT.md, "" for none;
    `written_ms`: when the file was written."""

    agent: str
    orders: str = ""
    written_ms: int = 0


class News(msgspec.Struct, frozen=True):
    """What is new, as lines for the agent; `orders`: whether that changed."""

    wakes: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    orders: bool = False

    def __bool__(self) -> bool:
        return bool(self.wakes or self.tasks or self.messages or self.orders)


# -- the look --------------------------------------------------------------------------------


def look(tx: Tx, seen: tuple[Seen, ...]) -> list[str]:
    """Look at these agents of one company, if their time has come; the turns that follow."""
    found = []
    for one in seen:
        row = heartbeats.of(tx, one.agent)
        if row is None or row.next_ms is None or row.next_ms > tx.now_ms or not row.company_on:
            continue
        turn = _look(tx, row, one)
        if turn is not None:
            found.append(turn)
    return found


def _look(tx: Tx, row: Heartbeat, seen: Seen) -> str | None:
    agent = agents.by_id(tx, tx.company, row.agent)
    if agent is None:
        heartbeats.put(tx, row.agent, next_ms=None, enabled=0)
        return None
    why = _held_back(tx, row, agent)
    if why is not None:
        retry = row.wakes and why == BUSY
        due_ms = tx.now_ms + BUSY_RETRY_MS if retry else row.due_after(tx.now_ms)
        _note(tx, row, due_ms, why)
        return None
    news = _news(tx, row, seen)
    known = _mark(tx, row, seen)
    if not news and not row.always:
        _note(tx, row, row.due_after(tx.now_ms), UNCHANGED, mark=heartbeats.keep(known))
        return None
    turn = turn_inbound.accept(tx, _inbound(tx, row, news, seen.orders))
    pending = msgspec.structs.replace(known, orders=digest(seen.orders), wakes=len(row.wakes))
    heartbeats.put(
        tx, row.agent, next_ms=row.due_after(tx.now_ms), turn=turn.id, looked_ms=tx.now_ms,
        pending=heartbeats.keep(pending), looks=row.looks + 1, turns=row.turns + 1,
    )  # fmt: skip
    return turn.id


def _note(tx: Tx, row: Heartbeat, due_ms: int | None, why: str, **more: Any) -> None:
    """A look that asks no model changes its one row, and is no event."""
    heartbeats.put(
        tx, row.agent, next_ms=due_ms, looked_ms=tx.now_ms, outcome=rules.SKIPPED, reason=why,
        looks=row.looks + 1, **more,
    )  # fmt: skip


def _held_back(rx: Rx, row: Heartbeat, agent: agents.Agent) -> str | None:
    """Why this is no time for a heartbeat; None: it is. A wake-up is heard at any hour."""
    if agent.executor != turn_inbound.LLM:
        return "not-run-here"
    if agent.suspended:
        return "suspended"
    if not row.wakes and not row.hours.holds(rx.now_ms):
        return "quiet-hours"
    if any(s.subject in (row.company, agent.id) for s in stop.active(rx, row.company)):
        return "stop"
    if _busy(rx, agent):
        return BUSY
    if budgets.used_up(rx, row.company, agent.id) is not None:
        return "budget"
    return None


def _busy(rx: Rx, agent: agents.Agent) -> bool:
    """It works on a turn, or its own session waits for something."""
    own = sessions.by_key(rx, agent.company, keys.main_of(agent.name))
    if own is not None and turns.open_of(rx, own.id):
        return True
    return rx.one(
        "select 1 from turn where agent=? and state in ('queued', 'running') limit 1", (agent.id,)
    ) is not None  # fmt: skip


def digest(orders: str) -> str:
    """SHA-256 of what orders say; "" where they say nothing: blank lines and headings."""
    lines = [line.strip() for line in orders.splitlines()]
    said = [line for line in lines if line and not _HEADING.match(line)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest() if said else ""


def _mark(tx: Tx, row: Heartbeat, seen: Seen) -> Mark:
    """What is known after this look, but for the orders: nothing of them was shown yet."""
    kept = row.mark.orders
    if _wrote_it_itself(row, seen):
        kept = digest(seen.orders)
    return msgspec.structs.replace(
        row.mark, seq=tx.head.event_seq, message=_newest_message(tx),
        orders=kept, at_ms=tx.now_ms,
    )  # fmt: skip


def _newest_message(tx: Tx) -> int:
    row = tx.one("select max(seq) from message where company=?", (tx.company,))
    return 0 if row is None or row[0] is None else int(row[0])


# -- what is new -----------------------------------------------------------------------------


def _news(tx: Tx, row: Heartbeat, seen: Seen) -> News:
    return News(
        wakes=row.wakes,
        tasks=tuple(_tasks(tx, row)),
        messages=tuple(_messages(tx, row)),
        orders=_changed(row, seen),
    )


def _changed(row: Heartbeat, seen: Seen) -> bool:
    now = digest(seen.orders)
    return now not in ("", row.mark.orders) and not _wrote_it_itself(row, seen)


def _wrote_it_itself(row: Heartbeat, seen: Seen) -> bool:
    """The file was written while its last turn used tools. File systems keep seconds at times."""
    return row.mark.to_ms > 0 and (
        row.mark.from_ms // 1000 * 1000 <= seen.written_ms <= row.mark.to_ms
    )


def _tasks(tx: Tx, row: Heartbeat) -> list[str]:
    """Open tasks of the agent that others touched, or whose deadline passed since."""
    rows = tx.all(
        "select t.id, t.seq, t.state, s.input, s.sla_due_ms from ("  # noqa: S608
        "select id, seq, state from task where agent=? order by seq desc limit ?) t "
        f"join task_spec s on s.task=t.id where t.state in ({_TRACKED}) order by t.seq desc",
        (row.agent, NEWEST_TASKS),
    )
    found = []
    for id_, seq, state, given, due_ms in rows:
        late = due_ms is not None and row.mark.at_ms < due_ms <= tx.now_ms
        if late or _touched(tx, id_, row):
            title = str(msgspec.json.decode(given).get("title") or "")
            found.append(f"T-{seq} ({state}{', overdue' if late else ''}): {title}"[:MAX_LINE])
            if len(found) == MAX_TASKS:
                break
    return found


def _touched(tx: Tx, task: str, row: Heartbeat) -> bool:
    """By somebody else; what its own commands report is its own."""
    return tx.one(
        "select 1 from event where subject=? and seq>? and +company_no=? and actor<>? "
        "and kind not like 'run!_%' escape '!' and kind not like 'call!_%' escape '!' limit 1",
        (to_blob(task), row.mark.seq, tx.head.no, f"agent:{row.agent}"),
    ) is not None  # fmt: skip


def _messages(tx: Tx, row: Heartbeat) -> list[str]:
    """What people said where it takes part, and agents to it, that no turn has answered."""
    since = max(row.mark.message, _newest_message(tx) - NEWEST_MESSAGES)
    rows = tx.all(
        "select m.sender_type, m.text from message m where m.company=? and m.seq>? "
        "and m.conversation in (select id from conversation where company=? and type='team' "
        "union all select conversation from participant where ref=? and kind='agent') "
        "and (m.sender_type='human' or m.target_agent=?) and coalesce(m.sender, '')<>? "
        "and not exists(select 1 from turn t where t.message=m.id) order by m.seq limit ?",
        (
            tx.company, since, tx.company, row.agent, row.agent, row.agent,
            MAX_MESSAGES,
        ),
    )  # fmt: skip
    return [f"{sender}: {' '.join(text.split())}"[:MAX_LINE] for sender, text in rows]


def _inbound(tx: Tx, row: Heartbeat, news: News, orders: str) -> Inbound:
    """The daemon's own words, its orders, and as data what others said."""
    prompt = row.prompt or PROMPT
    content = [_part(prompt)]
    if digest(orders):
        content.append(_part(f"HEARTBEAT.md:\n{orders[:MAX_ORDERS]}"))
    for title, source, lines in (
        ("You were woken for", "wake", news.wakes),
        ("Tasks of yours that others changed", "tasks", news.tasks),
        ("Messages that nobody answered", "messages", news.messages),
    ):
        if lines:
            content += [_part(f"{title}:"), _part("\n".join(lines), source)]
    if not news:
        content.append(_part("Nothing is new."))
    return Inbound(
        agent=row.agent, text=prompt, key=f"heartbeat:{tx.new_id()}", origin=turns.HEARTBEAT,
        mode=turn_inbound.DEFAULT_MODE, message="", given=Given(content=tuple(content)),
    )  # fmt: skip


def _part(text: str, source: str | None = None) -> dict[str, Any]:
    part = {"type": "text", "text": text}
    return part if source is None else part | {"source": source}


# -- what people set -------------------------------------------------------------------------


def change(tx: Tx, agent: str, new: heartbeats.Change) -> Heartbeat:
    """Set an agent's heartbeat. What is open when it is switched on counts as new; what was said
    before then does not. Raises `agent.unknown`, `heartbeat.*`, `session.key`."""
    who = agents.need(tx, tx.company, agent)
    values = heartbeats.checked(new)
    if values.get("enabled"):
        _check_run_here(who)
    target = values.get("target")
    if target is not None and target not in (heartbeats.LAST, heartbeats.MAIN, heartbeats.NONE):
        values["target"] = keys.resolve(target, who.name)
    before = heartbeats.ensure(tx, who.id)
    heartbeats.put(tx, who.id, **values, updated_ms=tx.now_ms)
    row = heartbeats.ensure(tx, who.id)
    moved = row.every_ms != before.every_ms or row.hours != before.hours
    if not row.enabled:
        heartbeats.put(tx, who.id, next_ms=None)
    elif not before.enabled or moved:
        due_ms = rules.next_due(tx.now_ms, row.every_ms, row.hours, tx.now_ms)
        heartbeats.put(tx, who.id, next_ms=due_ms)
    if row.enabled and not before.enabled:
        fresh = Mark(message=_newest_message(tx), at_ms=tx.now_ms)
        heartbeats.put(tx, who.id, mark=heartbeats.keep(fresh))
    tx.emit("heartbeat_set", who.id, {"enabled": row.enabled, "fields": sorted(values)})
    return heartbeats.ensure(tx, who.id)


def _check_run_here(agent: agents.Agent) -> None:
    if agent.executor != turn_inbound.LLM:
        raise Conflict(
            "heartbeat.not_run_here",
            f"{agent.name} is not run by this daemon (executor {agent.executor})",
            f"Let it be: `homarus agent update {agent.name} --executor llm`.",
        )


def wake(tx: Tx, text: str, *, agent: str | None = None, now: bool = True) -> list[str]:
    """Have an agent look now, or tell it at its next heartbeat; None: all whose heartbeat is on.
    Their ids. Raises `heartbeat.*`, `agent.unknown`. Emits `heartbeat_wake`."""
    text = text.strip()
    if len(text) > heartbeats.MAX_WAKE:
        raise Invalid(
            "heartbeat.wake", "the text is too long", f"{heartbeats.MAX_WAKE} characters."
        )
    if agent is not None:
        who = agents.need(tx, tx.company, agent)
        _check_run_here(who)
        rows = [heartbeats.ensure(tx, who.id)]
    else:
        found = heartbeats.listed(tx, tx.company, limit=MAX_AGENTS)
        rows = [row for row in found if row.enabled]
    for row in rows:
        wakes = (*row.wakes, *([text] if text else ()))[-heartbeats.MAX_WAKES :]
        values: dict[str, Any] = {"wakes": heartbeats.keep(wakes)}
        if now:
            values["next_ms"] = tx.now_ms
        heartbeats.put(tx, row.agent, **values)
        tx.emit("heartbeat_wake", row.agent, {"now": now})
    return [row.agent for row in rows]


def set_all(tx: Tx, enabled: bool) -> bool:
    """The company's switch (`set-heartbeats` of the gateway); what it is then."""
    heartbeats.switch_all(tx, enabled)
    return enabled


def last(rx: Rx, company: str) -> dict[str, Any] | None:
    """The newest record of all agents (`last-heartbeat` of the gateway): `ts`, `status`, `agentId`,
    `durationMs`, and where there are any `preview`, `reason`, `to`, `messageId`."""
    rows = heartbeats.listed(rx, company, limit=MAX_AGENTS)
    records = [row.record for row in rows if row.record is not None]
    return max(records, key=lambda record: int(record["ts"]), default=None)

"""Tools of talk between people and agents: messages, send, spawn.

Words and work for another agent go with a routing note that names the task they come from: the
standing task of the conversation for words, a real one for work (governance contract, 4).
"""

from typing import Annotated, Final

import msgspec

from homarus.agents.tools.files import shown
from homarus.agents.tools.hands import Hands, need_work
from homarus.agents.tools.tool import Tool, number, told, truth, words
from homarus.base.clock import iso_ms
from homarus.conversations import rules, service, sql
from homarus.conversations.model import Draft, SenderType
from homarus.flows import hearing, spawning
from homarus.flows.turn_tools import Result
from homarus.kernel import contexts, routing
from homarus.kernel.routing import Note, Perm
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as tasks

MAX_LISTED: Final = 50
TEAM: Final = "team"
WHO: Final = "An agent: its name or id."


class ListArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    thread: Annotated[str, words("Id of a thread; empty: this conversation.", 80)] = ""
    limit: Annotated[int, number("How many, the newest.", 1, MAX_LISTED)] = 20


class MessageArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    thread: Annotated[str, words("Id of a thread, or `team`.", 80, 1)]
    text: Annotated[str, words("The message.", 20_000, 1)]


class SendArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    agent: Annotated[str, words(WHO, 200, 1)]
    text: Annotated[str, words("What you want it to know.", 20_000, 1)]


class SpawnArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    agent: Annotated[str, words(WHO, 200, 1)]
    title: Annotated[str, words("What it is to do, in one line.", 500, 1)]
    description: Annotated[str, words("All that it must know.", 20_000)] = ""
    read_only: Annotated[bool, truth("It may look, and change nothing.")] = False


def tools() -> tuple[Tool, ...]:
    return (
        Tool("message_list", "Read the newest messages of a thread.", _list, "read",
             "thread:<thread>", ListArguments, harmless=True),
        Tool("message_send", "Write into another thread than this one.", _message,
             "message.send", "thread:<thread>", MessageArguments),
        Tool("send", "Tell another agent something.", _send, "session.send", "agent:<agent>",
             SendArguments),
        Tool("spawn", "Give another agent a task; `task_wait` gives its result.", _spawn,
             "session.spawn", "agent:<agent>", SpawnArguments),
    )  # fmt: skip


async def _list(given: ListArguments, hands: Hands) -> Result:
    thread = given.thread or hands.started.session.conversation
    lines = await hands.store.read(_lines, hands.started.agent.company, thread, given.limit)
    target = f"thread:{thread}"
    result = told("\n".join(lines) or "[empty]", source=target, messages=len(lines))
    return await hands.apply("read", shown, result, target=target)


def _lines(rx: Rx, company: str, thread: str, limit: int) -> list[str]:
    place = service.need(rx, company, thread)
    rows = sql.page(rx, place.id, limit=limit)
    rows = sorted(rows, key=lambda row: row.seq)
    return [f"[{iso_ms(row.created_ms)[:16]} {row.sender_type}] {row.text}" for row in rows]


async def _message(given: MessageArguments, hands: Hands) -> Result:
    thread = given.thread.lower()
    if thread != TEAM:
        place = await hands.store.read(service.need, hands.started.agent.company, thread)
        thread = place.id
    return await hands.apply("message.send", _post, thread, given.text, target=f"thread:{thread}")


def _post(tx: Tx, thread: str, text: str) -> Result:
    place = service.team(tx) if thread == TEAM else service.need(tx, tx.company, thread)
    who = rules.sender(tx.actor, None, None, SenderType.AGENT)
    row, _ = service.post(tx, place, Draft(who, text, metadata=rules.metadata(None, who)))
    return told("Sent.", message=row.id, thread=place.id)


async def _send(given: SendArguments, hands: Hands) -> Result:
    agent, standing = hands.started.agent, hands.started.task
    note = await hands.store.read(note_of, agent.company, standing.id, agent.id)
    return await hands.apply(
        "session.send", _say, given, hearing.root_of(hands.started.turn),
        target=f"agent:{given.agent}", callee=given.agent, note=routing.render(note),
    )  # fmt: skip


def _say(tx: Tx, given: SendArguments, root: str) -> Result:
    row = spawning.send(tx, spawning.Send(given.agent, given.text, root))
    return told(f"Sent to {given.agent}.", message=row.id)


async def _spawn(given: SpawnArguments, hands: Hands) -> Result:
    work = need_work(hands, "session.spawn")
    agent = hands.started.agent
    note = await hands.store.read(note_of, agent.company, work, agent.id)
    if given.read_only:
        note = msgspec.structs.replace(note, perm=Perm.READ)
    return await hands.apply(
        "session.spawn", _give, given, target=f"agent:{given.agent}", callee=given.agent,
        note=routing.render(note),
    )  # fmt: skip


def _give(tx: Tx, given: SpawnArguments) -> Result:
    spec = {"title": given.title} | ({"description": given.description} if given.description
                                     else {})  # fmt: skip
    made = spawning.spawn(tx, spawning.Spawn(given.agent, spec))
    task = made.claim.task
    return told(
        f"{task.number} is {given.agent}'s, with permission {made.position.perm.value}. "
        "Wait for its result with `task_wait`.",
        task=task.id, number=task.number, perm=made.position.perm.value,
    )  # fmt: skip


def note_of(rx: Rx, company: str, task: str, agent: str) -> Note:
    """The short routing note with which an agent passes on what it may itself."""
    row = tasks.need(rx, company, task, archived=True)
    who = rx.one("select name, role from agent where id=?", (agent,)) or (agent, None)
    perm = routing.own_perm(who[1])
    found = contexts.position(rx, row.id, row.trace, agent)
    return Note(agent, row.id, row.trace, perm if found is None else routing.meet(perm, found.perm))

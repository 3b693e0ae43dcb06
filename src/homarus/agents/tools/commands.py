"""exec and process: registered commands, by the same calls as every other surface.

    exec      preflight -> request (one unit: judged as the capability itself) -> a worker runs it
              -> its outcome, waited for within bounds; what takes longer has a handle
    process   how a handle stands; kill

A call of the tool asks once: done again after a crash, it finds what it had asked for. A command is
a real task's act; one that needs an approval is refused with it, and the turn waits.
"""

import asyncio
from typing import Annotated, Any, Final

import msgspec

from homarus.agents.tools.files import shown
from homarus.agents.tools.hands import WORKER, Hands, need_work
from homarus.agents.tools.tool import Tool, number, told, words
from homarus.base.action import Action, Effect
from homarus.base.errors import Invalid
from homarus.base.redact import redact_text
from homarus.conversations import turns
from homarus.flows import calling, thinking
from homarus.flows.calling import Call
from homarus.flows.turn_tools import Result
from homarus.kernel import registry, targets
from homarus.kernel.argv import Template
from homarus.kernel.capabilities import BUILTIN
from homarus.store.port import Rx, Store, Tx
from homarus.tasks import sql as tasks

MAX_WAIT_S: Final = 600
ENDED: Final = ("done", "failed", "unknown")
ACTIONS: Final = ("poll", "kill")


class ExecArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    capability: Annotated[str, words("Id of a registered command, such as files.count.", 100, 1)]
    arguments: Annotated[dict[str, Any], msgspec.Meta(
        description="Its arguments by name, as its schema and slots want them.")] = {}  # fmt: skip
    target: Annotated[str, words("What it acts on; default: the task.", targets.MAX_TARGET)] = ""
    wait_s: Annotated[int, number("How long to wait for its end.", 0, MAX_WAIT_S)] = 60


class ProcessArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    handle: Annotated[str, words("As exec gave it.", 80, 1)]
    action: Annotated[str, words("poll or kill.", 10)] = "poll"
    wait_s: Annotated[int, number("How long to wait for its end.", 0, MAX_WAIT_S)] = 10


def tools() -> tuple[Tool, ...]:
    return (
        Tool("exec", "Run a registered command in the sandbox. Find it with query_capabilities.",
             _exec, "the command itself", "task:<task>", ExecArguments, harmless=True),
        Tool("process", "Look after a command that still runs, or end it.", _process,
             "call.cancel", "call:<handle>", ProcessArguments, harmless=True),
    )  # fmt: skip


async def _exec(given: ExecArguments, hands: Hands) -> Result:
    agent = hands.started.agent
    call = await hands.store.read(calling.of_tool_call, agent.company, hands.call.id)
    if call is None:
        call = await _request(given, hands)
    return result_of(await ended(hands.store, call, given.wait_s))


async def _request(given: ExecArguments, hands: Hands) -> Call:
    """Judged as the capability, on its target. Raises what the kernel refuses."""
    agent, turn = hands.started.agent, hands.started.turn
    if given.capability in BUILTIN:
        raise Invalid("call.builtin", f"`{given.capability}` is built in and no command",
                      "Use the tool for it.")  # fmt: skip
    row = await hands.store.read(calling.check, agent.company, given.capability, given.arguments)
    Template.parse(row.argv, row.slots).render(given.arguments)
    work = need_work(hands, given.capability)
    target = targets.check_target(given.target) if given.target else f"task:{work}"
    new = calling.NewCall(
        row.id, work, target, given.arguments,
        calling.digest_of(row.id, target, given.arguments), tool_call=hands.call.id,
    )  # fmt: skip
    preflight = await think(hands, work, row, target)
    action = act(hands, work, row.id, target, Effect(row.effect), preflight, new.digest,
                 redact_text(msgspec.json.encode(given.arguments).decode()))  # fmt: skip
    return await hands.store.write(action, _requested, turn.id, turn.token, new)


def act(
    hands: Hands, work: str, capability: str, target: str, effect: Effect, preflight: str | None,
    digest: bytes, what: str,
) -> Action:  # fmt: skip
    """An act of the turn's agent for its real task."""
    started = hands.started
    return Action(
        started.turn.company, capability, target, effect, system=WORKER, acting=started.agent.id,
        task=work, trace=started.task.trace, preflight=preflight, arguments=digest,
        what=what[:1_000],
    )  # fmt: skip


def _requested(tx: Tx, turn: str, token: int, new: calling.NewCall) -> Call:
    """While the turn is its worker's own; asked a second time, what there is."""
    turns.held(tx, turn, token)
    return calling.of_tool_call(tx, tx.company, new.tool_call or "") or calling.request(tx, new)


async def think(hands: Hands, work: str, row: registry.Capability, target: str) -> str | None:
    """The preflight of an act that the task is not bound to (governance contract, 5); its id. What
    the model names by its id is found; whether it is granted is the permission rule's word."""
    agent = hands.started.agent
    thought = await hands.store.read(_thought, agent.company, agent.id, row, work, target)
    if thought is None:
        return None
    action = Action(
        agent.company, "preflight.create", "preflight:new", system=WORKER, acting=agent.id,
        task=work, trace=hands.started.task.trace,
    )  # fmt: skip
    return await hands.store.write(action, _keep, agent.id, thought)


def _thought(
    rx: Rx, company: str, agent: str, row: registry.Capability, work: str, target: str
) -> thinking.Thought | None:
    """None: the claim of the task covers it."""
    if tasks.spec_of(rx, work).capability == row.id and target == f"task:{work}":
        return None
    who = thinking.of_agent(rx, company, agent)
    thought = thinking.think(rx, company, who, f"{row.title} ({row.id})"[:1_000], work)
    own = [(row.id, f"task:{work}"), (row.id, f"task:{work}/**")]
    if targets.matches(row.targets, target):
        own.append((row.id, target))
    return msgspec.structs.replace(thought, scope=(*own, *thought.scope))


def _keep(tx: Tx, agent: str, thought: thinking.Thought) -> str:
    return thinking.keep(tx, agent, thought).id


# -- outcomes --------------------------------------------------------------------------------


async def ended(store: Store, call: Call, wait_s: float) -> Call:
    """The call once it has ended, or as it stands when the time is up."""
    changed = asyncio.Event()
    undo = store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(wait_s):
            while call.state not in ENDED:
                changed.clear()
                call = await store.read(calling.need, call.company, call.id)
                if call.state not in ENDED:
                    await changed.wait()
    except TimeoutError:
        return await store.read(calling.need, call.company, call.id)
    finally:
        undo()
    return call


def result_of(call: Call) -> Result:
    """Exit code, output and errors of a call, or its handle while it runs."""
    details = {"handle": call.id, "state": call.state, "source": f"command:{call.capability}"}
    if call.state not in ENDED:
        return told(f"{call.capability} is {call.state}. Its handle: {call.id}", **details)
    output = call.output or {}
    lines = [f"{call.capability}: {call.state}" + (f" ({call.reason})" if call.reason else "")]
    for name in ("exitCode", "sandbox", "error"):
        if output.get(name) is not None:
            lines.append(f"{name}: {output[name]}")
            details[name] = output[name]
    for name in ("stdout", "stderr"):
        if output.get(name):
            lines.append(f"{name}:\n{output[name]}")
    result = told("\n".join(lines), **details)
    return msgspec.structs.replace(result, is_error=call.state != "done")


async def _process(given: ProcessArguments, hands: Hands) -> Result:
    agent = hands.started.agent
    if given.action not in ACTIONS:
        raise Invalid("process.action", f"no action {given.action!r}", f"One of {list(ACTIONS)}.")
    call = await hands.store.read(_own, agent.company, given.handle, agent.id)
    if given.action == "kill":
        turn = hands.started.turn
        action = Action(agent.company, "call.cancel", f"call:{call.id}", system=WORKER,
                        acting=agent.id, task=hands.started.task.id)  # fmt: skip
        call = await hands.store.write(action, _cancelled, turn.id, turn.token, call.id)
    result = result_of(await ended(hands.store, call, given.wait_s))
    result = msgspec.structs.replace(result, is_error=False)
    return await hands.apply("read", shown, result, target=f"call:{call.id}")


def _own(rx: Rx, company: str, handle: str, agent: str) -> Call:
    """Raises `call.unknown`, also for another agent's."""
    call = calling.need(rx, company, handle.lower())
    return call if call.agent == agent else calling.need(rx, company, "")


def _cancelled(tx: Tx, turn: str, token: int, call: str) -> Call:
    turns.held(tx, turn, token)
    return calling.cancel(tx, call)

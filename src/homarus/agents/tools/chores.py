"""Tools over tasks: the same flows as every other surface, for the agent whose turn it is."""

import asyncio
from typing import Annotated, Any, Final

import msgspec

from homarus.agents.tools.files import shown
from homarus.agents.tools.hands import Hands
from homarus.agents.tools.tool import Tool, number, told, truth, words
from homarus.base.errors import Invalid
from homarus.company import agents, projects
from homarus.flows import claiming, creating, editing, reporting
from homarus.flows.turn_tools import Result
from homarus.store.port import Rx, Tx
from homarus.tasks import rules, sql
from homarus.tasks.model import LEASE_MS, Spec, State, Task

MAX_LISTED: Final = 50
MAX_NOTES: Final = 20
MAX_WAIT_S: Final = 300
MAX_OUTPUT: Final = 20_000
OVER: Final = (State.DONE, State.FAILED, State.DEAD_LETTER, State.ARCHIVED)
STUCK: Final = (State.BLOCKED, State.REVIEW)
"""States that only somebody else's word ends."""

TYPE: Final = "chat_task"
TASK: Final = "A task: its number (T-12) or id."

Ref = Annotated[str, words(TASK, 80, 1)]


class ListArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    state: Annotated[str, words("inbox, in_progress, review, done, failed.", 40)] = ""
    mine: Annotated[bool, truth("Only those that are yours.")] = False
    limit: Annotated[int, number("How many, newest first.", 1, MAX_LISTED)] = 20


class GetArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    task: Ref


class CreateArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: Annotated[str, words("What is to be done, in one line.", 500, 1)]
    description: Annotated[str, words("All that its doer must know.", 20_000)] = ""
    project: Annotated[str, words("Id; default: the newest active project.", 80)] = ""
    role: Annotated[str, words("Role that it is for; default: any.", 100)] = ""
    done_when: Annotated[tuple[str, ...], msgspec.Meta(
        description="Definition of Done, a line each.", max_length=20)] = ()  # fmt: skip


class ClaimArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    task: Annotated[str, words(f"{TASK} Empty: the one that fits you best.", 80)] = ""


class NoteArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    task: Ref
    text: Annotated[str, words("The note.", 20_000, 1)]


class ResultArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    task: Ref
    state: Annotated[str, words("done, failed, review, in_progress, or inbox to hand back.", 40)]
    output: Annotated[Any, msgspec.Meta(description="The result: text or an object.")] = None
    comment: Annotated[str, words("One or two sentences.", 4_000)] = ""


class WaitArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    task: Ref
    wait_s: Annotated[int, number("How long at most, in seconds.", 1, MAX_WAIT_S)] = 60


def tools() -> tuple[Tool, ...]:
    about = "task:<task>"
    return (
        Tool("task_list", "List tasks of the company.", _list, "read", "task:", ListArguments,
             harmless=True),
        Tool("task_get", "Read a task: what it wants, its state, notes and result.", _get,
             "read", about, GetArguments, harmless=True),
        Tool("task_create", "Make a task. It is done by whoever it fits.", _create,
             "task.create", "task:new", CreateArguments),
        Tool("task_claim", "Take a task into your hands.", _claim, "task.claim", about,
             ClaimArguments),
        Tool("task_note", "Write a note on a task.", _note, "task.note", about, NoteArguments),
        Tool("task_result", "Report on a task that you hold.", _result, "task.result", about,
             ResultArguments),
        Tool("task_wait", "Wait until a task has ended, and get its result.", _wait, "read", about,
             WaitArguments, harmless=True),
    )  # fmt: skip


# -- reading -------------------------------------------------------------------------------


def outline(task: Task, spec: Spec) -> dict[str, Any]:
    title = str(spec.input.get("title") or spec.input.get("goal") or "")
    return {"task": task.number, "id": task.id, "state": task.state.value, "title": title[:300]}


def outcome(rx: Rx, company: str, ref: str) -> dict[str, Any]:
    """How a task stands, typed: `ended`, and its result or why it waits. Raises `task.unknown`."""
    task = sql.need(rx, company, ref)
    result = sql.result_of(rx, task.id)
    found = outline(task, sql.spec_of(rx, task.id)) | {
        "ended": task.state in OVER, "reason": task.reason,
    }  # fmt: skip
    if result is not None:
        found |= {"output": _bounded(result.output), "comment": result.comment}
    return found


def _bounded(output: Any) -> Any:
    text = msgspec.json.encode(output)
    return output if len(text) <= MAX_OUTPUT else text[:MAX_OUTPUT].decode("utf-8", "replace") + "…"


def _listing(rx: Rx, company: str, given: ListArguments, agent: str) -> list[dict[str, Any]]:
    rows = sql.listed(
        rx, company, limit=given.limit, agent=agent if given.mine else None,
        states=rules.wire_states(given.state) if given.state else (),
    )  # fmt: skip
    return [outline(task, spec) for task, spec in rows]


def _detail(rx: Rx, company: str, ref: str) -> dict[str, Any]:
    task = sql.need(rx, company, ref)
    spec = sql.spec_of(rx, task.id)
    holder = None if task.agent is None else agents.by_id(rx, company, task.agent)
    notes = sorted(sql.notes_of(rx, task.id).values(), key=lambda note: note.created_ms)
    return outcome(rx, company, task.id) | {
        "type": spec.type,
        "agent": None if holder is None else holder.name,
        "input": _bounded(spec.input),
        "notes": [note.text[:2_000] for note in notes[-MAX_NOTES:]],
    }


async def _list(given: ListArguments, hands: Hands) -> Result:
    agent = hands.started.agent
    rows = await hands.store.read(_listing, agent.company, given, agent.id)
    lines = [f"{row['task']} {row['state']}: {row['title']}" for row in rows]
    result = told("\n".join(lines) or "[none]", source="tasks", tasks=len(rows))
    return await hands.apply("read", shown, result, target="task:")


async def _get(given: GetArguments, hands: Hands) -> Result:
    found = await hands.store.read(_detail, hands.started.agent.company, given.task)
    return await _show(found, hands)


async def _show(found: dict[str, Any], hands: Hands) -> Result:
    target = f"task:{found['id']}"
    result = told(_json(found), source=target, state=found["state"], ended=found["ended"])
    return await hands.apply("read", shown, result, target=target)


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()


async def _wait(given: WaitArguments, hands: Hands) -> Result:
    company = hands.started.agent.company
    found = await _ended(hands, company, given.task, given.wait_s)
    return await _show(found, hands)


async def _ended(hands: Hands, company: str, ref: str, wait_s: float) -> dict[str, Any]:
    """How it stands once it has ended or is stuck, or when the time is up."""
    changed = asyncio.Event()
    undo = hands.store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(wait_s):
            while True:
                changed.clear()
                found = await hands.store.read(outcome, company, ref)
                if found["ended"] or State(found["state"]) in STUCK:
                    return found
                await changed.wait()
    except TimeoutError:
        return await hands.store.read(outcome, company, ref) | {
            "limit": f"not ended after {wait_s:.0f} s"
        }
    finally:
        undo()


# -- writing -------------------------------------------------------------------------------


async def _create(given: CreateArguments, hands: Hands) -> Result:
    return await hands.apply("task.create", create_task, given, target="task:new")


def create_task(tx: Tx, given: CreateArguments) -> Result:
    spec: dict[str, Any] = {"title": given.title}
    more = {"description": given.description, "ownerRole": given.role,
            "definitionOfDone": list(given.done_when)}  # fmt: skip
    spec |= {key: value for key, value in more.items() if value}
    new = creating.NewTask(
        project=project_of(tx, tx.company, given.project), type=TYPE, spec=spec,
        allow_underspecified=True,
    )  # fmt: skip
    made = creating.create(tx, new)
    task = made.task
    why = f" ({task.reason})" if task.reason else ""
    return told(f"{task.number} is {task.state.value}{why}: {given.title}", task=task.id,
                number=task.number)  # fmt: skip


def project_of(rx: Rx, company: str, ref: str) -> str:
    """The project named, else the newest active one. Raises `project.unknown`, `project.none`."""
    if ref.strip():
        return projects.need(rx, company, ref.strip()).id
    rows = projects.listed(rx, company, limit=1, status="active")
    if not rows:
        raise Invalid("project.none", "the company has no active project",
                      "Somebody makes one first: `homarus project create`.")  # fmt: skip
    return rows[0].id


async def _claim(given: ClaimArguments, hands: Hands) -> Result:
    return await hands.apply(
        "task.claim", _take, hands.started.agent.name, given.task, target=f"task:{given.task}"
    )


def _take(tx: Tx, agent: str, ref: str) -> Result:
    request = claiming.ClaimRequest(owner=agent, task=ref or None, lease_ms=LEASE_MS)
    claimed = claiming.claim(tx, request)
    if claimed is None:
        return told("There is no task that fits you now.")
    tx.about(task=claimed.task.id, trace=claimed.task.trace)
    return told(_json(outline(claimed.task, claimed.spec) | {"input": claimed.spec.input}),
                task=claimed.task.id, source=f"task:{claimed.task.id}")  # fmt: skip


async def _note(given: NoteArguments, hands: Hands) -> Result:
    return await hands.apply("task.note", _write, given, target=f"task:{given.task}")


def _write(tx: Tx, given: NoteArguments) -> Result:
    editing.note(tx, given.task, given.text, None)
    return told(f"Noted on {given.task}.")


async def _result(given: ResultArguments, hands: Hands) -> Result:
    return await hands.apply("task.result", _report, given, target=f"task:{given.task}")


def _report(tx: Tx, given: ResultArguments) -> Result:
    request = reporting.ResultRequest(
        given.task, given.state, given.output, given.comment or None
    )  # fmt: skip
    task = reporting.result(tx, request)
    return told(
        f"{task.number} is {task.state.value}." + (f" {task.reason}" if task.reason else "")
    )

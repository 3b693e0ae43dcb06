"""One task: what it asks for, where it stands, and its time line of events and refusals."""

from typing import Any, Final

import msgspec

from homarus.base.errors import HomarusError
from homarus.control_plane.timeline import events_about
from homarus.conversations import sql as talk
from homarus.kernel import receipts
from homarus.store.port import Event, Rx
from homarus.tasks import sql
from homarus.tasks.model import DoneItem, Result, Spec, State, Task
from homarus.web.queries.names import Names

MAX_LINES: Final = 200
MAX_TEXT: Final = 20_000
MAX_LINKS: Final = 100
WORDS: Final = {
    "task_generated": "created",
    "task_review": "handed in for review",
    "task_inbox": "put back",
    "task_in_progress": "reported progress",
    "lease_expired_retry": "lost its lease; queued again",
    "dead_lettered": "gave up: too many retries",
    "task_gated": "passed the gates",
    "task_audited": "audited",
    "task_accepted": "answered the finished work",
    "brief_written": "wrote the reverse brief",
    "brief_decided": "answered the reverse brief",
}


class Moment(msgspec.Struct, frozen=True):
    """A line of the time line. `text`: what an agent or person wrote, bounded."""

    at_ms: int
    who: str
    what: str
    text: str | None = None
    state: str | None = None
    refused: bool = False


class Link(msgspec.Struct, frozen=True):
    id: str
    number: str
    title: str
    state: State


class Source(msgspec.Struct, frozen=True):
    """The message that a task was made of."""

    thread: str
    seq: int


class Detail(msgspec.Struct, frozen=True):
    task: Task
    spec: Spec
    title: str
    who: str | None
    reviewer: str | None
    project: str
    result: Result | None
    items: list[DoneItem]
    needs: list[Link]
    frees: list[Link]
    moments: list[Moment]
    cut: bool
    said: Source | None


def detail(rx: Rx, company: str, ref: str) -> Detail | None:
    """A task by `T-192` or id, archived ones too; None when there is no such task."""
    try:
        task = sql.need(rx, company, ref, archived=True)
    except HomarusError:
        return None
    spec = sql.spec_of(rx, task.id)
    names = Names(rx, company)
    goal = rx.one("select substr(goal, 1, 120) from project where id=?", (task.project,))
    moments = _moments(rx, company, task, names)
    return Detail(
        task=task,
        spec=spec,
        title=str(spec.input.get("title") or spec.type),
        who=task.member or (names.agent(task.agent) if task.agent else None),
        reviewer=names.agent(task.reviewer) if task.reviewer else None,
        project="" if goal is None else f"{names.project(task.project)} {goal[0]}",
        result=sql.result_of(rx, task.id),
        items=sql.done_items(rx, task.id),
        needs=_links(rx, "select blocker from task_dependency where task=? limit ?", task.id),
        frees=_links(rx, "select task from task_dependency where blocker=? limit ?", task.id),
        moments=moments[-MAX_LINES:],
        cut=len(moments) > MAX_LINES,
        said=_source(rx, company, task.id),
    )


def _source(rx: Rx, company: str, task: str) -> Source | None:
    message = talk.message_of_task(rx, task)
    said = None if message is None else talk.message(rx, company, message)
    return None if said is None else Source(said.conversation, said.seq)


def _links(rx: Rx, ids: str, task: str) -> list[Link]:
    found = []
    for (other,) in rx.all(ids, (task, MAX_LINKS)):
        row = rx.one(
            "select t.seq, t.state, s.input, s.type from task t join task_spec s on s.task=t.id "
            "where t.id=?",
            (other,),
        )
        if row is not None:
            title = msgspec.json.decode(row[2]).get("title") or row[3]
            found.append(Link(other, f"T-{row[0]}", str(title), State(row[1])))
    return found


def _moments(rx: Rx, company: str, task: Task, names: Names) -> list[Moment]:
    notes = sql.notes_of(rx, task.id)
    lines = []
    state = None
    for event in events_about(rx, company, task.id, MAX_LINES + 1):
        lines.append(_moment(event, names, notes, state))
        state = event.data.get("s", state)
    no = rx.one("select no from company where id=?", (company,))
    if no is not None:
        lines += [
            Moment(
                at_ms=_ms(rx, no[0], receipt.seq),
                who=names.actor(receipt.actor),
                what=f"{receipt.verdict} {receipt.capability}",
                text=receipt.reason,
                refused=True,
            )
            for receipt in receipts.about(rx, company, no[0], "task", task.id)
            if receipt.verdict != "allow"
        ]
    return sorted(lines, key=lambda line: line.at_ms)


def _ms(rx: Rx, company_no: int, seq: int) -> int:
    row = rx.one("select at_ms from receipt where company_no=? and seq=?", (company_no, seq))
    return 0 if row is None else int(row[0])


def _moment(event: Event, names: Names, notes: dict[str, Any], before: str | None) -> Moment:
    """`before`: the state that the task had; named only when the event changed it."""
    data = event.data
    note = notes.get(data.get("n", ""))
    text = note.text if note is not None else data.get("c")
    return Moment(
        at_ms=event.at_ms,
        who=names.actor(event.actor),
        what=WORDS.get(event.kind) or event.kind.removeprefix("task_").replace("_", " "),
        text=None if text is None else str(text)[:MAX_TEXT],
        state=data.get("s") if data.get("s") != before else None,
    )

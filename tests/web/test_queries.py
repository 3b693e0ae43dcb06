"""What the pages read, on both engines; and that no page walks a big table to the end."""

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from homarus.base.action import VerdictKind
from homarus.base.errors import Conflict, HomarusError
from homarus.base.ids import new_id
from homarus.company import agents, projects
from homarus.company.agents import AgentChange
from homarus.company.founding import Company
from homarus.conversations import service as talk
from homarus.conversations import turns
from homarus.conversations.model import Draft, Message, Sender, SenderType
from homarus.flows import creating, hearing, stopping, turning
from homarus.kernel import approvals
from homarus.records import incidents
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as task_sql
from homarus.tasks.model import State
from homarus.tasks.sql import need
from homarus.testing.stores import OpenStore, opened, postgres_store, sqlite_store
from homarus.web import views
from homarus.web.queries import WINDOW, board, counted, desk, halt, ledger, roster, task, threads
from tests.support.traced import Explaining

ENGINES = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=ENGINES)
async def ground(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    opener = sqlite_store
    if request.param == "postgres":
        opener = postgres_store(request.getfixturevalue("postgres_url"))
    async with opened(opener, tmp_path) as made:
        yield made


async def act(ground: OpenStore, fn: Callable[..., Any], *args: Any) -> Any:
    return await ground.store.write(ground.action("task.dispatch"), fn, *args)


async def read(ground: OpenStore, fn: Callable[..., Any], *args: Any) -> Any:
    return await ground.store.read(fn, *args)


def _agent(tx: Tx, name: str, role: str) -> str:
    return agents.create(tx, AgentChange(name=name, role=role)).id


def _project(tx: Tx, goal: str) -> str:
    return projects.create(tx, {"goal": goal}).id


def _task(tx: Tx, project: str, title: str, state: str, agent: str | None = None) -> str:
    new = creating.NewTask(project, "tidy_archive", {"title": title}, allow_underspecified=True)
    made = creating.create(tx, new).task.id
    tx.run("update task set state=?, agent=? where id=?", (state, agent, made))
    return made


def _bulk(tx: Tx, project: str, state: str, first: int, n: int, role: str | None = None) -> None:
    for seq in range(first, first + n):
        made = new_id()
        tx.run(
            "insert into task(id, seq, company, project, state, trace, created_ms, updated_ms) "
            "values(?,?,?,?,?,?,?,?)",
            (made, seq, tx.company, project, state, made, tx.now_ms, tx.now_ms),
        )
        tx.run(
            "insert into task_spec(task, type, role) values(?,?,?)", (made, "tidy_archive", role)
        )


async def bulk(ground: OpenStore, project: str, state: State, n: int, role: str | None) -> None:
    for first in range(1, n + 1, 100):
        await act(ground, _bulk, project, state.value, first, min(100, n + 1 - first), role)


# -- the Board -------------------------------------------------------------------------------


async def test_each_column_holds_the_tasks_of_its_state(ground: OpenStore) -> None:
    project = await act(ground, _project, "goal")
    coder = await act(ground, _agent, "coder", "scoder")
    for state in board.COLUMNS:
        for n in (1, 2):
            await act(ground, _task, project, f"{state} {n}", state.value, coder)
    columns = await read(ground, board.board, ground.company, board.COLUMNS, board.Filter())
    titles = {column.state: [card.title for card in column.cards] for column in columns}
    for state in board.COLUMNS:
        order = (2, 1) if state in board.NEWEST_FIRST else (1, 2)
        assert titles[state] == [f"{state} {n}" for n in order]
    assert all(card.who == "coder" for column in columns for card in column.cards)


@pytest.mark.parametrize("state", [State.QUEUED, State.DONE])
async def test_pages_of_a_column_show_every_task_once(ground: OpenStore, state: State) -> None:
    project = await act(ground, _project, "goal")
    await bulk(ground, project, state, 120, None)
    seen: list[str] = []
    after = None
    for expected in (50, 50, 20):
        (column,) = await read(ground, board.board, ground.company, (state,), board.Filter(), after)
        assert (len(column.cards), column.count) == (expected, "120")
        seen += [card.number for card in column.cards]
        after = column.last
    assert after is None
    numbers = [f"T-{n}" for n in range(1, 121)]
    assert seen == (numbers[::-1] if state is State.DONE else numbers)


async def test_a_filter_looks_through_a_window_and_says_so(ground: OpenStore) -> None:
    project = await act(ground, _project, "goal")
    await bulk(ground, project, State.QUEUED, WINDOW + 600, None)
    await act(ground, _bulk, project, State.QUEUED.value, 5_000, 3, "marketer")
    chosen = board.Filter(role="marketer")
    (column,) = await read(ground, board.board, ground.company, (State.QUEUED,), chosen)
    assert (column.cards, column.count, column.looked) == ([], "0", WINDOW)
    while column.looked:
        (column,) = await read(
            ground, board.board, ground.company, (State.QUEUED,), chosen, column.last
        )
    assert [card.number for card in column.cards] == ["T-5000", "T-5001", "T-5002"]
    assert (column.count, column.last, column.looked) == ("3", None, None)
    (all_,) = await read(ground, board.board, ground.company, (State.QUEUED,), board.Filter())
    assert all_.count == "999+"


def _for_role(tx: Tx, agent: str, role: str) -> None:
    tx.run("update task_spec set role=? where task in (select id from task where agent=?)",
           (role, agent))  # fmt: skip


@pytest.mark.parametrize("by", ["project", "agent", "role"])
async def test_filters_narrow(ground: OpenStore, by: str) -> None:
    mine, other = [await act(ground, _project, goal) for goal in ("mine", "other")]
    coder = await act(ground, _agent, "coder", "scoder")
    await act(ground, _task, mine, "wanted", "queued", coder)
    await act(ground, _task, other, "not", "queued")
    await act(ground, _for_role, coder, "scoder")
    chosen = board.Filter(**{by: {"project": mine, "agent": coder, "role": "scoder"}[by]})
    (column,) = await read(ground, board.board, ground.company, (State.QUEUED,), chosen)
    assert ([card.title for card in column.cards], column.count) == (["wanted"], "1")


@pytest.mark.parametrize("title", ["a\x00b", "", "\u202eevil", "x" * 5_000, "<b>bold</b>"])
async def test_any_title_can_be_listed(ground: OpenStore, title: str) -> None:
    project = await act(ground, _project, "goal")

    def hostile(tx: Tx) -> None:
        made = _task(tx, project, "plain", "queued")
        spec = task_sql.spec_of(tx, made)
        task_sql.set_input(tx, made, {**spec.input, "title": title})

    await act(ground, hostile)
    (column,) = await read(ground, board.board, ground.company, (State.QUEUED,), board.Filter())
    assert len(column.cards) == 1
    assert len(column.cards[0].title) <= 200


@pytest.mark.parametrize(
    ("n", "more", "words"),
    [(0, False, "0"), (999, False, "999"), (1_000, False, "999+"), (3, True, "999+")],
)
def test_counts_stop(n: int, more: bool, words: str) -> None:
    assert counted(n, more=more) == words


# -- agents ----------------------------------------------------------------------------------

NOW = 10_000_000


@pytest.mark.parametrize(
    ("suspended", "active", "status", "seen_ms", "expected"),
    [
        (True, 1, "online", NOW, "suspended"),
        (False, 1, "online", NOW - 1_000, "working"),
        (False, 1, "online", NOW - roster.SILENT_MS, "silent"),
        (False, 1, "offline", None, "working"),
        (False, 0, "offline", None, "never"),
        (False, 0, "online", NOW - roster.SILENT_MS + 1, "online"),
        (False, 0, "online", NOW - roster.SILENT_MS, "silent"),
        (False, 0, "offline", NOW, "offline"),
    ],
)
def test_an_agents_state_is_what_its_rows_bear_out(
    suspended: bool, active: int, status: str, seen_ms: int | None, expected: str
) -> None:
    state = roster.state_of(
        suspended=suspended, active=active, status=status, seen_ms=seen_ms, now_ms=NOW
    )
    assert state == expected


async def test_the_roster_goes_by_name_in_pages(ground: OpenStore) -> None:
    for n in range(60):
        await act(ground, _agent, f"agent-{n:02}", "scoder")
    first = await read(ground, roster.roster, ground.company)
    second = await read(ground, roster.roster, ground.company, first.last)
    assert [row.name for row in (*first.rows, *second.rows)] == [f"agent-{n:02}" for n in range(60)]
    assert (first.count, second.last) == ("60", None)


async def test_an_agents_page_shows_work_and_permissions(ground: OpenStore) -> None:
    project = await act(ground, _project, "goal")
    coder = await act(ground, _agent, "coder", "scoder")
    await act(ground, _task, project, "now", "in_progress", coder)
    await act(ground, _task, project, "before", "done", coder)
    found = await read(ground, roster.profile, ground.company, coder)
    assert found is not None
    assert [(state, items[0].title) for state, items, _ in found.work] == [
        (State.IN_PROGRESS, "now"),
        (State.DONE, "before"),
    ]
    may = {item.id for item in found.may}
    assert "task.claim" in may
    assert "stop.lift" not in may
    assert await read(ground, roster.profile, ground.company, new_id()) is None


# -- receipts --------------------------------------------------------------------------------


def _line(**more: Any) -> ledger.Line:
    plain = {
        "id": "i", "seq": 1, "at_ms": 2, "first_ms": 1, "actor": "agent:a", "who": "a",
        "what": "task.note", "target": "task:1", "shown": "T-1", "verdict": "allow", "rule": None,
        "code": None, "reason": None, "outcome": None, "count": 1, "task": "T-1", "trace": None,
        "of": None,
    }  # fmt: skip
    return ledger.Line(**(plain | more))


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        ([_line(), _line(), _line()], [3]),
        ([_line(), _line(verdict="refuse"), _line()], [1, 1, 1]),
        ([_line(count=4), _line()], [5]),
        ([_line(), _line(task="T-2")], [1, 1]),
        ([_line(), _line(outcome="failed")], [1, 1]),
        ([_line(trace="x"), _line(trace="y")], [2]),
        ([], []),
    ],
)
def test_equal_neighbours_fold(lines: list[ledger.Line], counts: list[int]) -> None:
    assert [line.count for line in ledger.fold(lines)] == counts


async def test_receipts_by_verdict_actor_and_task(ground: OpenStore) -> None:
    project = await act(ground, _project, "goal")
    made = await act(ground, _task, project, "title", "queued")
    with pytest.raises(HomarusError):
        await ground.store.write(await ground.refused_action(ground.company), _project, "no")

    async def page(**chosen: Any) -> list[tuple[str, str]]:
        shown = await read(ground, ledger.page, ground.company, 1, ledger.Filter(**chosen), None)
        return [(line.what, line.verdict) for line in shown.lines]

    everything = await page()
    assert everything[0] == ("task.create", "refuse")
    assert await page(verdict=VerdictKind.REFUSE) == [("task.create", "refuse")]
    assert await page(task=made) == [("task.dispatch", "allow")]
    by = await read(ground, ledger.actor_key, ground.company, "system:tests")
    assert ("task.dispatch", "allow") in await page(actor=by)
    assert await page(actor="agent:nobody") == []


async def test_a_failed_act_is_one_line_with_its_outcome(ground: OpenStore) -> None:
    def fails(tx: Tx) -> None:
        raise Conflict("test.failed", "it broke", "")

    with pytest.raises(Conflict):
        await act(ground, fails)
    shown = await read(ground, ledger.page, ground.company, 1, ledger.Filter(), None)
    assert (shown.lines[0].outcome, shown.lines[0].code) == ("failed", "test.failed")
    assert shown.lines[0].of is None


async def test_pages_of_receipts_show_every_row_once(ground: OpenStore) -> None:
    for n in range(70):
        await act(ground, _agent, f"agent-{n}", "scoder")
    seen = 0
    before = None
    while True:
        shown = await read(ground, ledger.page, ground.company, 1, ledger.Filter(), before)
        seen += shown.rows
        assert sum(line.count for line in shown.lines) == shown.rows
        before = shown.last
        if before is None:
            break
    assert seen == shown.total >= 70


async def test_a_tasks_page_tells_its_story(ground: OpenStore) -> None:
    project = await act(ground, _project, "goal")
    made = await act(ground, _task, project, "title", "queued")
    found = await read(ground, task.detail, ground.company, "T-1")
    assert found is not None
    assert (found.task.id, found.title) == (made, "title")
    assert [moment.what for moment in found.moments] == ["created"]
    assert await read(ground, task.detail, ground.company, "T-99") is None
    assert await read(ground, task.detail, ground.company, "nonsense") is None


# -- desk and STOP ---------------------------------------------------------------------------


def _asks(tx: Tx, project: str, risk: str) -> str:
    return approvals.request(
        tx, capability="x.y", target=risk, payload=bytes(32), task=None, agent=None, reason="r",
        risk=risk, project=project, kind="custom",
    ).number  # fmt: skip


def _goes_wrong(tx: Tx, project: str) -> str:
    return incidents.open_incident(
        tx, severity="critical", reason_code="fire", summary="It burns", project=project
    ).number


def _says_stop(tx: Tx, scope: str, subject: str) -> str:
    return stopping.put(tx, scope, subject, "drill").id


async def test_the_desk_lists_by_risk_then_age(ground: OpenStore) -> None:
    project = await act(ground, _project, "goal")
    coder = await act(ground, _agent, "coder", "scoder")
    for state in ("review", "failed", "dead_letter", "blocked", "in_progress", "done", "queued"):
        await act(ground, _task, project, state, state, coder)
    for risk in ("low", "high"):
        await act(ground, _asks, project, risk)
    await act(ground, _goes_wrong, project)
    found = await read(ground, desk.desk, ground.company)
    assert [row.number for row in found.waiting if row.risk == "high"] == ["A-2", "I-1"]
    kinds = {row.kind for row in found.waiting if row.risk == "medium"}
    assert kinds == {"failed", "dead letter", "stuck"}
    assert {row.number for row in found.waiting if row.risk == "low"} == {"A-1", "T-1"}
    assert [row.title for row in found.running] == ["in_progress"]
    assert (found.done, found.failed, found.more) == ("1", "1", False)


@pytest.mark.parametrize("scope", ["company", "project", "agent", "task", "trace"])
async def test_stop_knows_its_last_effect(ground: OpenStore, scope: str) -> None:
    project = await act(ground, _project, "goal")
    coder = await act(ground, _agent, "coder", "scoder")
    made = await act(ground, _task, project, "title", "in_progress", coder)
    trace = (await read(ground, need, ground.company, made)).trace
    subject = {"project": project, "agent": coder, "task": made, "trace": trace}.get(scope, "")
    await act(ground, _says_stop, scope, subject)
    [row] = await read(ground, halt.halts, ground.company, 1)
    assert (row.scope, row.reason, row.ending) == (scope, "drill", 0)


# -- threads ---------------------------------------------------------------------------------


def _run_here(tx: Tx, agent: str) -> None:
    agents.update(tx, agent, AgentChange(executor="llm"))


def _hears(tx: Tx, agent: str, text: str) -> Message:
    draft = Draft(Sender(SenderType.HUMAN, None), text)
    return hearing.post(tx, talk.direct(tx, agent), draft)[0]


def _begin(tx: Tx, turn: str) -> None:
    turning.start(tx, turn, tx.now_ms + 60_000)


def _opens(tx: Tx, n: int) -> None:
    talk.create(tx, "project", title=f"Thread {n}")


def _talks(tx: Tx, place: str, n: int) -> None:
    for k in range(n):
        hearing.say(tx, place, f"word {k}")


async def test_the_list_of_threads_shows_every_one_once(ground: OpenStore) -> None:
    for n in range(52):
        await act(ground, _agent, f"agent-{n:02}", "scoder")
        await act(ground, _opens, n)
    seen_agents: list[str] = []
    seen_others: list[str] = []
    after = before = None
    for expected in (50, 2):
        found = await read(ground, threads.listed, ground.company, after, before)
        assert (len(found.agents), len(found.others)) == (expected, expected)
        assert (found.agents_count, found.others_count) == ("52", "52")
        seen_agents += [row.title for row in found.agents]
        seen_others += [row.title for row in found.others]
        after, before = found.agents_last, found.others_last
    assert (after, before) == (None, None)
    assert seen_agents == [f"agent-{n:02}" for n in range(52)]
    assert seen_others == [f"Thread {n}" for n in reversed(range(52))]


async def test_pages_of_a_thread_show_every_message_once(ground: OpenStore) -> None:
    await act(ground, _talks, "team", 60)
    await act(ground, _talks, "team", 60)
    seen: list[int] = []
    before = None
    for expected in (50, 50, 20):
        place = await read(ground, threads.find, ground.company, "team")
        found = await read(ground, threads.thread, ground.company, place, before)
        assert (len(found.said), found.count) == (expected, "120")
        seen = [row.seq for row in found.said] + seen
        before = found.older
    assert before is None
    assert seen == sorted(set(seen)) and len(seen) == 120


async def test_a_thread_is_found_by_its_id_and_by_its_agents(ground: OpenStore) -> None:
    coder = await act(ground, _agent, "coder", "scoder")
    empty = await read(ground, threads.find, ground.company, coder)
    assert (empty.conversation, empty.ref, empty.here) == (None, coder, False)
    assert (await read(ground, threads.thread, ground.company, empty)).said == []
    await act(ground, _run_here, coder)
    said = await act(ground, _hears, coder, "hello " + "W" * 50_000)
    for ref in (coder, said.conversation, said.conversation.upper()):
        place = await read(ground, threads.find, ground.company, ref)
        assert (place.ref, place.conversation.id, place.here) == (coder, said.conversation, True)
    found = await read(ground, threads.thread, ground.company, place)
    [row] = found.said
    assert (row.state, row.length, len(row.text)) == ("queued", 50_006, 4_200)
    assert [(o.state.value, o.again, o.asked_by[:7]) for o in found.queue] == [
        ("queued", False, "system:"),
    ]  # fmt: skip
    (listed,) = (await read(ground, threads.listed, ground.company)).agents
    assert (listed.busy, listed.waiting, listed.said[:5]) == (False, 1, "hello")
    await act(ground, _dismiss, coder)
    place = await read(ground, threads.find, ground.company, said.conversation)
    assert (place.ref, place.agent, place.title) == (said.conversation, None, "coder")
    assert [row.ref for row in (await read(ground, threads.listed, ground.company)).others] == [
        said.conversation
    ]


def _dismiss(tx: Tx, agent: str) -> None:
    tx.run("update agent set deleted_ms=1 where id=?", (agent,))


# -- plans -----------------------------------------------------------------------------------

BIG = ("task", "task_spec", "event", "receipt", "message", "turn", "tool_call", "session")
VIEW = {view.name: view for view in views.VIEWS}
QUERIES: list[tuple[views.View, dict[str, str]]] = [
    (VIEW["desk"], {}),
    (VIEW["stop"], {}),
    (VIEW["stop"], {"scope": "agent", "subject": "coder"}),
    (VIEW["board"], {}),
    (VIEW["board"], {"state": "done", "after": "40"}),
    (VIEW["board"], {"role": "scoder", "project": "P", "agent": "A"}),
    (VIEW["agents"], {}),
    (VIEW["agents"], {"after": "agent-1"}),
    (VIEW["agent"], {"ref": "AGENT"}),
    (VIEW["threads"], {}),
    (VIEW["threads"], {"after": "agent-1", "before": "40"}),
    (VIEW["thread"], {"ref": "team"}),
    (VIEW["thread"], {"ref": "AGENT"}),
    (VIEW["thread"], {"ref": "AGENT", "before": "40", "task": "MESSAGE", "edit": "TURN"}),
    (VIEW["receipts"], {}),
    (VIEW["receipts"], {"actor": "coder", "verdict": "refuse", "before": "1000"}),
    (VIEW["receipts"], {"task": "T-1"}),
    (VIEW["receipts"], {"trace": new_id()}),
    (VIEW["task"], {"ref": "T-1"}),
]


@pytest.mark.parametrize(("view", "query"), QUERIES)
async def test_no_page_scans_a_big_table(
    tmp_path: Path, view: views.View, query: dict[str, str]
) -> None:
    async with opened(sqlite_store, tmp_path) as ground:
        project = await act(ground, _project, "goal")
        coder = await act(ground, _agent, "coder", "scoder")
        await act(ground, _task, project, "title", "in_progress", coder)
        await act(ground, _run_here, coder)
        for _ in range(2):
            said = await act(ground, _hears, coder, "hello")
        [*_, turn] = await read(ground, lambda rx: turns.listed(rx, ground.company, limit=9))
        await act(ground, _begin, turn.id)
        company = Company(1, ground.company, "acme", "acme", "studio", None, 0)
        known = {"AGENT": coder, "MESSAGE": said.id, "TURN": turn.id}
        asked = {k: known.get(v, v) for k, v in query.items()}

        def explained(rx: Rx) -> list[tuple[str, str]]:
            explaining = Explaining(rx)
            view.fn(explaining, company, asked)
            return explaining.plans

        plans = await ground.store.read(explained)
    assert plans
    for sql, plan in plans:
        step = re.match(r"(SCAN|SEARCH) (\w+)(.*)", plan)
        if step is None:
            continue
        names = dict(re.findall(r"\b(?:from|join) (\w+) (\w+)\b", sql))
        table = {alias: name for name, alias in names.items()}.get(step[2], step[2])
        whole_company = re.search(r"\(company(_no)?=\?\)$", step[3]) is not None
        assert table not in BIG or (step[1] == "SEARCH" and not whole_company), f"{plan}\n{sql}"

"""Threads over HTTP: what is written there is answered once, and what can be done about it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from homarus.agents.port import Fault
from homarus.conversations import turns
from homarus.conversations.model import DeliveryState
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.scripted_model import Hang, ScriptedModel, failure
from homarus.web import words
from tests.web.test_access import signed_in
from tests.web.test_desk import csrf_of, fields, post

WAIT_S = 20.0


class Office:
    """A daemon with its agent `ada`, run by it on a scripted model, and an owner in a browser."""

    def __init__(self, daemon: Daemon, model: ScriptedModel, ada: str) -> None:
        self.daemon = daemon
        self.model = model
        self.ada = ada
        self.page = f"/app/threads/{ada}"
        self.owner: httpx2.AsyncClient = None  # type: ignore[assignment]

    async def send(
        self, text: str, who: httpx2.AsyncClient | None = None, **more: str
    ) -> httpx2.Response:
        """Write in ada's thread."""
        who = who or self.owner
        path = f"{self.page}/messages"
        form = fields((await who.get(self.page)).text, path)
        return await post(who, path, form | {"text": text} | more)

    async def press(self, action: str, **more: str) -> httpx2.Response:
        """Press the button of the first form whose action ends so."""
        page = (await self.owner.get(self.page)).text
        path = next(p for p in page.split('action="')[1:] if p.partition('"')[0].endswith(action))
        path = path.partition('"')[0]
        return await post(self.owner, path, fields(page, path) | more)

    async def turns(self) -> list[Any]:
        """Oldest first."""
        rows = (await self.daemon.owner.get("/api/v1/turns")).json()["turns"]
        return list(reversed(rows))

    async def until(self, good: Callable[[list[Any]], bool]) -> list[Any]:
        changed = asyncio.Event()
        undo = self.daemon.app.store.listen(lambda _: changed.set())
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    changed.clear()
                    rows = await self.turns()
                    if good(rows):
                        return rows
                    await changed.wait()
        finally:
            undo()

    async def quiet(self) -> list[Any]:
        return await self.until(lambda rows: all(row["endedAt"] for row in rows))

    async def said(self) -> list[tuple[str, str]]:
        threads = (await self.daemon.owner.get("/api/v1/threads?type=direct")).json()["threads"]
        reply = await self.daemon.owner.get(
            f"/api/v1/threads/{threads[0]['id']}/messages?sinceSeq=0&limit=100"
        )
        return [(m["senderType"], m["text"]) for m in reply.json()["messages"]]


Opener = Callable[..., Awaitable[Office]]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as stack:

        async def opened(*replies: Any) -> Office:
            model = ScriptedModel(*replies)
            daemon = await stack.enter_async_context(
                running(tmp_path / "home", turns=model.turns())
            )
            ada = await daemon.agent("ada")
            await daemon.owner.patch(
                f"/api/v1/agents/{ada}", json={"executor": "llm"}, headers=key()
            )
            made = Office(daemon, model, ada)
            made.owner = await signed_in(daemon)
            return made

        yield opened


def test_every_state_of_a_message_has_a_word() -> None:
    states = {*turns.State, *DeliveryState, "interrupted", "dropped"}
    assert states == set(words.DELIVERY)


async def test_what_is_written_is_answered_once(office: Opener) -> None:
    at = await office("At your service.")
    path = f"{at.page}/messages"
    form = fields((await at.owner.get(at.page)).text, path) | {"text": "hello\r\nada"}
    replies = await asyncio.gather(*(post(at.owner, path, form) for _ in range(3)))
    assert [(r.status_code, r.headers["location"]) for r in replies] == [
        (303, f"{at.page}#end")
    ] * 3
    (turn,) = await at.quiet()
    assert (turn["origin"], turn["askedBy"].split(":")[0]) == ("chat", "operator")
    assert await at.said() == [("human", "hello\nada"), ("agent", "At your service.")]
    page = (await at.owner.get(at.page)).text
    for shown in ("At your service.", words.DELIVERY["done"], "2 of 2"):
        assert shown in page


async def test_the_team_hears_and_nobody_has_to_answer(office: Opener) -> None:
    at = await office()
    path = "/app/threads/team/messages"
    page = (await at.owner.get("/app/threads/team")).text
    assert "Nothing said yet" in page
    await post(at.owner, path, fields(page, path) | {"text": "all of you"})
    assert "all of you" in (await at.owner.get("/app/threads/team")).text
    assert "all of you" in (await at.owner.get("/app/threads")).text
    assert await at.turns() == []


async def test_what_waits_is_changed_and_dropped(office: Opener) -> None:
    at = await office(Hang("busy"), "two")
    await at.send("one")
    await at.model.hanging.wait()
    for text in ("tow", "drop me"):
        await at.send(text)
    first, second, third = await at.turns()
    page = (await at.owner.get(at.page)).text
    assert words.DELIVERY["running"] in page
    assert f"{at.page}?edit={second['id']}" in page
    assert f"/app/turns/{first['id']}/drop" not in page, "it runs"
    path = f"/app/turns/{second['id']}/edit"
    form = fields((await at.owner.get(f"{at.page}?edit={second['id']}")).text, path)
    reply = await post(at.owner, path, form | {"text": "two"})
    assert (reply.status_code, reply.headers["location"]) == (303, at.page)
    path = f"/app/turns/{third['id']}/drop"
    assert (await post(at.owner, path, fields(page, path))).status_code == 303
    page = (await at.owner.get(at.page)).text
    assert "changed by" in page and "dropped by" in page
    assert (await at.press("/stop")).status_code == 303
    rows = await at.quiet()
    assert [row["state"] for row in rows] == ["aborted", "done", "aborted"]
    assert [text for kind, text in await at.said() if kind == "human"] == ["one", "two", "drop me"]
    assert words.DELIVERY["aborted"] in (await at.owner.get(at.page)).text


async def test_another_may_drop_and_not_change_what_one_wrote(office: Opener) -> None:
    at = await office(Hang("busy"))
    await at.send("one")
    await at.model.hanging.wait()
    await at.send("two")
    _, second = await at.turns()
    _, secret = await at.daemon.token(kind="operator", role="operator", name="Kim")
    kim = await signed_in(at.daemon, secret)
    page = (await kim.get(at.page)).text
    assert f"?edit={second['id']}" not in page
    form = {"csrf": await csrf_of(kim), "key": "k1", "thread": at.ada, "text": "mine"}
    reply = await post(kim, f"/app/turns/{second['id']}/edit", form)
    assert (reply.status_code, "turn.not_yours" in reply.text) == (403, True)
    path = f"/app/turns/{second['id']}/drop"
    assert (await post(kim, path, fields(page, path))).status_code == 303
    assert "dropped by Kim" in (await at.owner.get(at.page)).text
    await at.press("/stop")


async def test_a_change_that_comes_too_late_is_kept_and_can_be_sent(office: Opener) -> None:
    at = await office("Yes.")
    await at.send("one")
    (turn,) = await at.quiet()
    reply = await at.owner.get(f"{at.page}?edit={turn['id']}")
    assert (reply.status_code, "turn.begun" in reply.text) == (200, True)
    form = {"csrf": await csrf_of(at.owner), "key": "k1", "thread": at.ada, "text": "<i>other</i>"}
    reply = await post(at.owner, f"/app/turns/{turn['id']}/edit", form)
    assert (reply.status_code, "turn.begun" in reply.text) == (409, True)
    assert "&lt;i&gt;other&lt;/i&gt;</textarea>" in reply.text
    again = fields(reply.text, f"{at.page}/messages") | {"text": "<i>other</i>"}
    assert (await post(at.owner, f"{at.page}/messages", again)).status_code == 303
    await at.quiet()
    assert ("human", "<i>other</i>") in await at.said()


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"csrf": "0" * 32}, 403, "web.csrf"),
        ({"key": ""}, 400, "web.key"),
        ({"text": "x" * 100_001}, 400, "message.text"),
        ({"company": "none"}, 404, "company.unknown"),
    ],
)
async def test_a_failed_send_gives_the_text_back(
    office: Opener, change: dict[str, str], status: int, code: str
) -> None:
    at = await office()
    reply = await at.send(**{"text": "dear </textarea><b>ada"} | change)
    assert (reply.status_code, code in reply.text) == (status, True)
    kept = "dear &lt;/textarea&gt;&lt;b&gt;ada" if code != "message.text" else "x" * 100_001
    assert f"{kept}</textarea>" in reply.text
    assert f'action="{at.page}/messages"' in reply.text
    assert await at.turns() == []


async def test_a_form_from_elsewhere_gives_nothing_back(office: Opener) -> None:
    at = await office()
    form = {"csrf": await csrf_of(at.owner), "key": "k", "text": "hello"}
    reply = await at.owner.post(
        f"{at.page}/messages", data=form, headers={"Origin": "http://evil.example"}
    )
    assert (reply.status_code, "hello" in reply.text) == (403, False)
    reply = await at.send("x" * 300_000)
    assert (reply.status_code, "request.too_large" in reply.text) == (413, True)


async def test_a_failed_turn_says_why_and_what_to_do(office: Opener) -> None:
    at = await office(failure(Fault.KEY))
    await at.send("hello")
    (turn,) = await at.quiet()
    page = (await at.owner.get(at.page)).text
    assert turn["state"] == "failed"
    for shown in (words.DELIVERY["failed"], turn["outcome"]["error"], turn["outcome"]["remedy"]):
        assert shown in page


async def test_a_turn_that_was_put_aside_says_so_and_can_be_let_be(office: Opener) -> None:
    """A STOP cuts it off; it would go on by itself when that is lifted."""
    at = await office(Hang("busy"))
    await at.send("one")
    await at.model.hanging.wait()
    body = {"scope": "agent", "subject": at.ada}
    await at.daemon.owner.post("/api/v1/stops", json=body, headers=key())
    await at.until(lambda rows: rows[0]["state"] == "queued")
    page = (await at.owner.get(at.page)).text
    for shown in (words.DELIVERY["interrupted"], "goes on by itself", "Do not go on"):
        assert shown in page
    assert "/drop" not in page
    assert (await at.press("/stop")).status_code == 303
    (turn,) = await at.turns()
    assert turn["state"] == "aborted"


async def test_a_task_of_a_message_keeps_the_link(office: Opener) -> None:
    at = await office("Yes.")
    await at.daemon.project()
    await at.send("Paint it\nin blue")
    (turn,) = await at.quiet()
    message = turn["messageId"]
    page = (await at.owner.get(f"{at.page}?task={message}")).text
    path = f"/app/messages/{message}/task"
    form = fields(page, path) | {"title": "Paint it", "agent": at.ada, "project": ""}
    assert (await post(at.owner, path, form)).status_code == 303
    task = (await at.daemon.owner.get("/api/v1/tasks/T-2")).json()["task"]
    assert (task["inputJson"]["description"], task["assignedAgentId"]) == (
        "Paint it\nin blue", at.ada,
    )  # fmt: skip
    page = (await at.owner.get(at.page)).text
    assert 'href="/app/tasks/T-2">T-2</a>' in page
    assert f"?task={message}" not in page
    assert "a message</a>" in (await at.owner.get("/app/tasks/T-2")).text
    reply = await post(at.owner, path, form | {"key": "another"})
    assert (reply.status_code, "message.task" in reply.text) == (409, True)


@pytest.mark.parametrize("ref", ["nowhere", "00000000-0000-7000-8000-000000000000", "%00"])
async def test_no_such_thread(office: Opener, ref: str) -> None:
    at = await office()
    reply = await at.owner.get(f"/app/threads/{ref}")
    assert reply.status_code == 404
    form = {"csrf": await csrf_of(at.owner), "key": "k", "text": "hello"}
    reply = await post(at.owner, f"/app/threads/{ref}/messages", form)
    assert reply.status_code == 404


async def test_an_agent_that_runs_elsewhere_reports_how_far_it_got(office: Opener) -> None:
    at = await office()
    bob = await at.daemon.agent("bob")
    path = f"/app/threads/{bob}/messages"
    page = (await at.owner.get(f"/app/threads/{bob}")).text
    assert "runs elsewhere" in page
    await post(at.owner, path, fields(page, path) | {"text": "hi bob"})
    threads = (await at.daemon.owner.get("/api/v1/threads?type=direct")).json()["threads"]
    for state, word in (("seen", "seen"), ("acting", "being worked on"), ("resolved", "resolved")):
        body = {"threadId": threads[0]["id"], "agentId": bob, "executionState": state}
        reply = await at.daemon.company.post("/api/v1/chat/status", json=body, headers=key())
        assert reply.status_code == 200, reply.text
        assert f">{word}<" in (await at.owner.get(f"/app/threads/{bob}")).text


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_a_viewer_reads_and_writes_nothing(office: Opener, role: str) -> None:
    at = await office(Hang("busy"))
    await at.send("one")
    await at.model.hanging.wait()
    await at.send("two")
    _, secret = await at.daemon.token(kind="operator", role=role, name="Kim")
    kim = await signed_in(at.daemon, secret)
    page = (await kim.get(at.page)).text
    assert "two" in page
    forms = [part.partition('"')[0] for part in page.split('method="post" action="')[1:]]
    ours = [action for action in forms if action != "/app/logout"]
    assert bool(ours) is (role == "operator")
    assert ("Make a task of it" in page) is (role == "operator")
    await at.press("/stop")

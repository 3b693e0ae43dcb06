"""`homarus bridge` against a daemon: tasks, messages, STOP, the end (contract, 13)."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from homarus.base.ids import new_id
from homarus.bridge.bridge import Bridge
from homarus.testing.daemon import Daemon
from tests.governance.test_ordinary_clients import said
from tests.support.bridged import ANSWERS, WAIT_S, Place, Recorder, place
from tests.support.front import front

REPLY = (sys.executable, "-c", ANSWERS)


@pytest.fixture
async def here(daemon: Daemon, tmp_path: Path) -> AsyncIterator[Place]:
    yield await place(daemon, tmp_path)


def telling(folder: Path, then: str) -> tuple[str, ...]:
    """A program that has read its input tells its process id by a pipe, and goes on."""
    pipe = folder / "pid"
    os.mkfifo(pipe)
    code = (
        f"import os, sys, time; sys.stdin.read(); told = open({str(pipe)!r}, 'r+b', 0); "
        f"told.write(str(os.getpid()).encode()); {then}"
    )
    return (sys.executable, "-c", code)


def sleeper(folder: Path) -> tuple[str, ...]:
    """It ends by a signal alone."""
    return telling(folder, "import signal; signal.pause()")


@contextmanager
def held(folder: Path) -> Iterator[tuple[str, int]]:
    """`(code, pipe)`: a program's code waits there until a byte is written to the pipe."""
    path = folder / "go"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDWR)
    try:
        yield f"open({str(path)!r}).read(1)", pipe
    finally:
        os.close(pipe)


async def runs(folder: Path) -> int:
    """The process id of the program, once it runs."""
    pipe = os.open(folder / "pid", os.O_RDWR | os.O_NONBLOCK)
    try:
        await readable(pipe)
        return int(os.read(pipe, 32))
    finally:
        os.close(pipe)


async def ends(pid: int) -> None:
    """Wait for the end of a process."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await readable(process)
    finally:
        os.close(process)


async def readable(descriptor: int) -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, told.set)
    try:
        async with asyncio.timeout(WAIT_S):
            await told.wait()
    finally:
        loop.remove_reader(descriptor)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_it_starts_in_the_contracts_order(here: Place) -> None:
    async with here.bridge(role="counter") as tell:
        journal = here.journal()
    assert [one["event"] for one in tell.told][:3] == ["agent_created", "started", "connected"]
    (agent,) = (await here.call("GET", "/agents"))["agents"]
    assert (agent["name"], agent["role"], agent["status"]) == ("tally", "counter", "online")
    assert journal["lastAgentId"] == agent["id"]
    assert journal["lastRuntimeId"] == "box-1"
    assert journal["lastSessionId"]
    assert journal["reconnectAttempt"] == 0


async def test_it_takes_the_agent_that_is_there(here: Place) -> None:
    async with here.bridge():
        pass
    (agent,) = (await here.call("GET", "/agents"))["agents"]
    async with here.bridge() as tell:
        pass
    async with here.bridge(agent_name=None, agent_id=agent["id"]):
        pass
    assert tell.count("agent_created") == 0
    assert len((await here.call("GET", "/agents"))["agents"]) == 1


async def test_a_task_is_claimed_noted_done_and_reported(here: Place) -> None:
    first = await here.task("one")
    async with here.bridge(exec=here.does()):
        second = await here.task("two")
        assert (await here.becomes(first, "done"))["outputJson"] == {"title": "one"}
        assert (await here.becomes(second, "done"))["comment"] == "done it"
    assert here.done() == [first, second]
    events = await here.events(first)
    assert [e["eventType"] for e in events] == [
        "task_generated", "task_claimed", "task_handoff", "task_done",
    ]  # fmt: skip
    handoff = events[2]["payloadJson"]["handoff"]
    assert (handoff["fromRole"], handoff["nextStep"]) == ("queue", "run the program for tasks")
    assert here.journal()["homarus"]["tasks"] == {}
    assert here.journal()["pendingOperationIds"] == []


@pytest.mark.parametrize("template", ["studio", "solo"])
async def test_no_level_refuses_it_anything(daemon: Daemon, tmp_path: Path, template: str) -> None:
    """Level enforce and level observe: no rule is named in any receipt."""
    made = await place(daemon, tmp_path, template)
    async with made.bridge(exec=made.does(), reply=REPLY) as tell:
        task = await made.task("one")
        await made.say("hello")
        await made.becomes(task, "done")
        assert await made.replies(1) == ["You said: hello"]
    assert tell.count("trouble") == 0
    assert await said(daemon, made.slug) == []


@pytest.mark.parametrize(
    "code, state, says",
    [
        ("import sys; sys.exit(3)", "failed", "exit code 3"),
        ("print('text')", "failed", "no JSON object"),
        ('print(\'{"state": "review", "comment": "look"}\')', "review", "look"),
        ("import time; time.sleep(60)", "failed", "time limit"),
    ],
)
async def test_what_a_program_says_is_reported(
    here: Place, code: str, state: str, says: str
) -> None:
    task = await here.task()
    async with here.bridge(exec=(sys.executable, "-c", code), task_s=1.0):
        assert says in (await here.becomes(task, state))["comment"]


async def test_a_program_that_is_missing_fails_the_task(here: Place) -> None:
    task = await here.task()
    async with here.bridge(exec=("/nonexistent/program",)):
        assert "could not be started" in (await here.becomes(task, "failed"))["comment"]


async def test_without_a_program_nothing_is_reported(here: Place) -> None:
    """A memory entry, a note that says so, and the task goes back; once."""
    task = await here.task("one")
    async with here.bridge() as tell:
        await tell.until("handed_back")
        other = await here.task("two")
        await tell.until("handed_back", times=2)
    assert (await here.seen(task))["canonicalState"] == "queued"
    assert (await here.seen(task))["outputJson"] is None
    kinds = await here.kinds(task)
    assert kinds.count("task_claimed") == 1
    assert kinds.count("task_handoff") == 2
    assert not {"task_done", "task_failed", "task_review"} & {*kinds, *await here.kinds(other)}
    (agent,) = (await here.call("GET", "/agents"))["agents"]
    entries = (await here.call("GET", f"/agents/{agent['id']}/memory"))["entries"]
    claims = [entry for entry in entries if entry["kind"] == "task_claim"]
    assert len(claims) == 2
    assert "Nobody executed this" in claims[0]["content"]


async def test_it_claims_under_queue_pressure_only(here: Place) -> None:
    """At most so many at a time, and no claim at all while nothing waits."""
    async with here.bridge(exec=sleeper(here.folder), max_tasks=2, drain_s=0.0):
        assert here.journal()["pendingOperationIds"] == []
        tasks = [await here.task(f"t{n}") for n in range(3)]
        for task in tasks[:2]:
            await here.becomes(task, "in_progress")
        await here.task("later")
        assert (await here.seen(tasks[2]))["canonicalState"] == "queued"
    receipts = (await here.call("GET", "/receipts?limit=500"))["receipts"]
    assert sum(row["capability"] == "task.claim" for row in receipts) == 2


async def test_weak_spot_32_frames_take_no_slot(here: Place) -> None:
    """Assignment and a lost lease leave a stock bridge full (contract, 9, rule 3); ours counts what
    it has."""
    async with here.bridge(exec=here.does()) as tell:
        (agent,) = (await here.call("GET", "/agents"))["agents"]
        for n in range(3):
            task = await here.task(f"t{n}", assignedAgentId=agent["id"])
            await here.becomes(task, "done")
        blocker = await here.task("blocker", assignee={"type": "human", "id": "somebody"})
        waits = await here.task("w", assignedAgentId=agent["id"], blockedByTaskIds=[blocker])
        last = await here.task("last")
        await here.becomes(last, "done")
        assert (await here.seen(waits))["canonicalState"] == "queued"
    assert tell.count("trouble") == 0


async def test_weak_spot_2_the_same_reason_claims_the_next_task(here: Place) -> None:
    """No key is used twice, so no old claim is replayed and the queue runs dry."""
    tasks = [await here.task(f"t{n}") for n in range(5)]
    async with here.bridge(exec=here.does(), once=False):
        for task in tasks:
            await here.becomes(task, "done")
    assert here.done() == tasks


async def test_a_lost_lease_ends_the_program(here: Place) -> None:
    task = await here.task()
    async with here.bridge(exec=sleeper(here.folder), drain_s=0.0) as tell:
        pid = await runs(here.folder)
        await here.call("POST", f"/tasks/{task}/move", {"state": "blocked", "reason": "wait"})
        await tell.until("lease_lost")
        assert not alive(pid)
        assert here.journal()["homarus"]["tasks"] == {}
    assert (await here.seen(task))["canonicalState"] == "blocked"


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_task_that_was_lost_in_the_middle_comes_back(here: Place, idempotent: bool) -> None:
    """Its program ran here once: a person looks at it before it runs again."""
    task = await here.task()
    async with here.bridge(exec=sleeper(here.folder), drain_s=0.0, idempotent=idempotent) as tell:
        await runs(here.folder)
        await here.call("POST", f"/tasks/{task}/move", {"state": "blocked", "reason": "wait"})
        await tell.until("lease_lost")
    async with here.bridge(exec=here.does(), idempotent=idempotent):
        await here.call("POST", f"/tasks/{task}/move", {"state": "queued"})
        await here.becomes(task, "done" if idempotent else "review")
        assert here.done() == ([task] if idempotent else [])
        if not idempotent:
            await here.call("POST", f"/tasks/{task}/move", {"state": "queued"})
            await here.becomes(task, "done")
            assert here.done() == [task]


async def test_stop_ends_the_program_for_replies(here: Place) -> None:
    async with here.bridge(reply=sleeper(here.folder)) as tell:
        await here.say("hello")
        pid = await runs(here.folder)
        stop = await here.call("POST", "/stops", {"scope": "agent", "subject": "tally"})
        await ends(pid)
        assert tell.count("answered") == 0
        await here.call("DELETE", f"/stops/{stop['stop']['id']}")
        (text,) = await here.replies(1)
    assert "interrupted" in text


@pytest.mark.parametrize("scope", ["company", "agent", "project", "task", "trace"])
async def test_stop_ends_the_program(here: Place, scope: str) -> None:
    task = await here.task()
    async with here.bridge(exec=sleeper(here.folder), drain_s=0.0) as tell:
        pid = await runs(here.folder)
        seen = await here.seen(task)
        subject = {
            "company": "", "agent": "tally", "project": here.project, "task": task,
            "trace": seen["traceId"],
        }[scope]  # fmt: skip
        stop = await here.call("POST", "/stops", {"scope": scope, "subject": subject})
        await tell.until("stopped")
        await ends(pid)
        await here.call("DELETE", f"/stops/{stop['stop']['id']}")
        await here.becomes(task, "review")
    assert tell.count("reported", state="done") == 0
    comment = (await here.seen(task))["comment"]
    assert "interrupted" in comment


async def test_the_end_drains_and_hands_back(here: Place) -> None:
    """A program that does not end in time is ended; an operator is told, the session has ended."""
    task = await here.task()
    async with here.bridge(exec=sleeper(here.folder), drain_s=0.2) as tell:
        pid = await runs(here.folder)
    assert not alive(pid)
    assert tell.told[-1]["event"] == "ended"
    assert (await here.seen(task))["canonicalState"] == "review"
    assert here.journal()["homarus"]["tasks"] == {}


async def test_an_idempotent_program_is_handed_back_to_the_queue(here: Place) -> None:
    task = await here.task()
    async with here.bridge(exec=sleeper(here.folder), drain_s=0.2, idempotent=True):
        await runs(here.folder)
    assert (await here.seen(task))["canonicalState"] == "queued"


async def test_the_end_waits_for_a_program_that_finishes(here: Place) -> None:
    """It is let go when the bridge first waits on its way out."""
    task = await here.task()
    with held(here.folder) as (waits, pipe):
        slow = telling(here.folder, waits + "; print('{}')")
        async with here.bridge(exec=slow, drain_s=20.0):
            await runs(here.folder)
            asyncio.get_running_loop().call_soon(os.write, pipe, b"x")
    assert (await here.seen(task))["canonicalState"] == "done"


async def test_a_project_that_wants_a_review_gets_one(here: Place) -> None:
    await here.call("PATCH", f"/projects/{here.project}", {"requireReviewBeforeDone": True})
    task = await here.task()
    async with here.bridge(exec=here.does()) as tell:
        await here.becomes(task, "review")
        await tell.until("reported", state="review")
    assert len(here.done()) == 1


async def test_a_result_that_a_person_accepts_frees_the_bridge(here: Place) -> None:
    first = await here.task("one", humanApprovalRequired=True)
    async with here.bridge(exec=here.does()) as tell:
        await tell.until("waits_for_approval")
        second = await here.task("two")
        await here.becomes(second, "done")
    assert here.done() == [first, second]


async def test_weak_spot_21_the_token_reaches_no_program(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weak spot 21: neither by environment nor by what is read."""
    for name in ("HOMARUS_TOKEN", "EMPEROR_CLAW_API_TOKEN", "PASSED", "LC_TOKEN"):
        monkeypatch.setenv(name, here.token)
    code = (
        "import json, os, sys; print(json.dumps({'output': [sys.stdin.read(), dict(os.environ)]}))"
    )
    task = await here.task()
    async with here.bridge(exec=(sys.executable, "-c", code), passed=("PASSED",)):
        output = (await here.becomes(task, "done"))["outputJson"]
    assert here.token not in str(output)
    assert "leaseToken" not in output[0]
    assert here.token not in (here.folder / "bridge-state.json").read_text()


async def test_resources_are_leased_for_their_task_and_given_back(here: Place) -> None:
    """Contract, 11: with secrets for the program, never in the journal; renewed and released."""
    ids = [new_id(), new_id()]
    leased = {
        "resource": {"id": ids[0], "name": "mailbox"}, "configText": "host", "secretText": "s3cr3t",
        "lease": {"id": "lease-1", "expiresAt": "2030-01-01T00:00:00.000Z"},
    }  # fmt: skip
    answers = {
        f"/resources/{ids[0]}/lease": (200, leased),
        f"/resources/{ids[1]}/lease": (403, {"error": "no", "code": "resource.scope"}),
        "/leases/lease-1/renew": (200, {"lease": {"id": "lease-1"}}),
        "/leases/lease-1/release": (200, {"ok": True}),
    }
    task = await here.task(inputJson={"resourceIds": ids})
    with held(here.folder) as (waits, pipe):

        def heard(path: str) -> None:
            """The program goes on once its lease was renewed."""
            if path.endswith("/renew"):
                os.write(pipe, b"x")

        code = (
            f"import json, sys; given = json.load(sys.stdin)['resources']; {waits}; "
            "print(json.dumps({'output': given}))"
        )
        with front(here.daemon.url, answers, heard) as made:
            settings = here.settings(
                url=made.url, exec=(sys.executable, "-c", code), heartbeat_s=0.2, once=True
            )
            await Bridge(settings, Recorder()).run()
    first, second = (await here.seen(task))["outputJson"]
    assert (first["configText"], first["secretText"]) == ("host", "s3cr3t")
    assert second == {"id": ids[1], "refused": "resource.scope"}
    asked = [path for path, _ in made.asked]
    assert asked[:2] == [f"/resources/{ref}/lease" for ref in ids]
    assert asked.count("/leases/lease-1/renew") >= 1
    assert asked[-1] == "/leases/lease-1/release"
    assert made.asked[0][1]["taskId"] == task
    assert "s3cr3t" not in (here.folder / "bridge-state.json").read_text()


async def test_a_secret_is_lent_for_the_length_of_the_task(here: Place) -> None:
    """The same against the daemon's own leases, with a token of scope mcp_danger."""
    minted = await here.call(
        "POST", "/tokens", {"kind": "runtime", "name": "lends", "scope": "mcp_danger"}
    )
    here.token = minted["secret"]
    mailbox = {
        "name": "mailbox", "resourceType": "mailbox", "provider": "imap", "scopeType": "project",
        "scopeId": here.project, "configText": "host", "secretText": "s3cr3t",
    }  # fmt: skip
    made = (await here.call("POST", "/resources", mailbox))["resource"]["id"]
    code = "import json, sys; print(json.dumps({'output': json.load(sys.stdin)['resources']}))"
    task = await here.task(inputJson={"resourceIds": [made]})
    async with here.bridge(exec=(sys.executable, "-c", code)) as tell:
        (row,) = (await here.becomes(task, "done"))["outputJson"]
    assert (row["configText"], row["secretText"]) == ("host", "s3cr3t")
    assert (await here.call("GET", "/leases?state=open"))["leases"] == []
    assert [one["event"] for one in tell.told if one["event"].startswith("not_")] == []


async def test_resources_that_are_not_leased_do_not_hold_it_up(here: Place) -> None:
    made = await here.call(
        "POST", "/resources", {"name": "n", "resourceType": "mailbox", "provider": "p"}
    )
    ids = [made["resource"]["id"], "not-an-id"]
    code = "import json, sys; print(json.dumps({'output': json.load(sys.stdin)['resources']}))"
    task = await here.task(inputJson={"resourceIds": ids})
    async with here.bridge(exec=(sys.executable, "-c", code)):
        (row,) = (await here.becomes(task, "done"))["outputJson"]
    assert row["id"] == ids[0]


# --- messages -----------------------------------------------------------------------------------


async def test_a_message_is_answered_once(here: Place) -> None:
    async with here.bridge(reply=REPLY):
        await here.say("one")
        await here.say("two")
        assert await here.replies(2) == ["You said: one", "You said: two"]
        last = await here.say("three")
        assert (await here.replies(3))[2] == "You said: three"
    (reply,) = [m for m in await here.messages() if m["text"] == "You said: three"]
    assert reply["metadataJson"]["inReplyTo"] == last
    (agent,) = (await here.call("GET", "/agents"))["agents"]
    entries = (await here.call("GET", f"/agents/{agent['id']}/memory"))["entries"]
    assert [e["content"] for e in entries if e["kind"] == "thread_observation"] == [
        "human said: one", "human said: two", "human said: three",
    ]  # fmt: skip
    assert here.journal()["homarus"]["letters"] == []
    assert len(here.journal()["recentMessageIds"]) >= 5


async def test_without_a_program_messages_are_remembered_only(here: Place) -> None:
    async with here.bridge() as tell:
        await here.say("hello")
        (agent,) = (await here.call("GET", "/agents"))["agents"]
        await here._until(
            lambda: here.call("GET", f"/agents/{agent['id']}/memory"),
            lambda found: len(found["entries"]) == 1,
        )
    assert [m["text"] for m in await here.messages()] == ["hello"]
    assert tell.count("trouble") == 0


async def test_what_is_said_to_others_is_left_alone(here: Place) -> None:
    async with here.bridge(reply=REPLY):
        other = (await here.call("POST", "/agents", {"name": "other"}))["agent"]["id"]
        await here.say("to other", targetAgentId=other)
        await here.say("to me", targetAgentId="tally")
        assert await here.replies(1) == ["You said: to me"]


async def test_what_was_said_while_it_was_away_is_answered(here: Place) -> None:
    async with here.bridge(reply=REPLY):
        await here.say("one")
        await here.replies(1)
    await here.say("two")
    async with here.bridge(reply=REPLY):
        assert await here.replies(2) == ["You said: one", "You said: two"]


@pytest.mark.parametrize("how", ["missing", "torn"])
async def test_with_a_lost_journal_nothing_is_answered_twice(here: Place, how: str) -> None:
    async with here.bridge(reply=REPLY):
        await here.say("one", targetAgentId="tally")
        await here.replies(1)
    await here.say("two", targetAgentId="tally")
    path = here.folder / "bridge-state.json"
    path.unlink() if how == "missing" else path.write_text(path.read_text()[:40])
    async with here.bridge(reply=REPLY):
        await here.replies(2)
        await here.say("three")
        assert await here.replies(3) == ["You said: one", "You said: two", "You said: three"]


# --- journal and server -------------------------------------------------------------------------


async def test_with_a_lost_journal_tasks_are_handed_back(here: Place) -> None:
    task = await here.task()
    tell = Recorder()
    running = asyncio.create_task(Bridge(here.settings(exec=sleeper(here.folder)), tell).run())
    pid = await runs(here.folder)
    await here.cut(running)
    assert not alive(pid)
    (here.folder / "bridge-state.json").unlink()
    async with here.bridge(exec=here.does()) as again:
        await here.becomes(task, "review")
        await again.until("handed_back")
    assert here.done() == []


@pytest.mark.parametrize("idempotent", [False, True])
async def test_a_started_program_without_outcome(here: Place, idempotent: bool) -> None:
    """Run again only where the operator said that this is harmless."""
    task = await here.task()
    tell = Recorder()
    running = asyncio.create_task(Bridge(here.settings(exec=sleeper(here.folder)), tell).run())
    await runs(here.folder)
    await here.cut(running)
    async with here.bridge(exec=here.does(), idempotent=idempotent):
        await here.becomes(task, "done" if idempotent else "review")
    assert here.done() == ([task] if idempotent else [])
    notes = [e["payloadJson"].get("note", "") for e in await here.events(task) if e["payloadJson"]]
    assert any("not repeated" in note for note in notes) is not idempotent


async def test_another_agents_work_is_not_thrown_away(here: Place) -> None:
    await here.task()
    running = asyncio.create_task(
        Bridge(here.settings(exec=sleeper(here.folder)), Recorder()).run()
    )
    await runs(here.folder)
    await here.cut(running)
    with pytest.raises(Exception, match="journal_other"):
        await Bridge(here.settings(agent_name="somebody"), Recorder()).run()


@pytest.mark.parametrize(
    "change, code",
    [
        ({"token": "ec_" + "0" * 48}, "identity.unknown"),
        ({"agent_name": None, "agent_id": "nobody"}, "bridge.agent_unknown"),
        ({"url": "http://127.0.0.1:9", "once": True}, "client.unreachable"),
    ],
)
async def test_what_ends_it_at_once(
    here: Place, change: dict[str, Any], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from homarus.bridge import bridge
    from homarus.client.retry import NEVER

    monkeypatch.setattr(bridge, "PATIENCE", NEVER)
    with pytest.raises(Exception, match=code):
        await Bridge(here.settings(**change), Recorder()).run()


async def test_a_revoked_token_ends_it(here: Place) -> None:
    tokens = (await here.call("GET", "/tokens"))["tokens"]
    (mine,) = [row["id"] for row in tokens if row["name"] == "bridge"]
    with pytest.raises(Exception, match="identity"):
        async with here.bridge() as tell:
            await here.call("DELETE", f"/tokens/{mine}")
            await tell.until("ended")


async def test_once_ends_when_nothing_is_left(here: Place) -> None:
    tasks = [await here.task(f"t{n}") for n in range(3)]
    await here.say("hello")
    tell = Recorder()
    await Bridge(here.settings(once=True, exec=here.does(), reply=REPLY), tell).run()
    assert here.done() == tasks
    assert tell.told[-1]["event"] == "ended"
    await here.say("again")
    await Bridge(here.settings(once=True, exec=here.does(), reply=REPLY), tell).run()
    assert (await here.replies(1))[-1] == "You said: again"

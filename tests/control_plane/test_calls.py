"""Calls of registered capabilities through a running daemon: judged, run, recorded."""

from typing import Any

import pytest

from tests.support.studio import Studio

SAY = "import sys; print(*sys.argv[1:])"
INPUT = {
    "type": "object",
    "required": ["word"],
    "properties": {"word": {"type": "string", "maxLength": 5}},
    "additionalProperties": False,
}


@pytest.fixture
async def task(acme: Studio) -> str:
    """A task that ada holds, bound to `words.say`, which says a word of at most five letters."""
    await acme.command(
        "words.say", "-c", SAY, "{word}", slots={"word": "text"}, input=INPUT,
        grants=["role:coder"],
    )  # fmt: skip
    return await acme.claimed("ada", "words.say")


async def test_a_call_is_accepted_run_and_recorded(acme: Studio, task: str) -> None:
    reply = await acme.call("ada", capability="words.say", taskId=task, arguments={"word": "hello"})
    assert reply.status_code == 202, reply.text
    row = reply.json()["call"]
    assert (row["state"], row["effect"], row["target"]) == ("ready", "exec", f"task:{task}")
    ended = await acme.ended("ada", row["id"])
    assert (ended["state"], ended["output"]["stdout"], ended["output"]["exitCode"]) == (
        "done", "hello\n", 0,
    ), ended  # fmt: skip
    intent, outcome = await acme.receipts("words.say")
    assert (intent["effect"], intent["verdict"], intent["seq"]) == (
        "exec", "allow", row["receiptSeq"],
    )  # fmt: skip
    assert (outcome["of"], outcome["outcome"]) == (intent["seq"], "done")
    listed = await acme.clients["ada"].get(f"/api/v1/calls?taskId={task}")
    assert [each["id"] for each in listed.json()["calls"]] == [row["id"]]


async def test_a_program_that_fails_is_a_call_that_failed(acme: Studio) -> None:
    await acme.command("words.fail", "-c", "raise SystemExit(3)")
    task = await acme.claimed("ada", "words.fail")
    made = (await acme.call("ada", capability="words.fail", taskId=task)).json()["call"]
    ended = await acme.ended("ada", made["id"])
    assert (ended["state"], ended["output"]["exitCode"]) == ("failed", 3)
    assert [row.get("outcome") for row in await acme.receipts("words.fail")] == [None, "failed"]


@pytest.mark.parametrize(
    "change, status, code",
    [
        ({"arguments": {"word": "12345"}}, 202, None),
        ({"arguments": {"word": "123456"}}, 400, "call.arguments"),
        ({"arguments": {}}, 400, "call.arguments"),
        ({"arguments": {"word": "a", "more": 1}}, 400, "call.arguments"),
        ({"arguments": {"word": "-rf"}}, 400, "argv.bad_value"),
        ({"arguments": {"word": ["a"]}}, 400, "call.arguments"),
        ({"target": "workspace:notes/a.md"}, 403, "R6.none"),
        ({"target": "workspace:../b"}, 400, "call.target"),
        ({"target": "workspace:a/%2e%2e/b"}, 400, "call.target"),
        ({"target": "no scheme"}, 400, "call.target"),
        ({"target": "workspace:" + "a" * 491}, 400, "call.target"),
        ({"capability": "task.claim"}, 400, "call.builtin"),
        ({"capability": "read"}, 400, "call.builtin"),
        ({"capability": "words.sаy"}, 403, "permission.unknown_capability"),
        ({"leaseToken": 99}, 409, "task.lease_lost"),
        ({"agentId": "bob"}, 403, "identity.not_you"),
    ],
)
async def test_what_a_call_may_be(
    acme: Studio, task: str, change: dict[str, Any], status: int, code: str | None
) -> None:
    body = {"capability": "words.say", "taskId": task, "arguments": {"word": "a"}} | change
    reply = await acme.call("ada", **body)
    assert (reply.status_code, reply.json().get("code")) == (status, code), reply.text


async def test_only_the_holder_of_a_task_calls_within_it(acme: Studio, task: str) -> None:
    await acme.command("words.open", "-c", SAY)
    reply = await acme.call("bob", capability="words.open", taskId=task)
    assert reply.status_code == 403
    assert reply.json()["rule"] == "R6"


@pytest.mark.parametrize("kind, effect", [("tool", "local_write"), ("mcp", "exec")])
async def test_kinds_without_a_worker_are_refused_up_front(
    acme: Studio, kind: str, effect: str
) -> None:
    await acme.registered("outer.tool", kind, effect=effect, grants=["*"])
    task = await acme.claimed("ada", "outer.tool")
    reply = await acme.call("ada", capability="outer.tool", taskId=task)
    assert (reply.status_code, reply.json()["code"]) == (501, "call.no_worker")
    assert (await acme.clients["ada"].get(f"/api/v1/calls?taskId={task}")).json()["calls"] == []

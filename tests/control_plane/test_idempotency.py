"""Idempotency keys by the wire (control-plane contract, 3)."""

import asyncio
from pathlib import Path

import pytest

from homarus.testing.daemon import Daemon, running

PATH = "/api/mcp/agents"


async def create(
    daemon: Daemon, name: str, key: str | None, path: str = PATH
) -> tuple[int, str, bool]:
    headers = {} if key is None else {"Idempotency-Key": key}
    reply = await daemon.company.post(path, json={"name": name}, headers=headers)
    body = reply.json()
    said = body["agent"]["id"] if "agent" in body else body["code"]
    return reply.status_code, said, reply.headers.get("idempotency-replayed") == "true"


async def test_a_key_is_required_where_the_contract_says_so(daemon: Daemon) -> None:
    assert await create(daemon, "a", None) == (400, "idempotency.missing", False)
    assert await create(daemon, "a", "") == (400, "idempotency.missing", False)
    assert await create(daemon, "a", "k" * 513) == (400, "idempotency.key", False)
    assert (await create(daemon, "a", "k" * 512))[0] == 201


async def test_a_replay_keeps_status_and_body_and_is_marked(daemon: Daemon) -> None:
    status, agent, replayed = await create(daemon, "a", "k")
    assert (status, replayed) == (201, False)
    assert await create(daemon, "a", "k") == (201, agent, True)


@pytest.mark.parametrize("path", ["/api/v1/agents", "/api/mcp/agents/"])
async def test_mount_and_slash_are_the_same_request(daemon: Daemon, path: str) -> None:
    _, agent, _ = await create(daemon, "a", "k")
    assert await create(daemon, "a", "k", path) == (201, agent, True)


async def test_another_body_is_another_request(daemon: Daemon) -> None:
    _, first, _ = await create(daemon, "a", "k")
    status, second, replayed = await create(daemon, "b", "k")
    assert (status, replayed) == (201, False)
    assert first != second


async def test_errors_are_not_kept(daemon: Daemon) -> None:
    _, agent, _ = await create(daemon, "a", "one")
    assert (await create(daemon, "a", "two"))[0] == 409
    deleted = await daemon.owner.delete(f"{PATH}/{agent}", headers={"Idempotency-Key": "d"})
    assert deleted.status_code == 200
    status, _, replayed = await create(daemon, "a", "two")
    assert (status, replayed) == (201, False)


async def test_one_key_at_once_is_one_effect(daemon: Daemon) -> None:
    answers = await asyncio.gather(*(create(daemon, "a", "k") for _ in range(16)))
    assert {status for status, _, _ in answers} == {201}
    assert len({agent for _, agent, _ in answers}) == 1
    assert sum(not replayed for _, _, replayed in answers) == 1


async def test_companies_do_not_share_keys(daemon: Daemon) -> None:
    await daemon.owner.post("/api/v1/companies", json={"name": "Other"})
    _, mine, _ = await create(daemon, "a", "k")
    reply = await daemon.owner.post(
        PATH, json={"name": "a"}, headers={"Idempotency-Key": "k", "X-Homarus-Company": "other"}
    )
    assert reply.status_code == 201
    assert reply.json()["agent"]["id"] != mine


@pytest.mark.parametrize(
    "first, second, shared",
    [
        ({"kind": "agent"}, {"kind": "agent"}, False),
        ({"kind": "operator", "role": "operator"}, {"kind": "operator", "role": "owner"}, False),
        ({"kind": "agent"}, {"kind": "runtime"}, False),
        ({"kind": "operator", "role": "operator"}, {"kind": "runtime"}, False),
        ({"kind": "runtime"}, {"kind": "runtime"}, True),
    ],
)
async def test_who_shares_keys(
    daemon: Daemon, first: dict[str, str], second: dict[str, str], shared: bool
) -> None:
    body = {"severity": "low", "reasonCode": "x", "summary": "s"}
    body["projectId"] = await daemon.project()
    made = []
    for n, fields in enumerate((first, second)):
        of = {"agentId": await daemon.agent(f"a{n}")} if fields["kind"] == "agent" else {}
        _, secret = await daemon.token(**fields, **of)
        client = daemon.client(secret)
        for _ in range(2):
            reply = await client.post(
                "/api/mcp/incidents", json=body, headers={"Idempotency-Key": "1"}
            )
            assert reply.status_code == 201, reply.text
            made.append((reply.json()["incident"]["id"], "idempotency-replayed" in reply.headers))
    ids = [incident for incident, _ in made]
    assert [replayed for _, replayed in made] == [False, True, shared, True]
    assert len(set(ids)) == (1 if shared else 2)


async def test_keys_survive_a_restart(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running(home) as first:
        _, agent, _ = await create(first, "a", "k")
    async with running(home) as second:
        assert await create(second, "a", "k") == (201, agent, True)

"""R1, R2 and R3 by REST: the company's own records are the truth, mirrors are copies.

Each line of a table is one request of an agent of a `studio` company and what it gets.
"""

import asyncio

import pytest

from tests.support.studio import Studio

# -- R1: claims and progress name the company's own rows -----------------------------------------


@pytest.mark.parametrize(
    "ref, status, code",
    [
        ("own", 200, None),
        ("number", 200, None),
        ("OWN", 200, None),
        ("recu1hJ2k3", 403, "R1.external_id"),
        ("lark:recu1hJ2k3", 403, "R1.external_id"),
        ("T-", 403, "R1.external_id"),
        ("T-1x", 403, "R1.external_id"),
        ("T-１", 403, "R1.external_id"),
        ("01a1f978-acee-72aa-8763-e53ee771c702", 404, "task.unknown"),
        ("T-999", 404, "task.unknown"),
    ],
)
async def test_r1_claims_by_id(acme: Studio, ref: str, status: int, code: str | None) -> None:
    task = await acme.task()
    named = {"own": task["id"], "OWN": task["id"].upper(), "number": task["number"]}
    reply = await acme.post(
        acme.clients["ada"], f"/tasks/{named.get(ref, ref)}/claim", {"agentId": "ada"}
    )
    assert (reply.status_code, reply.json().get("code")) == (status, code), reply.text


async def test_r1_results_by_a_mirrors_id_are_refused(acme: Studio) -> None:
    await acme.claimed("ada")
    reply = await acme.post(
        acme.clients["ada"], "/tasks/recu1hJ2k3/result", {"agentId": "ada", "state": "done"}
    )
    assert (reply.status_code, reply.json()["code"]) == (403, "R1.external_id")
    assert reply.json()["remedy"] and reply.json()["receipt"]


async def test_r1_of_two_agents_one_gets_the_task(acme: Studio) -> None:
    """The mirror still shows it as free to both; the rows decide, and nothing runs twice."""
    task = await acme.task()
    replies = await asyncio.gather(
        *(
            acme.post(acme.clients[name], f"/tasks/{task['id']}/claim", {"agentId": name})
            for name in ("ada", "bob") * 3
        )
    )
    won = [reply.json()["task"]["assignedAgentId"] for reply in replies if reply.is_success]
    lost = [reply.json()["code"] for reply in replies if not reply.is_success]
    assert len(won) == 1, [reply.text for reply in replies]
    assert lost == ["task.not_claimable"] * 5


# -- R2: scans are answered from the company's own records ---------------------------------------


@pytest.fixture
async def mirrors(acme: Studio) -> Studio:
    for id_, more in {
        "lark.tasks": {"effect": "read", "mirror": "lark_base"},
        "lark.calendar": {"effect": "read", "mirror": "lark_calendar"},
        "lark.wiki": {"effect": "read", "mirror": "lark_wiki"},
        "other.scan": {"effect": "read", "mirror": "elsewhere"},
        "web.read": {"effect": "read"},
        "lark.write": {"effect": "external_write", "mirror": "lark_base"},
        "local.note": {"effect": "local_write"},
        "mail.send": {"effect": "external_write", "targets": ["mailto:*@acme.example"]},
    }.items():
        await acme.registered(id_, grants=["*"], **more)
    return acme


@pytest.mark.parametrize(
    "capability, target, code, remedy",
    [
        ("lark.tasks", None, "R2.external_scan", "task.list"),
        ("lark.calendar", None, "R2.external_scan", "calendar.list"),
        ("lark.wiki", None, "R2.external_scan", "doc.search"),
        ("other.scan", None, "R2.external_scan", "task.list"),
        ("web.read", "mirror:lark_base/tasks", "R2.external_scan", "task.list"),
        ("web.read", "mirror:obsidian/notes", "R2.external_scan", "doc.search"),
        ("web.read", "mirror:", "R2.external_scan", "task.list"),
        ("web.read", "mirrors:lark_base/tasks", "call.no_worker", ""),
        ("web.read", "https://example.com/", "call.no_worker", ""),
        ("web.read", None, "call.no_worker", ""),
    ],
)
async def test_r2_scans(
    mirrors: Studio, capability: str, target: str | None, code: str, remedy: str
) -> None:
    task = await mirrors.claimed("ada", capability)
    reply = await mirrors.call("ada", capability=capability, taskId=task, target=target)
    answer = reply.json()
    assert answer["code"] == code, answer
    assert remedy in answer["remedy"]
    receipts = await mirrors.receipts(capability)
    refused = [row for row in receipts if row["verdict"] == "refuse"]
    assert [row["rule"] for row in refused] == (["R2"] if code.startswith("R2") else [])


async def test_r2_every_scan_answers_with_no_mirror_at_all(acme: Studio) -> None:
    """No mirror is connected, none is asked: lists come from the rows."""
    for path in ("/tasks", "/projects", "/agents", "/incidents", "/calendar/events", "/wiki/docs"):
        reply = await acme.clients["ada"].get(f"/api/v1{path}")
        assert reply.status_code == 200, reply.text


# -- R3: mirrors are written by the outbox, the rest of the world within a claimed task ------------


@pytest.mark.parametrize(
    "capability, target, code",
    [
        ("lark.write", None, "R3.direct_write"),
        ("local.note", "mirror:lark_base/tasks", "R3.direct_write"),
        ("local.note", None, "call.no_worker"),
        ("local.note", "workspace:mirror/lark_base", "call.no_worker"),
    ],
)
async def test_r3_writes_of_an_agent(
    mirrors: Studio, capability: str, target: str | None, code: str
) -> None:
    task = await mirrors.claimed("ada", capability)
    reply = await mirrors.call("ada", capability=capability, taskId=task, target=target)
    assert reply.json()["code"] == code, reply.text


@pytest.mark.parametrize(
    "who, code",
    [("outbox", None), ("mirror", "R3.direct_write"), ("Outbox", "R3.direct_write")],
)
async def test_r3_of_the_daemons_workers_only_the_outbox_writes(
    mirrors: Studio, who: str, code: str | None
) -> None:
    found = await mirrors.judged("lark.write", "mirror:lark_base/tasks", who, ["lark_base"])
    assert found == code


@pytest.mark.parametrize(
    "listed, target, code",
    [
        (["lark_base"], "mirror:lark_base/tasks", None),
        (["lark_wiki", "lark_base"], "mirror:lark_base", None),
        ([], "mirror:lark_base/tasks", "R3.not_whitelisted"),
        (["lark_wiki"], "mirror:lark_base/tasks", "R3.not_whitelisted"),
        (["lark_bas"], "mirror:lark_base/tasks", "R3.not_whitelisted"),
        (["lark_base"], "mirror:lark_base2/tasks", "R3.not_whitelisted"),
        (["lark_base"], "mirror:", "R3.not_whitelisted"),
    ],
)
async def test_r3_even_the_outbox_writes_to_listed_mirrors_only(
    mirrors: Studio, listed: list[str], target: str, code: str | None
) -> None:
    assert await mirrors.judged("lark.write", target, "outbox", listed) == code


async def test_r3_the_outbox_for_an_agent_is_that_agent(mirrors: Studio) -> None:
    found = await mirrors.judged(
        "lark.write", "mirror:lark_base/tasks", "outbox", ["lark_base"], acting="ada"
    )
    assert found in ("R3.direct_write", "R6.none")


@pytest.mark.parametrize(
    "claimed, preflight, target, code",
    [
        (True, True, "mailto:x@acme.example", "call.no_worker"),
        (False, True, "mailto:x@acme.example", "R3.unclaimed"),
        (True, False, "mailto:x@acme.example", "R6.none"),
        (True, True, "mailto:x@other.example", "permission.target"),
        (True, True, "mailto:x@acme.example.evil", "permission.target"),
        (True, True, "mailto:a/x@acme.example", "R6.outside"),
    ],
)
async def test_r3_what_leaves_the_company_belongs_to_a_claimed_task(
    mirrors: Studio, claimed: bool, preflight: bool, target: str, code: str
) -> None:
    task = await mirrors.claimed("ada") if claimed else (await mirrors.task())["id"]
    named = await mirrors.thought("ada", ("mail.send", "mailto:*")) if preflight else None
    reply = await mirrors.call(
        "ada", capability="mail.send", taskId=task, target=target, preflightId=named
    )
    assert reply.json()["code"] == code, reply.text


async def test_observe_records_and_lets_pass(mirrors: Studio) -> None:
    await mirrors.observe()
    task = await mirrors.claimed("ada", "lark.tasks")
    reply = await mirrors.call("ada", capability="lark.tasks", taskId=task)
    assert reply.json()["code"] == "call.no_worker"
    reply = await mirrors.call("ada", capability="lark.write", taskId=task)
    assert reply.json()["code"] == "call.no_worker"
    [receipt, *_] = await mirrors.receipts("lark.write")
    assert (receipt["verdict"], receipt["rule"]) == ("allow", "R6")

"""RDP over REST: the reverse brief of L2, the three identities of L3, bound capabilities."""

from typing import Any

import pytest

from homarus.testing.daemon import Daemon
from tests.support.enforcing import Office, open_office

BRIEF = {
    "goal": "Ship the exporter", "scope": "CSV only", "plan": "Write, test, release",
    "risks": "Large files", "acceptance": "100 MB in a minute",
}  # fmt: skip


@pytest.fixture
async def office(daemon: Daemon) -> Office:
    made = await open_office(daemon)
    for name in ("ann", "ben", "cid"):
        await made.hire(name)
    return made


# -- L2 ------------------------------------------------------------------------------------


async def contract(office: Office, as_: str = "olga") -> Any:
    task = await office.task("Build the exporter", "L2", as_=as_)
    await office.claim("ann", task)
    return task


async def brief(office: Office, task: Any, **more: Any) -> Any:
    body = {"agentId": "ann"} | BRIEF | more
    return (await office.ok("ann", "POST", f"/tasks/{task['id']}/brief", body))["brief"]


async def decide(office: Office, task: Any, who: str, decision: str, **more: Any) -> Any:
    path = f"/tasks/{task['id']}/brief/decision"
    return await office.ok(who, "POST", path, {"decision": decision} | more)


@pytest.mark.parametrize("missing", sorted(BRIEF))
async def test_l2_a_brief_needs_all_five_texts(office: Office, missing: str) -> None:
    task = await contract(office)
    status, code, _ = await office.refused(
        "ann", "POST", f"/tasks/{task['id']}/brief", BRIEF | {missing: " "}
    )
    assert (status, code) == (400, "brief.missing")


async def test_l2_no_result_before_the_brief_is_confirmed(office: Office) -> None:
    task = await contract(office)
    path, done = f"/tasks/{task['id']}/result", {"agentId": "ann", "state": "done"}
    for step in ("no brief", "not decided", "amended", "written again"):
        status, code, rule = await office.refused("ann", "POST", path, done)
        assert (status, code, rule) == (403, "gate-6.brief", "gate-6"), step
        if step == "no brief":
            await brief(office, task)
        elif step == "not decided":
            await decide(office, task, "olga", "amend", note="Say how fast")
        elif step == "amended":
            assert (await brief(office, task, acceptance="In a second"))["n"] == 2
    await decide(office, task, "olga", "confirm")
    assert (await office.result("ann", task))["canonicalState"] == "done"


async def test_l2_a_changed_brief_voids_the_confirmation(office: Office) -> None:
    task = await contract(office)
    await brief(office, task)
    await decide(office, task, "olga", "confirm")
    await brief(office, task, plan="Something else")
    status, code, _ = await office.refused(
        "ann", "POST", f"/tasks/{task['id']}/result", {"agentId": "ann", "state": "review"}
    )
    assert (status, code) == (403, "gate-6.brief")


async def test_l2_what_is_no_execution_goes_on(office: Office) -> None:
    task = await contract(office)
    await office.result("ann", task, "in_progress", outputJson={"so": "far"})
    after = await office.result("ann", task, "inbox", comment="not mine")
    assert after["canonicalState"] == "queued"


async def test_l2_who_decides(office: Office) -> None:
    task = await contract(office, as_="ben")
    await brief(office, task)
    path = f"/tasks/{task['id']}/brief/decision"
    for who, code in (("ann", "brief.own"), ("cid", "brief.not_requester")):
        body = {"decision": "confirm", "agentId": who}
        assert (await office.refused(who, "POST", path, body))[1] == code
    await decide(office, task, "ben", "confirm", agentId="ben")
    assert (await office.refused("olga", "POST", path, {"decision": "reject"}))[1] == (
        "brief.decided"
    )


async def test_l2_a_company_token_does_not_confirm_what_it_wrote(office: Office) -> None:
    office.who["bridge"] = await office.token(kind="runtime", name="bridge")
    body = {"name": "dora", "concurrencyLimit": 3}
    made = await office.ok("bridge", "POST", "/agents", body)
    task = await office.task("Build the exporter", "L2", as_="bridge")
    await office.ok("bridge", "POST", f"/tasks/{task['id']}/claim", {"agentId": "dora"})
    await office.ok(
        "bridge", "POST", f"/tasks/{task['id']}/brief", BRIEF | {"agentId": made["agent"]["id"]}
    )
    path = f"/tasks/{task['id']}/brief/decision"
    refused = await office.refused("bridge", "POST", path, {"decision": "confirm"})
    assert refused == (403, "brief.own", "gate-6")
    await decide(office, task, "olga", "confirm")


async def test_l2_a_rejected_brief_blocks_the_task(office: Office) -> None:
    task = await contract(office)
    await brief(office, task)
    await decide(office, task, "olga", "reject", note="Not now")
    after = await office.see(task)
    assert (after["canonicalState"], after["blockedReason"]) == (
        "blocked", "gate-6: its reverse brief was rejected: Not now",
    )  # fmt: skip
    agent = (await office.get(f"/agents/{office.agents['ann']}"))["agent"]
    assert agent["activeTasks"] == 0


@pytest.mark.parametrize(
    ("who", "code"), [("ben", "brief.not_holder"), ("olga", "identity.agent_missing")]
)
async def test_l2_only_the_holder_writes_it(office: Office, who: str, code: str) -> None:
    task = await contract(office)
    found = await office.refused(who, "POST", f"/tasks/{task['id']}/brief", BRIEF)
    assert found[1] in (code, "brief.not_holder")


async def test_l2_ordinary_work_needs_no_brief(office: Office) -> None:
    task = await office.task("Tidy up")
    await office.claim("ann", task)
    found = await office.refused("ann", "POST", f"/tasks/{task['id']}/brief", BRIEF)
    assert found[:2] == (409, "brief.level")
    assert (await office.result("ann", task))["canonicalState"] == "done"


# -- L3 ------------------------------------------------------------------------------------


async def risky(office: Office, **more: Any) -> Any:
    return await office.task("Pay the suppliers", "risk:money", **more)


async def audit(office: Office, who: str, task: Any, outcome: str = "pass") -> Any:
    return await office.ok(who, "POST", f"/tasks/{task['id']}/audit", {"outcome": outcome})


async def test_l3_audit_implementation_acceptance(office: Office) -> None:
    task = await risky(office)
    assert (await office.see(task))["canonicalState"] == "inbox"
    assert await office.claim("ann") is None
    found = await office.refused("ann", "POST", f"/tasks/{task['id']}/claim", {"agentId": "ann"})
    assert found[:2] == (409, "task.not_claimable")
    await audit(office, "ann", task)
    assert (await office.see(task))["canonicalState"] == "queued"
    assert await office.claim("ann") is None
    found = await office.refused("ann", "POST", f"/tasks/{task['id']}/claim", {"agentId": "ann"})
    assert found == (403, "route.two_parts", "gate-4")
    assert (await office.claim("ben"))["id"] == task["id"]
    assert (await office.result("ben", task))["canonicalState"] == "review"
    for who in ("ann", "ben"):
        found = await office.refused(
            who, "POST", f"/tasks/{task['id']}/acceptance", {"outcome": "accept"}
        )
        assert found == (403, "route.two_parts", "gate-4")
    await office.ok("cid", "POST", f"/tasks/{task['id']}/acceptance", {"outcome": "accept"})
    assert (await office.see(task))["canonicalState"] == "done"
    parts = [(p["part"], p["outcome"]) for p in (await office.gates(task))["parts"]]
    assert parts == [("audit", "pass"), ("implementation", "claimed"), ("acceptance", "accept")]


async def test_l3_holds_for_operators_alike(office: Office) -> None:
    task = await risky(office)
    await audit(office, "olga", task)
    await office.claim("ben")
    await office.result("ben", task)
    path = f"/tasks/{task['id']}"
    found = await office.refused("olga", "POST", f"{path}/acceptance", {"outcome": "accept"})
    assert found[1] == "route.two_parts"
    found = await office.refused("olga", "POST", f"{path}/move", {"state": "done"})
    assert found == (403, "route.acceptance", "gate-4")
    await office.ok("owner", "POST", f"{path}/acceptance", {"outcome": "accept"})
    assert (await office.see(task))["canonicalState"] == "done"


async def test_l3_returned_work_goes_back_with_its_reason(office: Office) -> None:
    task = await risky(office)
    await audit(office, "ann", task)
    await office.claim("ben")
    await office.result("ben", task)
    path = f"/tasks/{task['id']}/acceptance"
    found = await office.refused("cid", "POST", path, {"outcome": "return"})
    assert found[:2] == (400, "acceptance.reason")
    await office.ok("cid", "POST", path, {"outcome": "return", "note": "Sums are wrong"})
    assert (await office.see(task))["canonicalState"] == "queued"
    assert await office.claim("cid") is None
    assert (await office.claim("ben"))["id"] == task["id"]


async def test_l3_a_rejected_audit_blocks_and_may_be_given_again(office: Office) -> None:
    task = await risky(office)
    await audit(office, "ann", task, "reject")
    assert (await office.see(task))["canonicalState"] == "blocked"
    assert await office.claim("ben") is None
    await audit(office, "ann", task)
    assert (await office.claim("ben"))["id"] == task["id"]


async def test_l3_who_is_to_implement_does_not_audit(office: Office) -> None:
    task = await risky(office, assignedAgentId="ann")
    found = await office.refused("ann", "POST", f"/tasks/{task['id']}/audit", {"outcome": "pass"})
    assert found == (403, "route.two_parts", "gate-4")


async def test_l3_a_head_that_is_not_for_the_auditor_hides_no_other_work(office: Office) -> None:
    task = await risky(office, priority=50)
    other = await office.task("Tidy up", ownerRole="coder")
    await audit(office, "coder", task)
    assert (await office.claim("coder"))["id"] == other["id"]


async def test_l3_needs_an_order(office: Office) -> None:
    task = await risky(office)
    for path, body in (("acceptance", {"outcome": "accept"}), ("brief", BRIEF)):
        found = await office.refused("ann", "POST", f"/tasks/{task['id']}/{path}", body)
        assert found[0] == 409
    await audit(office, "ann", task)
    await office.claim("ben")
    found = await office.refused("cid", "POST", f"/tasks/{task['id']}/audit", {"outcome": "pass"})
    assert found[:2] == (409, "route.state")


async def test_l3_done_wants_the_definition_of_done_first(office: Office) -> None:
    task = await risky(office, definitionOfDone=["artifact:report", "it is paid"])
    await audit(office, "ann", task)
    await office.claim("ben")
    found = await office.refused(
        "ben", "POST", f"/tasks/{task['id']}/result", {"agentId": "ben", "state": "done"}
    )
    assert found[:2] == (409, "task.dod_unmet")
    assert (await office.see(task))["canonicalState"] == "in_progress"


async def test_a_one_person_company_that_observes_is_not_asked(daemon: Daemon) -> None:
    office = await open_office(daemon, "solo-co", "solo")
    for label in ("L2", "L3"):
        task = await office.task("Do it", label)
        await office.claim("coder", task)
        assert (await office.result("coder", task))["canonicalState"] == "done"


# -- what a hostile agent tries ------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "given", "change"),
    [
        ("risk:money", {}, {"labels": []}),
        ("L3", {}, {"labels": ["l1"]}),
        (None, {"routeLevel": 3}, {"routeLevel": 0}),
        (None, {"produces": ["sop/a.md"]}, {"produces": []}),
        ("domain:scoder", {}, {"labels": ["domain:coder"]}),
    ],
)
async def test_an_agent_takes_no_declared_fact_away(
    office: Office, label: str | None, given: dict[str, Any], change: dict[str, Any]
) -> None:
    task = await office.task("Do it", *([label] if label else []), input=given)
    path = f"/tasks/{task['id']}"
    found = await office.refused("ann", "PATCH", path, {"inputJson": change})
    assert found == (403, "gate.declared", "gate-4")
    await office.ok("olga", "PATCH", path, {"inputJson": change})
    await office.ok("ann", "PATCH", path, {"inputJson": {"note": "mine"}, "title": "Else"})


async def test_a_new_name_lowers_no_level(office: Office) -> None:
    task = await office.task("Modify agent onboarding process")
    assert (await office.gates(task))["level"] == "L3"
    await office.ok("ann", "PATCH", f"/tasks/{task['id']}", {"title": "Tidy up"})
    assert (await office.gates(task))["level"] == "L3"
    assert (await office.see(task))["canonicalState"] == "inbox"
    await office.ok("olga", "PATCH", f"/tasks/{task['id']}", {"title": "Tidy up once more"})
    assert (await office.gates(task))["level"] == "L0"
    assert (await office.see(task))["canonicalState"] == "queued"


async def test_one_company_token_is_one_identity(office: Office) -> None:
    office.who["bridge"] = await office.token(kind="runtime", name="bridge")
    for name in ("x1", "x2", "x3"):
        await office.ok("bridge", "POST", "/agents", {"name": name, "concurrencyLimit": 3})
    task = await risky(office)
    path = f"/tasks/{task['id']}"
    body = {"outcome": "pass", "agentId": "x1"}
    found = await office.refused("bridge", "POST", f"{path}/audit", body)
    assert found == (403, "route.asserted", "gate-4")
    await audit(office, "olga", task)
    await office.ok("bridge", "POST", f"{path}/claim", {"agentId": "x2"})
    body = {"agentId": "x2", "state": "done"}
    await office.ok("bridge", "POST", f"{path}/result", body)
    found = await office.refused(
        "bridge", "POST", f"{path}/acceptance", {"outcome": "accept", "agentId": "x3"}
    )
    assert found == (403, "route.asserted", "gate-4")
    found = await office.refused(
        "bridge", "POST", f"{path}/result", body | {"outputJson": {"again": 1}}
    )
    assert found[1] in ("route.acceptance", "gate-4.audit")


async def test_a_person_accepts_where_the_task_says_so(office: Office) -> None:
    task = await risky(office, humanApprovalRequired=True)
    await audit(office, "ann", task)
    await office.claim("ben")
    await office.result("ben", task)
    path = f"/tasks/{task['id']}/acceptance"
    found = await office.refused("cid", "POST", path, {"outcome": "accept"})
    assert found == (403, "route.person", "gate-4")
    await office.ok("olga", "POST", path, {"outcome": "accept"})

"""Forms of the dashboard over HTTP: who may, what is refused, and what every form carries."""

import asyncio
import re
from typing import Any

import httpx2
import pytest

from homarus.testing.daemon import Daemon, key
from tests.web.test_access import signed_in

HIGH = {"actionType": "publish", "rationale": "it is ready", "risk": "high", "what": "Publish it"}


async def asked(daemon: Daemon, **more: Any) -> str:
    """An approval that the company token asked for: its number."""
    reply = await daemon.company.post(
        "/api/v1/approvals", json={"actionType": "publish", "what": "Publish"} | more, headers=key()
    )
    assert reply.status_code == 201, reply.text
    return str(reply.json()["approval"]["number"])


async def visitor(daemon: Daemon, role: str = "owner") -> httpx2.AsyncClient:
    if role == "owner":
        return await signed_in(daemon)
    _, secret = await daemon.token(kind="operator", role=role, name=f"the {role}")
    return await signed_in(daemon, secret)


def fields(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the first form that posts to `action`."""
    form = page[page.index(f'action="{action}"') :]
    form = form[: form.index("</form>")]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))


async def post(who: httpx2.AsyncClient, path: str, form: dict[str, str]) -> httpx2.Response:
    origin = str(who.base_url).rstrip("/")
    return await who.post(path, data=form, headers={"Origin": origin})


async def test_the_desk_comes_first_and_by_risk(daemon: Daemon) -> None:
    for risk in ("low", "high", "medium"):
        await asked(daemon, risk=risk, what=f"a {risk} thing")
    page = (await (await visitor(daemon)).get("/app")).text
    assert re.findall(r"a (\w+) thing", page) == ["high", "medium", "low"]
    for said in ("once", "cost unknown", "Can be answered until"):
        assert said in page


async def test_approve_and_reject_in_the_row(daemon: Daemon) -> None:
    first, second = await asked(daemon), await asked(daemon, what="Another", target="x")
    who = await visitor(daemon)
    page = (await who.get("/app")).text
    form = fields(page, f"/app/approvals/{first}")
    reply = await post(who, f"/app/approvals/{first}", form | {"decision": "approve"})
    assert (reply.status_code, reply.headers["location"]) == (303, "/app")
    form = fields(page, f"/app/approvals/{second}")
    reply = await post(who, f"/app/approvals/{second}", form | {"decision": "reject"})
    assert (reply.status_code, "approval.note" in reply.text) == (400, True)
    answer = form | {"decision": "reject", "note": "not now"}
    assert (await post(who, f"/app/approvals/{second}", answer)).status_code == 303
    rows = (await daemon.owner.get("/api/v1/approvals")).json()["approvals"]
    assert {r["number"]: (r["status"], r["resolutionNote"]) for r in rows} == {
        first: ("approved", None), second: ("rejected", "not now"),
    }  # fmt: skip


async def test_a_double_click_is_one_effect(daemon: Daemon) -> None:
    number = await asked(daemon)
    who = await visitor(daemon)
    form = fields((await who.get("/app")).text, f"/app/approvals/{number}")
    form |= {"decision": "approve"}
    replies = await asyncio.gather(*(post(who, f"/app/approvals/{number}", form) for _ in range(3)))
    assert [reply.status_code for reply in replies] == [303] * 3
    receipts = (await daemon.owner.get("/api/v1/receipts?limit=100")).json()["receipts"]
    assert sum(row["capability"] == "approval.decide" for row in receipts) == 1


async def test_the_second_person_is_told_by_whom(daemon: Daemon) -> None:
    number = await asked(daemon)
    one, two = await visitor(daemon), await visitor(daemon, "approver")
    path = f"/app/approvals/{number}"
    forms = [fields((await who.get("/app")).text, path) for who in (one, two)]
    await post(two, path, forms[1] | {"decision": "approve"})
    reply = await post(one, path, forms[0] | {"decision": "approve"})
    assert reply.status_code == 409
    assert "was approved by the approver at " in reply.text


@pytest.mark.parametrize(
    "change, status, code",
    [
        ({"csrf": ""}, 403, "web.csrf"),
        ({"csrf": "0" * 32}, 403, "web.csrf"),
        ({"key": ""}, 400, "web.key"),
        ({"key": "k" * 101}, 400, "web.key"),
        ({"company": "none"}, 404, "company.unknown"),
        ({"decision": "perhaps"}, 400, "approval.status"),
        ({"note": "x" * 20_000}, 413, "request.too_large"),
        ({"back": "https://evil.example/"}, 303, None),
        ({"back": "//evil.example"}, 303, None),
        ({"back": "/app\\@evil"}, 303, None),
    ],
)
async def test_forms_that_are_not_right(
    daemon: Daemon, change: dict[str, str], status: int, code: str | None
) -> None:
    number = await asked(daemon)
    who = await visitor(daemon)
    form = fields((await who.get("/app")).text, f"/app/approvals/{number}")
    reply = await post(who, f"/app/approvals/{number}", form | {"decision": "approve"} | change)
    assert reply.status_code == status
    if code is not None:
        assert code in reply.text
    else:
        assert reply.headers["location"] == "/app"


async def test_a_form_of_another_session_or_site_does_nothing(daemon: Daemon) -> None:
    number = await asked(daemon)
    one, two = await visitor(daemon), await visitor(daemon)
    form = fields((await one.get("/app")).text, f"/app/approvals/{number}")
    form |= {"decision": "approve"}
    assert (await post(two, f"/app/approvals/{number}", form)).status_code == 403
    reply = await one.post(
        f"/app/approvals/{number}", data=form, headers={"Origin": "http://evil.example"}
    )
    assert (reply.status_code, "web.origin" in reply.text) == (403, True)
    reply = await daemon.anybody.post(
        f"/app/approvals/{number}", data=form, headers={"Origin": daemon.url}
    )
    assert reply.status_code == 401
    rows = (await daemon.owner.get("/api/v1/approvals")).json()["approvals"]
    assert [row["status"] for row in rows] == ["pending"]


# Each role × each form: what is on the page is what the route permits.
MAY = {
    "viewer": set(),
    "operator": {"stop", "move"},
    "approver": {"stop", "move", "decide"},
    "owner": {"stop", "move", "decide", "lift"},
}


@pytest.mark.parametrize("role", MAY)
async def test_what_a_role_may_not_do_is_absent_and_refused(daemon: Daemon, role: str) -> None:
    number = await asked(daemon)
    agent = await daemon.agent("coder")
    project = await daemon.project()
    body = {"projectId": project, "taskType": "tidy_up", "allowUnderspecified": True}
    task = await daemon.company.post("/api/v1/tasks", json=body, headers=key())
    await daemon.company.post("/api/v1/tasks/claim", json={"agentId": agent}, headers=key())
    await daemon.company.post(
        f"/api/v1/tasks/{task.json()['task']['id']}/result",
        json={"agentId": agent, "state": "review"}, headers=key(),
    )  # fmt: skip
    stop = await daemon.owner.post("/api/v1/stops", json={"scope": "agent", "subject": agent})
    paths = {
        "decide": f"/app/approvals/{number}", "stop": "/app/stops", "move": "/app/tasks/T-1/move",
        "lift": f"/app/stops/{stop.json()['stop']['id']}/lift",
    }  # fmt: skip
    who, owner = await visitor(daemon, role), await visitor(daemon)
    desk, halt = (await who.get("/app")).text, (await who.get("/app/stop")).text
    seen = {name for name, path in paths.items() if f'action="{path}"' in desk + halt}
    assert seen == MAY[role]
    assert ('id="halt"' in desk) is ("stop" in MAY[role])
    model = (await owner.get("/app")).text
    own = re.search(r'name="csrf" value="(\w+)"', desk + halt)
    del model
    for name, path in paths.items():
        form = {
            "csrf": own[1] if own else await csrf_of(who), "key": f"{role}-{name}",
            "decision": "approve", "scope": "company", "to": "queued",
        }  # fmt: skip
        reply = await post(who, path, form)
        assert (reply.status_code == 303) is (name in MAY[role]), (name, reply.text)
        if name not in MAY[role]:
            assert (reply.status_code, "permission.capability" in reply.text) == (403, True)


async def csrf_of(who: httpx2.AsyncClient) -> str:
    """What a form of a session would carry, for one whose pages have no form."""
    from homarus.web.acts import csrf
    from tests.web.test_access import cookie_of

    return csrf(cookie_of(who))


async def test_who_asked_is_told_that_another_decides(daemon: Daemon) -> None:
    reply = await daemon.owner.post("/api/v1/approvals", json=HIGH, headers=key())
    number = reply.json()["approval"]["number"]
    who = await visitor(daemon)
    page = (await who.get("/app")).text
    assert "You asked for it; another approver decides." in page
    form = {"csrf": await csrf_of(who), "key": "k", "decision": "approve"}
    reply = await post(who, f"/app/approvals/{number}", form)
    assert (reply.status_code, "approval.requester" in reply.text) == (403, True)


async def test_stop_shows_the_last_effect_and_is_lifted_by_an_owner(daemon: Daemon) -> None:
    await daemon.agent("coder")
    who = await visitor(daemon)
    form = fields((await who.get("/app/stop")).text, "/app/stops")
    reply = await post(who, "/app/stops", form | {"scope": "company", "reason": "drill"})
    assert (reply.status_code, reply.headers["location"]) == (303, "/app/stop")
    page = (await who.get("/app/stop")).text
    assert re.search(r"data-last-effect>\d\d:\d\d:\d\d\.\d{3} UTC<", page)
    for path in ("/app", "/app/board", "/app/agents", "/app/receipts"):
        assert "drill" in (await who.get(path)).text
    lift = re.search(r'action="(/app/stops/[^"]+/lift)"', page)
    assert lift
    assert (await post(who, lift[1], fields(page, lift[1]))).status_code == 303
    assert "No STOP is in force" in (await who.get("/app/stop")).text

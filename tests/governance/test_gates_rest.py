"""The seven gates through the REST surface of a running daemon: allowed, diverted, blocked."""

from typing import Any

import pytest

from homarus.testing.daemon import Daemon
from tests.support.enforcing import Office, open_office

HIGH = "Design high-availability scheduling system"


@pytest.fixture
async def office(daemon: Daemon) -> Office:
    return await open_office(daemon)


async def register(office: Office, name: str, title: str) -> None:
    body = {"id": name, "title": title, "argv": ["true"]}
    await office.ok("owner", "POST", "/capabilities", body)


# -- gate 1 --------------------------------------------------------------------------------


async def test_gate_1_create_project_card_binds_the_registered_capability(office: Office) -> None:
    await register(office, "project-card.cli", "Project card CLI")
    await register(office, "files.count", "Count files")
    task = await office.task("Create project card")
    assert task["capability"] == "project-card.cli"
    assert await office.verdict(task, 1) == (
        "pass",
        {"capability": "project-card.cli", "by": "search", "score": 4.0},
    )
    decision = (await office.gates(task))["decisions"][0]
    assert [v["verdict"] for v in decision["verdicts"]] == [
        "pass", "skipped", "skipped", "pass", "pass", "pass", "pass",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("title", "verdict", "bound"),
    [
        ("Count files", "pass", "files.count"),
        ("Count files in the project folder today", "uncertain", None),
        ("Deploy the website", "pass", None),
    ],
)
async def test_gate_1_binds_what_is_above_the_threshold(
    office: Office, title: str, verdict: str, bound: str | None
) -> None:
    await register(office, "files.count", "Count files")
    task = await office.task(title)
    assert (await office.verdict(task, 1))[0] == verdict
    assert task["capability"] == bound


async def test_gate_1_takes_a_declared_capability_without_a_search(office: Office) -> None:
    await register(office, "files.count", "Count files")
    task = await office.task("Whatever it is", capability="files.count")
    assert await office.verdict(task, 1) == (
        "pass", {"capability": "files.count", "by": "declared"},
    )  # fmt: skip


# -- gate 2 --------------------------------------------------------------------------------


async def test_gate_2_makes_a_card_and_the_next_task_is_mounted_on_it(office: Office) -> None:
    first = await office.task("Realtime search index", "new-feature")
    assert await office.verdict(first, 2) == (
        "pass", {"labels": ["new-feature"], "card": None, "by": "created"},
    )  # fmt: skip
    [card] = (await office.get("/cards"))["cards"]
    assert (card["number"], card["title"]) == ("C-1", "Realtime search index")
    assert first["inputJson"]["card"] == "C-1"
    second = await office.task("Benchmarks of the realtime search index", "new-feature")
    assert (await office.verdict(second, 2))[1]["by"] == "found"
    assert second["inputJson"]["card"] == "C-1"
    assert len((await office.get("/cards"))["cards"]) == 1


async def test_gate_2_takes_the_card_that_a_task_names(office: Office) -> None:
    body = {"projectId": office.project, "title": "Search", "class": "normal"}
    card = (await office.ok("pm", "POST", "/cards", body))["card"]
    task = await office.task("Something", "new-feature", input={"card": card["number"]})
    assert await office.verdict(task, 2) == ("pass", {"card": "C-1", "by": "declared"})


# -- gate 3 --------------------------------------------------------------------------------


async def test_gate_3_a_new_product_starts_the_pipeline_at_its_first_stage(
    office: Office,
) -> None:
    task = await office.task("An invoicing product", "new-product")
    assert task["canonicalState"] == "inbox"
    assert (await office.verdict(task, 3))[0] == "divert"
    [run] = (await office.get("/pipelines/product-dev/runs"))["runs"]
    assert (run["stage"], run["originTaskId"], run["traceId"]) == (
        "requirement-audit", task["id"], task["traceId"],
    )  # fmt: skip
    stages = [place["stage"] for place in run["positions"]]
    assert stages == ["requirement-audit", "prd", "technical-design", "development", "acceptance"]
    for role in ("coo", "pm", "scoder", "coder", "pm"):
        stage = await office.claim(role)
        assert stage["inputJson"]["run"] == "R-1"
        for other in {"coo", "pm", "scoder", "coder"} - {role}:
            assert await office.claim(other) is None
        await office.result(role, stage)
    [run] = (await office.get("/pipelines/product-dev/runs"))["runs"]
    assert (run["status"], run["stage"]) == ("succeeded", None)
    origin = (await office.get(f"/tasks/{task['id']}"))["task"]
    assert origin["canonicalState"] in ("inbox", "queued")


async def test_gate_3_without_somebody_for_each_role_is_only_noted(daemon: Daemon) -> None:
    office = await open_office(daemon)
    await office.ok("owner", "DELETE", f"/agents/{office.agents['scoder']}")
    task = await office.task("An invoicing product", "new-product")
    assert task["canonicalState"] == "queued"
    assert (await office.verdict(task, 3))[0] == "uncertain"


# -- gate 4 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "labels", "more"),
    [
        ("Modify agent onboarding process", (), {}),
        ("Whatever", ("governance",), {}),
        ("Whatever", (), {"type": "routing_rules"}),
    ],
)
async def test_gate_4_governance_goes_to_the_coo_on_level_3(
    office: Office, title: str, labels: tuple[str, ...], more: Any
) -> None:
    task = await office.task(title, *labels, **more)
    detail = await office.see(task)
    assert (detail["ownerRole"], detail["canonicalState"]) == ("coo", "inbox")
    assert (await office.gates(task))["level"] == "L3"
    assert (await office.verdict(task, 4))[0] == "divert"


async def test_gate_4_lets_ordinary_onboarding_pass(office: Office) -> None:
    task = await office.task("Change the customer onboarding process")
    assert (await office.see(task))["canonicalState"] == "queued"
    assert (await office.verdict(task, 4))[0] == "uncertain"


# -- gate 5 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "agent"),
    [({"ownerRole": "pm"}, None), ({"assignedAgentId": "pm"}, "scoder")],
)
async def test_gate_5_pm_given_a_high_availability_design_is_diverted_to_scoder(
    office: Office, fields: dict[str, Any], agent: str | None
) -> None:
    task = await office.task(HIGH, **fields)
    detail = await office.see(task)
    assert (detail["ownerRole"], detail["canonicalState"]) == ("scoder", "queued")
    assert detail["assignedAgentId"] == (office.agents[agent] if agent else None)
    verdict, evidence = await office.verdict(task, 5)
    assert (verdict, evidence["to"], evidence["from"]) == ("divert", "scoder", "pm")
    assert await office.claim("pm") is None
    assert (await office.claim("scoder"))["id"] == task["id"]


async def test_gate_5_forced_solo_is_an_l1_block_that_names_the_expert(office: Office) -> None:
    task = await office.task(HIGH, "solo", assignedAgentId="pm")
    detail = await office.see(task)
    assert detail["canonicalState"] == "blocked"
    assert detail["blockedReason"].startswith("gate-5: ")
    assert f"homarus task assign {task['number']} scoder" in detail["blockedReason"]
    assert (await office.gates(task))["level"] == "L1"
    status, code, _ = await office.refused(
        "pm", "POST", f"/tasks/{task['id']}/claim", {"agentId": "pm"}
    )
    assert (status, code) == (409, "task.not_claimable")
    await office.ok("olga", "POST", f"/tasks/{task['id']}/assign", {"agentId": "scoder"})
    assert (await office.see(task))["canonicalState"] == "queued"
    assert (await office.claim("scoder"))["id"] == task["id"]


async def test_gate_5_an_operator_may_insist_against_a_guess_but_not_a_declaration(
    office: Office,
) -> None:
    guessed = await office.task(HIGH, assignedAgentId="pm")
    declared = await office.task("A plan", "domain:scoder", assignedAgentId="pm")
    for task in (guessed, declared):
        await office.ok("olga", "POST", f"/tasks/{task['id']}/assign", {"agentId": "pm"})
    assert (await office.see(guessed))["assignedAgentId"] == office.agents["pm"]
    assert (await office.verdict(guessed, 5))[0] == "uncertain"
    assert (await office.see(declared))["assignedAgentId"] == office.agents["scoder"]


# -- gate 6 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "more"),
    [
        ((), {"type": "product_development"}),
        (("pipeline:product-dev",), {}),
        ((), {"input": {"pipeline": "product-dev"}}),
    ],
)
async def test_gate_6_a_coder_who_skips_the_design_is_blocked(
    office: Office, labels: tuple[str, ...], more: Any
) -> None:
    task = await office.task("Develop the exporter", *labels, ownerRole="coder", **more)
    detail = await office.see(task)
    assert detail["canonicalState"] == "blocked"
    assert detail["blockedReason"].startswith("gate-6: ")
    assert "homarus pipeline start product-dev" in detail["blockedReason"]
    assert (await office.gates(task))["level"] == "L2"
    assert await office.claim("coder") is None


async def test_gate_6_lets_pass_what_was_started_through_the_pipeline(office: Office) -> None:
    body = {"projectId": office.project, "title": "Exporter"}
    run = (await office.ok("pm", "POST", "/pipelines/product-dev/runs", body))["run"]
    for place in run["positions"]:
        task = {"id": place["taskId"]}
        assert (await office.see(task))["canonicalState"] == "queued"
        assert (await office.verdict(task, 6))[0] == "pass"


# -- gate 7 --------------------------------------------------------------------------------


async def test_gate_7_a_governance_document_in_a_private_workspace_is_not_complete(
    office: Office,
) -> None:
    task = await office.task("Write the SOP", input={"produces": ["sop/release.md"]})
    await office.claim("coder", task)
    path = f"/tasks/{task['id']}/result"
    status, code, rule = await office.refused(
        "coder", "POST", path, {"agentId": "coder", "state": "done"}
    )
    assert (status, code, rule) == (403, "gate-7.not_written_back", "gate-7")
    assert (await office.see(task))["canonicalState"] == "in_progress"
    [asset] = (await office.gates(task))["assets"]
    assert asset == {"what": "sop/release.md", "inMainSpace": False}
    await office.result("coder", task, "review")
    status, code, _ = await office.refused(
        "olga", "POST", f"/tasks/{task['id']}/move", {"state": "done"}
    )
    assert (status, code) == (403, "gate-7.not_written_back")


async def test_gate_7_an_artifact_of_a_governance_kind_needs_no_declaration(
    office: Office,
) -> None:
    task = await office.task("Tidy up")
    await office.claim("coder", task)
    body = {
        "taskId": task["id"], "kind": "sop", "contentType": "text/markdown", "title": "Release",
        "storageUrl": "file:///home/coder/release.md", "sizeBytes": 9, "agentId": "coder",
        "sha256": "ab" * 32,
    }  # fmt: skip
    await office.ok("coder", "POST", "/artifacts", body)
    status, code, _ = await office.refused(
        "coder", "POST", f"/tasks/{task['id']}/result", {"agentId": "coder", "state": "done"}
    )
    assert (status, code) == (403, "gate-7.not_written_back")


# -- facts that change, levels of the company ----------------------------------------------


async def test_a_patch_is_judged_again(office: Office) -> None:
    task = await office.task("A plan", ownerRole="pm")
    await office.ok("olga", "PATCH", f"/tasks/{task['id']}", {"title": HIGH})
    assert (await office.see(task))["ownerRole"] == "scoder"
    assert len((await office.gates(task))["decisions"]) == 2
    await office.ok("olga", "PATCH", f"/tasks/{task['id']}", {"priority": 5})
    assert len((await office.gates(task))["decisions"]) == 2


async def test_a_company_that_observes_is_told_and_nothing_else(daemon: Daemon) -> None:
    office = await open_office(daemon, "solo-co", "solo")
    for fields in (
        {"title": HIGH, "assignedAgentId": "pm"},
        {"title": "Develop it", "type": "product_development"},
        {"title": "Modify agent onboarding process"},
        {"title": "x", "input": {"labels": ["new-product"]}},
    ):
        task = await office.task(**fields)
        assert (await office.see(task))["canonicalState"] == "queued"
        decision = (await office.gates(task))["decisions"][0]
        assert decision["observed"]
        words = {v["verdict"] for v in decision["verdicts"]}
        assert words & {"divert", "block"}
    assert (await office.get("/pipelines/product-dev/runs"))["runs"] == []


async def test_the_time_line_tells_what_a_gate_did(office: Office) -> None:
    task = await office.task(HIGH, assignedAgentId="pm")
    events = (await office.get(f"/tasks/{task['id']}/notes"))["events"]
    [told] = [e for e in events if e["eventType"] == "task_gated"]
    assert told["payloadJson"]["gate"] == 5
    assert told["payloadJson"]["why"] == "it is the profession of scoder"

"""Contract, section 7: the pipelines registry, beside the pipelines that this company runs."""

from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import NOBODY, Wire

DOC = {"purpose": "Leads every morning", "docMarkdown": "# Leads\n\nScrape, score, write."}
STEPS = [
    {"name": "Scrape", "agentRef": "scraper", "taskType": "scrape", "description": "The list"},
    {"name": "Write", "agentRef": "writer", "gate": "score > 50"},
]
FULL = DOC | {"trigger": "cron", "triggerConfig": {"cronExpression": "0 6 * * *"}, "steps": STEPS}


def record(wire: Wire, **body: Any) -> dict[str, Any]:
    made = wire.post("/pipelines", {"name": f"p-{uuid4()}"} | body)
    assert made.status == 201, made.body
    return dict(made["pipeline"])


# -- records -------------------------------------------------------------------------------


def test_a_record_from_draft_to_removal(wire: Wire) -> None:
    customer = wire.customer()["id"]
    project, agent = wire.project(customerId=customer)["id"], wire.agent()
    body = FULL | {
        "name": f"p-{uuid4()}", "runtimeRef": "openclaw:box", "projectId": project,
        "customerId": customer, "agentId": agent["name"], "contextQuery": "leads",
        "contextResourceIds": [], "contextTagFilters": ["sales"], "contextMaxChars": 9_000,
    }  # fmt: skip
    made = wire.post("/pipelines", body)
    assert made.status == 201 and made["message"] and isinstance(made["warnings"], list)
    row = made["pipeline"]
    assert (body | {"agentId": agent["id"], "status": "draft"}).items() <= row.items()
    assert wire.get(f"/pipelines/{row['id']}")["pipeline"] == row | {"runs": []}
    assert wire.get(f"/pipelines?name={row['name']}")["pipelines"] == [row]
    assert wire.get(f"/pipelines?projectId={project}")["pipelines"] == [row]
    active = wire.patch(f"/pipelines/{row['id']}", {"status": "active"})
    assert active.status == 200 and active["pipeline"]["status"] == "active"
    assert wire.get(f"/pipelines?name={row['name']}&status=draft")["pipelines"] == []
    assert len(wire.get(f"/pipelines?name={row['name']}&status=active")["pipelines"]) == 1
    gone = wire.delete(f"/pipelines/{row['id']}")
    assert gone.status == 200 and gone["pipeline"]["deletedAt"]
    assert wire.get(f"/pipelines/{row['id']}").status == 404
    assert wire.get(f"/pipelines?name={row['name']}")["pipelines"] == []


def test_a_second_post_of_a_name_changes_the_record(wire: Wire) -> None:
    row = record(wire, **DOC)
    again = wire.post("/pipelines", {"name": row["name"], "steps": STEPS})
    assert (again.status, again["pipeline"]["id"]) == (200, row["id"])
    assert (again["pipeline"]["purpose"], len(again["pipeline"]["steps"])) == (DOC["purpose"], 2)


@pytest.mark.parametrize(
    "lacking, missing",
    [
        ({"purpose": None}, ["purpose"]),
        ({"purpose": "  "}, ["purpose"]),
        ({"docMarkdown": ""}, ["docMarkdown"]),
        ({"steps": []}, ["steps"]),
        (
            {"purpose": None, "docMarkdown": None, "steps": None},
            ["purpose", "docMarkdown", "steps"],
        ),
    ],
)
def test_what_is_not_complete_is_not_activated(
    wire: Wire, lacking: dict[str, Any], missing: list[str]
) -> None:
    name = f"p-{uuid4()}"
    body = FULL | {"name": name, "status": "active"} | lacking
    reply = wire.post("/pipelines", body)
    assert (reply.status, reply["code"]) == (422, "pipeline.not_ready")
    assert reply["missingFields"] == missing
    assert wire.get(f"/pipelines?name={name}")["pipelines"] == []
    row = record(wire, **FULL | lacking)
    assert wire.patch(f"/pipelines/{row['id']}", {"status": "active"}).status == 422
    assert wire.get(f"/pipelines/{row['id']}")["pipeline"]["status"] == "draft"
    whole = record(wire, **FULL, status="active")
    assert wire.patch(f"/pipelines/{whole['id']}", lacking).status == 422
    assert wire.get(f"/pipelines/{whole['id']}")["pipeline"]["steps"] == whole["steps"]


def test_a_diagram_is_made_of_the_steps(wire: Wire) -> None:
    steps = [{"name": 'Say "hi" <b>', "agentRef": "a`b"}, {"name": "End", "gate": "ok & done"}]
    row = record(wire, steps=steps)
    assert row["diagramMermaid"].splitlines() == [
        "flowchart TD",
        '  trigger(["manual"])',
        '  step1["Say #quot;hi#quot; #lt;b#gt;<br/>a#96;b"]',
        "  trigger --> step1",
        '  gate2{"ok #amp; done"}',
        "  step1 --> gate2",
        '  step2["End"]',
        "  gate2 --> step2",
    ]


def test_warnings_say_what_may_not_be_meant(wire: Wire) -> None:
    wire.agent("scraper")
    body = {"name": f"p-{uuid4()}", "trigger": "cron", "triggerConfig": {"cronExpression": "soon"},
            "steps": STEPS}  # fmt: skip
    first = wire.post("/pipelines", body)["warnings"]
    assert len(first) == 3
    assert "purpose, docMarkdown" in first[0]
    assert "'soon'" in first[1] and "'writer'" in first[2]
    without = wire.post("/pipelines", {"name": body["name"], "triggerConfig": None})
    assert any("cronExpression" in text for text in without["warnings"])


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({"name": None}, 400, "request.schema"),
        ({"name": ""}, 400, "pipeline.name"),
        ({"name": "x" * 301}, 400, "pipeline.name"),
        ({"kind": "playbook"}, 400, "pipeline.kind"),
        ({"trigger": "moon"}, 400, "pipeline.trigger"),
        ({"status": "done"}, 400, "pipeline.status"),
        ({"steps": [{"name": ""}]}, 400, "pipeline.steps"),
        ({"steps": [{}]}, 400, "request.schema"),
        ({"steps": [{"name": "x"}] * 201}, 400, "pipeline.steps"),
        ({"steps": [{"name": "x", "description": "x" * 9_000}] * 8}, 400, "pipeline.steps"),
        ({"steps": "scrape"}, 400, "request.schema"),
        ({"purpose": "x" * 10_001}, 400, "pipeline.purpose"),
        ({"docMarkdown": "x" * 100_001}, 400, "pipeline.doc"),
        ({"triggerConfig": {"k": "x" * 65_536}}, 400, "pipeline.trigger_config"),
        ({"contextMaxChars": 0}, 400, "pipeline.context"),
        ({"contextMaxChars": 200_001}, 400, "pipeline.context"),
        ({"contextTagFilters": ["x"] * 101}, 400, "pipeline.context"),
        ({"projectId": str(uuid4())}, 404, "project.unknown"),
        ({"customerId": str(uuid4())}, 404, "customer.unknown"),
        ({"agentId": "nobody"}, 404, "agent.unknown"),
    ],
)
def test_records_that_cannot_be(wire: Wire, body: Any, status: int, code: str) -> None:
    name = f"p-{uuid4()}"
    reply = wire.post("/pipelines", {"name": name} | body)
    assert (reply.status, reply["code"]) == (status, code)
    assert wire.get(f"/pipelines?name={name}")["pipelines"] == []


def test_a_record_needs_a_name(wire: Wire) -> None:
    assert wire.post("/pipelines", {})["code"] == "pipeline.name"


@pytest.mark.parametrize("act", ["create", "patch", "delete", "run"])
def test_every_mutation_needs_a_key(wire: Wire, act: str) -> None:
    row = record(wire)
    one = f"/pipelines/{row['id']}"
    calls = {
        "create": lambda: wire.post("/pipelines", {"name": "x"}, key=None),
        "patch": lambda: wire.patch(one, {"purpose": "x"}, key=None),
        "delete": lambda: wire.delete(one, key=None),
        "run": lambda: wire.post(f"{one}/runs", {"status": "running"}, key=None),
    }
    assert calls[act]().status == 400


def test_names_are_unique_and_changes_are_something(wire: Wire) -> None:
    one, two = record(wire), record(wire)
    path = f"/pipelines/{one['id']}"
    assert wire.patch(path, {"name": two["name"]})["code"] == "pipeline.exists"
    assert wire.patch(path, {})["code"] == "pipeline.nothing"
    assert wire.patch(f"/pipelines/{uuid4()}", {"name": "x"}).status == 404


def test_weak_spot_27_records_come_in_pages_after_the_governed_ones(found: Any) -> None:
    wire = found()
    ids = [record(wire)["id"] for _ in range(3)]
    seen, path = [], "/pipelines?limit=2"
    for _ in range(10):
        page = wire.get(path)
        assert len(page["pipelines"]) <= 2
        seen += [row["id"] for row in page["pipelines"]]
        if "nextCursor" not in page.body:
            break
        path = f"/pipelines?limit=2&cursor={page['nextCursor']}"
    assert seen == ["content-os", "product-dev", *ids[::-1]]
    wire.close()


def test_weak_spot_27_a_page_is_bounded_in_bytes_too(found: Any) -> None:
    wire = found()
    ids = [record(wire, docMarkdown="x" * 100_000)["id"] for _ in range(110)]
    first = wire.get("/pipelines?limit=500")
    assert len(first.raw) < 15_000_000 and first["nextCursor"]
    rest = wire.get(f"/pipelines?limit=500&cursor={first['nextCursor']}")
    seen = [row["id"] for row in (*first["pipelines"], *rest["pipelines"])]
    assert [ref for ref in seen if ref in set(ids)] == ids[::-1] and "nextCursor" not in rest.body
    wire.close()


# -- runs ----------------------------------------------------------------------------------


def test_a_run_is_started_and_finished(wire: Wire) -> None:
    row = record(wire, **FULL, status="active")
    path = f"/pipelines/{row['id']}/runs"
    began = wire.post(path, {"status": "running"})
    assert (began.status, began["run"]["status"], began["run"]["endedAt"]) == (201, "running", None)
    body = {"runId": began["run"]["id"], "status": "succeeded", "summary": "14 leads",
            "stats": {"leads": 14}}  # fmt: skip
    ended = wire.post(path, body)
    assert (ended.status, ended["run"]["id"]) == (200, began["run"]["id"])
    assert (ended["run"]["summary"], ended["run"]["stats"]) == ("14 leads", {"leads": 14})
    assert ended["run"]["endedAt"]
    assert wire.post(path, body).body == ended.body
    other = wire.post(path, body | {"status": "failed"})
    assert (other.status, other["code"]) == (409, "pipeline.run_ended")
    shown = wire.get(f"/pipelines/{row['id']}")
    assert shown["runs"] == shown["pipeline"]["runs"] == [ended["run"]]
    assert (shown["pipeline"]["runCount"], shown["pipeline"]["lastRunStatus"]) == (1, "succeeded")


@pytest.mark.parametrize("status", ["succeeded", "failed", "partial"])
def test_a_cycle_reported_in_one_shot(wire: Wire, status: str) -> None:
    row = record(wire)
    made = wire.post(f"/pipelines/{row['id']}/runs", {"status": status, "summary": "all said"})
    assert (made.status, made["run"]["status"]) == (201, status)
    assert made["run"]["endedAt"]


def test_the_detail_has_the_last_20_runs(wire: Wire) -> None:
    row = record(wire)
    path = f"/pipelines/{row['id']}/runs"
    ids = [wire.post(path, {"status": "succeeded"})["run"]["id"] for _ in range(21)]
    assert [run["id"] for run in wire.get(f"/pipelines/{row['id']}")["runs"]] == ids[:0:-1]
    first = wire.get(f"{path}?limit=20")
    rest = wire.get(f"{path}?limit=20&cursor={first['nextCursor']}")
    assert [run["id"] for run in (*first["runs"], *rest["runs"])] == ids[::-1]


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({"status": "done"}, 400, "pipeline.run_status"),
        ({"status": 5}, 400, "request.schema"),
        ({"runId": str(uuid4()), "status": "failed"}, 404, "pipeline.run_unknown"),
        ({"runId": "x", "status": "failed"}, 404, "pipeline.run_unknown"),
        ({"status": "failed", "summary": "x" * 10_001}, 400, "pipeline.run_text"),
        ({"status": "failed", "stats": {"k": "x" * 65_536}}, 400, "pipeline.run_text"),
        ({"status": "failed", "startedAt": "now"}, 400, "request.time"),
    ],
)
def test_runs_that_cannot_be(wire: Wire, body: Any, status: int, code: str) -> None:
    row = record(wire)
    reply = wire.post(f"/pipelines/{row['id']}/runs", body)
    assert (reply.status, reply["code"]) == (status, code)
    assert wire.get(f"/pipelines/{row['id']}/runs")["runs"] == []


def test_a_run_of_another_record_is_not_found(wire: Wire) -> None:
    one, two = record(wire), record(wire)
    run = wire.post(f"/pipelines/{one['id']}/runs", {"status": "running"})["run"]["id"]
    reply = wire.post(f"/pipelines/{two['id']}/runs", {"runId": run, "status": "failed"})
    assert reply.status == 404


def test_a_retired_record_takes_no_new_run(wire: Wire) -> None:
    row = record(wire, status="retired")
    reply = wire.post(f"/pipelines/{row['id']}/runs", {"status": "running"})
    assert (reply.status, reply["code"]) == (409, "pipeline.retired")


# -- what this company runs stays governed ---------------------------------------------------


@pytest.mark.parametrize("name", ["product-dev", "content-os"])
def test_a_record_never_takes_the_place_of_a_governed_pipeline(wire: Wire, name: str) -> None:
    before = wire.get(f"/pipelines/{name}").body
    row = record(wire)
    for reply in (
        wire.post("/pipelines", {"name": name, "status": "active"} | FULL),
        wire.patch(f"/pipelines/{row['id']}", {"name": name}),
        wire.patch(f"/pipelines/{name}", {"status": "retired"}),
        wire.delete(f"/pipelines/{name}"),
    ):
        assert (reply.status, reply["code"]) == (409, "pipeline.governed") and reply["remedy"]
    put = wire.call("PUT", f"/pipelines/{name}", {"text": f"id: {name}\ntitle: Mine\n"})
    assert (put.status, put["rule"]) == (403, "permission")
    assert wire.get(f"/pipelines/{name}").body == before


def test_a_recorded_run_makes_no_task_and_a_governed_one_does(wire: Wire) -> None:
    project = wire.project()["id"]
    row = record(wire, projectId=project)
    wire.post(f"/pipelines/{row['id']}/runs", {"status": "running"})
    assert wire.get(f"/tasks?projectId={project}")["tasks"] == []
    body = {"projectId": project, "title": "A tool"}
    run = wire.post("/pipelines/product-dev/runs", body)
    assert (run.status, run["run"]["status"]) == (201, "running")
    assert wire.get(f"/tasks?projectId={project}")["tasks"] != []


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({"status": "succeeded"}, 409, "pipeline.governed"),
        ({"runId": str(uuid4()), "status": "running"}, 409, "pipeline.governed"),
        ({}, 400, "pipeline.missing"),
    ],
)
def test_a_governed_run_is_not_reported(wire: Wire, body: Any, status: int, code: str) -> None:
    reply = wire.post("/pipelines/product-dev/runs", body)
    assert (reply.status, reply["code"]) == (status, code)


def test_governed_pipelines_have_the_fields_of_the_contract(wire: Wire) -> None:
    [row] = wire.get("/pipelines?name=product-dev")["pipelines"]
    assert {"purpose", "docMarkdown", "trigger", "triggerConfig", "steps", "status"} <= set(row)
    assert row["kind"] == "governed" and row["diagramMermaid"].startswith("flowchart TD\n")


# -- context -------------------------------------------------------------------------------


def note(wire: Wire, name: str, text: str, **body: Any) -> str:
    made = wire.post(
        "/resources",
        {"name": name, "resourceType": "knowledge_base", "provider": "local", "configText": text}
        | body,
    )
    assert made.status == 201, made.body
    return str(made["resource"]["id"])


def test_the_context_is_a_pack_of_its_scopes_and_choices(wire: Wire) -> None:
    project = wire.project()["id"]
    tag = f"t{uuid4().hex}"
    tagged = note(wire, "tagged", f"Prices. #{tag}", secretText="hush-1")
    foreign = note(wire, "foreign", f"Elsewhere. #{tag}", projectId=wire.project()["id"])
    own = note(wire, "own", f"Here. #{tag}", projectId=project)
    asked = note(wire, f"about {tag}q", "Anything")
    chosen = note(wire, "chosen", "x" * 9_000)
    row = record(
        wire, projectId=project, contextTagFilters=[f"#{tag}"], contextQuery=f"{tag}q",
        contextResourceIds=[chosen, str(uuid4())],
    )  # fmt: skip
    reply = wire.get(f"/pipelines/{row['id']}/context")
    assert reply.status == 200 and "hush-1" not in str(reply.body)
    why = {source["id"]: source["reason"] for source in reply["sources"]}
    assert {ref: why.get(ref) for ref in (tagged, own, asked, chosen, foreign)} == {
        tagged: "selected", own: "selected", asked: "selected", chosen: "selected", foreign: None,
    }  # fmt: skip
    cut = next(item for item in reply["resources"] if item["id"] == chosen)
    assert (len(cut["configText"]), cut["configTruncated"]) == (8_000, True)
    assert (reply["maxChars"], reply["tagFilters"]) == (12_000, [tag])
    assert reply["usedChars"] == sum(s["chars"] for s in reply["sources"]) <= 12_000
    small = wire.get(f"/pipelines/{row['id']}/context?maxChars=100")
    assert (small["usedChars"], small["maxChars"]) == (100, 100)


@pytest.mark.parametrize("ref", ["product-dev", NOBODY, "x"])
def test_only_records_have_a_context(wire: Wire, ref: str) -> None:
    assert wire.get(f"/pipelines/{ref}/context").status == 404

"""Contract, section 7: templates, playbooks, tactics, skills/promote, the help text."""

import hashlib
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import Wire

# -- templates -----------------------------------------------------------------------------


def test_templates_are_what_a_pipeline_can_start_from(wire: Wire) -> None:
    made = wire.post("/pipelines", {"name": f"t-{uuid4()}", "kind": "template", "purpose": "Mine",
                                    "steps": [{"name": "One"}]})["pipeline"]  # fmt: skip
    rows = {row["id"]: row for row in wire.get("/templates")["templates"]}
    assert {"product-dev", "content-os", made["id"]} <= rows.keys()
    own = rows[made["id"]]
    assert (own["description"], own["contractJson"]) == ("Mine", {"steps": [{"name": "One"}]})
    assert made["id"] not in {row["id"] for row in wire.get("/pipelines")["pipelines"]}
    gone = wire.delete(f"/templates/{made['id']}")
    assert gone.status == 200 and gone["message"] and gone["template"]["deletedAt"]
    assert wire.delete(f"/templates/{made['id']}").status == 404


def test_what_is_shipped_stays(wire: Wire) -> None:
    reply = wire.delete("/templates/product-dev")
    assert (reply.status, reply["code"]) == (409, "template.shipped")


# -- playbooks -----------------------------------------------------------------------------


def test_a_playbook_is_upserted_by_name_and_archived(wire: Wire) -> None:
    name = f"p-{uuid4()}"
    body = {"name": name, "description": "How to greet", "requiredSkillsJson": ["talk"],
            "instructionsJson": [{"say": "hello"}]}  # fmt: skip
    made = wire.post("/playbooks", body)
    assert made.status == 201 and body.items() <= made["playbook"].items()
    again = wire.post("/playbooks", {"name": name, "instructionsJson": ["wave"]})
    assert (again.status, again["playbook"]["id"]) == (200, made["playbook"]["id"])
    assert (again["playbook"]["instructionsJson"], again["playbook"]["requiredSkillsJson"]) == (
        ["wave"], ["talk"],
    )  # fmt: skip
    assert again["playbook"] in wire.get("/playbooks")["playbooks"]
    gone = wire.delete(f"/playbooks/{made['playbook']['id']}")
    assert gone.status == 200 and gone["playbook"]["deletedAt"]
    assert name not in {row["name"] for row in wire.get("/playbooks")["playbooks"]}


def test_kinds_do_not_mix(wire: Wire) -> None:
    playbook = wire.post("/playbooks", {"name": f"p-{uuid4()}"})["playbook"]["id"]
    assert wire.get(f"/pipelines/{playbook}").status == 404
    assert wire.delete(f"/pipelines/{playbook}").status == 404
    assert wire.delete(f"/templates/{playbook}").status == 404


@pytest.mark.parametrize(
    "body, code",
    [
        ({}, "request.schema"),
        ({"name": ""}, "pipeline.name"),
        ({"name": "x" * 301}, "pipeline.name"),
        ({"name": "p", "description": 5}, "request.schema"),
        ({"name": "p", "description": "x" * 10_001}, "pipeline.purpose"),
        ({"name": "p", "instructionsJson": "x" * 65_536}, "pipeline.extra"),
    ],
)
def test_playbooks_that_cannot_be(wire: Wire, body: Any, code: str) -> None:
    reply = wire.post("/playbooks", body)
    assert (reply.status, reply["code"]) == (400, code)


# -- tactics -------------------------------------------------------------------------------


def promote(wire: Wire, name: str, **body: Any) -> Any:
    return wire.post("/skills/promote", {"name": name, "intent": "Avoid 429s"} | body)


def test_a_promoted_tactic_is_proposed_and_stays_in_quarantine(wire: Wire, person: Wire) -> None:
    name = f"Stealth Retries {uuid4().hex[:8]}"
    steps, inputs = {"behaviour": "back off ```\n"}, ["url"]
    made = promote(wire, name, stepsJson=steps, requiredInputsJson=inputs)
    assert made.status == 201 and made["message"]
    tactic = made["tactic"]
    expected = {"name": name, "intent": "Avoid 429s", "stepsJson": steps,
                "requiredInputsJson": inputs, "status": "proposed", "grants": []}  # fmt: skip
    assert expected.items() <= tactic.items()
    assert tactic in wire.get("/tactics?limit=500")["tactics"]
    assert tactic in wire.get("/tactics?status=proposed&limit=500")["tactics"]
    assert tactic not in wire.get("/tactics?status=active&limit=500")["tactics"]
    row = person.get(f"/api/v1/capabilities/{tactic['id']}")["capability"]
    assert (row["kind"], row["quarantined"], row["enabled"]) == ("skill", True, False)
    hits = person.get(f"/api/v1/capability-search?intent={name}")["hits"]
    assert tactic["id"] not in {hit["id"] for hit in hits}
    agent, task = wire.agent(), wire.task(wire.project()["id"])["id"]
    wire.post(f"/tasks/{task}/claim", {"agentId": agent["id"]})
    refused = wire.post(
        "/api/v1/calls", {"capability": tactic["id"], "taskId": task, "agentId": agent["id"]}
    )
    assert (refused.status, refused["code"]) == (403, "permission.quarantined")


def test_the_same_proposal_again_is_the_same_one(wire: Wire) -> None:
    name = f"Again {uuid4().hex[:8]}"
    first, same = promote(wire, name), promote(wire, name)
    assert same["tactic"] == first["tactic"]
    changed = promote(wire, name, intent="Something else")
    assert (changed["tactic"]["id"], changed["tactic"]["version"]) == (first["tactic"]["id"], 2)


def test_a_skill_in_use_is_neither_replaced_nor_withdrawn(wire: Wire, person: Wire) -> None:
    """No company token disarms a skill by proposing another under its name."""
    slug = f"used_{uuid4().hex[:8]}"
    text = f"---\nname: tactic.{slug}\ndescription: Used\n---\nDo it.\n"
    raw = text.encode()
    file = {"path": "SKILL.md", "sha256": hashlib.sha256(raw).hexdigest(), "sizeBytes": len(raw)}
    made = person.post("/api/v1/skills", {"text": text, "files": [file]})
    assert made.status == 201, made.body
    reply = promote(wire, slug)
    assert (reply.status, reply["code"]) == (409, "tactic.taken")
    gone = wire.delete(f"/tactics/tactic.{slug}")
    assert (gone.status, gone["code"]) == (409, "tactic.granted")
    row = person.get(f"/api/v1/capabilities/tactic.{slug}")["capability"]
    assert row["sha256"] == made["capability"]["sha256"]


def test_a_proposal_is_withdrawn(wire: Wire) -> None:
    made = promote(wire, f"Gone {uuid4().hex[:8]}")["tactic"]
    gone = wire.delete(f"/tactics/{made['id']}")
    assert gone.status == 200 and gone["tactic"]["deletedAt"]
    assert made["id"] not in {row["id"] for row in wire.get("/tactics?limit=500")["tactics"]}
    assert wire.delete(f"/tactics/{made['id']}").status == 404


@pytest.mark.parametrize(
    "body, code",
    [
        ({}, "request.schema"),
        ({"name": ""}, "tactic.name"),
        ({"name": "!!"}, "tactic.name"),
        ({"name": "x" * 201}, "tactic.name"),
        ({"name": "n", "intent": "x" * 4_001}, "tactic.intent"),
        ({"name": "n", "intent": 5}, "request.schema"),
        ({"name": "n", "stepsJson": "x" * 16_384}, "tactic.steps"),
        ({"name": "n", "intent": "\x7f"}, "skill.text"),
    ],
)
def test_proposals_that_cannot_be(wire: Wire, body: Any, code: str) -> None:
    reply = wire.post("/skills/promote", body)
    assert (reply.status, reply["code"]) == (400, code)


@pytest.mark.parametrize(
    "text",
    ["a: b # c", "line\nbreak", '"quoted" \\ slash', "---", "{{x}} {0}", "Öl 😀", "- list", "'"],
)
def test_any_words_make_a_skill_text(wire: Wire, text: str) -> None:
    made = promote(wire, f"Words {uuid4().hex[:8]} {text}", intent=text, stepsJson=[text])
    assert made.status == 201, made.body
    assert made["tactic"]["intent"] == " ".join(text.split())
    assert made["tactic"]["stepsJson"] == [text]


@pytest.mark.parametrize("query", ["status=x", "status=%27", "status=quarantined"])
def test_an_unknown_status_is_400(wire: Wire, query: str) -> None:
    assert wire.get(f"/tactics?{query}")["code"] == "tactic.status"


def test_weak_spot_27_tactics_come_in_pages(wire: Wire) -> None:
    ids = {promote(wire, f"Page {uuid4().hex[:8]}")["tactic"]["id"] for _ in range(3)}
    seen, path = [], "/tactics?limit=2"
    for _ in range(100):
        page = wire.get(path)
        seen += [row["id"] for row in page["tactics"]]
        if "nextCursor" not in page.body:
            break
        path = f"/tactics?limit=2&cursor={page['nextCursor']}"
    assert ids <= set(seen) and len(seen) == len(set(seen))


# -- keys, help ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method, path",
    [("DELETE", "/templates/x"), ("POST", "/playbooks"), ("DELETE", "/playbooks/x"),
     ("DELETE", "/tactics/x"), ("POST", "/skills/promote")],
)  # fmt: skip
def test_every_mutation_needs_a_key(wire: Wire, method: str, path: str) -> None:
    body = {"name": "x"} if method == "POST" else None
    assert wire.call(method, path, body, key=None).status == 400


@pytest.mark.parametrize("path", ["/templates/x", "/playbooks/x", "/tactics/x"])
def test_quirk_what_is_not_there_is_404(wire: Wire, path: str) -> None:
    assert wire.delete(path).status == 404


def test_help_names_this_daemon_and_no_token(wire: Wire) -> None:
    whole = wire.get("/llms/agent-configuration")
    assert whole.status == 200 and wire.url in whole["text"]
    for provider in whole["providers"]:
        plain = wire.get(f"/llms/agent-configuration?provider={provider}&format=txt")
        assert plain.status == 200
        assert plain.headers["content-type"] == "text/plain; charset=utf-8"
        text = plain.raw.decode()
        assert f"## {provider}" in text and (wire.token or "?") not in text
        assert len(text.splitlines()) < len(whole["text"].splitlines())
    assert wire.get("/llms/agent-configuration?provider=x")["code"] == "help.provider"

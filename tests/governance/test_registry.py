"""The registry by REST: who may call what on which target, how grants change, the manual."""

from pathlib import Path
from typing import Any

import pytest

from homarus.testing.daemon import key
from tests.support.studio import Studio

SKILL = """---
name: openclaw-config-editor
description: Edit the OpenClaw configuration, with format validation and a backup of the file
keywords: [openclaw.json]
---
1. Copy the file. 2. Edit the copy. 3. Validate it. 4. Put it in place.
"""


def skill(text: str) -> dict[str, Any]:
    import hashlib

    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return {"text": text, "files": [{"path": "SKILL.md", "sha256": sha256, "sizeBytes": len(text)}]}


async def changed(acme: Studio, kind: str, patch: Any) -> Any:
    """A change, from its proposal to its switch, by the only operator."""
    body = {"kind": kind, "patch": patch, "intent": "i", "impact": "i", "rollbackPlan": "r",
            "validation": "v"}  # fmt: skip
    made = (await acme.made("/changes", body))["change"]
    confirmed = ("approve", {"confirm": True})
    for step, more in (("validate", {}), ("approve", {}), confirmed, ("switch", {})):
        reply = await acme.post(acme.owner, f"/changes/{made['id']}/{step}", more)
        assert reply.is_success, (step, reply.text)
        made = reply.json()["change"]
    return made


# -- permission ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "grants, code",
    [
        (["*"], None),
        (["role:coder"], None),
        (["role:writer", "role:coder"], None),
        (["agent:ada"], None),
        ([], "permission.capability"),
        (["role:writer"], "permission.capability"),
        (["role:code"], "permission.capability"),
        (["role:coders"], "permission.capability"),
        (["role:Coder"], "permission.capability"),
        (["role:*"], "permission.capability"),
        (["agent:bob"], "permission.capability"),
    ],
)
async def test_only_what_is_granted_is_called(
    acme: Studio, grants: list[str], code: str | None
) -> None:
    await acme.command("words.say", "-c", "print(1)", grants=grants)
    task = await acme.claimed("ada", "words.say")
    reply = await acme.call("ada", capability="words.say", taskId=task)
    assert reply.json().get("code") == code, reply.text
    if code is not None:
        assert reply.status_code == 403 and reply.json()["rule"] == "permission"
        assert "homarus capability grant" in reply.json()["remedy"]


@pytest.mark.parametrize(
    "patterns, target, code",
    [
        ([], None, None),
        ([], "workspace:a/b.md", None),
        ([], "https://example.com/", "permission.target"),
        ([], "task:01a1f978-acee-72aa-8763-e53ee771c702", "permission.target"),
        (["workspace:notes/*"], None, None),
        (["workspace:notes/*"], "workspace:notes/a.md", None),
        (["workspace:notes/*"], "workspace:notes/b/a.md", "permission.target"),
        (["workspace:notes/*"], "workspace:a.md", "permission.target"),
        (["https://api.example/v1/**"], "https://api.example/v1/x/y", None),
        (["https://api.example/v1/**"], "https://api.example.evil/v1/x", "permission.target"),
        (["https://api.example/v1/**"], "https://api.example/v2/x", "permission.target"),
    ],
)
async def test_a_capability_reaches_its_targets_alone(
    acme: Studio, patterns: list[str], target: str | None, code: str | None
) -> None:
    await acme.command("words.say", "-c", "print(1)", targets=patterns)
    task = await acme.claimed("ada", "words.say")
    preflight = await acme.thought("ada", ("words.say", "*"))
    reply = await acme.call(
        "ada", capability="words.say", taskId=task, target=target, preflightId=preflight
    )
    found = reply.json().get("code")
    assert found == code or (found == "R6.outside" and code == "permission.target"), reply.text


async def test_what_is_disabled_is_not_called(acme: Studio) -> None:
    await acme.command("words.say", "-c", "print(1)")
    task = await acme.claimed("ada", "words.say")
    await acme.post(acme.owner, "/capabilities/words.say/disable", None)
    reply = await acme.call("ada", capability="words.say", taskId=task)
    assert reply.json()["code"] == "permission.disabled"
    await acme.command("words.say", "-c", "print(1)")
    reply = await acme.call("ada", capability="words.say", taskId=task)
    assert reply.status_code == 202


@pytest.mark.parametrize("who", ["ada", "bob"])
@pytest.mark.parametrize(
    "path, body",
    [
        ("/capabilities", {"id": "own.tool", "title": "T", "argv": ["true"], "grants": ["*"]}),
        ("/capabilities/words.say/disable", None),
        ("/skills", skill(SKILL)),
    ],
)
async def test_no_agent_registers_or_disables(acme: Studio, who: str, path: str, body: Any) -> None:
    await acme.command("words.say", "-c", "print(1)")
    reply = await acme.post(acme.clients[who], path, body)
    assert (reply.status_code, reply.json()["code"]) == (403, "permission.capability")


async def test_unregistered_scripts_are_refused_with_the_nearest_names(acme: Studio) -> None:
    await acme.command("words.say", "-c", "print(1)")
    task = await acme.claimed("ada")
    reply = await acme.call("ada", capability="words.sey", taskId=task)
    assert reply.json()["code"] == "permission.unknown_capability"
    assert "words.say" in reply.json()["remedy"]


# -- grants change by a change record -------------------------------------------------------------


async def test_grants_change_by_a_change_record_alone(acme: Studio) -> None:
    await acme.command("words.say", "-c", "print(1)", grants=["role:writer"])
    task = await acme.claimed("ada", "words.say")
    body = {"id": "words.say", "title": "S", "argv": ["true"], "grants": ["*"]}
    again = await acme.post(acme.owner, "/capabilities", body)
    assert (again.status_code, again.json()["code"]) == (409, "capability.grants_fixed")
    assert "homarus capability grant words.say" in again.json()["remedy"]
    patch = {"capability": "words.say", "grants": [f"agent:{acme.agents['ada']}"]}
    await changed(acme, "capability_grant", patch)
    reply = await acme.call("ada", capability="words.say", taskId=task)
    assert reply.status_code == 202, reply.text


async def test_a_declared_capability_is_in_force_once_its_document_is(acme: Studio) -> None:
    text = (
        "version: 1\ncapabilities:\n  - id: words.say\n    title: Say words\n"
        "    argv: [echo, '{word}']\n    slots: {word: text}\n    grants: ['agent:ada']\n"
    )
    await changed(acme, "governed_document", {"path": "capabilities.yaml", "content": text})
    shown = await acme.owner.get("/api/v1/capabilities/words.say")
    assert (shown.json()["capability"]["source"], shown.json()["capability"]["grants"]) == (
        "document", [f"agent:{acme.agents['ada']}"],
    )  # fmt: skip
    wrong = text.replace("agent:ada", "agent:adda")
    patch = {"path": "capabilities.yaml", "content": wrong}
    body = {"kind": "governed_document", "intent": "i", "impact": "i", "rollbackPlan": "r",
            "validation": "v", "patch": patch}  # fmt: skip
    made = (await acme.made("/changes", body))["change"]
    await acme.post(acme.owner, f"/changes/{made['id']}/validate", {})
    reply = await acme.owner.get(f"/api/v1/changes/{made['id']}")
    assert "capabilities.yaml:7:14: the company has no agent 'adda'" in reply.text
    refused = await acme.post(acme.owner, f"/changes/{made['id']}/approve", {"confirm": True})
    assert refused.status_code == 409
    after = await acme.owner.get("/api/v1/capabilities/words.say")
    assert after.json() == shown.json()


# -- the manual's paths ----------------------------------------------------------------------------


async def test_the_manuals_config_change(acme: Studio, tmp_path: Path) -> None:
    """2.1.4: editing the file oneself is blocked; the query finds the editor, which is used."""
    made = (await acme.made("/skills", skill(SKILL)))["capability"]
    assert made["quarantined"]
    task = await acme.claimed("ada")
    config = "file:/home/ada/.openclaw/openclaw.json"
    own = await acme.call("ada", capability="file.edit", taskId=task, target=config)
    assert own.json()["code"] == "permission.unknown_capability"
    own = await acme.call("ada", capability="fs.write", taskId=task, target=config)
    assert own.json()["code"] == "call.builtin", (
        "a tool of agents that run here, in their workspace"
    )
    quarantined = await acme.call("ada", capability=made["id"], taskId=task)
    assert quarantined.json()["code"] == "permission.quarantined"
    patch = {"capability": made["id"], "grants": ["role:coder"]}
    await changed(acme, "capability_grant", patch)
    found = await acme.clients["ada"].get(
        "/api/v1/capability-search?intent=modify openclaw config file"
    )
    assert [hit["id"] for hit in found.json()["hits"]] == ["openclaw-config-editor"]
    read = await acme.clients["ada"].get("/api/v1/capabilities/openclaw-config-editor")
    assert read.json()["capability"]["text"] == SKILL
    await acme.made("/skills", skill(SKILL + "5. Delete the backup.\n"))
    again = await acme.call("ada", capability=made["id"], taskId=task)
    assert again.json()["code"] == "permission.quarantined"


async def test_a_promoted_tactic_works_when_a_change_has_granted_it(acme: Studio) -> None:
    """And whoever proposed it cannot take it back or change it then."""
    body = {"name": "Slow down", "intent": "Avoid 429s", "stepsJson": ["wait"]}
    headers = {"Idempotency-Key": "promote-1"}
    ada = acme.clients["ada"]
    made = (await ada.post("/api/v1/skills/promote", json=body, headers=headers)).json()["tactic"]
    task = await acme.claimed("ada")
    quarantined = await acme.call("ada", capability=made["id"], taskId=task)
    assert quarantined.json()["code"] == "permission.quarantined"
    patch = {"capability": made["id"], "grants": ["role:coder"]}
    await changed(acme, "capability_grant", patch)
    [row] = (await ada.get("/api/v1/tactics?status=active")).json()["tactics"]
    assert (row["id"], row["grants"]) == ("tactic.slow_down", ["role:coder"])
    allowed = await acme.call("ada", capability=made["id"], taskId=task)
    assert allowed.json().get("code") != "permission.quarantined"
    again = await ada.post(
        "/api/v1/skills/promote", json=body | {"intent": "x"}, headers={"Idempotency-Key": "p-2"}
    )
    gone = await ada.delete(f"/api/v1/tactics/{made['id']}", headers={"Idempotency-Key": "p-3"})
    assert [again.json()["code"], gone.json()["code"]] == ["tactic.taken", "tactic.granted"]


async def test_the_manuals_project_card(acme: Studio) -> None:
    await acme.command("project-card-cli", "-c", "print('card')", description="Creates a card")
    await acme.command("files.count", "-c", "print(1)", description="Counts lines")
    found = await acme.clients["ada"].get("/api/v1/capability-search?intent=create project card")
    assert [hit["id"] for hit in found.json()["hits"]] == ["project-card-cli"]


async def test_validating_a_file_changes_nothing(acme: Studio) -> None:
    text = "version: 1\ncapabilities:\n  - id: a.b\n    titel: T\n    argv: [wc]\n"
    reply = await acme.post(acme.clients["ada"], "/capability-document/validate", {"text": text})
    assert [(p["line"], p["column"]) for p in reply.json()["problems"]] == [(3, 5), (4, 5)]
    good = text.replace("titel", "title")
    reply = await acme.clients["ada"].post(
        "/api/v1/capability-document/validate", json={"text": good}, headers=key()
    )
    assert (reply.json()["valid"], reply.json()["capabilities"]) == (True, ["a.b"])
    assert (await acme.owner.get("/api/v1/capabilities")).json()["capabilities"] == []

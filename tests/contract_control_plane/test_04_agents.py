"""Contract, 4.2 and 4.3: agents, how they are named, and what a heartbeat does."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import NOBODY, Wire, frame

AGENT = {
    "id", "companyId", "name", "role", "avatarUrl", "skillsJson", "memory", "modelPolicyJson",
    "concurrencyLimit", "provider", "deploymentMode", "llmProvider", "llmModel", "containerId",
    "containerName", "doctrineJson", "monthlyBudgetCents", "monthlyTokenUsage", "monthlyCostCents",
    "lastResetMonth", "budgetStatus", "status", "lastSeenAt", "currentLoad", "createdAt",
    "deletedAt",
}  # fmt: skip


def name() -> str:
    return f"agent-{uuid4()}"


def beat(wire: Wire, agent: str, **more: Any) -> Any:
    return wire.post("/agents/heartbeat", {"agentId": agent, "currentLoad": 0} | more, key=None)


# -- POST, GET, PATCH, DELETE ------------------------------------------------------------------


def test_must_create_with_id_name_and_role(wire: Wire) -> None:
    called = name()
    made = wire.post("/agents", {"name": called})
    assert made.status == 201 and made["message"]
    agent = made["agent"]
    assert set(agent) >= AGENT
    assert (agent["name"], agent["role"], agent["concurrencyLimit"]) == (called, "operator", 1)
    assert (agent["provider"], agent["deploymentMode"]) == ("mcp", "remote")
    assert (agent["status"], agent["currentLoad"]) == ("offline", 0)
    assert (agent["budgetStatus"], agent["monthlyBudgetCents"]) == ("active", 0)


def test_all_given_fields_come_back(wire: Wire) -> None:
    given = {
        "role": "builder",
        "avatarUrl": "https://pictures.example/a.png",
        "skillsJson": ["python", {"name": "sql"}],
        "memory": "I am new.",
        "modelPolicyJson": {"tier": "small"},
        "concurrencyLimit": 3,
        "llmProvider": "local",
        "llmModel": "tiny",
    }
    agent = wire.agent(**given)
    assert {field: agent[field] for field in given} == given


def test_unknown_fields_are_allowed(wire: Wire) -> None:
    assert wire.post("/agents", {"name": name(), "favouriteColour": "teal"}).status == 201


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": 1},
        {"name": "x" * 1000},
        {"name": "ok", "concurrencyLimit": -1},
        {"name": "ok", "concurrencyLimit": "many"},
        {"name": "ok", "skillsJson": "python"},
        {"name": "ok", "modelPolicyJson": []},
    ],
)
def test_creates_that_are_refused(wire: Wire, body: dict[str, Any]) -> None:
    if body.get("name") == "ok":
        body = body | {"name": name()}
    reply = wire.post("/agents", body)
    assert reply.status == 400 and reply["error"]


def test_a_taken_name_is_409(wire: Wire) -> None:
    """Names are references: two of one name would be one name for two agents."""
    agent = wire.agent()
    assert wire.post("/agents", {"name": agent["name"]}).status == 409


def test_a_first_memory_is_an_entry_and_a_snapshot(wire: Wire) -> None:
    agent = wire.agent(memory="I know the house.")
    memory = wire.get(f"/agents/{agent['id']}/memory")
    assert [entry["content"] for entry in memory["entries"]] == ["I know the house."]
    assert memory["snapshot"]["content"] == "I know the house."


def test_must_list_with_id_name_and_role_newest_first(found: Callable[..., Wire]) -> None:
    wire = found()
    made = [wire.agent()["id"] for _ in range(3)]
    listed = wire.get("/agents")["agents"]
    assert [agent["id"] for agent in listed] == made[::-1]
    assert all(agent["id"] and agent["name"] and agent["role"] for agent in listed)


def test_pages_go_on_where_the_last_one_ended(found: Callable[..., Wire]) -> None:
    wire = found()
    made = [wire.agent()["id"] for _ in range(5)]
    seen, cursor = [], ""
    for _ in range(5):
        page = wire.get(f"/agents?limit=2&cursor={cursor}")
        seen += [agent["id"] for agent in page["agents"]]
        cursor = page.body.get("nextCursor")
        if not cursor:
            break
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "field, value",
    [
        ("name", "renamed"),
        ("role", "reviewer"),
        ("avatarUrl", "https://pictures.example/b.png"),
        ("skillsJson", ["go"]),
        ("memory", "I remember."),
        ("modelPolicyJson", {"tier": "large"}),
        ("concurrencyLimit", 0),
        ("llmProvider", "p"),
        ("llmModel", "m"),
        ("budgetStatus", "paused"),
    ],
)
def test_patch_changes_one_field(wire: Wire, field: str, value: Any) -> None:
    agent = wire.agent()
    value = name() if field == "name" else value
    changed = wire.patch(f"/agents/{agent['id']}", {field: value})
    assert changed.status == 200 and changed["message"]
    assert changed["agent"][field] == value


@pytest.mark.parametrize(
    "field, value",
    [("monthlyBudgetCents", 5_000), ("monthlyCostCents", 12), ("monthlyTokenUsage", 34)],
)
def test_money_is_an_owners_to_raise(wire: Wire, person: Wire, field: str, value: int) -> None:
    agent = wire.agent()
    changed = person.patch(f"/agents/{agent['id']}", {field: value})
    assert changed.status == 200, changed.body
    assert changed["agent"][field] == value


def test_a_patched_memory_is_a_checkpoint_entry(wire: Wire) -> None:
    agent = wire.agent()
    wire.patch(f"/agents/{agent['id']}", {"memory": "Half way."})
    memory = wire.get(f"/agents/{agent['id']}/memory")
    assert [(e["kind"], e["content"]) for e in memory["entries"]] == [("checkpoint", "Half way.")]
    assert memory["agent"]["memory"] == "Half way."


@pytest.mark.parametrize("body", [{}, {"unknown": 1}, {"budgetStatus": "broke"}])
def test_patches_that_change_nothing_are_400(wire: Wire, body: dict[str, Any]) -> None:
    assert wire.patch(f"/agents/{wire.agent()['id']}", body).status == 400


def test_delete_is_soft(wire: Wire) -> None:
    agent = wire.agent()
    gone = wire.delete(f"/agents/{agent['id']}")
    assert gone.status == 200 and gone["message"] and gone["agent"]["deletedAt"]
    assert agent["id"] not in {a["id"] for a in wire.get("/agents?limit=500")["agents"]}
    assert wire.patch(f"/agents/{agent['id']}", {"role": "x"}).status == 404
    assert beat(wire, agent["name"]).status == 404


def test_frames_of_agents(wire: Wire) -> None:
    with wire.socket() as socket:
        frame(socket, "connected")
        agent = wire.agent()
        assert frame(socket, "agent_registered")["agent"]["id"] == agent["id"]
        wire.patch(f"/agents/{agent['id']}", {"role": "reviewer"})
        assert frame(socket, "agent_updated")["agent"]["role"] == "reviewer"


def test_no_key_of_a_model_is_ever_sent(wire: Wire) -> None:
    agent = wire.agent(llmApiKey="sk-secret", modelKey="sk-secret")
    assert "sk-secret" not in wire.get(f"/agents/{agent['id']}").raw.decode()


# -- references --------------------------------------------------------------------------------


@pytest.mark.parametrize("of", ["id", "name", "ID"])
def test_a_body_names_an_agent_by_id_or_by_name(wire: Wire, of: str) -> None:
    agent = wire.agent()
    ref = agent["id"].upper() if of == "ID" else agent[of]
    assert beat(wire, ref).status == 200
    assert wire.post("/tasks/claim", {"agentId": ref}).status == 200


@pytest.mark.parametrize("ref", ["nobody", NOBODY, "", "x" * 5000, "\u0000"])
def test_an_unknown_agent_is_404_or_400(wire: Wire, ref: str) -> None:
    assert beat(wire, ref).status in (400, 404)


@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_no_name_looks_like_an_id_so_a_reference_is_one_agent(
    wire: Wire, change: Callable[[str], str]
) -> None:
    """In the original a name goes before an id, and hides the agent of that id."""
    assert wire.post("/agents", {"name": change(wire.agent()["id"])}).status == 400


# -- heartbeat ---------------------------------------------------------------------------------


def test_a_heartbeat_sets_the_agent_online(wire: Wire) -> None:
    agent = wire.agent()
    reply = beat(wire, agent["id"], currentLoad=2)
    assert reply.status == 200 and reply["message"] and reply["lastSeenAt"]
    shown = wire.get(f"/agents/{agent['id']}")["agent"]
    assert (shown["status"], shown["currentLoad"]) == ("online", 2)
    assert shown["lastSeenAt"] == reply["lastSeenAt"]


def test_a_heartbeat_renews_the_leases_of_the_agents_work(wire: Wire) -> None:
    agent, project = wire.agent(concurrencyLimit=2), wire.project()["id"]
    body = {"agentId": agent["id"], "leaseSeconds": 60}
    held = []
    for _ in range(2):
        task = wire.task(project)["id"]
        held.append(wire.post(f"/tasks/{task}/claim", body)["task"])
    assert beat(wire, agent["id"])["renewed"] == 2
    for task in held:
        after = wire.get(f"/tasks/{task['id']}")["task"]
        assert after["leaseUntil"] > task["leaseUntil"]


def test_a_heartbeat_brings_no_orders(wire: Wire) -> None:
    assert set(beat(wire, wire.agent()["id"]).body) == {"message", "lastSeenAt", "renewed"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"agentId": "a"},
        {"currentLoad": 1},
        {"agentId": 5, "currentLoad": 1},
        {"agentId": "a", "currentLoad": "1"},
        {"agentId": "a", "currentLoad": None},
    ],
)
def test_heartbeats_that_say_too_little(wire: Wire, body: dict[str, Any]) -> None:
    assert wire.post("/agents/heartbeat", body, key=None).status == 400


@pytest.mark.parametrize("load", [-1, 0.5, 10**6, 10**30, 1e300])
def test_quirk_any_number_is_a_load_and_none_breaks_the_daemon(wire: Wire, load: float) -> None:
    assert beat(wire, wire.agent()["id"], currentLoad=load).status in (200, 400)


# -- report-usage ------------------------------------------------------------------------------


def test_usage_is_priced_and_counted(wire: Wire, person: Wire) -> None:
    model = f"model-{uuid4()}"
    price = {"provider": "p", "model": model, "inputPricePer1k": 100, "outputPricePer1k": 300}
    assert person.post("/pricing", price, key=None).status in (200, 201)
    agent = wire.agent()
    body = {"agentId": agent["id"], "model": model, "inputTokens": 10**6, "outputTokens": 10**6}
    reply = wire.post("/agents/report-usage", body, key=None)
    assert reply.body == {
        "ok": True,
        "agentId": agent["id"],
        "monthlyTokenUsage": 2 * 10**6,
        "monthlyCostCents": 400,
        "budgetStatus": "active",
        "model": model,
        "costCents": 400,
    }
    shown = wire.get(f"/agents/{agent['id']}")["agent"]
    assert (shown["monthlyTokenUsage"], shown["monthlyCostCents"]) == (2 * 10**6, 400)


def test_legacy_usage_is_split_80_to_20(wire: Wire, person: Wire) -> None:
    model = f"model-{uuid4()}"
    price = {"provider": "p", "model": model, "inputPricePer1k": 100, "outputPricePer1k": 1000}
    person.post("/pricing", price, key=None)
    body = {"agentId": wire.agent()["name"], "model": model, "tokensUsed": 10**6}
    assert wire.post("/agents/report-usage", body, key=None)["costCents"] == 80 + 200


@pytest.mark.parametrize("body", [{}, {"agentId": "nobody"}, {"inputTokens": 1}])
def test_usage_of_nobody(wire: Wire, body: dict[str, Any]) -> None:
    assert wire.post("/agents/report-usage", body, key=None).status in (400, 404)


@pytest.mark.parametrize("tokens", [-1, 10**13, 10**30])
def test_usage_out_of_range_is_400(wire: Wire, tokens: int) -> None:
    body = {"agentId": wire.agent()["id"], "inputTokens": tokens}
    assert wire.post("/agents/report-usage", body, key=None).status == 400

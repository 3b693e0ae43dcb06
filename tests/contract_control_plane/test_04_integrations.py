"""Contract, section 4.6: integrations of an agent, and the lease of their secrets."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract_control_plane.wire import Wire, frame

SECRET = "wire-secret-81aa"
MAIL = {"provider": "imap", "name": "mail", "configJson": {"host": "mx"}}
FIELDS = {
    "id", "companyId", "agentId", "provider", "name", "ownership", "configJson", "status",
    "lastUsedAt", "lastFailureAt", "lastFailureReason", "compatMode", "secretConfigured",
    "createdAt", "updatedAt",
}  # fmt: skip
UNKNOWN = "00000000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def danger(found: Any) -> Iterator[Wire]:
    """A token of scope mcp_danger, in a company of its own."""
    made = found(scope="mcp_danger")
    yield made
    made.close()


def create(wire: Wire, agent: str, **body: Any) -> dict[str, Any]:
    made = wire.post(f"/agents/{agent}/integrations", MAIL | {"secretJson": SECRET} | body)
    assert made.status == 201, made.body
    assert made["message"] and SECRET not in made.raw.decode()
    return dict(made["integration"])


def test_must_every_bridge_lists_them_at_its_start(wire: Wire) -> None:
    agent = wire.agent()["id"]
    assert wire.get(f"/agents/{agent}/integrations").body == {"integrations": []}
    create(wire, agent)
    answer = wire.get(f"/agents/{agent}/integrations")
    (row,) = answer["integrations"]
    assert set(row) >= FIELDS
    assert (row["status"], row["secretConfigured"]) == ("active", True)
    assert SECRET not in answer.raw.decode()
    assert wire.get(f"/agents/{UNKNOWN}/integrations").status == 404


def test_a_create_needs_a_key_and_is_replayed(wire: Wire) -> None:
    path = f"/agents/{wire.agent()['id']}/integrations"
    body = MAIL | {"secretJson": {"password": SECRET}}
    assert wire.post(path, body, key=None).status == 400
    first, second = wire.post(path, body, key="again"), wire.post(path, body, key="again")
    assert (first.status, first["integration"]["id"]) == (201, second["integration"]["id"])
    assert (first["integration"]["ownership"], len(wire.get(path)["integrations"])) == (
        "managed", 1,
    )  # fmt: skip


@pytest.mark.parametrize("missing", ["provider", "name"])
def test_a_create_says_what_is_missing(wire: Wire, missing: str) -> None:
    body = {name: value for name, value in MAIL.items() if name != missing}
    answer = wire.post(f"/agents/{wire.agent()['id']}/integrations", body)
    assert (answer.status, answer["missingFields"]) == (400, [missing])


def test_a_delete_archives(wire: Wire) -> None:
    agent = wire.agent()["id"]
    path = f"/agents/{agent}/integrations"
    row = create(wire, agent)
    assert wire.delete(path, key=None).status == 400
    gone = wire.delete(f"{path}?integrationId={row['id']}", key=None)
    assert gone.status == 200 and gone["message"]
    assert wire.get(path)["integrations"] == []
    assert wire.delete(f"{path}?integrationId={row['id']}").status == 404


def test_a_lease_needs_scope_mcp_danger(wire: Wire) -> None:
    agent = wire.agent()["id"]
    row = create(wire, agent)
    answer = wire.post(f"/agents/{agent}/integrations/{row['id']}/lease", {}, key=None)
    assert answer.status == 403 and SECRET not in answer.raw.decode()


def test_a_lease_gives_the_secret(danger: Wire) -> None:
    agent = danger.agent()["id"]
    row = create(danger, agent, secretJson={"password": SECRET})
    path = f"/agents/{agent}/integrations/{row['id']}/lease"
    answer = danger.post(path, {"reason": "send"}, key=None)
    assert (answer.status, answer["secretJson"]) == (200, {"password": SECRET})
    assert answer["integration"] == {
        name: row[name] for name in ("id", "provider", "name", "ownership", "configJson")
    }
    assert (answer["managed"], answer["lease"]["version"], answer["lease"]["keyVersion"]) == (
        True, 1, 1,
    )  # fmt: skip
    assert answer["lease"]["id"] and answer["lease"]["expiresAt"]


def test_a_lease_is_the_owners_alone(danger: Wire) -> None:
    agent, other = danger.agent()["id"], danger.agent()["id"]
    row = create(danger, agent)
    path = f"/agents/{agent}/integrations/{row['id']}/lease"
    start = danger.post(f"/agents/{other}/sessions/start", {"openclawSessionId": "main"})
    assert danger.post(path, {"agentId": other}).status == 403
    assert danger.post(path, {"sessionId": start["session"]["id"]}).status == 403
    assert danger.post(f"/agents/{other}/integrations/{row['id']}/lease", {}).status == 404


def test_frames_of_both_names(wire: Wire) -> None:
    """The machine API of the original sends the first, clients listen for the others (18.32)."""
    agent = wire.agent()["id"]
    with wire.socket() as socket:
        frame(socket, "connected")
        row = create(wire, agent)
        fields = {"agentId": agent, "integrationId": row["id"], "provider": "imap"}
        frame(socket, "agent_integrations_updated", **fields)
        frame(socket, "agent_integration_created", **fields)
        wire.delete(f"/agents/{agent}/integrations?integrationId={row['id']}")
        frame(socket, "agent_integrations_updated", **fields)
        frame(socket, "agent_integration_archived", **fields)


def test_weak_spot_15_another_agents_integrations_cannot_be_written(
    wire: Wire, person: Wire
) -> None:
    theirs = person.agent()["id"]
    answer = wire.post(f"/agents/{theirs}/integrations", MAIL)
    assert answer.status == 403 and answer["error"]


def test_weak_spot_19_a_secret_in_the_wrong_field_is_refused(wire: Wire) -> None:
    path = f"/agents/{wire.agent()['id']}/integrations"
    answer = wire.post(path, MAIL | {"configJson": {"password": "hunter2hunter2"}})
    assert answer.status == 400 and "secretJson" in answer["remedy"]
    assert "hunter2" not in answer.raw.decode()

"""Contract, section 1: conventions of the wire."""

import re

import pytest

from tests.contract_control_plane.wire import Wire

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_names_are_camel_case_and_times_are_iso_with_milliseconds(wire: Wire) -> None:
    made = wire.post("/customers", {"name": "Acme"})
    assert set(made["customer"]) >= {"id", "companyId", "name", "notes", "createdAt", "deletedAt"}
    assert STAMP.fullmatch(made["customer"]["createdAt"])


@pytest.mark.parametrize("path", ["/chat/status", "/chat/status/"])
def test_must_accept_a_trailing_slash(wire: Wire, path: str) -> None:
    agent = wire.agent()
    thread = wire.post("/threads", {"type": "team"})["thread"]["id"]
    reply = wire.post(path, {"threadId": thread, "agentId": agent["id"], "typing": True}, key=None)
    assert (reply.status, reply.body) == (200, {"ok": True})


def test_content_type_is_not_enforced(wire: Wire) -> None:
    reply = wire.post("/customers", content=b'{"name": "plain"}', headers={"Content-Type": "a/b"})
    assert reply.status == 201


def test_soft_deleted_rows_vanish(wire: Wire) -> None:
    customer = wire.customer()
    gone = wire.delete(f"/customers/{customer['id']}")
    assert gone.status == 200 and gone["customer"]["deletedAt"]
    assert customer["id"] not in {c["id"] for c in wire.get("/customers")["customers"]}
    assert wire.patch(f"/customers/{customer['id']}", {"notes": "x"}).status == 404


@pytest.mark.parametrize("limit, count", [("1", 1), ("nonsense", 3), ("", 3), ("501", 3)])
def test_limits_of_lists_newest_first(wire: Wire, limit: str, count: int) -> None:
    names = [wire.customer()["name"] for _ in range(3)]
    listed = [c["name"] for c in wire.get(f"/customers?limit={limit}")["customers"]]
    assert listed[:count] == names[::-1][:count]
    assert len(listed) == count if limit == "1" else len(listed) >= count


def test_quirk_bad_path_id_is_a_400_that_says_so(wire: Wire) -> None:
    """The original answers 500."""
    reply = wire.get("/tasks/not-an-id")
    assert reply.status in (400, 404) and reply["error"]


@pytest.mark.parametrize("path", ["/tasks", "/tasks/claim", "/customers", "/projects", "/agents"])
def test_quirk_bad_json_is_400_everywhere(wire: Wire, path: str) -> None:
    """The original answers 500 on some routes, with an empty body on others."""
    reply = wire.post(path, content=b'{"name": ')
    assert reply.status == 400 and reply["error"]


def test_an_unknown_path_is_404_and_a_wrong_method_405(wire: Wire) -> None:
    assert wire.get("/nothing/here").status == 404
    assert wire.call("PUT", "/tasks", {}).status == 405

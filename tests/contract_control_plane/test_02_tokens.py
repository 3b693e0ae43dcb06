"""Contract, section 2: company tokens as a person manages them, and what clients hear of it."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from homarus.testing.waiting import seen
from tests.contract_control_plane.wire import Wire, frame

PATH = "/api/settings/tokens"
FIELDS = {"id", "name", "scope", "createdAt", "lastUsedAt", "revokedAt", "expiresAt"}


def mint(person: Wire, **body: Any) -> tuple[dict[str, Any], str]:
    made = person.post(PATH, {"name": "bridge"} | body, key=None)
    assert made.status == 201, made.body
    return made["token"], made["secret"]


def test_a_secret_is_shown_once_beside_its_token(person: Wire) -> None:
    token, secret = mint(person)
    assert re.fullmatch(r"ec_[0-9a-f]{48}", secret)
    assert set(token) == FIELDS
    assert (token["lastUsedAt"], token["revokedAt"]) == (None, None)
    listed = person.get(PATH)
    assert secret not in listed.raw.decode()
    assert listed["tokens"][0] == token
    assert "sha256" not in listed.raw.decode()


@pytest.mark.parametrize("scope, days", [("mcp_full", 90), ("mcp_danger", 30)])
def test_lifetime_follows_the_scope(person: Wire, scope: str, days: int) -> None:
    token, _ = mint(person, scope=scope)
    made, ends = (datetime.fromisoformat(token[k]) for k in ("createdAt", "expiresAt"))
    assert ends - made == timedelta(days=days)


@pytest.mark.parametrize(
    "body, code",
    [
        ({}, "request.schema"),
        ({"name": ""}, "token.name"),
        ({"name": "x" * 201}, "token.name"),
        ({"name": "x", "scope": "root"}, "token.scope"),
        ({"name": 1}, "request.schema"),
    ],
)
def test_bad_requests_mint_nothing(person: Wire, body: dict[str, Any], code: str) -> None:
    before = len(person.get(PATH)["tokens"])
    reply = person.post(PATH, body, key=None)
    assert (reply.status, reply["code"]) == (400, code)
    assert len(person.get(PATH)["tokens"]) == before


@pytest.mark.parametrize("method, path", [("GET", ""), ("POST", ""), ("DELETE", "/x")])
def test_weak_spot_20_a_company_token_manages_no_tokens(
    wire: Wire, person: Wire, method: str, path: str
) -> None:
    token, _ = mint(person)
    path = f"/{token['id']}" if path else ""
    body = {"name": "mine", "scope": "mcp_danger"} if method == "POST" else None
    assert wire.call(method, PATH + path, body).status == 403


def test_only_company_tokens_are_here(person: Wire, wire: Wire) -> None:
    """The owner's and an agent's own tokens are managed elsewhere."""
    agent = wire.agent()
    own = person.post("/api/v1/tokens", {"name": "a", "kind": "agent", "agentId": agent["id"]})
    assert own.status == 201
    assert own["token"]["id"] not in {t["id"] for t in person.get(PATH)["tokens"]}
    assert person.delete(f"{PATH}/{own['token']['id']}").status == 404


def test_another_company_neither_sees_nor_revokes_it(
    person: Wire, owner: Wire, found: Callable[..., Wire]
) -> None:
    token, secret = mint(person)
    other = found()
    there = Wire(owner.url, owner.token, other.id, {"X-Homarus-Company": other.id})
    assert token["id"] not in {t["id"] for t in there.get(PATH)["tokens"]}
    assert there.delete(f"{PATH}/{token['id']}").status == 404
    assert Wire(owner.url, secret).get("/agents").status == 200


def test_a_page_has_a_limit(person: Wire) -> None:
    mint(person)
    mint(person)
    assert len(person.get(f"{PATH}?limit=1")["tokens"]) == 1


def test_revoked_is_401_at_once_and_said_once(person: Wire, owner: Wire) -> None:
    token, secret = mint(person)
    brief = Wire(owner.url, secret)
    assert brief.get("/agents").status == 200
    gone = person.delete(f"{PATH}/{token['id']}")
    assert gone.status == 200 and gone["token"]["revokedAt"]
    assert brief.get("/agents").status == 401
    assert person.delete(f"{PATH}/{token['id']}").status == 409


@pytest.mark.parametrize("ref", ["not-an-id", "00000000-0000-7000-8000-000000000000"])
def test_quirk_a_bad_id_is_no_500(person: Wire, ref: str) -> None:
    assert person.delete(f"{PATH}/{ref}").status in (400, 404)


def test_last_use_is_kept_to_the_minute(person: Wire, owner: Wire) -> None:
    """Not a write a request: two calls within a minute leave the time of the first."""
    token, secret = mint(person)
    client = Wire(owner.url, secret)

    def last() -> str | None:
        found = {t["id"]: t["lastUsedAt"] for t in person.get(PATH)["tokens"]}
        return found[token["id"]]

    client.get("/agents")
    seen(lambda: last() is not None)
    first = last()
    client.get("/agents")
    assert last() == first


# -- what clients hear -----------------------------------------------------------------------


@pytest.fixture
def socket(wire: Wire) -> Iterator[Any]:
    with wire.socket() as opened:
        frame(opened, "connected")
        yield opened


def test_frames_of_tokens_carry_no_secret(person: Wire, socket: Any) -> None:
    token, secret = mint(person, name="told")
    made = frame(socket, "company_token_created")
    assert made["token"]["id"] == token["id"]
    assert secret not in str(made)
    person.delete(f"{PATH}/{token['id']}")
    gone = frame(socket, "company_token_revoked")
    assert gone["token"]["id"] == token["id"] and gone["token"]["revokedAt"]


def test_weak_spot_24_a_revoked_token_loses_its_socket(person: Wire, owner: Wire) -> None:
    token, secret = mint(person)
    with Wire(owner.url, secret).socket() as opened:
        frame(opened, "connected")
        person.delete(f"{PATH}/{token['id']}")
        with pytest.raises(ConnectionClosed):
            for _ in range(10):
                opened.recv(timeout=10)
        assert opened.close_code == 4401


def test_must_context_notes_edited_by_a_person_are_told(person: Wire, socket: Any) -> None:
    """`company.contextNotes` is what the bridges read of it."""
    edited = person.patch(f"/api/v1/companies/{person.id}", {"contextNotes": "be brief"})
    assert edited.status == 200
    told = frame(socket, "company_context_updated")
    assert told["company"] == {"id": person.id, "contextNotes": "be brief"}
    assert told["actorUserId"]


# -- scopes ----------------------------------------------------------------------------------


def test_an_expired_token_is_401(person: Wire) -> None:
    """Lifetimes are whole days over the wire; the boundary itself is in unit tests."""
    reply = person.post("/api/v1/tokens", {"kind": "runtime", "name": "x", "lifetimeDays": 0})
    assert (reply.status, reply["code"]) == (400, "token.lifetime")


@pytest.mark.parametrize("token", ["ec_" + "0" * 48, "ho_" + "0" * 48, "ec_"])
def test_an_unknown_token_is_401(owner: Wire, token: str) -> None:
    assert Wire(owner.url, token).get("/agents").status == 401

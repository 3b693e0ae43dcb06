"""The people of a company (control-plane contract, 5: users).

The daemon knows no people: it knows operators' access tokens, and the name on them is the person
(docs/adr/0012). So a person here is the live tokens of one name, of the company or of the whole
instance; its id is that of the oldest, and each of them finds it.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import NotFound
from homarus.control_plane.route import Call, Route, json_reply, read_route
from homarus.flows import electing
from homarus.kernel.capabilities import ROLES
from homarus.store.port import Reply, Rx

MAX_TOKENS: Final = 1_000
ROLE_ON_THE_WIRE: Final = {
    "owner": "owner", "approver": "admin", "operator": "member", "viewer": "viewer"
}  # fmt: skip
"""Ours → the original's (contract, 15). `roleTitle` keeps ours."""

_LIVE: Final = (
    "select id, company, name, role from token where kind='operator' and company in ('', ?) "
    "and revoked_ms is null and (expires_ms is null or expires_ms>?) "
    "order by created_ms, id limit ?"
)


class Person(msgspec.Struct):
    """`tokens`: oldest first. `of_instance`: whether one of them is of the whole instance."""

    name: str
    role: str
    of_instance: bool
    tokens: list[str]


def found(rx: Rx, company: str) -> list[Person]:
    """Who holds a live operator's token that reaches the company, longest there first."""
    people: dict[str, Person] = {}
    for token, where, name, role in rx.all(_LIVE, (company, rx.now_ms, MAX_TOKENS)):
        person = people.setdefault(electing.operator(name), Person(name, role, False, []))
        person.tokens.append(token)
        person.role = max(person.role, role, key=ROLES.index)
        person.of_instance |= where == ""
    return list(people.values())


def shape(person: Person) -> dict[str, Any]:
    """`email` is unknown here. `membershipId` is the id again: the token is the membership."""
    admin = person.of_instance and person.role == "owner"
    return {
        "id": person.tokens[0],
        "membershipId": person.tokens[0],
        "email": None,
        "displayName": person.name,
        "roleTitle": person.role,
        "role": ROLE_ON_THE_WIRE[person.role],
        "instanceRole": "instance_admin" if admin else "user",
    }


def users(rx: Rx, call: Call[None]) -> Reply:
    """GET /users: all of them; with `id` one."""
    people = found(rx, call.company)
    ref = call.query.get("id")
    if not ref:
        return json_reply({"ok": True, "users": [shape(row) for row in people[: call.limit()]]})
    for person in people:
        if ref.lower() in person.tokens:
            return json_reply({"ok": True, "user": shape(person)})
    raise NotFound("user.unknown", f"no person {ref[:80]!r} in this company", "See GET /users.")


ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        "/users", users, "People of the company, or one", query=("id", "limit"), tags=("people",)
    ),
)

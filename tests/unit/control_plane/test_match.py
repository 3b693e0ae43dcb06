"""From a path to a route."""

import pytest

from homarus.control_plane.match import MAX_PATH, Matcher
from homarus.control_plane.route import json_reply, read_route, write_route


def route(method: str, path: str) -> object:
    return write_route(method, path, "task.create", json_reply, path)


MATCHER = Matcher(
    [  # type: ignore[arg-type]
        read_route("", json_reply, "root"),
        route("GET", "/tasks"),
        route("POST", "/tasks"),
        route("POST", "/tasks/claim"),
        route("GET", "/tasks/{id}"),
        route("PATCH", "/tasks/{task}"),
        route("GET", "/agents/{id}/sessions/{sid}/end"),
        route("GET", "/agents/{id}/memory"),
        route("GET", "/agents/all/{thing}"),
    ]
)


@pytest.mark.parametrize(
    "path, methods, canonical, values",
    [
        ("/api/mcp", {"GET"}, "", ()),
        ("/api/mcp/", {"GET"}, "", ()),
        ("/api/mcp/tasks", {"GET", "POST"}, "/tasks", ()),
        ("/api/v1/tasks/", {"GET", "POST"}, "/tasks", ()),
        ("/api/v1/tasks/claim", {"POST"}, "/tasks/claim", ()),
        ("/api/v1/tasks/7", {"GET", "PATCH"}, "/tasks/7", ("7",)),
        ("/api/v1/tasks/7/", {"GET", "PATCH"}, "/tasks/7", ("7",)),
        ("/api/v1/agents/1/sessions/2/end", {"GET"}, "/agents/1/sessions/2/end", ("1", "2")),
        ("/api/v1/agents/all/memory", {"GET"}, "/agents/all/memory", ("memory",)),
        ("/api/v1/agents/x/memory", {"GET"}, "/agents/x/memory", ("x",)),
    ],
)
def test_found(path: str, methods: set[str], canonical: str, values: tuple[str, ...]) -> None:
    found = MATCHER.find(path)
    assert found is not None
    assert found.methods.keys() == methods
    assert (found.canonical, found.values) == (canonical, values)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/tasks",
        "/api/mcptasks",
        "/api/v2/tasks",
        "/api/v1//tasks",
        "/api/v1/tasks//",
        "/api/v1/tasks/7/8",
        "/api/v1/agents",
        "/api/v1/agents//memory",
        "/api/v1/tasks/" + "x" * MAX_PATH,
    ],
)
def test_not_found(path: str) -> None:
    assert MATCHER.find(path) is None


def test_names_belong_to_the_method() -> None:
    found = MATCHER.find("/api/v1/tasks/7")
    assert found is not None
    assert (found.methods["GET"].names, found.methods["PATCH"].names) == (("id",), ("task",))


def test_two_routes_for_one_thing_are_refused() -> None:
    with pytest.raises(ValueError, match="two routes for GET /a"):
        Matcher([route("GET", "/a/{x}"), route("GET", "/a/{y}")])  # type: ignore[list-item]

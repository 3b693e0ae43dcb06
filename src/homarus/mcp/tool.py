"""A tool is data: the route it is a face of, and which of the route's fields it offers.

    arguments -> schema -> path values, query, body, key -> `Edge.invoke` -> the route's reply

Nothing is decided here: what a tool may do, and what it answers, is the route's. Schemas come from
the msgspec types that decode the bodies; `arguments.py` adds the words a model reads.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from homarus.base.errors import Invalid
from homarus.base.ids import new_id
from homarus.control_plane.match import AnyRoute, Bound, bind
from homarus.control_plane.route import Route
from homarus.kernel import schemas
from homarus.mcp.arguments import KEY, MAX_REF, WORDS

HEADERS: Final = {
    KEY: b"idempotency-key",
    "preflightId": b"x-homarus-preflight",
}
"""Arguments that travel as a header of the route's request."""

_REF: Final = "#/$defs/{name}"
_DECORATION: Final = ("title", "default")


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table.

    `method`, `path`  the route
    `title`, `about`  what a person and a model read
    `takes`           arguments: names of path values, body fields or query fields; `name*` is
                      required even where the route does not insist
    `names`           argument -> the route's own name for it, where they differ
    `acts`            the argument that names the agent the caller speaks for
    `fixed`           body fields that the tool always sends
    `destructive`     it overwrites or ends something; `idempotent`: a repeat changes nothing more
    """

    name: str
    method: str
    path: str
    title: str
    about: str
    takes: tuple[str, ...] = ()
    names: Mapping[str, str] = {}
    acts: str | None = None
    fixed: Mapping[str, Any] = {}
    destructive: bool = False
    idempotent: bool = False


class Asker(msgspec.Struct, frozen=True):
    """Who calls, as far as arguments go: the agent that the connection `fixed` (its
    `X-Homarus-Agent`), and the one whose `own` token it is."""

    fixed: str | None = None
    own: str | None = None


class Request(msgspec.Struct, frozen=True):
    """What `Edge.invoke` takes beside the route."""

    values: tuple[str, ...]
    query: bytes
    body: bytes
    headers: dict[bytes, bytes]


class BoundTool(msgspec.Struct, frozen=True):
    """A tool made ready. `places`: argument -> (path | query | body | header, the route's name);
    `schema`: JSON Schema of the arguments, `text` the same for `schemas.faults`."""

    tool: Tool
    bound: Bound
    places: Mapping[str, tuple[str, str]]
    schema: dict[str, Any]
    text: str

    @property
    def reads(self) -> bool:
        return self.bound.route.kind == "read"

    def schema_for(self, asker: Asker) -> dict[str, Any]:
        """The schema as this caller sees it: whom it acts for need not, or cannot, be said."""
        acts = self.tool.acts
        if acts is None or asker == Asker():
            return self.schema
        properties = dict(self.schema["properties"])
        if asker.fixed is not None:
            del properties[acts]
        required = [name for name in self.schema["required"] if name != acts]
        return self.schema | {"properties": properties, "required": required}

    def request(self, arguments: Mapping[str, Any], asker: Asker) -> Request:
        """Raises `mcp.arguments` with every fault, `mcp.agent_fixed`."""
        given = self._spoken_for(arguments, asker)
        faults = schemas.faults(self.text, given)
        if faults:
            raise Invalid(
                "mcp.arguments",
                f"the arguments of {self.tool.name} do not fit: {'; '.join(faults)}",
                f"It takes: {', '.join(self.places)}.",
            )
        found: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "body": {}, "header": {}}
        for name, value in given.items():
            place, wire = self.places[name]
            found[place][wire] = value
        body = dict(self.tool.fixed) | found["body"]
        route = self.bound.route
        return Request(
            values=tuple(str(found["path"][name]) for name in self.bound.names),
            query=urlencode({k: _text(v) for k, v in found["query"].items()}).encode(),
            body=b"" if getattr(route, "body", None) is None else json.dumps(body).encode(),
            headers=self._headers(found["header"]),
        )

    def _spoken_for(self, arguments: Mapping[str, Any], asker: Asker) -> Mapping[str, Any]:
        acts, agent = self.tool.acts, asker.fixed or asker.own
        if acts is None or agent is None:
            return arguments
        if asker.fixed is not None and arguments.get(acts, agent) != agent:
            raise Invalid(
                "mcp.agent_fixed",
                f"this connection acts for {agent[:80]!r} alone",
                f"Leave `{acts}` out.",
            )
        return {acts: agent, **arguments}

    def _headers(self, given: Mapping[str, Any]) -> dict[bytes, bytes]:
        """A route that insists on a key gets a fresh one where the caller does not care."""
        found = {HEADERS[name]: str(value).encode() for name, value in given.items()}
        if getattr(self.bound.route, "keyed", "") == "required":
            found.setdefault(HEADERS[KEY], new_id().encode())
        return found


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def bind_tools(tools: Iterable[Tool], routes: Iterable[AnyRoute]) -> dict[str, BoundTool]:
    """Each tool with its route. Raises ValueError for one that is a face of none, or of a stream,
    offers what its route does not take, or has a name that is taken."""
    table = {(route.method, route.path): route for route in routes}
    found: dict[str, BoundTool] = {}
    for tool in tools:
        route = table.get((tool.method, tool.path))
        if not isinstance(route, Route):
            raise ValueError(f"tool {tool.name}: no JSON route {tool.method} {tool.path}")
        if tool.name in found:
            raise ValueError(f"two tools are called {tool.name}")
        found[tool.name] = _bound(tool, bind(route))
    return found


def _bound(tool: Tool, bound: Bound) -> BoundTool:
    route: Any = bound.route
    fields, required, definitions = _body(route.body)
    properties: dict[str, Any] = {}
    places: dict[str, tuple[str, str]] = {}
    must: list[str] = []
    for word in _taken(tool, route):
        name = word.rstrip("*")
        wire = tool.names.get(name, name)
        place, schema = _place(tool, bound, fields, name, wire)
        places[name] = (place, wire)
        properties[name] = schema | (WORDS.get(f"{tool.name}.{name}") or WORDS[name])
        if word.endswith("*") or place == "path" or (place == "body" and wire in required):
            must.append(name)
    strange = tool.fixed.keys() - fields.keys()
    if strange:
        raise ValueError(f"tool {tool.name} fixes {sorted(strange)}, which its body does not have")
    missing = set(bound.names) - {wire for place, wire in places.values() if place == "path"}
    if missing:
        raise ValueError(f"tool {tool.name} does not give {sorted(missing)} of its path")
    schema = {
        "type": "object",
        "properties": properties,
        "required": must,
        "additionalProperties": False,
    }
    used = _used(schema, definitions)
    if used:
        schema["$defs"] = used
    return BoundTool(tool, bound, places, schema, schemas.need(schema))


def _taken(tool: Tool, route: Route) -> tuple[str, ...]:
    keyed = route.kind == "write" and route.keyed != "ignored"
    return (*tool.takes, KEY) if keyed else tool.takes


def _place(
    tool: Tool, bound: Bound, fields: Mapping[str, Any], name: str, wire: str
) -> tuple[str, dict[str, Any]]:
    route: Any = bound.route
    if wire in bound.names:
        return "path", {"type": "string", "minLength": 1, "maxLength": MAX_REF}
    if wire in fields:
        return "body", fields[wire]
    if name in HEADERS:
        return "header", {"type": "string", "maxLength": MAX_REF}
    if wire in route.query:
        return "query", {"type": "string"}
    raise ValueError(f"tool {tool.name}: {route.method} {route.path} takes no {wire}")


def _body(kind: Any) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
    """Properties, required names and definitions of a body's type."""
    if kind is None:
        return {}, [], {}
    (shown,), definitions = msgspec.json.schema_components((kind,), ref_template=_REF)
    own = definitions[shown["$ref"].rpartition("/")[2]] if "$ref" in shown else shown
    fields = {name: _plain(schema) for name, schema in own.get("properties", {}).items()}
    return fields, own.get("required", []), {n: _plain(s) for n, s in definitions.items()}


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Without what repeats the name, or says that a field is optional a second time."""
    return {key: value for key, value in schema.items() if key not in _DECORATION}


def _used(schema: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The definitions that the schema leads to."""
    found: dict[str, Any] = {}
    todo = [schema]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo += node
        elif isinstance(node, dict):
            todo += node.values()
            name = str(node.get("$ref", "")).rpartition("/")[2]
            if name in definitions and name not in found:
                found[name] = definitions[name]
                todo.append(definitions[name])
    return found

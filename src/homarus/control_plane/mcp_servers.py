"""MCP servers on the wire: registered by an owner, looked at by a worker of the daemon."""

from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.kernel import mcp_servers
from homarus.kernel.mcp_servers import NewServer, Server
from homarus.store.port import Reply, Rx, Tx


class ServerBody(msgspec.Struct, frozen=True, rename="camel"):
    """As `kernel.mcp_servers.NewServer`."""

    name: str
    argv: tuple[str, ...] = ()
    url: str | None = None
    headers: dict[str, str] = {}
    reads: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


def wire(row: Server) -> dict[str, Any]:
    """Of headers the names alone."""
    return {
        "name": row.name,
        "companyId": row.company,
        "transport": row.transport,
        "argv": row.argv,
        "url": row.url,
        "headers": sorted(row.headers),
        "reads": row.reads,
        "hosts": row.hosts,
        "enabled": row.enabled,
        "fault": row.fault,
        "lookedAt": None if row.looked_ms is None else iso_ms(row.looked_ms),
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
    }


def listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /mcp-servers: at most as many as a company may have."""
    rows = mcp_servers.listed(rx, call.company)[: call.limit()]
    return json_reply({"servers": [wire(row) for row in rows]})


def show(rx: Rx, call: Call[None]) -> Reply:
    """GET /mcp-servers/{id}: with its tools as capabilities."""
    row = mcp_servers.need(rx, call.company, call.path["id"])
    tools = mcp_servers.tools_of(rx, call.company, row.name)
    shape = [
        {"id": c.id, "tool": tool, "granted": bool(c.grants), "quarantined": c.quarantined,
         "enabled": c.enabled, "sha256": None if c.sha256 is None else c.sha256.hex(),
         "description": c.description}
        for c, tool in tools
    ]  # fmt: skip
    return json_reply({"server": wire(row) | {"tools": shape}})


def register(tx: Tx, call: Call[ServerBody]) -> Reply:
    body = call.body
    new = NewServer(**{name: getattr(body, name) for name in body.__struct_fields__})
    row = mcp_servers.register(tx, new)
    return json_reply({"message": "MCP server registered", "server": wire(row)}, 201)


def look(tx: Tx, call: Call[None]) -> Reply:
    row = mcp_servers.look_again(tx, call.path["id"])
    return json_reply({"message": "Its tools are listed anew", "server": wire(row)}, 202)


def disable(tx: Tx, call: Call[None]) -> Reply:
    row = mcp_servers.disable(tx, call.path["id"])
    return json_reply({"message": "MCP server disabled", "server": wire(row)})


_MORE: Final[dict[str, Any]] = {"target": "mcp:{id}", "tags": ("capabilities",)}
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/mcp-servers", listed, "List MCP servers", query=("limit",), tags=_MORE["tags"]),
    read_route("/mcp-servers/{id}", show, "An MCP server and its tools", tags=_MORE["tags"]),
    write_route(
        "POST", "/mcp-servers", "mcp.register", register, "Register an MCP server",
        body=ServerBody, status=201, target="mcp:new", tags=_MORE["tags"],
    ),
    write_route(
        "POST", "/mcp-servers/{id}/look", "mcp.register", look, "List a server's tools anew",
        status=202, **_MORE,
    ),
    write_route(
        "DELETE", "/mcp-servers/{id}", "mcp.register", disable, "Offer a server's tools no longer",
        **_MORE,
    ),
)  # fmt: skip

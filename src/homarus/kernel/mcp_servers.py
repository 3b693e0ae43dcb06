"""MCP servers of a company, and their tools as capabilities (governance contract, 6).

An owner registers a server; what it offers becomes capabilities `mcp.<server>.<tool>` of kind
`mcp`. Each is pinned by SHA-256 of its name, description and schema: one that is new, or has
changed, waits in quarantine until a change record grants it. What a server says of itself decides
nothing: a call counts as external_write unless the owner has declared that the tool only reads.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from homarus.base.action import Effect
from homarus.base.canonical import canonical
from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.kernel import registry, schemas
from homarus.kernel.registrable import MAX_DESCRIPTION, MAX_TITLE, NewCapability
from homarus.kernel.registry import Capability
from homarus.store.port import Row, Rx, Tx

MCP: Final = "mcp"
STDIO: Final = "stdio"
HTTP: Final = "http"
MAX_SERVERS: Final = 50
MAX_TOOLS: Final = 200
"""Tools of one server; what it lists beyond is left out."""
MAX_ARGV: Final = 64
MAX_WORD: Final = 4_000
MAX_HEADERS: Final = 20
MAX_LISTED: Final = 100
MAX_FAULT: Final = 500
MAX_OFFERED: Final = 64
"""Tools of MCP servers that one agent's model is offered."""

_NAME: Final = re.compile(r"(?=.{1,20}$)[a-z][a-z0-9]*(_[a-z0-9]+)*")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,100}")
_ODD: Final = re.compile(r"[^a-z0-9]+")
_SLUG: Final = 28
"""Characters of a tool in its capability: so that a model's name of it has at most 64."""
_COLUMNS: Final = (
    "company, name, transport, argv, url, headers, reads, hosts, enabled, fault, looked_ms, "
    "created_ms, updated_ms"
)


class NewServer(msgspec.Struct, frozen=True):
    """`argv` of a stdio server, which runs in the sandbox; `url` of one on HTTP, whose `headers`
    may hold `secret://` handles; `reads`: tools that only read; `hosts`: what a stdio server may
    reach."""

    name: str
    argv: tuple[str, ...] = ()
    url: str | None = None
    headers: dict[str, str] = {}
    reads: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    @property
    def transport(self) -> str:
        return STDIO if self.url is None else HTTP


class Server(msgspec.Struct, frozen=True):
    """A row. `fault`: why it does not run; `looked_ms` None: its tools are to be listed."""

    company: str
    name: str
    transport: str
    argv: tuple[str, ...]
    url: str | None
    headers: dict[str, str]
    reads: tuple[str, ...]
    hosts: tuple[str, ...]
    enabled: bool
    fault: str | None
    looked_ms: int | None
    created_ms: int
    updated_ms: int


class Listed(msgspec.Struct, frozen=True):
    """A tool as its server lists it."""

    name: str
    description: str
    schema: dict[str, Any]

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(canonical([self.name, self.description, self.schema])).digest()


class Looked(msgspec.Struct, frozen=True):
    """What a look changed: capabilities that now wait for a grant, that are gone, tools left out
    with why."""

    quarantined: tuple[str, ...]
    gone: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


class Offered(msgspec.Struct, frozen=True):
    """A tool that may be called: its capability, and where it is."""

    capability: Capability
    server: str
    tool: str


def _server(row: Row) -> Server:
    values = list(row)
    values[3], values[6], values[7] = (tuple(json.loads(values[i])) for i in (3, 6, 7))
    values[5] = json.loads(values[5])
    values[8] = bool(values[8])
    return Server(*values)


def need(rx: Rx, company: str, name: str) -> Server:
    """Raises `mcp.unknown`."""
    row = rx.one(f"select {_COLUMNS} from mcp_server where company=? and name=?", (company, name))  # noqa: S608
    if row is None:
        raise NotFound("mcp.unknown", f"no MCP server {name[:80]!r} is registered",
                       "See GET /mcp-servers.")  # fmt: skip
    return _server(row)


def listed(rx: Rx, company: str) -> list[Server]:
    rows = rx.all(
        f"select {_COLUMNS} from mcp_server where company=? order by name limit ?",  # noqa: S608
        (company, MAX_LISTED),
    )
    return [_server(row) for row in rows]


def register(tx: Tx, new: NewServer) -> Server:
    """Insert it, or put another in its place; its tools are then looked at anew. Raises `mcp.*`."""
    _check(new)
    before = tx.one("select 1 from mcp_server where company=? and name=?", (tx.company, new.name))
    count = tx.one("select count(*) from mcp_server where company=?", (tx.company,))
    if before is None and count is not None and count[0] >= MAX_SERVERS:
        raise Conflict("mcp.many", f"{MAX_SERVERS} servers are registered", "Remove one first.")
    tx.run(
        f"insert into mcp_server({_COLUMNS}) values(?,?,?,?,?,?,?,?,1,null,null,?,?) "
        "on conflict(company, name) do update set transport=excluded.transport, "
        "argv=excluded.argv, url=excluded.url, headers=excluded.headers, reads=excluded.reads, "
        "hosts=excluded.hosts, enabled=1, fault=null, looked_ms=null, "
        "updated_ms=excluded.updated_ms",
        (
            tx.company, new.name, new.transport, json.dumps(new.argv), new.url,
            json.dumps(new.headers), json.dumps(new.reads), json.dumps(new.hosts), tx.now_ms,
            tx.now_ms,
        ),
    )  # fmt: skip
    tx.emit("mcp_server_registered", "", {"name": new.name, "transport": new.transport})
    return need(tx, tx.company, new.name)


def _check(new: NewServer) -> None:
    if not _NAME.fullmatch(new.name):
        raise Invalid("mcp.name", f"{new.name[:80]!r} cannot be a server's name",
                      "Lower-case letters, digits, `_`; at most 20, a letter first.")  # fmt: skip
    if (new.url is None) == (not new.argv):
        raise Invalid("mcp.transport", "a server has a command line or an address",
                      "Give `argv` (stdio) or `url` (HTTP).")  # fmt: skip
    if len(new.argv) > MAX_ARGV or any(not 0 < len(a) <= MAX_WORD or "\0" in a for a in new.argv):
        raise Invalid("mcp.argv", "the command line is unusable", f"1 to {MAX_ARGV} arguments.")
    if new.url is not None and not re.fullmatch(r"https?://[^\s@]{1,2000}", new.url):
        raise Invalid("mcp.url", "the address is none of http or https", "No user in it.")
    if (new.headers and new.url is None) or len(new.headers) > MAX_HEADERS:
        raise Invalid("mcp.headers", "only a server on HTTP has headers", f"At most {MAX_HEADERS}.")
    for name, value in new.headers.items():
        bad = len(value) > MAX_WORD or any(ord(char) < 32 or ord(char) > 126 for char in value)
        if not _HEADER.fullmatch(name) or bad:
            raise Invalid("mcp.headers", f"the header {name[:60]!r} is unusable",
                          "Plain ASCII; a secret as `secret://name`.")  # fmt: skip
    for words in (new.reads, new.hosts):
        if len(words) > MAX_TOOLS or any(not 0 < len(word) <= 300 for word in words):
            raise Invalid("mcp.list", "a list is too long", f"At most {MAX_TOOLS} short texts.")


def disable(tx: Tx, name: str) -> Server:
    """Its tools are no longer offered; their grants stay with their rows. Raises `mcp.unknown`."""
    need(tx, tx.company, name)
    tx.run(
        "update mcp_server set enabled=0, updated_ms=? where company=? and name=?",
        (tx.now_ms, tx.company, name),
    )
    tx.emit("mcp_server_disabled", "", {"name": name})
    return need(tx, tx.company, name)


def look_again(tx: Tx, name: str) -> Server:
    """Have its tools listed anew. Raises `mcp.unknown`."""
    need(tx, tx.company, name)
    tx.run("update mcp_server set looked_ms=null where company=? and name=?", (tx.company, name))
    tx.emit("mcp_server_look", "", {"name": name})
    return need(tx, tx.company, name)


def unlooked(rx: Rx, limit: int) -> list[Server]:
    """Of every company, those whose tools are to be listed."""
    rows = rx.all(
        f"select {_COLUMNS} from mcp_server where looked_ms is null and enabled=1 limit ?",  # noqa: S608
        (limit,),
    )
    return [_server(row) for row in rows]


def failed(tx: Tx, name: str, fault: str) -> None:
    """It could not be looked at; that is told, and not tried again by itself."""
    tx.run(
        "update mcp_server set fault=?, looked_ms=? where company=? and name=?",
        (fault[:MAX_FAULT], tx.now_ms, tx.company, name),
    )
    tx.emit("mcp_server_failed", "", {"name": name, "fault": fault[:MAX_FAULT]})


# -- tools -----------------------------------------------------------------------------------


def sync(tx: Tx, name: str, tools: Iterable[Listed]) -> Looked:
    """Make capabilities what the server lists. Those that are as they were keep their grants; the
    new and the changed wait for one; those that are gone are disabled. Raises `mcp.unknown`."""
    server = need(tx, tx.company, name)
    quarantined, left_out, seen = [], [], set()
    for n, tool in enumerate(tools):
        if n >= MAX_TOOLS:
            left_out.append((tool.name[:100], f"more than {MAX_TOOLS} tools"))
            break
        try:
            schemas.check(tool.schema)
        except (schemas.Fault, ValueError, RecursionError) as fault:
            left_out.append((tool.name[:100], f"its schema: {fault}"[:200]))
            continue
        id_ = _id_of(tx, server.name, tool.name)
        if id_ is None or id_ in seen:
            left_out.append((tool.name[:100], "its name cannot be used"))
            continue
        seen.add(id_)
        if _put(tx, server, tool, id_):
            quarantined.append(id_)
    gone = []
    for (id_,) in tx.all(
        "select capability from mcp_tool where company=? and server=? limit ?",
        (tx.company, server.name, 4 * MAX_TOOLS),
    ):
        row = registry.by_id(tx, tx.company, id_)
        if id_ not in seen and row is not None and row.enabled:
            registry.disable(tx, id_)
            gone.append(id_)
    tx.run(
        "update mcp_server set looked_ms=?, fault=null where company=? and name=?",
        (tx.now_ms, tx.company, server.name),
    )
    tx.emit("mcp_server_looked", "", {"name": server.name, "quarantined": quarantined})
    return Looked(tuple(quarantined), tuple(gone), tuple(left_out))


def _id_of(tx: Tx, server: str, tool: str) -> str | None:
    """The capability of a tool; names that fold into one get a piece of their hash."""
    if not 0 < len(tool) <= 200 or any(ord(char) < 32 for char in tool):
        return None
    known = tx.one(
        "select capability from mcp_tool where company=? and server=? and tool=?",
        (tx.company, server, tool),
    )
    if known is not None:
        return str(known[0])
    slug = _ODD.sub("_", tool.lower()).strip("_")[:_SLUG].strip("_") or "tool"
    id_ = f"mcp.{server}.{slug}"
    taken = registry.by_id(tx, tx.company, id_)
    if taken is not None:
        id_ += "_" + hashlib.sha256(tool.encode(errors="replace")).hexdigest()[:8]
    tx.run(
        "insert into mcp_tool(company, capability, server, tool) values(?,?,?,?)",
        (tx.company, id_, server, tool),
    )
    return id_


def _put(tx: Tx, server: Server, tool: Listed, id_: str) -> bool:
    """Register the tool as it is now; whether it waits for its grant."""
    before = registry.by_id(tx, tx.company, id_)
    reads = tool.name in server.reads
    effect = Effect.READ if reads else Effect.EXTERNAL_WRITE
    if before is not None and before.sha256 == tool.sha256 and before.effect == effect:
        if not before.enabled and not before.quarantined:
            tx.run("update capability set enabled=1 where company=? and id=?", (tx.company, id_))
        return before.quarantined
    new = NewCapability(
        id_, f"{tool.name} ({server.name})"[:MAX_TITLE], kind=MCP, effect=effect,
        description=tool.description[:MAX_DESCRIPTION], input=tool.schema, sha256=tool.sha256,
        approval=False if before is None else before.approval, source=MCP,
    )  # fmt: skip
    grants = () if before is None else before.grants
    registry.put(tx, new, before, grants, quarantined=True)
    return True


def offered(rx: Rx, company: str, agent: str, role: str | None) -> list[Offered]:
    """What an agent may call now: granted, enabled, not in quarantine, of a server that is on."""
    rows = rx.all(
        "select t.capability, t.server, t.tool from mcp_tool t join mcp_server s "
        "on s.company=t.company and s.name=t.server join capability c "
        "on c.company=t.company and c.id=t.capability "
        "where t.company=? and s.enabled=1 and c.enabled=1 and c.quarantined=0 "
        "order by t.capability limit ?",
        (company, 4 * MAX_TOOLS),
    )
    mine = {"*", f"role:{role}", f"agent:{agent}"}
    found: list[Offered] = []
    for id_, server, tool in rows:
        row = registry.by_id(rx, company, id_)
        if row is not None and mine & set(row.grants) and len(found) < MAX_OFFERED:
            found.append(Offered(row, server, tool))
    return found


def tools_of(rx: Rx, company: str, server: str) -> list[tuple[Capability, str]]:
    """The capabilities of a server's tools, whatever their state, each with the tool's name."""
    rows = rx.all(
        "select capability, tool from mcp_tool where company=? and server=? "
        "order by capability limit ?",
        (company, server, 4 * MAX_TOOLS),
    )
    found = ((registry.by_id(rx, company, id_), tool) for id_, tool in rows)
    return [(row, tool) for row, tool in found if row is not None]


def place_of(rx: Rx, company: str, capability: str) -> tuple[str, str] | None:
    """`(server, tool)` of a capability."""
    row = rx.one(
        "select server, tool from mcp_tool where company=? and capability=?", (company, capability)
    )
    return None if row is None else (row[0], row[1])

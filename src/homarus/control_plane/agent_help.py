"""How to connect an agent to this daemon, as a text for a person or a model that sets one up."""

from typing import Final

from homarus.base.errors import Invalid

_COMMON: Final = """\
# Connect an agent

Address: {base}/api/mcp (the same routes answer under {base}/api/v1). Event socket: {ws}/api/mcp/ws.
Send `Authorization: Bearer TOKEN` with every request. An owner mints the token:
`homarus --company SLUG token create NAME`. Keep it in the environment of the process; it belongs in
no prompt, file of a project, or message.

1. POST /runtime/register {{"runtimeId", "name"}} once at each start.
2. GET /agents; use yours, or POST /agents {{"name", "role"}}. A token acts for agents that it
   created or was granted.
3. POST /agents/ID/sessions/start, then POST /agents/heartbeat {{"agentId", "currentLoad"}} at least
   once a minute: it renews the leases of your tasks.
4. POST /tasks/claim {{"agentId"}}; keep `leaseToken`. GET /tasks/ID/context says the rest.
5. Work. POST /tasks/ID/notes on the way.
6. POST /tasks/ID/result {{"agentId", "state", "outputJson", "leaseToken"}}.

Every POST, PATCH and DELETE should carry an `Idempotency-Key`; sent again with the same key it
takes effect once. A refusal says in `remedy` what to do instead: do that, and do not send the
same again.
The whole table of routes: {base}/api/docs.
"""

_MORE: Final = {
    "http": "Any HTTP client will do; the steps above are all there is.\n",
    "openclaw": (
        "Set EMPEROR_CLAW_API_URL={base} and EMPEROR_CLAW_API_TOKEN for the bridge, and start it.\n"
        "The companion's `doctor` tries the whole road once.\n"
    ),
    "mcp": (
        "Clients of the Model Context Protocol connect to {base}/mcp (streamable HTTP) with the\n"
        "same bearer token, and get tools for tasks, projects, agents and knowledge.\n"
    ),
}
PROVIDERS: Final = tuple(_MORE)


def text(base: str, provider: str | None) -> str:
    """`base`: the daemon's address as the caller reached it. Raises `help.provider`."""
    if provider is not None and provider not in _MORE:
        raise Invalid(
            "help.provider", f"no text for {provider[:40]!r}", f"One of {', '.join(PROVIDERS)}."
        )
    chosen = PROVIDERS if provider is None else (provider,)
    sections = "".join(f"\n## {name}\n\n{_MORE[name]}" for name in chosen)
    return (_COMMON + sections).format(base=base, ws=f"ws{base.removeprefix('http')}")

"""The official SDK around the toolbox: protocol versions, negotiation, framing are its own.

Imported by `mount.py` inside a function; needs the extra `mcp`. The low-level `Server` is used, not
`MCPServer`: that one makes schemas from Python signatures, and ours come from the routes.

Each request has a session manager of its own, whose tasks end with it: the server is stateless, so
nothing outlives a request and nothing has to be started or stopped with the daemon.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError

from homarus import __version__
from homarus.control_plane.answers import Receive, Scope, Send, error_body
from homarus.control_plane.route import MAX_BODY_BYTES
from homarus.mcp.instructions import INSTRUCTIONS
from homarus.mcp.toolbox import Offer, Outcome, Toolbox, UnknownTool, line

Context = ServerRequestContext[Any, Any]


def application(toolbox: Toolbox) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The ASGI application of one endpoint; its caller has authenticated and bounded the body."""
    server = _server(toolbox)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        manager = StreamableHTTPSessionManager(
            server, json_response=True, stateless=True, max_request_body_size=MAX_BODY_BYTES
        )
        async with manager.run():
            await manager.handle_request(dict(scope), receive, send)

    return serve


def _server(toolbox: Toolbox) -> Server[Any]:
    async def listed(
        ctx: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        offers = await toolbox.offers(_headers(ctx))
        return types.ListToolsResult(tools=[_tool(offer) for offer in offers])

    async def called(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            outcome = await toolbox.call(params.name, params.arguments or {}, _headers(ctx))
        except UnknownTool as error:
            told = error_body(error)
            raise MCPError(types.INVALID_PARAMS, line(told), msgspec.to_builtins(told)) from error
        return _result(outcome)

    return Server(
        "homarus",
        title="Homarus",
        version=__version__,
        instructions=INSTRUCTIONS,
        get_tool_input_schema=toolbox.schema,
        on_list_tools=listed,
        on_call_tool=called,
    )


def _headers(ctx: Context) -> dict[bytes, bytes]:
    """Of the HTTP request that carries this message."""
    if ctx.request is None:
        raise TypeError("the server serves HTTP requests only; stdio is `stdio.py`")
    return dict(ctx.request.scope["headers"])


def _tool(offer: Offer) -> types.Tool:
    row = offer.tool.tool
    return types.Tool(
        name=row.name,
        title=row.title,
        description=row.about,
        input_schema=offer.schema,
        annotations=types.ToolAnnotations(
            title=row.title,
            read_only_hint=offer.tool.reads,
            destructive_hint=row.destructive,
            idempotent_hint=row.idempotent or offer.tool.reads,
            open_world_hint=False,
        ),
    )


def _result(outcome: Outcome) -> types.CallToolResult:
    """The line for people, and the JSON again as text for clients that read only text (MCP
    specification 2025-11-25, tools, structured content)."""
    text = msgspec.json.encode(outcome.body).decode()
    blocks: list[types.ContentBlock] = [types.TextContent(text=outcome.text)]
    if not outcome.failed:
        blocks.append(types.TextContent(text=text))
    return types.CallToolResult(
        content=blocks, structured_content=outcome.body, is_error=outcome.failed
    )

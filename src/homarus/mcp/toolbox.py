"""The tools at work: who asks, which route answers, and the answer as a tool's result.

A call runs as `Edge.invoke`: authenticated, judged, keyed and answered as the same request over
HTTP. A refusal is a result that says so; only what nobody can act on is an exception.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from homarus.base.errors import HomarusError, NotFound
from homarus.base.nearest import did_you_mean
from homarus.control_plane.answers import ErrorBody, error_body
from homarus.control_plane.auth import Door
from homarus.control_plane.edge import Edge
from homarus.control_plane.route import EventReply, FileReply
from homarus.mcp.tool import Asker, BoundTool
from homarus.store.port import Reply

AGENT: Final = b"x-homarus-agent"
MAX_AGENT: Final = 300
MAX_NAME: Final = 100
_HANDED_ON: Final = (b"authorization", b"x-homarus-company", b"x-homarus-trace", b"host")
"""Headers of the caller's request that the route's request has too."""


class Offer(msgspec.Struct, frozen=True):
    """A tool as this caller may call it."""

    tool: BoundTool
    schema: dict[str, Any]


class Outcome(msgspec.Struct, frozen=True):
    """What a call came to. `body`: the route's reply, or of a refusal `code`, `reason`, `remedy`,
    and where there are any `rule`, `receipt`, `missingFields`, `details`; `text` in one line."""

    body: dict[str, Any]
    text: str
    failed: bool = False


class UnknownTool(NotFound):
    """No tool is called that."""


class Toolbox:
    """Lists and calls `tools` over `edge`. `headers` are those of the request that carries it."""

    def __init__(self, edge: Edge, door: Door, tools: Mapping[str, BoundTool]) -> None:
        self._edge = edge
        self._door = door
        self._tools = tools

    async def offers(self, headers: Mapping[bytes, bytes]) -> list[Offer]:
        """Raises what authentication raises."""
        asker = await self._asker(headers)
        return [Offer(tool, tool.schema_for(asker)) for tool in self._tools.values()]

    def schema(self, name: str) -> dict[str, Any] | None:
        tool = self._tools.get(name)
        return None if tool is None else tool.schema

    async def call(
        self, name: str, arguments: Mapping[str, Any], headers: Mapping[bytes, bytes]
    ) -> Outcome:
        """Raises UnknownTool, and nothing else that is foreseen."""
        tool = self._tools.get(name)
        if tool is None:
            raise UnknownTool(
                "mcp.tool_unknown",
                f"there is no tool {name[:MAX_NAME]!r}",
                did_you_mean(name, self._tools, "`tools/list` names them all."),
            )
        try:
            return _outcome(await self._invoke(tool, arguments, headers))
        except HomarusError as error:
            return _failure(msgspec.to_builtins(error_body(error)))

    async def _invoke(
        self, tool: BoundTool, arguments: Mapping[str, Any], headers: Mapping[bytes, bytes]
    ) -> Reply | FileReply | EventReply:
        request = tool.request(arguments, await self._asker(headers))
        own = {name: headers[name] for name in _HANDED_ON if name in headers}
        return await self._edge.invoke(
            tool.bound,
            request.values,
            own | request.headers,
            query=request.query,
            body=request.body,
        )

    async def _asker(self, headers: Mapping[bytes, bytes]) -> Asker:
        named = headers.get(AGENT, b"")[:MAX_AGENT].decode("utf-8", "replace").strip()
        token = await self._door.token(headers)
        return Asker(fixed=named or None, own=token.agent)


def _outcome(reply: Reply | FileReply | EventReply) -> Outcome:
    if not isinstance(reply, Reply):
        raise TypeError("a tool is the face of a JSON route, and this one answers something else")
    body = msgspec.json.decode(reply.body)
    if reply.status >= 400:
        return _failure(body)
    return Outcome(body, _told(body))


def _told(body: Mapping[str, Any]) -> str:
    """The reply in one line: its message, else how much of what it holds."""
    message = body.get("message")
    if isinstance(message, str):
        return message
    parts = [
        f"{len(value)} {noun}" if isinstance(value, list) else noun
        for noun, value in body.items()
        if isinstance(value, list | dict)
    ]
    return ", ".join(parts) or "Done"


def _failure(body: dict[str, Any]) -> Outcome:
    """An error's body with `reason` for the sentence that HTTP calls `error`."""
    told = line(msgspec.convert(body, ErrorBody))
    rest = {key: value for key, value in body.items() if key not in ("code", "error")}
    return Outcome({"code": body["code"], "reason": body["error"]} | rest, told, failed=True)


def line(told: ErrorBody) -> str:
    """An error in one line, whatever the client shows of it."""
    marks = [f"{k} {v}" for k, v in (("rule", told.rule), ("receipt", told.receipt)) if v]
    words = [f"{told.code}: {told.error}.", told.remedy]
    if marks:
        words.append(f"({', '.join(marks)})")
    return " ".join(word for word in words if word)

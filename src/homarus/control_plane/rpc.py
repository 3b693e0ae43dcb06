"""The JSON-RPC root of the control plane: `POST /api/mcp` (contract, 7)."""

from typing import Any, Final

from homarus.base.errors import Invalid
from homarus.company import summary
from homarus.control_plane.route import Call, Route, json_reply
from homarus.store.port import Reply, Rx
from homarus.tasks import sql as tasks

METHOD_NOT_FOUND: Final = -32601


def rpc(rx: Rx, call: Call[Any]) -> Reply:
    """One request, no batch. An unknown method is a JSON-RPC error with HTTP 200.

    Raises `rpc.request` for a body that is no JSON-RPC 2.0 request.
    """
    body = call.body
    method = body.get("method") if isinstance(body, dict) else None
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise Invalid(
            "rpc.request",
            "this is no JSON-RPC 2.0 request",
            'Send {"jsonrpc": "2.0", "id": 1, "method": "status.summary"}, or use the REST routes.',
        )
    ref = body.get("id")
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": ref if isinstance(ref, str | int) else None}
    if method == "status.summary":
        answer["result"] = _summary(rx, call.company)
    else:
        answer["error"] = {
            "code": METHOD_NOT_FOUND,
            "message": f"unknown method {method[:80]!r}; known: status.summary",
        }
    return json_reply(answer)


def _summary(rx: Rx, company: str) -> dict[str, Any]:
    counts = summary.counts(rx, company)
    return {
        "agents": counts.agents,
        "projects": counts.projects,
        "tasks": tasks.count(rx, company),
        "status": "online",
        "contextNotes": summary.context_notes(rx, company),
    }


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        method="POST",
        path="",
        capability="read",
        handler=rpc,
        kind="read",
        summary="JSON-RPC 2.0: status.summary",
        body=Any,
        keyed="ignored",
        tags=("status",),
    ),
)

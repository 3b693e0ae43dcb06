"""Nodes: what they offer and who approves it, and having them do it (gateway contract, 11).

node.invoke         row, event `node.invoke.request`, and the wait
node.invoke.result  row, and whoever waits
"""

import asyncio
import json
from typing import Any, Final

import msgspec

from homarus.base.errors import HomarusError
from homarus.base.node_commands import DENIED, EXEC
from homarus.control_plane.parse import too_deep
from homarus.gateway.ws import frames, shapes, system_run
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.invokes import LEFT, Answer
from homarus.gateway.ws.method import Ask, Desk, Nothing, work, write
from homarus.gateway.ws.methods.later import Anything
from homarus.gateway.ws.system_run import Run
from homarus.kernel import devices, invokes, surfaces
from homarus.kernel.devices import NODE
from homarus.kernel.invokes import Begun, Invoke
from homarus.kernel.scopes import ADMIN, PAIRING, READ, WRITE
from homarus.store.port import Rx, Tx

Doc = dict[str, Any]
Names = tuple[str, ...]

WAIT_MS: Final = 30_000
MAX_WAIT_MS: Final = 600_000
MAX_STATS: Final = 24
MAX_NUMBERS: Final = 8


class OfNode(Params):
    node_id: str


class OfRequest(Params):
    request_id: str


class Rename(Params):
    node_id: str
    display_name: str


class NewInvoke(Params):
    node_id: str
    command: str
    idempotency_key: str
    params: Any = None
    timeout_ms: int | None = None
    session_key: str | None = None
    turn_source_channel: str | None = None
    turn_source_to: str | None = None
    turn_source_account_id: str | None = None
    turn_source_thread_id: str | int | None = None


class Wrong(Params):
    code: str | None = None
    message: str | None = None


class Result(Params):
    id: str
    node_id: str
    ok: bool
    payload: Any = None
    payload_json: str | None = msgspec.field(default=None, name="payloadJSON")
    error: Wrong | None = None


class NodeEvent(Params):
    event: str
    payload: Any = None
    payload_json: str | None = msgspec.field(default=None, name="payloadJSON")


# -- who is there ----------------------------------------------------------------------------


async def listed(desk: Desk, params: Nothing) -> Doc:
    _ = params
    rows: list[Doc] = await desk.read(_listed, desk.peer.company, _denied(desk))
    return {"ts": desk.hub.now_ms(), "nodes": [_here(desk, row) for row in rows]}


def _denied(desk: Desk) -> Names:
    return desk.hub.settings().node_commands_deny


def _listed(rx: Rx, company: str, denied: Names) -> list[Doc]:
    return [shapes.node(rx, row, denied) for row in surfaces.listed(rx, company)]


async def described(desk: Desk, params: OfNode) -> Doc:
    row: Doc = await desk.read(_one, desk.peer.company, params.node_id, _denied(desk))
    return _here(desk, row) | {"ts": desk.hub.now_ms()}


def _one(rx: Rx, company: str, device: str, denied: Names) -> Doc:
    return shapes.node(rx, surfaces.need(rx, company, device), denied)


def _here(desk: Desk, row: Doc) -> Doc:
    """With what the connection knows."""
    peer = desk.hub.node(desk.peer.company, row["nodeId"])
    if peer is None:
        return row | {"connected": False}
    more: Doc = {"connected": True, "connectedAtMs": peer.since_ms, "remoteIp": peer.address}
    return row | more | ({} if peer.stats is None else {"hostStats": peer.stats})


# -- approving what they offer -----------------------------------------------------------------


async def requests(desk: Desk, params: Nothing) -> Doc:
    _ = params
    found: Doc = await desk.read(_requests, desk.peer.company, _denied(desk))
    return found | {"paired": [_here(desk, row) for row in found["paired"]]}


def _requests(rx: Rx, company: str, denied: Names) -> Doc:
    nodes = [row for row in surfaces.listed(rx, company) if row.approved is not None]
    return {
        "pending": [shapes.node_request(rx, row, denied) for row in surfaces.pending(rx, company)],
        "paired": [shapes.node(rx, row, denied) for row in nodes],
    }


async def approve(desk: Desk, params: OfRequest) -> Doc:
    """Beyond the scope of pairing it needs that of what is approved (contract, 4)."""
    row = await desk.read(surfaces.need_request, desk.peer.company, params.request_id)
    denied = _denied(desk)
    scope = ADMIN if surfaces.needs_admin(row.surface.without(denied)) else WRITE
    if not desk.peer.may(scope):
        raise frames.missing_scope(scope)
    found: Doc = await desk.write(
        _approve, row.id, row.surface, denied, target=f"node:{row.device}"
    )
    return found | {"node": _here(desk, found["node"])}


def _approve(tx: Tx, id_: str, seen: surfaces.Surface, denied: Names) -> Doc:
    """What was judged above is what is approved: a request does not change, it is replaced."""
    row = surfaces.decide(tx, id_, approve=True, denied=denied)
    if row.surface != seen:
        raise AssertionError("a request has changed")
    return {"requestId": row.id, "node": _one(tx, tx.company, row.device, denied)}


def reject(tx: Tx, ask: Ask) -> Doc:
    row = surfaces.decide(tx, ask.params.request_id, approve=False)
    return {"requestId": row.id, "nodeId": row.device}


def remove(tx: Tx, ask: Ask) -> Doc:
    """Its approval and its token end; the device asks for both anew."""
    device = surfaces.need(tx, tx.company, ask.params.node_id).device
    if devices.grant(tx, tx.company, device, NODE) is not None:
        devices.revoke(tx, device, NODE)
    else:
        surfaces.forget(tx, device)
    return {"nodeId": device}


def rename(tx: Tx, ask: Ask) -> Doc:
    name = ask.params.display_name
    if not 0 < len(name.strip()) <= devices.MAX_LABEL:
        raise frames.bad_params(
            "node.rename", f"at displayName: 1 to {devices.MAX_LABEL} characters"
        )
    device = surfaces.need(tx, tx.company, ask.params.node_id).device
    row = devices.rename(tx, device, name)
    return {"nodeId": row.id, "displayName": row.label}


# -- having them do something ------------------------------------------------------------------


async def invoke(desk: Desk, params: NewInvoke) -> Doc:
    timeout_ms = max(1, min(params.timeout_ms or WAIT_MS, MAX_WAIT_MS))
    hub, company = desk.hub, desk.peer.company
    run = system_run.run_of(params.params) if params.command == EXEC else None
    asked = params.params if run is None else run.params
    new = invokes.New(
        device=params.node_id, command=params.command, key=params.idempotency_key,
        digest=invokes.digest_of(params.node_id, params.command, params.params),
        boot=hub.boot_id, timeout_ms=timeout_ms,
        connected=hub.node(company, params.node_id) is not None, denied=_denied(desk),
        **_bound(run),
    )  # fmt: skip
    try:
        begun: Begun = await desk.write(
            invokes.begin, new, target=f"node:{params.node_id[:80]}", arguments=new.digest,
            what=f"{new.command} {new.what}".strip(),
        )  # fmt: skip
    except HomarusError as error:
        raise _fault(error) from None
    if begun.fresh:
        answer = await asyncio.shield(_send(desk, begun.invoke, params.idempotency_key, asked))
    else:
        answer = await _known(desk, begun.invoke)
    return _reply(begun.invoke, answer)


def _bound(run: Run | None) -> Doc:
    """What approvals bind to."""
    if run is None:
        return {}
    return {"argv": run.argv, "cwd": run.cwd, "env": run.env, "plan": run.plan, "what": run.what,
            "approval": run.approval}  # fmt: skip


def _send(desk: Desk, row: Invoke, key: str, asked: Any) -> "asyncio.Future[Answer]":
    """To the connection of the node; who left since the row was written counts as gone."""
    hub, timeout_ms = desk.hub, row.until_ms - row.created_ms
    peer = hub.node(row.company, row.device)
    waiting = hub.invokes.open(row, "" if peer is None else peer.id, timeout_ms / 1000)
    if peer is None:
        hub.invokes.left("")
        return waiting
    payload = {
        "id": row.id, "nodeId": row.device, "command": row.command,
        "paramsJSON": None if asked is None else json.dumps(asked),
        "timeoutMs": timeout_ms, "idempotencyKey": key,
    }  # fmt: skip
    hub.tell_node(peer, "node.invoke.request", shapes.without_none(payload))
    return waiting


async def _known(desk: Desk, row: Invoke) -> Answer:
    """What became of one that was asked for before."""
    waiting = desk.hub.invokes.waiting(row.id)
    if waiting is not None:
        return await asyncio.shield(waiting)
    if row.state == invokes.SENT:  # another daemon waits for it
        left_s = max(0.0, (row.until_ms - desk.hub.now_ms()) / 1000)
        ended: Invoke | None = await desk.until(lambda: _ended(desk, row.id), left_s)
        row = ended or row
    return Answer(row.state, row.reply, row.reason)


async def _ended(desk: Desk, id_: str) -> Invoke | None:
    row: Invoke | None = await desk.read(invokes.by_id, desk.peer.company, id_)
    return row if row is not None and row.state != invokes.SENT else None


def _reply(row: Invoke, answer: Answer) -> Doc:
    said = answer.said or {}
    if answer.state == invokes.DONE:
        payload = said.get("payload")
        return {
            "ok": True, "nodeId": row.device, "command": row.command, "payload": payload,
            "payloadJSON": None if payload is None else json.dumps(payload),
        }  # fmt: skip
    if answer.state == invokes.FAILED:
        error = said.get("error") or {"code": "FAILED", "message": answer.reason}
        details = {"code": error["code"], "nodeError": error, "nodeCommandDispatched": True}
        said_so = invokes.refusal(str(error["code"]), str(error["message"]))
        if DENIED in said_so:
            details["remedy"] = _DENIED
        raise Fault(frames.UNAVAILABLE, said_so[:500], details)
    reason = answer.reason or "the node has not answered"
    code = "DISCONNECTED" if reason == LEFT else "TIMEOUT"
    error = {"code": code, "message": reason}
    details = {"code": code, "nodeError": error, "nodeCommandDispatched": True,
               "outcome": "unknown", "invokeId": row.id}  # fmt: skip
    raise Fault(frames.UNAVAILABLE, reason, details)


_DENIED: Final = (
    "It is that machine's own rule: its owner lets the program run there with `homarus node allow "
    "PROGRAM`, or you ask for an approval first: `homarus gateway call exec.approval.request` "
    "(docs/how-to/nodes.md)."
)


_WIRE_CODES: Final = {"node.offline": "NOT_CONNECTED", "node.unapproved": "PAIRING_CHANGED"}


def _fault(error: HomarusError) -> HomarusError:
    """What was not sent, in the words that clients of this wire know."""
    code = _WIRE_CODES.get(error.code)
    if code is None:
        return error
    said = {"code": code, "message": error.message}
    details = {"code": code, "nodeError": said, "nodeCommandDispatched": False,
               "remedy": error.remedy}  # fmt: skip
    return Fault(frames.UNAVAILABLE, error.message, details)


# -- what nodes say ------------------------------------------------------------------------------


async def result(desk: Desk, params: Result) -> Doc:
    """Late ones, repeated ones, and those of another node's invokes are ignored."""
    device = _own(desk, params.node_id, "node.invoke.result")
    said: Doc
    if params.ok:
        payload = _payload("node.invoke.result", params.payload, params.payload_json)
        said = {"payload": payload}
    else:
        wrong = params.error or Wrong()
        code, why = wrong.code or "FAILED", wrong.message or "the node did not say why"
        said = {"error": {"code": code[:80], "message": why[:2_000]}}
    row: Invoke | None = await desk.write(
        invokes.answer, device, params.id, params.ok, said, target=f"invoke:{params.id[:80]}"
    )
    if row is None:
        return {"ok": True, "ignored": True}
    desk.hub.invokes.end(row.id, Answer(row.state, said, row.reason))
    return {"ok": True}


def _own(desk: Desk, named: str, method: str) -> str:
    if desk.peer.device is None or named != desk.peer.device:
        raise Fault(frames.INVALID_REQUEST, "nodeId mismatch", {"code": "node.not_own"})
    return desk.peer.device


def _payload(method: str, payload: Any, text: str | None) -> Any:
    """Raises Fault."""
    if payload is not None or text is None:
        return payload
    raw = text.encode("utf-8", "surrogatepass")
    if too_deep(raw):
        raise frames.bad_params(method, "at payloadJSON: nested too deep")
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise frames.bad_params(method, "at payloadJSON: must be JSON") from None


async def event(desk: Desk, params: NodeEvent) -> Doc:
    """Presence and figures of the machine; the rest is said to be of no use here."""
    await desk.read(_nothing)
    name = params.event[:80]
    if name == "node.presence.alive":
        return {"ok": True, "event": name, "handled": True}
    if name == "node.host.stats":
        stats = _stats(_payload("node.event", params.payload, params.payload_json))
        desk.peer.stats = stats
        payload = {"nodeId": desk.peer.device, "hostStats": stats}
        desk.hub.tell(desk.peer.company, "node.hostStats", payload)
        return {"ok": True, "event": name, "handled": True}
    reason = "told by the result of its invoke" if name.startswith("exec.") else "not offered"
    return {"ok": True, "event": name, "handled": False, "reason": reason}


def _nothing(rx: Rx) -> None:
    """Judged, and nothing is read."""


def _stats(given: Any) -> Doc:
    """Numbers, and short lists of them."""
    found: Doc = {}
    for name, value in given.items() if isinstance(given, dict) else ():
        values = value if isinstance(value, list) else [value]
        plain = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if plain and len(values) <= MAX_NUMBERS and len(found) < MAX_STATS:
            found[str(name)[:64]] = value
    return found


async def bins(desk: Desk, params: Nothing) -> Doc:
    """Programs that skills want to be found: none are asked of nodes."""
    _ = params
    await desk.read(_nothing)
    return {"bins": []}


def _taken(name: str) -> Any:
    """What a node says of its skills, plug-ins and runners: nothing is taken of it."""

    async def update(desk: Desk, params: Anything) -> Doc:
        _ = params
        await desk.read(_nothing)
        return {"nodeId": desk.peer.device} | ({} if not name else {name: []})

    return update


_ANY: Final = ""
METHODS: Final = (
    work("node.list", READ, Nothing, listed, "Nodes, what they offer, who is here", "ts, nodes"),
    work("node.describe", READ, OfNode, described, "One node", "nodeId, commands, connected"),
    work("node.pair.list", PAIRING, Nothing, requests, "What nodes want to be approved for",
         "pending, paired"),
    work("node.pair.approve", PAIRING, OfRequest, approve, "Approve what a node offers",
         "requestId, node", capability="node.decide", target="node:"),
    write("node.pair.reject", PAIRING, OfRequest, "node.decide", reject, "Do not approve it",
          "requestId, nodeId", target="node:"),
    write("node.pair.remove", PAIRING, OfNode, "node.change", remove,
          "Forget a node; its token ends", "nodeId", target="node:"),
    write("node.rename", PAIRING, Rename, "node.change", rename, "Call a node something",
          "nodeId, displayName", target="node:"),
    work("node.invoke", WRITE, NewInvoke, invoke, "Have a node do something, and wait for it",
         "ok, nodeId, command, payload, payloadJSON", capability=invokes.CAPABILITY,
         target="node:", waits=True),
    work("node.invoke.result", _ANY, Result, result, "What a node answers", "ok, ignored",
         capability="node.result", target="invoke:", role=NODE),
    work("node.event", _ANY, NodeEvent, event, "What a node tells by itself", "ok, handled",
         role=NODE),
    work("skills.bins", _ANY, Nothing, bins, "Programs that skills want", "bins", role=NODE),
    work("node.skills.update", _ANY, Anything, _taken("skills"), "A node's skills; none are taken",
         "nodeId, skills", role=NODE),
    work("node.pluginTools.update", _ANY, Anything, _taken("tools"),
         "A node's tools; none are taken", "nodeId, tools", role=NODE),
    work("node.runnerInventory.update", _ANY, Anything, _taken(""),
         "A node's runners; none are taken", "nodeId", role=NODE),
)  # fmt: skip

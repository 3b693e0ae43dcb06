"""What all connections share: who is there, presence, versions of state, and telling them.

In memory, and gone with the daemon: it tells of what happens, and carries none of it.
"""

import asyncio
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from homarus import __version__
from homarus.agents.live import Live
from homarus.agents.toolbox import Tools
from homarus.base.errors import HomarusError
from homarus.base.recent import Recent
from homarus.config.schema import Settings
from homarus.control_plane.stream import Means
from homarus.gateway.ws import frames
from homarus.gateway.ws.handshake import EPHEMERAL
from homarus.gateway.ws.invokes import Invokes
from homarus.gateway.ws.peer import Peer
from homarus.gateway.ws.process import Process
from homarus.gateway.ws.rates import Rates
from homarus.gateway.ws.restarts import Restarts
from homarus.gateway.ws.runs import Run, Runs, Told
from homarus.kernel.devices import NODE
from homarus.kernel.scopes import APPROVALS, PAIRING, READ

log = structlog.get_logger("gateway")

MAX_PRESENCE: Final = 500
MAX_ALL_BUFFERED_BYTES: Final = 536_870_912
"""Unread bytes of all connections."""
TOOL_EVENTS: Final = "tool-events"
SESSION_SCOPED: Final = "session-scoped-events"

EVENTS: Final = {
    "connect.challenge": "", "tick": "", "health": "", "shutdown": "",
    "heartbeat": "",
    "agent": READ, "chat": READ, "presence": READ, "cron": READ, "sessions.changed": READ,
    "task": READ, "config.changed": READ,
    "session.message": READ,
    "device.pair.requested": PAIRING, "device.pair.resolved": PAIRING,
    "device.pair.changed": PAIRING, "device.pair.setup.completed": PAIRING,
    "node.pair.requested": PAIRING, "node.pair.resolved": PAIRING, "node.hostStats": READ,
    "exec.approval.requested": APPROVALS, "exec.approval.resolved": APPROVALS,
}  # fmt: skip
"""Event -> scope that one needs to be told ("": none). What is not here is told to nobody."""
DIRECT: Final = ("node.invoke.request", "node.invoke.cancel")
"""Events for one node alone; they have no number."""


class Policy(msgspec.Struct, frozen=True):
    """Bounds of a connection (gateway contract, 1, 5). `in_flight`: requests at one time;
    `waiting`: beside them, those of methods that wait for others (`Method.waits`)."""

    handshake_s: float = 15.0
    tick_s: float = 30.0
    health_s: float = 60.0
    max_payload_bytes: int = frames.MAX_PAYLOAD_BYTES
    max_buffered_bytes: int = frames.MAX_BUFFERED_BYTES
    in_flight: int = 64
    waiting: int = 64


class Hub:
    """Lives on the loop."""

    def __init__(
        self, means: Means, live: Live, now_ms: Callable[[], int],
        default_company: Callable[[], str],
        settings: Callable[[], Settings] = lambda: Settings(Path()),
    ) -> None:  # fmt: skip
        self.settings = settings
        self.means = means
        self.now_ms = now_ms
        self.default_company = default_company
        self.policy = Policy()
        self.boot_id = os.urandom(8).hex()
        self.peers: dict[str, Peer] = {}
        self.runs = Runs(live, means.store.read, now_ms, self.tell_run)
        self.invokes = Invokes(means.store, self.boot_id, self._cancel)
        self.rates = Rates()
        self.restarts = Restarts(means.home)
        self.process: Process | None = None
        self.tools: Tools | None = None
        self.refuses_tool: Callable[[str], HomarusError | None] = lambda name: None
        """Why a tool is not called by hand; None: it is."""
        self.presence_version = 1
        self.health_version = 1
        self.health: dict[str, tuple[float, dict[str, Any]]] = {}
        """By company: when it was taken (loop time), and what it said."""
        self.cursors: dict[str, int] = {}
        """How far each company's feed was told."""
        self.moved: set[str] = set()
        self.news = asyncio.Event()
        """Set when the pump has something to do."""
        self._began = time.monotonic()
        self._gone: Recent[str, dict[str, Any]] = Recent(MAX_PRESENCE)
        self._notes: Recent[str, dict[str, Any]] = Recent(MAX_PRESENCE)
        self._own_since_ms = now_ms()

    def bound_bytes(self) -> int:
        """Unread bytes that may wait for one connection: the policy's, within an equal share of
        MAX_ALL_BUFFERED_BYTES."""
        return min(self.policy.max_buffered_bytes, MAX_ALL_BUFFERED_BYTES // (len(self.peers) or 1))

    @property
    def uptime_ms(self) -> int:
        return round((time.monotonic() - self._began) * 1000)

    # -- presence ------------------------------------------------------------------------------

    def presence(self, company: str) -> list[dict[str, Any]]:
        """The gateway itself, who is connected, who left lately, notes; newest last."""
        now_ms = self.now_ms()
        own = {
            "host": platform.node() or "homarus", "mode": "gateway", "reason": "self",
            "version": __version__, "platform": platform.system().lower(),
            "text": f"Gateway: Homarus {__version__}", "ts": now_ms,
            "onlineSince": self._own_since_ms,
        }  # fmt: skip
        here = [entry_of(peer, "connect", now_ms) for peer in self.peers.values()
                if peer.company == company and tracked(peer)]  # fmt: skip
        more = [e for e in (*self._gone.values(), *self._notes.values()) if e["company"] == company]
        return [own, *here, *({k: v for k, v in e.items() if k != "company"} for e in more)]

    def join(self, peer: Peer, heads: dict[str, int]) -> None:
        """`heads`: where the feeds stand that the peer is to hear of."""
        self.peers[peer.id] = peer
        for company, seq in heads.items():
            self.cursors.setdefault(company, seq)
        if tracked(peer):
            self._gone.pop(_who(peer), None)
            self.presence_changed(peer.company)

    def leave(self, peer: Peer) -> None:
        self.invokes.left(peer.id)
        if self.peers.pop(peer.id, None) is None or not tracked(peer):
            return
        entry = entry_of(peer, "disconnect", self.now_ms()) | {"company": peer.company}
        self._gone[_who(peer)] = entry
        self.presence_changed(peer.company)

    def note(self, company: str, who: str, entry: dict[str, Any]) -> None:
        """What a client says of a machine (`system-event`)."""
        self._notes[f"{company}:{who}"] = entry | {"company": company, "ts": self.now_ms()}
        self.presence_changed(company)

    def presence_changed(self, company: str) -> None:
        """Told by the pump, which puts together what changes at one time."""
        self.presence_version += 1
        self.moved.add(company)
        self.news.set()

    def tell_presence(self) -> None:
        moved, self.moved = self.moved, set()
        for company in moved:
            self.tell(company, "presence", {"presence": self.presence(company)})

    def versions(self) -> dict[str, int]:
        return {"presence": self.presence_version, "health": self.health_version}

    # -- telling -------------------------------------------------------------------------------

    def tell(self, company: str | None, name: str, payload: dict[str, Any]) -> None:
        """A broadcast to those of a company (None: of all) who may be told."""
        scope = EVENTS[name]
        to = [peer for peer in self.peers.values()
              if company in (None, peer.company) and peer.may(scope)]  # fmt: skip
        if to:
            self._send(to, name, payload)

    def _send(
        self, to: list[Peer], name: str, payload: dict[str, Any], *, droppable: bool = False
    ) -> None:
        raw = frames.encoded(payload)
        versions = b""
        if name in ("presence", "health"):
            versions = frames.encoded(self.versions())
        for peer in to:
            peer.link.event(name, raw, versions, droppable=droppable)

    # -- nodes -----------------------------------------------------------------------------------

    def node(self, company: str, device: str) -> Peer | None:
        """The connection of a node: its newest; None: it is not here."""
        here = [
            peer
            for peer in self.peers.values()
            if peer.role == NODE and (peer.company, peer.device) == (company, device)
        ]
        return here[-1] if here else None

    def tell_node(self, peer: Peer, name: str, payload: dict[str, Any]) -> None:
        peer.link.send(frames.event(name, frames.encoded(payload)))

    def _cancel(self, peer_id: str, invoke: str) -> None:
        peer = self.peers.get(peer_id)
        if peer is not None:
            payload = {"id": invoke, "invokeId": invoke, "nodeId": peer.device}
            self.tell_node(peer, "node.invoke.cancel", payload)

    def tell_run(self, run: Run, events: list[Told]) -> None:
        for name, payload in events:
            scope = EVENTS[name]
            tool = name == "agent" and payload["stream"] == "tool"
            to = [
                peer for peer in self.peers.values()
                if peer.company == run.company and peer.may(scope)
                and (not tool or TOOL_EVENTS in peer.caps)
                and (SESSION_SCOPED not in peer.caps or run.session_key in peer.sessions)
            ]  # fmt: skip
            if to:
                delta = name == "chat" and payload["state"] in ("delta", "status")
                self._send(to, name, payload, droppable=delta)

    def tell_session(self, company: str, key: str, name: str, payload: dict[str, Any]) -> None:
        """To those who asked for news of this session, or of all."""
        messages = name == "session.message"
        to = [
            peer for peer in self.peers.values()
            if peer.company == company and peer.may(EVENTS[name])
            and (key in peer.sessions or (peer.every and not messages))
        ]  # fmt: skip
        if to:
            self._send(to, name, payload)

    def end_token(self, token: str, reason: str) -> None:
        for peer in tuple(self.peers.values()):
            if peer.token.id == token:
                peer.link.end(frames.POLICY, reason)


def tracked(peer: Peer) -> bool:
    """Whether a client is somebody's presence; commands that come and go are not."""
    return peer.client.mode not in EPHEMERAL


def _who(peer: Peer) -> str:
    return peer.device or peer.client.instance_id or peer.id


def entry_of(peer: Peer, reason: str, at_ms: int) -> dict[str, Any]:
    client = peer.client
    found = {
        "host": client.display_name or client.id,
        "clientId": client.id,
        "ip": peer.address,
        "version": client.version,
        "platform": client.platform,
        "deviceFamily": client.device_family,
        "modelIdentifier": client.model_identifier,
        "timeZone": client.time_zone,
        "mode": client.mode,
        "reason": reason,
        "ts": at_ms,
        "onlineSince": peer.since_ms if reason == "connect" else None,
        "deviceId": peer.device,
        "roles": [peer.role],
        "scopes": list(peer.scopes),
        "instanceId": client.instance_id,
        "text": f"{'Node' if peer.role == NODE else 'Client'}: {client.id} ({client.mode})",
    }
    return {name: value for name, value in found.items() if value is not None}

"""Methods of the contract that are not built: they answer why, and are not advertised."""

from typing import Any, Final

from homarus.gateway.ws import frames
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Desk, Method, work
from homarus.kernel.devices import NODE
from homarus.kernel.scopes import ADMIN, APPROVALS, READ, WRITE


class Anything(Params, forbid_unknown_fields=False):
    """Whatever is sent: nothing is done with it."""


REASONS: Final = {
    "the file is on the daemon's machine: homarus.json": ((ADMIN, "config.openFile"),),
    "what may run is a registered capability: `homarus capability`": (
        (ADMIN, "exec.approvals.set", "exec.approvals.node.get", "exec.approvals.node.set"),
        (APPROVALS, "exec.approval.grants.list", "exec.approval.grants.revoke"),
    ),
    "an account of a channel is forgotten by taking it out of homarus.json": (
        (ADMIN, "channels.logout", "web.login.start", "web.login.wait"),
    ),
    "no work is kept for a node that sleeps": (
        (WRITE, "node.pending.enqueue"),
        (NODE, "node.pending.drain", "node.pending.pull", "node.pending.ack"),
    ),
    "nodes offer nothing that streams": (
        (NODE, "node.invoke.progress", "node.pluginSurface.refresh"),
    ),
    "skills are proposed and granted by the control plane: `homarus capability`": (
        (ADMIN, "skills.install", "skills.update"), (READ, "skills.search", "skills.detail"),
    ),
    "the daemon is started and stopped by its service": (
        (ADMIN, "update.run", "secrets.reload"),
    ),
    "this daemon does not do that": (
        (ADMIN, "wizard.start", "wizard.next", "wizard.cancel", "wizard.status",
         "terminal.open"),
        (READ, "tts.providers", "talk.config", "talk.catalog", "progressCard.get",
         "sessions.branches.list", "sessions.companion.state", "sessions.observer.visibility"),
        (WRITE, "sessions.steer", "voicewake.set", "tts.enable", "tts.disable", "tts.convert"),
    ),
}  # fmt: skip
"""Why -> `(scope, methods)`; scope NODE: of the role node."""


def _refusing(name: str, why: str) -> Any:
    async def refused(desk: Desk, params: Anything) -> Any:
        _ = desk, params
        raise Fault(frames.UNAVAILABLE, f"{name} is not offered: {why}",
                    {"code": "method.not_offered", "reason": why})  # fmt: skip

    return refused


def _rows() -> tuple[Method, ...]:
    return tuple(
        work(name, "" if scope == NODE else scope, Anything, _refusing(name, why),
             f"Not offered: {why}", "UNAVAILABLE", advertised=False,
             role=NODE if scope == NODE else "operator")
        for why, groups in REASONS.items()
        for scope, *names in groups
        for name in names
    )  # fmt: skip


METHODS: Final = _rows()

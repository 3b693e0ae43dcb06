"""The daemon itself: what a restart would meet, restarting, what the last one came to (gateway
contract, 8, 15)."""

from typing import Any, Final

from homarus import __version__
from homarus.conversations import turns
from homarus.gateway.ws import restarts
from homarus.gateway.ws.frames import Params
from homarus.gateway.ws.method import Desk, Nothing, work
from homarus.kernel.scopes import ADMIN, READ
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as tasks
from homarus.tasks.model import State

MAX_COUNTED: Final = 1_000
MAX_REASON: Final = 200
Doc = dict[str, Any]


class Request(Params):
    reason: str | None = None
    note: str | None = None
    session_key: str | None = None
    restart_delay_ms: int | None = None
    skip_deferral: bool = False
    interrupt_active_work: bool = False


class Status(Params):
    refresh_checkout: bool = False


def counted(rx: Rx, company: str) -> Doc:
    """What is under way. A restart drains it, and takes up again what did not end in time."""
    open_ = turns.listed(rx, company, limit=MAX_COUNTED, only_open=True)
    queued = sum(turn.state is turns.State.QUEUED for turn in open_)
    active = tasks.count_state(rx, company, State.IN_PROGRESS, MAX_COUNTED)
    counts = {
        "queueSize": queued, "pendingReplies": 0, "embeddedRuns": len(open_) - queued,
        "cronRuns": 0, "activeTasks": active,
    }  # fmt: skip
    words = {"queueSize": ("queue", "waiting"), "embeddedRuns": ("embedded-run", "running"),
             "activeTasks": ("task", "task(s) in progress")}  # fmt: skip
    blockers = [
        {"kind": kind, "count": counts[name], "message": f"{counts[name]} {word}"}
        for name, (kind, word) in words.items()
        if counts[name]
    ]
    total = sum(counts.values())
    under_way = "; ".join(str(one["message"]) for one in blockers)
    return {
        "safe": total == 0, "counts": counts | {"totalActive": total}, "blockers": blockers,
        "summary": f"under way: {under_way}" if blockers else "safe to restart now",
    }  # fmt: skip


async def preflight(desk: Desk, params: Nothing) -> Doc:
    _ = params
    desk.instance_only()
    found: Doc = await desk.read(counted, desk.peer.company)
    return found


async def request(desk: Desk, params: Request) -> Doc:
    """A restart drains what runs and loses nothing, so that none waits for a quiet moment."""
    desk.instance_only()
    reason = (params.reason or "gateway.restart.request").strip()[:MAX_REASON]
    await desk.write(asked, reason, what=reason)
    before: Doc = await desk.read(counted, desk.peer.company)
    payload = restarts.payload(
        "restart", desk.hub.now_ms(), mode="gateway.restart.request",
        root=str(desk.hub.means.home), requires=True, session=params.session_key, note=params.note,
    )  # fmt: skip
    due = await desk.hub.restarts.ask(reason, payload, params.restart_delay_ms)
    return {
        "ok": True, "status": "coalesced" if due["coalesced"] else "scheduled",
        "preflight": before, "restart": due,
        "interruption": {"skipDeferralRequested": params.skip_deferral,
                         "activeWorkInterruptApproved": params.interrupt_active_work,
                         "skipDeferralDowngraded": False},
    }  # fmt: skip


def asked(tx: Tx, reason: str) -> None:
    tx.emit("restart_asked", tx.new_id(), {"reason": reason})


async def update_status(desk: Desk, params: Status) -> Doc:
    """The daemon does not update itself: what the last restart said, and that there is nothing."""
    _ = params
    await desk.read(_nothing)
    desk.instance_only()
    return {"sentinel": desk.hub.restarts.last, "updateAvailable": None,
            "currentVersion": __version__}  # fmt: skip


def _nothing(rx: Rx) -> None:
    """Only whether it may be asked."""


METHODS: Final = (
    work("gateway.restart.preflight", READ, Nothing, preflight, "What a restart would interrupt",
         "safe, counts, blockers, summary"),
    work("gateway.restart.request", ADMIN, Request, request, "Have the daemon restart in place",
         "status, preflight, restart", capability="daemon.restart", target="daemon:"),
    work("update.status", ADMIN, Status, update_status, "What the last restart came to",
         "sentinel, updateAvailable"),
)  # fmt: skip

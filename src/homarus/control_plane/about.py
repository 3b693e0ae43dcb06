"""Routes about the daemon itself: what a client meets, and the event feed."""

from typing import Any, Final

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.control_plane import feed
from homarus.control_plane.route import Call, Route, json_reply, read_route
from homarus.store.port import Event, Reply, Rx

WIRE_VERSION: Final = "0.8.20"
"""The version of the original whose wire this is (control-plane contract, head)."""
MINIMUM_BRIDGE: Final = "0.1.0"
FLAGS: Final = (
    "runtimeRegister",
    "sessions",
    "heartbeat",
    "threads",
    "checkpoints",
    "resourcesIsShared",
    "messagesAgentMentionsReply",
    "sinceSeqReplay",
    "fencingTokens",
)
FLAGS_OFF: Final = ("docsVersioned", "forceSharingInjection")


def runtime_health(rx: Rx, call: Call[None]) -> Reply:
    """Compact JSON: install scripts search it as text (control-plane contract, 4.1)."""
    base = call.base_url
    return json_reply(
        {
            "ok": True,
            "companyId": call.company,
            "serverTime": iso_ms(rx.now_ms),
            "apiBaseUrl": base,
            "wsUrl": f"ws{base.removeprefix('http')}/api/mcp/ws",
            "emperorVersion": WIRE_VERSION,
            "docsUrl": f"{base}/api/docs",
            "recommendedSkillVersion": WIRE_VERSION,
            "minimumBridgeVersion": MINIMUM_BRIDGE,
            "capabilities": dict.fromkeys(FLAGS, True) | dict.fromkeys(FLAGS_OFF, False),
        }
    )


def event_shape(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "seq": event.seq,
        "at": iso_ms(event.at_ms),
        "kind": event.kind,
        "subject": event.subject or None,
        "actor": event.actor,
        "data": event.data,
    }


def events(rx: Rx, call: Call[None]) -> Reply:
    """`?after=SEQ&limit=N`, oldest first; `head` is the newest `seq`."""
    text = call.query.get("after", "0")
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise Invalid("request.cursor", "`after` is no event number", "Give the last `seq` seen.")
    no, newest = feed.head(rx, call.company)
    rows = feed.page(rx, no, int(text), call.limit())
    return json_reply({"events": [event_shape(row) for row in rows], "head": newest})


ROUTES: tuple[Route, ...] = (
    read_route("/runtime/health", runtime_health, "What a client meets here", tags=("daemon",)),
    read_route(
        "/events", events, "The event feed, oldest first", scope="any", query=("after", "limit"),
        tags=("daemon",),
    ),
)  # fmt: skip

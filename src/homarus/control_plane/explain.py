"""Rules in words, and the undo of local writes whose former version is kept."""

from typing import Final

import msgspec

from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import undoing
from homarus.kernel import explained
from homarus.store.port import Reply, Rx, Tx


class Undo(msgspec.Struct, rename="camel"):
    """POST /receipts/{id}/undo needs no word."""


def rules(rx: Rx, call: Call[None]) -> Reply:
    """GET /rules."""
    _ = rx, call
    return json_reply({"rules": list(explained.RULES.values())})


def rule(rx: Rx, call: Call[None]) -> Reply:
    """GET /rules/{id}: by name, or by the code of a refusal."""
    _ = rx
    return json_reply({"rule": explained.find(call.path["id"])})


def undo(tx: Tx, call: Call[Undo]) -> Reply:
    """POST /receipts/{id}/undo."""
    return json_reply({"message": "Undone", "undone": undoing.undo(tx, call.path["id"])})


TAGS: Final = ("audit",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/rules", rules, "Every rule in words", tags=TAGS),
    read_route("/rules/{id}", rule, "One rule in words, by name or code", tags=TAGS),
    write_route(
        "POST", "/receipts/{id}/undo", "receipt.undo", undo,
        "Undo a local write whose version is kept",
        body=Undo, target="receipt:{id}", tags=TAGS,
    ),
)  # fmt: skip

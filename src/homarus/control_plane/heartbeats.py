"""Routes of heartbeats: when an agent looks by itself whether it is needed, and what that cost."""

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from homarus.base.errors import Invalid
from homarus.company import agents, heartbeats
from homarus.company import heartbeat_rules as rules
from homarus.company.heartbeats import Change, Heartbeat
from homarus.control_plane.frames import Frame, FrameTable
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.control_plane.shapes_work import ts
from homarus.flows import heartbeats as flow
from homarus.store.port import Event, Reply, Rx, Tx

NOW: Final = "now"
NEXT: Final = "next-heartbeat"
DAY_MS: Final = 24 * 3_600_000


def shape(row: Heartbeat) -> dict[str, Any]:
    """`cost` is of all heartbeats so far; `callsADay`: of the model, at most, as it is set."""
    hours = None
    if row.open_minute is not None and row.close_minute is not None:
        hours = {"start": _clock(row.open_minute), "end": _clock(row.close_minute)}
    on = row.enabled and row.company_on
    return {
        "agentId": row.agent,
        "enabled": row.enabled,
        "every": rules.interval_text(row.every_ms),
        "everyMs": row.every_ms,
        "activeHours": hours,
        "timeZone": row.zone,
        "target": row.target,
        "prompt": row.prompt,
        "ackMaxChars": row.ack_max_chars,
        "always": row.always,
        "nextAt": ts(row.next_ms) if row.company_on else None,
        "waiting": len(row.wakes),
        "turnId": row.turn,
        "lookedAt": ts(row.looked_ms),
        "outcome": row.outcome,
        "reason": row.reason,
        "last": row.record,
        "callsADay": DAY_MS // row.every_ms if on and row.always else 0,
        "cost": {
            "looks": row.looks,
            "turns": row.turns,
            "inputTokens": row.input_tokens,
            "outputTokens": row.output_tokens,
            "moneyMicros": row.money,
        },
    }


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


class ActiveHours(msgspec.Struct, frozen=True):
    """`08:00` to `20:00` on the company's clock; over midnight when `end` is not later."""

    start: str
    end: str


class HeartbeatBody(msgspec.Struct, rename="camel", frozen=True):
    """`every`: `30m`, `2h`; `target`: main, last, none, or a session's key; `prompt` null: the
    daemon's own; `always`: ask the model each time, also when nothing is new."""

    enabled: bool | UnsetType = UNSET
    every: str | UnsetType = UNSET
    active_hours: ActiveHours | UnsetType | None = UNSET
    target: str | UnsetType = UNSET
    prompt: str | UnsetType | None = UNSET
    ack_max_chars: int | UnsetType = UNSET
    always: bool | UnsetType = UNSET

    def change(self) -> Change:
        hours: tuple[int, int] | UnsetType | None = UNSET
        if self.active_hours is None:
            hours = None
        elif not isinstance(self.active_hours, UnsetType):
            hours = (rules.minute(self.active_hours.start), rules.minute(self.active_hours.end))
        return Change(
            enabled=self.enabled,
            every_ms=self.every if isinstance(self.every, UnsetType) else
            rules.interval_ms(self.every),
            hours=hours, target=self.target, prompt=self.prompt,
            ack_max_chars=self.ack_max_chars, always=self.always,
        )  # fmt: skip


class WakeBody(msgspec.Struct, frozen=True):
    """`mode`: now, or next-heartbeat; `text`: what for."""

    text: str = ""
    mode: str = NOW


class SwitchBody(msgspec.Struct, frozen=True):
    enabled: bool


def show(rx: Rx, call: Call[None]) -> Reply:
    agent = agents.need(rx, call.company, call.path["id"])
    row = heartbeats.of(rx, agent.id)
    return json_reply({"heartbeat": None if row is None else shape(row)})


def put(tx: Tx, call: Call[HeartbeatBody]) -> Reply:
    row = flow.change(tx, call.path["id"], call.body.change())
    return json_reply({"message": "Heartbeat set", "heartbeat": shape(row)})


def wake(tx: Tx, call: Call[WakeBody | None]) -> Reply:
    body = call.body or WakeBody()
    if body.mode not in (NOW, NEXT):
        raise Invalid("heartbeat.mode", f"no mode {body.mode[:40]!r}", f"{NOW} or {NEXT}.")
    found = flow.wake(tx, body.text, agent=call.path["id"], now=body.mode == NOW)
    return json_reply({"ok": True, "agentIds": found}, 202)


def listed(rx: Rx, call: Call[None]) -> Reply:
    rows = heartbeats.listed(rx, call.company, limit=call.limit())
    body = {"enabled": heartbeats.all_on(rx, call.company), "last": flow.last(rx, call.company)}
    return json_reply(body | {"heartbeats": [shape(row) for row in rows]})


def switch(tx: Tx, call: Call[SwitchBody]) -> Reply:
    return json_reply({"ok": True, "enabled": flow.set_all(tx, call.body.enabled)})


_TAGS: Final = ("heartbeats",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/heartbeats", listed, "Heartbeats of all agents", query=("limit",), tags=_TAGS),
    write_route(
        "PUT", "/heartbeats", "heartbeat.set", switch, "Switch all heartbeats of the company",
        body=SwitchBody, tags=_TAGS,
    ),
    read_route(
        "/agents/{id}/heartbeat", show, "An agent's heartbeat, and what it cost", tags=_TAGS
    ),
    write_route(
        "PUT", "/agents/{id}/heartbeat", "heartbeat.set", put, "Set an agent's heartbeat",
        body=HeartbeatBody, target="agent:{id}", tags=_TAGS,
    ),
    write_route(
        "POST", "/agents/{id}/heartbeat/wake", "heartbeat.wake", wake,
        "Have an agent look now whether it is needed", body=WakeBody | None, target="agent:{id}",
        status=202, tags=_TAGS,
    ),
)  # fmt: skip


def _beat(_rx: Rx, _company: str, event: Event) -> list[Frame]:
    return [{"type": "heartbeat", "heartbeat": event.data}]


FRAMES: Final[FrameTable] = {"heartbeat": _beat}

"""Heartbeats: the last one, the company's switch, and waking agents (gateway contract, 8)."""

from typing import Any, Final, Literal

from homarus.conversations import keys
from homarus.flows import answering, heartbeats
from homarus.gateway.ws.frames import Params
from homarus.gateway.ws.method import Ask, Nothing, read, write
from homarus.kernel.scopes import ADMIN, READ, WRITE
from homarus.store.port import Rx, Tx

Doc = dict[str, Any]


class Switch(Params):
    enabled: bool


class Wake(Params):
    mode: Literal["now", "next-heartbeat"]
    text: str
    session_key: str | None = None
    agent_id: str | None = None


def last(rx: Rx, ask: Ask) -> Doc | None:
    return heartbeats.last(rx, ask.company)


def switch(tx: Tx, ask: Ask) -> Doc:
    return {"ok": True, "enabled": heartbeats.set_all(tx, ask.params.enabled)}


def wake(tx: Tx, ask: Ask) -> Doc:
    """Of the agent that is named, or of all whose heartbeat is on."""
    params: Wake = ask.params
    named = params.agent_id or (keys.agent_of(params.session_key) if params.session_key else None)
    agent = None if named is None else answering.target(tx, tx.company, named).id
    heartbeats.wake(tx, params.text, agent=agent, now=params.mode == "now")
    return {"ok": True}


METHODS: Final = (
    read("last-heartbeat", READ, Nothing, last, "The last heartbeat of an agent", "record or null"),
    write("set-heartbeats", ADMIN, Switch, "heartbeat.set", switch,
          "Switch all heartbeats of the company on or off", "ok, enabled", target="company:"),
    write("wake", WRITE, Wake, "heartbeat.wake", wake, "Have agents look whether they are needed",
          "ok", target="agent:"),
)  # fmt: skip

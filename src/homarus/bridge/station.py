"""What the parts of a bridge share once it has started: who it is, and by what it speaks."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from homarus.base.errors import (
    Busy,
    Conflict,
    HomarusError,
    Internal,
    NotFound,
    Refused,
    Unauthenticated,
    Unavailable,
)
from homarus.bridge.journal import Journal
from homarus.bridge.programs import Program
from homarus.bridge.settings import Settings
from homarus.bridge.telling import Teller
from homarus.client.aio import AsyncClient
from homarus.client.shapes import Agent, Stop

HANDOVERS: Final = 50
"""Handed-back tasks and pending claims named in a checkpoint at most."""


def is_fatal(error: HomarusError) -> bool:
    """The token is gone, or is not for this agent: trying on would not help."""
    return isinstance(error, Unauthenticated) or (
        isinstance(error, Refused) and error.rule == "identity"
    )


def is_transient(error: HomarusError) -> bool:
    """Nobody answered, or not now: the same request may succeed later."""
    return isinstance(error, Unavailable | Busy | Internal)


@dataclass(slots=True)
class Station:
    """`work` and `talk`: the programs for tasks and replies. `stops`: those in force, as last seen.
    `connected`: set while an event socket is open. `failed`: the error that ends the bridge."""

    settings: Settings
    client: AsyncClient
    journal: Journal
    tell: Teller
    agent: Agent
    session: str
    work: Program | None = None
    talk: Program | None = None
    stops: list[Stop] = field(default_factory=list)
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    failed: "asyncio.Future[HomarusError]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def trouble(self, where: str, error: HomarusError) -> None:
        """Tell of an error that was met; end the bridge where trying on would not help."""
        self.tell("trouble", where=where, code=error.code, error=error.message)
        if is_fatal(error) and not self.failed.done():
            self.failed.set_result(error)

    async def start_session(self) -> Any:
        """Begin or go on; what the agent remembers comes with it."""
        name = self.settings.session_id or f"bridge:{self.journal.state.last_runtime_id}"
        started = await self.client.sessions.start(
            self.agent.id, name, runtime_id=self.journal.state.last_runtime_id, channel="bridge"
        )
        self.session = started.session.id
        self.journal.state.last_session_id = self.session
        return started

    async def checkpoint(self, doing: str) -> None:
        """Store where the session stands; a session that has ended meanwhile is begun anew."""
        own = self.journal.own
        state = {
            "doing": doing,
            "tasks": [work.task for work in own.tasks.values()][:HANDOVERS],
            "messageSeq": own.message_seq,
            "feedSeq": own.feed_seq,
            "pendingOperationIds": [*own.operations][:HANDOVERS],
        }
        try:
            await self.client.sessions.checkpoint(self.agent.id, self.session, state)
        except (Conflict, NotFound):
            await self.start_session()
            await self.client.sessions.checkpoint(self.agent.id, self.session, state)

"""A daemon with a scripted model and a client of its gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.gateway.asking import Asking, asking
from tests.gateway.ws.client import Client, joined


@asynccontextmanager
async def talking(
    home: Path, *replies: Any, hello: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[tuple[Asking, Client]]:
    async with asking(home, *replies, **more) as ask, joined(ask.daemon, **(hello or {})) as client:
        yield ask, client


def said(text: str, run: str, session: str = "main", **more: Any) -> dict[str, Any]:
    """Parameters of `chat.send`."""
    return {"sessionKey": session, "message": text, "idempotencyKey": run, **more}


def chat_of(client: Client, run: str) -> list[dict[str, Any]]:
    """The `chat` events of a run that were heard."""
    return [e["payload"] for e in client.events
            if e["event"] == "chat" and e["payload"]["runId"] == run]  # fmt: skip


def streams_of(client: Client, run: str) -> list[dict[str, Any]]:
    """The `agent` events of a run that were heard."""
    return [e["payload"] for e in client.events
            if e["event"] == "agent" and e["payload"]["runId"] == run]  # fmt: skip


async def over(client: Client, run: str) -> dict[str, Any]:
    """The run's terminal `chat` event."""
    return await client.event(
        "chat",
        lambda p: p["runId"] == run and p["state"] in ("final", "aborted", "error"),
    )

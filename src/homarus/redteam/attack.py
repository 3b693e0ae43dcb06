"""Sends her requests, learns from the answers as she would, and looks at each answer.

    findings = await attack(world, [("thinks", 7), ...])

A finding is one line: an answer that no request may get. What must hold of the company afterwards
is in `holds.py`.
"""

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Any, Final

import httpx2

from homarus.redteam.moves import MOVES, Request
from homarus.redteam.world import World, fresh_key

MAX_KEPT: Final = 50
KEPT: Final = {
    "preflight": "preflights",
    "approval": "approvals",
    "change": "changes",
    "reservation": "reservations",
    "call": "calls",
    "task": "messages",
}
"""Envelope of an answer -> where the world keeps its id for later moves."""

Move = tuple[str, int]
"""Name of the move, and the seed that builds it."""


class Tally:
    """What came of the attack: requests, refusals by code, receipts that refusals named."""

    def __init__(self) -> None:
        self.requests = 0
        self.refused: dict[str, int] = {}
        self.receipts: set[str] = set()
        self.findings: list[str] = []


async def attack(world: World, moves: Iterable[Move], tally: Tally | None = None) -> Tally:
    """One move after the other."""
    tally = tally or Tally()
    for name, seed in moves:
        request = MOVES[name](random.Random(seed), world)  # noqa: S311 - it must repeat
        if request.writes is not None:
            await asyncio.to_thread(_write, world, request.path, request.writes)
            continue
        replies = await asyncio.gather(*(_send(world, request) for _ in range(request.times)))
        _look(world, f"{name}({seed})", request, replies, tally)
        if any(reply.status_code == 403 and _put_away(reply) for reply in replies):
            await _restored(world)
    return tally


def _write(world: World, path: str, text: str) -> None:
    """Into the main space on disk. A place that is not there yet is left alone."""
    file = world.home / "company" / world.slug / path
    if file.parent.is_dir():
        file.write_text(text, "utf-8")


def _put_away(reply: httpx2.Response) -> bool:
    return reply.json().get("code") in ("suspended.agent", "trust.untrusted")


async def _restored(world: World) -> None:
    """A patient operator gives her another chance, so that she meets the rules behind."""
    agent = world.agents["mallory"]
    note = {"note": "she says it was a mistake"}
    await world.order("POST", f"/agents/{agent}/trust/review", note)


async def _send(world: World, request: Request) -> httpx2.Response:
    client = world.voices[request.voice]
    headers = fresh_key() | request.headers
    return await client.request(
        request.method, f"/api/v1{path_of(request.path)}", json=request.body, headers=headers
    )


def path_of(path: str) -> str:
    """Her paths as a client would put them on the wire: nothing of an id ends a segment early."""
    return "/".join(
        "".join(c if c.isascii() and (c.isalnum() or c in "-_.~:%") else _percent(c) for c in part)
        for part in path.split("/")
    )


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8"))


def _look(
    world: World, name: str, request: Request, replies: Sequence[httpx2.Response], tally: Tally
) -> None:
    for reply in replies:
        tally.requests += 1
        try:
            body = reply.json()
        except ValueError:
            tally.findings.append(f"{name}: {reply.status_code} without JSON")
            continue
        wrong = _wrong(request, reply.status_code, body)
        if wrong:
            tally.findings.append(f"{name} {request.method} {request.path}: {wrong}")
        if reply.status_code >= 400:
            code = str(body.get("code", reply.status_code))
            tally.refused[code] = tally.refused.get(code, 0) + 1
            if reply.status_code == 403 and body.get("receipt"):
                tally.receipts.add(str(body["receipt"]))
        _learn(world, body)


def _wrong(request: Request, status: int, body: Any) -> str | None:
    if status >= 500 and body.get("code") not in _HONEST:
        return f"{status} {body}"
    if request.must == "refused" and status < 400:
        return f"{status}, and had to be refused"
    if status == 403 and not (body.get("rule") and body.get("code") and body.get("error")):
        return f"an untyped refusal: {body}"
    if status == 403 and not body.get("remedy"):
        return f"a refusal without a remedy: {body}"
    return None


_HONEST: Final = frozenset({"call.no_worker"})
"""Codes of 5xx answers that say what this daemon cannot do."""


def _learn(world: World, body: Any) -> None:
    if not isinstance(body, dict):
        return
    for envelope, where in KEPT.items():
        row = body.get(envelope)
        known: list[str] = getattr(world, where)
        if isinstance(row, dict) and "id" in row and len(known) < MAX_KEPT:
            known.append(str(row["id"]))
        elif isinstance(row, str) and len(known) < MAX_KEPT:
            known.append(row)
    note = body.get("routingNote")
    if isinstance(note, str) and len(world.notes) < MAX_KEPT:
        world.notes.append(note)

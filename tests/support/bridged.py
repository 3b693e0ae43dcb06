"""A bridge in a test's own loop, against the daemon of the fixture, and what it tells."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from homarus.bridge.bridge import Bridge
from homarus.bridge.settings import Settings
from homarus.bridge.telling import Teller
from homarus.testing.daemon import Daemon, key

WAIT_S: Final = 20.0

DOES: Final = """
import json, sys
given = json.load(sys.stdin)
open({log!r}, "a").write(given["task"]["id"] + "\\n")
print(json.dumps({{"output": {{"title": given["task"]["title"]}}, "comment": "done it"}}))
"""
ANSWERS: Final = """
import json, sys
given = json.load(sys.stdin)
print("You said: " + given["message"]["text"])
"""


class Recorder(Teller):
    """Keeps what is told, and lets a test wait for it."""

    def __init__(self) -> None:
        super().__init__(as_json=True, stream=sys.stderr)
        self.told: list[dict[str, Any]] = []
        self._news = asyncio.Event()

    def __call__(self, event: str, **facts: Any) -> None:
        self.told.append({"event": event, **facts})
        self._news.set()

    def count(self, event: str, **facts: Any) -> int:
        return sum(
            one["event"] == event and all(one.get(k) == v for k, v in facts.items())
            for one in self.told
        )

    async def until(self, event: str, times: int = 1, **facts: Any) -> None:
        """Wait until it was told so often. Raises TimeoutError with what was told."""
        try:
            async with asyncio.timeout(WAIT_S):
                while self.count(event, **facts) < times:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(f"no {event} {facts} among {self.told[-20:]}") from None


class Place:
    """A company as a bridge meets it: a runtime's token, a project, the owner's view."""

    def __init__(self, daemon: Daemon, folder: Path, slug: str, token: str, project: str) -> None:
        self.daemon = daemon
        self.folder = folder
        self.slug = slug
        self.token = token
        self.project = project
        self.log = folder / "done.log"

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """As the owner, in this company."""
        reply = await self.daemon.owner.request(
            method, f"/api/v1{path}", json=body,
            headers=key() | {"X-Homarus-Company": self.slug},
        )  # fmt: skip
        assert reply.status_code < 300, (path, reply.text)
        return reply.json()

    async def task(self, title: str = "t", **more: Any) -> str:
        body = {
            "projectId": self.project, "taskType": "some_work", "title": title,
            "allowUnderspecified": True,
        } | more  # fmt: skip
        return str((await self.call("POST", "/tasks", body))["task"]["id"])

    async def seen(self, task: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.call("GET", f"/tasks/{task}"))["task"]
        return found

    async def events(self, task: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.call("GET", f"/tasks/{task}/notes"))["events"]
        return rows

    async def kinds(self, task: str) -> list[str]:
        return [event["eventType"] for event in await self.events(task)]

    async def becomes(self, task: str, state: str) -> dict[str, Any]:
        """Wait, woken by commits, until the task is in this state of the task machine."""
        return await self._until(lambda: self.seen(task), lambda t: t["canonicalState"] == state)

    async def _until(self, look: Any, holds: Any) -> Any:
        changed = asyncio.Event()
        undo = self.daemon.app.store.listen(lambda _: changed.set())
        found = None
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    changed.clear()
                    found = await look()
                    if holds(found):
                        return found
                    await changed.wait()
        except TimeoutError:
            raise TimeoutError(f"it did not come about: {found}") from None
        finally:
            undo()

    async def say(self, text: str, **more: Any) -> str:
        """A person's message; its id."""
        sent = await self.call("POST", "/messages/send", {"text": text} | more)
        return str(sent["message_id"])

    async def messages(self, **query: str) -> list[dict[str, Any]]:
        words = "".join(f"&{k}={v}" for k, v in query.items())
        found = await self.call("GET", f"/messages/sync?mode=all&sinceSeq=0{words}")
        rows: list[dict[str, Any]] = found["messages"]
        return rows

    async def replies(self, count: int) -> list[str]:
        """Texts of agents, once there are `count`."""

        async def look() -> list[str]:
            return [m["text"] for m in await self.messages() if m["senderType"] == "agent"]

        return list(await self._until(look, lambda texts: len(texts) >= count))

    def does(self) -> tuple[str, ...]:
        return (sys.executable, "-c", DOES.format(log=str(self.log)))

    def done(self) -> list[str]:
        """Tasks that the program has been given, in order."""
        return self.log.read_text().split() if self.log.exists() else []

    def settings(self, **more: Any) -> Settings:
        given = {
            "url": self.daemon.url, "token": self.token, "agent_name": "tally",
            "journal": self.folder / "bridge-state.json", "heartbeat_s": 5.0, "sync_s": 5.0,
            "base_s": 0.05, "cap_s": 0.2, "drain_s": 2.0, "runtime_id": "box-1",
        } | more  # fmt: skip
        return Settings(**given)

    def journal(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.folder / "bridge-state.json").read_text())
        return value

    @asynccontextmanager
    async def bridge(self, **more: Any) -> AsyncIterator[Recorder]:
        """A bridge that is connected; ended in an orderly way with the block."""
        tell = Recorder()
        made = Bridge(self.settings(**more), tell)
        running = asyncio.create_task(made.run())
        try:
            waiting = asyncio.create_task(tell.until("connected"))
            await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            await waiting
            yield tell
        finally:
            if not running.done():
                made.end()
            await running

    async def cut(self, running: "asyncio.Task[None]") -> None:
        """End a bridge as a kill does: without a farewell."""
        running.cancel()
        await asyncio.wait([running])


async def place(daemon: Daemon, folder: Path, template: str = "studio") -> Place:
    slug = f"acme-{template}"
    await daemon.owner.post(
        "/api/v1/companies", json={"slug": slug, "name": slug, "template": template}
    )
    here = {"X-Homarus-Company": slug}
    minted = await daemon.owner.post(
        "/api/v1/tokens", json={"kind": "runtime", "name": "bridge"}, headers=here
    )
    project = await daemon.owner.post(
        "/api/v1/projects", json={"goal": "Release"}, headers=here | key()
    )
    return Place(daemon, folder, slug, minted.json()["secret"], project.json()["project"]["id"])

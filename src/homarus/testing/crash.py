"""A child process that works on a real store until it is killed, and tells what was acknowledged.

    python -m homarus.testing.crash HOME SEED START_MS [URL]

It opens (or makes) the store of HOME, or of the database URL, then several workers create, claim,
complete, talk, upload and take backups side by side, in an order that SEED fixes. Each acknowledged
act is one JSON line on standard output, written after the await that acknowledged it.
`HOMARUS_FAILPOINT` says where it dies (base/failpoint.py); without one it ends by itself after
ROUNDS rounds.
"""

import asyncio
import json
import random
import sys
from pathlib import Path
from typing import Any, Final

import structlog

from homarus.base.errors import HomarusError
from homarus.conversations import service as talk
from homarus.conversations.model import Draft, Sender, SenderType
from homarus.flows import creating
from homarus.records import artifacts
from homarus.records.artifact_fields import NewArtifact
from homarus.records.blobs import Blobs
from homarus.store import backup
from homarus.store.port import Key, Reply, Rx, Tx
from homarus.store.sqlite.engine import SqliteStore
from homarus.testing.ground import ManualClock, ground
from homarus.testing.shop import OWNER, Shop, open_shop
from homarus.testing.stores import postgres_store

WORKERS: Final = 6
ROUNDS: Final = 12
KEYS: Final = 40
AGENTS: Final = tuple(f"agent-{n}" for n in range(WORKERS))


def create_once(tx: Tx, project: str, title: str) -> Reply:
    """An idempotent create: one key, one task with this title."""
    new = creating.NewTask(
        project=project, type="t", spec={"title": title}, allow_underspecified=True
    )
    return Reply(201, creating.create(tx, new).task.id.encode())


def say_once(tx: Tx, text: str) -> Reply:
    """An idempotent send: one key, one message with this text."""
    place = talk.team(tx)
    message, _ = talk.post(tx, place, Draft(Sender(SenderType.SYSTEM, None), text))
    return Reply(201, message.id.encode())


def record_once(tx: Tx, new: NewArtifact) -> Reply:
    """An idempotent upload: one key, one artifact with this title."""
    return Reply(201, artifacts.create(tx, new).id.encode())


def last_seal(rx: Rx, company_no: int) -> tuple[int, str]:
    row = rx.one(
        "select no, hash from seal where company_no=? order by no desc limit 1", (company_no,)
    )
    return (0, "") if row is None else (row[0], bytes(row[1]).hex())


def key_of(title: str) -> Key:
    return Key(title.encode().ljust(16, b"\0")[:16], b"\0" * 8)


class Worker:
    """One agent and what it holds."""

    def __init__(self, shop: Shop, name: str, choice: random.Random) -> None:
        self.shop = shop
        self.name = name
        self.choice = choice
        self.blobs = Blobs(shop.ground.home / "blobs")

    def tell(self, act: str, **facts: Any) -> None:
        sys.stdout.write(json.dumps({"act": act, **facts}) + "\n")
        sys.stdout.flush()

    async def run(self) -> None:
        for _ in range(ROUNDS):
            act = self.choice.choice(
                (self.create, self.create, self.work, self.work, self.work, self.talk,
                 self.upload, self.expire, self.back_up, self.look)
            )  # fmt: skip
            try:
                await act()
            except HomarusError as error:
                self.tell("refused", code=error.code)

    async def create(self) -> None:
        title = f"key-{self.choice.randrange(KEYS)}"
        reply = await self.shop.once(
            "task.create", OWNER, create_once, self.shop.project_id, title, key=key_of(title)
        )
        self.tell("create", title=title, task=reply.body.decode())

    async def work(self) -> None:
        task = await self.shop.claim(self.name)
        if task is None:
            return
        self.tell("claim", task=task.id, token=task.token, agent=self.shop.agents[self.name])
        if self.choice.random() < 0.7:
            await self.shop.result(
                self.name, task.id, "done", output=self.name, lease_token=task.token
            )
            self.tell("done", task=task.id, output=self.name)

    async def talk(self) -> None:
        text = f"say-{self.choice.randrange(KEYS)}"
        reply = await self.shop.once("message.send", OWNER, say_once, text, key=key_of(text))
        self.tell("message", text=text, id=reply.body.decode())

    async def upload(self) -> None:
        draft = await asyncio.to_thread(self.blobs.draft)
        if draft is None:
            return
        title = f"file-{self.choice.randrange(KEYS)}"
        draft.write(title.encode() * 500)
        size = draft.size
        sha256 = await asyncio.to_thread(draft.keep)
        new = NewArtifact(
            kind="file", content_type="text/plain", project=self.shop.project_id,
            sha256=sha256, size_bytes=size, stored=True, filename="f", title=title,
        )  # fmt: skip
        reply = await self.shop.once("artifact.create", OWNER, record_once, new, key=key_of(title))
        self.tell("upload", title=title, id=reply.body.decode(), sha256=sha256)

    async def look(self) -> None:
        """Where the ledger ends now: this seal stays."""
        ground = self.shop.ground
        no, digest = await ground.read(last_seal, ground.company_no)
        self.tell("sealed", no=no, hash=digest)

    async def expire(self) -> None:
        self.tell("expired", n=await self.shop.let_leases_end())

    async def back_up(self) -> None:
        home = self.shop.ground.home
        if self.shop.ground.store.url != "sqlite":
            return
        name = f"b{self.choice.randrange(10**9)}"
        taken = await backup.take(self.shop.ground.store, home, home / "backups" / name, 0)
        self.tell("backup", path=taken.path.name)


async def take_up(shop: Shop) -> None:
    """The agents of this home: made at the first start, found again at later ones."""
    rows = await shop.ground.read(
        lambda rx: rx.all(
            "select a.name, a.id, t.id from agent a join token t on t.agent=a.id where a.company=?",
            (shop.ground.company,),
        )
    )
    for name, agent, token in rows:
        shop.agents[name], shop.credentials[name] = agent, token
    for name in AGENTS:
        if name not in shop.agents:
            await shop.agent(name, limit=3)
    row = await shop.ground.read(lambda rx: rx.one("select id from project order by no limit 1"))
    if row is not None:
        shop.project_id = row[0]


async def main(home: Path, seed: int, start_ms: int, url: str = "") -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    choice = random.Random(seed)  # noqa: S311 - a seeded test
    opener = postgres_store(url) if url else SqliteStore
    async with ground(home, ManualClock(start_ms), opener) as opened:
        (home / "backups").mkdir(exist_ok=True)
        await asyncio.to_thread(Blobs(home / "blobs").start)
        shop = await open_shop(opened)
        await take_up(shop)
        workers = [Worker(shop, name, random.Random(choice.random())) for name in AGENTS]  # noqa: S311
        await asyncio.gather(*(worker.run() for worker in workers))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]))

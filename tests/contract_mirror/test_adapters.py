"""Each adapter through the one suite."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from homarus.outbox import registry
from homarus.outbox.port import Means
from homarus.outbox.vault import note
from homarus.testing.ground import ManualClock
from homarus.testing.hook_receiver import Receiver
from homarus.testing.mirrors import FaultyTarget
from homarus.testing.vaults import VaultBench
from tests.contract_mirror.suite import CASES, Subject

pytestmark = pytest.mark.contract
Opener = Callable[[Path], AbstractAsyncContextManager[Subject]]
KEY = "k" * 32


def means(home: Path) -> Means:
    async def secret(name: str) -> str:
        return KEY

    return Means("company-1", "mirror-1", home, secret, lambda: 0)


@asynccontextmanager
async def fake(home: Path) -> AsyncIterator[Subject]:
    target = FaultyTarget(ManualClock())

    def held(marker: str) -> object:
        record = target.by_marker(marker)
        return None if record is None else record.fields

    def down() -> None:
        target.down = True

    yield Subject(target.kind().open({}, means(home)), held, down)


@asynccontextmanager
async def webhook(home: Path) -> AsyncIterator[Subject]:
    with Receiver(KEY.encode()) as receiver:
        config = {"url": receiver.url, "secret": "secret://hook"}
        kind = registry.kind("webhook")
        kind.check(config, home)

        def held(marker: str) -> object:
            row = receiver.held.get(marker)
            return None if row is None else (row["id"], row["fields"])

        yield Subject(kind.open(config, means(home)), held, receiver.leave)


@asynccontextmanager
async def obsidian(home: Path) -> AsyncIterator[Subject]:
    bench = VaultBench(home)

    def held(marker: str) -> object:
        number = marker.rsplit(":", 1)[-1]
        texts = [
            data.decode()
            for name, data in bench.files().items()
            if name.endswith(".md") and "Archive/" not in name
        ]
        held = [text for text in texts if note.value_of(note.parse(text), note.NUMBER) == number]
        return held[0] if held else None

    yield Subject(bench.mirror, held)
    await bench.mirror.aclose()


ADAPTERS: dict[str, Opener] = {"fake": fake, "webhook": webhook, "obsidian": obsidian}


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_adapter(
    adapter: str, case: Callable[[Subject], Awaitable[None]], tmp_path: Path
) -> None:
    async with ADAPTERS[adapter](tmp_path) as subject:
        try:
            await case(subject)
        finally:
            await subject.mirror.aclose()

"""A vault with its adapter for tests, and the person who writes in it.

    bench = VaultBench(tmp_path)
    await bench.push("task", 1, title="Shut the door")
    bench.save(bench.note("task", 1), b"...")        as an editor does, `age_s` ago

Run as a program it pushes one change to the vault of a folder, for tests that kill it on the way.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Final

from homarus.outbox.port import Act, Change, Done, Means, Outcome
from homarus.outbox.vault import KIND, note
from homarus.outbox.vault.adapter import Vault
from homarus.outbox.vault.place import config_of
from homarus.outbox.vault.swap import Disk, Hook
from homarus.testing.ground import START_MS, ManualClock

LETTER: Final = {"task": "T", "calendar_event": "E", "wiki_doc": "W"}


async def no_secret(name: str) -> str:
    raise AssertionError(f"a vault needs no secret, not {name}")


class VaultBench:
    """`receipts`: of the entities that the vault has settled, as the worker would keep them."""

    def __init__(
        self, folder: Path, hook: Hook | None = None, exchange: bool | None = None,
        disk: Disk | None = None,
    ) -> None:  # fmt: skip
        self.home = folder / "home"
        self.path = folder / "vault"
        for made in (self.home, self.path):
            made.mkdir(parents=True, exist_ok=True)
        self.clock = ManualClock(START_MS)
        self.receipts: dict[str, str] = {}
        self.notes: list[str] = []
        self._hook = hook
        self._exchange = exchange
        self._disk = disk
        self.open()

    @property
    def config(self) -> dict[str, Any]:
        return {"path": str(self.path)}

    @property
    def manifest(self) -> Path:
        return self.home / "run" / "vaults" / "m.jsonl"

    async def restart(self) -> None:
        await self.mirror.aclose()
        self.open()

    def open(self) -> None:
        """The adapter as after a crash."""
        KIND.check(self.config, self.home)
        means = Means("c", "m", self.home, no_secret, self.clock.now_ms)
        disk = Disk(self._hook, exchange=self._exchange) if self._hook else self._disk
        self.mirror = Vault(config_of(self.config), means, disk)

    def change(self, kind: str, no: int, act: Act = Act.UPDATE, **fields: Any) -> Change:
        number = f"{LETTER[kind]}-{no}"
        return Change(
            row="r", company="c", mirror="m", entity_type=kind, entity_id=f"{kind}:{no}",
            number=number, act=act, fields={"number": number, **fields} if fields else {},
            digest=b"", token="", marker=f"homarus:{kind}:{number}",
            receipt=self.receipts.get(number),
        )  # fmt: skip

    async def push(self, kind: str, no: int, **fields: Any) -> Outcome:
        return self._settled(await self.mirror.push(self.change(kind, no, **fields)), kind, no)

    async def delete(self, kind: str, no: int) -> Outcome:
        change = self.change(kind, no, Act.DELETE)
        return self._settled(await self.mirror.push(change), kind, no)

    def _settled(self, outcome: Outcome, kind: str, no: int) -> Outcome:
        if isinstance(outcome, Done):
            self.receipts[f"{LETTER[kind]}-{no}"] = outcome.receipt
            self.notes += outcome.notes
        return outcome

    # -- what is there ---------------------------------------------------------------------

    def files(self) -> dict[str, bytes]:
        """All files of the vault, hidden ones too, by their paths in it."""
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }

    def note(self, kind: str, no: int) -> Path:
        """The one note of an entity, wherever it is."""
        wanted = f"{kind}:{no}"
        found = [
            self.path / name
            for name, content in self.files().items()
            if name.endswith(".md")
            and note.value_of(note.parse(content.decode()), note.ID) == wanted
        ]
        if len(found) != 1:
            raise AssertionError(f"{wanted} has the notes {found}")
        return found[0]

    # -- a person --------------------------------------------------------------------------

    def save(
        self, path: Path, content: bytes, age_s: float = 60.0, *, replace: bool = False
    ) -> None:
        """As an editor saves: in place, or by a new file in the old one's place."""
        if replace:
            temp = path.with_name("editor.tmp")
            temp.write_bytes(content)
            temp.replace(path)
        else:
            path.write_bytes(content)
        at_ns = self.clock.now_ms() * 1_000_000 - round(age_s * 1_000_000_000)
        os.utime(path, ns=(at_ns, at_ns))

    def edit(self, path: Path, old: str, new: str, age_s: float = 60.0) -> None:
        text = path.read_text("utf-8")
        if old not in text:
            raise AssertionError(f"{old!r} is not in {path.name}")
        self.save(path, text.replace(old, new, 1).encode(), age_s)


async def _child(folder: Path, title: str) -> None:
    bench = VaultBench(folder)
    await bench.push("task", 1, title=title, description=f"About {title}.")
    await bench.mirror.aclose()


if __name__ == "__main__":
    asyncio.run(_child(Path(sys.argv[1]), sys.argv[2]))

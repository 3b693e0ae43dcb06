"""A company of two hundred tasks in a vault, by a whole daemon: what its people see there."""

import asyncio
import os
from pathlib import Path
from typing import Any

import yaml

from homarus.outbox.vault import note
from homarus.testing.daemon import Daemon, furnished, key
from homarus.testing.waiting import seen

TASKS = 200
MINUTE_S = 60
WITHIN_S = 120.0


async def post(daemon: Daemon, path: str, **body: Any) -> Any:
    reply = await daemon.owner.post(f"/api/v1{path}", json=body, headers=key())
    assert reply.status_code < 300, reply.text
    return reply.json()


async def made(daemon: Daemon, project: str, title: str) -> str:
    task = await post(daemon, "/tasks", projectId=project, taskType="chore", title=title,
                      allowUnderspecified=True, inputJson={"title": title})  # fmt: skip
    return str(task["task"]["id"])


def notes(vault: Path) -> dict[str, Path]:
    """By number; those of tasks that are not archived."""
    found = {}
    for path in vault.rglob("T-*.md"):
        number = note.value_of(note.parse(path.read_text("utf-8")), note.NUMBER)
        if (
            number is not None
            and "Archive" not in path.parts
            and "(homarus conflict" not in path.name
        ):
            found[str(number)] = path
    return found


async def settled(daemon: Daemon) -> None:
    """Nothing waits for the vault any more."""

    async def waiting() -> bool:
        (mirror,) = (await daemon.owner.get("/api/v1/mirrors")).json()["mirrors"]
        assert mirror["held"] is None, mirror
        return mirror["resyncing"] or any(mirror["rows"].values())

    async with asyncio.timeout(WITHIN_S):
        while await waiting():
            pass


def by_hand(path: Path, text: str) -> None:
    """As somebody saved it a minute ago."""
    path.write_text(text, "utf-8")
    at = path.stat().st_mtime - MINUTE_S
    os.utime(path, (at, at))


async def test_two_hundred_tasks(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    vault.mkdir()
    async with furnished(tmp_path / "home") as daemon:
        project = await daemon.project("launch")
        tasks = [await made(daemon, project, f"Chore {n}: a/b?") for n in range(TASKS)]
        await post(daemon, "/mirrors", name="vault", targetType="obsidian",
                   config={"path": str(vault)}, delayS=0)  # fmt: skip
        await asyncio.to_thread(seen, lambda: len(notes(vault)) == TASKS, WITHIN_S)
        await settled(daemon)
        before = notes(vault)
        base = yaml.safe_load(next(vault.rglob("Tasks.base")).read_text("utf-8"))
        assert base["views"][0]["type"] in ("table", "list", "cards")
        for path in before.values():
            _, front, _ = path.read_text("utf-8").split("---\n", 2)
            assert yaml.safe_load(front)["hm_kind"] == "task"

        # a person writes below, and inside what is ours
        first, second, third = (before[f"T-{n}"] for n in (1, 2, 3))
        by_hand(first, first.read_text("utf-8") + "\nMia: ask Bo first.\n")
        by_hand(second, second.read_text("utf-8").replace("# Chore 1", "# Changed by hand"))
        for task in tasks[:2]:
            reply = await daemon.owner.patch(
                f"/api/v1/tasks/{task}", json={"priority": 7}, headers=key()
            )
            assert reply.status_code < 300, reply.text
        await asyncio.to_thread(
            seen, lambda: "hm_priority: 7" in second.read_text("utf-8")
            and "hm_priority: 7" in first.read_text("utf-8"), WITHIN_S,
        )  # fmt: skip
        await settled(daemon)
        assert first.read_text("utf-8").endswith("\nMia: ask Bo first.\n")
        (copy,) = second.parent.glob("T-*2 *(homarus conflict *).md")
        assert "# Changed by hand" in copy.read_text("utf-8")
        assert "# Chore 1" in second.read_text("utf-8")
        told = (await daemon.owner.get("/api/v1/mirrors/conflicts")).json()["conflicts"]
        assert [row["entityId"] for row in told] == [tasks[1]]

        # what is archived goes to the archive, with all that was written in it
        await post(daemon, f"/tasks/{tasks[2]}/move", state="archived")
        await asyncio.to_thread(seen, lambda: not third.exists(), WITHIN_S)
        await settled(daemon)
        assert [path.name for path in vault.rglob("Archive/**/T-*3 *.md")] == [third.name]

        # everything is compared once more, and nothing written
        times = {path: path.stat().st_mtime_ns for path in vault.rglob("*.md")}
        (mirror,) = (await daemon.owner.get("/api/v1/mirrors")).json()["mirrors"]
        await post(daemon, f"/mirrors/{mirror['id']}/resync")
        await settled(daemon)
        assert {path: path.stat().st_mtime_ns for path in vault.rglob("*.md")} == times

        # a note that was deleted stays away until its next change, or until a resync is asked for
        first.unlink()
        await settled(daemon)
        assert not first.exists()
        await post(daemon, f"/mirrors/{mirror['id']}/resync")
        await settled(daemon)
        again = {path: path.stat().st_mtime_ns for path in vault.rglob("*.md")}
        assert again.keys() == times.keys()
        page = vault / "Homarus" / "Today.md"
        changed = {path for path in times if again[path] != times[path]} - {page}
        assert changed == {first}
        told = (await daemon.owner.get("/api/v1/mirrors/conflicts")).json()["conflicts"]
        assert sum("was deleted; it is there again" in row["what"] for row in told) == 1

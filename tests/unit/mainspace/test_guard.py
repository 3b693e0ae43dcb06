"""The guard over a real store and folder: files follow rows, foreign texts become changes."""

import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from homarus.changes import sql
from homarus.changes.model import Change, Status
from homarus.company import agents
from homarus.flows import changing, documents
from homarus.flows.governing_documents import MARK_BEGIN
from homarus.mainspace import git
from homarus.mainspace.guard import Guard, Periods
from homarus.records import documents as records
from homarus.records import incidents
from homarus.testing.ground import Ground, ground
from tests.unit.flows.test_changing import new

HOUSE = "rules/house.md"
HAS_GIT = pytest.mark.skipif(git.program() is None, reason="git is not installed")


class Scene:
    """A company under guard. `look` is two rounds: what is foreign must first rest."""

    def __init__(self, g: Ground) -> None:
        self.g = g
        self.root = g.home / "company" / "acme"
        self.guard = Guard(g.store, g.clock, g.home, Periods(poll_s=0.0, hash_s=60.0))

    def again(self) -> None:
        """As after a restart."""
        self.guard = Guard(self.g.store, self.g.clock, self.g.home, Periods(0.0, 60.0))

    async def look(self) -> None:
        for _ in range(3):
            await self.guard.check()

    def text(self, path: str = HOUSE) -> str:
        return (self.root / path).read_text("utf-8")

    async def approved(self, path: str = HOUSE) -> str:
        row = await self.g.read(records.by_path, self.g.company, path)
        return "" if row is None else str(row.content)

    async def found(self) -> list[Change]:
        rows = await self.g.read(
            lambda rx: sql.listed(rx, self.g.company, limit=50, status="found")
        )
        return [await self.g.read(sql.need, self.g.company, row.number) for row in reversed(rows)]

    async def change(self, path: str, content: str | None) -> Change:
        """Proposed by a worker, approved and switched by the owner."""
        patch: dict[str, Any] = {"path": path}
        patch |= {"delete": True} if content is None else {"content": content}
        wanted = new("governed_document", patch)
        action = self.g.action("change.create", system="tests")
        change: Change = await self.g.store.write(action, changing.propose, wanted)
        await self.g.write("change.validate", changing.validate, change.number)
        await self.decide(change)
        return change

    async def decide(self, change: Change) -> None:
        await self.g.write("change.approve", changing.approve, change.number)
        await self.g.write("change.switch", changing.switch, change.number)

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(self.root), *arguments], capture_output=True, text=True, check=True
        ).stdout


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with ground(tmp_path) as g:
        made = Scene(g)
        await made.look()
        yield made


async def test_a_company_has_its_first_documents_on_disk(scene: Scene) -> None:
    assert scene.text() == await scene.approved()
    assert "# Working here" in scene.text("AGENTS.md")
    assert (scene.root / "capabilities.yaml").exists()
    assert await scene.found() == []


async def test_a_switch_and_a_rollback_reach_the_file(scene: Scene) -> None:
    before = scene.text()
    change = await scene.change(HOUSE, "new rules\n")
    await scene.look()
    assert scene.text() == "new rules\n"
    await scene.g.write("change.switch", changing.roll_back, change.number)
    await scene.look()
    assert scene.text() == before
    await scene.change("sop/deploy.md", "steps\n")
    await scene.look()
    await scene.change("sop/deploy.md", None)
    await scene.look()
    assert not (scene.root / "sop" / "deploy.md").exists()
    assert await scene.found() == []


def edit(at: Path) -> None:
    at.write_text("edited\n")


def one_byte(at: Path) -> None:
    data = bytearray(at.read_bytes())
    data[0] ^= 1
    at.write_bytes(data)


def delete(at: Path) -> None:
    at.unlink()


def rename(at: Path) -> None:
    at.rename(at.with_name("casa.md"))


def link(at: Path) -> None:
    at.unlink()
    at.symlink_to("/etc/passwd")


def too_large(at: Path) -> None:
    at.write_bytes(b"x" * 300_000)


def binary(at: Path) -> None:
    at.write_bytes(b"\xff\xff")


def folder(at: Path) -> None:
    at.unlink()
    at.mkdir()


def link_of_folder(at: Path) -> None:
    shutil.move(at.parent, at.parent.parent / "moved")
    at.parent.symlink_to("/etc")


FOREIGN = [
    # what somebody does, what is kept, may it be approved
    (edit, ["content"], True),
    (one_byte, ["content"], True),
    (delete, ["delete"], True),
    (rename, ["content", "delete"], True),
    (link, ["note"], False),
    (too_large, ["note"], False),
    (binary, ["note"], False),
    (folder, ["note"], False),
    (link_of_folder, ["note"], False),
]


@pytest.mark.parametrize("act, kept, approvable", FOREIGN, ids=lambda v: getattr(v, "__name__", ""))
async def test_a_foreign_edit_is_kept_and_the_approved_version_restored(
    scene: Scene, act: Any, kept: list[str], approvable: bool
) -> None:
    before = scene.text()
    act(scene.root / HOUSE)
    await scene.look()
    assert scene.text() == before == await scene.approved()
    assert not (scene.root / HOUSE).is_symlink()
    changes = await scene.found()
    assert sorted(k for c in changes for k in c.patch if k not in ("path", "base")) == kept
    assert {(c.author, c.status) for c in changes} == {("unknown", Status.FOUND)}
    opened = await scene.g.read(lambda rx: incidents.listed(rx, scene.g.company, limit=9))
    assert [(i.severity, i.reason_code) for i in opened] == [
        ("medium", "governed_document_edited")
    ] * len(changes)
    for change in changes:
        if approvable:
            await scene.decide(change)
    await scene.look()
    assert len(await scene.found()) == (0 if approvable else len(changes))
    if act is edit:
        assert scene.text() == "edited\n"
    if act is delete:
        assert not (scene.root / HOUSE).exists()
    if act is rename:
        assert scene.text("rules/casa.md") == before
    if act in (too_large, binary):
        assert list((scene.g.home / "shadow" / "acme").iterdir())


async def test_the_same_edit_again_is_the_same_change(scene: Scene) -> None:
    for _ in range(3):
        edit(scene.root / HOUSE)
        await scene.look()
    assert len(await scene.found()) == 1


async def test_an_edit_while_the_daemon_was_down_is_found_at_the_start(scene: Scene) -> None:
    edit(scene.root / HOUSE)
    scene.again()
    await scene.look()
    assert [c.patch["content"] for c in await scene.found()] == ["edited\n"]


async def test_an_old_version_put_back_by_hand_is_foreign(scene: Scene) -> None:
    before = scene.text()
    await scene.change(HOUSE, "new rules\n")
    await scene.look()
    (scene.root / HOUSE).write_text(before)
    await scene.look()
    assert scene.text() == "new rules\n"
    assert len(await scene.found()) == 1


async def test_torn_missing_and_unnoted_views_are_rebuilt_without_a_word(scene: Scene) -> None:
    await scene.change(HOUSE, "two\n")
    (scene.g.home / "run" / "mainspace-acme.json").unlink()
    scene.again()
    await scene.look()
    assert scene.text() == "two\n"
    assert await scene.found() == []


async def test_a_whole_main_space_that_is_gone_is_made_anew(scene: Scene) -> None:
    shutil.rmtree(scene.root)
    scene.again()
    await scene.look()
    assert scene.text() == await scene.approved()
    assert await scene.found() == []


async def test_a_new_file_at_a_governed_place_is_kept_and_taken_out(scene: Scene) -> None:
    (scene.root / "sop").mkdir()
    (scene.root / "sop" / "wish.md").write_text("I wish\n")
    (scene.root / "notes.md").write_text("mine\n")
    await scene.look()
    assert not (scene.root / "sop" / "wish.md").exists()
    assert (scene.root / "notes.md").exists(), "a file at a plain place is somebody's own"
    (change,) = await scene.found()
    await scene.decide(change)
    await scene.look()
    assert scene.text("sop/wish.md") == "I wish\n"


async def test_a_plain_document_may_be_edited_on_disk(scene: Scene) -> None:
    action = scene.g.action("document.write", "document:notes.md")
    await scene.g.store.write(action, documents.write, "notes.md", "one\n")
    await scene.look()
    (scene.root / "notes.md").write_text("two\n")
    await scene.look()
    assert await scene.approved("notes.md") == "two\n"
    (scene.root / "notes.md").unlink()
    await scene.look()
    assert await scene.approved("notes.md") == ""
    assert await scene.found() == []


async def test_an_agents_workspace_that_reaches_the_file_makes_it_an_emergency(
    scene: Scene,
) -> None:
    agent = scene.g.home / "agents" / "ada"
    agent.mkdir(parents=True)
    (agent / "workspace").symlink_to(scene.root)
    edit(scene.root / HOUSE)
    await scene.look()
    opened = await scene.g.read(lambda rx: incidents.listed(rx, scene.g.company, limit=9))
    assert [i.severity for i in opened] == ["critical"]


async def test_views_are_written_and_follow(scene: Scene) -> None:
    assert MARK_BEGIN in scene.text("AGENTS.md")
    assert scene.text("AGENTS.md").startswith(await scene.approved("AGENTS.md"))
    (scene.root / "INDEX.json").write_text("torn")
    (scene.root / "AGENTS.md").write_text(scene.text("AGENTS.md").replace("R4", "R9"))
    await scene.look()
    assert scene.text("INDEX.json").startswith("{")
    assert "R9" not in scene.text("AGENTS.md")
    assert await scene.found() == []
    action = scene.g.action("agent.create", "agent:new")
    await scene.g.store.write(action, agents.create, agents.AgentChange(name="ada"))
    scene.again()
    await scene.look()
    assert "ada" in scene.text("ACTIVE_ROSTER.md")


@HAS_GIT
async def test_every_switch_is_one_commit_of_the_approved_text(scene: Scene) -> None:
    await scene.change(HOUSE, "two\n")
    await scene.change(HOUSE, "three\n")
    edit(scene.root / HOUSE)
    await scene.look()
    log = scene.git("log", "--format=%s|%an", "main").splitlines()
    assert log == ["C-2: why|Homarus", "C-1: why|Homarus", "First documents|Homarus"]
    assert scene.git("show", f"main:{HOUSE}") == "three\n"
    assert scene.git("show", f"main~1:{HOUSE}") == "two\n"
    body = scene.git("log", "-1", "--format=%B", "main")
    assert "Homarus-Change: C-2" in body
    assert "Homarus-Seal: " in body
    assert scene.git("status", "--short") == " M AGENTS.md\n", "its generated part"


@HAS_GIT
async def test_no_commit_is_made_twice_and_none_is_lost_with_the_state(scene: Scene) -> None:
    await scene.change(HOUSE, "two\n")
    await scene.look()
    (scene.g.home / "run" / "mainspace-acme.json").unlink()
    scene.again()
    await scene.change(HOUSE, "three\n")
    await scene.look()
    assert len(scene.git("log", "--format=%h", "main").splitlines()) == 3


@HAS_GIT
async def test_a_locked_index_makes_no_commit_twice(scene: Scene) -> None:
    (scene.root / ".git" / "index.lock").write_text("")
    await scene.change(HOUSE, "two\n")
    await scene.look()
    await scene.look()
    assert len(scene.git("log", "--format=%h", "main").splitlines()) == 2


@HAS_GIT
async def test_nothing_of_the_repository_runs(scene: Scene, tmp_path: Path) -> None:
    """Hooks, filters and a monitor that somebody put there are not obeyed."""
    trap = tmp_path / "trap"
    script = f"#!/bin/sh\ntouch {trap}\n"
    hooks = scene.root / ".git" / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "pre-commit", "post-commit", "reference-transaction"):
        (hooks / name).write_text(script)
        (hooks / name).chmod(0o755)
    scene.git("config", "core.fsmonitor", f"touch {trap}")
    scene.git("config", "filter.x.clean", f"touch {trap}")
    (scene.root / ".gitattributes").write_text("* filter=x\n")
    await scene.change(HOUSE, "two\n")
    await scene.look()
    assert not trap.exists()
    (scene.root / ".gitattributes").unlink()
    shutil.rmtree(hooks)
    scene.git("config", "--unset", "core.fsmonitor")
    assert scene.git("show", f"main:{HOUSE}") == "two\n"


async def test_without_git_everything_else_works(scene: Scene) -> None:
    shutil.rmtree(scene.root / ".git", ignore_errors=True)
    (scene.root / ".git").write_text("no repository")
    scene.again()
    await scene.change(HOUSE, "two\n")
    await scene.look()
    assert scene.text() == "two\n"
    edit(scene.root / HOUSE)
    await scene.look()
    assert len(await scene.found()) == 1

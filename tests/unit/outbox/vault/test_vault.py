"""The vault as a mirror: a note an entity; edits, renames and deletes by people; archive.

Each case is one thing that a person does between two pushes, and what the second push makes of it.
"""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from homarus.base.errors import Invalid
from homarus.outbox.port import Absent, Act, Done, Found, Later
from homarus.outbox.vault import KIND, note
from homarus.testing.vaults import VaultBench

DOOR = {"title": "Shut the door", "description": "Both of them.", "state": "queued"}
PATH = "Homarus/Tasks/T-0001 Shut the door.md"
COPY = r"Homarus/Tasks/T-0001 Shut the door \(homarus conflict \d{8}T\d{6}Z\)\.md"


@pytest.fixture
def bench(tmp_path: Path) -> VaultBench:
    return VaultBench(tmp_path)


async def pushed(bench: VaultBench, **fields: Any) -> Done:
    done = await bench.push("task", 1, **(DOOR | fields))
    assert isinstance(done, Done), done
    return done


def text(bench: VaultBench, path: str = PATH) -> str:
    return (bench.path / path).read_text("utf-8")


def stamps(bench: VaultBench) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in bench.path.rglob("*")}


# -- notes ---------------------------------------------------------------------------------


async def test_a_note(bench: VaultBench) -> None:
    due = "2026-11-20T11:50:00.000Z"
    done = await pushed(bench, due=due, priority=50, skills=["no", "012"], agent=None, extra="")
    assert done == Done(PATH)
    found = text(bench)
    front = yaml.safe_load(found.split("---\n")[1])
    assert front.pop("hm_due").isoformat() == "2026-11-20T11:50:00"
    assert front.pop("hm_hash")
    assert front == {
        "aliases": ["Shut the door"], "hm_id": "task:1", "hm_kind": "task", "hm_number": "T-1",
        "hm_title": "Shut the door", "hm_state": "queued", "hm_priority": 50,
        "hm_skills": ["no", "012"],
    }  # fmt: skip
    assert found.endswith(
        "---\n%% homarus:begin %%\n# Shut the door\n\nBoth of them.\n%% homarus:end %%\n"
    )


async def test_equal_content_writes_nothing(bench: VaultBench) -> None:
    await pushed(bench)
    await bench.restart()
    before = stamps(bench)
    await pushed(bench)
    await bench.restart()
    await pushed(bench)
    await bench.restart()
    bench.manifest.unlink()
    bench.open()
    await pushed(bench)
    assert stamps(bench) == before


async def test_the_name_stays_and_the_title_is_an_alias(bench: VaultBench) -> None:
    await pushed(bench)
    assert await pushed(bench, title="Open the window") == Done(PATH)
    assert 'aliases:\n- "Open the window"\n' in text(bench)


async def test_a_taken_name_is_left_to_whoever_has_it(bench: VaultBench) -> None:
    mine = bench.path / PATH
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    done = await pushed(bench)
    assert done.receipt == PATH.replace(".md", " 2.md")
    assert mine.read_text() == "mine"


async def test_longer_texts_are_sections(bench: VaultBench) -> None:
    await pushed(bench, result="one\ntwo", reason="x" * 301)
    assert f"## result\n\none\ntwo\n\n## reason\n\n{'x' * 301}\n" in text(bench)


async def test_mapped_names_are_keys_of_ours(bench: VaultBench) -> None:
    await pushed(bench, **{"Due date": "soon", "hm_id": "x", "Ä": "y", "Hash": "z"})
    front = yaml.safe_load(text(bench).split("---\n")[1])
    assert front["hm_id"] == "task:1"
    keys = ("hm_due_date", "hm_id_", "hm_field", "hm_hash_")
    assert [front[key] for key in keys] == ["soon", "x", "y", "z"]


async def test_links_between_notes(bench: VaultBench) -> None:
    """A note that comes later is linked once it is there, and by its name in the vault."""
    await bench.push("wiki_doc", 2, title="Door | how", body="...", parent="W-1")
    assert 'hm_parent: "W-1"' in bench.note("wiki_doc", 2).read_text("utf-8")
    await bench.push("wiki_doc", 1, title="House", body="...")
    found = bench.note("wiki_doc", 2).read_text("utf-8")
    assert 'hm_parent: "[[W-0001 House|House]]"' in found
    bench.note("wiki_doc", 1).rename(bench.path / "House rules.md")
    await bench.push("wiki_doc", 1, title="House", body="more")
    await bench.push("wiki_doc", 2, title="Door | how", body="more", parent="W-1")
    assert 'hm_parent: "[[House rules|House]]"' in bench.note("wiki_doc", 2).read_text("utf-8")
    await bench.push("wiki_doc", 1, title="Home", body="more")
    assert 'hm_parent: "[[House rules|Home]]"' in bench.note("wiki_doc", 2).read_text("utf-8")
    await bench.delete("wiki_doc", 1)
    assert 'hm_parent: "W-1"' in bench.note("wiki_doc", 2).read_text("utf-8")
    await bench.push("wiki_doc", 1, title="Home", body="more")
    assert 'hm_parent: "[[House rules|Home]]"' in bench.note("wiki_doc", 2).read_text("utf-8")
    assert bench.notes == []


# -- a person's edits ----------------------------------------------------------------------

FREE = {
    "below": (r"\Z", "my words %% and `code`\r\n\x0c\x85"),
    "above": ("%% homarus:begin", "mine\n%% homarus:begin"),
    "a key": ("hm_kind", "tags: [a]\n# mine\nhm_kind"),
    "all of it in other form": ("\n", "\r\n"),
}


@pytest.mark.parametrize("what", FREE)
async def test_free_text_stays_where_it_is(bench: VaultBench, what: str) -> None:
    await pushed(bench)
    old, new = FREE[what]
    edited = re.sub(old, lambda _: new, text(bench)).encode()
    bench.save(bench.path / PATH, edited)
    assert await pushed(bench, state="done") == Done(PATH)
    after = (bench.path / PATH).read_bytes()
    mine = note.theirs(note.parse(edited.decode()))
    assert note.theirs(note.parse(after.decode())) == mine
    assert b'hm_state: "done"' in after
    assert len(bench.files()) == 3  # the note, Tasks.base, Today.md


OURS = {
    "the region": ("Both of them.", "All three."),
    "a value": ('hm_state: "queued"', "hm_state: failed"),
    "its id": ('hm_id: "task:1"\n', ""),
    "a marker": ("%% homarus:end %%\n", "mine\n"),
    "all of it": (None, "only my words\n"),
    "the frontmatter": ("---\n%%", "%%"),
}


@pytest.mark.parametrize("what", OURS)
async def test_an_edit_of_what_is_ours_goes_beside(bench: VaultBench, what: str) -> None:
    await pushed(bench)
    old, new = OURS[what]
    path = bench.path / PATH
    edited = new if old is None else text(bench).replace(old, new, 1)
    bench.save(path, edited.encode())
    for fields in ({"state": "done"}, {"state": "done"}, {}):
        await pushed(bench, **fields)
    [copy] = [name for name in bench.files() if re.fullmatch(COPY, name)]
    kept = [line for line in edited.splitlines() if not line.startswith(("hm_id", "hm_hash"))]
    if what != "the frontmatter":
        assert text(bench, copy).splitlines() == kept
    assert note.value_of(note.parse(text(bench, copy)), note.ID) is None
    assert bench.note("task", 1) == path
    [told] = bench.notes
    assert told.startswith(f"T-1: {PATH} was edited") and copy.rpartition("/")[2] in told


async def test_an_edit_that_says_the_same_is_none(bench: VaultBench) -> None:
    await pushed(bench)
    bench.edit(bench.path / PATH, 'hm_state: "queued"', "hm_state: done")
    assert await pushed(bench, state="done") == Done(PATH)
    assert len(bench.files()) == 3


@pytest.mark.parametrize("age_s, left_s", [(0, 10), (4, 6), (9.9, 0.1), (10, None), (-5, 10)])
async def test_a_file_at_work_is_left_alone(
    bench: VaultBench, age_s: float, left_s: float | None
) -> None:
    await pushed(bench)
    bench.edit(bench.path / PATH, "homarus:end %%\n", "homarus:end %%\nmine\n", age_s)
    before = bench.files()
    outcome = await bench.push("task", 1, **(DOOR | {"state": "done"}))
    if left_s is None:
        assert outcome == Done(PATH)
        return
    assert isinstance(outcome, Later)
    assert outcome.after_s == pytest.approx(left_s)
    assert bench.files() == before
    same = await bench.push("task", 1, **DOOR)
    assert same == Done(PATH)  # nothing to write, so nobody is in the way
    bench.clock.advance(30_000)
    assert await pushed(bench, state="done") == Done(PATH)


# -- renamed, deleted, doubled -------------------------------------------------------------


async def test_a_moved_note_is_followed(bench: VaultBench) -> None:
    await pushed(bench)
    moved = bench.path / "Mine" / "Door.md"
    moved.parent.mkdir()
    (bench.path / PATH).rename(moved)
    assert await pushed(bench, state="done") == Done("Mine/Door.md")
    assert not (bench.path / PATH).exists()
    moved.rename(bench.path / "Again.md")
    bench.manifest.unlink()
    bench.open()
    assert await pushed(bench, state="failed") == Done("Again.md")


async def test_a_deleted_note_is_made_again_and_told(bench: VaultBench) -> None:
    await pushed(bench)
    (bench.path / PATH).unlink()
    done = await pushed(bench)
    assert done.notes == (f"T-1: its note {PATH} was deleted; it is there again",)
    assert await pushed(bench) == Done(PATH)


async def test_a_copied_note_is_told_once_and_left_alone(bench: VaultBench) -> None:
    await pushed(bench)
    copy = bench.path / "Copy.md"
    copy.write_text(text(bench), "utf-8")
    (bench.path / PATH).rename(bench.path / "Aside.md")
    done = await pushed(bench, state="done")
    assert (done.receipt, done.notes) == (
        "Aside.md", ("T-1: Copy.md is a second copy, and is left alone",),
    )  # fmt: skip
    assert "queued" in copy.read_text("utf-8")
    assert (await pushed(bench, state="failed")).notes == ()


async def test_conflict_copies_of_a_sync_are_told_once_and_left_alone(bench: VaultBench) -> None:
    await pushed(bench)
    other = bench.path / PATH.replace(".md", ".sync-conflict-20261120-115000-ABCDEFG.md")
    other.write_text(text(bench), "utf-8")
    bench.open()
    done = await pushed(bench, state="done")
    assert [other.name in told for told in done.notes] == [True]
    bench.open()
    assert (await pushed(bench, state="failed")).notes == ()
    assert "queued" in other.read_text("utf-8")


# -- archive -------------------------------------------------------------------------------


async def test_a_delete_archives_with_all_that_was_written(bench: VaultBench) -> None:
    await pushed(bench)
    bench.edit(bench.path / PATH, "homarus:end %%\n", "homarus:end %%\nmine\n", age_s=0)
    before = text(bench)
    archived = PATH.replace("Tasks", "Archive")
    for _ in range(2):
        assert await bench.delete("task", 1) == Done(archived)
        assert text(bench, archived) == before
    later = await bench.push("task", 1, **(DOOR | {"state": "done"}))
    assert later == Later(f"{PATH} was edited just now", 10.0, alone=True)
    bench.clock.advance(20_000)
    assert (await pushed(bench, state="done")).receipt == PATH
    assert text(bench).endswith("mine\n")


async def test_a_delete_of_what_is_not_there(bench: VaultBench) -> None:
    assert await bench.delete("task", 1) == Done("")
    await pushed(bench)
    (bench.path / PATH).unlink()
    assert await bench.delete("task", 1) == Done(PATH)
    assert not (bench.path / PATH).exists()


async def test_archived_names_do_not_meet(bench: VaultBench) -> None:
    await pushed(bench)
    taken = bench.path / PATH.replace("Tasks", "Archive")
    taken.parent.mkdir()
    taken.write_text("mine")
    done = await bench.delete("task", 1)
    assert done == Done("Homarus/Archive/T-0001 Shut the door 2.md")
    assert taken.read_text() == "mine"


# -- looking -------------------------------------------------------------------------------


async def test_lookup(bench: VaultBench) -> None:
    look = bench.mirror.lookup
    change = bench.change("task", 1, **DOOR)
    assert await look(change) == Absent()
    await pushed(bench)
    assert await look(change) == Found(PATH, True)
    assert await look(bench.change("task", 1, **(DOOR | {"state": "done"}))) == Found(PATH, False)
    gone = bench.change("task", 1, Act.DELETE)
    assert await look(gone) == Found(PATH, False)
    await bench.delete("task", 1)
    assert await look(gone) == Found(PATH.replace("Tasks", "Archive"), True)
    assert await look(change) == Found(PATH.replace("Tasks", "Archive"), False)


async def test_dry_run_says_and_does_nothing(bench: VaultBench) -> None:
    said = bench.mirror.dry_run
    change = bench.change("task", 1, **DOOR)
    gone = bench.change("task", 1, Act.DELETE)
    assert await said(change) == (f"create {PATH}",)
    assert await said(gone) == ("nothing: there is no note to archive",)
    assert bench.files() == {}
    await pushed(bench)
    before = bench.files()
    assert await said(change) == (f"nothing: {PATH} is equal",)
    assert await said(gone) == (f"move {PATH} to Homarus/Archive",)
    later = bench.change("task", 1, **(DOOR | {"state": "done"}))
    assert await said(later) == (f"write {PATH}",)
    assert bench.files() == before
    copy = bench.path / "Copy.sync-conflict-20261120-115000-ABCDEFG.md"
    copy.write_text("x")
    bench.open()
    for _ in range(2):
        assert [copy.name in line for line in await bench.mirror.dry_run(later)] == [False, True]
    copy.unlink()
    bench.open()
    said = bench.mirror.dry_run
    bench.edit(bench.path / PATH, "Both", "All")
    assert await said(later) == (f"keep the edit of {PATH} in a conflict copy", f"write {PATH}")


async def test_the_day(bench: VaultBench) -> None:
    """`Today.md` links to what the day has, and keeps what people write below."""
    event = {
        "title": "Review",
        "start": "2026-01-02T09:30:00.000Z",
        "end": "2026-01-02T10:30:00.000Z",
    }
    today = bench.path / "Homarus/Today.md"
    day = f"{bench.clock.now_ms()}"
    assert day
    await bench.push("calendar_event", 1, **event)
    await bench.push("task", 1, **(DOOR | {"due": "2026-01-01T10:00:00Z"}))
    await bench.push("task", 2, title="Run", state="in_progress")
    await bench.push("task", 3, title="Over", state="done", due="2026-01-01T10:00:00Z")
    await bench.push("task", 4, title="Later", state="queued", due="2027-01-01T10:00:00Z")
    await bench.restart()
    assert today.read_text("utf-8").split("%% homarus:")[1] == (
        "begin %%\n# 2026-01-02\n\n## Events\n\n- 09:30 [[E-0001 Review|Review]]\n\n"
        "## Due\n\n- 2026-01-01 [[T-0001 Shut the door|Shut the door]]\n\n"
        "## In progress\n\n- [[T-0002 Run|Run]]\n"
    )
    assert "- [" not in today.read_text("utf-8").replace("- [[", "")
    bench.save(today, today.read_bytes() + b"mine\n")
    bench.clock.advance(24 * 3_600_000)
    await bench.push("task", 5, title="Next")
    found = today.read_text("utf-8")
    assert "# 2026-01-03" in found and "Review" not in found and found.endswith("mine\n")


async def test_the_base_is_made_once_and_then_a_persons(bench: VaultBench) -> None:
    await pushed(bench)
    path = bench.path / "Homarus/Tasks.base"
    base = yaml.safe_load(path.read_text("utf-8"))
    assert set(base) == {"filters", "properties", "views"}
    assert base["filters"]["and"] == [
        'note.hm_kind == "task"', '!file.inFolder("Homarus/Archive")',
    ]  # fmt: skip
    assert [(view["type"], view["name"]) for view in base["views"]] == [
        ("table", "Open"), ("table", "All"),
    ]  # fmt: skip
    for content in ("views: []\n", None):
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
        bench.open()
        await bench.push("task", 2, title="More")
        assert (path.read_text() if path.exists() else None) == content


# -- where it is ---------------------------------------------------------------------------


def _places(tmp: Path) -> dict[str, tuple[dict[str, Any], str]]:
    for name in ("home/in", "vault/Homarus", "outside", "linked", "blocked/Homarus", "above/home"):
        (tmp / name).mkdir(parents=True, exist_ok=True)
    (tmp / "file").write_text("")
    (tmp / "blocked/Homarus/Tasks").write_text("")
    (tmp / "linked/Homarus").symlink_to(tmp / "outside")
    (tmp / "into").symlink_to(tmp / "home/in")
    return {
        "no object": ({}, "config"),
        "unknown key": ({"path": str(tmp / "vault"), "pth": ""}, "config"),
        "relative": ({"path": "vault"}, "path"),
        "a folder of folders": ({"path": str(tmp / "vault"), "folder": "../x"}, "folder"),
        "hidden": ({"path": str(tmp / "vault"), "folder": ".x"}, "folder"),
        "no zone": ({"path": str(tmp / "vault"), "timezone": "Mars/X"}, "timezone"),
        "missing": ({"path": str(tmp / "none")}, "does not exist"),
        "a file": ({"path": str(tmp / "file")}, "is no folder"),
        "the state directory": ({"path": str(tmp / "home")}, "lies in the state directory"),
        "in it": ({"path": str(tmp / "home/in")}, "lies in the state directory"),
        "in it by a link": ({"path": str(tmp / "into")}, "lies in the state directory"),
        "around it": ({"path": str(tmp)}, "holds the state directory"),
        "a link out": ({"path": str(tmp / "linked")}, "is a link out of the vault"),
        "a file of ours": ({"path": str(tmp / "blocked")}, "is no folder"),
    }


async def test_places_that_are_refused(tmp_path: Path) -> None:
    for what, (config, why) in _places(tmp_path).items():
        with pytest.raises(Invalid) as refused:
            KIND.check(config, tmp_path / "home")
        assert refused.value.code == "mirror.config", what
        assert why in refused.value.message and refused.value.remedy, (what, refused.value)
    place = KIND.check({"path": str(tmp_path / "vault/../vault")}, tmp_path / "home")
    assert place.key == f"obsidian:{(tmp_path / 'vault').resolve()}"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user who is refused")
def test_a_folder_that_may_not_be_written_is_refused(bench: VaultBench) -> None:
    bench.path.chmod(0o500)
    with pytest.raises(Invalid, match="is not writable"):
        KIND.check(bench.config, bench.home)


async def test_a_vault_that_went_away_is_waited_for(bench: VaultBench) -> None:
    await pushed(bench)
    assert (await bench.mirror.health()).ok
    bench.path.rename(bench.path.with_name("away"))
    health = await bench.mirror.health()
    assert not health.ok and "does not exist" in health.why and "mount" in health.why
    assert isinstance(await bench.push("task", 1, **DOOR), Later)
    assert isinstance(await bench.mirror.lookup(bench.change("task", 1, **DOOR)), Later)
    assert not bench.path.exists()


async def test_a_link_in_a_notes_place_is_not_followed(bench: VaultBench, tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("secret")
    (bench.path / PATH).parent.mkdir(parents=True)
    (bench.path / PATH).symlink_to(outside)
    done = await pushed(bench)
    assert done.receipt == PATH.replace(".md", " 2.md")
    assert outside.read_text() == "secret"

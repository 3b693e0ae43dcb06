"""Folders and what lies in them, on both engines: paths, scopes, moves, removal, versions."""

import pytest

from homarus.base.errors import Conflict, HomarusError, Invalid, NotFound, TooLarge
from homarus.company import agents, projects
from homarus.records import artifacts, emptying, folders, quota, versions
from homarus.records.artifact_fields import ArtifactChange, Content, NewArtifact
from homarus.records.folders import MAX_DEPTH, FolderChange, Scope
from homarus.records.versions import MAX_VERSIONS
from homarus.testing.ground import ground
from homarus.testing.recount import recount

NOWHERE = "00000000-0000-7000-8000-000000000000"


class Cabinet:
    """A company's folders, named in tests by their names. `projects`: two of it, one customer."""

    def __init__(self, g):
        self.g = g
        self.ids = {}

    async def folder(self, name, parent=None, **scope):
        row = await self.g.write(
            "folder.create", folders.create, name, self.ids.get(parent), Scope(**scope)
        )
        self.ids[name] = row.id
        return row

    async def change(self, name, /, **change):
        if change.get("parent") is not None:
            change["parent"] = self.ids.get(change["parent"], change["parent"])
        return await self.g.write(
            "folder.update", folders.update, self.ids[name], FolderChange(**change)
        )

    async def remove(self, name):
        return await self.g.write("folder.delete", folders.remove, self.ids[name])

    async def file(self, folder=None, n=1, size=10, **fields):
        new = NewArtifact(
            kind="note", content_type="text/plain", filename=f"{n}.txt", sha256=f"{n:064x}",
            size_bytes=size, stored=True, folder=self.ids.get(folder), **fields,
        )  # fmt: skip
        return await self.g.write("artifact.create", artifacts.create, new)

    async def paths(self):
        rows = await self.g.read(lambda rx: folders.listed(rx, self.g.company, {}, limit=500))
        found = await self.g.read(folders.paths, self.g.company, [row.id for row in rows])
        return sorted(found.values())

    async def files(self, **filters):
        rows = await self.g.read(
            lambda rx: artifacts.listed(rx, self.g.company, filters, limit=500)
        )
        return [row.filename for row in rows]


@pytest.fixture
async def cabinet(engine):
    async with ground(engine.home, opener=engine.opener, fresh=True) as g:
        made = Cabinet(g)
        yield made
        assert await g.read(recount, g.company) == []


async def test_a_path_follows_from_the_names_above(cabinet):
    await cabinet.folder("Reports")
    await cabinet.folder("2026", "Reports")
    await cabinet.folder("May", "2026")
    assert await cabinet.paths() == ["Reports", "Reports/2026", "Reports/2026/May"]
    await cabinet.change("Reports", name="Berichte")
    assert await cabinet.paths() == ["Berichte", "Berichte/2026", "Berichte/2026/May"]
    await cabinet.change("May", parent=None)
    assert await cabinet.paths() == ["Berichte", "Berichte/2026", "May"]


async def test_a_name_is_taken_once_in_its_place(cabinet):
    first = await cabinet.folder("A")
    await cabinet.folder("B")
    await cabinet.folder("x", "A")
    with pytest.raises(Conflict, match=r"folder\.exists") as caught:
        await cabinet.g.write("folder.create", folders.create, "A", None, Scope())
    assert caught.value.details["folder"] == first.id
    with pytest.raises(Conflict, match=r"folder\.exists"):
        await cabinet.change("B", name="A")
    await cabinet.folder("y", "B")
    await cabinet.change("y", name="x")
    with pytest.raises(Conflict, match=r"folder\.exists"):
        await cabinet.change("y", parent="A")
    await cabinet.remove("A")
    await cabinet.folder("A")


async def test_one_name_in_two_normal_forms_is_one_name(cabinet):
    await cabinet.folder("é")
    with pytest.raises(Conflict, match=r"folder\.exists"):
        await cabinet.folder("e\u0301")


async def test_roots_of_different_scopes_may_share_a_name(cabinet):
    ada = await cabinet.g.write("agent.create", agents.create, agents.AgentChange(name="ada"))
    await cabinet.folder("Files")
    await cabinet.folder("Files", agent=ada.id)
    assert await cabinet.paths() == ["Files", "Files"]


@pytest.mark.parametrize("into", ["A", "B", "C"])
async def test_a_folder_does_not_move_into_itself(cabinet, into):
    await cabinet.folder("A")
    await cabinet.folder("B", "A")
    await cabinet.folder("C", "B")
    with pytest.raises(Invalid, match=r"folder\.cycle"):
        await cabinet.change("A", parent=into)
    assert await cabinet.paths() == ["A", "A/B", "A/B/C"]


BAD = [
    ({"name": ""}, "folder.name"),
    ({"name": "a/b"}, "folder.name"),
    ({"name": ".."}, "folder.name"),
    ({"name": "nul"}, "folder.name"),
    ({"name": "x" * 256}, "folder.name"),
    ({"kind": ""}, "folder.kind"),
    ({"metadata": {"x": "y" * 20_000}}, "folder.metadata"),
    ({"parent": NOWHERE}, "folder.unknown"),
    ({"parent": "nothing"}, "folder.unknown"),
    ({}, "folder.nothing"),
]


@pytest.mark.parametrize(("change", "code"), BAD)
async def test_a_bad_change_is_refused(cabinet, change, code):
    before = await cabinet.folder("A")
    with pytest.raises(HomarusError) as caught:
        await cabinet.change("A", **change)
    assert caught.value.code == code
    assert await cabinet.g.read(folders.need, cabinet.g.company, before.id) == before


async def test_depth_is_bounded_when_made_and_when_moved(cabinet):
    for level in range(MAX_DEPTH):
        await cabinet.folder(f"a{level}", f"a{level - 1}" if level else None)
    with pytest.raises(Invalid, match=r"folder\.depth"):
        await cabinet.folder("over", f"a{MAX_DEPTH - 1}")
    await cabinet.folder("b")
    await cabinet.folder("c", "b")
    with pytest.raises(Invalid, match=r"folder\.depth"):
        await cabinet.change("b", parent=f"a{MAX_DEPTH - 2}")
    await cabinet.change("b", parent=f"a{MAX_DEPTH - 3}")
    await cabinet.change("b", parent=None)
    await cabinet.remove("c")
    await cabinet.change("b", parent=f"a{MAX_DEPTH - 2}")


async def test_what_lies_in_a_folder_belongs_to_whom_the_folder_does(cabinet):
    one, two = [
        (await cabinet.g.write("project.create", projects.create, {"goal": goal})).id
        for goal in ("one", "two")
    ]
    await cabinet.folder("any")
    await cabinet.folder("one", "any", project=one)
    below = await cabinet.folder("below", "one")
    assert below.project == one
    assert (await cabinet.file("below")).project == one
    for refused in (cabinet.file("one", project=two), cabinet.folder("no", "one", project=two)):
        with pytest.raises(Invalid, match=r"folder\.scope"):
            await refused
    await cabinet.folder("two", project=two)
    for name, into in (("any", "two"), ("below", "two")):
        with pytest.raises(Invalid, match=r"folder\.scope"):
            await cabinet.change(name, parent=into)
    assert (await cabinet.change("two", parent="any")).project == two
    loose = await cabinet.file(project=two)
    move = ArtifactChange(folder=cabinet.ids["one"])
    with pytest.raises(Invalid, match=r"folder\.scope"):
        await cabinet.g.write("artifact.update", artifacts.update, loose.id, move)


async def test_a_removed_tree_takes_nothing_in_and_is_emptied_in_bounded_units(cabinet):
    await cabinet.folder("top")
    await cabinet.folder("low", "top")
    await cabinet.folder("other")
    for n in range(5):
        await cabinet.file("low", n)
    await cabinet.file("other", 9)
    kept = await cabinet.file("low", 5)
    await cabinet.g.write("artifact.update", artifacts.update, kept.id, ArtifactChange(folder=None))
    await cabinet.remove("top")
    for late in (
        cabinet.file("low", 7),
        cabinet.folder("new", "low"),
        cabinet.change("low", kind="k"),
    ):
        with pytest.raises(NotFound, match=r"folder\.unknown"):
            await late
    assert await cabinet.paths() == ["other"]
    rows, contents = [], []
    while not rows or rows[-1] == 3:
        emptied = await cabinet.g.write("folder.empty", emptying.some, 3)
        rows.append(emptied.rows)
        contents += emptied.contents
    assert rows == [3, 3, 2]  # a subfolder, five artifacts, two folders unmarked
    assert sorted(contents) == [f"{n:064x}" for n in range(5)]
    assert await cabinet.files() == ["5.txt", "9.txt"]
    assert cabinet.g.company not in await cabinet.g.read(emptying.due, 1_000)
    assert (await cabinet.g.read(quota.usage, cabinet.g.company))[0] == 20


# -- versions and bytes in use -------------------------------------------------------------


def content(n, size=10):
    return Content(f"{n:064x}", size, "text/plain", f"{n}.txt", f"content {n}")


async def test_a_replaced_content_is_kept_for_a_while_and_counts(cabinet):
    row = await cabinet.file(n=700)
    for n in range(1, MAX_VERSIONS + 3):
        row = await cabinet.g.write("artifact.update", artifacts.replace, row.id, content(700 + n))
        kept = [version.version for version in await cabinet.g.read(versions.of, row.id)]
        assert kept == list(range(n, max(0, n - MAX_VERSIONS), -1))
        used, _ = await cabinet.g.read(quota.usage, cabinet.g.company)
        assert used == 10 * (1 + len(kept))
    assert row.version == MAX_VERSIONS + 3
    with pytest.raises(NotFound, match=r"artifact\.version"):
        await cabinet.g.read(versions.need, row.id, 1)
    assert await cabinet.g.read(versions.referred, [f"{n:064x}" for n in range(700, 708)]) == {
        f"{n:064x}" for n in range(702, 707)
    }
    await cabinet.g.write("artifact.delete", artifacts.delete, row.id)
    assert (await cabinet.g.read(quota.usage, cabinet.g.company))[0] == 0
    assert await cabinet.g.read(artifacts.referred, [f"{n:064x}" for n in range(700, 708)]) == set()


async def test_the_same_content_again_is_no_version(cabinet):
    row = await cabinet.file(n=1)
    again = await cabinet.g.write("artifact.update", artifacts.replace, row.id, content(1))
    assert (again.version, await cabinet.g.read(versions.of, row.id)) == (1, [])


async def test_a_replacement_that_does_not_fit_changes_nothing(cabinet):
    await cabinet.g.write("storage.quota", quota.set_quota, 25)
    row = await cabinet.file(n=1)
    with pytest.raises(TooLarge, match=r"artifact\.quota"):
        await cabinet.g.write("artifact.update", artifacts.replace, row.id, content(2, 16))
    await cabinet.g.write("artifact.update", artifacts.replace, row.id, content(2, 15))
    now = await cabinet.g.read(artifacts.need, cabinet.g.company, row.id)
    assert (now.version, now.size_bytes) == (2, 15)


async def test_the_oldest_version_makes_room_for_the_next(cabinet):
    row = await cabinet.file(n=0)
    for n in range(1, MAX_VERSIONS + 1):
        await cabinet.g.write("artifact.update", artifacts.replace, row.id, content(n))
    await cabinet.g.write("storage.quota", quota.set_quota, 10 * (MAX_VERSIONS + 1))
    await cabinet.g.write("artifact.update", artifacts.replace, row.id, content(90))
    with pytest.raises(TooLarge, match=r"artifact\.quota"):
        await cabinet.g.write("artifact.update", artifacts.replace, row.id, content(91, 11))


async def test_a_reference_is_not_replaced(cabinet):
    new = NewArtifact(kind="note", content_type="text/plain", storage_url="s3://b/k")
    row = await cabinet.g.write("artifact.create", artifacts.create, new)
    with pytest.raises(Conflict, match=r"artifact\.reference"):
        await cabinet.g.write("artifact.update", artifacts.replace, row.id, content(1))


# -- fields --------------------------------------------------------------------------------


async def test_a_canonical_artifact_knows_since_when(cabinet):
    row = await cabinet.file()
    at = cabinet.g.clock.now_ms()
    change = {True: ArtifactChange(is_canonical=True), False: ArtifactChange(is_canonical=False)}
    for now, expected in ((True, at), (True, at), (False, None)):
        row = await cabinet.g.write("artifact.update", artifacts.update, row.id, change[now])
        assert row.promoted_ms == expected
        cabinet.g.clock.advance(5)


CHANGES = [
    (ArtifactChange(kind=""), "artifact.kind"),
    (ArtifactChange(artifact_class="x"), "artifact.class"),
    (ArtifactChange(importance="x"), "artifact.importance"),
    (ArtifactChange(content_type="x"), "artifact.content_type"),
    (ArtifactChange(filename="a/b"), "artifact.file_name"),
    (ArtifactChange(visibility="all"), "artifact.visibility"),
    (ArtifactChange(title="x" * 2_001), "artifact.title"),
    (ArtifactChange(metadata={"x": "y" * 65_536}), "artifact.metadata"),
    (ArtifactChange(folder=NOWHERE), "folder.unknown"),
    (ArtifactChange(), "artifact.nothing"),
]


@pytest.mark.parametrize(("change", "code"), CHANGES, ids=[code for _, code in CHANGES])
async def test_a_bad_change_of_an_artifact_is_refused(cabinet, change, code):
    row = await cabinet.file()
    with pytest.raises(HomarusError) as caught:
        await cabinet.g.write("artifact.update", artifacts.update, row.id, change)
    assert caught.value.code == code
    assert await cabinet.g.read(artifacts.need, cabinet.g.company, row.id) == row


async def test_importance_follows_the_class_unless_it_is_given(cabinet):
    row = await cabinet.file(artifact_class="deliverable")
    assert row.importance == "record"
    for change, expected in (
        (ArtifactChange(artifact_class="proof"), "record"),
        (ArtifactChange(importance=None), "operational"),
        (ArtifactChange(importance="temporary"), "temporary"),
    ):
        row = await cabinet.g.write("artifact.update", artifacts.update, row.id, change)
        assert row.importance == expected


@pytest.mark.parametrize("word", ["QUARTER", "ärger", "1.TXT", "note", "begin"])
async def test_a_search_finds_title_name_kind_and_beginning(cabinet, word):
    await cabinet.file(title="Quarter ÄRGER", preview="How it begins")
    await cabinet.file(n=2, title="other", preview="else")
    found = await cabinet.g.read(
        lambda rx: artifacts.listed(rx, cabinet.g.company, {}, limit=9, search=word)
    )
    assert "1.txt" in [row.filename for row in found]
    assert len(found) == (2 if word == "note" else 1)


async def test_a_page_of_a_search_looks_at_so_many_rows(cabinet, monkeypatch):
    monkeypatch.setattr(artifacts, "MAX_SEARCHED", 2)
    for n in range(5):
        await cabinet.file(n=n, title="found" if n in (0, 4) else "other")
    floors = [
        await cabinet.g.read(artifacts.search_floor, cabinet.g.company, b) for b in (None, 4, 2)
    ]
    assert floors == [4, 2, 0]
    found = []
    for before, floor in ((None, 4), (4, 2), (2, 0)):
        rows = await cabinet.g.read(
            lambda rx, before=before, floor=floor: artifacts.listed(
                rx, cabinet.g.company, {}, limit=9, before=before, floor=floor, search="found"
            )
        )
        found.append([row.filename for row in rows])
    assert found == [["4.txt"], [], ["0.txt"]]


async def test_a_token_in_a_text_is_not_shown(cabinet):
    token = "ec_" + "0a" * 24
    row = await cabinet.file(preview=f"key {token} end")
    preview, search = await cabinet.g.read(artifacts.texts, row.id)
    assert preview == "key ec_[redacted] end"
    assert token not in search

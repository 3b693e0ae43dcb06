"""Wiki documents by their routes, on both engines: versions, edits that cross, the tree."""

import pytest

from homarus.control_plane import wiki
from homarus.records.wiki import MAX_BODY_BYTES, MAX_DEPTH, VERSIONS_KEPT
from tests.support.engines import BOTH
from tests.support.surface import surface

pytestmark = BOTH


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada = await made.agent("ada")
        made.bridge = await made.token(acts_for=[made.ada])
        yield made


async def ask(s, method, path="", body=None, **how):
    path = f"/wiki/docs{path}"
    return await s.call(wiki.ROUTES, method, path, body, **({"token": s.bridge} | how))


async def make(s, title, **body):
    answer = await ask(s, "POST", body={"title": title} | body)
    assert answer.status == 201, answer.text
    return answer.body["doc"]


async def edit(s, doc, base, **body):
    return await ask(s, "PATCH", f"/{doc}", {"baseVersion": base} | body)


async def test_an_edit_names_the_version_that_it_was_made_from(s):
    made = await make(s, "House", body="# One\n")
    assert (made["number"], made["version"], made["body"]) == ("W-1", 1, "# One\n")
    second = await edit(s, "w-1", 1, body="# Two\n")
    assert second.body["doc"]["version"] == 2
    late = await edit(s, made["id"], 1, body="# Mine\n")
    assert (late.status, late.body["code"]) == (409, "wiki.stale")
    assert (await ask(s, "GET", "/W-1")).body["doc"]["body"] == "# Two\n"
    assert (await edit(s, "W-1", 2, body="# Two\n", title="House")).body["doc"]["version"] == 2
    assert len(await s.events("wiki_doc_updated")) == 1


async def test_the_last_versions_are_kept(s):
    made = await make(s, "House", body="1")
    for version in range(1, VERSIONS_KEPT + 2):
        await edit(s, "W-1", version, body=str(version + 1))
    kept = (await ask(s, "GET", "/W-1/versions")).body["versions"]
    assert [row["version"] for row in kept] == list(range(VERSIONS_KEPT + 2, 2, -1))
    old = await ask(s, "GET", f"/{made['id']}", query={"version": "3"})
    assert (old.body["doc"]["body"], old.body["doc"]["version"]) == ("3", 3)
    for number, status in (("1", 404), ("x", 400), ("9" * 20, 400)):
        gone = await ask(s, "GET", "/W-1", query={"version": number})
        assert (gone.status, gone.body["code"]) == (status, "wiki.version")


REFUSED = (
    ({"title": " "}, "wiki.title"),
    ({"title": "x" * 201}, "wiki.title"),
    ({"title": "a\nb"}, "wiki.title"),
    ({"body": "ä" * (MAX_BODY_BYTES // 2) + "x"}, "wiki.body"),
    ({"body": "a\0b"}, "wiki.body"),
    ({"parentId": "W-9"}, "wiki.unknown"),
    ({"parentId": "rules/house.md"}, "wiki.unknown"),
)  # fmt: skip


async def test_bad_input_writes_nothing(s):
    await make(s, "House")
    for given, code in REFUSED:
        assert (await ask(s, "POST", body={"title": "Garden"} | given)).body["code"] == code, given
        assert (await edit(s, "W-1", 1, **given)).body["code"] == code, given
    [only] = (await ask(s, "GET")).body["docs"]
    assert (only["title"], only["version"]) == ("House", 1)


async def test_a_change_says_what_and_from_where(s):
    await make(s, "House")
    assert (await edit(s, "W-1", 1)).body["code"] == "wiki.nothing"
    none = await ask(s, "PATCH", "/W-1", {"body": "x"})
    assert none.body["code"] == "request.schema"


async def test_the_tree_has_a_depth_and_no_cycle(s):
    for level in range(MAX_DEPTH):
        await make(s, f"level {level}", parentId=f"W-{level}" if level else None)
    deep = await ask(s, "POST", body={"title": "more", "parentId": f"W-{MAX_DEPTH}"})
    assert deep.body["code"] == "wiki.depth"
    for parent in ("W-1", "W-3"):
        assert (await edit(s, "W-1", 1, parentId=parent)).body["code"] == "wiki.cycle"
    other = await make(s, "other")
    assert (await edit(s, "W-1", 1, parentId=other["id"])).body["code"] == "wiki.depth"
    assert (await edit(s, "W-2", 1, parentId=None)).body["doc"]["parentId"] is None
    assert (await edit(s, "W-1", 1, parentId=other["id"])).status == 200
    full = await ask(s, "DELETE", f"/{other['number']}")
    assert (full.status, full.body["code"]) == (409, "wiki.children")
    assert (await ask(s, "DELETE", "/W-1")).status == 200
    assert (await ask(s, "DELETE", f"/{other['number']}")).status == 200
    assert (await ask(s, "GET", "/W-1")).body["code"] == "wiki.unknown"


async def test_scans_search_titles_and_bodies(s):
    await make(s, "Travel 50%", body="Book early")
    await make(s, "House", body="Keep the DOOR shut", parentId="W-1")
    await make(s, "Other", body="nothing")

    async def found(**query):
        docs = (await ask(s, "GET", query=query)).body["docs"]
        assert all("body" not in row for row in docs)
        return [row["number"] for row in docs]

    assert await found() == ["W-3", "W-2", "W-1"]
    assert await found(search="50%") == ["W-1"]
    assert await found(search="the door") == ["W-2"]
    assert await found(parentId="W-1") == ["W-2"]
    assert await found(parentId="root", limit="1") == ["W-3"]
    assert await found(cursor="3") == ["W-2", "W-1"]

"""Folders and references by their routes, on both engines: who may, pages, one company each."""

import pytest

from homarus.control_plane import artifacts, folders
from tests.support.engines import BOTH
from tests.support.surface import surface

pytestmark = BOTH
ROUTES = (*artifacts.ROUTES, *folders.ROUTES)


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada = await made.agent("ada")
        made.bridge = await made.token(acts_for=[made.ada])
        made.agents_own = await made.token("agent", agent=made.ada)
        made.viewer = await made.mint("", kind="operator", name="v", role="viewer")
        yield made


async def ask(s, method, path, body=None, **how):
    return await s.call(ROUTES, method, path, body, **({"token": s.bridge} | how))


async def make(s, name, **body):
    answer = await ask(s, "POST", "/folders", {"name": name} | body)
    assert answer.status == 201, answer.text
    return answer.body["folder"]


async def record(s, name, **body):
    full = {"kind": "note", "contentType": "text/plain", "originalFilename": name} | body
    answer = await ask(s, "POST", "/artifacts", full)
    assert answer.status == 201, answer.text
    return answer.body["artifact"]


async def test_a_tree_is_made_listed_and_moved(s):
    project = await s.project()
    top = await make(s, "top", projectId=project)
    low = await make(s, "low", parentFolderId=top["id"])
    row = await record(s, "a.txt", projectId=project, folderId=low["id"])
    assert (low["path"], row["path"]) == ("top/low", "top/low/a.txt")
    listed = await ask(s, "GET", "/folders", query={"projectId": project})
    assert [one["path"] for one in listed.body["folders"]] == ["top/low", "top"]
    shown = await ask(s, "GET", f"/folders/{low['id']}/contents")
    assert [one["path"] for one in shown.body["artifacts"]] == ["top/low/a.txt"]
    moved = await ask(s, "PATCH", f"/folders/{low['id']}", {"parentFolderId": None})
    assert moved.body["folder"]["path"] == "low"
    found = await ask(s, "GET", "/artifacts", query={"search": "A.TX", "folderId": low["id"]})
    assert [one["path"] for one in found.body["artifacts"]] == ["low/a.txt"]
    twin = await ask(s, "POST", "/folders", {"name": "top", "projectId": project})
    assert (twin.status, twin.body["code"]) == (409, "folder.exists")


async def test_what_has_no_project_gets_that_of_its_folder(s):
    customer = await s.call(
        ROUTES, "POST", "/folders", {"name": "x", "customerId": "nothing"}, token=s.bridge
    )
    assert customer.body["code"] == "customer.unknown"
    project, other = await s.project(), await s.project("other")
    top = await make(s, "top", projectId=project)
    body = {"kind": "note", "contentType": "text/plain", "projectId": other, "folderId": top["id"]}
    assert (await ask(s, "POST", "/artifacts", body)).body["code"] == "folder.scope"
    row = await record(s, "a.txt", projectId=project)
    path = f"/artifacts/{row['id']}"
    assert (await ask(s, "PATCH", f"{path}/move", {"folderId": top["id"]})).status == 200
    again = await ask(s, "PATCH", path, {"projectId": other})
    assert again.body["code"] == "artifact.scope"


async def test_pages_of_contents_go_on_where_they_ended(s):
    project = await s.project()
    top = await make(s, "top", projectId=project)
    for n in range(3):
        await record(s, f"{n}.txt", projectId=project, folderId=top["id"])
        await make(s, f"f{n}", parentFolderId=top["id"])
    path = f"/folders/{top['id']}/contents"
    first = (await ask(s, "GET", path, query={"limit": "2"})).body
    more = {"cursor": first["nextCursor"], "folderCursor": first["nextFolderCursor"]}
    rest = (await ask(s, "GET", path, query={"limit": "2"} | more)).body
    names = [one["name"] for one in first["folders"] + rest["folders"]]
    files = [one["originalFilename"] for one in first["artifacts"] + rest["artifacts"]]
    assert (names, files) == (["f2", "f1", "f0"], ["2.txt", "1.txt", "0.txt"])
    assert (rest["nextCursor"], rest["nextFolderCursor"]) == (None, None)


@pytest.mark.parametrize(
    ("who", "create", "quota"),
    [("owner", 201, 200), ("bridge", 201, 403), ("agents_own", 201, 403), ("viewer", 403, 403)],
)
async def test_who_may(s, who, create, quota):
    token = getattr(s, who)
    made = await ask(s, "POST", "/folders", {"name": who}, token=token)
    assert made.status == create
    room = await ask(s, "PATCH", "/storage", {"quotaBytes": 5}, token=token)
    assert room.status == quota
    assert (await ask(s, "GET", "/storage", token=token)).status == 200


async def test_a_company_sees_its_own_folders_only(s):
    top = await make(s, "top")
    there = {"token": s.owner, "company": await s.other_company()}
    for method, path, body in (
        ("GET", f"/folders/{top['id']}", None),
        ("GET", f"/folders/{top['number']}", None),
        ("PATCH", f"/folders/{top['id']}", {"name": "x"}),
        ("POST", "/folders", {"name": "x", "parentFolderId": top["id"]}),
    ):
        assert (await ask(s, method, path, body, **there)).body["code"] == "folder.unknown"
    assert (await ask(s, "GET", "/folders", **there)).body["folders"] == []
    assert (await ask(s, "POST", "/folders", {"name": "top"}, **there)).status == 201

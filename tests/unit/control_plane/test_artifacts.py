"""Uploads and downloads: content on disk before its row, nothing left of a failure."""

import hashlib
import json
import os

import pytest

from homarus.base.errors import Conflict, HomarusError, NotFound, Refused, TooLarge
from homarus.company import projects
from homarus.control_plane import artifacts as routes
from homarus.control_plane import folders as folder_routes
from homarus.control_plane import upload
from homarus.control_plane.artifact_create import ReferenceBody, created, uploaded
from homarus.dispatch.maintenance import Maintenance, Periods
from homarus.records import artifacts, emptying, folders, quota, sweep, versions
from homarus.records.blobs import MAX_FILE_BYTES, SWEEP_AGE_S, Blobs
from homarus.records.folders import Scope
from homarus.testing.ground import Ground, ground
from homarus.testing.streams import BOUNDARY, BodyStream, call, multipart

CONTENT = b"# Report\n\nAll is well.\n" * 1_000
SHA = hashlib.sha256(CONTENT).hexdigest()


class Bench(Ground):
    """A ground with blobs and a project."""

    blobs: Blobs
    project: str

    def stream(self, body=b"", *, target="artifact:", capability="artifact.create", **how):
        headers = {
            "content-type": f"multipart/form-data; boundary={BOUNDARY}",
            "content-length": str(len(body)),
        } | how.pop("headers", {})
        size = how.pop("chunk", 65_536)
        chunks = [body[i : i + size] for i in range(0, len(body), size)]
        action = self.action(capability, target, credential=self.owner, system=None)
        return BodyStream(self.store, self.home, self.blobs, action, chunks, headers, **how)

    async def upload(self, fields=None, name="report.md", content=CONTENT, **how):
        body = multipart({"kind": "report"} | (fields or {}), name, content, "text/markdown")
        return json.loads((await uploaded(self.stream(body, **how), call(self.company))).body)

    def files(self):
        return sorted(p.name for p in (self.home / "blobs").rglob("*") if p.is_file())

    async def rows(self):
        return await self.read(lambda rx: artifacts.listed(rx, self.company, {}, limit=100))


@pytest.fixture
async def bench(tmp_path):
    async with ground(tmp_path) as g:
        g.__class__ = Bench
        g.blobs = Blobs(tmp_path / "blobs")
        g.blobs.start()
        g.project = (await g.write("project.create", projects.create, {"goal": "Ship"})).id
        yield g


async def test_upload_list_read_download(bench):
    reply = await bench.upload({"projectId": bench.project, "artifactClass": "deliverable"})
    row = reply["artifact"]
    assert (row["sha256"], row["sizeBytes"], row["originalFilename"]) == (
        SHA, len(CONTENT), "report.md",
    )  # fmt: skip
    assert (row["contentType"], row["importance"], row["number"]) == (
        "text/markdown", "record", "A-1",
    )  # fmt: skip
    listed = json.loads(
        (await bench.read(routes.listed, call(bench.company, query={"kind": "report"}))).body
    )
    assert [(a["id"], a["projectGoal"]) for a in listed["artifacts"]] == [(row["id"], "Ship")]
    file = await routes.downloaded(bench.stream(), call(bench.company, path={"id": row["id"]}))
    headers = dict(file.headers)
    assert file.path.read_bytes() == CONTENT
    assert file.size == len(CONTENT)
    assert headers["content-disposition"].startswith("attachment;")
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("chunk", [1, 7, 65_536])
async def test_any_cut_of_the_body_into_chunks_is_the_same_upload(bench, chunk):
    content = b"--\r\n--x\r\n" + BOUNDARY.encode()
    reply = await bench.upload(content=content, chunk=chunk)
    assert reply["artifact"]["sha256"] == hashlib.sha256(content).hexdigest()


GOOD = multipart({"kind": "report"}, "a.txt", b"x" * 100)
NOWHERE = "00000000-0000-7000-8000-000000000000"


def form(name="a", **fields):
    return multipart({"kind": "r"} | fields, name, b"x")


BAD = [
    ("empty", b"", {}, "upload.truncated"),
    ("cut in the file", GOOD[:-60], {}, "upload.truncated"),
    ("wrong length", GOOD, {"headers": {"content-length": "9999"}}, "upload.truncated"),
    ("huge by header", GOOD, {"headers": {"content-length": str(2**40)}}, "artifact.too_large"),
    ("length no number", GOOD, {"headers": {"content-length": "-5"}}, "upload.malformed"),
    ("client goes away", GOOD[:-60], {"cut": True}, "request.disconnected"),
    ("no multipart", GOOD, {"headers": {"content-type": "text/plain"}}, "upload.malformed"),
    ("no boundary", GOOD, {"headers": {"content-type": "multipart/form-data"}}, "upload.malformed"),
    ("garbage", b"{}" * 50, {}, "upload.malformed"),
    ("no file", multipart({"kind": "r"}, None, b""), {}, "upload.malformed"),
    ("no kind", multipart({}, "a.txt", b"x"), {}, "artifact.kind"),
    ("a path as name", form("../../etc/passwd"), {}, "artifact.file_name"),
    ("no name", form(""), {}, "artifact.file_name"),
    ("an absolute path", form("/etc/passwd"), {}, "artifact.file_name"),
    ("a drive", form("C:x"), {}, "artifact.file_name"),
    ("NUL in the name", form("a\0.txt"), {}, "artifact.file_name"),
    ("a device", form("nul.txt"), {}, "artifact.file_name"),
    ("turned around", form("a\u202etxt.exe"), {}, "artifact.file_name"),
    ("field twice", GOOD.replace(b"\r\n--" + BOUNDARY.encode() + b"--",
        b"\r\n--" + BOUNDARY.encode() + b'\r\nContent-Disposition: form-data; name="kind"\r\n\r\ny'
        b"\r\n--" + BOUNDARY.encode() + b"--"), {}, "upload.malformed"),
    ("huge field", form(title="x" * 70_000), {}, "upload.too_large"),
    ("field not UTF-8", GOOD.replace(b"report", b"\xff\xfe"), {}, "upload.malformed"),
    ("NUL in a field", form(title="a\0b"), {}, "upload.malformed"),
    ("10,000 fields", multipart({"kind": "r"} | {f"f{n}": "" for n in range(10_000)}, "a", b"x"),
     {}, "upload.malformed"),
    ("two files", GOOD[: -len(BOUNDARY) - 6] + multipart({}, "b", b"y"), {},
     "upload.malformed"),
    ("bad checksum", form(checksum="0" * 64), {}, "artifact.checksum"),
    ("bad metadata", form(metadataJson="[1]"), {}, "artifact.metadata"),
    ("deep metadata", form(metadataJson='{"a":' * 5_000), {},
     "artifact.metadata"),
    ("bad class", form(artifactClass="x"), {}, "artifact.class"),
    ("bad type", form(contentType="nope"), {}, "artifact.content_type"),
    ("bad id", form(taskId="7"), {}, "request.bad_id"),
    ("unknown task", form(taskId=NOWHERE),
     {}, "task.unknown"),
    ("unknown project", form(projectId=NOWHERE), {}, "project.unknown"),
    ("a folder", form(folderId="x"), {}, "folder.unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "body", "how", "code"), BAD, ids=[b[0] for b in BAD])
async def test_a_bad_upload_says_what_is_wrong_and_leaves_nothing(bench, what, body, how, code):
    with pytest.raises(HomarusError) as caught:
        await uploaded(bench.stream(body, **how), call(bench.company))
    assert caught.value.code == code
    assert bench.files() == []
    assert await bench.rows() == []


async def test_a_file_over_the_bound_is_refused_while_it_arrives(bench):
    head, tail = multipart({"kind": "r"}, "a", b"@@").split(b"@@")
    stream = bench.stream(head)
    stream.headers = {"content-type": stream.headers["content-type"]}
    sent = 0

    async def endless():
        nonlocal sent
        yield head
        while True:
            sent += 1_048_576
            yield b"\0" * 1_048_576

    stream.chunks = endless
    with pytest.raises(TooLarge, match=r"artifact\.too_large"):
        await uploaded(stream, call(bench.company))
    assert MAX_FILE_BYTES < sent <= MAX_FILE_BYTES + upload.MAX_DRAIN_BYTES + 4 * 1_048_576
    assert bench.files() == []
    assert tail


async def test_the_quota_holds_and_a_delete_gives_room_again(bench):
    await bench.write("storage.quota", quota.set_quota, len(CONTENT) + 10)
    row = (await bench.upload())["artifact"]
    with pytest.raises(TooLarge, match=r"artifact\.quota"):
        await bench.upload(content=b"y" * 11)
    assert bench.files() == [SHA]
    await bench.write("artifact.delete", artifacts.delete, row["id"])
    await bench.upload(content=b"y" * 11)
    assert await bench.read(quota.usage, bench.company) == (11, len(CONTENT) + 10)


async def test_a_refused_upload_leaves_no_content(bench):
    with pytest.raises(Refused):
        await bench.upload(capability="task.expire")
    assert bench.files() == []


async def test_the_same_key_uploads_once(bench):
    first = await bench.upload(key="k1")
    again = await bench.upload(key="k1")
    assert again == first
    assert len(await bench.rows()) == 1
    assert bench.files() == [SHA]


async def test_an_artifact_of_a_task_brings_its_project_and_is_evidence(bench):
    from tests.unit.control_plane.work import make_task

    task = await make_task(bench, bench.project)
    row = (await bench.upload({"taskId": task.id}))["artifact"]
    assert (row["taskId"], row["projectId"]) == (task.id, bench.project)
    assert await bench.read(artifacts.of_task, task.id) == [("report", row["id"])]


async def test_purge_removes_the_content_only_with_its_last_artifact(bench):
    one = (await bench.upload(name="a.md"))["artifact"]
    two = (await bench.upload(name="b.md"))["artifact"]
    for row, left in ((one, [SHA]), (two, [])):
        stream = bench.stream(capability="artifact.delete", target=f"artifact:{row['id']}")
        reply = await routes.purged(stream, call(bench.company, path={"id": row["id"]}))
        assert json.loads(reply.body)["success"] is True
        assert bench.files() == left


async def test_the_sweep_takes_old_contents_without_a_row_and_no_others(bench):
    await bench.upload()
    orphan = bench.blobs.draft()
    orphan.write(b"written before a crash")
    orphan_sha = orphan.keep()
    for sha in (SHA, orphan_sha):
        path = bench.blobs.path(sha)
        at = path.stat().st_mtime - SWEEP_AGE_S - 1
        os.utime(path, (at, at))
    assert await sweep.sweep(bench.store, bench.blobs) == 1
    assert bench.files() == [SHA]


async def test_a_damaged_content_is_not_sent(bench):
    row = (await bench.upload())["artifact"]
    bench.blobs.path(SHA).write_bytes(b"other")
    with pytest.raises(HomarusError, match=r"artifact\.blob_damaged"):
        await routes.downloaded(bench.stream(), call(bench.company, path={"id": row["id"]}))


REFERENCES = [
    ({"content_text": "x"}, "artifact.content_text"),
    ({"project_id": None}, "artifact.about"),
    ({"storage_url": "s3://b/k"}, "artifact.reference"),
    ({"sha256": "zz"}, "artifact.checksum"),
    ({"size_bytes": -1}, "artifact.size"),
    ({"visibility": "everyone"}, "artifact.visibility"),
]


@pytest.mark.parametrize(("change", "code"), REFERENCES)
async def test_a_bad_reference_is_refused(bench, change, code):
    good = {"kind": "report", "content_type": "text/plain", "project_id": bench.project}
    body = ReferenceBody(**(good | change))
    with pytest.raises(HomarusError) as caught:
        await bench.write("artifact.create", created, call(bench.company, body=body))
    assert caught.value.code == code


async def test_a_reference_is_recorded_and_not_downloaded(bench):
    body = ReferenceBody(
        kind="report", content_type="text/plain", project_id=bench.project,
        sha256="a" * 64, size_bytes=5, storage_url="s3://bucket/key",
    )  # fmt: skip
    reply = await bench.write("artifact.create", created, call(bench.company, body=body))
    row = json.loads(reply.body)["artifact"]
    assert (reply.status, row["storageUrl"]) == (201, "s3://bucket/key")
    with pytest.raises(Conflict, match=r"artifact\.reference"):
        await routes.downloaded(bench.stream(), call(bench.company, path={"id": row["id"]}))
    with pytest.raises(NotFound):
        await bench.read(routes.read, call("another", path={"id": row["id"]}))


async def test_pages_of_the_list_follow_each_other(bench):
    for n in range(5):
        await bench.upload(name=f"{n}.md", content=b"%d" % n)
    seen, cursor = [], ""
    for _ in range(3):
        query = {"limit": "2", "cursor": cursor}
        page = json.loads((await bench.read(routes.listed, call(bench.company, query=query))).body)
        seen += [a["originalFilename"] for a in page["artifacts"]]
        cursor = page["nextCursor"]
    assert seen == [f"{n}.md" for n in (4, 3, 2, 1, 0)]
    assert cursor is None


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"search": "B.M"}, ["b.md"]),
        ({"search": "%"}, []),
        ({"startDate": "2026-01-01"}, ["b.md", "a.md"]),
        ({"endDate": "2026-01-01"}, []),
        ({"folderId": "00000000-0000-7000-8000-000000000000"}, []),
        ({"folderId": "root"}, ["b.md", "a.md"]),
        ({"search": "all is WELL"}, ["b.md", "a.md"]),
        ({"endDate": "2026-01-02"}, ["b.md", "a.md"]),
        ({"endDate": "2026-01-02T03:00:00.000Z"}, ["b.md", "a.md"]),
        ({"endDate": "2026-01-02T02:59:59.999Z"}, []),
        ({"isCanonical": "true"}, []),
    ],
)
async def test_filters(bench, query, names):
    for name in ("a.md", "b.md"):
        await bench.upload(name=name)
    page = json.loads((await bench.read(routes.listed, call(bench.company, query=query))).body)
    assert [a["originalFilename"] for a in page["artifacts"]] == names


# -- replaced and removed contents on disk -------------------------------------------------

SECOND = b"another content"
SECOND_SHA = hashlib.sha256(SECOND).hexdigest()


async def replace(bench, ref, content=SECOND, fields=None, **how):
    body = multipart(fields or {}, "report.md", content, "text/markdown")
    stream = bench.stream(body, capability="artifact.update", target=f"artifact:{ref}", **how)
    reply = await routes.replaced(stream, call(bench.company, path={"id": ref}))
    return json.loads(reply.body)["artifact"]


async def purge(bench, ref, query=None):
    stream = bench.stream(capability="artifact.delete", target=f"artifact:{ref}")
    await routes.purged(stream, call(bench.company, path={"id": ref}, query=query or {}))


async def swept(bench):
    """The files that a sweep leaves when everything is old enough."""
    for sha in bench.files():
        path = bench.blobs.path(sha)
        at = path.stat().st_mtime - SWEEP_AGE_S - 1
        os.utime(path, (at, at))
    await sweep.sweep(bench.store, bench.blobs)
    return bench.files()


async def test_a_replaced_content_stays_on_disk_as_long_as_its_version(bench):
    row = (await bench.upload())["artifact"]
    await replace(bench, row["id"])
    assert await swept(bench) == sorted([SHA, SECOND_SHA])
    await purge(bench, row["id"])
    assert bench.files() == []


async def test_a_content_that_is_not_purged_goes_with_the_sweep(bench):
    row = (await bench.upload())["artifact"]
    await purge(bench, row["id"], {"purgeStorage": "false"})
    assert bench.files() == [SHA]
    assert await swept(bench) == []


async def test_what_pushes_a_version_out_takes_its_content(bench):
    row = (await bench.upload())["artifact"]
    for n in range(versions.MAX_VERSIONS + 1):
        await replace(bench, row["id"], b"%d" % n)
    assert SHA not in await swept(bench)
    assert len(bench.files()) == versions.MAX_VERSIONS + 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"checksum": "0" * 64}, "artifact.checksum"),
        ({"contentType": "x"}, "artifact.content_type"),
    ],
)
async def test_a_bad_replacement_leaves_the_content_as_it_was(bench, fields, code):
    row = (await bench.upload())["artifact"]
    with pytest.raises(HomarusError) as caught:
        await replace(bench, row["id"], fields=fields)
    assert caught.value.code == code
    assert bench.files() == [SHA]
    assert (await bench.rows())[0].version == 1


async def test_a_replacement_of_nothing_is_refused_before_its_body_is_read(bench):
    stream = bench.stream(b"never read", headers={"content-length": str(2**30)})

    async def chunks():
        raise AssertionError("the body was read")
        yield b""

    stream.chunks = chunks
    with pytest.raises(NotFound, match=r"artifact\.unknown"):
        await routes.replaced(stream, call(bench.company, path={"id": NOWHERE}))


async def test_an_upload_that_declares_too_much_is_refused_before_its_body_is_read(bench):
    stream = bench.stream(b"never read", headers={"content-length": str(2 * 1_073_741_824)})

    async def chunks():
        raise AssertionError("the body was read")
        yield b""

    stream.chunks = chunks
    with pytest.raises(TooLarge, match=r"artifact\.too_large"):
        await uploaded(stream, call(bench.company))


# -- removed folders -----------------------------------------------------------------------


async def make_tree(bench):
    """A folder in a folder, with an artifact in each; the ids of the folders."""
    top = await bench.write("folder.create", folders.create, "top", None, Scope())
    low = await bench.write("folder.create", folders.create, "low", top.id, Scope())
    await bench.upload({"folderId": top.id})
    await bench.upload({"folderId": low.number}, content=SECOND)
    return top.id, low.id


async def test_a_removed_folder_takes_its_bytes_with_it(bench):
    top, _ = await make_tree(bench)
    await bench.upload(name="outside.md", content=SECOND)
    stream = bench.stream(capability="folder.delete", target=f"folder:{top}")
    reply = await folder_routes.removed(stream, call(bench.company, path={"id": top}))
    assert json.loads(reply.body)["success"] is True
    assert bench.files() == [SECOND_SHA]
    assert [row.filename for row in await bench.rows()] == ["outside.md"]
    assert await bench.read(emptying.due, 10) == []


async def test_a_removal_that_was_cut_off_is_finished_by_the_maintenance_worker(bench):
    top, low = await make_tree(bench)
    await bench.write("folder.delete", folders.remove, top)
    for folder in (top, low):
        with pytest.raises(NotFound):
            await bench.read(folders.need, bench.company, folder)
    work = Maintenance(
        bench.store, bench.kernel, bench.clock, bench.home / "run", Periods(), bench.blobs
    )
    await work.empty_folders()
    assert await bench.rows() == []
    assert (await bench.read(quota.usage, bench.company))[0] == 0
    assert await swept(bench) == []
    await work.empty_folders()


async def test_a_removed_folder_leaves_a_receipt_of_who_and_of_the_worker(bench):
    top, _ = await make_tree(bench)
    stream = bench.stream(capability="folder.delete", target=f"folder:{top}")
    await folder_routes.removed(stream, call(bench.company, path={"id": top}))
    rows = await bench.read(
        lambda rx: rx.all(
            "select capability, actor from receipt where capability like 'folder.%' "
            "and capability<>'folder.create' order by seq"
        )
    )
    assert [row[0] for row in rows] == ["folder.delete", "folder.empty"]
    assert [row[1].partition(":")[0] for row in rows] == ["operator", "system"]


async def test_the_same_key_removes_a_folder_once_and_answers_twice(bench):
    top, _ = await make_tree(bench)
    answers = []
    for _ in range(2):
        stream = bench.stream(capability="folder.delete", target=f"folder:{top}", key="k")
        reply = await folder_routes.removed(stream, call(bench.company, path={"id": top}))
        answers.append(reply.body)
    assert answers[0] == answers[1]

"""Contract, section 10: artifacts and folders."""

import contextlib
import hashlib
import io
import itertools
import json
import socket
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
import pytest

from tests.contract_control_plane.wire import Answer, Wire, frame

NOWHERE = "00000000-0000-7000-8000-000000000000"
TEXT = b"# Report\n\nAll is well.\n"
GIB = 1_073_741_824
ROW = {
    "id", "companyId", "projectId", "taskId", "folderId", "customerId", "agentId", "path", "title",
    "kind", "artifactClass", "importance", "contentType", "contentText", "previewText",
    "searchText", "storageUrl", "storageProvider", "storageKey", "originalFilename", "sourceKind",
    "sourceRef", "sha256", "sizeBytes", "createdByType", "createdById", "visibility", "isCanonical",
    "promotedAt", "metadataJson", "retentionPolicy", "createdAt", "updatedAt", "deletedAt",
}  # fmt: skip
FOLDER = {
    "id", "companyId", "parentFolderId", "projectId", "customerId", "agentId", "kind", "name",
    "path", "metadataJson", "createdAt", "updatedAt", "deletedAt",
}  # fmt: skip
_n = itertools.count(1)


def send(
    wire: Wire,
    name: str = "report.md",
    content: bytes = TEXT,
    type_: str = "text/markdown",
    *,
    key: str | None = "",
    **fields: str,
) -> Answer:
    return wire.call(
        "POST", "/artifacts/upload", key=key, data={"kind": "report"} | fields,
        files={"file": (name, content, type_)},
    )  # fmt: skip


def upload(wire: Wire, *args: Any, **fields: str) -> dict[str, Any]:
    made = send(wire, *args, **fields)
    assert made.status == 201, made.body
    return dict(made["artifact"])


def replace(
    wire: Wire, artifact: str, content: bytes, name: str = "report.md", **more: Any
) -> Answer:
    return wire.call(
        "PATCH", f"/artifacts/{artifact}/replace", key=None, data=more,
        files={"file": (name, content, "text/markdown")},
    )  # fmt: skip


def folder(wire: Wire, name: str = "", **fields: Any) -> dict[str, Any]:
    made = wire.post("/folders", {"name": name or f"folder-{next(_n)}"} | fields, key=None)
    assert made.status == 201, made.body
    return dict(made["folder"])


def ids(answer: Answer, noun: str = "artifacts") -> list[str]:
    assert answer.status == 200, answer.body
    return [row["id"] for row in answer[noun]]


def used(wire: Wire) -> int:
    return int(wire.get("/storage")["storage"]["usedBytes"])


def raw(
    wire: Wire, head: dict[str, str], body: bytes = b"", *, end: bool = False
) -> tuple[int, Any]:
    """A request with exactly these headers and bytes; `(status, JSON)`. `end`: then no more."""
    at = urlsplit(wire.url)
    fields = {
        "Host": "x",
        "Authorization": f"Bearer {wire.token}",
        "Idempotency-Key": f"k{next(_n)}",
    }
    lines = [f"{name}: {value}" for name, value in (fields | head).items()]
    text = "POST /api/mcp/artifacts/upload HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n"
    with socket.create_connection((at.hostname, at.port), timeout=20) as sock:
        sock.sendall(text.encode() + body)
        if end:
            sock.shutdown(socket.SHUT_WR)
        got = b""
        while b"\r\n\r\n" not in got:
            chunk = sock.recv(65_536)
            if not chunk:
                return 0, None
            got += chunk
        top, _, rest = got.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in top.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        while len(rest) < length:
            rest += sock.recv(65_536)
    return int(top.split()[1]), json.loads(rest) if rest.startswith(b"{") else None


def form(*parts: tuple[str, bytes]) -> bytes:
    """A multipart body of `(disposition, content)` with the boundary `x`."""
    made = b"".join(
        b"--x\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + body + b"\r\n"
        for head, body in parts
    )
    return made + b"--x--\r\n"


KIND = ('name="kind"', b"r")


def post_form(wire: Wire, body: bytes) -> tuple[int, Any]:
    head = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(len(body))}
    return raw(wire, head, body)


# -- POST /artifacts/upload ----------------------------------------------------------------


def test_an_upload_answers_201_with_every_field_of_the_row(wire: Wire) -> None:
    made = send(wire, title="May")
    assert (made.status, set(made.body)) == (201, {"message", "artifact"})
    row = made["artifact"]
    assert set(row) >= ROW
    assert row["sha256"] == hashlib.sha256(TEXT).hexdigest()
    assert (row["sizeBytes"], row["originalFilename"], row["path"]) == (
        len(TEXT), "report.md", "report.md",
    )  # fmt: skip
    assert (row["storageProvider"], row["sourceKind"], row["contentText"]) == (
        "local", "upload", None,
    )  # fmt: skip
    assert (row["visibility"], row["isCanonical"], row["promotedAt"]) == ("private", False, None)
    assert row["previewText"] == TEXT.decode()
    assert "all is well" in row["searchText"] and "may" in row["searchText"]


def test_an_upload_enforces_its_key_and_is_stored_once(wire: Wire) -> None:
    assert send(wire, key=None).status == 400
    before = used(wire)
    key = f"upload-{next(_n)}"
    first, again = send(wire, key=key), send(wire, key=key)
    assert first["artifact"] == again["artifact"]
    assert used(wire) == before + len(TEXT)


@pytest.mark.parametrize(
    "given, klass, importance",
    [
        ({}, "working_file", "operational"),
        ({"artifactClass": "source_document"}, "source_document", "operational"),
        ({"artifactClass": "proof"}, "proof", "operational"),
        ({"artifactClass": "template"}, "template", "operational"),
        ({"artifactClass": "deliverable"}, "deliverable", "record"),
        ({"artifactClass": "export_bundle"}, "export_bundle", "record"),
        ({"artifactClass": "deliverable", "importance": "temporary"}, "deliverable", "temporary"),
        ({"importance": "canonical"}, "working_file", "canonical"),
    ],
)
def test_classes_and_importance(
    wire: Wire, given: dict[str, str], klass: str, importance: str
) -> None:
    row = upload(wire, **given)
    assert (row["artifactClass"], row["importance"]) == (klass, importance)


def test_all_optional_fields_are_kept(wire: Wire) -> None:
    project, agent = wire.project()["id"], wire.agent()
    inside = folder(wire, projectId=project)
    row = upload(
        wire, projectId=project, folderId=inside["id"], agentId=agent["name"], title="T",
        contentType="text/x-report", metadataJson='{"a": [1]}', visibility="company",
        retentionPolicy="1y", checksum="sha256:" + hashlib.sha256(TEXT).hexdigest(),
    )  # fmt: skip
    expected = {
        "projectId": project, "folderId": inside["id"], "agentId": agent["id"], "title": "T",
        "contentType": "text/x-report", "metadataJson": {"a": [1]}, "visibility": "company",
        "retentionPolicy": "1y", "path": f"{inside['path']}/report.md", "createdByType": "agent",
        "createdById": agent["id"],
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def test_an_artifact_of_a_task_carries_its_project_and_customer(wire: Wire) -> None:
    customer = wire.customer()["id"]
    project = wire.project(customerId=customer)["id"]
    task = wire.task(project)["id"]
    row = upload(wire, taskId=task)
    assert (row["taskId"], row["projectId"], row["customerId"]) == (task, project, customer)
    other, elsewhere = wire.customer()["id"], wire.project()["id"]
    assert send(wire, taskId=task, customerId=other).status == 400
    assert send(wire, taskId=task, projectId=elsewhere).status == 400


FILE = 'name="file"; filename="a.txt"'
BAD = [
    ("no kind", form((FILE, b"y")), 400),
    ("no file", form(KIND), 400),
    ("a file that is a field", form(KIND, ('name="file"', b"y")), 400),
    ("two files", form(KIND, (FILE, b"y"), (FILE, b"z")), 400),
    ("another file", form(KIND, (FILE, b"y"), ('name="more"; filename="b"', b"z")), 400),
    ("a field twice", form(KIND, KIND, (FILE, b"y")), 400),
    ("10,000 fields",
     form(KIND, *((f'name="f{n}"', b"") for n in range(10_000)), (FILE, b"y")), 400),
    ("a huge field", form(KIND, ('name="title"', b"x" * 70_000), (FILE, b"y")), 413),
    ("fields beyond their bound",
     form(KIND, *((f'name="f{n}"', b"x" * 60_000) for n in range(20)), (FILE, b"y")), 413),
    ("truncated", form(KIND, (FILE, b"y" * 100))[:-60], 400),
    ("NUL in a field", form(KIND, ('name="title"', b"a\0b"), (FILE, b"y")), 400),
    ("not UTF-8", form(KIND, ('name="title"', b"\xff"), (FILE, b"y")), 400),
    ("bad checksum", form(KIND, ('name="checksum"', b"0" * 64), (FILE, b"y")), 400),
    ("checksum no SHA-256", form(KIND, ('name="checksum"', b"abc"), (FILE, b"y")), 400),
    ("bad metadata", form(KIND, ('name="metadataJson"', b"[1]"), (FILE, b"y")), 400),
    ("bad class", form(KIND, ('name="artifactClass"', b"x"), (FILE, b"y")), 400),
    ("bad importance", form(KIND, ('name="importance"', b"x"), (FILE, b"y")), 400),
    ("bad visibility", form(KIND, ('name="visibility"', b"x"), (FILE, b"y")), 400),
    ("bad type", form(KIND, ('name="contentType"', b"x"), (FILE, b"y")), 400),
    ("type with a line break",
     form(KIND, ('name="contentType"', b"a/b\r\nX: y"), (FILE, b"y")), 400),
    *((f"unknown {name}", form(KIND, (f'name="{name}"', NOWHERE.encode()), (FILE, b"y")), 404)
      for name in ("projectId", "taskId", "customerId", "folderId", "agentId")),
    *((f"no id in {name}", form(KIND, (f'name="{name}"', b"7"), (FILE, b"y")), 400)
      for name in ("projectId", "taskId", "customerId")),
    *((f"named {name!r}", form(KIND, (f'name="file"; filename="{name}"', b"y")), 400)
      for name in ("", "..", "../../x", "/etc/passwd", "c:x", "a\0b", "NUL", "con.txt",
                   "x" * 256, "cod\u202eexe.txt")),
    ("an empty body", b"", 400),
    ("garbage", b"\0\xff" * 500, 400),
]  # fmt: skip


@pytest.mark.parametrize("what, body, status", BAD, ids=[row[0][:40] for row in BAD])
def test_a_bad_upload_is_refused_and_leaves_nothing(
    wire: Wire, what: str, body: bytes, status: int
) -> None:
    before = ids(wire.get("/artifacts")), used(wire)
    got, said = post_form(wire, body)
    assert got == status, (what, said)
    assert said["error"] and said["code"]
    assert (ids(wire.get("/artifacts")), used(wire)) == before


@pytest.mark.parametrize("noun", ["projectId", "taskId", "customerId", "folderId"])
def test_links_of_another_company_are_unknown(
    wire: Wire, found: Callable[..., Wire], noun: str
) -> None:
    other = found()
    project = other.project()["id"]
    links = {
        "projectId": project,
        "taskId": other.task(project)["id"],
        "customerId": other.customer()["id"],
        "folderId": folder(other)["id"],
    }
    before = used(wire)
    assert send(wire, **{noun: links[noun]}).status == 404
    assert used(wire) == before
    theirs = upload(other)["id"]
    for answer in (
        wire.get(f"/artifacts/{theirs}"),
        wire.get(f"/artifacts/{theirs}/download"),
        wire.get(f"/artifacts/{theirs}/versions"),
        wire.patch(f"/artifacts/{theirs}", {"title": "x"}),
        wire.patch(f"/artifacts/{theirs}/move", {"name": "x"}),
        replace(wire, theirs, b"x"),
        wire.delete(f"/artifacts/{theirs}"),
        wire.delete(f"/artifacts/{theirs}/delete"),
        wire.get(f"/folders/{links['folderId']}"),
        wire.get(f"/folders/{links['folderId']}/contents"),
        wire.patch(f"/folders/{links['folderId']}", {"name": "x"}),
        wire.delete(f"/folders/{links['folderId']}"),
        wire.post("/folders", {"name": "x", "parentFolderId": links["folderId"]}),
    ):
        assert answer.status == 404, answer.body
    assert ids(wire.get(f"/artifacts?folderId={links['folderId']}")) == []
    other.close()


def test_a_wrong_content_length_keeps_nothing(wire: Wire) -> None:
    before = used(wire)
    body = form(KIND, (FILE, b"y" * 1_000))
    head = {"Content-Type": "multipart/form-data; boundary=x"}
    shorter, _ = raw(wire, head | {"Content-Length": str(len(body) + 500)}, body, end=True)
    assert shorter in (0, 400)  # the client went away: nobody listens
    longer, _ = raw(wire, head | {"Content-Length": str(len(body) - 50)}, body)
    assert longer == 400
    refused, _ = raw(wire, head | {"Content-Length": "-5"}, body)
    assert refused == 400
    assert used(wire) == before


def test_a_windows_path_is_cut_to_its_name(wire: Wire) -> None:
    """As old browsers send it; the form's parser does so. Nothing of the path is kept."""
    status, said = post_form(wire, form(KIND, (r'name="file"; filename="C:\\dir\\x.txt"', b"y")))
    assert (status, said["artifact"]["originalFilename"]) == (201, "x.txt")


def test_two_gigabytes_are_refused_before_a_byte_is_read(wire: Wire) -> None:
    """No body is sent at all: the answer comes from the declared length."""
    head = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(2 * GIB)}
    status, said = raw(wire, head)
    assert (status, said["code"]) == (413, "artifact.too_large")


def test_a_stream_without_a_length_is_refused_at_the_bound(wire: Wire) -> None:
    """2 GiB generated, chunked: the daemon stops reading a little after 100 MiB."""
    sent = 0
    start, _, end = form(KIND, (FILE, b"@@")).partition(b"@@")

    def endless() -> Any:
        nonlocal sent
        yield start
        for _ in range(2 * GIB // 1_048_576):
            sent += 1_048_576
            yield bytes(1_048_576)
        yield end

    head = {"Content-Type": "multipart/form-data; boundary=x"}
    with contextlib.suppress(httpx2.TransportError):  # closed while the client still sends
        assert wire.post("/artifacts/upload", content=endless(), headers=head).status == 413
    assert 100 * 1_048_576 < sent < 512 * 1_048_576


def test_a_zip_bomb_is_opaque_bytes(wire: Wire) -> None:
    """64 MB in 64 KB: stored, counted and served as they came; no preview, nothing unpacked."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bomb:
        bomb.writestr("zeros", bytes(64_000_000))
    before = used(wire)
    row = upload(wire, "bomb.zip", packed.getvalue(), "application/zip")
    assert used(wire) - before == row["sizeBytes"] == len(packed.getvalue()) < 100_000
    assert row["previewText"] is None
    assert wire.get(f"/artifacts/{row['id']}/download").raw == packed.getvalue()


def test_a_type_that_the_bytes_deny_is_kept_as_declared_and_never_shown(wire: Wire) -> None:
    page = b"<script>alert(1)</script>"
    row = upload(wire, "cat.png", page, "image/png")
    assert (row["contentType"], row["previewText"]) == ("image/png", None)
    for path in (row["id"], upload(wire, "page.html", page, "text/html")["id"]):
        got = wire.get(f"/artifacts/{path}/download")
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["content-disposition"].startswith("attachment;")
        assert "sandbox" in got.headers["content-security-policy"]


# -- quotas --------------------------------------------------------------------------------


def test_a_quota_that_is_full_is_413_and_side_by_side_uploads_stay_below_it(
    owner: Wire, found: Callable[..., Wire]
) -> None:
    small = found()
    person = Wire(owner.url, owner.token, small.id, {"X-Homarus-Company": small.id})
    assert small.get("/storage")["storage"]["quotaBytes"] == GIB
    assert small.patch("/storage", {"quotaBytes": 5 * GIB}).status == 403
    assert person.patch("/storage", {"quotaBytes": -1}).status == 400
    assert person.patch("/storage", {"quotaBytes": 10_000}).status == 200

    def one(n: int) -> int:
        mine = Wire(small.url, small.token)
        try:
            return send(mine, f"{n}.bin", bytes([n]) * 3_000).status
        finally:
            mine.close()

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(one, range(6)))
    assert statuses == [201] * 3 + [413] * 3
    assert used(small) == 9_000
    kept = ids(small.get("/artifacts"))
    assert replace(small, kept[0], b"y" * 1_001).status == 413
    assert replace(small, kept[0], b"y" * 1_000).status == 200
    assert used(small) == 10_000
    assert small.delete(f"/artifacts/{kept[0]}/delete", key=None).body == {"success": True}
    assert used(small) == 6_000
    small.close()


# -- POST /artifacts -----------------------------------------------------------------------

SHA = "a" * 64


def reference(wire: Wire, **more: Any) -> dict[str, Any]:
    return {"kind": "report", "contentType": "text/plain", "projectId": wire.project()["id"]} | more


def test_a_reference_is_recorded_and_not_downloaded(wire: Wire) -> None:
    body = reference(wire, sha256=SHA, sizeBytes=5, storageUrl="s3://b/k", sourceKind="crm")
    made = wire.post("/artifacts", body)
    assert (made.status, set(made.body)) == (201, {"message", "artifact"})
    row = made["artifact"]
    assert set(row) >= ROW
    assert (row["storageUrl"], row["storageProvider"], row["sourceKind"]) == (
        "s3://b/k", None, "crm",
    )  # fmt: skip
    assert wire.get(f"/artifacts/{row['id']}/download").status == 409
    assert replace(wire, row["id"], b"x").status == 409


@pytest.mark.parametrize(
    "more, status",
    [
        ({}, 201),
        ({"contentText": ""}, 201),
        ({"contentText": "x"}, 400),
        ({"projectId": None}, 400),
        ({"kind": None}, 400),
        ({"kind": ""}, 400),
        ({"contentType": None}, 400),
        ({"contentType": "x"}, 400),
        ({"storageUrl": "s3://b/k"}, 400),
        ({"storageUrl": "s3://b/k", "sha256": SHA}, 400),
        ({"storageUrl": "s3://b/k", "sha256": SHA, "sizeBytes": 5}, 201),
        ({"sha256": "zz"}, 400),
        ({"sizeBytes": -1}, 400),
        ({"sizeBytes": 2**60}, 400),
        ({"projectId": NOWHERE}, 404),
        ({"customerId": NOWHERE}, 404),
        ({"taskId": NOWHERE}, 404),
        ({"folderId": NOWHERE}, 404),
        ({"artifactClass": "x"}, 400),
        ({"importance": "x"}, 400),
        ({"originalFilename": "../x"}, 400),
        ({"metadataJson": []}, 400),
    ],
)
def test_rules_of_references(wire: Wire, more: dict[str, Any], status: int) -> None:
    body = {name: value for name, value in reference(wire, **more).items() if value is not None}
    made = wire.post("/artifacts", body)
    assert made.status == status, made.body


def test_a_reference_belongs_to_a_project_or_a_customer(wire: Wire) -> None:
    """Wider than the original: a task alone is enough, since it brings its project."""
    customer, project = wire.customer()["id"], wire.project()["id"]
    task = wire.task(project)["id"]
    plain = {"kind": "note", "contentType": "text/plain"}
    for links, status in (
        ({"customerId": customer}, 201),
        ({"projectId": project, "taskId": task}, 201),
        ({"taskId": task}, 201),
        ({"customerId": customer, "taskId": task}, 201),
        ({"taskId": NOWHERE}, 404),
        ({"projectId": wire.project()["id"], "taskId": task}, 400),
        ({}, 400),
    ):
        assert wire.post("/artifacts", plain | links).status == status, links
    assert wire.post("/artifacts", plain | {"projectId": project}, key=None).status == 400


# -- GET /artifacts ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shelf(found: Callable[..., Wire]) -> Any:
    """A company with two artifacts that differ in all that can be asked for."""
    made = found()
    customer = made.customer()["id"]
    project = made.project("Ship", customerId=customer)["id"]
    task = made.task(project)["id"]
    agent = made.agent()["id"]
    inside = folder(made, "Out", projectId=project)["id"]
    one = upload(
        made, "one.md", b"needle", taskId=task, folderId=inside, agentId=agent, kind="report",
        artifactClass="deliverable",
    )  # fmt: skip
    two = upload(made, "two.png", b"other", "image/png", kind="picture")
    assert made.patch(f"/artifacts/{two['id']}", {"isCanonical": True}).status == 200
    links = {"projectId": project, "taskId": task, "customerId": customer, "agentId": agent}
    yield made, one, two, links | {"folderId": inside}
    made.close()


@pytest.mark.parametrize("name", ["projectId", "taskId", "customerId", "agentId", "folderId"])
def test_lists_by_link(shelf: Any, name: str) -> None:
    wire, one, _, links = shelf
    assert ids(wire.get(f"/artifacts?{name}={links[name]}")) == [one["id"]]
    assert ids(wire.get(f"/artifacts?{name}={NOWHERE}")) == []
    assert wire.get(f"/artifacts?{name}=7").status in (400, 404)


@pytest.mark.parametrize(
    "query, expected",
    [
        ("kind=report", "one"),
        ("kind=picture", "two"),
        ("artifactClass=deliverable", "one"),
        ("importance=record", "one"),
        ("importance=operational", "two"),
        ("contentType=image/png", "two"),
        ("isCanonical=true", "two"),
        ("isCanonical=false", "one"),
        ("search=NEEDLE", "one"),
        ("search=two.PNG", "two"),
        ("search=%25", ""),
        ("folderId=root", "two"),
        ("startDate=2020-01-01", "both"),
        ("startDate=2999-01-01", ""),
        ("endDate=2020-01-01", ""),
        ("endDate=2999-01-01T00:00:00Z", "both"),
        ("kind=report&isCanonical=true", ""),
        ("limit=1", "two"),
        ("limit=nonsense", "both"),
        ("unknown=x", "both"),
    ],
)
def test_lists_by_value(shelf: Any, query: str, expected: str) -> None:
    wire, one, two, _ = shelf
    wanted = {"one": [one], "two": [two], "both": [two, one], "": []}[expected]
    assert ids(wire.get(f"/artifacts?{query}")) == [row["id"] for row in wanted]


@pytest.mark.parametrize("query", ["startDate=soon", "endDate=x", "cursor=x"])
def test_a_bad_filter_is_a_400(shelf: Any, query: str) -> None:
    assert shelf[0].get(f"/artifacts?{query}").status == 400


def test_rows_of_a_list_are_reduced_and_say_goal_and_type(shelf: Any) -> None:
    wire, one, _, _ = shelf
    row = wire.get("/artifacts?kind=report")["artifacts"][0]
    assert set(row) >= ROW - {"contentText", "previewText", "searchText", "metadataJson"}
    assert not set(row) & {"contentText", "previewText", "searchText", "metadataJson"}
    assert (row["projectGoal"], row["taskType"], row["path"]) == (
        "Ship", "release_note", "Out/one.md",
    )  # fmt: skip
    assert row["id"] == one["id"]


def test_weak_spot_27_lists_have_pages(found: Callable[..., Wire]) -> None:
    made = found()
    for n in range(5):
        upload(made, f"{n}.txt", bytes([n]))
        folder(made, f"f{n}")
    for noun, path in (("artifacts", "/artifacts"), ("folders", "/folders")):
        seen: list[str] = []
        cursor: str | None = ""
        for _ in range(4):
            if cursor is None:
                break
            page = made.get(f"{path}?limit=2&cursor={cursor}")
            seen += ids(page, noun)
            cursor = page["nextCursor"]
        assert (len(seen), len(set(seen)), cursor) == (5, 5, None)
    made.close()


# -- GET and PATCH /artifacts/{id} ---------------------------------------------------------


def test_weak_spot_32_an_artifact_can_be_read(wire: Wire) -> None:
    row = upload(wire)
    assert wire.get(f"/artifacts/{row['id']}")["artifact"] == row
    assert wire.get(f"/artifacts/{row['number']}")["artifact"] == row
    assert wire.get(f"/artifacts/{NOWHERE}").status == 404
    assert wire.get("/artifacts/not-an-id").status == 404


def test_weak_spot_32_an_artifact_can_be_changed(wire: Wire) -> None:
    row = upload(wire, artifactClass="deliverable")
    change = {
        "title": "New", "kind": "memo", "artifactClass": "proof", "importance": "canonical",
        "contentType": "text/plain", "isCanonical": True, "visibility": "company",
        "metadataJson": {"b": 2}, "retentionPolicy": "5y", "originalFilename": "memo.txt",
    }  # fmt: skip
    got = wire.patch(f"/artifacts/{row['id']}", change, key=None)
    assert got.status == 200, got.body
    now = got["artifact"]
    assert {name: now[name] for name in change} == change
    assert now["promotedAt"] and now["sha256"] == row["sha256"]
    assert wire.get(f"/artifacts/{row['id']}")["artifact"] == now
    same = {"projectId": None, "taskId": None, "customerId": None, "title": None}
    assert wire.patch(f"/artifacts/{row['id']}", same)["artifact"]["title"] is None


@pytest.mark.parametrize(
    "change, status",
    [
        ({}, 400),
        ({"kind": ""}, 400),
        ({"kind": None}, 400),
        ({"artifactClass": "x"}, 400),
        ({"importance": "x"}, 400),
        ({"contentType": "x"}, 400),
        ({"visibility": "x"}, 400),
        ({"isCanonical": "yes"}, 400),
        ({"originalFilename": "a/b"}, 400),
        ({"metadataJson": "x"}, 400),
        ({"title": "x" * 2_001}, 400),
        ({"folderId": NOWHERE}, 404),
        ({"projectId": NOWHERE}, 400),
        ({"taskId": NOWHERE}, 400),
        ({"customerId": NOWHERE}, 400),
    ],
)
def test_a_bad_change_leaves_the_row(wire: Wire, change: dict[str, Any], status: int) -> None:
    row = upload(wire)
    got = wire.patch(f"/artifacts/{row['id']}", change)
    assert got.status == status, got.body
    assert wire.get(f"/artifacts/{row['id']}")["artifact"] == row


# -- move, replace, download, delete -------------------------------------------------------


def test_move_into_a_folder_and_out_again(wire: Wire) -> None:
    row, target = upload(wire), folder(wire)
    path = f"/artifacts/{row['id']}/move"
    moved = wire.patch(path, {"folderId": target["id"], "name": "new.md"}, key=None)
    assert (moved.status, set(moved.body)) == (200, {"artifact"})
    assert moved["artifact"]["path"] == f"{target['path']}/new.md"
    assert moved["artifact"]["originalFilename"] == "new.md"
    assert wire.patch(path, {"name": "x.md"})["artifact"]["folderId"] == target["id"]
    assert wire.patch(path, {"folderId": None})["artifact"]["path"] == "x.md"
    for body, status in (
        ({}, 400),
        ({"folderId": NOWHERE}, 404),
        ({"folderId": "nothing"}, 404),
        ({"name": "../x"}, 400),
        ({"name": "a\0"}, 400),
    ):
        assert wire.patch(path, body).status == status, body


def test_a_move_keeps_whose_it_is(wire: Wire) -> None:
    one, two = wire.project()["id"], wire.project()["id"]
    row = upload(wire, projectId=one)
    theirs = folder(wire, projectId=two)
    assert wire.patch(f"/artifacts/{row['id']}/move", {"folderId": theirs["id"]}).status == 400
    ours = folder(wire, projectId=one)
    moved = wire.patch(f"/artifacts/{row['id']}/move", {"folderId": ours["id"]})["artifact"]
    assert moved["projectId"] == one


def test_replace_keeps_earlier_contents_readable(wire: Wire) -> None:
    row, before = upload(wire, title="report.md"), used(wire)
    got = replace(wire, row["id"], b"second", "other.md")
    assert (got.status, set(got.body)) == (200, {"artifact"})
    now = got["artifact"]
    assert (now["id"], now["version"], now["sizeBytes"]) == (row["id"], 2, 6)
    assert (now["originalFilename"], now["title"], now["previewText"]) == (
        "other.md", "other.md", "second",
    )  # fmt: skip
    assert now["sha256"] == hashlib.sha256(b"second").hexdigest()
    assert used(wire) == before + 6
    path = f"/artifacts/{row['id']}"
    kept = wire.get(f"{path}/versions")["versions"]
    assert [(v["version"], v["sha256"]) for v in kept] == [(1, row["sha256"])]
    assert wire.get(f"{path}/download").raw == b"second"
    assert wire.get(f"{path}/download?version=2").raw == b"second"
    old = wire.get(f"{path}/download?version=1")
    assert (old.raw, "report.md" in old.headers["content-disposition"]) == (TEXT, True)
    for version, status in (("9", 404), ("x", 400), ("-1", 400)):
        assert wire.get(f"{path}/download?version={version}").status == status
    assert replace(wire, row["id"], b"second", "other.md")["artifact"]["version"] == 2
    assert replace(wire, NOWHERE, b"x").status == 404
    for bad in ({"checksum": "0" * 64}, {"contentType": "x"}):
        assert replace(wire, row["id"], b"third", **bad).status == 400
    assert wire.get(f"{path}/download").raw == b"second"
    assert used(wire) == before + 6


@pytest.mark.parametrize(
    "name", ["plain.txt", "with space.txt", "Bericht März.pdf", "日本.txt", "a;b,c.txt", "it's.md"]
)
def test_download_has_type_length_and_a_safe_name(wire: Wire, name: str) -> None:
    row = upload(wire, name, TEXT, "text/markdown")
    assert row["originalFilename"] == name
    got = wire.get(f"/artifacts/{row['id']}/download")
    assert (got.status, got.raw) == (200, TEXT)
    assert got.headers["content-type"] == "text/markdown"
    assert got.headers["content-length"] == str(len(TEXT))
    shown = got.headers["content-disposition"]
    assert shown.startswith('attachment; filename="')
    assert shown.endswith("filename*=UTF-8''" + quote(name, safe=""))


def test_head_says_what_get_would(wire: Wire) -> None:
    row = upload(wire)
    path = f"/artifacts/{row['id']}/download"
    got, head = wire.get(path), wire.call("HEAD", path)
    assert (head.status, head.raw) == (200, b"")
    for name in ("content-type", "content-length", "content-disposition", "etag"):
        assert head.headers[name] == got.headers[name]
    assert wire.call("HEAD", f"/artifacts/{NOWHERE}/download").status == 404
    assert wire.call("HEAD", f"/artifacts/{row['id']}").status == 200


@pytest.mark.parametrize(
    "range_, status, part",
    [
        ("bytes=0-3", 206, TEXT[:4]),
        ("bytes=5-", 206, TEXT[5:]),
        ("bytes=-4", 206, TEXT[-4:]),
        ("bytes=0-999", 206, TEXT),
        ("bytes=999-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=0-1,3-4", 200, TEXT),
        ("bytes=4-2", 200, TEXT),
        ("lines=1-2", 200, TEXT),
    ],
)
def test_a_part_of_a_file(wire: Wire, range_: str, status: int, part: bytes | None) -> None:
    row = upload(wire)
    got = wire.get(f"/artifacts/{row['id']}/download", headers={"Range": range_})
    assert got.status == status
    if part is not None:
        assert (got.raw, got.headers["content-length"]) == (part, str(len(part)))
    if status == 206:
        at = TEXT.index(part or b"")
        assert got.headers["content-range"] == f"bytes {at}-{at + len(part or b'') - 1}/{len(TEXT)}"


def test_a_part_of_a_file_that_changed_is_the_whole(wire: Wire) -> None:
    row = upload(wire)
    path = f"/artifacts/{row['id']}/download"
    ranged = {"Range": "bytes=0-3", "If-Range": wire.get(path).headers["etag"]}
    assert wire.get(path, headers=ranged).status == 206
    replace(wire, row["id"], b"another one")
    assert wire.get(path, headers=ranged).raw == b"another one"


def test_delete_of_the_row_enforces_its_key(wire: Wire) -> None:
    row, before = upload(wire), used(wire)
    assert wire.delete(f"/artifacts/{row['id']}", key=None).status == 400
    gone = wire.delete(f"/artifacts/{row['id']}")
    assert gone.status == 200 and gone["artifact"]["deletedAt"]
    assert used(wire) == before - len(TEXT)
    for path in ("", "/download", "/versions"):
        assert wire.get(f"/artifacts/{row['id']}{path}").status == 404
    assert row["id"] not in ids(wire.get("/artifacts"))
    assert wire.delete(f"/artifacts/{row['id']}").status == 404


@pytest.mark.parametrize("purge", ["", "?purgeStorage=true", "?purgeStorage=false"])
def test_delete_with_its_bytes(wire: Wire, purge: str) -> None:
    row = upload(wire, content=f"only once {purge}".encode())
    replace(wire, row["id"], f"twice {purge}".encode())
    before = used(wire)
    gone = wire.delete(f"/artifacts/{row['id']}/delete{purge}", key=None)
    assert (gone.status, gone.body) == (200, {"success": True})
    assert used(wire) < before
    assert wire.delete(f"/artifacts/{row['id']}/delete{purge}", key=None).status == 404


# -- folders -------------------------------------------------------------------------------


def test_a_folder_has_a_derived_path(wire: Wire) -> None:
    top = folder(wire, "Reports-1", kind="archive", metadataJson={"a": 1})
    assert set(top) >= FOLDER
    assert (top["path"], top["kind"], top["metadataJson"]) == ("Reports-1", "archive", {"a": 1})
    low = folder(wire, "2026", parentFolderId=top["id"])
    assert (low["path"], low["parentFolderId"]) == ("Reports-1/2026", top["id"])
    for ref in (low["id"], low["number"]):
        assert wire.get(f"/folders/{ref}").body == {"folder": low}


@pytest.mark.parametrize(
    "body, status",
    [
        ({}, 400),
        ({"name": ""}, 400),
        ({"name": "a/b"}, 400),
        ({"name": ".."}, 400),
        ({"name": "a\\b"}, 400),
        ({"name": "nul"}, 400),
        ({"name": "x" * 256}, 400),
        ({"name": 7}, 400),
        ({"name": "x", "parentFolderId": NOWHERE}, 404),
        ({"name": "x", "parentFolderId": "x"}, 404),
        ({"name": "x", "projectId": NOWHERE}, 404),
        ({"name": "x", "customerId": NOWHERE}, 404),
        ({"name": "x", "agentId": NOWHERE}, 404),
        ({"name": "x", "metadataJson": {"x": "y" * 20_000}}, 400),
    ],
)
def test_a_bad_folder_is_refused(wire: Wire, body: dict[str, Any], status: int) -> None:
    before = ids(wire.get("/folders"), "folders")
    assert wire.post("/folders", body, key=None).status == status
    assert ids(wire.get("/folders"), "folders") == before


def test_a_path_twice_is_409_with_the_folder_that_has_it(wire: Wire) -> None:
    top = folder(wire)
    low = folder(wire, "a", parentFolderId=top["id"])
    twice = wire.post("/folders", {"name": "a", "parentFolderId": top["id"]}, key=None)
    assert (twice.status, twice["existingFolder"]) == (409, low)
    other = folder(wire, "b", parentFolderId=top["id"])
    renamed = wire.patch(f"/folders/{other['id']}", {"name": "a"}, key=None)
    assert (renamed.status, renamed["existingFolder"]["id"]) == (409, low["id"])
    root = wire.post("/folders", {"name": top["name"]}, key=None)
    assert (root.status, root["existingFolder"]["id"]) == (409, top["id"])


def test_folders_are_found_by_parent_scope_and_name(wire: Wire) -> None:
    customer = wire.customer()["id"]
    project, agent = wire.project(customerId=customer)["id"], wire.agent()
    top = folder(wire, projectId=project)
    low = folder(wire, "Ähnlich", parentFolderId=top["id"])
    mine = folder(wire, agentId=agent["name"])
    assert (top["projectId"], top["customerId"], low["projectId"]) == (project, customer, project)
    assert mine["agentId"] == agent["id"]
    for query, expected in (
        (f"parentFolderId={top['id']}", [low]),
        (f"projectId={project}", [low, top]),
        (f"customerId={customer}", [low, top]),
        (f"agentId={agent['id']}", [mine]),
        (f"projectId={project}&search=ähn", [low]),
        (f"projectId={project}&search=%25", []),
        (f"projectId={project}&parentFolderId=root", [top]),
        (f"projectId={NOWHERE}", []),
        (f"parentFolderId={NOWHERE}", []),
    ):
        assert wire.get(f"/folders?{query}")["folders"] == expected, query
    assert wire.get("/folders?projectId=7").status == 400
    other = wire.project()["id"]
    bad = {"name": "x", "parentFolderId": top["id"], "projectId": other}
    assert wire.post("/folders", bad).status == 400
    assert (
        wire.post(
            "/folders", {"name": "x", "projectId": project, "customerId": wire.customer()["id"]}
        ).status
        == 400
    )


def test_contents_of_a_folder(wire: Wire) -> None:
    top = folder(wire)
    low = folder(wire, parentFolderId=top["id"])
    row = upload(wire, folderId=top["id"])
    upload(wire, folderId=low["id"])
    got = wire.get(f"/folders/{top['id']}/contents")
    assert (got["folder"], got["folders"]) == (top, [low])
    assert ids(got) == [row["id"]]
    assert got["artifacts"][0]["path"] == f"{top['path']}/report.md"
    root = wire.get("/folders/root/contents?limit=500")
    assert root["folder"] is None
    assert top["id"] in ids(root, "folders") and low["id"] not in ids(root, "folders")
    assert row["id"] not in ids(root)
    assert wire.get(f"/folders/{NOWHERE}/contents").status == 404


def test_weak_spot_27_contents_have_pages_of_both(wire: Wire) -> None:
    top = folder(wire)
    for n in range(3):
        folder(wire, f"c{n}", parentFolderId=top["id"])
        upload(wire, f"{n}.txt", folderId=top["id"])
    path = f"/folders/{top['id']}/contents?limit=2"
    first = wire.get(path)
    assert (len(first["folders"]), len(first["artifacts"])) == (2, 2)
    rest = wire.get(f"{path}&cursor={first['nextCursor']}&folderCursor={first['nextFolderCursor']}")
    assert (len(rest["folders"]), len(rest["artifacts"])) == (1, 1)
    assert (rest["nextCursor"], rest["nextFolderCursor"]) == (None, None)


def test_a_folder_moves_with_all_that_lies_in_it(wire: Wire) -> None:
    one, two = folder(wire), folder(wire)
    low = folder(wire, "low", parentFolderId=one["id"])
    row = upload(wire, folderId=low["id"])
    path = f"/folders/{one['id']}"
    moved = wire.patch(path, {"parentFolderId": two["id"], "name": "new"}, key=None)
    assert (moved.status, moved["folder"]["path"]) == (200, f"{two['path']}/new")
    there = wire.get(f"/artifacts/{row['id']}")["artifact"]["path"]
    assert there == f"{two['path']}/new/low/report.md"
    for into in (one["id"], low["id"]):
        assert wire.patch(path, {"parentFolderId": into}).status == 400
    assert wire.patch(path, {"parentFolderId": None})["folder"]["path"] == "new"
    for body, status in (
        ({}, 400),
        ({"name": "a/b"}, 400),
        ({"parentFolderId": NOWHERE}, 404),
        ({"projectId": NOWHERE}, 400),
    ):
        assert wire.patch(path, body).status == status, body
    note = wire.patch(path, {"kind": None, "metadataJson": {"x": 1}, "projectId": None})["folder"]
    assert (note["metadataJson"], note["name"]) == ({"x": 1}, "new")


def test_delete_removes_the_subtree_and_its_bytes(wire: Wire) -> None:
    before = used(wire)
    top = folder(wire)
    lows = [folder(wire, f"low{n}", parentFolderId=top["id"]) for n in range(3)]
    deep = folder(wire, "deep", parentFolderId=lows[0]["id"])
    rows = [
        upload(wire, f"{n}.txt", b"%d of 60" % n, folderId=(top, deep)[n % 2]["id"])["id"]
        for n in range(60)
    ]
    outside = upload(wire, content=b"0 of 60")
    gone = wire.delete(f"/folders/{top['id']}", key=None)
    assert gone.status == 200 and gone["folder"]["deletedAt"]
    assert used(wire) == before + len(b"0 of 60")
    for one in (top, *lows, deep):
        assert wire.get(f"/folders/{one['id']}").status == 404
    assert not set(ids(wire.get("/artifacts?limit=500"))) & set(rows)
    assert wire.get(f"/artifacts/{outside['id']}/download").raw == b"0 of 60"
    assert wire.delete(f"/folders/{top['id']}", key=None).status == 404
    assert send(wire, folderId=deep["id"]).status == 404
    folder(wire, top["name"])


def test_must_not_require_a_key_for_folders_moves_and_replacements(wire: Wire) -> None:
    made = folder(wire)
    row = upload(wire)
    answers = [
        wire.patch(f"/folders/{made['id']}", {"kind": "x"}, key=None),
        wire.patch(f"/artifacts/{row['id']}/move", {"folderId": made["id"]}, key=None),
        replace(wire, row["id"], b"no key"),
        wire.delete(f"/artifacts/{row['id']}/delete", key=None),
        wire.delete(f"/folders/{made['id']}", key=None),
    ]
    assert [answer.status for answer in answers] == [200] * 5


def test_observers_hear_of_files_and_folders(wire: Wire) -> None:
    with wire.socket() as socket:
        made = folder(wire)
        assert frame(socket, "folder_created")["folder"] == made
        row = upload(wire, folderId=made["id"])
        assert frame(socket, "artifact_created")["artifact"] == row
        replace(wire, row["id"], b"second")
        assert frame(socket, "artifact_updated")["artifact"]["version"] == 2
        wire.patch(f"/folders/{made['id']}", {"kind": "x"})
        assert frame(socket, "folder_updated")["folder"]["kind"] == "x"
        wire.delete(f"/folders/{made['id']}")
        assert frame(socket, "folder_deleted")["folderId"] == made["id"]
        assert frame(socket, "artifact_deleted")["artifactId"] == row["id"]

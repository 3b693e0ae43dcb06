"""Why something happened, from whatever its asker holds in hand."""

import json

import msgspec
import pytest

from homarus.base.errors import HomarusError, Invalid, NotFound
from homarus.base.ids import event_id, to_blob
from homarus.company import projects
from homarus.control_plane import audit as routes
from homarus.control_plane.audit import exported
from homarus.kernel import anchors, audit
from homarus.kernel.receipts import Receipt
from homarus.kernel.verify import Verifier
from homarus.records.blobs import Blobs
from homarus.testing.ground import ground
from homarus.testing.streams import OWNER, BodyStream, call
from tests.unit.control_plane.work import make_task

NOWHERE = "00000000-0000-7000-8000-000000000000"


def refusal(tx):
    raise Invalid("task.broken", "it does not work like this", "Do it otherwise.")


@pytest.fixture
async def g(tmp_path):
    async with ground(tmp_path) as made:
        made.project = (await made.write("project.create", projects.create, {"goal": "Ship"})).id
        made.clock.advance(1_000)
        made.task = await make_task(made, made.project)
        made.clock.advance(1_000)
        with pytest.raises(Invalid):
            await made.store.write(
                made.action("task.update", f"task:{made.task.id}", task=made.task.id), refusal
            )
        yield made


async def ask(g, handler, *, query=None, token=OWNER, **path):
    made = call(g.company, path=path, query=query or {}, token=token)
    return json.loads((await g.read(handler, made)).body)


async def receipts(g, **query):
    return (await ask(g, routes.listed, query=query))["receipts"]


async def test_why_a_task(g):
    for ref in (g.task.number, g.task.id, g.task.id.upper()):
        said = await ask(g, routes.why, ref=ref)
        assert said["kind"] == "task"
        assert [r["capability"] for r in said["receipts"]][:1] == ["task.create"]


async def test_why_a_receipt_tells_who_which_rules_and_what_became_of_it(g):
    failed = next(r for r in await receipts(g, capability="task.update") if "outcome" not in r)
    answer = (await ask(g, routes.why, ref=failed["id"]))["answer"]
    assert (answer["what"], answer["verdict"], answer["outcome"]) == (
        "task.update", "allow", "failed",
    )  # fmt: skip
    assert answer["outcomeReason"] == "it does not work like this"
    assert answer["who"].startswith("operator:")
    assert answer["rulesVersion"] >= 1
    assert answer["receipt"] == failed["id"]


async def test_why_an_outcome_leads_to_what_it_completes(g):
    outcome = next(r for r in await receipts(g) if r.get("outcome") == "failed")
    said = await ask(g, routes.why, ref=outcome["id"])
    assert [r["seq"] for r in said["receipts"]] == [outcome["of"], outcome["seq"]]


async def test_why_an_event_finds_the_receipt_of_its_unit(g):
    row = await g.read(
        lambda rx: rx.one("select seq, at_ms from event where subject=?", (to_blob(g.task.id),))
    )
    said = await ask(g, routes.why, ref=event_id(row[1], 1, row[0]))
    assert [r["capability"] for r in said["receipts"]] == ["task.create"]


async def test_why_any_thing_with_events(g):
    said = await ask(g, routes.why, ref=g.project)
    assert said["kind"] == "thing"
    assert [r["capability"] for r in said["receipts"]] == ["project.create"]


@pytest.mark.parametrize(
    ("ref", "code"),
    [
        ("x", "request.bad_id"),
        (NOWHERE, "why.unknown"),
        ("00000000-0000-4000-8000-000000000000", "why.unknown"),
        ("T-999", "task.unknown"),
        ("A-1", "artifact.unknown"),
    ],
)
async def test_why_of_nothing(g, ref, code):
    with pytest.raises(HomarusError) as caught:
        await ask(g, routes.why, ref=ref)
    assert caught.value.code == code


async def test_a_trace_shows_its_tasks_with_their_receipts(g):
    tree = await ask(g, routes.trace, id=g.task.trace)
    assert [t["number"] for t in tree["tasks"]] == [g.task.number]
    assert "task.create" in [r["capability"] for r in tree["tasks"][0]["receipts"]]
    with pytest.raises(NotFound):
        await ask(g, routes.trace, id=NOWHERE)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"capability": "project.create"}, ["project.create"]),
        ({"verdict": "refuse"}, []),
        ({"task": "T-1", "capability": "task.create"}, ["task.create"]),
        ({"actor": "nobody"}, []),
        ({"trace": NOWHERE}, []),
    ],
)
async def test_filters(g, query, expected):
    assert [r["capability"] for r in await receipts(g, **query)] == expected


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"verdict": "maybe"}, "receipt.verdict"),
        ({"trace": "x"}, "request.bad_id"),
        ({"cursor": "x"}, "request.cursor"),
        ({"company": "elsewhere"}, "company.unknown"),
    ],
)
async def test_bad_questions(g, query, code):
    with pytest.raises(HomarusError) as caught:
        await receipts(g, **query)
    assert caught.value.code == code


async def test_pages_reach_every_receipt_once(g):
    seen, cursor = [], ""
    while True:
        page = await ask(g, routes.listed, query={"limit": "2", "cursor": cursor})
        seen += [r["seq"] for r in page["receipts"]]
        cursor = page.get("nextCursor", "")
        if not cursor:
            break
    assert seen == list(range(len(seen), 0, -1))
    assert len(seen) >= 4


async def test_a_receipt_with_its_outcomes(g):
    failed = next(r for r in await receipts(g, capability="task.update") if "outcome" not in r)
    said = await ask(g, routes.read, id=failed["id"])
    assert msgspec.convert(said["receipt"], Receipt).id == failed["id"]
    assert [o["outcome"] for o in said["outcomes"]] == ["failed"]


async def test_the_export_of_the_route_verifies(g):
    verifier, after, first = Verifier(), "0", True
    while after is not None:
        page = await ask(g, exported, query={"afterSeal": str(after), "limit": "2"})
        for line in [page["header"]] * first + page["lines"]:
            verifier.feed_bytes(json.dumps(line).encode())
        after, first = page["nextAfterSeal"], False
    assert verifier.finish().ok


async def test_another_companys_ledger_is_not_shown(g):
    foreign = msgspec.structs.replace(OWNER, company="another-company")
    for company in ("instance", "acme"):
        with pytest.raises(NotFound):
            await ask(g, routes.listed, query={"company": company}, token=foreign)
    assert await receipts(g, company="instance")


async def test_anchors_of_the_company(g, tmp_path):
    anchors.append(tmp_path / "run" / anchors.FILE_NAME, await g.read(anchors.heads_to_anchor))
    blobs = Blobs(tmp_path / "blobs")
    stream = BodyStream(g.store, tmp_path, blobs, g.action("audit.read"))
    said = json.loads((await routes.anchored(stream, call(g.company))).body)["anchors"]
    assert [a["company"] for a in said] == [g.company]
    page = await g.read(audit.page, g.company, 1, 0)
    assert said[0]["hash"] == page.lines[-1].hash

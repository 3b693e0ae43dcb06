"""What the main space's guard reads and records, on both engines."""

from typing import Any

import pytest

from homarus.base.errors import Busy
from homarus.flows import documents, guarding, opening
from homarus.flows.guarding import Found
from homarus.records import documents as records
from homarus.records import incidents
from homarus.store.port import Tx
from homarus.testing.shop import OWNER, SYSTEM, Shop

HOUSE = "rules/house.md"


async def keep(shop: Shop, content: str | None = "x", **more: Any) -> Any:
    found = Found(**({"path": HOUSE, "content": content, "deleted": content is None, "note": "",
                      "exposed": False} | more))  # fmt: skip
    return await shop.do("mainspace.sync", SYSTEM, guarding.keep, found)


@pytest.fixture
async def furnished(shop: Shop) -> Shop:
    company = shop.ground.company
    assert await shop.ground.read(guarding.unfurnished, company)
    await shop.do("mainspace.sync", SYSTEM, guarding.furnish)
    assert not await shop.ground.read(guarding.unfurnished, company)
    return shop


async def test_what_shall_lie_on_disk(furnished: Shop) -> None:
    g = furnished.ground
    listed = await g.read(guarding.companies)
    (mine,) = [row for row in listed if row[0] == g.company]
    space = await g.read(guarding.space, *mine)
    assert [(e.path, e.governed, e.n, e.live) for e in space.entries] == [
        (path, True, 1, True) for path in sorted(s.path for s in opening.STARTERS)
    ]
    text = await g.read(guarding.text_of, g.company, HOUSE)
    assert text is not None
    assert space.entries[-1].sha256 == records.digest(text).hex()
    assert await g.read(guarding.text_of, g.company, "rules/none.md") is None


async def test_versions_without_a_commit(furnished: Shop) -> None:
    g = furnished.ground
    for text in ("one", "two", None):
        await furnished.do(
            "document.write", OWNER, documents.write, "a.md", text, target="document:a.md"
        )
    found = await g.read(guarding.uncommitted, g.company, {HOUSE: 1, "AGENTS.md": 1})
    assert [(v.path, v.n, v.removed) for v, _ in found] == [
        ("a.md", 1, False), ("a.md", 2, False), ("a.md", 3, True), ("capabilities.yaml", 1, False),
    ]  # fmt: skip
    later = await g.read(guarding.newer, g.company, "a.md", 1)
    assert later == {records.digest("two").hex(), ""}
    assert (await g.read(guarding.last_seal, g.company)).split()[0].isdigit()


async def test_what_happened_since(furnished: Shop) -> None:
    g = furnished.ground
    begin = await g.read(guarding.head_seq, g.company_no)
    await furnished.do("document.read", OWNER, documents.read, HOUSE, target=f"document:{HOUSE}")
    await furnished.agent("ada")
    seq, kinds = await g.read(guarding.kinds_since, g.company_no, begin)
    assert seq == await g.read(guarding.head_seq, g.company_no)
    assert kinds["document_read"] == [HOUSE]
    assert "agent_registered" in kinds
    assert await g.read(guarding.kinds_since, g.company_no, seq) == (seq, {})


async def test_a_text_is_kept_once_with_its_incident(furnished: Shop) -> None:
    first = await keep(furnished)
    assert (await keep(furnished)).id == first.id
    assert (await keep(furnished, "y", exposed=True)).id != first.id
    gone = await keep(furnished, None)
    assert gone.patch["delete"] is True
    pipeline = await keep(furnished, "id: x", path="pipelines/x.yaml")
    assert (pipeline.kind, pipeline.patch) == ("pipeline", {"text": "id: x"})
    odd = await keep(furnished, None, deleted=False, note="was replaced by a link")
    assert "a link" in odd.patch["note"]
    opened = await furnished.ground.read(
        lambda rx: incidents.listed(rx, furnished.ground.company, limit=9)
    )
    assert [row.severity for row in opened] == ["medium"] * 3 + ["critical", "medium"]


async def test_found_texts_are_bounded(furnished: Shop) -> None:
    for n in range(guarding.MAX_FOUND):
        await keep(furnished, f"text {n}")
    with pytest.raises(Busy, match="wait for a decision"):
        await keep(furnished, "one more")


def ran(tx: Tx, facts: str | None, ended_ms: int | None) -> None:
    tx.run(
        "insert into run(id, company, task, agent, token, capability, argv, state, receipt_seq, "
        "facts, started_ms, ended_ms) values(?,?,?,?,1,'a.b','[]','done',1,?,1,?)",
        (tx.new_id(), tx.company, tx.new_id(), tx.new_id(), facts, ended_ms),
    )


@pytest.mark.parametrize(
    "facts, ended_ms, unsandboxed",
    [
        ('{"sandbox": "none"}', 100, True),
        ('{"sandbox": "none"}', 99, False),
        ('{"sandbox": "bubblewrap"}', 100, False),
        (None, None, False),
    ],
)
async def test_a_run_without_a_sandbox_exposes(
    shop: Shop, facts: str | None, ended_ms: int | None, unsandboxed: bool
) -> None:
    await shop.do("task.expire", SYSTEM, ran, facts, ended_ms)
    found = await shop.ground.read(guarding.ran_unsandboxed, shop.ground.company, 100)
    assert found is unsandboxed

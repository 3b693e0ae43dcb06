"""Records and the ledger's export say the same on every engine."""

import asyncio
from typing import Any

import msgspec
import pytest

from homarus.base.errors import TooLarge
from homarus.kernel import anchors, audit, trail
from homarus.kernel.verify import Report, Verifier
from homarus.records import artifacts, incidents, quota
from homarus.records.artifact_fields import NewArtifact
from homarus.store.port import Rx, Tx
from homarus.testing.stores import OpenStore

pytestmark = pytest.mark.contract

TASK = "019b7ca5-cf80-7840-a36a-8a303f408392"
SHA = "ab" * 32


def record(tx: Tx, name: str, size: int = 10) -> artifacts.Artifact:
    new = NewArtifact(
        kind="report", content_type="text/plain", task=TASK, filename=name, sha256=SHA,
        size_bytes=size, stored=True, metadata={"pages": 3},
    )  # fmt: skip
    return artifacts.create(tx, new)


def remove(tx: Tx, artifact: str) -> None:
    artifacts.delete(tx, artifact)


def open_one(tx: Tx, severity: str) -> incidents.Incident | None:
    return incidents.open_once(
        tx, severity=severity, reason_code="stale", summary="s", task=TASK,
        recommended_action={"do": ["this"]},
    )  # fmt: skip


def resolve(tx: Tx, incident: str) -> incidents.Incident:
    return incidents.update(tx, incident, status="resolved")


def report(rx: Rx, company: str) -> tuple[Report, list[Any]]:
    """The verdict on a company's whole ledger, in pages of two seals."""
    verifier = Verifier(anchors=anchors.heads_to_anchor(rx))
    after: int | None = 0
    company, no = audit.company_of(rx, company)
    receipts, _ = trail.listed(rx, company, no, before=None, limit=100)
    while after is not None:
        page = audit.page(rx, company, no, after, 2)
        for line in [page.header] * (after == 0) + page.lines:
            verifier.feed_bytes(msgspec.json.encode(line))
        after = page.next
    return verifier.finish(), receipts


async def test_artifacts(store: OpenStore) -> None:
    act = store.action
    one = await store.store.write(act("incident.open"), record, "a 50%.txt")
    await store.store.write(act("incident.open"), record, "b.txt")
    assert (one.number, one.metadata, one.stored) == ("A-1", {"pages": 3}, True)
    read = store.store.read
    assert [a[0] for a in await read(artifacts.of_task, TASK)] == ["report", "report"]

    def found(rx: Rx, **how: Any) -> list[str | None]:
        filters = how.pop("filters", {})
        return [
            a.filename for a in artifacts.listed(rx, store.company, filters, limit=10, **how)
        ]  # fmt: skip

    assert await read(lambda rx: found(rx, search="50%")) == ["a 50%.txt"]
    assert await read(lambda rx: found(rx, filters={"task": TASK}, before=2)) == ["a 50%.txt"]
    assert await read(lambda rx: found(rx, filters={"is_canonical": 1})) == []
    assert await read(lambda rx: found(rx, since_ms=one.created_ms + 3_600_000)) == []
    assert await read(quota.usage, store.company) == (20, quota.QUOTA_BYTES)
    await store.store.write(act("incident.open"), remove, one.id)
    assert await read(quota.usage, store.company) == (10, quota.QUOTA_BYTES)
    assert await read(artifacts.referred, [SHA, "cd" * 32]) == {SHA}


async def test_the_quota_holds_against_parallel_uploads(store: OpenStore) -> None:
    await store.store.write(store.action("incident.open"), quota.set_quota, 35)
    answers = await asyncio.gather(
        *(store.store.write(store.action("incident.open"), record, f"{n}") for n in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(a, TooLarge) for a in answers) == 5
    assert (await store.store.read(quota.usage, store.company))[0] == 30


async def test_incidents(store: OpenStore) -> None:
    act = store.action("incident.open")
    one = await store.store.write(act, open_one, "high")
    assert one is not None
    assert one.recommended_action == {"do": ["this"]}
    assert await store.store.write(act, open_one, "low") is None
    done = await store.store.write(act, resolve, one.id)
    assert done.resolved_ms is not None
    assert await store.store.write(act, open_one, "low") is not None

    def low(rx: Rx) -> list[str]:
        return [i.number for i in incidents.listed(rx, store.company, limit=5, severity="low")]

    assert await store.store.read(low) == ["I-2"]


async def test_the_export_verifies_and_the_list_agrees(store: OpenStore) -> None:
    for n in range(7):
        await store.store.write(store.action("incident.open"), record, f"{n}")
    refused = await store.refused_action(store.company)
    with pytest.raises(Exception, match="permission"):
        await store.store.write(refused, record, "x")
    for company in (store.company, audit.INSTANCE):
        verdict, receipts = await store.store.read(report, company)
        assert verdict.ok, verdict.findings
        assert verdict.anchors == 1
        assert len(receipts) == verdict.receipts

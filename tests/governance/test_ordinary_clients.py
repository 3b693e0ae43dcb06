"""Ordinary clients are not held up: they know nothing of rules, and need not."""

from typing import Any

import pytest

from homarus.testing.daemon import Daemon
from tests.support.bridge import Bridge


async def said(daemon: Daemon, slug: str) -> list[dict[str, Any]]:
    """Receipts of the company that name a rule: refused, or observed."""
    reply = await daemon.owner.get(
        "/api/v1/receipts?limit=500", headers={"X-Homarus-Company": slug}
    )
    return [row for row in reply.json()["receipts"] if row.get("rule")]


@pytest.mark.parametrize("template", ["studio", "solo"])
async def test_a_bridge_of_the_contract_meets_no_rule(daemon: Daemon, template: str) -> None:
    company = {"slug": "acme", "name": "Acme", "template": template}
    await daemon.owner.post("/api/v1/companies", json=company)
    here = {"X-Homarus-Company": "acme"}
    minted = await daemon.owner.post(
        "/api/v1/tokens", json={"kind": "runtime", "name": "bridge"}, headers=here
    )
    project = await daemon.owner.post(
        "/api/v1/projects", json={"goal": "Release"}, headers=here | {"Idempotency-Key": "p"}
    )
    bridge = Bridge(daemon.client(minted.json()["secret"]))
    await bridge.work(project.json()["project"]["id"])
    assert bridge.failed == []
    assert await said(daemon, "acme") == []

"""One installed daemon (`homarus up`, a process of its own); each module founds its company."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from homarus.demo.children import Daemon
from tests.contract_control_plane.wire import Wire


@pytest.fixture(scope="session")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """The operator of the instance, who founds companies and mints tokens."""
    place = tmp_path_factory.mktemp("wire")
    daemon = Daemon(place / "home", place / "log")
    token = Path(place / "home" / "run" / "owner.token").read_text().strip()
    made = Wire(daemon.ready.url, token)
    yield made
    made.close()
    daemon.stop()


@pytest.fixture(scope="session")
def found(owner: Wire) -> Callable[..., Wire]:
    """Founds a company and gives its `ec_` token: `found(scope="mcp_danger")`."""

    def make(**token: Any) -> Wire:
        slug = f"c-{uuid4().hex[:12]}"
        made = owner.post("/api/v1/companies", {"slug": slug, "name": slug, "template": "studio"})
        assert made.status == 201, made.body
        here = {"X-Homarus-Company": slug}
        body = {"kind": "runtime", "name": "bridge"} | token
        minted = owner.post("/api/v1/tokens", body, headers=here)
        assert minted.status == 201, minted.body
        return Wire(owner.url, minted["secret"], made["company"]["id"])

    return make


@pytest.fixture(scope="module")
def wire(found: Callable[..., Wire]) -> Iterator[Wire]:
    """A company token (scope mcp_full) of a company of this module's own."""
    made = found()
    yield made
    made.close()


@pytest.fixture(scope="module")
def person(owner: Wire, wire: Wire) -> Wire:
    """The owner, in the company of `wire`."""
    return Wire(owner.url, owner.token, wire.id, {"X-Homarus-Company": wire.id})

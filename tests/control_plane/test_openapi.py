"""The surface's description of itself is complete, and the surface keeps to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from homarus.control_plane import openapi, table
from homarus.testing.daemon import Address, Daemon, beside
from tests.support.profile import chosen_profile

EXAMPLES = chosen_profile().pick(ci=5, full=300)
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


async def test_every_route_is_described(daemon: Daemon) -> None:
    document = (await daemon.anybody.get("/api/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    for route in table.routes():
        operation = document["paths"][route.path or "/"][route.method.lower()]
        assert operation["summary"] == route.summary
        assert str(route.status) in operation["responses"]
        error = operation["responses"]["409"]["content"]["application/json"]["schema"]
        assert error == {"$ref": "#/components/schemas/ErrorBody"}
    ids = [op["operationId"] for path in document["paths"].values() for op in path.values()]
    assert len(ids) == len(set(ids))


async def test_the_page_lists_every_route_and_loads_nothing_from_elsewhere(daemon: Daemon) -> None:
    reply = await daemon.anybody.get("/api/docs")
    assert reply.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in reply.headers["content-security-policy"]
    assert "<script" not in reply.text
    assert "://" not in reply.text
    for route in table.routes():
        assert f"<code>{route.path or '/'}</code>" in reply.text


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    home: Path = tmp_path_factory.mktemp("daemon") / "home"
    with beside(home) as made:
        yield made


OPERATIONS = {
    f"{found.ok().method.upper()} {found.ok().path}": found.ok()
    for found in schemathesis.openapi.from_dict(
        openapi.document(table.routes())
    ).get_all_operations()
}
SLOW = {"GET /messages/sync"}
"""A long poll answers after 25 s; its own tests cover it."""


@pytest.mark.slow
@pytest.mark.parametrize("label", sorted(OPERATIONS.keys() - SLOW))
def test_no_request_makes_it_fail(label: str, address: Address) -> None:
    headers = {"Authorization": f"Bearer {address.owner_token}"}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy(generation_mode=GenerationMode.POSITIVE))
    def wanted(case: schemathesis.Case) -> None:
        answered(case)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def unwanted(case: schemathesis.Case) -> None:
        answered(case)

    def answered(case: schemathesis.Case) -> None:
        response = case.call(base_url=f"{address.url}/api/v1", headers=headers, timeout=30)
        case.validate_response(response, checks=list(CHECKS), headers=headers)

    wanted()
    unwanted()

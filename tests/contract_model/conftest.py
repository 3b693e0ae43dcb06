"""Every case of this suite runs over every dialect."""

from collections.abc import AsyncIterator, Iterator

import pytest

from homarus.agents.endpoint import Dialect
from homarus.agents.wires import Wire
from homarus.testing.model_server import ModelServer
from tests.contract_model.talk import KEY, wired


@pytest.fixture(params=list(Dialect), ids=lambda dialect: dialect.value)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return request.param


@pytest.fixture(scope="session")
def provider() -> Iterator[ModelServer]:
    with ModelServer(key=KEY) as server:
        yield server


@pytest.fixture
def server(provider: ModelServer) -> ModelServer:
    """The scripted provider, with an empty script."""
    provider.reset()
    return provider


@pytest.fixture
async def wire(server: ModelServer, dialect: Dialect) -> AsyncIterator[Wire]:
    async with wired(dialect, server.base_url(dialect.value)) as made:
        yield made

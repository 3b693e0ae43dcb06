"""One attacked company for all that a model is shown and asked to do."""

from collections.abc import Iterator

import pytest

from tests.support.attacked import Attacked, attacked


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("attacked") / "home") as made:
        yield made

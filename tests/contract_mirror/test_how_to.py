"""The adapter of docs/how-to/write-a-mirror.md, as it stands there, through the suite."""

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from homarus.base.errors import HomarusError
from tests.contract_mirror.suite import CASES, Subject
from tests.contract_mirror.test_adapters import means

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-mirror.md"

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def module() -> dict[str, Any]:
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]
    found: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), found)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_the_example_holds(
    module: dict[str, Any], case: Callable[[Subject], Awaitable[None]], tmp_path: Path
) -> None:
    config = {"path": str(tmp_path)}

    def held(marker: str) -> object:
        found = [json.loads(file.read_text()) for file in tmp_path.glob("*.json")]
        return next((each["fields"] for each in found if each["marker"] == marker), None)

    await case(Subject(module["KIND"].open(config, means(tmp_path)), held))


def test_its_check_refuses_what_it_cannot_write_to(module: dict[str, Any], tmp_path: Path) -> None:
    kind, home = module["KIND"], tmp_path / "home"
    (home / "inside").mkdir(parents=True)
    for config in ({}, {"path": str(tmp_path / "none")}, {"path": str(home / "inside")}):
        with pytest.raises(HomarusError, match="path"):
            kind.check(config, home)
    assert kind.check({"path": str(tmp_path)}, home).key == f"folder:{tmp_path.resolve()}"

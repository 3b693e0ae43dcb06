"""The adapter of docs/how-to/write-a-mirror.md with the page's opener, as they stand there, through
the suite."""

import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from homarus.base.errors import HomarusError
from homarus.outbox import registry
from homarus.outbox.port import Absent, Found, Kind, Later, Unknown
from tests.contract_mirror import test_adapters
from tests.contract_mirror.suite import CASES, Subject, change
from tests.contract_mirror.test_adapters import Opener, means

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-mirror.md"
TEXT = PAGE.read_text("utf-8")
MODULE, OPENER = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
((TYPE, NAME),) = re.findall(r'`"(\w+)": "([\w.]+)"`', TEXT)

pytestmark = pytest.mark.contract


def run(code: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(code, str(PAGE), "exec"), names)
    return names


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> Kind:
    """The page's module and its line in the registry, as if they were there."""
    module = ModuleType(NAME)
    run(MODULE, module.__dict__)
    monkeypatch.setitem(sys.modules, NAME, module)
    monkeypatch.setitem(registry.ADAPTERS, TYPE, NAME)
    return registry.kind(TYPE)


@pytest.fixture
def opener(kind: Kind) -> Opener:
    names = vars(test_adapters) | {"ADAPTERS": dict(test_adapters.ADAPTERS)}
    adapters: dict[str, Opener] = run(OPENER, names)["ADAPTERS"]
    assert adapters.keys() == {*test_adapters.ADAPTERS, TYPE}
    return adapters[TYPE]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_the_example_holds(
    opener: Opener, case: Callable[[Subject], Awaitable[None]], tmp_path: Path
) -> None:
    async with opener(tmp_path) as subject:
        assert subject.down is not None
        await case(subject)


def test_its_check_refuses_what_it_cannot_write_to(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, there = tmp_path / "home", tmp_path / "there"
    (home / "inside").mkdir(parents=True)
    there.mkdir()
    monkeypatch.chdir(tmp_path)
    for config, said in (
        ({}, "no full path"),
        ({"path": "there"}, "'there' is no full path"),
        ({"path": "./there"}, "no full path"),
        ({"path": f"{tmp_path}/none"}, f"'{tmp_path}/none"[:99]),
        ({"path": f"{home}/inside"}, "in the state directory"),
    ):
        with pytest.raises(HomarusError, match=r"config\.path") as refused:
            kind.check(config, home)
        assert said in str(refused.value)
    place = kind.check({"path": str(there)}, home)
    assert (place.key, place.nests) == (f"folder:{there.resolve()}", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, Absent()),
        ("{}", Found("task-id-of-T-1.json", False)),
        ("[]", Found("task-id-of-T-1.json", False)),
        ("torn", Found("task-id-of-T-1.json", False)),
    ],
)
async def test_its_lookup_of_what_people_left_there(
    kind: Kind, tmp_path: Path, text: str | None, expected: object
) -> None:
    mirror = kind.open({"path": str(tmp_path)}, means(tmp_path))
    if text is not None:
        (tmp_path / "task-id-of-T-1.json").write_text(text)
    assert await mirror.lookup(change()) == expected


async def test_its_lookup_knows_absent_from_unreadable(kind: Kind, tmp_path: Path) -> None:
    folder = tmp_path / "board"
    mirror = kind.open({"path": str(folder)}, means(tmp_path))
    assert isinstance(await mirror.lookup(change()), Later)
    folder.mkdir()
    (folder / "task-id-of-T-1.json").mkdir()
    assert isinstance(await mirror.lookup(change()), Unknown)

"""The reference pages say what the code says; `nox -s docs` writes them."""

import ast
import re
from pathlib import Path

import pytest

from docs.generate import (
    GENERATORS,
    PART,
    REFERENCE,
    ROOT,
    Code,
    codes,
    fill,
    frame_types,
    text,
    with_values,
)
from homarus.cli.app import MODULES
from homarus.config.settings import rows
from homarus.control_plane import table
from homarus.kernel.admit import INTERCEPTORS
from homarus.kernel.capabilities import BUILTIN
from homarus.tasks.model import MOVES, State


@pytest.mark.parametrize("page", sorted(REFERENCE.glob("*.md")), ids=lambda page: page.stem)
def test_generated_parts_are_current(page: Path) -> None:
    text = page.read_text("utf-8")
    assert fill(text) == text, "run `nox -s docs` and commit what it wrote"


def test_every_generator_has_its_one_place() -> None:
    pages = [page.read_text("utf-8") for page in REFERENCE.glob("*.md")]
    assert sorted(name for page in pages for name in PART.findall(page)) == sorted(GENERATORS)


def column(page: str, number: int) -> list[str]:
    """The cells of one column in the generated tables of a page, without their back-ticks."""
    parts = [m[0] for m in PART.finditer((REFERENCE / page).read_text("utf-8"))]
    lines = [line for part in parts for line in part.splitlines() if line.startswith("| ")]
    return [line.split(" | ")[number].strip("| `") for line in lines]


def test_every_route_capability_setting_state_and_frame_is_documented() -> None:
    """The comparison above says the same of pages; this says it of what a page is about."""
    api = list(zip(column("api.md", 0), column("api.md", 1), strict=True))
    for route in table.routes():
        assert (route.method, route.path or "/") in api
    assert table.frames().keys() <= {kind for kind, _ in api}
    told = column("capabilities.md", 0)
    assert BUILTIN.keys() <= set(told)
    order = [name for name, *_ in INTERCEPTORS]
    assert [name for name in column("capabilities.md", 1) if name in order] == order
    assert {row.name for row in rows()} <= set(column("settings.md", 0))
    moves = set(zip(column("tasks.md", 0), column("tasks.md", 1), strict=True))
    assert {*State} <= {word for word, _ in moves}
    assert {(str(a), str(b)) for a, b in MOVES if b is not State.ARCHIVED} <= moves


def test_every_command_is_documented() -> None:
    named = set(re.findall(r"^#+ `homarus (\w+)", (REFERENCE / "cli.md").read_text("utf-8"), re.M))
    assert named == {*MODULES}


def _written() -> list[dict[str, str]]:
    return [{"type": "written_down"}]


def _made(kind: str) -> object:
    def frames() -> list[dict[str, str]]:
        return [{"type": kind, "note": "type"}]

    return frames


@pytest.mark.parametrize(
    ("make", "expected"), [(_written, ["written_down"]), (_made("handed_in"), ["handed_in"])]
)
def test_frame_types_are_read_from_the_functions(make: object, expected: list[str]) -> None:
    assert callable(make)
    assert frame_types("event_kind", make) == expected


def test_a_function_without_a_frame_type_is_noticed() -> None:
    with pytest.raises(AssertionError, match="names no frame type"):
        frame_types("event_kind", test_every_command_is_documented)


def test_docs_name_commands_that_exist() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        named = re.findall(r"(?:`|^    )homarus ([a-z]+)", page.read_text("utf-8"), re.M)
        assert set(named) <= {*MODULES}, page


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('raise Conflict("a.b", "what", "Do this.")', Code("a.b", 409, "Do this.")),
        ('raise Conflict("a.b", "what", remedy="Do.")', Code("a.b", 409, "Do.")),
        ('raise Conflict(f"a.{x.word}", "what")', Code("a.{word}", 409, "")),
        ('raise base.Conflict("a.b", "what", f"See {n}.")', Code("a.b", 409, "See {n}.")),
        ('refuse("a.b", "rule", "why", "Do this.")', Code("a.b", 403, "Do this.")),
        (
            'class Mine(Conflict):\n  def __init__(self): super().__init__("a.b", "what", "Do.")',
            Code("a.b", 409, "Do."),
        ),
        ('raise Conflict("a.b", "what", f"{X // 1000} s.")', Code("a.b", 409, "{x} s.")),
        (
            'one_of(value, ("x", "y"), "a.b")',
            Code("a.b", 400, "Give one of those that the message lists."),
        ),
        ('print("a.b")', None),
        ('raise Conflict(code, "what")', None),
    ],
)
def test_every_way_to_make_an_error_is_found(
    tmp_path: Path, code: str, expected: Code | None
) -> None:
    (tmp_path / "errors.py").write_text("class Conflict(HomarusError):\n  status = 409\n")
    (tmp_path / "user.py").write_text(code)
    assert list(codes(tmp_path)) == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("module", "remedy", "expected"),
    [
        ("homarus.flows.mirrors", 'f"Up to {MAX_MIRRORS}."', "Up to 50."),
        ("homarus.flows.mirror_acts", 'f"Set `{MIRRORS}`."', "Set `mirrors`."),
        ("homarus.flows.heartbeats", 'f"{heartbeats.MAX_WAKE} characters."', "4000 characters."),
        ("homarus.company.agents", 'f"One of {list(executors.NAMES)}."',
         "One of external, command, llm, openresponses, claude_code."),
        ("homarus.flows.mirrors", 'f"Up to {MAX_NOTHING} of {what}."',
         "Up to {MAX_NOTHING} of {what}."),
    ],
)  # fmt: skip
def test_constants_in_remedies_are_shown(module: str, remedy: str, expected: str) -> None:
    assert with_values(text(ast.parse(remedy, mode="eval").body), module) == expected


def test_no_remedy_shows_the_name_of_a_constant() -> None:
    """But what is to be written so: `${NAME}`."""
    page = (REFERENCE / "errors.md").read_text("utf-8")
    assert re.findall(r"(?<!\$)\{[A-Z_]+\}", page) == []


def functions(path: Path) -> set[str]:
    """Names of the test functions in a file."""
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_pages_name_tests_that_exist() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        for name, case in re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", page.read_text("utf-8")):
            assert (ROOT / name).exists(), f"{page}: {name}"
            assert not case or case in functions(ROOT / name), f"{page}: {name}::{case}"


def test_every_guarantee_names_the_test_that_shows_it() -> None:
    text = (ROOT / "docs" / "explanation" / "guarantees.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    claims = [row for row in rows if not row.startswith(("| what holds", "| ---"))]
    assert len(claims) > 40
    assert [row for row in claims if not re.search(r"`tests/[\w/.]+(?:::\w+)?`", row)] == []


def test_every_weak_spot_has_a_row_and_a_test_of_its_number() -> None:
    text = (ROOT / "docs" / "explanation" / "better-than-before.md").read_text("utf-8")
    rows = {
        int(number): row for number, row in re.findall(r"^\| (\d+) \|(.*)$", text, re.MULTILINE)
    }
    assert list(rows) == list(range(1, 34))
    about_its_own_tests = {30, 33}
    for number in rows.keys() - about_its_own_tests:
        assert re.search(rf"::test_weak_spots?_0?{number}_\w+`", rows[number]), number

"""The reference pages say what the code says; `nox -s docs` writes them."""

import re
from pathlib import Path

import pytest

from docs.generate import REFERENCE, ROOT, Code, codes, fill
from homarus.cli.app import MODULES


@pytest.mark.parametrize("page", sorted(REFERENCE.glob("*.md")), ids=lambda page: page.stem)
def test_generated_parts_are_current(page: Path) -> None:
    text = page.read_text("utf-8")
    assert fill(text) == text, "run `nox -s docs` and commit what it wrote"


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

"""A one-person company changes its rules from a terminal, and approves what it edited by hand."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from homarus.testing.waiting import seen
from tests.support.commands import Running

NAMES = count(1)
WAIT_S = 30.0
TEXTS = ("--intent", "shorter", "--impact", "everybody", "--rollback", "roll back",
         "--validation", "read it")  # fmt: skip
HOUSE = "rules/house.md"


@pytest.fixture
def slug(running: Running) -> str:
    made = f"rules-{next(NAMES)}"
    running.json("company", "create", made)
    seen(lambda: (running.home / "company" / made / HOUSE).exists(), WAIT_S)
    return made


def test_a_document_is_changed_end_to_end(running: Running, slug: str, tmp_path: Path) -> None:
    def at(*arguments: str) -> Any:
        return running.json("--company", slug, *arguments)

    (tmp_path / "house.md").write_text("Be kind.\n")
    made = at("document", "edit", HOUSE, str(tmp_path / "house.md"), *TEXTS)["change"]
    assert (made["number"], made["status"]) == ("C-1", "proposed")
    assert at("change", "validate", "C-1")["valid"] is True
    assert at("change", "approve", "C-1")["confirmNeeded"] is True
    assert running("--company", slug, "change", "switch", "C-1").code == 5
    assert at("change", "approve", "C-1", "--confirm")["change"]["selfApproved"] is True
    at("change", "switch", "C-1")
    document = at("document", "show", HOUSE)["document"]
    assert (document["content"], document["version"], document["change"]) == (
        "Be kind.\n", "1.0.1", "C-1",
    )  # fmt: skip
    file = running.home / "company" / slug / HOUSE
    seen(lambda: file.read_text() == "Be kind.\n", WAIT_S)
    at("change", "rollback", "C-1")
    seen(lambda: "House rules" in file.read_text(), WAIT_S)
    assert [c["status"] for c in at("change", "list")["changes"]] == ["rolled_back"]


def test_a_hand_edit_is_kept_and_can_be_approved(running: Running, slug: str) -> None:
    file = running.home / "company" / slug / HOUSE
    file.write_text("By hand.\n")

    def found() -> Any:
        listed = running.json("--company", slug, "change", "list", "--status", "found")
        return listed["changes"]

    seen(found, WAIT_S)
    seen(lambda: "House rules" in file.read_text(), WAIT_S)
    said = running("--company", slug, "change", "show", "C-1")
    assert "By hand." in said.out
    said = running("--company", slug, "change", "approve", "C-1")
    assert "Next: homarus change switch C-1" in said.out
    assert running("--company", slug, "change", "switch", "C-1").code == 0
    seen(lambda: file.read_text() == "By hand.\n", WAIT_S)


def test_what_does_not_hold_fails_and_says_where(running: Running, slug: str) -> None:
    at = ("--company", slug)
    running.json(*at, "change", "new", "--setting", "level=loose", *TEXTS)
    said = running(*at, "change", "validate", "C-1")
    assert said.code == 1
    assert "fails: value:" in said.out
    assert running(*at, "change", "new", "--setting", "level=observe").code == 2
    assert running(*at, "change", "new", *TEXTS).code == 2
    assert running(*at, "change", "new", "--document", HOUSE, *TEXTS).code == 2
    assert running(*at, "change", "show", "C-9").code == 3
    running.json(*at, "change", "new", "--role", "nobody=coo", *TEXTS)
    assert running(*at, "change", "validate", "C-2").code == 1


def test_a_governed_document_is_not_written_directly(
    running: Running, slug: str, tmp_path: Path
) -> None:
    (tmp_path / "x.md").write_text("x")
    said = running("--company", slug, "document", "write", HOUSE, str(tmp_path / "x.md"))
    assert (said.code, said.error) == (4, "R4.governed")
    assert "homarus change new" in said.err
    done = running.json("--company", slug, "document", "write", "notes.md", str(tmp_path / "x.md"))
    assert done["document"]["class"] == "plain"
    paths = [d["path"] for d in running.json("--company", slug, "document", "list")["documents"]]
    assert paths == ["AGENTS.md", "capabilities.yaml", "notes.md", HOUSE]

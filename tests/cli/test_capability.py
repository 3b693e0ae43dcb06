"""homarus capability: registered, found, declared, proposed."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Running

NAMES = count(1)
SKILL = (
    "---\nname: openclaw-config-editor\ndescription: Change the OpenClaw configuration\n---\nDo.\n"
)


@pytest.fixture
def at(running: Running) -> Any:
    """`at("list")` -> what `homarus capability list` says, in a fresh company with the agent pm."""
    slug = f"docks-{next(NAMES)}"
    running.json("company", "create", slug)
    running.json("--company", slug, "agent", "create", "pm")

    def run(*arguments: str) -> Any:
        return running("--company", slug, "--json", "capability", *arguments)

    return run


def test_register_search_and_show(at: Any) -> None:
    slots = ("--slots", '{"file": "path"}')
    words = ("--title", "Count lines", "--keyword", "length", "--owner", "pm")
    made = at("register", "files.count", *words, *slots, "--", "wc", "-l", "{file}")
    assert made.code == 0, made.err
    assert made.json["capability"]["grants"] == ["*"]
    found = at("search", "count", "the", "lines")
    assert (found.code, [hit["id"] for hit in found.json["hits"]]) == (0, ["files.count"])
    missed = at("search", "fly to the moon")
    assert (missed.code, missed.json["hits"]) == (3, [])
    assert at("show", "files.count").json["capability"]["keywords"] == ["length"]
    unknown = at("show", "files.cont")
    assert unknown.code == 3 and "files.count" in unknown.err


def test_validate_says_where_and_what(at: Any, tmp_path: Path) -> None:
    file = tmp_path / "capabilities.yaml"
    file.write_text("version: 1\ncapabilities:\n  - id: a.b\n    titel: T\n    argv: [wc]\n")
    done = at("validate", str(file))
    assert done.code == 2
    assert [(p["line"], p["column"]) for p in done.json["problems"]] == [(3, 5), (4, 5)]
    file.write_text("version: 1\ncapabilities:\n  - id: a.b\n    title: T\n    argv: [wc]\n")
    good = at("validate", str(file))
    assert (good.code, good.json["capabilities"]) == (0, ["a.b"])
    assert at("list").json["capabilities"] == []


def test_a_skills_folder(at: Any, tmp_path: Path) -> None:
    folder = tmp_path / "skill"
    (folder / "scripts").mkdir(parents=True)
    assert at("add-skill", str(folder)).code == 2
    (folder / "SKILL.md").write_text(SKILL)
    (folder / "scripts" / "edit.py").write_text("print(1)\n")
    made = at("add-skill", str(folder)).json["capability"]
    assert (made["quarantined"], made["enabled"], made["version"]) == (True, False, 1)
    assert at("add-skill", str(folder)).json["capability"]["version"] == 1
    (folder / "scripts" / "edit.py").write_text("print(2)\n")
    assert at("add-skill", str(folder)).json["capability"]["version"] == 2
    (folder / "link").symlink_to("/etc/passwd")
    assert at("add-skill", str(folder)).code == 2
    (folder / "link").unlink()
    (folder / "more").symlink_to("/etc")
    refused = at("add-skill", str(folder))
    assert refused.code == 2 and "is a link" in refused.err


def test_the_manuals_queries_of_the_store(running: Running) -> None:
    for query in (
        "SELECT * FROM tasks WHERE status='pending'",
        "SELECT status, COUNT(*) FROM outbox_v2 GROUP BY status",
        "SELECT * FROM outbox_v2 WHERE status='failed'",
    ):
        assert running.json("sql", query)["rows"] == [], query

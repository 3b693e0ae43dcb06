"""`homarus resource`: notes and their versions, secrets and who holds them."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Running

NAMES = count(1)
SECRET = "cli-secret-77"


@pytest.fixture
def at(running: Running) -> Any:
    slug = f"library-{next(NAMES)}"
    running.json("company", "create", slug)

    def run(*arguments: str) -> Any:
        return running.json("--company", slug, *arguments)

    run.slug = slug  # type: ignore[attr-defined]
    return run


def test_a_note_and_its_versions(at: Any, running: Running, tmp_path: Path) -> None:
    text = tmp_path / "plan.md"
    text.write_text("first #plan [[other]]")
    made = at("resource", "create", "plan", "--text", str(text), "--path", "q3", "--shared")
    ref = made["resource"]["id"]
    assert at("resource", "show", "plan")["resource"]["tags"] == ["plan"]
    with running.client(company=at.slug) as api:
        api.patch(f"/resources/{ref}", {"configText": "second"})
    assert [row["version"] for row in at("resource", "versions", "plan")["versions"]] == [2, 1]
    assert at("resource", "restore", "plan", "1")["resource"]["configText"].startswith("first")
    assert [r["name"] for r in at("resource", "list", "--tag", "plan")["resources"]] == ["plan"]
    assert at("resource", "list", "--search", "nowhere")["resources"] == []
    assert running("--company", at.slug, "resource", "show", "nothing").code == 3
    assert "plan" in running("--company", at.slug, "resource", "list").out


def test_a_secret_is_lent_listed_and_given_back(at: Any, running: Running, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    made = at("resource", "create", "box", "--type", "mailbox", "--secret", str(secret))
    ref = made["resource"]["id"]
    minted = at("token", "create", "danger", "--scope", "mcp_danger")
    with running.client(minted["secret"]) as api:
        lent = api.post(f"/resources/{ref}/lease", {"reason": "send"})
    assert lent["secretText"] == SECRET
    (row,) = at("resource", "leases")["leases"]
    assert (row["resourceId"], row["reason"]) == (ref, "send")
    at("resource", "release", row["id"])
    assert at("resource", "leases", "--resource", "box")["leases"] == []
    assert at("resource", "leases", "--all")["leases"][0]["endReason"] == "released"
    log = at("resource", "access-log", "box")["accessLog"]
    assert [entry["outcome"] for entry in log] == ["success"]
    for shown in (("list",), ("show", "box"), ("leases", "--all"), ("access-log", "box")):
        said = running("--company", at.slug, "resource", *shown)
        assert said.code == 0 and SECRET not in said.out


def test_both_scopes_at_once_are_refused(at: Any, running: Running) -> None:
    done = running(
        "--company", at.slug, "resource", "create", "x", "--project", "P-1", "--agent", "a"
    )
    assert done.code == 2

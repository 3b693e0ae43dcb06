"""Files of a main space: no link is followed, nothing is removed that is not ours."""

import os
from pathlib import Path

import pytest

from homarus.flows.governing_documents import MARK_BEGIN, MARK_END
from homarus.mainspace import exposure, space
from homarus.mainspace.rules import ABSENT, ODD
from homarus.records.documents import MAX_DOCUMENT_BYTES


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "company" / "acme"
    space.make_root(made)
    return made


def put(root: Path, path: str, text: str = "text") -> Path:
    space.put(root, path, text, root.parent.parent / "aside")
    return root / path


def test_what_is_put_is_seen_and_private(root: Path) -> None:
    at = put(root, "rules/house.md")
    assert (at.read_text(), at.stat().st_mode & 0o777) == ("text", 0o600)
    assert space.look(root, "rules/house.md").text == "text"
    assert [p.name for p in at.parent.iterdir()] == ["house.md"]


def test_an_edit_at_once_has_another_signature(root: Path) -> None:
    aside = root.parent.parent / "aside"
    for _ in range(100):  # most of them within one tick of the file system's clock
        ours = space.put(root, "rules/house.md", "our text", aside)
        assert space.signature(root, "rules/house.md") == ours
        (root / "rules/house.md").write_text("thy text")
        assert space.signature(root, "rules/house.md") != ours


def test_what_is_removed_has_the_signature_of_its_absence(root: Path) -> None:
    put(root, "rules/house.md")
    gone = space.remove(root, "rules/house.md", root.parent.parent / "aside")
    assert gone == space.signature(root, "rules/house.md")


def link(root: Path) -> None:
    secret = root.parent / "secret"
    secret.write_text("secret")
    (root / "a.md").symlink_to(secret)


def folder_link(root: Path) -> None:
    (root.parent / "elsewhere").mkdir()
    (root.parent / "elsewhere" / "b.md").write_text("secret")
    (root / "rules").symlink_to(root.parent / "elsewhere")


def large(root: Path) -> None:
    (root / "a.md").write_bytes(b"x" * (MAX_DOCUMENT_BYTES + 1))


def binary(root: Path) -> None:
    (root / "a.md").write_bytes(b"\xff\xfe")


def nul(root: Path) -> None:
    (root / "a.md").write_bytes(b"a\0b")


def folder(root: Path) -> None:
    (root / "a.md").mkdir()


def pipe(root: Path) -> None:
    os.mkfifo(root / "a.md")


def file_for_folder(root: Path) -> None:
    (root / "rules").write_text("no folder")


@pytest.mark.parametrize(
    "make, path, word",
    [
        (link, "a.md", "symbolic link"),
        (folder_link, "rules/b.md", "symbolic link"),
        (large, "a.md", "more than"),
        (binary, "a.md", "UTF-8"),
        (nul, "a.md", "U+0000"),
        (folder, "a.md", "folder"),
        (pipe, "a.md", "something else"),
        (file_for_folder, "rules/b.md", "folder rules"),
    ],
)
def test_what_is_no_text_is_odd_and_is_set_aside(root: Path, make, path: str, word: str) -> None:  # type: ignore[no-untyped-def]
    make(root)
    seen = space.look(root, path)
    assert (seen.sha256, seen.text) == (ODD, None)
    assert word in seen.note
    assert "secret" not in str(seen.text)
    if make in (large, binary, nul):  # a plain file: the guard sets it aside by name
        space.keep_copy(root, path, root.parent.parent / "aside")
    at = put(root, path, "approved")
    assert at.read_text() == "approved"
    assert not at.is_symlink()
    assert list((root.parent.parent / "aside").iterdir())
    for untouched in (root.parent / "secret", root.parent / "elsewhere" / "b.md"):
        assert not untouched.exists() or untouched.read_text() == "secret"


def test_a_largest_text_is_a_text(root: Path) -> None:
    (root / "a.md").write_bytes(b"x" * MAX_DOCUMENT_BYTES)
    assert space.look(root, "a.md").text is not None
    assert space.look(root, "b.md").sha256 == ABSENT


GOVERNED = "# Working here\n\nDo good.\n"


@pytest.mark.parametrize(
    "on_disk, governed",
    [
        (space.with_generated(GOVERNED, "roster"), GOVERNED),
        (space.with_generated(GOVERNED, "roster") + "more\n", GOVERNED + "more\n"),
        (space.with_generated("changed\n", "roster"), "changed\n"),
        (GOVERNED, GOVERNED),
        (f"{GOVERNED}\n{MARK_BEGIN}\ncut", f"{GOVERNED}\n{MARK_BEGIN}\ncut"),
        (f"{GOVERNED}\n{MARK_END}\n", f"{GOVERNED}\n{MARK_END}\n"),
    ],
)
def test_the_generated_part_of_agents_md_is_no_governed_text(on_disk: str, governed: str) -> None:
    assert space.governed_part(on_disk) == governed


def test_strangers_are_files_at_governed_places(root: Path) -> None:
    for path in ("rules/new.md", "notes/mine.md", "rules/deep/x.md", "agents.md", "house.md"):
        put(root, path)
    (root / "rules" / ".house.md.swp").write_text("an editor's")
    (root / ".git").mkdir()
    assert space.strangers(root, frozenset({"rules/deep/x.md"})) == ["agents.md", "rules/new.md"]


def test_a_signature_changes_with_every_touch(root: Path) -> None:
    at = put(root, "rules/house.md")
    seen = {space.signature(root, "rules/house.md")}
    put(root, "rules/house.md", "same!")
    seen.add(space.signature(root, "rules/house.md"))
    at.unlink()
    seen.add(space.signature(root, "rules/house.md"))
    at.symlink_to("/nowhere")
    seen.add(space.signature(root, "rules/house.md"))
    assert len(seen) == 4


@pytest.mark.parametrize(
    "workspace, exposed",
    [(None, False), ("company/acme", True), ("company", True), ("company/acme/rules", True),
     ("elsewhere", False)],
)  # fmt: skip
def test_a_workspace_that_leads_into_the_main_space_exposes_it(
    tmp_path: Path, root: Path, workspace: str | None, exposed: bool
) -> None:
    agent = tmp_path / "agents" / "ada"
    agent.mkdir(parents=True)
    if workspace is None:
        (agent / "workspace").mkdir()
    else:
        (tmp_path / workspace).mkdir(exist_ok=True, parents=True)
        (agent / "workspace").symlink_to(tmp_path / workspace)
    assert exposure.of(tmp_path, root) is exposed

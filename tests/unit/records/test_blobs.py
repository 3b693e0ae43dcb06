"""Contents are whole under their name or not there; nobody's content is swept away under him."""

import hashlib
import os

import pytest

from homarus.base.errors import TooLarge, Unavailable
from homarus.records import blobs as module
from homarus.records.blobs import MAX_DRAFTS, SWEEP_AGE_S, Blobs

CONTENT = b"a report"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def blobs(tmp_path):
    made = Blobs(tmp_path / "blobs")
    made.start()
    return made


def put(blobs: Blobs, content: bytes = CONTENT) -> str:
    draft = blobs.draft()
    draft.write(content)
    return draft.keep()


def test_a_content_lies_under_its_checksum_for_the_owner_only(blobs):
    assert put(blobs) == SHA
    path = blobs.path(SHA)
    assert path.read_bytes() == CONTENT
    assert path.parent.name == SHA[:2]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_equal_contents_are_one_file(blobs):
    put(blobs)
    inode = blobs.path(SHA).stat().st_ino
    assert put(blobs) == SHA
    assert blobs.path(SHA).stat().st_ino == inode


def test_a_damaged_content_is_made_whole_by_the_next_upload(blobs):
    put(blobs)
    blobs.path(SHA).write_bytes(b"a rebort")
    put(blobs)
    assert blobs.check(SHA, len(CONTENT)).read_bytes() == CONTENT


def test_a_discarded_draft_leaves_nothing(blobs, tmp_path):
    draft = blobs.draft()
    draft.write(CONTENT)
    draft.discard()
    assert [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()] == []


def test_start_removes_drafts_of_a_daemon_that_died(blobs, tmp_path):
    blobs.draft().write(CONTENT)
    Blobs(tmp_path / "blobs").start()
    assert list((tmp_path / "blobs" / "tmp").iterdir()) == []


def test_a_draft_ends_at_the_named_bound(blobs):
    draft = blobs.draft()
    chunk = b"\0" * (module.MAX_FILE_BYTES // 4)
    for _ in range(4):
        draft.write(chunk)
    with pytest.raises(TooLarge, match=r"artifact\.too_large"):
        draft.write(b"x")
    draft.discard()


def test_only_so_many_drafts_at_once(blobs):
    drafts = [blobs.draft() for _ in range(MAX_DRAFTS)]
    assert None not in drafts
    assert blobs.draft() is None
    drafts[0].discard()
    assert blobs.draft() is not None


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda p: p.unlink(), "artifact.blob_missing"),
        (lambda p: p.write_bytes(b"a rebort"), "artifact.blob_damaged"),
        (lambda p: p.write_bytes(b"a"), "artifact.blob_damaged"),
    ],
)
def test_a_content_that_is_not_itself_is_not_given_out(blobs, damage, code):
    put(blobs)
    damage(blobs.path(SHA))
    with pytest.raises(Unavailable, match=code):
        blobs.check(SHA, len(CONTENT))


def test_a_held_content_is_not_removed(blobs):
    put(blobs)
    ticket = blobs.ticket()
    with blobs.hold(SHA):
        assert not blobs.remove(SHA, ticket)
    assert not blobs.remove(SHA, ticket), "somebody held one since the ticket was taken"
    assert blobs.remove(SHA, blobs.ticket())
    assert not blobs.path(SHA).exists()


def test_only_contents_an_hour_old_are_offered_to_the_sweep(blobs):
    put(blobs, b"new")
    old = put(blobs, b"old")
    at = blobs.path(old).stat().st_mtime - SWEEP_AGE_S - 1
    os.utime(blobs.path(old), (at, at))
    assert blobs.old() == [old]
    assert blobs.old(after=old) == []


def test_a_full_disk_is_a_clear_error(blobs, tmp_path):
    (tmp_path / "blobs" / "tmp").rmdir()
    (tmp_path / "blobs" / "tmp").write_text("in the way")
    with pytest.raises(Unavailable, match=r"artifact\.disk"):
        blobs.draft()

"""What a command leaves in `out/`: whatever it is called, it becomes an artifact."""

import hashlib

import pytest

from homarus.dispatch import commands
from homarus.records import rules
from homarus.records.blobs import Blobs


@pytest.mark.parametrize(
    ("left", "kept"),
    [("a.txt", "a.txt"), ("a\\b", "a_b"), ("a\nb", "a_b"), ("con", "_con"), (" ", "_")],
)
def test_a_file_is_kept_under_a_name_that_records_accept(tmp_path, left, kept):
    out = tmp_path / "out"
    out.mkdir()
    (out / left).write_bytes(b"made")
    blobs = Blobs(tmp_path / "blobs")
    blobs.start()
    (file,) = commands.collect(blobs, out)
    assert (file.filename, rules.file_name(file.filename)) == (kept, kept)
    assert file.sha256 == hashlib.sha256(b"made").hexdigest()

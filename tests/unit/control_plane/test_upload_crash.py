"""Killed at every step of an upload: an acknowledged one is whole, another leaves nothing."""

import os
import signal
import subprocess
import sys

import pytest

from homarus.records import artifacts, sweep
from homarus.records.blobs import SWEEP_AGE_S, Blobs
from homarus.testing.ground import ground

CHILD_S = 60
UPLOAD = """
import asyncio, sys
from pathlib import Path
from homarus.control_plane.artifact_create import uploaded
from homarus.records.blobs import Blobs
from homarus.testing.ground import ground
from homarus.testing.streams import BOUNDARY, BodyStream, call, multipart

async def main(home):
    async with ground(home) as g:
        blobs = Blobs(home / "blobs")
        blobs.start()
        for n in range(50):
            body = multipart({"kind": "report"}, f"{n}.txt", b"content %d" % n)
            stream = BodyStream(
                g.store, home, blobs, g.action("artifact.create", "artifact:"), [body],
                {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}, key=f"k{n}",
            )
            await uploaded(stream, call(g.company))
            print(f"acknowledged {n}", flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""
POINTS = [
    ("blob.synced", 3),
    ("blob.renamed", 3),
    ("unit.before_receipt", 5),
    ("unit.before_release", 5),
    ("store.before_commit", 5),
    ("store.after_commit", 5),
]


def listed(rx, company):
    return artifacts.listed(rx, company, {}, limit=100)


def upload_until_killed(home, point, count):
    """Names of the files whose upload was acknowledged before the kill."""
    failpoint = {"HOMARUS_FAILPOINT": f"{point}:{count}", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", UPLOAD, str(home)],
        env=os.environ | failpoint,
        capture_output=True,
        timeout=CHILD_S,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    return {f"{line[1]}.txt" for line in lines if line[0] == "acknowledged"}


@pytest.mark.crash
@pytest.mark.parametrize(("point", "count"), POINTS)
async def test_an_upload_killed_at(tmp_path, point, count):
    acknowledged = upload_until_killed(tmp_path, point, count)
    blobs = Blobs(tmp_path / "blobs")
    blobs.start()
    async with ground(tmp_path) as g:
        rows = await g.read(listed, g.company)
        assert acknowledged <= {row.filename for row in rows}
        assert len(rows) <= len(acknowledged) + 1
        for row in rows:
            blobs.check(row.sha256, row.size_bytes)
        for path in (tmp_path / "blobs").glob("[0-9a-f][0-9a-f]/*"):
            os.utime(path, (path.stat().st_mtime - SWEEP_AGE_S - 1,) * 2)
        await sweep.sweep(g.store, blobs)
        for row in rows:
            blobs.check(row.sha256, row.size_bytes)
    files = [p.name for p in (tmp_path / "blobs").rglob("*") if p.is_file()]
    assert sorted(files) == sorted(row.sha256 for row in rows)

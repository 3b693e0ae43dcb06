"""Packages of npm that tests run, fetched once by a lock file and kept in `.nox/` under its hash.

Their install scripts are not run.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.requires import requires

CACHE = Path(__file__).parents[2] / ".nox"
MANIFESTS = ("package.json", "package-lock.json")
INSTALL_S = 600


def fetched(manifests: Path, name: str) -> Path:
    """The `node_modules` of what the lock file in `manifests` names. Skips, or fails where nothing
    may be skipped, when it cannot be had."""
    npm = requires("npm")
    lock = b"".join((manifests / each).read_bytes() for each in MANIFESTS)
    place = CACHE / f"{name}-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not place.exists():
        _fetch(npm, manifests, place, name)
    return place / "node_modules"


def _fetch(npm: str, manifests: Path, place: Path, name: str) -> None:
    CACHE.mkdir(exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=CACHE))
    for each in MANIFESTS:
        shutil.copy(manifests / each, draft)
    argv = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(argv, cwd=draft, capture_output=True, text=True, timeout=INSTALL_S)
    if done.returncode:
        shutil.rmtree(draft)
        reason = f"npm cannot fetch {name}: {done.stderr.strip()[-500:]}"
        if os.environ.get("HOMARUS_REQUIRE_SYSTEM") == "1":
            pytest.fail(f"HOMARUS_REQUIRE_SYSTEM=1, but {reason}", pytrace=False)
        pytest.skip(reason)
    try:
        draft.rename(place)  # whole, or not there
    except OSError:  # another worker was quicker
        shutil.rmtree(draft)

"""A stub of model providers by others: `@copilotkit/aimock`, fetched once and run on loopback.

The version and its hash are in `npm/package-lock.json`. What is fetched stays in `.nox/`, under
the hash of the lock; its install scripts are not run.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.requires import requires

HERE = Path(__file__).parent / "npm"
CACHE = Path(__file__).parents[2] / ".nox"
MANIFESTS = ("package.json", "package-lock.json")
INSTALL_S = 180
LISTENING = re.compile(r"listening on (http://[0-9.:]+)")
MAX_LINES = 100


def installed() -> Path:
    """The package's folder. Skips, or fails where nothing may be skipped, when it cannot be had."""
    npm = requires("npm")
    lock = b"".join((HERE / name).read_bytes() for name in MANIFESTS)
    place = CACHE / f"aimock-{hashlib.sha256(lock).hexdigest()[:16]}"
    package = place / "node_modules" / "@copilotkit" / "aimock"
    if not package.exists():
        _fetch(npm, place)
    return package


def _fetch(npm: str, place: Path) -> None:
    CACHE.mkdir(exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="aimock-", dir=CACHE))
    for name in MANIFESTS:
        shutil.copy(HERE / name, draft)
    argv = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(argv, cwd=draft, capture_output=True, text=True, timeout=INSTALL_S)
    if done.returncode:
        shutil.rmtree(draft)
        reason = f"npm cannot fetch the stub of models: {done.stderr.strip()[-500:]}"
        if os.environ.get("HOMARUS_REQUIRE_SYSTEM") == "1":
            pytest.fail(f"HOMARUS_REQUIRE_SYSTEM=1, but {reason}", pytrace=False)
        pytest.skip(reason)
    try:
        draft.rename(place)
    except OSError:  # another worker was quicker
        shutil.rmtree(draft)


@contextmanager
def aimock(fixtures: list[dict[str, Any]], folder: Path) -> Iterator[str]:
    """The address of one that answers by these fixtures, on a port of its own choice."""
    node = requires("nodejs")
    package = installed()
    file = folder / "fixtures.json"
    file.write_text(json.dumps({"fixtures": fixtures}))
    argv = [node, str(package / "dist" / "cli.js"), "-p", "0", "-f", str(file), "--strict"]
    with subprocess.Popen(
        argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        try:
            yield _address(child)
        finally:
            child.kill()


def _address(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    said = []
    for _ in range(MAX_LINES):
        line = child.stdout.readline()
        said.append(line)
        found = LISTENING.search(line)
        if found is not None:
            return found[1]
        if not line:
            break
    raise AssertionError(f"the stub did not start: {''.join(said)}")

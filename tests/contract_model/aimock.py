"""A stub of model providers by others: `@copilotkit/aimock`, fetched once and run on loopback.

The version and its hash are in `npm/package-lock.json`.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.npm import fetched
from tests.support.requires import requires

HERE = Path(__file__).parent / "npm"
LISTENING = re.compile(r"listening on (http://[0-9.:]+)")
MAX_LINES = 100


@contextmanager
def aimock(fixtures: list[dict[str, Any]], folder: Path) -> Iterator[str]:
    """The address of one that answers by these fixtures, on a port of its own choice."""
    node = requires("nodejs")
    package = fetched(HERE, "aimock") / "@copilotkit" / "aimock"
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

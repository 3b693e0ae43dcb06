"""Skips a test that needs a program this machine lacks; fails it where none may be missing.

`requires("bubblewrap")` in a test or fixture. With HOMARUS_REQUIRE_SYSTEM=1 (set by `.ci/run`) a
skip would hide that something went untested, so the same call fails.
"""

import os
import subprocess
from functools import cache

import pytest

from dev import SYSTEM_TOOLS, find_tool

PROBE_TIMEOUT_S = 20


def requires(tool: str) -> str:
    """Path of the program (of its folder, for postgresql). `tool` is a key of dev.SYSTEM_TOOLS."""
    path = find_tool(tool)
    reason = f"{tool} is not installed ({SYSTEM_TOOLS[tool][1]})" if path is None else None
    if tool == "bubblewrap" and path is not None:
        reason = bubblewrap_refusal(path)
    if reason is not None:
        if os.environ.get("HOMARUS_REQUIRE_SYSTEM") == "1":
            pytest.fail(f"HOMARUS_REQUIRE_SYSTEM=1, but {reason}", pytrace=False)
        pytest.skip(f"{reason}; to install: apt-get install {SYSTEM_TOOLS[tool][0]}")
    assert path is not None
    return path


@cache
def bubblewrap_refusal(path: str) -> str | None:
    """Why an installed bubblewrap cannot make a sandbox here (a container may forbid it)."""
    argv = [path, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "/bin/true"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S)
    if done.returncode == 0:
        return None
    return f"bubblewrap cannot make a sandbox on this machine: {done.stderr.strip()}"

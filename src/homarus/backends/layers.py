"""Which layers of the sandbox hold on this host: found by trying, not by guessing.

`probe` runs the sandbox once with `true` inside. What it returns is plain data; `homarus doctor`
prints it and every run says which sandbox it had.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from homarus.backends.cgroups import delegated
from homarus.backends.sandbox import Options, bwrap_arguments, inside, view_of

PROBE_WAIT_S = 5.0
SANDBOX = ("bubblewrap", "user-namespace", "mount-namespace", "pid-namespace", "network-namespace")
"""Layers that come together: without one of them the sandbox is not used."""

_INSTALL_REMEDY = (
    "Install bubblewrap (`apt install bubblewrap`, `dnf install bubblewrap`). Until then only "
    "capabilities marked trusted run."
)
_SETUP_REMEDY = (
    "Update bubblewrap; in a container allow it to mount /proc (Docker: --security-opt "
    "systempaths=unconfined). Until then only capabilities marked trusted run."
)
_NAMESPACE_REMEDY = (
    "Allow unprivileged user namespaces: on Ubuntu 24.04 give bwrap an AppArmor profile with "
    "`userns,` (or set kernel.apparmor_restrict_unprivileged_userns=0), on Debian 10 set "
    "kernel.unprivileged_userns_clone=1, in Docker start with --security-opt seccomp=unconfined. "
    "Until then only capabilities marked trusted run."
)


@dataclass(frozen=True, slots=True)
class Layer:
    """`detail` says what was seen, `remedy` what to do when it is not active ('' for nothing)."""

    name: str
    active: bool
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class SandboxLayers:
    """Tools are None when missing or not working here. `options` are bubblewrap's that work."""

    layers: tuple[Layer, ...]
    bwrap: str | None = None
    prlimit: str | None = None
    setpriv: str | None = None
    options: Options = field(default_factory=Options)

    @property
    def sandbox(self) -> Literal["bwrap", "none"]:
        """What a command gets: all of bubblewrap's layers and the resource limits, or nothing."""
        return "bwrap" if self.bwrap and self.prlimit else "none"

    def active(self, name: str) -> bool:
        return any(layer.active for layer in self.layers if layer.name == name)

    def as_json(self) -> dict[str, Any]:
        layers = [
            {"name": at.name, "active": at.active, "detail": at.detail, "remedy": at.remedy}
            for at in self.layers
        ]
        return {"sandbox": self.sandbox, "layers": layers}


def probe(search_path: str | None = None, wait_s: float = PROBE_WAIT_S) -> SandboxLayers:
    """Try every layer. Blocks for some 30 ms, at most a few `wait_s`: call it in a thread.

    `search_path` replaces PATH when looking for the tools.
    """
    host = _Host(search_path, wait_s)
    bwrap, options, layers = _probe_bwrap(host)
    prlimit, limits = _probe_tool(host, "resource-limits", "prlimit", ["--core=0:0", "--", "true"])
    setpriv, parent = _probe_tool(
        host, "parent-death", "setpriv", ["--pdeathsig", "KILL", "--no-new-privs", "true"]
    )
    return SandboxLayers(
        layers=(*layers, limits, _process_count(bwrap), parent, _cgroups(), _SECCOMP),
        bwrap=bwrap,
        prlimit=prlimit,
        setpriv=setpriv,
        options=options,
    )


_SECCOMP = Layer(
    "seccomp",
    active=False,
    detail="no system-call filter; namespaces, no capabilities and no new privileges are the wall",
)


@dataclass(frozen=True, slots=True)
class _Host:
    search_path: str | None
    wait_s: float

    def find(self, tool: str) -> str | None:
        return shutil.which(tool, path=self.search_path)

    def run(self, argv: Sequence[str]) -> tuple[bool, str]:
        """Whether it ended with 0, and the first line that it wrote."""
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.wait_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            return False, str(exc)
        lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        return done.returncode == 0, lines[0] if lines else f"exit code {done.returncode}"


def _probe_tool(host: _Host, name: str, tool: str, test: list[str]) -> tuple[str | None, Layer]:
    path = host.find(tool)
    if path is None:
        return None, Layer(name, False, f"{tool} not found", "Install util-linux.")
    works, said = host.run([path, *test])
    if works:
        return path, Layer(name, True, path)
    return None, Layer(name, False, f"{path}: {said}", "Update util-linux.")


def _probe_bwrap(host: _Host) -> tuple[str | None, Options, list[Layer]]:
    bwrap = host.find("bwrap")
    if bwrap is None:
        missing = Layer("bubblewrap", False, "bwrap not found", _INSTALL_REMEDY)
        rest = [Layer(name, False, "needs bubblewrap") for name in SANDBOX[1:]]
        return None, Options(), [missing, *rest]
    _, version = host.run([bwrap, "--version"])
    timeout = host.find("timeout")
    view = view_of(Path("/usr"), (), ())
    first_failure = ""
    for options in (
        Options(disable_userns=True, tmp_size=True, timeout=timeout),
        Options(tmp_size=True, timeout=timeout),
        Options(),
    ):
        arguments = bwrap_arguments(view, {"PATH": "/usr/bin:/bin"}, options)
        command = inside(["true"], options, prlimit="", processes=None)
        works, said = host.run([bwrap, *arguments, "--", *command])
        if works:
            found = Layer("bubblewrap", True, f"{version} at {bwrap}")
            return bwrap, options, [found, *(Layer(name, True, "own") for name in SANDBOX[1:])]
        first_failure = first_failure or said
    single = [_namespace(host, bwrap, name) for name in SANDBOX[1:]]
    remedy = _SETUP_REMEDY if all(layer.active for layer in single) else ""
    return (
        None,
        Options(),
        [Layer("bubblewrap", False, f"{version}: {first_failure}", remedy), *single],
    )


def _namespace(host: _Host, bwrap: str, name: str) -> Layer:
    """One namespace by itself, to say which one fails."""
    flag = {"pid-namespace": ["--unshare-pid"], "network-namespace": ["--unshare-net"]}
    arguments = ["--unshare-user", *flag.get(name, []), "--ro-bind", "/", "/", "--", "true"]
    works, said = host.run([bwrap, *arguments])
    return Layer(name, works, "own" if works else said, "" if works else _NAMESPACE_REMEDY)


def _process_count(bwrap: str | None) -> Layer:
    name = "process-count"
    if bwrap is None:
        return Layer(name, False, "needs bubblewrap")
    release = tuple(int(part) for part in platform.release().split(".")[:2] if part.isdigit())
    if release < (5, 14):
        return Layer(name, False, f"Linux {platform.release()} counts per user", "Use Linux 5.14.")
    if os.geteuid() == 0:
        return Layer(name, False, "the kernel spares root", "Run the daemon as an ordinary user.")
    return Layer(name, True, "counted per sandbox")


def _cgroups() -> Layer:
    name = "cgroup-v2"
    folder = delegated()
    if folder is not None:
        return Layer(name, True, f"runs of jobs are counted and ended in {folder}")
    detail = "not delegated to this process; runs of jobs are counted by looking at /proc"
    return Layer(name, False, detail, "With systemd: Delegate=yes in the daemon's unit.")

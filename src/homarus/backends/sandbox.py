"""The view a sandboxed command gets of the machine, as arguments of bubblewrap.

Seen: the system's programs and libraries read-only, the few files of /etc that they need, the
command's own workspace read-write, its declared inputs read-only; fresh /proc, /dev and /tmp. Not
seen: homes, the state directory, other processes, any network (design, section 7: sandbox view).
Everything lies where it lies outside, so that one command line fits both.

`bwrap_arguments` is pure; `view_of` asks the file system.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from homarus.base.errors import Invalid

TMP_BYTES = 256 * 1024 * 1024
"""Size of the sandbox's /tmp, which is memory."""

SYSTEM_DIRS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
ETC = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki/tls/certs",
    "/etc/ssl/certs",
)
"""What programs need of /etc: loader, names of users, time zone, public certificates."""

RESERVED = ("/proc", "/dev", "/sys")
"""Made anew (or absent) inside; nothing below them can be declared as an input."""


@dataclass(frozen=True, slots=True)
class View:
    """Absolute, resolved paths. `links`: system directories that are links, with their targets
    (`/bin` -> `usr/bin`). `hidden` directories are empty inside, even below an input."""

    workspace: Path
    inputs: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    system: tuple[str, ...] = ("/usr",)
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """What older versions of bubblewrap lack; and the system's `timeout`, when there is one."""

    disable_userns: bool = False
    tmp_size: bool = False
    timeout: str | None = None


def view_of(workspace: Path, inputs: Iterable[Path], hidden: Iterable[Path]) -> View:
    """The view on this host. Raises `Invalid` for a path that is missing or must not be mounted."""
    system = [path for path in SYSTEM_DIRS if Path(path).exists()]
    links = [(path, str(Path(path).readlink())) for path in system if Path(path).is_symlink()]
    return View(
        workspace=_mountable(workspace),
        inputs=tuple(dict.fromkeys(_mountable(path) for path in inputs)),
        hidden=tuple(dict.fromkeys(Path(os.path.realpath(p)) for p in hidden if p.is_dir())),
        system=tuple(path for path in system if not Path(path).is_symlink()),
        links=tuple(links),
    )


def bwrap_arguments(view: View, env: Mapping[str, str], options: Options) -> list[str]:
    """All arguments before the `--`, but the descriptors. Later mounts cover earlier ones, so
    parents come first; of one path an input covers a mask, and the workspace covers both."""
    arguments = [
        "--unshare-all",
        "--unshare-user",
        *(["--disable-userns"] if options.disable_userns else []),
        *(["--as-pid-1"] if options.timeout else []),
        *("--die-with-parent", "--new-session", "--clearenv"),
        *("--cap-drop", "ALL", "--hostname", "sandbox"),
    ]
    for path in view.system:
        arguments += ["--ro-bind", path, path]
    for path, target in view.links:
        arguments += ["--symlink", target, path]
    for path in ETC:
        arguments += ["--ro-bind-try", path, path]
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    arguments += ["--size", str(TMP_BYTES)] if options.tmp_size else []
    arguments += ["--tmpfs", "/tmp"]  # noqa: S108 - the sandbox's own
    for mount, kind in sorted(_mounts(view), key=lambda at: (len(at[0].parts), at)):
        arguments += _MOUNTS[kind](str(mount))
    for name, value in sorted(env.items()):
        arguments += ["--setenv", name, value]
    return [*arguments, "--chdir", str(view.workspace)]


_MASK, _INPUT, _WORKSPACE = range(3)
_MOUNTS: tuple[Callable[[str], list[str]], ...] = (
    lambda path: ["--tmpfs", path],
    lambda path: ["--ro-bind", path, path],
    lambda path: ["--bind", path, path],
)


def _mounts(view: View) -> list[tuple[Path, int]]:
    seen = [*view.inputs, view.workspace, *map(Path, view.system)]
    masks = [
        (path, _MASK)
        for path in view.hidden
        if any(path.is_relative_to(root) for root in seen) and path not in seen
    ]
    inputs = [(path, _INPUT) for path in view.inputs if path != view.workspace]
    return [*masks, *inputs, (view.workspace, _WORKSPACE)]


def _mountable(path: Path) -> Path:
    real = Path(os.path.realpath(path))
    if not path.is_absolute() or len(real.parts) < 2 or f"/{real.parts[1]}" in RESERVED:
        raise Invalid(
            "sandbox.bad_path",
            f"{path} cannot be a workspace or an input of a sandboxed command.",
            f"Name an absolute directory or file below / and not in {', '.join(RESERVED)}.",
            path=str(path),
        )
    if not real.exists():
        raise Invalid(
            "sandbox.path_missing",
            f"{path} does not exist, so it cannot be shown to a sandboxed command.",
            "Create it, or correct the declared inputs.",
            path=str(path),
        )
    return real


def inside(
    argv: Sequence[str], options: Options, *, prlimit: str, processes: int | None
) -> list[str]:
    """The command as bubblewrap starts it.

    `timeout 0` is the first process of the sandbox in place of bubblewrap's own, which is never
    waited for, so that the CPU time below it would be lost. The number of processes is limited
    here, where the kernel counts those of this sandbox alone (user namespaces, Linux 5.14).
    """
    first = [options.timeout, "--foreground", "0"] if options.timeout else []
    if processes is not None:
        first += [prlimit, f"--nproc={processes}:{processes}", "--"]
    return [*first, *argv]

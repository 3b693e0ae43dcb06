"""The `prlimit` arguments that hold one command to its limits (`homarus.kernel.limits`).

The system's `prlimit` starts the command, because a `preexec_fn` would run Python between fork and
exec. Resource limits are per process: `metered.py` holds a whole tree to its bounds; the wall clock
bounds everything.
"""

import resource
from collections.abc import Mapping

from homarus.kernel.limits import Limits

_RESOURCES = (
    ("cpu", "cpu_s", resource.RLIMIT_CPU),
    ("data", "memory_bytes", resource.RLIMIT_DATA),
    ("fsize", "file_bytes", resource.RLIMIT_FSIZE),
    ("nofile", "open_files", resource.RLIMIT_NOFILE),
)


def hard_limits() -> dict[str, int]:
    """This process's own hard limits by prlimit's names; a child cannot be given more."""
    return {name: resource.getrlimit(number)[1] for name, _, number in _RESOURCES}


def prlimit_argv(prlimit: str, limits: Limits, hard: Mapping[str, int]) -> list[str]:
    """`prlimit … --`, to stand before the command. CPU: SIGXCPU at the limit, SIGKILL 1 s on."""
    argv = [prlimit, "--core=0:0"]
    for name, field, _ in _RESOURCES:
        value = getattr(limits, field)
        ceiling = hard.get(name, resource.RLIM_INFINITY)
        if ceiling != resource.RLIM_INFINITY:
            value = min(value, ceiling)
        last = value + 1 if name == "cpu" and value != ceiling else value
        argv.append(f"--{name}={value}:{last}")
    return [*argv, "--"]

"""Named points at which a crash test kills the process for real.

`HOMARUS_FAILPOINT=name:count` kills (SIGKILL, no clean-up) the process the count-th time that the
named point is passed; `*:count` counts all points. Unset, a point costs one comparison.
"""

import os
import signal

_spec = os.environ.get("HOMARUS_FAILPOINT", "")
_name, _, _count = _spec.partition(":")
_left = int(_count or 1)


def failpoint(name: str) -> None:
    """Die here if the environment says so."""
    global _left
    if not _name or _name not in (name, "*"):
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

"""Days as clients name them: `2026-05-01`, UTC's."""

import calendar
import time
from typing import Final

from homarus.gateway.ws import frames

DAY_S: Final = 86_400


def start_s(text: str, method: str, name: str) -> int:
    """When a day begins, in Unix seconds. Raises Fault."""
    try:
        return calendar.timegm(time.strptime(text, "%Y-%m-%d"))
    except ValueError:
        raise frames.bad_params(method, f"at {name}: must be YYYY-MM-DD") from None


def of(at_s: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at_s))


def count(first_s: int, last_s: int) -> int:
    """Days from one to the other, both counted; below 1 where they are the wrong way round."""
    return (last_s - first_s) // DAY_S + 1

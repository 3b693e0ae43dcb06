"""What becomes of a request that failed: again after a pause, the next model, or the end. Pure."""

from typing import Final

import msgspec

from homarus.agents.port import AGAIN, Fault

MAX_WAIT_S: Final = 60.0


class Retry(msgspec.Struct, frozen=True):
    """`tries` of one model in all; pauses grow from `first_s` by doubling to `cap_s`; a provider
    that says when to come back is heeded up to `asked_cap_s`."""

    tries: int = 4
    first_s: float = 1.0
    cap_s: float = 30.0
    asked_cap_s: float = MAX_WAIT_S


def pause_s(
    fault: Fault, failed: int, asked_s: float | None, retry: Retry, jitter: float
) -> float | None:
    """Seconds until the same model is asked again; None: it is not.

    `failed`: how often it has failed by now, this time included; `jitter`: 0 to 1, shortens a pause
    of our own by up to half, so that many turns do not come back at once.
    """
    if fault not in AGAIN or failed >= retry.tries:
        return None
    if fault is Fault.BUSY and asked_s is not None:
        return min(max(asked_s, 0.0), retry.asked_cap_s)
    longest = min(retry.first_s * float(2 ** (failed - 1)), retry.cap_s)
    return longest * (1 - jitter / 2)


def next_model_helps(fault: Fault) -> bool:
    """Whether another model may succeed where this one failed: not where our request is at fault,
    or too long."""
    return fault not in (Fault.REQUEST, Fault.OVERFLOW)

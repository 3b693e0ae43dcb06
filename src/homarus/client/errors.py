"""From a reply of the wire back to the exception that the daemon raised."""

from typing import Any, Final

from homarus.base.errors import (
    Busy,
    Conflict,
    HomarusError,
    Incomplete,
    Internal,
    Invalid,
    NotFound,
    Refused,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

MAX_SHOWN: Final = 300
_OWN: Final = ("error", "code", "remedy", "details", "rule", "receipt")


class Unreachable(Unavailable):
    """No daemon answered at the address: not started, stopped, or another network."""


def unreachable(url: str, error: Exception) -> Unreachable:
    """Nobody answers, or somebody hung up."""
    return Unreachable(
        "client.unreachable",
        f"no daemon answers at {url} ({error or type(error).__name__})",
        "Start it: `homarus up`. Or name another with --url or --home.",
    )


def timed_out(url: str, timeout_s: float) -> Unreachable:
    return Unreachable(
        "client.timeout",
        f"{url} did not answer within {timeout_s:g} s",
        "See `homarus doctor` and the daemon's log.",
    )


_BY_STATUS: Final[dict[int, type[HomarusError]]] = {
    kind.status: kind
    for kind in (
        Invalid,
        Unauthenticated,
        NotFound,
        Conflict,
        TooLarge,
        Incomplete,
        Busy,
        Unavailable,
        Internal,
    )
}


def _kind(status: int) -> type[HomarusError]:
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    return Invalid if 400 <= status < 500 else Internal


def from_reply(status: int, body: Any) -> HomarusError:
    """The error of a reply `{"error", "code"?, "remedy"?, "details"?, ...}` (errors reference).

    A body of another shape (a proxy's page) becomes `client.bad_reply` of the status' kind.
    """
    if not isinstance(body, dict) or not isinstance(body.get("error"), str):
        return _kind(status)(
            "client.bad_reply",
            f"the answer {status} is none of Homarus: {str(body)[:MAX_SHOWN]!r}",
            "Check that --url names a Homarus daemon.",
        )
    message = body["error"]
    code = _text(body, "code") or f"http.{status}"
    remedy = _text(body, "remedy")
    if status == Refused.status:
        return Refused(code, message, remedy, rule=_text(body, "rule"), receipt=body.get("receipt"))
    details = {key: value for key, value in body.items() if key not in _OWN}
    given = body.get("details")
    details.update(given if isinstance(given, dict) else {"details": given} if given else {})
    error = _kind(status)(code, message, remedy)
    error.details.update(details)
    return error


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""

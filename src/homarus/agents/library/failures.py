"""What a failure of the library and the SDKs means to the loop."""

import binascii
import re
from typing import Final

import httpx2
import msgspec
from pydantic_ai import exceptions as wrong

from homarus.agents.port import Fault

_OVERFLOWS: Final = re.compile(
    r"context (length|window|size)|exceeds? (the )?(available |maximum )?context|"
    r"(prompt|input|request) (is |was )?too (long|large)|too many (input )?tokens|"
    r"exceed(s|ed)? context limit",
    re.IGNORECASE,
)
"""How servers say it that have no code for it (llama.cpp, LM Studio, proxies)."""
_BEFORE_SENDING: Final = ("pool", "connect", None)


class Verdict(msgspec.Struct, frozen=True):
    """What a failure of the library is to the loop. `said`: the provider's own words."""

    fault: Fault
    said: str
    status: int | None = None
    retry_after_s: float | None = None


def failure(error: Exception) -> Verdict:
    """Kinds first, then the status, then the words."""
    said = _words(error)
    if not isinstance(error, wrong.ModelAPIError):
        return Verdict(_odd(error), said)
    status = error.status_code if isinstance(error, wrong.ModelHTTPError) else None
    redirect = getattr(error.__cause__, "status_code", 0)
    if status is None and 300 <= redirect < 400:
        return Verdict(Fault.REQUEST, "it redirects, and the key goes nowhere else", redirect)
    return Verdict(_fault(error, status, said), said, status, error.retry_after)


def _odd(error: Exception) -> Fault:
    """Errors that are none of a provider's."""
    if isinstance(error, wrong.UserError | UnicodeEncodeError | binascii.Error):
        return Fault.REQUEST  # it never went out
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return Fault.UNREACHABLE
    if isinstance(error, httpx2.TransportError | httpx2.StreamError):
        return Fault.SERVER
    return Fault.MALFORMED


def _fault(error: wrong.ModelAPIError, status: int | None, said: str) -> Fault:
    match error:
        case wrong.ModelContextWindowExceededError():
            return Fault.OVERFLOW
        case wrong.ModelRateLimitError() | wrong.ModelOverloadedError():
            return Fault.BUSY
        case wrong.ModelAuthenticationError() | wrong.ModelQuotaExceededError():
            return Fault.KEY
        case wrong.ModelUnavailableError() | wrong.ModelServerError():
            return Fault.SERVER
        case wrong.ModelConnectionError(phase=phase):
            return Fault.UNREACHABLE if phase in _BEFORE_SENDING else Fault.SERVER
    if status == 413 or (status in (400, 422) and _OVERFLOWS.search(said)):
        return Fault.OVERFLOW
    if status in (408, 425):
        return Fault.SERVER
    if status is not None:
        return Fault.SERVER if status >= 500 else Fault.REQUEST
    if error.in_stream or isinstance(error.__cause__, httpx2.TransportError):
        return Fault.SERVER
    return Fault.MALFORMED if error.__cause__ is not None or _is_text(said) else Fault.SERVER


def _is_text(said: str) -> bool:
    """The SDKs hand a page on as text where JSON was due."""
    return said.startswith("Expected a JSON response")


def _words(error: Exception) -> str:
    """The provider's message, else the library's."""
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        inner = body.get("error", body)
        text = inner.get("message") if isinstance(inner, dict) else inner
        if isinstance(text, str) and text:
            return text
    if isinstance(body, str) and body.strip():
        return body
    return str(error) or type(error).__name__

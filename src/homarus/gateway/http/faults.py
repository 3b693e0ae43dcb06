"""Errors as OpenAI's clients read them: `{"error": {"message", "type", "param", "code"}}`.

`code` is our stable one. A turn that failed was tried as often as it helps already, so answers to
it ask clients not to repeat it by themselves (`x-should-retry`, which OpenAI's client heeds).
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import HomarusError
from homarus.base.redact import redact_tokens
from homarus.control_plane.answers import RETRY_AFTER_S, status_of

UNAUTHORIZED: Final = "Unauthorized"
_TYPES: Final = {
    400: "invalid_request_error",
    401: "unauthorized",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}
ABORTED: Final = "turn.aborted"


class Fault(msgspec.Struct, frozen=True):
    """`again`: whether the same request may do better at once, by itself."""

    status: int
    type: str
    code: str
    message: str
    remedy: str = ""
    again: bool = False

    @property
    def text(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message

    def body(self) -> dict[str, Any]:
        """The envelope. An unknown caller hears one word (gateway contract, 14)."""
        message = UNAUTHORIZED if self.status == 401 else self.text
        return {"error": {"message": message, "type": self.type, "param": None, "code": self.code}}


def of_error(error: HomarusError, *, tool: bool = False) -> Fault:
    """A request that became no turn. `tool`: it was one for a tool, which has no model."""
    status = status_of(error)
    kind = _TYPES.get(status, "api_error")
    again = status in (429, 503) and not error.code.startswith("stop.")
    message, remedy = redact_tokens(error.message), redact_tokens(_remedy(error, tool))
    return Fault(status, kind, error.code, message, remedy, again)


def _remedy(error: HomarusError, tool: bool) -> str:
    """An agent is a model here, or `agentId` beside a tool."""
    names = error.details.get("agents")
    if error.code != "agent.choose" or not names:
        return error.remedy
    if tool:
        return f"Name one as `agentId`: {', '.join(names)}."
    return f"Name one as `model`: {', '.join(f'openclaw/{name}' for name in names)}."


_BY_CODE: Final = (
    ("model.request", 400, "invalid_request_error"),
    ("model.key", 400, "invalid_request_error"),
    ("model.overflow", 400, "invalid_request_error"),
    ("model.none", 400, "invalid_request_error"),
    ("model.unknown", 400, "invalid_request_error"),
    ("model.library", 503, "api_error"),
    ("model.busy", 429, "rate_limit_error"),
    ("model.", 502, "api_error"),
    ("tool.name_taken", 400, "invalid_request_error"),
    ("tool_choice.", 502, "api_error"),
    ("budget.exhausted", 429, "insufficient_quota"),
    ("budget.debt", 429, "insufficient_quota"),
    ("budget.", 403, "permission_error"),
    ("quota.", 429, "rate_limit_error"),
    ("suspended.", 403, "permission_error"),
    ("permission.", 403, "permission_error"),
    ("identity.", 403, "permission_error"),
    (ABORTED, 409, "conflict_error"),
    ("", 500, "api_error"),
)
"""Beginning of a failed turn's code -> status and type; the first that fits. What the provider
refused as wrong is 400; our own failure 500 (gateway contract, 14.1)."""


def of_outcome(outcome: dict[str, Any]) -> Fault:
    """A turn that was not answered."""
    if outcome.get("stop") == "aborted":
        outcome = {"error": ABORTED, "text": "the turn was aborted before it was answered"}
    code = str(outcome.get("error") or "turn.failed")
    status, kind = next((s, k) for start, s, k in _BY_CODE if code.startswith(start))
    message = redact_tokens(str(outcome.get("text") or "the turn failed"))
    return Fault(status, kind, code, message, redact_tokens(str(outcome.get("remedy") or "")))


def retry(fault: Fault) -> list[tuple[bytes, bytes]]:
    """The headers that say whether to come again."""
    if fault.again:
        return [(b"retry-after", str(RETRY_AFTER_S).encode())]
    return [(b"x-should-retry", b"false")]

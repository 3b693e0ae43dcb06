"""How a job of OpenClaw's `cron/jobs.json` runs its turn, and where its answer goes."""

from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.conversations.sessions import THINKING
from homarus.flows import announcing, job_turns
from homarus.importers.openclaw.files import Finding

TAKEN: Final = frozenset(
    {"kind", "message", "text", "model", "thinking", "timeoutSeconds", "toolsAllow"}
)
FORMER: Final = {"channel": "channel", "to": "to", "bestEffortDeliver": "bestEffort"}
"""Fields of a payload that older files say a delivery with, beside `deliver`."""
PLACE: Final = ("mode", "channel", "to", "accountId", "threadId", "bestEffort")


class Turn(msgspec.Struct, frozen=True):
    """`how`: of the job's `work`; `delivery`: of its body, None: not a word; `left`: what of it is
    not taken."""

    how: dict[str, Any]
    delivery: dict[str, Any] | None
    left: tuple[Finding, ...]


def read(name: str, row: dict[str, Any], payload: dict[str, Any]) -> Turn:
    """Of the job called `name`. It raises nothing: what cannot be taken is a finding."""
    left: list[Finding] = []
    odd = [field for field in payload if field not in TAKEN | FORMER.keys() | {"deliver"}]
    left += [Finding(f"{name}: {field[:40]}", "no turn here has such a thing") for field in odd]
    how = _how(name, payload, left)
    return Turn(how, _delivery(name, row, payload, left), tuple(left))


def tools_are_plain(payload: dict[str, Any]) -> bool:
    """Whether each tool that its turn may use is named."""
    named = payload.get("toolsAllow")
    return named is None or job_turns.are_tools(named)


def _how(name: str, payload: dict[str, Any], left: list[Finding]) -> dict[str, Any]:
    how: dict[str, Any] = {}
    model, thinking = payload.get("model"), payload.get("thinking")
    timeout_s = payload.get("timeoutSeconds")
    if isinstance(model, str) and model.strip():
        how["model"] = model
    if thinking in THINKING:
        how["thinking"] = thinking
    elif thinking is not None:
        left.append(Finding(f"{name}: thinking", f"there is no level {str(thinking)[:40]!r}",
                            f"There are {', '.join(THINKING)}."))  # fmt: skip
    if isinstance(timeout_s, int | float) and timeout_s > 0:
        how["timeoutSeconds"] = min(max(timeout_s, 1), job_turns.MAX_TIMEOUT_S)
    if payload.get("toolsAllow") is not None:
        how["toolsAllow"] = payload["toolsAllow"]
    return how


def _delivery(
    name: str, row: dict[str, Any], payload: dict[str, Any], left: list[Finding]
) -> dict[str, Any] | None:
    """What cannot be delivered is not announced elsewhere instead."""
    said = row.get("delivery")
    if not isinstance(said, dict):
        said = _former(payload)
    if said is None:
        return None
    left += [Finding(f"{name}: delivery.{field[:40]}", "no delivery here has such a thing")
             for field in said if field not in PLACE]  # fmt: skip
    try:
        wish = announcing.read({field: said[field] for field in PLACE if field in said})
    except Invalid as error:
        left.append(Finding(f"{name}: delivery", error.message, error.remedy))
        return announcing.stored(announcing.SILENT)
    return announcing.stored(wish)


def _former(payload: dict[str, Any]) -> dict[str, Any] | None:
    if payload.get("deliver") is False:
        return announcing.stored(announcing.SILENT)
    found = {field: payload[old] for old, field in FORMER.items() if payload.get(old) is not None}
    if payload.get("deliver") is None and "to" not in found:
        return None
    return {"mode": announcing.ANNOUNCE} | found

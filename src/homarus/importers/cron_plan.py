"""What an import of jobs would make, before it is made."""

from typing import Any

import msgspec

from homarus.importers.openclaw.files import Finding


class NewJob(msgspec.Struct, frozen=True):
    """`body` of `POST /jobs`; `capability`: body of the one that it needs, registered before;
    `does`: in words; `left`: what of it is not taken."""

    body: dict[str, Any]
    does: str
    capability: dict[str, Any] | None = None
    left: tuple[Finding, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others: its agent, and its word there."""
        return self.body["agentId"], self.body["key"]


class Plan(msgspec.Struct, frozen=True):
    """`crontab_of`: the agent whose crontab it is; None: it is none."""

    jobs: tuple[NewJob, ...]
    left: tuple[Finding, ...]
    crontab_of: str | None = None


def without_doubles(found: list[tuple[str, NewJob | Finding]], why: str, remedy: str) -> Plan:
    """Of what stands at some place each: the jobs, and what is left. Of two with one key the first
    is taken; `why` says of the second what `{}` has already."""
    jobs: dict[tuple[str, str], tuple[str, NewJob]] = {}
    left: list[Finding] = []
    for place, one in found:
        if isinstance(one, Finding):
            left.append(one)
        elif one.key in jobs:
            left.append(Finding(place, why.format(jobs[one.key][0]), remedy))
        else:
            jobs[one.key] = (place, one)
            left += one.left
    return Plan(tuple(job for _, job in jobs.values()), tuple(left))

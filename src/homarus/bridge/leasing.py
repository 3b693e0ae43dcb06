"""Resources that a task names: leased while it is in hand, renewed, given back (contract, 11).

Their secrets go to the program that does the task, and nowhere else: never into the journal.
"""

from typing import Any, Final

from homarus.base.errors import HomarusError
from homarus.base.ids import is_uuid
from homarus.bridge.journal import Work
from homarus.bridge.station import Station
from homarus.client.groups import Resources
from homarus.client.shapes import LeasedResource

MAX_RESOURCES: Final = 20
"""Resources that are leased for one task."""


def named_in(task: dict[str, Any]) -> list[str]:
    """The ids in `inputJson.resourceIds`, at most MAX_RESOURCES; what is no id is passed over."""
    given = task.get("inputJson")
    named = given.get("resourceIds") if isinstance(given, dict) else None
    refs = named if isinstance(named, list) else []
    return [ref for ref in refs if isinstance(ref, str) and is_uuid(ref)][:MAX_RESOURCES]


async def lease(at: Station, work: Work, task: dict[str, Any]) -> list[dict[str, Any]]:
    """What the program gets: each resource, or why this token may not have it."""
    found = []
    for ref in named_in(task):
        request = Resources.lease.request(
            ref, at.agent.id, task=work.task, session=at.session, reason=f"task {work.number}"
        )
        try:
            leased = await at.client.send(request)
        except HomarusError as error:
            at.tell("not_leased", resource=ref, code=error.code)
            found.append({"id": ref, "refused": error.code})
            continue
        if leased.lease is not None:
            work.leases.append(leased.lease.id)
        found.append(_plain(leased))
    return found


async def renew(at: Station) -> None:
    """Every lease of the tasks in hand."""
    for work in [*at.journal.own.tasks.values()]:
        for held in work.leases:
            try:
                await at.client.resources.renew(held, at.agent.id)
            except HomarusError as error:
                at.tell("not_renewed", lease=held, code=error.code)


async def release(at: Station, work: Work) -> None:
    for held in work.leases:
        try:
            await at.client.resources.release(held, at.agent.id)
        except HomarusError as error:
            at.tell("not_released", lease=held, code=error.code)


def _plain(leased: LeasedResource) -> dict[str, Any]:
    resource = leased.resource
    return {
        "id": resource.id,
        "name": resource.name,
        "provider": resource.provider,
        "resourceType": resource.resource_type,
        "configText": leased.config_text,
        "secretText": leased.secret_text,
    }

"""What an adapter is handed: a leased row as a change, and what a lookup makes of it."""

import msgspec

from homarus.flows.mirror_leases import Taken
from homarus.outbox.port import Act, Change


def as_change(taken: Taken, company: str) -> Change:
    """A leased row as an adapter sees it."""
    return Change(
        row=taken.id, company=company, mirror=taken.mirror, entity_type=taken.entity_type,
        entity_id=taken.entity_id, number=taken.number, act=Act(taken.act), fields=taken.fields,
        digest=taken.digest, token=taken.token, marker=taken.marker, receipt=taken.receipt,
    )  # fmt: skip


def there(change: Change, receipt: str) -> Change:
    """The target has it, in whatever state: what is sent sets it."""
    act = Act.DELETE if change.act is Act.DELETE else Act.UPDATE
    return _with(change, act, receipt)


def not_there(change: Change) -> Change:
    return _with(change, Act.CREATE, None)


def _with(change: Change, act: Act, receipt: str | None) -> Change:
    return msgspec.structs.replace(change, act=act, receipt=receipt)

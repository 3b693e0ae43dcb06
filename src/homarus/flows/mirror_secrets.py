"""What belongs to mirrors alone: their secrets and their hosts (redline R3).

A mirror's secret is a resource of the company, found by its name when the mirror is added and by
its id from then on: renaming it, or making another of that name, changes nothing. No agent's
request carries it, and nobody is lent it."""

import json
from typing import Final

import msgspec

from homarus.base.errors import Invalid
from homarus.store.port import Rx

_OF: Final = "select secrets, hosts from mirror where company=? and state<>'removed'"
_NAMED: Final = (
    "select id from resource where company=? and name=? and scope_type='company' "
    "and deleted_ms is null and secret_sealed is not null order by no desc limit 1"
)


class Sealed(msgspec.Struct, frozen=True):
    """A secret as it is kept, and the configuration of its resource, which names its hosts."""

    value: bytes
    config: str | None


def named(rx: Rx, company: str, names: tuple[str, ...]) -> dict[str, str]:
    """Names of handles -> the resources that they mean. Raises `mirror.secret`."""
    found = {}
    for name in names:
        row = rx.one(_NAMED, (company, name))
        if row is None:
            raise Invalid(
                "mirror.secret",
                f"the company has no resource {name[:80]!r} with a secret",
                "Make it first: `homarus resource create --help`.",
            )
        found[name] = str(row[0])
    return found


def sealed(rx: Rx, company: str, resource: str) -> Sealed | None:
    """None: it is gone, or rests."""
    row = rx.one(
        "select secret_sealed, config from resource where id=? and company=? "
        "and deleted_ms is null and status='active' and secret_sealed is not null",
        (resource, company),
    )
    return None if row is None else Sealed(bytes(row[0]), row[1])


def reserved(rx: Rx, company: str, resource: str) -> bool:
    """Whether a mirror of the company writes with the secret of this resource."""
    return any(resource in json.loads(row[0]).values() for row in rx.all(_OF, (company,)))


def hosts(rx: Rx, company: str) -> tuple[str, ...]:
    """`host:port` of each place that a mirror of the company writes to."""
    found = [host for row in rx.all(_OF, (company,)) for host in json.loads(row[1])]
    return tuple(dict.fromkeys(found))

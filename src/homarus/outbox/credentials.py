"""Secrets of mirrors: `secret://name` of a configuration becomes its value here, for the worker.

A secret that a mirror names is given to nobody else: not to an agent's requests at the egress
proxy, not as a lease (`flows/mirror_secrets.py`). Its resource names the hosts that it is for, and
the mirror's own must be among them.
"""

from typing import Protocol

from homarus.base.errors import HomarusError, Unavailable
from homarus.egress.hosts import Rules
from homarus.egress.secrets import MAX_VALUE_BYTES
from homarus.flows import mirror_secrets, reaching
from homarus.flows.mirrors import Mirror
from homarus.store.port import Store


class Unsealer(Protocol):
    """`kernel.keys.MasterKey`."""

    def unseal(self, sealed: bytes, about: bytes) -> bytes: ...


class Credentials:
    def __init__(self, store: Store, unsealer: Unsealer) -> None:
        self._store = store
        self._unsealer = unsealer

    async def value(self, row: Mirror, name: str) -> str:
        """The clear value. Raises `mirror.secret`."""
        resource = row.secrets.get(name)
        if resource is None:
            raise _no(name, "the mirror's configuration does not name it")
        found = await self._store.read(mirror_secrets.sealed, row.company, resource)
        if found is None:
            raise _no(name, "its resource is gone, rests, or has no secret")
        rules = Rules(reaching.hosts_of(found.config))
        for place in row.hosts:
            host, _, port = place.rpartition(":")
            try:
                rules.check(host, int(port))
            except HomarusError:
                raise _no(name, f"it is not for {place}") from None
        clear = self._unsealer.unseal(found.value, reaching.sealed_for(row.company))
        try:
            value = clear.decode("utf-8").strip()
        except UnicodeDecodeError:
            value = ""
        if not 0 < len(value) <= MAX_VALUE_BYTES:
            raise _no(name, "its value is no text")
        return value


def _no(name: str, why: str) -> Unavailable:
    return Unavailable(
        "mirror.secret", f"secret://{name[:100]} is not used: {why}",
        'Make a resource of that name: its secret, and {"hosts": ["api.example.com"]} in its '
        "configuration.",
    )  # fmt: skip

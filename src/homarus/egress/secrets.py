"""Secret handles: `secret://name` in a header becomes its value on the last stretch, and nowhere
else; what comes back does not bring the value to whoever used the handle.
"""

import re
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from homarus.base.errors import HomarusError, Refused
from homarus.egress.hosts import Rules
from homarus.flows import reaching
from homarus.flows.reaching import Run
from homarus.store.port import Store

MAX_VALUE_BYTES: Final = 16_384
HANDLE: Final = re.compile(r"secret://([a-z0-9][a-z0-9._-]{0,99})", re.IGNORECASE)
_MASK: Final = b"*"


class Unsealer(Protocol):
    """`kernel.keys.MasterKey`."""

    def unseal(self, sealed: bytes, about: bytes) -> bytes: ...


class Filled(msgspec.Struct, frozen=True):
    """Headers with values; `names` of the handles, `values` to be masked in what comes back."""

    headers: tuple[tuple[str, str], ...]
    names: tuple[str, ...] = ()
    values: tuple[bytes, ...] = ()


class Secrets:
    def __init__(self, store: Store, unsealer: Unsealer) -> None:
        self._store = store
        self._unsealer = unsealer

    async def fill(
        self, run: Run, headers: tuple[tuple[str, str], ...], host: str, port: int, *, safe: bool
    ) -> Filled:
        """`safe`: nobody can listen on the way. Raises `egress.secret`."""
        names = list(
            dict.fromkeys(m[1].lower() for _, value in headers for m in HANDLE.finditer(value))
        )
        if not names:
            return Filled(headers)
        if not safe:
            raise _no(names[0], f"{host}:{port} is reached without TLS")
        known = {name: await self._value(run, name, host, port) for name in names}
        filled = tuple(
            (name, HANDLE.sub(lambda m: known[m[1].lower()], value)) for name, value in headers
        )
        return Filled(filled, tuple(names), tuple(v.encode("latin-1") for v in known.values()))

    async def _value(self, run: Run, name: str, host: str, port: int) -> str:
        found = await self._store.read(reaching.secret, run.company, run.agent, name)
        if found is None:
            raise _no(name, "there is none of that name for this agent")
        try:
            Rules(found.hosts).check(host, port)
        except HomarusError:
            raise _no(name, f"it is not for {host}:{port}") from None
        clear = self._unsealer.unseal(found.value, reaching.sealed_for(run.company))
        try:
            value = clear.decode("ascii").strip()
        except UnicodeDecodeError:
            value = ""
        if not 0 < len(value) <= MAX_VALUE_BYTES or any(ord(char) < 32 for char in value):
            raise _no(name, "its value cannot stand in a header")
        return value


def _no(name: str, why: str) -> Refused:
    return Refused(
        "egress.secret", f"secret://{name[:100]} is not used: {why}",
        'Its resource names the hosts that it is for: {"hosts": ["api.example.com"]}.',
        rule="egress",
    )  # fmt: skip


class Mask:
    """Blanks secret values in a stream, also where they lie across two pieces; the length stays."""

    def __init__(self, values: tuple[bytes, ...]) -> None:
        self._values = tuple(sorted(values, key=len, reverse=True))
        self._keep = max((len(value) for value in values), default=1) - 1
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        if not self._values:
            return data
        data = self._blank(self._rest + data)
        cut = max(0, len(data) - self._keep)
        self._rest = data[cut:]
        return data[:cut]

    def end(self) -> bytes:
        rest, self._rest = self._rest, b""
        return rest

    def _blank(self, data: bytes) -> bytes:
        for value in self._values:
            data = data.replace(value, _MASK * len(value))
        return data


Masking = Callable[[bytes], bytes]

"""Connections to the configured models, made when first needed and kept.

    first, *standing_in = await providers.chain(company, agent.llm_model)
    async for event in first.port.stream(request): ...

A model that was changed or removed gets another connection, or none; streams that are under way end
on the old one.
"""

import asyncio
from collections import OrderedDict
from typing import Final

import msgspec

from homarus.agents.endpoint import Dialect, Endpoint
from homarus.agents.wires import Wire
from homarus.company import models
from homarus.company.models import Keyed, Model
from homarus.kernel.keys import MasterKey
from homarus.store.port import Store

MAX_OPEN: Final = 64
"""Endpoints with connections at once; the one that was needed longest ago is closed."""


class Opened(msgspec.Struct, frozen=True):
    """A configured model and its connection. Prices go by `model.model`."""

    model: Model
    port: Wire


class Providers:
    """Of all companies of this daemon. Used by one event loop."""

    def __init__(self, store: Store, master: MasterKey) -> None:
        self._store = store
        self._master = master
        self._open: OrderedDict[tuple[str, str], tuple[str, Wire]] = OrderedDict()

    async def chain(self, company: str, wanted: str | None) -> tuple[Opened, ...]:
        """See `company.models.chain`. Raises `model.none`, `model.unknown`, `keys.unseal`."""
        rows = await self._store.read(models.chain, company, wanted)
        return tuple([Opened(row.model, await self._wire(row)) for row in rows])

    async def close(self) -> None:
        """Streams that are under way end first; nothing more is opened by those who hold one."""
        wires = [wire for _, wire in self._open.values()]
        self._open.clear()
        await asyncio.gather(*(wire.close() for wire in wires))

    async def _wire(self, row: Keyed) -> Wire:
        model = row.model
        place = (model.company, model.name)
        revision, wire = self._open.get(place, ("", None))
        if wire is not None and revision == model.revision:
            self._open.move_to_end(place)
            return wire
        made = Wire(self._endpoint(row))
        self._open[place] = (model.revision, made)
        self._open.move_to_end(place)
        if wire is not None:
            await wire.close()
        while len(self._open) > MAX_OPEN:
            _, (_, oldest) = self._open.popitem(last=False)
            await oldest.close()
        return made

    def _endpoint(self, row: Keyed) -> Endpoint:
        model, key = row.model, None
        if row.key is not None:
            sealed_for = models.about(model.company, model.name)
            key = self._master.unseal(row.key, sealed_for).decode()
        return Endpoint(Dialect(model.dialect), model.base_url, key)

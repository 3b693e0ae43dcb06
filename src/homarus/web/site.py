"""The dashboard as an ASGI application: `build(...)`, mounted by `app.py` at `/app`.

Templates and the web framework are imported, in a thread, when the first page is asked for: a
daemon whose dashboard nobody opens does not carry them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from homarus.control_plane.answers import Receive, Scope, Send
from homarus.control_plane.judged import Admit
from homarus.flows.turn_inbound import DEFAULT_MODE
from homarus.kernel.links import KeyOf
from homarus.store.port import Store
from homarus.web.live import Hub

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


class Site:
    """`start` and `stop` bracket the time in which pages are served; both are cheap."""

    def __init__(
        self,
        store: Store,
        admit: Admit,
        names: frozenset[str],
        link_key: KeyOf,
        public_url: str = "",
        queue_mode: Callable[[], str] = lambda: DEFAULT_MODE,
    ) -> None:
        self._public_url = public_url
        self._queue_mode = queue_mode
        self._link_key = link_key
        self._store = store
        self._admit = admit
        self._names = names
        self._hub = Hub(store, admit, names)
        self._pages: Asgi | None = None
        self._loading = asyncio.Lock()

    def start(self) -> None:
        self._hub.start()

    def stop(self) -> None:
        self._hub.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._pages is None:
            async with self._loading:
                if self._pages is None:
                    self._pages = await asyncio.to_thread(self._load)
        await self._pages(scope, receive, send)

    def _load(self) -> Asgi:
        from homarus.web.pages import application

        return application(
            self._store, self._admit, self._names, self._hub, self._link_key, self._public_url,
            self._queue_mode,
        )  # fmt: skip


def build(
    store: Store, admit: Admit, link_key: KeyOf, host: str = "localhost", public_url: str = "",
    queue_mode: Callable[[], str] = lambda: DEFAULT_MODE,
) -> Site:  # fmt: skip
    """The dashboard over a store. `link_key`: the key of a company's one-tap links; `host`: the
    configured name or address of the main port; `public_url`: what people call it by, if not so;
    `queue_mode`: what becomes of a message while a turn runs, where its session says nothing."""
    names = {host.lower(), urlsplit(public_url).hostname or ""} - {""}
    return Site(store, admit, frozenset(names), link_key, public_url, queue_mode)

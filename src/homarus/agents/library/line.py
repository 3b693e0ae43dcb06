"""The connections to one endpoint, and what may go out over them."""

from collections.abc import AsyncIterator
from typing import Final

import httpx2
from pydantic_ai.models import Model

from homarus import __version__
from homarus.agents import port
from homarus.agents.endpoint import Dialect, Endpoint
from homarus.agents.library import sdks
from homarus.agents.library.exchange import Exchange
from homarus.base import tls

CONNECT_S: Final = 10.0
WRITE_S: Final = 60.0
MAX_CONNECTIONS: Final = 512
MAX_IDLE: Final = 64
"""Of one endpoint; who finds none free within CONNECT_S fails as unreachable."""
MAX_MODELS: Final = 64
"""Model ids that one connection keeps ready."""

_HEADERS: Final = frozenset(
    {
        "accept", "accept-encoding", "anthropic-beta", "anthropic-version", "connection",
        "content-length", "content-type", "host", "transfer-encoding",
    }
)  # fmt: skip
"""Those of the SDKs that go out. They add their own of the machine, and of the environment."""


class Line:
    """One endpoint's connections. Made in a thread: certificates and SDKs load. `wire_bytes`: how
    many one reply may take."""

    def __init__(self, endpoint: Endpoint, wire_bytes: int) -> None:
        self.endpoint = endpoint
        self._wire_bytes = wire_bytes
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(None, connect=CONNECT_S, pool=CONNECT_S, write=WRITE_S),
            limits=httpx2.Limits(
                max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_IDLE
            ),
            follow_redirects=False,  # the key would go along
            trust_env=not endpoint.is_loopback,
            verify=tls.of(endpoint.base_url, trust_env=not endpoint.is_loopback),
            event_hooks={"request": [self._address], "response": [self._bound]},
        )
        self._models: dict[str, Model] = {}

    def knows(self, name: str) -> bool:
        return name in self._models

    def model(self, name: str) -> Model:
        """Loads the dialect's SDK when it is the first one: in a thread, then."""
        found = self._models.get(name)
        if found is None:
            if len(self._models) >= MAX_MODELS:
                self._models.pop(next(iter(self._models)))
            found = self._models[name] = sdks.model(self.endpoint, name, self._http)
        return found

    def ask(self, request: port.ModelRequest) -> Exchange:
        """Nothing goes out before the exchange is opened."""
        return Exchange(self.endpoint, self.model(request.model), request)

    async def close(self) -> None:
        await self._http.aclose()

    async def _address(self, request: httpx2.Request) -> None:
        """Puts the key into its header, and takes out whatever else would tell about us."""
        for name in list(request.headers):
            if name.lower() not in _HEADERS:
                del request.headers[name]
        request.headers["User-Agent"] = f"homarus/{__version__}"
        key = self.endpoint.key
        if key is not None and self.endpoint.dialect is Dialect.ANTHROPIC:
            request.headers["X-Api-Key"] = key
        elif key is not None:
            request.headers["Authorization"] = f"Bearer {key}"

    async def _bound(self, response: httpx2.Response) -> None:
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream, self._wire_bytes)


class _Bounded(httpx2.AsyncByteStream):
    """A reply's bytes, and an end of the connection where they pass `most`."""

    def __init__(self, inner: httpx2.AsyncByteStream, most: int) -> None:
        self._inner = inner
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._most
        async for chunk in self._inner:
            left -= len(chunk)
            if left < 0:
                raise httpx2.ReadError(f"the reply passes {self._most} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()

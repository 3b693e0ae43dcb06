"""Methods as data: name, scope, parameters, how they are judged, what does them.

A `read` is judged and run in one read transaction, a `write` is one unit of `store.write` under
its capability. `work` is a coroutine for what waits or lives in memory; its only way to the store
is its desk, which judges alike.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from homarus.config.channels import Channels
from homarus.control_plane.judged import judged
from homarus.conversations.routing import Own, own_of
from homarus.gateway.ws import frames
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.hub import Hub
from homarus.gateway.ws.peer import Peer
from homarus.kernel import scopes
from homarus.kernel.devices import OPERATOR
from homarus.store.port import Key, Reply, Rx, T, Ts, Tx

P = TypeVar("P")


class Nothing(Params):
    """No parameters."""


class Ask(msgspec.Struct, frozen=True):
    """What a transaction is told of a call: plain data. `channels`: those of the company, as they
    are configured now; `own`: how agents' own sessions are called; `scopes`: what the connection
    may, with what that implies."""

    company: str
    params: Any
    credential: str
    role: str | None
    channels: Channels = {}
    own: Own = Own()
    scopes: frozenset[str] = frozenset()


class Later(msgspec.Struct, frozen=True):
    """A reply in two parts: `first` at once, then what `rest` gives (gateway contract, 1)."""

    first: Any
    rest: Callable[[], Awaitable[Any]]


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """`scope` "": every client may; `role`: which kind of client calls it; `result`: its reply in
    short; `target` of the action; `waits`: for a run, a node or a person, for minutes."""

    name: str
    scope: str
    about: str
    params: type[Params]
    kind: str
    handler: Callable[..., Any]
    result: str
    capability: str = "read"
    target: str = "company:"
    role: str = OPERATOR
    advertised: bool = True
    waits: bool = False


def read(name: str, scope: str, params: type[Params], handler: Callable[..., Any], about: str,
         result: str, **more: Any) -> Method:  # fmt: skip
    return Method(name=name, scope=scope, about=about, params=params, kind="read",
                  handler=handler, result=result, **more)  # fmt: skip


def write(name: str, scope: str, params: type[Params], capability: str, handler: Callable[..., Any],
          about: str, result: str, **more: Any) -> Method:  # fmt: skip
    return Method(name=name, scope=scope, about=about, params=params, kind="write",
                  handler=handler, result=result, capability=capability, **more)  # fmt: skip


def work(name: str, scope: str, params: type[Params], handler: Callable[..., Any], about: str,
         result: str, **more: Any) -> Method:  # fmt: skip
    return Method(name=name, scope=scope, about=about, params=params, kind="work",
                  handler=handler, result=result, **more)  # fmt: skip


class Desk:
    """What one call of a method reaches."""

    def __init__(self, hub: Hub, peer: Peer, method: Method) -> None:
        self.hub = hub
        self.peer = peer
        self._method = method

    def ask(self, params: Any) -> Ask:
        peer = self.peer
        return Ask(
            peer.company, params, peer.token.id, peer.token.role, self.channels(), self.own(),
            scopes.closure(peer.scopes),
        )  # fmt: skip

    async def read(self, fn: Callable[[Rx, *Ts], T], *args: *Ts) -> T:
        """`fn(rx, *args)`, judged."""
        means = self.hub.means
        return await means.store.read(
            judged, means.admit, self.peer.action("read", self._method.target), fn, *args
        )

    async def write(
        self, fn: Callable[[Tx, *Ts], T], *args: *Ts, target: str = "",
        arguments: bytes | None = None, what: str = "",
    ) -> T:  # fmt: skip
        """One unit of the method's capability."""
        action = self.peer.action(
            self._method.capability, target or self._method.target, arguments=arguments, what=what
        )
        return await self.hub.means.store.write(action, fn, *args)

    async def write_once(self, fn: Callable[[Tx, *Ts], Reply], *args: *Ts, key: Key) -> Reply:
        """The same under an idempotency key: what was kept under it is the answer."""
        action = self.peer.action(self._method.capability, self._method.target)
        return await self.hub.means.store.write_once(action, fn, *args, key=key)

    def channels(self) -> Channels:
        """Those of the company, as they are configured now."""
        switch = self.hub.means.channels
        return {} if switch is None else switch.configured(self.peer.company)

    def own(self) -> Own:
        """How agents' own sessions are called."""
        return own_of(self.hub.settings())

    def instance_only(self) -> None:
        """For what concerns the daemon and not one company. Raises Fault."""
        if self.peer.company != self.hub.default_company():
            raise Fault(frames.FORBIDDEN, "this concerns the daemon, not your company")

    async def until(self, ready: Callable[[], Awaitable[Any]], timeout_s: float) -> Any:
        """Ask `ready` again after each commit of the company until it says something; None: it did
        not in time."""
        loop = asyncio.get_running_loop()
        end, feed = loop.time() + timeout_s, self.hub.means.feed
        while True:
            seq = await feed.head(self.peer.company)
            found = await ready()
            left_s = end - loop.time()
            if found is not None or left_s <= 0:
                return found
            await feed.wait(self.peer.company, seq, left_s)


async def call(hub: Hub, peer: Peer, method: Method, params: Any) -> Any:
    """Do it. Raises HomarusError and Fault."""
    desk = Desk(hub, peer, method)
    if method.kind == "work":
        return await method.handler(desk, params)
    if method.kind == "read":
        return await desk.read(method.handler, desk.ask(params))
    return await desk.write(method.handler, desk.ask(params))


KINDS: Final = ("read", "write", "work")

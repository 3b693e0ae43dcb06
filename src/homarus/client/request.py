"""One description of a call for both transports: `Request[T]`, and the groups that make them.

    class Tasks(Group[Via]):
        @route
        def claim(self, agent: str) -> Request[Claim | None]: ...

    client.tasks.claim("tally")             Claim | None        (homarus.client.sync)
    await client.tasks.claim("tally")       Claim | None        (homarus.client.aio)
    Tasks.claim.request("tally")            the Request itself

A `Request` carries its idempotency key from its making on, so sending the same one again has one
effect. Paths, retry rules, errors and parsing live here and below; a transport only sends.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, update_wrapper
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar, overload

import msgspec

from homarus.base.errors import Internal
from homarus.base.ids import new_id
from homarus.client.errors import from_reply
from homarus.client.paths import below_api, with_query

T = TypeVar("T")
P = ParamSpec("P")

_Fields = dict[str, msgspec.Raw]
_envelope: Final = msgspec.json.Decoder(_Fields)


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """A call that was not sent yet.

    `path` below `/api/v1` (or from `/api/` on), `read` makes the reply's bytes a value. `key`: the
    idempotency key; a write without one is sent once. `timeout_s` None: the transport's own.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    key: str | None = None
    timeout_s: float | None = None

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        return below_api(with_query(self.path, self.query))

    def content(self) -> bytes | None:
        """The body, the same bytes at each call: they are part of the key's identity."""
        if self.body is None:
            return None
        return json.dumps(self.body, separators=(",", ":")).encode()

    def value(self, status: int, raw: bytes) -> T:
        """What a reply means. Raises the error that it tells, or `client.bad_reply`."""
        if status >= 300:
            raise from_reply(status, decoded(raw))
        try:
            return self.read(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Internal(
                "client.bad_reply",
                f"the answer to {self.method} {self.path} is of another shape: {error}",
                "Check that --url names a Homarus daemon of this version.",
            ) from error


def decoded(raw: bytes) -> Any:
    """JSON where it is JSON, else its text."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "replace")


# --- how requests are made --------------------------------------------------------------------


def get(path: str, read: Callable[[bytes], T], **query: Any) -> Request[T]:
    """A read. Query values of None are left out."""
    return Request("GET", path, read, query)


def post(path: str, read: Callable[[bytes], T], body: Any, key: str | None = None) -> Request[T]:
    """A write. `key` None: a fresh idempotency key."""
    return Request("POST", path, read, body=given(body), key=key or new_id())


def post_once(path: str, read: Callable[[bytes], T], body: Any) -> Request[T]:
    """A write that honours no key (its reply holds a secret, or the contract says so): it is never
    sent twice."""
    return Request("POST", path, read, body=given(body))


def given(body: Any) -> Any:
    """An object without the fields that are None."""
    if not isinstance(body, dict):
        return body
    return {name: value for name, value in body.items() if value is not None}


# --- how replies are read ---------------------------------------------------------------------


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=False)


def whole(kind: Callable[..., T]) -> Callable[[bytes], T]:
    """The reply as a whole is one `kind`."""
    decode: Callable[[bytes], T] = _decoder(kind).decode
    return decode


def noun(name: str, kind: Any) -> Callable[[bytes], Any]:
    """The field `name` of the reply is a `kind`; absent, it is None where that is one."""
    decode = _decoder(kind).decode

    def read(raw: bytes) -> Any:
        return decode(_envelope.decode(raw).get(name, b"null"))

    return read


def nothing(raw: bytes) -> None:
    """The reply says no more than that it was done."""


# --- groups of calls --------------------------------------------------------------------------


class Sync(Protocol):
    """A transport that blocks."""

    def send(self, request: Request[T]) -> T: ...


class Async(Protocol):
    """A transport that is awaited."""

    async def send(self, request: Request[T]) -> T: ...


Via = TypeVar("Via", bound=Sync | Async)
AnySync = TypeVar("AnySync", bound=Sync)
AnyAsync = TypeVar("AnyAsync", bound=Async)


class Group(Generic[Via]):
    """Calls about one kind of thing, sent by one transport."""

    def __init__(self, via: Via) -> None:
        self._via = via


class route(Generic[P, T]):
    """Makes a method that describes a request one that also sends it."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Request[T]]) -> None:
        self._describe = describe
        update_wrapper(self, describe)  # type: ignore[arg-type]

    def request(self, *args: P.args, **kwargs: P.kwargs) -> Request[T]:
        """The request alone."""
        return self._describe(None, *args, **kwargs)

    @overload
    def __get__(self, group: None, owner: type) -> "route[P, T]": ...
    @overload
    def __get__(self, group: Group[AnySync], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, group: Group[AnyAsync], owner: type) -> Callable[P, Awaitable[T]]: ...

    def __get__(self, group: Any, owner: type) -> Any:
        if group is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return group._via.send(self._describe(None, *args, **kwargs))

        return call

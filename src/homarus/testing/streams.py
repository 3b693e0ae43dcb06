"""A `Stream` for tests of streaming handlers: a body in chunks, and a real store behind it."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base.action import Action
from homarus.base.errors import Invalid
from homarus.control_plane.route import Call
from homarus.kernel.tokens import Token
from homarus.records.blobs import Blobs
from homarus.store.port import Key, Reply, Rx, Store, T, Ts, Tx

OWNER: Final = Token("", "", "operator", "owner", "mcp_full", None, "owner", 0, None, None)
BOUNDARY: Final = "----homarus-test"


def call(company: str, *, token: Token = OWNER, body: Any = None, **parts: Any) -> Call[Any]:
    """A parsed request: `path={"id": …}`, `query={…}`."""
    return Call(
        company=company,
        token=token,
        path=parts.get("path", {}),
        query=parts.get("query", {}),
        body=body,
    )


def multipart(fields: Mapping[str, str], name: str | None, content: bytes, kind: str = "") -> bytes:
    """A multipart body with one part `file` (none when `name` is None)."""
    parts = []
    for field, value in fields.items():
        parts.append(f'Content-Disposition: form-data; name="{field}"\r\n\r\n{value}'.encode())
    if name is not None:
        head = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
        typed = f"Content-Type: {kind}\r\n" if kind else ""
        parts.append(f"{head}{typed}\r\n".encode() + content)
    mark = f"--{BOUNDARY}".encode()
    return b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


class BodyStream:
    """Gives `chunks` as the body; ends with `request.disconnected` when `cut`."""

    def __init__(
        self,
        store: Store,
        home: Path,
        blobs: Blobs,
        action: Action,
        chunks: Iterable[bytes] = (),
        headers: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
        cut: bool = False,
    ) -> None:
        self.live = None
        self.store = store
        self.home = home
        self.blobs = blobs
        self.headers: Mapping[str, str] = headers or {}
        self._action = action
        self._chunks = list(chunks)
        self._key = key
        self._cut = cut

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        if self._cut:
            raise Invalid("request.disconnected", "the client went away", "Send it again.")

    async def read(self, fn: Callable[[Rx, *Ts], T], *args: *Ts) -> T:
        return await self.store.read(fn, *args)

    async def write(
        self,
        fn: Callable[[Tx, *Ts], Reply],
        *args: *Ts,
        digest: bytes,
        acting: str | None = None,
        task: str | None = None,
    ) -> Reply:
        action = msgspec.structs.replace(self._action, arguments=digest, acting=acting, task=task)
        if self._key is None:
            reply: Reply = await self.store.write(action, fn, *args)
            return reply
        key = Key(hashlib.sha256(self._key.encode()).digest()[:16], digest[:8])
        return await self.store.write_once(action, fn, *args, key=key)

    async def wait(self, after_seq: int, timeout_s: float) -> int:
        _ = timeout_s
        return after_seq

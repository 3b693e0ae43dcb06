"""Who tries secrets over HTTP is locked out for a while; this machine is not (gateway contract,
2.5).

The gateway's sockets count in the same `Limiter`.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any

from homarus.base.errors import Busy
from homarus.control_plane.answers import Scope, Send, send_error
from homarus.control_plane.limiter import Limiter
from homarus.control_plane.proxies import Came

Whence = Callable[[Scope], Came]
"""Where a request came from."""


class Lockout:
    def __init__(self, limiter: Limiter, whence: Whence) -> None:
        self._limiter = limiter
        self._whence = whence

    async def guarded(self, scope: Scope, send: Send) -> Send | None:
        """What to answer with; None: it was answered that the address is locked out."""
        if not any(name == b"authorization" for name, _ in scope["headers"]):
            return send
        came = self._whence(scope)
        if came.direct:
            return send
        now_s = asyncio.get_running_loop().time()
        wait_s = self._limiter.wait_s(came.address, now_s)
        if wait_s > 0:
            error = Busy("identity.locked_out", "too many wrong access tokens came from there",
                         "Wait, and use one that exists.")  # fmt: skip
            await send_error(send, error, [(b"retry-after", b"%d" % math.ceil(wait_s))])
            return None

        async def counting(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self._limiter.failed(came.address, now_s)
            await send(message)

        return counting

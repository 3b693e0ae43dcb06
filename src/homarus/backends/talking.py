"""A process that is talked with while it runs: lines in, lines out, all within bounds.

    async with talking(command, layers, trusted=False) as process:
        await process.send(b'{"jsonrpc": …}')
        line = await process.receive()          b"" at its end

Leaving the block ends the process and everything it started. A line that is too long, or a flood of
lines, raises `process.flood`: whoever talks lets go of it then.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from homarus.backends.layers import SandboxLayers
from homarus.backends.local import SandboxedCommand, prepared
from homarus.base.errors import TooLarge, Unavailable
from homarus.base.output import BoundedOutput

MAX_LINE_BYTES: Final = 4 * 1_048_576
MAX_LINES: Final = 2_000
"""Lines within WINDOW_S."""
WINDOW_S: Final = 10.0
ERRORS_BYTES: Final = 4_096
"""Kept of what it writes to stderr."""
END_S: Final = 2.0
"""Grace after its input ends, and again after TERM."""


class Talk:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._errors = BoundedOutput(ERRORS_BYTES)
        self._lines = 0
        self._since = time.monotonic()

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    @property
    def said(self) -> str:
        """The last of what it wrote to stderr."""
        return self._errors.value().decode(errors="replace").strip()[-500:]

    async def send(self, line: bytes) -> None:
        """Raises OSError when it no longer reads."""
        if self._process.stdin is None:
            raise BrokenPipeError
        self._process.stdin.write(line + b"\n")
        await self._process.stdin.drain()

    async def receive(self) -> bytes:
        """The next line, without its end; b"" when there is none. Raises `process.flood`."""
        if self._process.stdout is None:
            return b""
        while True:
            try:
                line = await self._process.stdout.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return b""
            except asyncio.LimitOverrunError:
                raise _flood(f"a line of more than {MAX_LINE_BYTES} bytes") from None
            self._count()
            if line.strip():
                return line[:-1]

    def _count(self) -> None:
        now = time.monotonic()
        if now - self._since > WINDOW_S:
            self._since, self._lines = now, 0
        self._lines += 1
        if self._lines > MAX_LINES:
            raise _flood(f"more than {MAX_LINES} lines in {WINDOW_S:g} s")

    def terminate(self) -> None:
        """TERM at once, for a STOP; leaving the block ends it in any case."""
        self._signal(signal.SIGTERM)

    async def read_errors(self) -> None:
        """Its stderr, to the end."""
        if self._process.stderr is not None:
            while data := await self._process.stderr.read(ERRORS_BYTES):
                self._errors.add(data)

    async def end(self) -> None:
        """Close its input, then TERM, then KILL; afterwards nothing of it is left."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number is not None:
                self._signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await self._process.wait()
                    break
        self._signal(signal.SIGKILL)
        transport = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()  # the pipes too, also where somebody else holds their other end

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _flood(what: str) -> TooLarge:
    return TooLarge("process.flood", f"the process wrote {what}", "It was ended.")


@asynccontextmanager
async def talking(
    command: SandboxedCommand, layers: SandboxLayers, *, trusted: bool = False
) -> AsyncIterator[Talk]:
    """Raises as `backends.local.run_command` does."""
    with prepared(command, layers, trusted=trusted) as spec:
        try:
            process = await asyncio.create_subprocess_exec(
                *spec.argv, cwd=spec.cwd, env=dict(spec.env), stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                start_new_session=True, pass_fds=spec.pass_fds, limit=MAX_LINE_BYTES,
            )  # fmt: skip
        except OSError as error:
            raise Unavailable("process.not_started", f"{spec.argv[0]}: {error.strerror}",
                              "Check that the program is installed.") from error  # fmt: skip
        talk = Talk(process)
        errors = asyncio.create_task(talk.read_errors())
        try:
            yield talk
        finally:
            ending = asyncio.ensure_future(talk.end())
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                await ending  # it has bounds of its own
                raise
            finally:
                errors.cancel()
                await asyncio.gather(errors, return_exceptions=True)

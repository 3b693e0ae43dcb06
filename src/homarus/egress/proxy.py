"""The egress proxy: the one way from what runs for an agent to the network (design, 7).

    CONNECT host:port             a tunnel; what goes through is the run's own, by its bytes alone
    GET http(s)://host/path       passed on; the proxy speaks TLS, and fills in secret handles

A run has credentials of its own from `open` to `close`; without them nothing is passed on. A host
is checked by name, looked up once, and connected to at the very address that was checked, so that
no second answer of a name server leads elsewhere. The row of a host stands before its first byte;
its outcome is written when the run is over. It listens on loopback, and on a socket file that is
shown to sandboxes, which have no network of their own.
"""

import asyncio
import base64
import contextlib
import hmac
import os
import secrets as random
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import structlog

from homarus.base.action import Action
from homarus.base.errors import Busy, HomarusError, TooLarge, Unavailable
from homarus.egress import addresses, requests
from homarus.egress.hosts import Rules
from homarus.egress.requests import NoCredentials, Request
from homarus.egress.secrets import Filled, Mask, Secrets
from homarus.flows import reaching
from homarus.flows.reaching import Passed, Run
from homarus.store.port import Store

log = structlog.get_logger("egress")

WORKER: Final = "egress"
SOCKET: Final = "egress.sock"
MAX_CONNECTIONS: Final = 256
MAX_OF_RUN: Final = 32
PIECE_BYTES: Final = 65_536
HEAD_S: Final = 10.0
"""How long the head of a request may take."""
MAX_INTERIM: Final = 10
"""Answers of class 1xx before the one that counts."""
_OWN: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate"})
MAX_SOCKET_PATH: Final = 100
"""Bytes of a socket file's path; systems take few more."""
RECOVER_ROWS: Final = 100

Lookup = Callable[[str, int], Awaitable[list[str]]]
"""Addresses of a host. Raises OSError."""


class Bounds(msgspec.Struct, frozen=True):
    """Of one run, but for the seconds, which are of one connection."""

    connect_s: float = 10.0
    idle_s: float = 60.0
    whole_s: float = 900.0
    bytes_up: int = 64 * 1_048_576
    bytes_down: int = 512 * 1_048_576


class _Visit:
    """One host of a run: what went through so far."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.opening: asyncio.Lock = asyncio.Lock()
        self.requests = 0
        self.bytes_up = 0
        self.bytes_down = 0
        self.secrets: dict[str, None] = {}

    def passed(self) -> Passed:
        return Passed(self.requests, self.bytes_up, self.bytes_down, tuple(self.secrets))


class Lease:
    """A run's way out while it lasts. `refusals`: what it was refused, for its report."""

    def __init__(self, run: Run, rules: Rules, bounds: Bounds, port: int, path: Path) -> None:
        self.run = run
        self.rules = rules
        self.bounds = bounds
        self.user = random.token_hex(8)
        self.password = random.token_hex(24)
        self.socket = path
        self.port = port
        self.refusals: list[HomarusError] = []
        self.visits: dict[tuple[str, int], _Visit] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.bytes_up = 0
        self.bytes_down = 0

    def url(self, port: int | None = None) -> str:
        """The proxy's address with the run's credentials; `port` where it is reached elsewhere."""
        return f"http://{self.user}:{self.password}@127.0.0.1:{port or self.port}"

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def _short(run_folder: Path) -> Path:
    """The socket file: in `run/`, unless that is too deep for one."""
    path = run_folder / SOCKET
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    return Path(tempfile.mkdtemp(prefix="homarus-")) / SOCKET


async def lookup(host: str, port: int) -> list[str]:
    """Addresses of a host, as the system knows it. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in found))


class Egress:
    """One a daemon. `resolve` and `tls` are the system's, unless a test has its own."""

    def __init__(
        self, store: Store, secrets: Secrets, run_folder: Path, *,
        resolve: Lookup = lookup, tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._secrets = secrets
        self._path = _short(run_folder)
        self._resolve = resolve
        self._tls = tls
        self._leases: dict[str, Lease] = {}
        self._servers: list[asyncio.Server] = []
        self._open = 0
        self.port = 0

    async def start(self) -> None:
        """Listen; settle what a daemon that died left open. Raises `egress.listen`."""
        for company in await self._store.read(reaching.companies_open, RECOVER_ROWS):
            action = Action(company, "egress.close", "host:", system=WORKER)
            while await self._store.write(action, reaching.recover, RECOVER_ROWS) == RECOVER_ROWS:
                continue
        try:
            tcp = await asyncio.start_server(
                self._serve, "127.0.0.1", 0, limit=requests.MAX_HEAD_BYTES
            )
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.unlink(missing_ok=True)
            unix = await asyncio.start_unix_server(
                self._serve, self._path, limit=requests.MAX_HEAD_BYTES
            )
        except OSError as error:
            raise Unavailable(
                "egress.listen",
                f"the egress proxy cannot listen: {error}",
                "See that the state directory is writable.",
            ) from error
        self._path.chmod(0o600)
        self._servers = [tcp, unix]
        self.port = int(tcp.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for lease in list(self._leases.values()):
            await self._close(lease)
        self._servers = []
        self._path.unlink(missing_ok=True)

    @asynccontextmanager
    async def open(
        self, run: Run, hosts: tuple[str, ...], bounds: Bounds | None = None
    ) -> AsyncIterator[Lease]:
        """The way out of one run, to these hosts. When it is left, its connections are closed and
        the outcome of each host is written."""
        if not self._servers:
            raise Unavailable("egress.off", "the egress proxy does not run", "Start the daemon.")
        lease = Lease(run, Rules(hosts), bounds or Bounds(), self.port, self._path)
        self._leases[lease.user] = lease
        try:
            yield lease
        finally:
            await self._close(lease)

    async def company_hosts(self, company: str) -> tuple[str, ...]:
        return await self._store.read(reaching.hosts, company)

    async def _close(self, lease: Lease) -> None:
        if self._leases.pop(lease.user, None) is None:
            return
        for task in lease.tasks:
            task.cancel()
        await asyncio.gather(*lease.tasks, return_exceptions=True)
        action = Action(lease.run.company, "egress.close", "host:", system=WORKER)
        for visit in lease.visits.values():
            if visit.id is not None:
                await self._store.write(action, reaching.close_visit, visit.id, visit.passed())

    # -- one connection ----------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lease: Lease | None = None
        task = asyncio.current_task()
        self._open += 1
        try:
            if self._open > MAX_CONNECTIONS:
                raise Busy("egress.busy", f"{MAX_CONNECTIONS} connections are open", "Try later.")
            async with asyncio.timeout(HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            request = requests.read(head[:-4])
            lease = self._lease(request)
            if task is not None:
                lease.tasks.add(task)
            if len(lease.tasks) > MAX_OF_RUN:
                raise Busy("egress.busy", f"{MAX_OF_RUN} connections of the run are open",
                           "Use fewer at once.")  # fmt: skip
            async with asyncio.timeout(lease.bounds.whole_s):
                await self._pass(lease, request, reader, writer)
        except HomarusError as error:
            if lease is not None and len(lease.refusals) < MAX_OF_RUN:
                lease.refusals.append(error)
            await _answer(writer, error)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, OSError):
            pass
        finally:
            self._open -= 1
            if lease is not None and task is not None:
                lease.tasks.discard(task)
            await _shut(writer)

    def _lease(self, request: Request) -> Lease:
        lease = self._leases.get(request.user)
        if lease is None or not hmac.compare_digest(lease.password, request.password):
            raise NoCredentials
        return lease

    async def _pass(
        self, lease: Lease, request: Request, reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        host, port = request.host, request.port
        lease.rules.check(host, port)
        if request.length > lease.bounds.bytes_up - lease.bytes_up:
            raise _too_much(lease.bounds.bytes_up, "out")
        address = await self._address(lease, host, port)
        local = (found := addresses.parse(address)) is not None and found.is_loopback
        filled = Filled(request.headers)
        if not request.tunnel:
            filled = await self._secrets.fill(
                lease.run, request.headers, host, port, safe=request.scheme == "https" or local
            )
        visit = await self._visit(lease, host, port)
        visit.requests += 1
        visit.secrets |= dict.fromkeys(filled.names)
        up_reader, up_writer = await self._connect(request, address, lease.bounds)
        try:
            mask = Mask(filled.values)
            if not request.tunnel:
                up_writer.write(_head(request, filled))
                await self._body(lease, visit, request, reader, up_writer)
                head = await _answered(up_reader, lease.bounds)
                _count(lease, visit, down=len(head))
                writer.write(mask.feed(head))
            try:
                if request.tunnel:
                    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await writer.drain()
                    await self._both(lease, visit, reader, writer, up_reader, up_writer)
                else:
                    await self._down(lease, visit, up_reader, writer, mask)
            except HomarusError as error:  # too late for an answer: the connection ends
                lease.refusals.append(error)
        finally:
            await _shut(up_writer)

    async def _address(self, lease: Lease, host: str, port: int) -> str:
        """The one address that is then connected to. Raises `egress.address`, `egress.lookup`."""
        literal = addresses.parse(host)
        if literal is not None:
            return str(literal)
        try:
            async with asyncio.timeout(lease.bounds.connect_s):
                found = await self._resolve(host, port)
        except (OSError, TimeoutError, UnicodeError):
            found = []
        first: HomarusError | None = None
        for text in found:
            address = addresses.parse(text)
            if address is None:
                continue
            try:
                lease.rules.check_address(host, address, port)
            except HomarusError as error:
                first = first or error
                continue
            return str(address)
        if first is not None:
            raise first
        raise Unavailable("egress.lookup", f"{host[:100]} has no address", "Check its name.")

    async def _visit(self, lease: Lease, host: str, port: int) -> _Visit:
        """The row of this host, before its first byte. Raises what the kernel refuses (STOP)."""
        visit = lease.visits.setdefault((host, port), _Visit())
        async with visit.opening:
            if visit.id is None:
                run = lease.run
                action = Action(
                    run.company, "egress.open", reaching.target_of(host, port), system=WORKER,
                    acting=run.agent or None, task=run.task, trace=run.trace,
                )  # fmt: skip
                visit.id = await self._store.write(action, reaching.open_visit, run, host, port)
        return visit

    async def _connect(
        self, request: Request, address: str, bounds: Bounds
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises `egress.connect`."""
        tls: ssl.SSLContext | None = None
        if request.scheme == "https":
            tls = self._tls or ssl.create_default_context()
        try:
            async with asyncio.timeout(bounds.connect_s):
                return await asyncio.open_connection(
                    address, request.port, ssl=tls, limit=requests.MAX_HEAD_BYTES,
                    server_hostname=request.host if tls is not None else None,
                )  # fmt: skip
        except (OSError, TimeoutError) as error:
            raise Unavailable(
                "egress.connect", f"{request.host[:100]}:{request.port} does not answer "
                f"({type(error).__name__})", "Try again later.",
            ) from error  # fmt: skip

    # -- bytes -------------------------------------------------------------------------------

    async def _both(
        self, lease: Lease, visit: _Visit, reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter, up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        """A tunnel, until one side is done and the other has said all, or a bound is reached."""
        up = asyncio.ensure_future(self._up(lease, visit, reader, up_writer))
        down = asyncio.ensure_future(self._down(lease, visit, up_reader, writer, Mask(())))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            if not down.done() and up.exception() is None:
                await down
        finally:
            for each in (up, down):
                each.cancel()
            ended = await asyncio.gather(up, down, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, HomarusError):
                raise outcome

    async def _up(
        self, lease: Lease, visit: _Visit, reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter, most: int | None = None,
    ) -> None:  # fmt: skip
        left = most
        while left is None or left > 0:
            size = PIECE_BYTES if left is None else min(left, PIECE_BYTES)
            async with asyncio.timeout(lease.bounds.idle_s):
                data = await reader.read(size)
            if not data:
                break
            _count(lease, visit, up=len(data))
            writer.write(data)
            await writer.drain()
            left = None if left is None else left - len(data)
        if most is None and writer.can_write_eof():
            writer.write_eof()

    async def _body(
        self, lease: Lease, visit: _Visit, request: Request, reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:  # fmt: skip
        await self._up(lease, visit, reader, writer, request.length)
        await writer.drain()

    async def _down(
        self, lease: Lease, visit: _Visit, reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter, mask: Mask,
    ) -> None:  # fmt: skip
        while True:
            async with asyncio.timeout(lease.bounds.idle_s):
                data = await reader.read(PIECE_BYTES)
            if not data:
                break
            _count(lease, visit, down=len(data))
            writer.write(mask.feed(data))
            await writer.drain()
        writer.write(mask.end())
        await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def _count(lease: Lease, visit: _Visit, *, up: int = 0, down: int = 0) -> None:
    """Raises `egress.bytes` when the run has had its share; the connection is then cut."""
    visit.bytes_up += up
    visit.bytes_down += down
    lease.bytes_up += up
    lease.bytes_down += down
    if lease.bytes_up > lease.bounds.bytes_up:
        raise _too_much(lease.bounds.bytes_up, "out")
    if lease.bytes_down > lease.bounds.bytes_down:
        raise _too_much(lease.bounds.bytes_down, "in")


def _too_much(most: int, way: str) -> TooLarge:
    return TooLarge("egress.bytes", f"the run sent more than {most} bytes {way}", "Ask for less.")


def _head(request: Request, filled: Filled) -> bytes:
    """What goes on: one request, one answer, and the connection ends."""
    lines = [f"{request.method} {request.path} HTTP/1.1"]
    lines.append(f"Host: {requests.authority(request.host, request.port, request.scheme)}")
    for name, value in filled.headers:
        if filled.names and name.lower() == "accept-encoding":
            continue
        lines.append(f"{name}: {value}")
    if filled.names:
        lines.append("Accept-Encoding: identity")  # so that a value is seen and masked
    lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _answered(reader: asyncio.StreamReader, bounds: Bounds) -> bytes:
    """The head of the answer, said to be the last on its connection. Raises `egress.answer`."""
    try:
        async with asyncio.timeout(bounds.idle_s):
            for _ in range(MAX_INTERIM):
                head = await reader.readuntil(b"\r\n\r\n")
                first, *lines = head[:-4].split(b"\r\n")
                if not first.startswith(b"HTTP/1."):
                    break
                if first[8:10] == b" 1":
                    continue  # 100 Continue and the like
                kept = [line for line in lines if line.partition(b":")[0].lower() not in _OWN]
                return b"\r\n".join([first, *kept, b"Connection: close"]) + b"\r\n\r\n"
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
        pass
    raise Unavailable("egress.answer", "it gave no answer that can be read", "Try again later.")


async def _answer(writer: asyncio.StreamWriter, error: HomarusError) -> None:
    """The refusal as a response; in the middle of a body it is only the end."""
    body = msgspec.json.encode(
        {"error": {"code": error.code, "message": error.message, "remedy": error.remedy}}
    )
    extra = 'Proxy-Authenticate: Basic realm="homarus"\r\n' if error.status == 407 else ""
    head = (
        f"HTTP/1.1 {error.status} {error.code}\r\nContent-Type: application/json\r\n"
        f"X-Homarus-Code: {error.code}\r\nContent-Length: {len(body)}\r\n{extra}"
        "Connection: close\r\n\r\n"
    )
    with contextlib.suppress(OSError):
        writer.write(head.encode("latin-1", "replace") + body)
        await writer.drain()


async def _shut(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.CancelledError):
        writer.close()
        await writer.wait_closed()

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
import hmac
import os
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from homarus.base.action import Action
from homarus.base.errors import Busy, HomarusError, Refused, Unavailable
from homarus.egress import addresses, heads, relay, requests
from homarus.egress.hosts import Rules, mirrored
from homarus.egress.lease import Bounds, Lease, Visit, too_much
from homarus.egress.relay import End, shut
from homarus.egress.requests import NoCredentials, Request
from homarus.egress.secrets import Filled, Mask, Secrets
from homarus.flows import job_calls, mirror_secrets, reaching
from homarus.flows.reaching import Run
from homarus.store.port import Rx, Store

log = structlog.get_logger("egress")

WORKER: Final = "egress"
SOCKET: Final = "egress.sock"
MAX_CONNECTIONS: Final = 256
MAX_OF_RUN: Final = 32
HEAD_S: Final = 10.0
"""How long the head of a request may take."""
MAX_SOCKET_PATH: Final = 100
"""Bytes of a socket file's path; systems take few more."""
RECOVER_ROWS: Final = 100

Lookup = Callable[[str, int], Awaitable[list[str]]]
"""Addresses of a host. Raises OSError."""


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


def _opening(rx: Rx, run: Run) -> tuple[tuple[str, ...], str | None]:
    """Mirrors' hosts, and the run of a job that this one belongs to."""
    return (
        mirror_secrets.hosts(rx, run.company),
        job_calls.run_of(rx, run.company, run.id),
    )


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
        mirrors, job_run = await self._store.read(_opening, run)
        lease = Lease(
            run, Rules(hosts, mirrors), bounds or Bounds(), self.port, self._path, job_run
        )
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
                await self._pass(lease, request, End(reader, writer))
        except HomarusError as error:
            if lease is not None and len(lease.refusals) < MAX_OF_RUN:
                lease.refusals.append(error)
            await heads.refuse(writer, error)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, OSError):
            pass
        finally:
            self._open -= 1
            if lease is not None and task is not None:
                lease.tasks.discard(task)
            await shut(writer)

    def _lease(self, request: Request) -> Lease:
        lease = self._leases.get(request.user)
        if lease is None or not hmac.compare_digest(lease.password, request.password):
            raise NoCredentials
        return lease

    async def _pass(self, lease: Lease, request: Request, run: End) -> None:
        host, port = request.host, request.port
        lease.rules.check(host, port)
        if request.length > lease.bounds.bytes_up - lease.bytes_up:
            raise too_much(lease.bounds.bytes_up, "out")
        address = await self._address(lease, host, port)
        local = (found := addresses.parse(address)) is not None and found.is_loopback
        filled = Filled(request.headers)
        if not request.tunnel:
            filled = await self._secrets.fill(
                lease.run, request.headers, host, port, safe=request.scheme == "https" or local
            )
        visit = await self._visit(lease, host, port)
        await self._count(lease)
        visit.requests += 1
        visit.secrets |= dict.fromkeys(filled.names)
        far = await self._connect(request, address, lease.bounds)
        try:
            mask = Mask(filled.values)
            if not request.tunnel:
                far.writer.write(heads.passed_on(request, filled))
                await relay.out(lease, visit, run.reader, far.writer, request.length)
                head = await heads.answered(far.reader, lease.bounds.idle_s)
                lease.count(visit, down=len(head))
                run.writer.write(mask.feed(head))
            try:
                if request.tunnel:
                    run.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    await run.writer.drain()
                    await relay.both(lease, visit, run, far)
                else:
                    await relay.back(lease, visit, far.reader, run.writer, mask)
            except HomarusError as error:  # too late for an answer: the connection ends
                lease.refusals.append(error)
        finally:
            await shut(far.writer)

    async def _address(self, lease: Lease, host: str, port: int) -> str:
        """The one address that is then connected to. Raises `egress.address`, `egress.lookup`,
        `egress.mirror`."""
        literal = addresses.parse(host)
        if literal is not None:
            asked = {str(each) for each in addresses.carried(literal)}
            for mirror in lease.rules.mirrors_at(port):
                if asked.intersection(await self._found(lease, mirror, port)):
                    raise mirrored(host, port)
            return str(literal)
        found = await self._found(lease, host, port)
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

    async def _found(self, lease: Lease, host: str, port: int) -> list[str]:
        """Addresses of a name; none where it is unknown or not told in time."""
        try:
            async with asyncio.timeout(lease.bounds.connect_s):
                return await self._resolve(host, port)
        except (OSError, TimeoutError, UnicodeError):
            return []

    async def _visit(self, lease: Lease, host: str, port: int) -> Visit:
        """The row of this host, before its first byte. Raises what the kernel refuses (STOP)."""
        visit = lease.visits.setdefault((host, port), Visit())
        async with visit.opening:
            if visit.id is None:
                run = lease.run
                action = Action(
                    run.company, "egress.open", reaching.target_of(host, port), system=WORKER,
                    acting=run.agent or None, task=run.task, trace=run.trace,
                )  # fmt: skip
                visit.id = await self._store.write(action, reaching.open_visit, run, host, port)
        return visit

    async def _count(self, lease: Lease) -> None:
        """One of the calls that a job may make in an hour. Raises Busy `quota.job`, and again
        without asking until the hour is over."""
        if lease.job_run is None:
            return
        now_s = asyncio.get_running_loop().time()
        if lease.over is not None and now_s < lease.over[0]:
            raise lease.over[1]
        action = Action(lease.run.company, "job.settle", f"job_run:{lease.job_run}", system=WORKER)
        try:
            await self._store.write(action, job_calls.request, lease.job_run)
        except Refused as error:
            busy = Busy(error.code, error.message, error.remedy, **error.details)
            lease.over = (now_s + error.details.get("retryAfterS", 0.0), busy)
            raise busy from None

    async def _connect(self, request: Request, address: str, bounds: Bounds) -> End:
        """Raises `egress.connect`."""
        tls: ssl.SSLContext | None = None
        if request.scheme == "https":
            tls = self._tls or ssl.create_default_context()
        try:
            async with asyncio.timeout(bounds.connect_s):
                reader, writer = await asyncio.open_connection(
                    address, request.port, ssl=tls, limit=requests.MAX_HEAD_BYTES,
                    server_hostname=request.host if tls is not None else None,
                )  # fmt: skip
                return End(reader, writer)
        except (OSError, TimeoutError) as error:
            raise Unavailable(
                "egress.connect", f"{request.host[:100]}:{request.port} does not answer "
                f"({type(error).__name__})", "Try again later.",
            ) from error  # fmt: skip

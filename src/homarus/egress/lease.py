"""A run's way out while it lasts: its credentials, its bounds, and what went through."""

import asyncio
import base64
import secrets as random
from pathlib import Path

import msgspec

from homarus.base.errors import HomarusError, TooLarge
from homarus.egress.hosts import Rules
from homarus.flows.reaching import Passed, Run


class Bounds(msgspec.Struct, frozen=True):
    """Of one run, but for the seconds, which are of one connection."""

    connect_s: float = 10.0
    idle_s: float = 60.0
    whole_s: float = 900.0
    bytes_up: int = 64 * 1_048_576
    bytes_down: int = 512 * 1_048_576


class Visit:
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
    """A run's way out while it lasts. `refusals`: what it was refused, for its report; `job_run`:
    the run of a job whose calls these are."""

    def __init__(
        self, run: Run, rules: Rules, bounds: Bounds, port: int, path: Path,
        job_run: str | None = None,
    ) -> None:  # fmt: skip
        self.run = run
        self.rules = rules
        self.bounds = bounds
        self.job_run = job_run
        self.over: tuple[float, HomarusError] | None = None
        self.user = random.token_hex(8)
        self.password = random.token_hex(24)
        self.socket = path
        self.port = port
        self.refusals: list[HomarusError] = []
        self.visits: dict[tuple[str, int], Visit] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.bytes_up = 0
        self.bytes_down = 0

    def url(self, port: int | None = None) -> str:
        """The proxy's address with the run's credentials; `port` where it is reached elsewhere."""
        return f"http://{self.user}:{self.password}@127.0.0.1:{port or self.port}"

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def count(self, visit: Visit, *, up: int = 0, down: int = 0) -> None:
        """What went through to a host of it. Raises `egress.bytes` when the run has had its share;
        the connection is then cut."""
        visit.bytes_up += up
        visit.bytes_down += down
        self.bytes_up += up
        self.bytes_down += down
        if self.bytes_up > self.bounds.bytes_up:
            raise too_much(self.bounds.bytes_up, "out")
        if self.bytes_down > self.bounds.bytes_down:
            raise too_much(self.bounds.bytes_down, "in")


def too_much(most: int, way: str) -> TooLarge:
    return TooLarge("egress.bytes", f"the run sent more than {most} bytes {way}", "Ask for less.")

"""A load generator of its own process: agents over raw sockets with keep-alive.

`python -m bench.load` reads a `Plan` as JSON from stdin and answers a `Report` on stdout. Requests
are made of prepared bytes and replies searched, not parsed, so that it takes little of the machine
that it shares with the daemon.
"""

import asyncio
import re
import subprocess
import sys
import time
from urllib.parse import urlsplit

import msgspec

from bench.office import Worker

TASK = re.compile(rb'"id":"([0-9a-f-]{36})"')
LEASE_TOKEN = re.compile(rb'"leaseToken":(\d+)')
MAX_REPLY_BYTES = 1_048_576


class Plan(msgspec.Struct, frozen=True):
    """Each worker does `each` lifecycles; one every `period_s` seconds, or as fast as it can.

    `keys`: the first part of every idempotency key.
    """

    url: str
    workers: list[Worker]
    each: int
    period_s: float = 0.0
    keys: str = "k"


class Report(msgspec.Struct, frozen=True):
    """`claims_ms`: how long each claim took, in order of arrival."""

    done: int
    empty: int
    refused: int
    wall_s: float
    cpu_s: float
    claims_ms: list[float]


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def post(self, head: bytes, key: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the reply."""
        return await self.ask(
            b"%sidempotency-key: %s\r\ncontent-length: %d\r\n\r\n%s"
            % (head, key.encode(), len(body), body)
        )

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """The same of a whole request."""
        self._writer.write(request)
        top = await self._reader.readuntil(b"\r\n\r\n")
        at = top.lower().index(b"content-length:") + 15
        length = int(top[at : top.index(b"\r\n", at)])
        return int(top[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


class Tally:
    def __init__(self) -> None:
        self.done = self.empty = self.refused = 0
        self.claims_ms: list[float] = []


async def work(plan: Plan, worker: Worker, start_s: float, tally: Tally) -> None:
    """One agent's lifecycles. A slow reply does not shift the ones after it."""
    address = urlsplit(plan.url)
    connection = Connection(
        *await asyncio.open_connection(address.hostname, address.port, limit=MAX_REPLY_BYTES)
    )
    fields = (
        f"host: {address.netloc}\r\nauthorization: Bearer {worker.secret}\r\n"
        "content-type: application/json\r\n"
    )
    claim_head = f"POST /api/mcp/tasks/claim HTTP/1.1\r\n{fields}".encode()
    claim_body = b'{"agentId":"%s"}' % worker.agent.encode()
    for n in range(plan.each):
        if plan.period_s:
            await asyncio.sleep(start_s + n * plan.period_s - time.perf_counter())
        asked = time.perf_counter()
        status, reply = await connection.post(
            claim_head, f"{plan.keys}:{worker.agent}:c{n}", claim_body
        )
        tally.claims_ms.append(1000 * (time.perf_counter() - asked))
        task, token = TASK.search(reply), LEASE_TOKEN.search(reply)
        if status != 200:
            tally.refused += 1
            continue
        if task is None or token is None:
            tally.empty += 1
            continue
        path = f"POST /api/mcp/tasks/{task[1].decode()}/result HTTP/1.1\r\n{fields}"
        body = b'{"state":"done","agentId":"%s","leaseToken":%s,"outputJson":{"words":1234}}' % (
            worker.agent.encode(),
            token[1],
        )
        status, _ = await connection.post(path.encode(), f"{plan.keys}:{worker.agent}:r{n}", body)
        if status == 200:
            tally.done += 1
        else:
            tally.refused += 1
    connection.close()


async def generate(plan: Plan) -> Report:
    tally = Tally()
    began, cpu_s = time.perf_counter(), time.process_time()
    step = plan.period_s / len(plan.workers)
    await asyncio.gather(
        *(work(plan, w, began + n * step, tally) for n, w in enumerate(plan.workers))
    )
    return Report(
        done=tally.done,
        empty=tally.empty,
        refused=tally.refused,
        wall_s=time.perf_counter() - began,
        cpu_s=time.process_time() - cpu_s,
        claims_ms=tally.claims_ms,
    )


def run(plan: Plan, timeout_s: float) -> Report:
    """The plan carried out by another process."""
    ended = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=msgspec.json.encode(plan),
        stdout=subprocess.PIPE,
        timeout=timeout_s,
        check=True,
    )
    return msgspec.json.decode(ended.stdout, type=Report)


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        report = runner.run(generate(plan))
    sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main()

"""The executor `openresponses`: any gateway that speaks `/v1/responses` does the task (design, 7).

One request, streamed, through the egress proxy; the token is a handle that the proxy fills in. The
task has one session there (`user`), and each attempt one `Idempotency-Key`, which a crash does not
change. What was surely not begun (429, 503, no connection) is tried again; what may have been begun
only where the gateway is said to heed the key. Else nobody can know, and an operator looks.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
import msgspec

from homarus.base.action import Effect
from homarus.base.errors import HomarusError, Invalid, Unavailable
from homarus.company import agents, executors
from homarus.company.executors import OpenResponses
from homarus.dispatch.executor import Prepared, Stoppable
from homarus.dispatch.halting import LiveRun
from homarus.dispatch.responses_stream import Events, Told
from homarus.egress.client import Passage
from homarus.egress.lease import Bounds, Lease
from homarus.egress.proxy import Egress
from homarus.flows import reaching, task_contract
from homarus.flows.creating import Claim
from homarus.flows.reaching import Run
from homarus.flows.running import Ended, Spent
from homarus.store.port import Rx, Store
from homarus.tasks import runs

CAPABILITY: Final = "task.delegate"
TRIES: Final = 4
PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 30.0
CONNECT_S: Final = 15.0
MAX_ERROR_BYTES: Final = 65_536
NOT_BEGUN: Final = (429, 503)
ASK: Final = (
    "You do one task on behalf of an agent elsewhere, without anybody to ask. Your answer is the "
    "task's result: say what was done, where it is, and what is left; where you cannot go on, say "
    "so and why. The task:\n\n"
)


class _Failed(Exception):
    """One try. `begun`: the gateway may have begun; `final`: it said how it ended."""

    def __init__(
        self, code: str, why: str, *, begun: bool, final: bool = False, after_s: float | None = None
    ) -> None:
        super().__init__(why)
        self.code = code
        self.begun = begun
        self.final = final
        self.after_s = after_s


class Gateways:
    def __init__(self, store: Store, egress: Egress | None, pause_s: float = PAUSE_S) -> None:
        self._store = store
        self._egress = egress
        self._pause_s = pause_s

    async def prepare(self, company: str, agent: str, claimed: Claim) -> Prepared:
        """Raises `agent.executor_config`, `executor.token`, `egress.off`."""
        row = await self._store.read(agents.need, company, agent)
        config = executors.read(executors.OPENRESPONSES, row.executor_config)
        if not isinstance(config, OpenResponses):
            raise AssertionError("another executor's configuration")
        if self._egress is None:
            raise Unavailable("egress.off", "the egress proxy does not run", "Start the daemon.")
        await need_secret(self._store, company, agent, config.token)
        task = claimed.task
        brief = await self._store.read(task_contract.brief, company, task.id)
        key = await self._store.read(attempt_key, task.id)
        body = {
            "model": config.model, "stream": True, "user": f"homarus-{task.id}",
            "input": ASK + brief, "metadata": {"task": task.number, "key": key},
        } | ({"instructions": config.instructions} if config.instructions else {})  # fmt: skip
        egress = self._egress

        async def do(run: Run, live: LiveRun) -> Ended:
            return await self._do(egress, config, run, live, msgspec.json.encode(body), key)

        what = f"ask {config.endpoint} to do {task.number}"
        return Prepared(
            CAPABILITY, ("POST", config.endpoint, key), what, do, Effect.EXTERNAL_WRITE,
            config.idempotent,
        )  # fmt: skip

    async def _do(
        self, egress: Egress, config: OpenResponses, run: Run, live: LiveRun, body: bytes, key: str
    ) -> Ended:
        asked = _Asked(config, run, body, key)
        bounds = Bounds(connect_s=CONNECT_S, idle_s=config.silence_s + 1, whole_s=config.wall_s + 1)
        handle = Stoppable()

        async def ask() -> Ended:
            host = executors.entry(config.endpoint)
            async with egress.open(run, (host,), bounds) as lease:
                return await self._tries(lease, asked)

        ended = await handle.run(ask(), live)
        if ended is not None:
            return ended
        if asked.begun and not config.idempotent:
            return asked.unknown("gateway.stopped", "STOP came while the gateway was at work")
        return asked.ended(False, "STOP", {"reason": "cancelled"}, cancelled=True)

    async def _tries(self, lease: Lease, asked: "_Asked") -> Ended:
        config = asked.config
        try:
            async with asyncio.timeout(config.wall_s):
                for n in range(1, TRIES + 1):
                    try:
                        return await asked.once(lease)
                    except _Failed as failed:
                        failure = failed
                    if failure.final or (failure.begun and not config.idempotent):
                        break
                    if n < TRIES:
                        pause_s = failure.after_s or self._pause_s * 2 ** (n - 1)
                        await asyncio.sleep(min(pause_s, MAX_PAUSE_S))
        except TimeoutError:
            failure = _Failed(
                "gateway.slow", f"it took longer than {config.wall_s:g} s", begun=asked.begun
            )
        if failure.final or not asked.begun:
            return asked.failed(failure.code, str(failure))
        return asked.unknown(failure.code, str(failure))


class _Asked:
    """One run's request over all its tries. `begun`: some try may have been begun on."""

    def __init__(self, config: OpenResponses, run: Run, body: bytes, key: str) -> None:
        self.config = config
        self.begun = False
        self._run = run
        self._body = body
        self._key = key
        self._told = Told()
        self._tries = 0

    async def once(self, lease: Lease) -> Ended:
        self._tries += 1
        told = Told()
        before, self.begun = self.begun, True  # until it turns out otherwise
        try:
            async with self._answer(lease) as reply:
                await self._heed(reply, told)
        except _Failed as failed:
            self.begun = before or failed.begun
            raise
        finally:
            if told.began or not self._told.began:
                self._told = told
        if told.status == "completed" and (told.text.strip() or not told.calls):
            return self.ended(True, told.text, {})
        if told.status is None:
            raise _Failed("gateway.cut", "its answer was cut", begun=True)
        if told.status == "completed":
            what = f"it wants {', '.join(told.calls[:5])} called, which nobody lent it"
            raise _Failed("gateway.calls", what, begun=True, final=True)
        why = told.error or f"it says {told.status}"
        raise _Failed(f"gateway.{told.status}", why, begun=True, final=True)

    @contextlib.asynccontextmanager
    async def _answer(self, lease: Lease) -> AsyncIterator[httpx2.Response]:
        """Raises _Failed for what is no answer."""
        known = len(lease.refusals)
        timeout = httpx2.Timeout(CONNECT_S, read=self.config.silence_s)
        async with httpx2.AsyncClient(
            transport=Passage(lease), timeout=timeout, trust_env=False
        ) as client:
            try:
                async with client.stream(
                    "POST", self.config.endpoint, content=self._body, headers=self._headers()
                ) as reply:
                    if reply.headers.get("x-homarus-code") and len(lease.refusals) > known:
                        raise _of_proxy(lease.refusals[-1])
                    if reply.status_code >= 400:
                        raise await _of_status(reply)
                    yield reply
            except HomarusError as error:  # an URL that no rule of the run lets through
                raise _Failed(error.code, error.message, begun=False, final=True) from error
            except httpx2.TimeoutException:
                raise _Failed(
                    "gateway.stalled", f"nothing came for {self.config.silence_s:g} s", begun=True
                ) from None
            except httpx2.HTTPError as error:
                raise _Failed("gateway.cut", type(error).__name__, begun=True) from error

    def _headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json", "Accept": "text/event-stream",
            "Idempotency-Key": self._key,
        }  # fmt: skip
        if self.config.token is not None:
            headers["Authorization"] = f"Bearer {self.config.token}"
        return headers

    async def _heed(self, reply: httpx2.Response, told: Told) -> None:
        events = Events()
        streamed = reply.headers.get("content-type", "").startswith("text/event-stream")
        body = bytearray()
        try:
            async for piece in reply.aiter_raw():
                if not streamed:
                    body += piece
                    if len(body) > 4 * 1_048_576:
                        break
                    continue
                for data in events.feed(piece):
                    told.event(data)
                if told.status is not None:
                    return
        except HomarusError as error:
            raise _Failed(error.code, error.message, begun=True) from error
        if not streamed:
            with contextlib.suppress(ValueError, RecursionError):
                told.whole(msgspec.json.decode(bytes(body)))

    # -- ends --------------------------------------------------------------------------------

    def ended(
        self, ok: bool, comment: str, facts: dict[str, Any], *, cancelled: bool = False
    ) -> Ended:
        told = self._told
        output: dict[str, Any] = {"text": told.text, "response": told.id, "url": self.config.url}
        inputs, outputs = told.usage
        facts = {"tries": self._tries, "response": told.id, "usage": list(told.usage)} | facts
        spent = Spent(told.model, inputs, outputs) if inputs or outputs else None
        return Ended(
            self._run.id, ok, facts, output, comment[:2_000], cancelled=cancelled, spent=spent
        )

    def failed(self, code: str, why: str) -> Ended:
        ended = self.ended(False, f"{code}: {why}", {"reason": code})
        return msgspec.structs.replace(ended, output=ended.output | {"error": code})

    def unknown(self, code: str, why: str) -> Ended:
        ended = self.failed(code, f"{why}; whether the gateway did it is not known")
        text = ended.output["text"].strip()
        note = f"The gateway was asked, and its answer is missing ({why})."
        note += f" What came:\n{text}" if text else ""
        return msgspec.structs.replace(ended, unknown=True, note=note)


def _of_proxy(error: HomarusError) -> _Failed:
    """The proxy's own refusals: nothing has left."""
    begun = error.code == "egress.answer"
    return _Failed(error.code, error.message, begun=begun, final=error.status < 500)


async def _of_status(reply: httpx2.Response) -> _Failed:
    body = bytearray()
    async for piece in reply.aiter_raw():
        body += piece
        if len(body) > MAX_ERROR_BYTES:
            break
    said = ""
    with contextlib.suppress(ValueError, RecursionError):
        document = msgspec.json.decode(bytes(body))
        error = document.get("error") if isinstance(document, dict) else None
        said = str(error.get("message") if isinstance(error, dict) else error or "")[:500]
    status = reply.status_code
    why = f"it answers {status}" + (f": {said}" if said else "")
    if status in NOT_BEGUN:
        return _Failed("gateway.busy", why, begun=False, after_s=_after(reply))
    if status >= 500:
        return _Failed("gateway.server", why, begun=True)
    code = "gateway.key" if status in (401, 403) else "gateway.request"
    return _Failed(code, why, begun=False, final=True)


def _after(reply: httpx2.Response) -> float | None:
    try:
        return max(0.0, float(reply.headers.get("retry-after", "")))
    except ValueError:
        return None


# -- what both executors with a token need -------------------------------------------------


async def need_secret(store: Store, company: str, agent: str, token: str | None) -> None:
    """Raises `executor.token` where there is no such secret for the agent."""
    if token is None:
        return
    name = token.removeprefix("secret://")
    if await store.read(reaching.secret, company, agent, name) is None:
        raise Invalid(
            "executor.token", f"there is no secret {name!r} for this agent",
            "Create a resource of that name with a secret, and the hosts that it is for.",
        )  # fmt: skip


def attempt_key(rx: Rx, task: str) -> str:
    """Of the present attempt: it changes when one has ended with an outcome, and only then."""
    over = sum(1 for run in runs.of_task(rx, task) if run.state in ("done", "failed"))
    return f"homarus-{task}-{over + 1}"

"""A bridge from its start to its end (control-plane contract, 13).

register runtime -> resolve agent -> start session -> list integrations -> journal
-> adopt what is ours -> heartbeat, look (control sync), listen, answer
-> drain -> hand back -> end session
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from homarus import __version__
from homarus.base.clock import iso_ms
from homarus.base.errors import Conflict, HomarusError, NotFound
from homarus.base.ids import new_id
from homarus.bridge import leasing, programs, rules
from homarus.bridge.journal import Journal
from homarus.bridge.listening import Listener
from homarus.bridge.programs import Program
from homarus.bridge.settings import Settings
from homarus.bridge.station import Station, is_transient
from homarus.bridge.talking import Ears
from homarus.bridge.telling import Teller
from homarus.bridge.working import Hands
from homarus.client.aio import AsyncClient
from homarus.client.retry import Retry
from homarus.client.shapes import Agent

PATIENCE: Final = Retry(attempts=20, first_s=0.1, cap_s=2.0, patience_s=15.0)
"""How long one request waits for a daemon that is away; then the next look tries it again."""
MIN_LOOK_S: Final = 0.02
"""Between two looks that frames asked for."""
GOODBYE_S: Final = 5.0
"""For the end of the session when the daemon does not answer."""
CAPABILITIES: Final = ("tasks", "messages", "checkpoints", "leases")


class Bridge:
    """One agent of one company on this machine."""

    def __init__(self, settings: Settings, tell: Teller) -> None:
        self._settings = settings
        self._tell = tell
        self._end = asyncio.Event()

    def end(self) -> None:
        """Leave in an orderly way: drain, hand back, end the session. Twice: at once."""
        if self._end.is_set():
            raise KeyboardInterrupt
        self._end.set()

    async def run(self) -> None:
        """Until `end`; with `once` until nothing is left to do.

        Raises `bridge.*`, and what ends a bridge: `identity.*`; with `once` also
        `client.unreachable`.
        """
        chosen = self._settings
        with Journal(chosen.journal) as journal:
            if journal.lost in ("torn", "foreign"):
                self._tell("journal_lost", why=journal.lost, kept=f"{journal.path}.{journal.lost}")
            ended = await asyncio.to_thread(programs.end_leftovers, journal.path)
            if ended:
                self._tell("ended_leftovers", processes=ended)
            async with AsyncClient(
                chosen.url, chosen.token, chosen.company, retry=PATIENCE
            ) as client:
                at = await self._until_reached(lambda: self._start(client, journal))
                if at is not None:
                    await _Life(at, self._end).live()

    async def _until_reached(
        self, start: Callable[[], Coroutine[Any, Any, Station]]
    ) -> Station | None:
        """A bridge may be started before its daemon. None: it was ended while it waited."""
        attempt = 0
        while not self._end.is_set():
            try:
                return await start()
            except HomarusError as error:
                if self._settings.once or not is_transient(error):
                    raise
                self._tell("waiting_for_daemon", code=error.code, error=error.message)
            delay_s = rules.reconnect_delay_s(
                attempt,
                random.random(),  # noqa: S311 - jitter
                self._settings.base_s,
                self._settings.cap_s,
            )
            attempt += 1
            await _first(self._end.wait(), asyncio.sleep(delay_s))
        return None

    async def _start(self, client: AsyncClient, journal: Journal) -> Station:
        chosen, state = self._settings, journal.state
        health = await client.runtime.health()
        runtime = chosen.runtime_id or state.last_runtime_id or f"{chosen.hostname}-{new_id()[-8:]}"
        node = await client.runtime.register(
            runtime, chosen.hostname, hostname=chosen.hostname, version=__version__,
            capabilities=CAPABILITIES,
        )  # fmt: skip
        agent = await self._agent(client)
        self._own(journal, node.company_id, agent)
        at = Station(
            chosen, client, journal, self._tell, agent, "",
            self._program(chosen.exec, chosen.task_s), self._program(chosen.reply, chosen.reply_s),
        )  # fmt: skip
        journal.state.last_runtime_id, journal.state.last_agent_id = node.runtime_id, agent.id
        started = await at.start_session()
        integrations = await client.agents.integrations(agent.id)
        if journal.own.feed_seq is None:
            journal.own.feed_seq = (await client.runtime.feed_head()).head
            journal.state.last_seen_at = journal.state.last_seen_at or health.server_time
        at.stops = await client.runtime.stops()
        journal.save()
        self._tell(
            "started", agent=agent.name, runtime=node.runtime_id, session=at.session,
            journal=str(journal.path), entries=len(started.memory.entries),
            integrations=len(integrations), tasks="program" if at.work else "none",
            replies="program" if at.talk else "none",
        )  # fmt: skip
        return at

    async def _agent(self, client: AsyncClient) -> Agent:
        """By id, by exact name, else a new one. An id that is unknown is an error."""
        chosen = self._settings
        found = await client.agents.list()
        for agent in found:
            if agent.id == chosen.agent_id:
                return agent
        if chosen.agent_id is not None:
            raise NotFound(
                "bridge.agent_unknown",
                f"this company has no agent {chosen.agent_id}",
                "Correct --agent-id, or name one with --agent-name.",
            )
        for agent in found:
            if agent.name == chosen.agent_name:
                return agent
        name = chosen.agent_name or ""
        try:
            made = await client.agents.create(
                name, role=chosen.role, concurrency_limit=chosen.max_tasks, key=f"agent:{name}"
            )
        except Conflict:  # somebody else made it meanwhile, or it is beyond the first page
            return await client.agents.get(name)
        self._tell("agent_created", agent=made.name, id=made.id)
        return made

    def _own(self, journal: Journal, company: str, agent: Agent) -> None:
        """A journal belongs to one agent of one company. Raises `bridge.journal_other`."""
        own, before = journal.own, journal.state.last_agent_id
        same = own.company in ("", company) and before in (None, agent.id)
        if not same:
            if own.tasks or own.letters or own.operations:
                raise Conflict(
                    "bridge.journal_other",
                    f"{journal.path} holds unfinished work of another agent ({before})",
                    "Let that bridge finish, or give this one a journal of its own: "
                    "--bridge-state-path FILE.",
                )
            journal.forget()
        journal.own.company, journal.own.url = company, self._settings.url

    def _program(self, argv: tuple[str, ...], wall_s: float) -> Program | None:
        if not argv:
            return None
        chosen = self._settings
        env = programs.environment(
            os.environ, chosen.journal, chosen.passed, secrets=(chosen.token,)
        )
        return Program(argv, chosen.workdir.absolute(), env, wall_s)


class _Life:
    """The loops of a bridge that has started."""

    def __init__(self, station: Station, end: asyncio.Event) -> None:
        self._at = station
        self._end = end
        self._look = asyncio.Event()
        self._hands = Hands(station, self._look)
        self._ears = Ears(station)
        self._listener = Listener(station, self._hands, self._ears, self._look)

    async def live(self) -> None:
        """Raises the error that ended it."""
        at = self._at
        looking = asyncio.create_task(self._begin_and_look(), name="look")
        beating = asyncio.create_task(self._beat(), name="heartbeat")
        answering = asyncio.create_task(self._ears.run(), name="answer")
        listening = asyncio.create_task(self._listen(), name="listen")
        ending = asyncio.create_task(_first(self._end.wait(), _result(at.failed)), name="end")
        loops = (looking, beating, answering, listening)
        try:
            await asyncio.wait({*loops, ending}, return_when=asyncio.FIRST_COMPLETED)
            at.tell("ending")
            await _cancelled(listening)
            await _cancelled(looking)
            await self._leave(answering)
        finally:
            for task in (*loops, ending):
                await _cancelled(task)
            await self._hands.abandon()
        if at.failed.done():
            raise at.failed.result()
        for task in loops:
            if not task.cancelled():
                task.result()

    async def _leave(self, answering: "asyncio.Task[None]") -> None:
        at = self._at
        self._ears.leave()
        drain_s = at.settings.drain_s
        await asyncio.wait([answering], timeout=drain_s if at.journal.own.letters else 0)
        self._ears.end_program()
        await self._hands.leave(drain_s)
        try:
            async with asyncio.timeout(GOODBYE_S):
                await at.client.sessions.end(at.agent.id, at.session, summary="The bridge ended.")
        except (HomarusError, TimeoutError) as error:
            at.tell("session_not_ended", error=str(error))
        at.journal.save()
        at.tell("ended", tasks_left=len(at.journal.own.tasks))

    async def _listen(self) -> None:
        """With `once` the look asks for messages itself, and nobody listens."""
        if self._at.settings.once:
            await self._end.wait()
        else:
            await self._listener.run()

    # -- loops -----------------------------------------------------------------------------------

    async def _begin_and_look(self) -> None:
        """The control sync: at once when something happened, else every `sync_s`."""
        at = self._at
        if at.journal.lost:
            await self._again(self._hands.adopt)
            await self._again(self._ears.backlog)
            at.journal.lost, at.journal.own.adopted = "", True
            at.journal.save()
        if at.settings.once:
            await self._again(self._listener.catch_up)
        while True:
            self._look.clear()
            try:
                await self._hands.look()
                at.journal.state.last_sync_at = iso_ms(time.time_ns() // 1_000_000)
            except HomarusError as error:
                at.trouble("look", error)
                if at.settings.once:
                    raise
            if at.settings.once and await self._nothing_left():
                return
            await asyncio.sleep(MIN_LOOK_S)
            await _first(self._look.wait(), asyncio.sleep(at.settings.sync_s))

    async def _nothing_left(self) -> bool:
        """For `once`: the look found nothing to claim, nothing is in hand, all is answered."""
        if rules.stopped_by(self._at.stops, self._at.agent.id) is None:
            await self._ears.quiet.wait()
        return self._hands.idle

    async def _again(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Until it succeeds; the daemon may go away at any time."""
        while True:
            try:
                await act()
                return
            except HomarusError as error:
                self._at.trouble("start", error)
                if self._at.settings.once and is_transient(error):
                    raise
                if not is_transient(error):
                    return
            await asyncio.sleep(self._at.settings.base_s)

    async def _beat(self) -> None:
        """Say that the agent lives, which keeps leases; the journal shows that the bridge does."""
        at = self._at
        while True:
            try:
                await at.client.agents.heartbeat(at.agent.id, self._hands.load)
                await leasing.renew(at)
            except HomarusError as error:
                at.trouble("heartbeat", error)
            at.journal.save()
            await asyncio.sleep(at.settings.heartbeat_s)


async def _first(*waits: Coroutine[Any, Any, Any]) -> None:
    """Until the first of them is over."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            await _cancelled(task)


async def _result(future: "asyncio.Future[Any]") -> Any:
    """To wait for it without ending it."""
    return await asyncio.shield(future)


async def _cancelled(task: "asyncio.Task[Any]") -> None:
    """Cancel it and wait for its end; what it raised stays with it."""
    task.cancel()
    await asyncio.wait([task])


async def run(settings: Settings, tell: Teller) -> None:
    """A bridge in this process; SIGTERM and SIGINT end it in an orderly way."""
    bridge = Bridge(settings, tell)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, bridge.end)
    await bridge.run()

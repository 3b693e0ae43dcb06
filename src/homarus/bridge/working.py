"""Tasks of a bridge: claim, do, report; hand back what cannot be done.

    claim -> note -> checkpoint -> (lease resources) -> program -> result

Each step that cannot be repeated is written down before (`started`) and after (`finished`) it.
After a crash what was claimed is begun, what is finished is reported, and what was started without
an outcome is run again only if the operator said that this is harmless; else an operator is told.
Without a program for tasks nothing is ever reported: the task is handed back, and says so.
"""

import asyncio
from typing import Any, Final

from homarus.base.errors import Conflict, HomarusError, NotFound, Refused
from homarus.base.failpoint import failpoint
from homarus.base.process import DRAIN_WAIT_S, KILL_WAIT_S, ProcessHandle
from homarus.bridge import claiming, leasing, programs, rules
from homarus.bridge.journal import CLAIMED, FINISHED, STARTED, Outcome, Work
from homarus.bridge.station import Station, is_fatal, is_transient
from homarus.client.shapes import Event, Task

MAX_LISTED: Final = 500
"""Tasks in progress that a list is asked for."""
MEMORIES: Final = 100
"""Entries that are looked at for one of this task."""
WATCH_S: Final = 10.0
BLIND_WATCH_S: Final = 2.0
"""How often STOP and lease are looked at while a program runs; the socket, if any, tells sooner."""
MAX_TROUBLES: Final = 5
"""Looks at which a task may be refused before the bridge gives it up; its lease then runs out."""
ENDED_S: Final = programs.TERM_GRACE_S + KILL_WAIT_S + 3 * DRAIN_WAIT_S
"""How long the end of a program may take."""
POLICY: Final = "task.policy_"
STOP: Final = "stop."
KEPT_FOR_A_PERSON: Final = "task.policy_approval"
UNKNOWN: Final = (
    "The bridge was interrupted while its program worked on this. Whether the work was done is not "
    "known, so it is not repeated: look at it, then accept it or queue it again."
)
NOBODY: Final = (
    "Nobody executed this: the bridge that claimed it has no program for tasks. It is handed back."
)


class Hands:
    """Everything about the tasks in hand. One per bridge; belongs to its event loop."""

    def __init__(self, station: Station, look: asyncio.Event) -> None:
        self._at = station
        self._look = look
        self._running: dict[str, asyncio.Task[None]] = {}
        self._programs: dict[str, ProcessHandle] = {}
        self._leaving = False

    @property
    def load(self) -> int:
        return len(self._at.journal.own.tasks)

    @property
    def idle(self) -> bool:
        """Nothing is running, and nothing but STOP keeps from being taken up again."""
        left = self._at.journal.own.tasks.values()
        return not self._running and all(self._stopped(work) for work in left)

    @property
    def _has_room(self) -> bool:
        return rules.has_room(self.load, self._at.settings.max_tasks)

    # -- one look --------------------------------------------------------------------------------

    async def look(self) -> None:
        """See what is still ours, go on with it, claim while there is room. Raises HomarusError."""
        at = self._at
        at.stops = await at.client.runtime.stops()
        await claiming.repeat(at)
        await self._see_what_is_held()
        for work in [*at.journal.own.tasks.values()]:
            self._take_up(work)
        while not self._leaving and self._has_room:
            claimed = await claiming.next_task(at)
            if claimed is None:
                break
            self._take_up(claimed)
        self._heed_stops()

    async def _see_what_is_held(self) -> None:
        """What the daemon no longer has as ours is dropped; the journal knows no better."""
        at = self._at
        mine = [work for work in at.journal.own.tasks.values() if work.phase != FINISHED]
        if not mine:
            return
        held = await at.client.tasks.list(state="in_progress", agent=at.agent.id, limit=MAX_LISTED)
        ids = {task.id for task in held}
        for work in mine:
            if work.task not in ids and work.phase != FINISHED:
                await self._lose(work)

    async def adopt(self) -> None:
        """After a start: where the journal was lost, hand back what the daemon has as ours."""
        at = self._at
        if not at.journal.lost:
            return
        held = await at.client.tasks.list(state="in_progress", agent=at.agent.id, limit=MAX_LISTED)
        for task in held:
            await self._hand_back_unknown(task)

    async def _hand_back_unknown(self, task: Task) -> None:
        """A task of ours that no journal tells about. Its lease is this token's, or it is left."""
        at = self._at
        state = "inbox" if at.settings.idempotent else "review"
        key = f"orphan:{task.id}:{task.updated_at}"
        try:
            await at.client.tasks.note(task.id, at.agent.id, UNKNOWN, key=key)
            await at.client.tasks.result(task.id, at.agent.id, state, comment=UNKNOWN, key=key)
        except (Conflict, Refused) as error:
            at.tell("left_alone", task=task.number or task.id, code=error.code)
            return
        at.tell("handed_back", task=task.number or task.id, why="the journal was lost")

    # -- what happens to a task elsewhere --------------------------------------------------------

    async def frame(self, event: Event) -> None:
        """A task's frame. It frees or takes no slot: what is in hand is counted by the journal."""
        at = self._at
        task = event.data.get("task")
        if not isinstance(task, dict):
            return
        if not at.journal.frames.add(rules.fingerprint(task)):
            return
        work = at.journal.own.tasks.get(str(task.get("id")))
        if work is None or work.phase == FINISHED:
            if rules.may_bring_work(task, at.agent.id) and self._has_room:
                self._look.set()
            return
        if task.get("state") == "in_progress" and task.get("assignedAgentId") == at.agent.id:
            return
        try:  # the frame may be an old one, replayed
            now = await at.client.tasks.get(work.task)
        except HomarusError:
            self._look.set()
            return
        if not rules.is_held(now, at.agent.id):
            await self._lose(work)

    async def stop_changed(self) -> None:
        try:
            self._at.stops = await self._at.client.runtime.stops()
        except HomarusError as error:
            self._at.trouble("stops", error)
        self._heed_stops()
        self._look.set()

    def _heed_stops(self) -> None:
        for id_, handle in [*self._programs.items()]:
            work = self._at.journal.own.tasks.get(id_)
            if work is not None and self._stopped(work):
                self._at.tell("stopped", task=work.number or work.task)
                handle.stop()

    def _stopped(self, work: Work) -> bool:
        at = self._at
        stop = rules.stopped_by(at.stops, at.agent.id, work.project, work.task, work.trace)
        return stop is not None

    async def _lose(self, work: Work) -> None:
        """Somebody else may have it: end its program, report nothing."""
        at = self._at
        if work.task not in at.journal.own.tasks:
            return
        handle = self._programs.get(work.task)
        running = self._running.get(work.task)
        if handle is not None:
            handle.stop()
        if running is not None and running is not asyncio.current_task():
            if handle is None:
                running.cancel()
            await asyncio.wait([running])
        if work.phase == STARTED and not at.settings.idempotent:
            at.journal.interrupted.add(work.task)
        await self._let_go(work)
        at.tell("lease_lost", task=work.number or work.task)

    # -- one task --------------------------------------------------------------------------------

    def _take_up(self, work: Work) -> None:
        if work.task in self._running or self._stopped(work):
            return
        running = asyncio.create_task(self._carry(work), name=f"task {work.task}")
        self._running[work.task] = running
        running.add_done_callback(lambda _: self._put_down(work.task))

    def _put_down(self, task: str) -> None:
        """What was put off waits for the next look; a slot that is free is used at once."""
        self._running.pop(task, None)
        if task not in self._at.journal.own.tasks:
            self._look.set()

    async def _carry(self, work: Work) -> None:
        """Go on from the phase that the journal says. What fails for the moment stays in the
        journal, and the next look takes it up again."""
        at = self._at
        try:
            if work.phase == STARTED and not await self._may_repeat(work):
                return
            if work.phase == CLAIMED and not await self._do(work):
                return
            if work.phase == FINISHED:
                await self._report(work)
        except Conflict as error:
            at.tell("no_longer_ours", task=work.number or work.task, code=error.code)
            await self._let_go(work)
        except NotFound as error:
            at.trouble("task", error)
            await self._let_go(work)
        except HomarusError as error:
            at.trouble("task", error)
            if is_transient(error) or is_fatal(error) or error.code.startswith(STOP):
                return
            work.troubles += 1
            if work.troubles >= MAX_TROUBLES:
                at.tell("given_up", task=work.number or work.task, code=error.code)
                await self._let_go(work)

    async def _may_repeat(self, work: Work) -> bool:
        """Of a program that was started and whose end nobody saw."""
        at = self._at
        if at.settings.idempotent:
            work.phase = CLAIMED
            at.journal.save()
            return True
        await at.client.tasks.note(work.task, at.agent.id, UNKNOWN, key=self._key("unknown", work))
        work.outcome = Outcome("review", UNKNOWN)
        work.phase = FINISHED
        at.journal.save()
        return True

    async def _do(self, work: Work) -> bool:
        """From claimed to finished. False: it is not ours any more, or was put off."""
        at = self._at
        await self._note_claim(work)
        if at.work is None:
            await self._nobody(work)
            return False
        context = await at.client.tasks.context(work.task)
        task = context.pop("task")
        resources = await leasing.lease(at, work, task)
        if self._leaving or self._stopped(work):
            return False
        work.phase = STARTED
        at.journal.save()
        failpoint("bridge.started")
        document = {
            "protocol": programs.PROTOCOL,
            "kind": "task",
            "agent": {"id": at.agent.id, "name": at.agent.name, "role": at.agent.role},
            "task": task,
            "context": context,
            "resources": resources,
        }
        outcome = await self._run(at.work, work, document)
        if outcome is None:
            return False
        failpoint("bridge.ran")
        work.outcome, work.phase = outcome, FINISHED
        at.journal.save()
        failpoint("bridge.finished")
        return True

    async def _note_claim(self, work: Work) -> None:
        at = self._at
        role = at.agent.role or "operator"
        handoff = {
            "fromRole": "queue",
            "toRole": role,
            "summary": f"{at.agent.name} has taken it, on runtime "
            f"{at.journal.state.last_runtime_id}.",
            "nextStep": "run the program for tasks" if at.work else "hand it back",
        }
        await at.client.tasks.note(
            work.task, at.agent.id, f"Claimed by {at.agent.name}.", handoff=handoff,
            key=self._key("claim", work),
        )  # fmt: skip
        await at.checkpoint(f"task {work.number or work.task}")
        failpoint("bridge.noted")

    async def _run(self, program: programs.Program, work: Work, document: Any) -> Outcome | None:
        """None: it was ended because the lease is lost, STOP is in force, or the bridge leaves."""
        watch = asyncio.create_task(self._watch(work))
        try:
            result = await program.run(
                document, lambda handle: self._programs.__setitem__(work.task, handle)
            )
        except HomarusError as error:
            return programs.not_started(error)
        finally:
            watch.cancel()
            self._programs.pop(work.task, None)
        if result.reason == "cancelled":
            return None
        return programs.outcome_of(result, program.wall_s)

    async def _watch(self, work: Work) -> None:
        """While a program runs: end it when its lease is lost or STOP is set, socket or not."""
        at = self._at
        while True:
            await asyncio.sleep(WATCH_S if at.connected.is_set() else BLIND_WATCH_S)
            try:
                at.stops = await at.client.runtime.stops()
                now = await at.client.tasks.get(work.task)
            except HomarusError:
                continue
            self._heed_stops()
            handle = self._programs.get(work.task)
            if handle is not None and not rules.is_held(now, at.agent.id):
                handle.stop()
                self._look.set()

    async def _report(self, work: Work) -> None:
        """Send the outcome; where a project wants a review first, ask for one."""
        at, outcome = self._at, work.outcome
        if outcome is None:
            raise AssertionError(f"{work.task} is finished without an outcome")
        for state in dict.fromkeys((outcome.state, "review", "failed")):
            key = self._key("result" if state == outcome.state else f"result:{state}", work)
            try:
                await at.client.tasks.result(
                    work.task, at.agent.id, state, output=outcome.output,
                    comment=outcome.comment or None, lease_token=work.token, key=key,
                )  # fmt: skip
            except Conflict as error:
                if error.code == KEPT_FOR_A_PERSON:
                    at.tell("waits_for_approval", task=work.number or work.task)
                    break
                if error.code.startswith(POLICY) or error.code == "task.dod_unmet":
                    at.tell("not_accepted", task=work.number, state=state, code=error.code)
                    continue
                raise
            at.tell("reported", task=work.number or work.task, state=state)
            break
        else:
            at.tell("given_up", task=work.number or work.task)
        failpoint("bridge.reported")
        await self._let_go(work)
        await at.checkpoint("idle")

    async def _nobody(self, work: Work) -> None:
        """No program for tasks: remember, note and hand back; never a result."""
        at = self._at
        memory = await at.client.agents.memory(at.agent.id, limit=MEMORIES)
        if not any(e.kind == "task_claim" and e.task_id == work.task for e in memory.entries):
            await at.client.agents.remember(
                at.agent.id, f"{work.number or work.task}: {NOBODY}", kind="task_claim",
                session=at.session, task=work.task,
            )  # fmt: skip
        at.journal.handed_back.add(work.task)
        handoff = {
            "fromRole": at.agent.role or "operator",
            "toRole": "operator",
            "summary": NOBODY,
            "nextStep": "let an agent with a program claim it, or start this bridge with --exec",
        }
        await at.client.tasks.note(
            work.task, at.agent.id, NOBODY, handoff=handoff, key=self._key("nobody", work)
        )
        await self._release(work, NOBODY)

    async def _release(self, work: Work, why: str) -> None:
        at = self._at
        await at.client.tasks.release(
            work.task, at.agent.id, comment=why, lease_token=work.token,
            key=self._key("release", work),
        )  # fmt: skip
        at.tell("handed_back", task=work.number or work.task, why=why)
        await self._let_go(work)

    async def _let_go(self, work: Work) -> None:
        at = self._at
        if at.journal.own.tasks.pop(work.task, None) is None:
            return
        at.journal.save()
        await leasing.release(at, work)

    @staticmethod
    def _key(about: str, work: Work) -> str:
        return f"task-{about}:{work.task}:{work.token}"

    # -- leaving ---------------------------------------------------------------------------------

    async def leave(self, drain_s: float) -> None:
        """Stop taking; let programs end for `drain_s`, then end them; hand back what is left."""
        at = self._at
        self._leaving = True
        running = [*self._running.values()]
        if running:
            at.tell("draining", tasks=len(running), seconds=drain_s)
            await asyncio.wait(running, timeout=drain_s)
        for handle in [*self._programs.values()]:
            handle.stop()
        left = [*self._running.values()]
        if left:
            await asyncio.wait(left, timeout=ENDED_S)
        await self.abandon()
        for work in [*at.journal.own.tasks.values()]:
            try:
                await self._settle(work)
            except HomarusError as error:
                at.trouble("leaving", error)
                if is_transient(error):  # the journal has the rest
                    return

    async def abandon(self) -> None:
        """Nothing of this bridge runs on. What was not settled stays in the journal."""
        left = [*self._running.values()]
        for running in left:
            running.cancel()
        if left:
            await asyncio.wait(left)

    async def _settle(self, work: Work) -> None:
        """The last word about a task of a bridge that leaves."""
        at = self._at
        if work.phase == STARTED and not at.settings.idempotent:
            await self._may_repeat(work)
        if work.phase == FINISHED:
            await self._report(work)
            return
        await self._release(work, f"The bridge of {at.agent.name} was ended; nothing is reported.")

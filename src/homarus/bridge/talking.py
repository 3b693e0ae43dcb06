"""Messages of a bridge: taken once, remembered, answered at most once.

    status typing+read -> memory entry -> (program) -> reply -> typing off -> checkpoint

A message is a row of the journal before anything is done about it, and so is its reply before it is
sent; the send carries a key made of the message, so that a repeat changes nothing. One at a time,
in the order in which they came.
"""

import asyncio
from typing import Any, Final

from homarus.base.errors import HomarusError, NotFound
from homarus.base.failpoint import failpoint
from homarus.base.process import ProcessHandle
from homarus.bridge import programs, rules
from homarus.bridge.journal import (
    ANSWERING,
    MAX_LETTERS,
    REMEMBERED,
    REMEMBERING,
    TAKEN,
    WRITTEN,
    Letter,
    settled,
)
from homarus.bridge.rules import Attention
from homarus.bridge.station import Station, is_fatal, is_transient
from homarus.client.shapes import Message

HISTORY: Final = 20
"""Messages of the thread that the program for replies sees."""
MEMORIES: Final = 100
TYPING_S: Final = 4.0
"""One `typing` holds 5 s (contract, 8)."""
MEMORY_CHARS: Final = 4_000
MAX_TROUBLES: Final = 5
"""Times that a message may be refused before it is put away unanswered."""
PAUSE_S: Final = 2.0
STOP: Final = "stop."
INTERRUPTED: Final = (
    "I was interrupted while I answered this, and do not know how far I came. Please ask again."
)


class Ears:
    """Everything about messages. One per bridge; belongs to its event loop."""

    def __init__(self, station: Station) -> None:
        self._at = station
        self._thread: str | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._program: ProcessHandle | None = None
        self._troubles: dict[str, int] = {}
        self._leaving = False
        self.quiet = asyncio.Event()
        self._mark_room()

    # -- taking ----------------------------------------------------------------------------------

    async def room(self) -> None:
        """Wait until more messages may be taken."""
        await self._room.wait()

    async def hear(self, messages: list[Message], next_seq: int | None = None) -> None:
        """Take new messages, in order, and move the cursor; on disk when it returns.

        Nothing is awaited between the first change and the save: who cancels this loses nothing.
        """
        at = self._at
        own = at.journal.own
        mine = [await self._is_mine(message) for message in messages]
        for message, direct in zip(messages, mine, strict=True):
            self._take(message, direct)
        if next_seq is not None:
            own.message_seq = next_seq
        if messages or next_seq is not None:
            at.journal.save()
            failpoint("bridge.heard")
            self._mark_room()
            self._news.set()

    def _take(self, message: Message, mine: bool) -> None:
        at = self._at
        own = at.journal.own
        seen_by_seq = (
            message.seq is not None
            and own.message_seq is not None
            and message.seq <= own.message_seq
        )
        fresh = not seen_by_seq and at.journal.messages.add(rules.message_key(message.id))
        if message.seq is not None:
            own.message_seq = max(own.message_seq or 0, message.seq)
        at.journal.state.last_seen_at = max(at.journal.state.last_seen_at or "", message.created_at)
        if not fresh:
            return
        found = rules.attention(
            message, at.agent.id, at.agent.name, mine=mine,
            addressed_only=at.settings.addressed_only,
        )  # fmt: skip
        if found is not Attention.IGNORE:
            own.letters.append(_letter(message, found is Attention.ANSWER))

    async def _is_mine(self, message: Message) -> bool:
        """Whether it stands in this agent's own direct thread."""
        at = self._at
        if message.thread_type != "direct":
            return False
        if self._thread is None:
            for thread in await at.client.talk.threads(type="direct", agent=at.agent.id):
                if thread.agent_id == at.agent.id:
                    self._thread = thread.id
        return message.thread_id == self._thread

    async def backlog(self) -> None:
        """With a new journal: what people wrote to this agent directly and nobody answered."""
        at = self._at
        for thread in await at.client.talk.threads(type="direct", agent=at.agent.id):
            if thread.agent_id != at.agent.id:
                continue
            self._thread = thread.id
            for message in rules.unanswered(await at.client.talk.messages(thread.id), at.agent.id):
                if at.journal.messages.add(rules.message_key(message.id)):
                    at.journal.own.letters.append(_letter(message, answer=True))
        at.journal.save()
        self._news.set()

    def _mark_room(self) -> None:
        letters = self._at.journal.own.letters
        if len(letters) < MAX_LETTERS:
            self._room.set()
        else:
            self._room.clear()
        if letters:
            self.quiet.clear()
        else:
            self.quiet.set()

    # -- answering -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Settle what was taken, one after the other, until `leave`."""
        own = self._at.journal.own
        while not self._leaving:
            self._news.clear()
            if not own.letters:
                await self._news.wait()
                continue
            letter = own.letters[0]
            if not await self._settle(letter):
                await asyncio.sleep(PAUSE_S)

    async def _settle(self, letter: Letter) -> bool:
        """False: not now."""
        at = self._at
        if rules.stopped_by(at.stops, at.agent.id) is not None:
            return False
        try:
            if await self._carry(letter):
                self._done(letter)
            return True
        except HomarusError as error:
            at.trouble("message", error)
            if is_transient(error) or is_fatal(error) or error.code.startswith(STOP):
                return False
            self._troubles[letter.id] = self._troubles.get(letter.id, 0) + 1
            if not isinstance(error, NotFound) and self._troubles[letter.id] < MAX_TROUBLES:
                return False
            at.tell("put_away", message=letter.id, code=error.code)
            self._done(letter)
            return True

    def _done(self, letter: Letter) -> None:
        own = self._at.journal.own
        self._troubles.pop(letter.id, None)
        own.letters[:] = settled(own.letters, letter.id)
        self._at.journal.save()
        self._mark_room()

    async def _carry(self, letter: Letter) -> bool:
        """Go on from the phase that the journal says. False: the bridge leaves before its end."""
        at = self._at
        talk = at.client.talk
        answers = letter.answer and at.talk is not None
        if letter.phase in (TAKEN, REMEMBERING):
            await talk.status(letter.thread, at.agent.id, typing=answers or None, read=True)
            await self._remember(letter)
        if answers and at.talk is not None and letter.phase in (REMEMBERED, ANSWERING):
            reply = await self._write(at.talk, letter)
            if reply is None:
                return False
            letter.reply, letter.phase = reply, WRITTEN
            at.journal.save()
            failpoint("bridge.written")
        if letter.phase == WRITTEN and letter.reply:
            await talk.send(
                letter.reply, agent=at.agent.id, thread=letter.thread,
                metadata={"inReplyTo": letter.id}, key=f"reply:{letter.id}",
            )  # fmt: skip
            failpoint("bridge.sent")
            at.tell("answered", message=letter.id)
        if answers:
            await talk.status(letter.thread, at.agent.id, typing=False, read=True)
        await at.checkpoint("idle")
        return True

    async def _remember(self, letter: Letter) -> None:
        """One memory entry a message. The route honours no key, so after a crash it is asked."""
        at = self._at
        if letter.phase == REMEMBERING:
            memory = await at.client.agents.memory(at.agent.id, limit=MEMORIES)
            known = any(
                (entry.metadata_json or {}).get("messageId") == letter.id
                for entry in memory.entries
            )
        else:
            known = False
            letter.phase = REMEMBERING
            self._at.journal.save()
        if not known:
            await at.client.agents.remember(
                at.agent.id, f"{letter.sender_type} said: {letter.text}"[:MEMORY_CHARS],
                kind="thread_observation", session=at.session,
                metadata={"messageId": letter.id, "threadId": letter.thread},
            )  # fmt: skip
        failpoint("bridge.remembered")
        letter.phase = REMEMBERED
        at.journal.save()

    async def _write(self, program: programs.Program, letter: Letter) -> str | None:
        """The reply's text; "" for none, None when the bridge leaves before it is there."""
        at = self._at
        if letter.phase == ANSWERING and not at.settings.idempotent:
            return INTERRUPTED
        document = await self._document(letter)
        letter.phase = ANSWERING
        at.journal.save()
        failpoint("bridge.answering")
        typing = asyncio.create_task(self._keep_typing(letter))
        try:
            result = await program.run(document, self._started)
        except HomarusError as error:
            return f"I could not answer this: {programs.not_started(error).comment}"
        finally:
            typing.cancel()
            self._program = None
        if result.reason == "cancelled":
            return None if self._leaving else INTERRUPTED
        failpoint("bridge.answered")
        return programs.reply_of(result)

    def _started(self, handle: ProcessHandle) -> None:
        self._program = handle
        if self._leaving:
            handle.stop()

    async def _document(self, letter: Letter) -> dict[str, Any]:
        at = self._at
        history = await at.client.talk.messages(letter.thread, limit=HISTORY)
        return {
            "protocol": programs.PROTOCOL,
            "kind": "message",
            "agent": {"id": at.agent.id, "name": at.agent.name, "role": at.agent.role},
            "message": {
                "id": letter.id,
                "text": letter.text,
                "senderId": letter.sender,
                "senderType": letter.sender_type,
                "threadId": letter.thread,
                "threadType": letter.thread_type,
                "taskId": letter.task,
                "createdAt": letter.at,
            },
            "history": [
                {"senderType": m.sender_type, "senderId": m.sender_id, "text": m.text}
                for m in history
            ],
        }

    async def _keep_typing(self, letter: Letter) -> None:
        """While the program runs: show it, and see that STOP is not set."""
        at = self._at
        while True:
            await asyncio.sleep(TYPING_S)
            try:
                at.stops = await at.client.runtime.stops()
                self.heed_stops()
                await at.client.talk.status(letter.thread, at.agent.id, typing=True)
            except HomarusError:
                continue

    def heed_stops(self) -> None:
        """STOP over the agent ends the program that writes a reply."""
        if rules.stopped_by(self._at.stops, self._at.agent.id) is not None:
            self.end_program()

    # -- leaving ---------------------------------------------------------------------------------

    def leave(self) -> None:
        """Take up no further message; what is not settled stays in the journal."""
        self._leaving = True
        self._news.set()

    def end_program(self) -> None:
        if self._program is not None:
            self._program.stop()


def _letter(message: Message, answer: bool) -> Letter:
    return Letter(
        id=message.id,
        thread=message.thread_id,
        text=message.text,
        sender=message.sender_id,
        sender_type=message.sender_type,
        thread_type=message.thread_type,
        task=message.task_id,
        at=message.created_at,
        answer=answer,
    )

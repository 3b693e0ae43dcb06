"""What a bridge must not forget, in one file (control-plane contract, 13.1).

Written whole, to a private draft that is renamed, so a reader and the next life see the old state
or the new one. The fields of the original's journal keep their names and places, those that we do
not know are kept as they are; ours stand below `homarus`. What is put down before an act
(`started`) and has no outcome after a crash is unknown, and treated so.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from homarus.base import private
from homarus.base.clock import iso_ms
from homarus.base.errors import Conflict, Unavailable

VERSION: Final = 1
WINDOW: Final = 1_000
"""Messages, task frames and handed-back tasks that are remembered (contract, 13)."""
MAX_LETTERS: Final = 1_000
"""Messages taken and not settled; with so many no more are taken."""
MAX_JOURNAL_BYTES: Final = 64 * 1024 * 1024

# Phases of a task in hand.
CLAIMED: Final = "claimed"
STARTED: Final = "started"
FINISHED: Final = "finished"

# Phases of a message taken.
TAKEN: Final = "taken"
REMEMBERING: Final = "remembering"
REMEMBERED: Final = "remembered"
ANSWERING: Final = "answering"
WRITTEN: Final = "written"


class Outcome(msgspec.Struct):
    """What a program made of a task: the body of its result."""

    state: str
    comment: str
    output: Any = None


class Work(msgspec.Struct, rename="camel", omit_defaults=True):
    """A task in hand. `token`: the fence of its lease. `leases`: of resources. `troubles`: how
    often a report of it was refused."""

    task: str
    token: int
    number: str = ""
    project: str = ""
    trace: str | None = None
    phase: str = CLAIMED
    outcome: Outcome | None = None
    leases: list[str] = []
    troubles: int = 0


class Letter(msgspec.Struct, rename="camel", omit_defaults=True):
    """A message taken. `answer`: it wants one."""

    id: str
    thread: str
    text: str
    sender: str | None = None
    sender_type: str = "human"
    thread_type: str = "team"
    task: str | None = None
    at: str = ""
    answer: bool = True
    phase: str = TAKEN
    reply: str | None = None


class Operation(msgspec.Struct, rename="camel", omit_defaults=True):
    """A claim that was sent, or was about to be; its key is in `pendingOperationIds`."""

    agent: str
    task: str | None = None
    lease_s: int | None = None


class Own(msgspec.Struct, rename="camel"):
    """What stands below `homarus`. `adopted`: what an earlier life may have left was looked after.
    `feed_seq`: of the socket; `message_seq`: of messages. `interrupted`: tasks lost while their
    program ran."""

    url: str = ""
    company: str = ""
    adopted: bool = False
    feed_seq: int | None = None
    message_seq: int | None = None
    tasks: dict[str, Work] = {}
    letters: list[Letter] = []
    operations: dict[str, Operation] = {}
    handed_back: list[str] = []
    interrupted: list[str] = []


class State(msgspec.Struct, rename="camel"):
    """The journal's fields, as the contract names them."""

    version: int = VERSION
    created_at: str = ""
    updated_at: str = ""
    backoff_sec: float = 0.0
    reconnect_attempt: int = 0
    last_seen_at: str | None = None
    last_sync_at: str | None = None
    last_runtime_id: str | None = None
    last_session_id: str | None = None
    last_agent_id: str | None = None
    recent_message_ids: list[str] = []
    recent_task_fingerprints: list[str] = []
    pending_operation_ids: list[str] = []
    homarus: Own = msgspec.field(default_factory=Own)


class Window:
    """The last so many keys seen, over a list of the state."""

    def __init__(self, keys: list[str], size: int = WINDOW) -> None:
        del keys[: max(0, len(keys) - size)]
        self._keys = keys
        self._seen = set(keys)
        self._size = size

    def __contains__(self, key: object) -> bool:
        return key in self._seen

    def discard(self, key: str) -> None:
        if key in self._seen:
            self._seen.discard(key)
            self._keys.remove(key)

    def add(self, key: str) -> bool:
        """False: it was there."""
        if key in self._seen:
            return False
        self._keys.append(key)
        self._seen.add(key)
        while len(self._keys) > self._size:
            self._seen.discard(self._keys.pop(0))
        return True


class Journal:
    """One bridge's file, locked for as long as it is open.

    `lost`: why what an earlier life had in hand is not known ("" when it is): `missing`, `torn`,
    `foreign` (another version's), `taken_over` (the original's, or the companion's empty one) or
    `unfinished` (killed before it was looked after). Torn and foreign files are kept beside.
    """

    def __init__(self, path: Path) -> None:
        """Raises `bridge.journal_locked`, `bridge.journal`."""
        self.path = path
        self._lock = self._take(path)
        try:
            self.state, self._foreign, self.lost = self._load()
        except OSError as error:
            self.close()
            raise _unusable(path, error) from error
        self._open_windows()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._lock)

    @property
    def own(self) -> Own:
        return self.state.homarus

    def save(self) -> None:
        """On disk when it returns. Raises `bridge.journal`."""
        state = self.state
        state.updated_at = iso_ms(time.time_ns() // 1_000_000)
        state.created_at = state.created_at or state.updated_at
        state.pending_operation_ids = [*state.homarus.operations]
        known = msgspec.to_builtins(state)
        try:
            private.write(self.path, json.dumps(self._foreign | known, ensure_ascii=False) + "\n")
        except OSError as error:
            raise _unusable(self.path, error) from error

    def forget(self) -> None:
        """Begin anew, for another company or agent; the file is kept beside."""
        self._set_aside("other")
        self.state, self._foreign, self.lost = State(), {}, "missing"
        self._open_windows()

    def _open_windows(self) -> None:
        self.messages = Window(self.state.recent_message_ids)
        self.frames = Window(self.state.recent_task_fingerprints)
        self.handed_back = Window(self.own.handed_back)
        self.interrupted = Window(self.own.interrupted)

    @staticmethod
    def _take(path: Path) -> int:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(
                path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise Conflict(
                "bridge.journal_locked",
                f"another bridge works with {path}",
                "Stop it, or give this one a journal of its own: --bridge-state-path FILE.",
            ) from error
        return lock

    def _load(self) -> tuple[State, dict[str, Any], str]:
        try:
            with self.path.open("rb") as file:
                raw = file.read(MAX_JOURNAL_BYTES + 1)
        except FileNotFoundError:
            return State(), {}, "missing"
        try:
            fields = json.loads(raw)
            if not isinstance(fields, dict):
                raise ValueError("no object")
        except (ValueError, RecursionError):
            self._set_aside("torn")
            return State(), {}, "torn"
        version = fields.get("version")
        if version != VERSION or isinstance(version, bool):
            self._set_aside("foreign")
            return State(), {}, "foreign"
        try:
            state = msgspec.convert(fields, State)
        except msgspec.ValidationError:
            self._set_aside("torn")
            return State(), {}, "torn"
        names = {field.encode_name for field in msgspec.structs.fields(State)}
        kept = {name: value for name, value in fields.items() if name not in names}
        lost = (
            "" if state.homarus.adopted else "unfinished" if "homarus" in fields else "taken_over"
        )
        return state, kept, lost

    def _set_aside(self, why: str) -> None:
        if self.path.exists():
            self.path.replace(self.path.with_name(f"{self.path.name}.{why}"))


def settled(letters: Iterable[Letter], done: str) -> list[Letter]:
    """The letters without the one that is settled."""
    return [letter for letter in letters if letter.id != done]


def _unusable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        "bridge.journal",
        f"{path}: {error.strerror or error}",
        "Make it writable, or name another: --bridge-state-path FILE.",
    )

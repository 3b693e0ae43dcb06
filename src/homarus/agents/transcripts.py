"""Transcripts and `sessions.json` on disk: views of the rows, for whoever reads files (gateway
contract, 12.2, 12.3).

    agents/<agent id>/sessions/<session id>.jsonl           a header, then a line an entry, appended
    agents/<agent id>/sessions/<session id>.jsonl.deleted.… of a session that was reset
    agents/<agent id>/sessions/sessions.json                key -> entry of live ones, replaced

Written after commit; what is torn, missing or behind is made anew from the rows. Nothing is ever
read from here. A disk that is full costs a warning, and the view is made later.
"""

import asyncio
import json
import os
from pathlib import Path
from typing import Any, Final

import structlog

from homarus.base.clock import iso_ms
from homarus.base.errors import HomarusError
from homarus.base.recent import Recent
from homarus.conversations import sessions, transcript
from homarus.conversations.sessions import Session
from homarus.conversations.transcript import Entry
from homarus.store.port import Rx, Store

log = structlog.get_logger("transcripts")

VERSION: Final = 3
INDEX: Final = "sessions.json"
PAGE: Final = 200
"""Sessions, or entries, that one read gives."""
MAX_INDEXED: Final = 1_000
GAP_S: Final = 0.1
RETRY_S: Final = 5.0
FINISH_S: Final = 2.0
OVERLAP_MS: Final = 2_000
"""What changed so shortly before is looked at again: several daemons' clocks are not one."""
MAX_KNOWN: Final = 5_000
"""Sessions whose files are known; another one's is read before it is added to."""
CHUNK_BYTES: Final = 1024 * 1024
TAIL_BYTES: Final = 4 * 1024 * 1024
"""The last line is looked for in so much of a file's end; an entry is at most half of it."""


class Transcripts:
    """One a daemon. `run` until cancelled; `catch_up` writes what is new once."""

    def __init__(self, store: Store, home: Path) -> None:
        self._store = store
        self._home = home
        self._wake = asyncio.Event()
        self._dirty: set[str] = set()
        self._seen: dict[str, int] = {}  # company: `updated_ms` up to which all is written
        self._written: Recent[str, Session] = Recent(MAX_KNOWN)
        self._writing = asyncio.Lock()
        self._files: Recent[str, tuple[int, int]] = Recent(MAX_KNOWN)
        """session: (bytes, seq) as we left it."""

    async def run(self) -> None:
        """What fails is logged and tried again: a view never ends the daemon."""
        undo = self._store.listen(self._heard)
        try:
            await self._all()
            while True:
                await self._wake.wait()
                self._wake.clear()
                try:
                    await self.catch_up()
                    await asyncio.sleep(GAP_S)
                except (HomarusError, OSError) as error:
                    log.warning("transcripts_behind", why=str(error)[:300])
                    self._wake.set()
                    await asyncio.sleep(RETRY_S)
        finally:
            undo()

    async def _all(self) -> None:
        self._dirty |= set(await self._store.read(_companies))
        self._wake.set()

    async def check(self) -> None:
        """Bring every view up to date, whatever lies there. Raises OSError."""
        await self._all()
        await self.catch_up()

    async def finish(self) -> None:
        """At the end of the daemon: what was said last, within FINISH_S."""
        try:
            async with asyncio.timeout(FINISH_S):
                await self.catch_up()
        except (HomarusError, OSError, TimeoutError) as error:
            log.warning("transcripts_behind", why=str(error)[:300])

    def _heard(self, heads: dict[str, int]) -> None:
        self._dirty |= heads.keys() - {""}
        self._wake.set()

    async def catch_up(self) -> None:
        """Raises OSError when the disk refuses; what was not written stays due."""
        async with self._writing:
            await self._catch_up()

    async def _catch_up(self) -> None:
        for company in sorted(self._dirty):
            self._dirty.discard(company)  # before it is read: what is heard meanwhile is due again
            try:
                await self._catch_up_with(company)
            except BaseException:
                self._dirty.add(company)
                raise

    async def _catch_up_with(self, company: str) -> None:
        agents: set[str] = set()
        refused: OSError | None = None
        upto = None
        at = (max(0, self._seen.get(company, 0) - OVERLAP_MS), "")
        while True:
            rows = await self._store.read(_changed, company, *at)
            for row in rows:
                at = (row.updated_ms, row.id)
                if self._written.get(row.id) == row:
                    continue
                try:
                    await self._write(row)
                except OSError as error:  # the others' files may well be written
                    refused, upto = error, row.updated_ms if upto is None else upto
                    continue
                agents.add(row.agent)
                self._remember(row)
            if len(rows) < PAGE:
                break
        self._seen[company] = at[0] if upto is None else upto
        for agent in sorted(agents):
            live = await self._store.read(_live, company, agent)
            await asyncio.to_thread(_write_index, self._folder(agent), live)
        if refused is not None:
            raise refused

    def _remember(self, row: Session) -> None:
        if row.ended_ms is None:
            self._written[row.id] = row
        else:
            self._written.pop(row.id, None)

    def _folder(self, agent: str) -> Path:
        return self._home / "agents" / agent / "sessions"

    async def _write(self, row: Session) -> None:
        path = self._folder(row.agent) / f"{row.id}.jsonl"
        if row.ended_ms is not None:
            put = _away(path, row.ended_ms)
            if await asyncio.to_thread(_is_missing, path, put):  # it ended before its first look
                await self._rebuild(row, path)
            await asyncio.to_thread(_put_away, path, put)
            self._files.pop(row.id, None)
            return
        size, seq = self._files.get(row.id, (-1, 0))
        found = await asyncio.to_thread(_size, path)
        if found != size:
            size = -1
            newest = await self._store.read(transcript.newest, row.id, 1)
            count = await self._store.read(transcript.count, row.id)
            if newest and await self._is_whole(path, newest[0], count + 1):
                self._files[row.id] = (found, newest[0].seq)
                return
        if size < 0:
            await self._rebuild(row, path)
            return
        while True:
            entries = await self._store.read(transcript.since, row.id, seq + 1, PAGE)
            if entries:
                before = None if seq == 0 else await self._store.read(_id_of, row.id, seq)
                text = _lines(entries, before)
                size += await asyncio.to_thread(_append, path, text)
                seq = entries[-1].seq
                self._files[row.id] = (size, seq)
            if len(entries) < PAGE:
                return

    async def _is_whole(self, path: Path, last: Entry, lines: int) -> bool:
        return await asyncio.to_thread(_is_whole, path, last.id, lines)

    async def _rebuild(self, row: Session, path: Path) -> None:
        draft = path.with_suffix(".new")
        size = await asyncio.to_thread(_begin, draft, _header(row, path.parent.parent))
        seq, before = 0, None
        while True:
            entries = await self._store.read(transcript.since, row.id, seq + 1, PAGE)
            if entries:
                size += await asyncio.to_thread(_append, draft, _lines(entries, before))
                seq, before = entries[-1].seq, entries[-1].id
            if len(entries) < PAGE:
                break
        await asyncio.to_thread(draft.replace, path)
        self._files[row.id] = (size, seq)


# -- rows ------------------------------------------------------------------------------------


def _companies(rx: Rx) -> list[str]:
    return [row[0] for row in rx.all("select distinct company from session")]


def _changed(rx: Rx, company: str, after_ms: int, after_id: str) -> list[Session]:
    return sessions.changed(rx, company, after_ms, after_id, PAGE)


def _live(rx: Rx, company: str, agent: str) -> list[Session]:
    return sessions.listed(rx, company, limit=MAX_INDEXED, agent=agent)


def _id_of(rx: Rx, session: str, seq: int) -> str | None:
    rows = transcript.since(rx, session, seq, 1)
    return rows[0].id if rows and rows[0].seq == seq else None


# -- the documented forms --------------------------------------------------------------------


def _header(row: Session, agent_folder: Path) -> str:
    line = {
        "type": "session", "version": VERSION, "id": row.id, "timestamp": iso_ms(row.created_ms),
        "cwd": str(agent_folder / "workspace"),
    }  # fmt: skip
    return json.dumps(line, ensure_ascii=False) + "\n"


def _lines(entries: list[Entry], before: str | None) -> str:
    out = []
    for entry in entries:
        line = {
            "type": entry.kind, "id": entry.id, "parentId": before,
            "timestamp": iso_ms(entry.created_ms), **entry.body,
        }  # fmt: skip
        out.append(json.dumps(line, ensure_ascii=False) + "\n")
        before = entry.id
    return "".join(out)


def index_entry(row: Session) -> dict[str, Any]:
    """An entry of `sessions.json`; what has no value is left out. Its `totalTokens` are those of
    the context now; what would fit (`contextTokens`) is the model's affair."""
    entry = {
        "sessionId": row.id,
        "updatedAt": row.updated_ms,
        "sessionFile": f"{row.id}.jsonl",
        "chatType": row.kind if row.kind in ("direct", "group") else "direct",
        "label": row.label,
        "model": row.model,
        "thinkingLevel": row.thinking,
        "queueMode": row.queue_mode,
        "inputTokens": row.input_tokens,
        "outputTokens": row.output_tokens,
        "totalTokens": row.context_tokens,
        "compactionCount": row.compactions,
        "sessionStartedAt": row.created_ms,
        "lastInteractionAt": row.interaction_ms or None,
    }
    return {name: value for name, value in entry.items() if value is not None}


# -- files, in a thread ----------------------------------------------------------------------


def _write_index(folder: Path, rows: list[Session]) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = json.dumps({row.key: index_entry(row) for row in rows}, ensure_ascii=False, indent=2)
    draft = folder / f"{INDEX}.new"
    _begin(draft, text + "\n")
    draft.replace(folder / INDEX)


def _begin(path: Path, text: str) -> int:
    """How many bytes were written."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    return _put(fd, text)


def _append(path: Path, text: str) -> int:
    """How many bytes were written. What the file should measure then is known without a look at
    it: a look would take for ours what somebody else does to it meanwhile."""
    return _put(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW), text)


def _put(fd: int, text: str) -> int:
    data = text.encode("utf-8", "replace")
    with os.fdopen(fd, "wb") as file:
        return file.write(data)


def _size(path: Path) -> int:
    """-1: there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _is_whole(path: Path, entry: str, lines: int) -> bool:
    """Whether there are so many lines, and the last one is whole and that entry's."""
    found, tail = 0, b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                found += chunk.count(b"\n")
                tail = (tail + chunk)[-TAIL_BYTES:]
    except FileNotFoundError:
        return False
    if found != lines or not tail.endswith(b"\n"):
        return False
    try:
        line = json.loads(tail.rstrip(b"\n").rpartition(b"\n")[2])
    except ValueError:
        return False
    return isinstance(line, dict) and line.get("id") == entry


def _away(path: Path, ended_ms: int) -> Path:
    """The name of a transcript whose session is over."""
    return path.with_name(f"{path.name}.deleted.{iso_ms(ended_ms).replace(':', '-')}")


def _is_missing(path: Path, put: Path) -> bool:
    return not path.exists() and not put.exists()


def _put_away(path: Path, put: Path) -> None:
    """Nothing is erased."""
    try:
        path.replace(put)
    except FileNotFoundError:
        return

"""One company's main space under guard."""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import structlog

from homarus.base.action import Action
from homarus.base.clock import Clock
from homarus.base.errors import HomarusError
from homarus.base.failpoint import failpoint
from homarus.flows import guarding
from homarus.kernel.documents import AGENTS_FILE, GOVERNED, class_of
from homarus.mainspace import exposure, space, state, views
from homarus.mainspace.history import History
from homarus.mainspace.rules import ABSENT, Do, Written, decide
from homarus.mainspace.space import Seen, Signature
from homarus.records.documents import Entry
from homarus.store.port import Store

log = structlog.get_logger("mainspace")

QUIET_S: Final = 0.5
"""A foreign edit is taken when its file has not changed for so long: editors write in steps."""
MAX_QUIET_S: Final = 10.0
"""An edit that never rests is taken then."""
VIEWS_S: Final = 0.5
"""Least time between two renderings of the views."""


class Watch:
    """What is known of the files. `round` is the only entry; never two at once."""

    def __init__(
        self, store: Store, clock: Clock, home: Path, company: tuple[str, str, int],
        git: str | None,
    ) -> None:  # fmt: skip
        self.company, self.slug, self._no = company
        self.root = home / "company" / self.slug
        self.quiet_s = QUIET_S
        self._store = store
        self._clock = clock
        self._home = home
        self._aside = home / "shadow" / self.slug
        self._state_path = state.path_of(home / "run", self.slug)
        self._state = state.load(self._state_path)
        self._history = None if git is None else History(store, git, self.root)
        self._entries: dict[str, Entry] = {}
        self._known: dict[str, Signature] = {}
        self._suspects: dict[str, tuple[Signature, float, float]] = {}
        self._seq: int | None = None
        self._views = views.Views()
        self._rendered_at = float("-inf")
        self._views_due = True
        self._changed = True

    @property
    def new(self) -> bool:
        """Not looked at yet."""
        return self._seq is None

    def again(self) -> None:
        """The last round failed: the next one does all of it."""
        self._changed = True

    async def round(self, *, full: bool, heard: bool, poll: bool = True) -> None:
        """Look, keep, restore, write, commit. `heard`: something was committed in the company;
        `poll`: it is time to compare signatures."""
        paths: set[str] = set(self._suspects)
        if heard or full or self._seq is None:
            paths |= await self._hear()
        if self._changed or full:
            row = await self._store.read(guarding.space, self.company, self.slug, self._no)
            self._entries = {entry.path: entry for entry in row.entries}
        fresh = self._changed
        self._changed = False
        before = _frozen(self._state)
        if not self.root.exists():
            await self._begin_anew()
            full = True
        if poll or fresh:
            paths |= await asyncio.to_thread(self._touched)
        rendered = await self._render()
        for path in sorted(paths | set(self._entries) if full or fresh else paths):
            await self._look_at(path)
        if rendered or fresh or full or paths & {AGENTS_FILE, *self._views.files}:
            await self._write_views()
        if self._history is not None and (fresh or full):
            await self._commit()
        if full and not self._suspects:
            self._state.clean_ms = self._clock.now_ms()
        if _frozen(self._state) != before:
            await asyncio.to_thread(state.save, self._state_path, self._state)

    async def _begin_anew(self) -> None:
        """The whole folder is gone: no edit of a document, and nothing to approve."""
        if self._state.written:
            log.warning("main_space_rebuilt", slug=self.slug, documents=len(self._state.written))
        self._state.written.clear()
        self._state.committed.clear()
        self._known.clear()
        if self._history is not None:
            self._history.forget()
        await asyncio.to_thread(space.make_root, self.root)

    async def _hear(self) -> set[str]:
        """What the feed says since the last round; paths that were read."""
        if self._seq is None:
            self._seq = await self._store.read(guarding.head_seq, self._no)
            return set()
        self._seq, kinds = await self._store.read(guarding.kinds_since, self._no, self._seq)
        much = guarding.EVERYTHING in kinds
        self._changed |= much or "document_changed" in kinds
        self._views_due |= much or bool(views.KINDS & kinds.keys())
        return {str(path) for path in kinds.get("document_read", [])}

    def _touched(self) -> set[str]:
        """Paths whose signature is not the one after our last look; and new governed files."""
        found = {
            path for path in (*self._entries, *self._views.files)
            if self._known.get(path) != space.signature(self.root, path)
        }  # fmt: skip
        return found | set(space.strangers(self.root, frozenset(self._entries)))

    # -- one path --------------------------------------------------------------------------

    async def _look_at(self, path: str) -> None:
        entry = self._entries.get(path)
        seen = await asyncio.to_thread(space.look, self.root, path)
        if entry is None and (seen.sha256 == ABSENT or class_of(path) != GOVERNED):
            self._suspects.pop(path, None)
            return
        wanted = Written(0, ABSENT)
        if entry is not None:
            wanted = Written(entry.n, entry.sha256 if entry.live else ABSENT)
        written = self._state.written.get(path)
        newer = frozenset[str]()
        if seen.sha256 != wanted.sha256 and entry is not None:
            n = 0 if written is None else written.n
            newer = await self._store.read(guarding.newer, self.company, path, n)
        match decide(wanted, written, seen.sha256, newer):
            case Do.KEEP:
                self._settled(path, wanted, seen.signature)
            case Do.WRITE:
                await self._restore(path, wanted, seen)
            case Do.FOREIGN:
                if self._rests(path, seen.signature):
                    await self._foreign(path, entry, wanted, seen)

    def _rests(self, path: str, signature: Signature) -> bool:
        """Whether nobody is writing the file just now."""
        now = time.monotonic()
        last = self._suspects.get(path)
        if last is None:
            self._suspects[path] = (signature, now, now)
            return False
        seen, since, first = last
        if seen != signature and now - first < MAX_QUIET_S:
            self._suspects[path] = (signature, now, first)
            return False
        return now - since >= self.quiet_s or now - first >= MAX_QUIET_S

    async def _foreign(
        self, path: str, entry: Entry | None, wanted: Written, seen: Seen
    ) -> None:  # fmt: skip
        if entry is not None and not entry.governed:
            if seen.text is not None or seen.sha256 == ABSENT:
                await self.write(guarding.adopt, path, seen.text)
                self._changed = True
                self._suspects.pop(path, None)
                return
        else:
            await self._keep(path, seen)
        failpoint("mainspace.found")
        if seen.text is None and seen.sha256 != ABSENT:
            await asyncio.to_thread(space.keep_copy, self.root, path, self._aside)
            seen = await asyncio.to_thread(space.look, self.root, path)
        await self._restore(path, wanted, seen)

    async def _keep(self, path: str, seen: Seen) -> None:
        exposed = await asyncio.to_thread(exposure.of, self._home, self.root)
        exposed = exposed or await self._store.read(
            guarding.ran_unsandboxed, self.company, self._state.clean_ms
        )
        deleted = seen.sha256 == ABSENT
        note = f"was replaced by {seen.note}; see shadow/{self.slug}/" if seen.note else ""
        found = guarding.Found(path, seen.text, deleted, note, exposed)
        try:
            change = await self.write(guarding.keep, found)
        except HomarusError as error:
            if error.code != "change.found_many":
                raise
            log.error("found_text_set_aside", slug=self.slug, path=path, why=error.message)
            await asyncio.to_thread(space.keep_copy, self.root, path, self._aside)
            return
        log.warning(
            "foreign_edit_kept", slug=self.slug, path=path, change=change.number, exposed=exposed,
            remedy=f"homarus change approve {change.number}",
        )  # fmt: skip

    async def _restore(self, path: str, wanted: Written, seen: Seen) -> None:
        """Write the approved version, unless somebody has touched the file since we looked."""
        text = None
        if wanted.sha256 != ABSENT:
            text = await self._store.read(guarding.text_of, self.company, path)
        signature = await asyncio.to_thread(self._put, path, text, seen.signature)
        if signature is not None:
            self._settled(path, wanted, signature)

    def _put(self, path: str, text: str | None, expected: Signature) -> Signature | None:
        now = space.signature(self.root, path)
        if now != expected and now:
            return None
        if text is None:
            return space.remove(self.root, path, self._aside)
        return space.put(self.root, path, self._whole(path, text), self._aside)

    def _settled(self, path: str, wanted: Written, signature: Signature) -> None:
        self._suspects.pop(path, None)
        self._known[path] = signature
        if path in self._entries:
            self._state.written[path] = wanted

    # -- views and history -----------------------------------------------------------------

    def _whole(self, path: str, text: str) -> str:
        if path == AGENTS_FILE and self._views.agents:
            return space.with_generated(text, self._views.agents)
        return text

    async def _render(self) -> bool:
        now = time.monotonic()
        if not self._views_due or now - self._rendered_at < VIEWS_S:
            return False
        self._views = await self._store.read(views.render, self.company)
        self._rendered_at = now
        self._views_due = False
        return True

    async def _write_views(self) -> None:
        for name, text in self._views.files.items():
            await asyncio.to_thread(self._write_view, name, text)
        entry = self._entries.get(AGENTS_FILE)
        if entry is not None and entry.live and self._views.agents:
            text_now = await self._store.read(guarding.text_of, self.company, AGENTS_FILE)
            if text_now is not None and AGENTS_FILE not in self._suspects:
                await asyncio.to_thread(self._write_agents, text_now)

    def _write_view(self, name: str, text: str) -> None:
        before = space.signature(self.root, name)
        same = self._same(name, text)
        self._known[name] = before if same else space.put(self.root, name, text, self._aside)

    def _same(self, name: str, text: str) -> bool:
        try:
            return (self.root / name).read_text("utf-8") == text
        except (OSError, UnicodeDecodeError):
            return False

    def _write_agents(self, text: str) -> None:
        """Only where the governed part is the approved one already."""
        seen = space.look(self.root, AGENTS_FILE)
        if seen.text == text and not self._same(AGENTS_FILE, self._whole(AGENTS_FILE, text)):
            whole = self._whole(AGENTS_FILE, text)
            self._known[AGENTS_FILE] = space.put(self.root, AGENTS_FILE, whole, self._aside)

    async def _commit(self) -> None:
        if self._history is None:
            return
        try:
            await self._history.catch_up(self.company, self._state)
        except HomarusError as error:
            self._history.forget()
            log.error("no_history", slug=self.slug, code=error.code, why=error.message)

    async def write(self, fn: Any, *args: Any) -> Any:
        action = Action(
            self.company, "mainspace.sync", f"company:{self.company}", system="mainspace"
        )
        return await self._store.write(action, fn, *args)


def _frozen(kept: state.State) -> tuple[Any, ...]:
    return dict(kept.written), dict(kept.committed), kept.clean_ms

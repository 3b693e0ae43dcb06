"""The notes of a vault: made, written anew, archived, found again wherever people moved them.

What is to be told to an operator is kept by entity until its push has ended (`told`).
"""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Final, NamedTuple

import msgspec

from homarus.base import local_time
from homarus.outbox.port import Change
from homarus.outbox.vault import names, note
from homarus.outbox.vault.index import Index
from homarus.outbox.vault.manifest import Kept, Manifest, sha256_of
from homarus.outbox.vault.place import ARCHIVE, FOLDERS, VaultConfig
from homarus.outbox.vault.shape import Shape, shape
from homarus.outbox.vault.swap import Disk, TooBigError, strays

ALONE_MS: Final = 10_000
"""Obsidian saves about 2 s after typing: a file that a person changed is left alone for so long."""
MAX_SAME_NAME: Final = 50


class YoungError(Exception):
    """A person is at it: `left_ms` until we may."""

    def __init__(self, path: str, left_ms: int) -> None:
        super().__init__(path)
        self.left_ms = left_ms


class _Told(NamedTuple):
    """`id` None: it goes with whatever is pushed next."""

    id: str | None
    text: str
    path: str | None


class Notes:
    """`changes` grows with every note that was written; `walked_ms`: when the vault was walked."""

    def __init__(
        self, config: VaultConfig, disk: Disk, memory: Manifest, now_ms: Callable[[], int]
    ) -> None:
        self._config = config
        self._vault = config.vault
        self._zone = local_time.zone(config.timezone)
        self._disk = disk
        self._memory = memory
        self._index = Index(config.vault)
        self._now_ms = now_ms
        self._told: list[_Told] = []
        self._recovered = False
        self.walked_ms: int | None = None
        self.changes = 0

    def to_tell(self, id_: str) -> tuple[str, ...]:
        """What an operator is to hear with this entity."""
        return tuple(told.text for told in self._told if told.id in (None, id_))

    def told(self, id_: str) -> tuple[str, ...]:
        """The same; he has heard it then."""
        found = self.to_tell(id_)
        for told in self._told:
            if told.path is not None and told.id in (None, id_):
                self._memory.tell(told.path)
        self._told = [told for told in self._told if told.id not in (None, id_)]
        return found

    def shape(self, change: Change) -> Shape:
        return shape(change, self._zone, self._link)

    def new_path(self, change: Change, made: Shape) -> str:
        stem = names.file_stem(change.number, made.title)
        return f"{self._folder(change.entity_type)}/{stem}{names.SUFFIX}"

    # -- writing ---------------------------------------------------------------------------

    def write(self, change: Change) -> tuple[str, bool]:
        """Its path, and whether it is newly there. Raises YoungError, BusyError, TooBigError."""
        made = self.shape(change)
        link = self._link(change.number)
        before = self._memory.get(change.entity_id)
        path, found = self.locate(change)
        if path is None or found is None:
            path, content = self._create(change, made)
        else:
            path = self._out_of_archive(change, path)
            written = None if before is None else before.sha256
            content = self._rewrite(change, path, found, made, written)
        self._remember(_kept(change, path, made, content))
        now = self.shape(change)
        if now.ours.digest != made.ours.digest:  # a note that it links to was called otherwise
            content = self._rewrite(change, path, content, now, sha256_of(content))
            self._remember(_kept(change, path, now, content))
        self._relink(change.number, link)
        return path, before is None or before.archived

    def _rewrite(
        self, change: Change, path: str, found: bytes, made: Shape, written: str | None
    ) -> bytes:
        return self.update(change.entity_id, change.number, path, found, made.ours, written)

    def _create(self, change: Change, made: Shape) -> tuple[str, bytes]:
        content = note.bytes_of(note.fresh(made.ours))
        path = self._new_file(self.new_path(change, made), content)
        kept = self._memory.get(change.entity_id)
        if change.receipt is not None or (kept is not None and not kept.archived):
            where = kept.path if kept is not None else change.receipt
            self._tell(
                change.entity_id,
                f"{change.number}: its note {where} was deleted; it is there again",
            )
        self._index.place(change.entity_id, path)
        return path, content

    def _new_file(self, wanted: str, content: bytes) -> str:
        for path in _alternatives(wanted):
            if self._disk.create(self._vault / path, content):
                return path
        raise TooBigError(f"{MAX_SAME_NAME} files have the name of {wanted}")

    def update(
        self,
        id_: str,
        number: str,
        path: str,
        found: bytes,
        ours: note.Ours,
        written: str | None,
    ) -> bytes:
        """Ours anew in a note that is there; its content now. `written`: the hash of the file as we
        wrote it last. Raises YoungError."""
        digest = ours.digest

        def merge(content: bytes) -> bytes:
            text = note.text_of(content)
            parsed = note.parse(text)
            standing = note.standing(parsed, known=sha256_of(content) == written)
            if standing.is_as(digest):
                return content
            if standing.touched and standing.digest != digest:
                self._keep_edit(id_, number, path, text)
            return note.bytes_of(note.rewritten(parsed, ours))

        def spare(first: bytes, last: bytes) -> None:
            if not note.covers(note.text_of(last), note.parse(note.text_of(first))):
                self._keep_edit(id_, number, path, note.text_of(first))

        if sha256_of(found) != written:
            standing = note.standing(note.parse(note.text_of(found)))
            if standing.is_as(digest):
                return found
            self._leave_alone(path)
        after = self._disk.update(self._vault / path, found, merge, spare)
        if after is None:  # moved or deleted while we wrote: the next try finds out
            raise YoungError(path, 0)
        return after

    def _leave_alone(self, path: str) -> None:
        """A person changed the file. Raises YoungError where he may go on."""
        age_ms = self._now_ms() - (self._vault / path).stat().st_mtime_ns // 1_000_000
        if abs(age_ms) < ALONE_MS:
            raise YoungError(path, ALONE_MS - max(age_ms, 0))

    def _keep_edit(self, id_: str | None, number: str, path: str, text: str) -> None:
        """A conflict copy beside, unless there is one with this very text."""
        content = note.bytes_of(note.conflict_copy(text))
        place = PurePosixPath(path)
        copy = next(
            (
                other.name
                for other in (self._vault / place.parent).iterdir()
                if names.is_ours(other.name) and self._disk.read(other) == content
            ),
            None,
        )
        for nth in range(MAX_SAME_NAME):
            if copy is not None:
                break
            name = f"{names.conflict_stem(place.stem, self._now_ms(), nth)}{names.SUFFIX}"
            if self._disk.create(self._vault / place.parent / name, content):
                copy = name
        if copy is None:
            raise TooBigError(f"{place.parent} has too many conflict copies")
        self._tell(
            id_,
            f"{number}: {path} was edited where the company's records write; they stand again, and "
            f"the edit is in {copy}",
        )

    def _relink(self, number: str, before: str | None) -> None:
        """Notes that name a number say it as its note is called now; `before`: as they said it."""
        now = self._link(number)
        if now == before:
            return
        words = {number: now or number, before or number: now or number}
        for kept in self._memory.naming(number):
            path = self._vault / kept.path
            found = self._disk.read(path)
            if found is None or sha256_of(found) != kept.sha256:
                continue  # its own next change sees to it

            def merge(content: bytes) -> bytes:
                return note.bytes_of(note.relinked(note.text_of(content), words))

            after = self._disk.update(path, found, merge)
            still = self._memory.get(kept.id)
            if after is not None and still == kept:
                self._remember(msgspec.structs.replace(kept, sha256=sha256_of(after)))

    def _link(self, number: str) -> str | None:
        kept = self._memory.numbered(number)
        if kept is None or kept.archived:
            return None
        return names.link(PurePosixPath(kept.path).name.removesuffix(names.SUFFIX), kept.title)

    # -- archiving -------------------------------------------------------------------------

    def archive(self, change: Change) -> str:
        """Its path there. Raises YoungError."""
        link = self._link(change.number)
        path, _ = self.locate(change)
        kept = self._memory.get(change.entity_id)
        if path is None:
            self._memory.forget(change.entity_id)
            self.changes += 1
            self._relink(change.number, link)
            return change.receipt or ""
        if not self.archived(path):
            path = self._moved(change.entity_id, path, f"{self._config.folder}/{ARCHIVE}")
        title = kept.title if kept is not None else change.number
        sha256 = kept.sha256 if kept is not None else ""
        self._remember(
            Kept(
                change.entity_id, change.entity_type, change.number, title, path, sha256,
                archived=True,
            )
        )  # fmt: skip
        self._relink(change.number, link)
        return path

    def _out_of_archive(self, change: Change, path: str) -> str:
        if not self.archived(path):
            return path
        return self._moved(change.entity_id, path, self._folder(change.entity_type))

    def _moved(self, id_: str, path: str, folder: str) -> str:
        for new in _alternatives(f"{folder}/{PurePosixPath(path).name}"):
            if self._disk.move(self._vault / path, self._vault / new):
                self._index.place(id_, new, path)
                return new
            if not (self._vault / path).exists():
                raise YoungError(path, 0)
        raise TooBigError(f"{MAX_SAME_NAME} files in {folder} have the name of {path}")

    # -- finding ---------------------------------------------------------------------------

    def locate(self, change: Change) -> tuple[str | None, bytes | None]:
        """The note of an entity and its content, wherever a person moved it."""
        id_ = change.entity_id
        kept = self._memory.get(id_)
        stripped: tuple[str | None, bytes | None] = (None, None)
        if kept is not None:
            found = self._disk.read(self._vault / kept.path)
            if found is not None:
                if sha256_of(found) == kept.sha256 or _id_of(found) == id_:
                    return kept.path, found
                if _id_of(found) is None:
                    stripped = kept.path, found  # its `hm_id` was taken out by hand
        at = self._at_its_paths(change)
        if at is None and (kept is not None or change.receipt is not None):
            self.walk()
            at = self._at_its_paths(change)
        return at or stripped

    def _at_its_paths(self, change: Change) -> tuple[str, bytes] | None:
        """Where the last walk, or we since then, saw the note, if it is there still."""
        id_ = change.entity_id
        paths = sorted(self._index.paths(id_), key=lambda path: (self.archived(path), path))
        for nth, path in enumerate(paths):
            if nth:
                text = f"{change.number}: {path} is a second copy, and is left alone"
                self._tell(id_, text, path)
        for path in paths:
            found = self._disk.read(self._vault / path)
            if found is not None and _id_of(found) == id_:
                return path, found
        return None

    def walk(self) -> None:
        self._index.walk()
        self.walked_ms = self._now_ms()
        for path in self._index.others:
            self._tell(None, f"{path} is a conflict copy of a sync service: look into it", path)

    def ready(self, *, writing: bool = False) -> None:
        """Walk the vault once, and once before `writing` see to what a crash left."""
        if self.walked_ms is None:
            self.walk()
        if writing and not self._recovered:
            self._recovered = True
            self.recover()

    def recover(self) -> None:
        """Texts that a crash, or a person who saved all the time, left in a swap's hands."""
        kept_paths = [kept.path for kept in self._memory.notes()]
        folders = {PurePosixPath(path).parent for path in (*kept_paths, *self._index.all_paths())}
        for folder in sorted({*folders, PurePosixPath(self._config.folder)}):
            if not self._disk.holds(self._vault / folder):
                continue
            for stray, content in strays(self._vault / folder):
                text = note.text_of(content)
                parsed = note.parse(text)
                id_ = str(note.value_of(parsed, note.ID) or "")
                path = next(iter(self._index.paths(id_)), None)
                now = None if path is None else self._disk.read(self._vault / path)
                covered = now is not None and note.covers(note.text_of(now), parsed)
                if not covered or note.standing(parsed).touched:
                    number = str(note.value_of(parsed, note.NUMBER) or "?")
                    self._keep_edit(None, number, path or f"{folder}/recovered.md", text)
                stray.unlink(missing_ok=True)

    # -- small -----------------------------------------------------------------------------

    def _folder(self, entity_type: str) -> str:
        return f"{self._config.folder}/{FOLDERS[entity_type]}"

    def archived(self, path: str) -> bool:
        return path.startswith(f"{self._config.folder}/{ARCHIVE}/")

    def _tell(self, id_: str | None, text: str, path: str | None = None) -> None:
        """`path`: of a file that is told of once, and never again."""
        told = _Told(id_, text, path)
        if path is None or (path not in self._memory.told and told not in self._told):
            self._told.append(told)

    def _remember(self, kept: Kept) -> None:
        if self._memory.get(kept.id) != kept:
            self._memory.keep(kept)
            self.changes += 1


def _kept(change: Change, path: str, made: Shape, content: bytes) -> Kept:
    return Kept(
        change.entity_id, change.entity_type, change.number, made.title, path, sha256_of(content),
        made.facts, made.refs,
    )  # fmt: skip


def _alternatives(path: str) -> Iterator[str]:
    """The path, and others beside it for where it is taken."""
    stem = path.removesuffix(names.SUFFIX)
    for nth in range(1, MAX_SAME_NAME + 1):
        yield f"{stem}{f' {nth}' if nth > 1 else ''}{names.SUFFIX}"


def _id_of(content: bytes) -> str | None:
    found = note.value_of(note.parse(note.text_of(content)), note.ID)
    return found if isinstance(found, str) else None

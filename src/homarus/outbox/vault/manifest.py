"""What the adapter remembers of a vault: which note is where, and what was written last.

A cache beside the state directory's other files, a line of JSON a change. Nothing hangs on it: a
note says itself whose it is and whether somebody changed it (`note.py`), so a lost, torn or stale
file costs a scan and no more.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from homarus.base.errors import Unavailable

SPARE_LINES: Final = 1_000
"""The file is written anew when it has so many lines more than twice its notes."""


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Kept(msgspec.Struct, frozen=True):
    """A note. `path` below the vault, with `/`; `sha256` of the whole file as last written or read
    unchanged; `facts`: of what `Today.md` tells; `refs`: numbers that it names."""

    id: str
    kind: str
    number: str
    title: str
    path: str
    sha256: str
    facts: dict[str, str] = {}
    refs: tuple[str, ...] = ()
    archived: bool = False


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """`note`, or the `gone` id of one, or a path that was `told` of, or a generated file's hash."""

    note: Kept | None = None
    gone: str | None = None
    told: str | None = None
    file: tuple[str, str] | None = None


class Manifest:
    """`told`: paths that the operator has heard of; `files`: hashes of what is only generated.

    Raises `mirror.memory`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._notes: dict[str, Kept] = {}
        self._numbers: dict[str, str] = {}
        self._naming: dict[str, set[str]] = {}
        self.told: set[str] = set()
        self.files: dict[str, str] = {}
        self._lines = 0
        try:
            self._load()
        except OSError as error:
            raise Unavailable(
                "mirror.memory",
                f"what is remembered of the vault cannot be read: {error.strerror}: {path}",
                "Let the daemon's user read and write it, make room, or delete it: it is a cache.",
            ) from error

    def get(self, id_: str) -> Kept | None:
        return self._notes.get(id_)

    def numbered(self, number: str) -> Kept | None:
        return self._notes.get(self._numbers.get(number, ""))

    def naming(self, number: str) -> list[Kept]:
        """Notes that name it, as links where it has a note."""
        return [self._notes[id_] for id_ in sorted(self._naming.get(number, ()))]

    def notes(self) -> Iterator[Kept]:
        return iter(self._notes.values())

    def keep(self, note: Kept) -> None:
        if self._notes.get(note.id) != note:
            self._apply(_Line(note=note))
            self._append(_Line(note=note))

    def forget(self, id_: str) -> None:
        if id_ in self._notes:
            self._apply(_Line(gone=id_))
            self._append(_Line(gone=id_))

    def tell(self, path: str) -> None:
        """The operator has heard of it."""
        if path not in self.told:
            self.told.add(path)
            self._append(_Line(told=path))

    def wrote(self, name: str, sha256: str) -> None:
        if self.files.get(name) != sha256:
            self.files[name] = sha256
            self._append(_Line(file=(name, sha256)))

    def _apply(self, line: _Line) -> None:
        if line.note is not None:
            self._drop(line.note.id)
            self._notes[line.note.id] = line.note
            self._numbers[line.note.number] = line.note.id
            for number in line.note.refs:
                self._naming.setdefault(number, set()).add(line.note.id)
        if line.gone is not None:
            self._drop(line.gone)
        if line.told is not None:
            self.told.add(line.told)
        if line.file is not None:
            self.files[line.file[0]] = line.file[1]

    def _drop(self, id_: str) -> None:
        note = self._notes.pop(id_, None)
        if note is not None:
            self._numbers.pop(note.number, None)
            for number in note.refs:
                self._naming[number].discard(id_)

    def _load(self) -> None:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        decode = msgspec.json.Decoder(_Line).decode
        for raw in data.split(b"\n"):
            self._lines += 1
            try:
                self._apply(decode(raw))
            except msgspec.DecodeError:
                continue  # torn by a crash, or empty: see the module
        if data and not data.endswith(b"\n"):
            self._write_anew()

    def _append(self, line: _Line) -> None:
        if self._lines > 2 * len(self._notes) + SPARE_LINES:
            self._write_anew()
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")
        self._lines += 1

    def _write_anew(self) -> None:
        lines = [_Line(note=note) for note in self._notes.values()]
        lines += [_Line(told=path) for path in sorted(self.told)]
        lines += [_Line(file=item) for item in self.files.items()]
        temp = self._path.with_suffix(".new")
        temp.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        temp.replace(self._path)
        self._lines = len(lines)

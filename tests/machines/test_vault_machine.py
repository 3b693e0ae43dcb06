"""Our writes and a person's in one vault, in any order and at the worst moment of a write.

Every save of the person holds a word that occurs nowhere else. Whatever happens, each word that he
did not take out himself is in some note that he sees; and once he pauses, the notes are ours again.
"""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from homarus.outbox.port import Done, Later
from homarus.outbox.vault import note
from homarus.outbox.vault.notes import ALONE_MS
from homarus.testing.vaults import VaultBench
from tests.support.profile import chosen_profile

ENTITIES = ((("task", 1)), ("task", 2), ("wiki_doc", 1))
PICK = st.integers(0, len(ENTITIES) - 1)
WHERE = st.sampled_from(["below", "above", "region", "key", "value", "whole", "end", "begin"])
POINTS = st.sampled_from(["create", "swap", "swapped"])
STEPS = 25


class VaultMachine(RuleBasedStateMachine):
    """`words`: those that must be seen; `buffer`: what the person's editor holds, and of which
    file; `later`: what he does at the points of the next writes, one thing a time."""

    @initialize(exchange=st.sampled_from([None, False]))
    def begin(self, exchange: bool | None) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.bench = VaultBench(Path(self.folder.name), self._at, exchange)
        self.words: set[bytes] = set()
        self.count = 0
        self.buffer: tuple[Path, bytes] | None = None
        self.later: dict[str, list[Callable[[], None]]] = {}
        self.wanted: dict[int, dict[str, str] | None] = {}

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.bench.mirror.aclose())
            self.runner.close()
            self.folder.cleanup()

    def _at(self, point: str, path: Path) -> None:
        acts = self.later.get(point)
        if acts:
            acts.pop(0)()

    # -- we --------------------------------------------------------------------------------

    def _push(self, n: int) -> Done | Later:
        kind, no = ENTITIES[n]
        fields = self.wanted.get(n)
        work = (
            self.bench.delete(kind, no) if fields is None else self.bench.push(kind, no, **fields)
        )
        outcome = self.runner.run(work)
        assert isinstance(outcome, Done | Later), outcome
        return outcome

    @rule(
        n=PICK, title=st.sampled_from(["Door", "Gate"]), text=st.sampled_from(["a", "b\nc", "%%"])
    )
    def write(self, n: int, title: str, text: str) -> None:
        self.wanted[n] = {"title": title, "description": text, "state": title}
        self._push(n)

    @rule(n=PICK)
    def delete(self, n: int) -> None:
        self.wanted[n] = None
        self._push(n)

    @rule(lose=st.booleans(), seconds=st.sampled_from([0, 3, 11]))
    def restart(self, lose: bool, seconds: int) -> None:
        if lose:
            self.bench.manifest.unlink(missing_ok=True)
        self.bench.clock.advance(seconds * 1000)
        self.bench.open()

    # -- the person ------------------------------------------------------------------------

    def _notes(self) -> list[Path]:
        return sorted(path for path in self.bench.path.rglob("*.md") if path.name[0] != ".")

    def _pick(self, n: int) -> Path | None:
        notes = self._notes()
        return notes[n % len(notes)] if notes else None

    def _word(self) -> bytes:
        self.count += 1
        return b"w%03d\xff" % self.count

    def _save(self, path: Path, content: bytes, replace: bool = False) -> None:
        """What he saves over is gone by his own hand; what is in his text is to be seen."""
        before = path.read_bytes() if path.exists() else b""
        self.words -= {word for word in self.words if word in before and word not in content}
        self.words |= {word for word in self._all() if word in content}
        path.parent.mkdir(parents=True, exist_ok=True)
        self.bench.save(path, content, age_s=0, replace=replace)

    def _all(self) -> list[bytes]:
        return [b"w%03d\xff" % n for n in range(1, self.count + 1)]

    def _edited(self, content: bytes, where: str) -> bytes:
        word = self._word()
        marks = {
            "above": (b"%% homarus:begin", word + b"\n%% homarus:begin"),
            "region": (b"# ", b"# " + word),
            "key": (b"hm_kind", b"mine: 1 # " + word + b"\nhm_kind"),
            "value": (b'hm_state: "', b'hm_state: "' + word),
            "end": (b"%% homarus:end %%", word),
            "begin": (b"homarus:begin %%", b"homarus:begin " + word),
        }
        if where == "whole":
            return word
        if where == "below" or marks[where][0] not in content:
            return content + word
        return content.replace(*marks[where], 1)

    @rule(n=st.integers(0, 9))
    def open_in_editor(self, n: int) -> None:
        path = self._pick(n)
        if path is not None:
            self.buffer = path, path.read_bytes()

    @rule(where=WHERE, replace=st.booleans())
    def save_from_editor(self, where: str, replace: bool) -> None:
        """A buffer may be older than the file by now."""
        if self.buffer is not None:
            path, content = self.buffer
            self.buffer = path, self._edited(content, where)
            self._save(path, self.buffer[1], replace)

    @rule(n=st.integers(0, 9), where=WHERE)
    def save(self, n: int, where: str) -> None:
        path = self._pick(n)
        if path is not None:
            self._save(path, self._edited(path.read_bytes(), where))

    @rule(n=st.integers(0, 9), name=st.sampled_from(["Mine.md", "Sub/Door.md"]))
    def rename(self, n: int, name: str) -> None:
        path, new = self._pick(n), self.bench.path / name
        if path is not None and not new.exists():
            new.parent.mkdir(exist_ok=True)
            path.rename(new)

    @rule(n=st.integers(0, 9))
    def remove(self, n: int) -> None:
        path = self._pick(n)
        if path is not None:
            content = path.read_bytes()
            path.unlink()
            self.words -= {word for word in self.words if word in content}

    @rule(point=POINTS, n=st.integers(0, 9), where=WHERE, replace=st.booleans())
    def save_during_the_next_write(self, point: str, n: int, where: str, replace: bool) -> None:
        def act() -> None:
            path = self._pick(n)
            if path is not None:
                self._save(path, self._edited(path.read_bytes(), where), replace)

        self.later.setdefault(point, []).append(act)

    @rule(point=POINTS, where=WHERE)
    def save_the_buffer_during_the_next_write(self, point: str, where: str) -> None:
        acts = self.later.setdefault(point, [])
        acts.append(lambda: self.save_from_editor(where, False))

    @rule(point=POINTS, n=st.integers(0, 9))
    def remove_during_the_next_write(self, point: str, n: int) -> None:
        self.later.setdefault(point, []).append(lambda: self.remove(n))

    # -- what holds ------------------------------------------------------------------------

    @invariant()
    def every_word_is_seen(self) -> None:
        if hasattr(self, "bench"):
            seen = b"".join(path.read_bytes() for path in self._notes())
            lost = [word for word in self.words if word not in seen]
            assert not lost, lost
            hidden = [name for name in self.bench.files() if "/.homarus" in name]
            assert not hidden, hidden

    @rule()
    def pause(self) -> None:
        """He stops for a while: all that is wanted is there, once, as it is wanted."""
        self.later.clear()
        self.bench.clock.advance(ALONE_MS)
        for n, fields in self.wanted.items():
            outcome = self._push(n)
            assert isinstance(outcome, Done), outcome
            if fields is not None:
                text = (self.bench.path / outcome.receipt).read_bytes().decode("utf-8", "replace")
                found = note.parse(text)
                assert not note.standing(found).touched
                assert note.value_of(found, "hm_state") == fields["state"]
                assert "Archive" not in outcome.receipt


VaultMachine.TestCase.settings = settings(
    max_examples=25 if chosen_profile().name == "ci" else 2_000,
    stateful_step_count=STEPS,
    deadline=None,
)
TestVault = VaultMachine.TestCase

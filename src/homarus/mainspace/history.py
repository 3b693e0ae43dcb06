"""Approved versions become commits: one for each switch, in order, each once.

What was committed says the history itself (trailers), so a crash between commit and state costs
nothing. Each commit carries the ledger's last seal: an anchor outside the store (contract, 1).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from homarus.base.failpoint import failpoint
from homarus.flows import guarding
from homarus.mainspace.git import Commit, Repository
from homarus.mainspace.state import State
from homarus.records.documents import Version
from homarus.store.port import Store

log = structlog.get_logger("mainspace")

MAX_READ_BACK: Final = 500
MAX_ROUNDS: Final = 1_000
_TRAILER: Final = re.compile(r"^Homarus-Version: (\S.*)@(\d{1,9})$", re.MULTILINE)

Pairs = list[tuple[Version, str]]


class History:
    """The history of one main space."""

    def __init__(self, store: Store, git: str, root: Path) -> None:
        self._store = store
        self._repository = Repository(git, root)
        self._read_back = False

    def forget(self) -> None:
        """The repository is another one, or gone."""
        self._read_back = False

    async def catch_up(self, company: str, state: State) -> int:
        """Commit what has no commit yet; how many commits. Raises `mainspace.git`."""
        done = 0
        for _ in range(MAX_ROUNDS):
            pairs = await self._store.read(guarding.uncommitted, company, dict(state.committed))
            if not pairs:
                break
            if not self._read_back:
                await self._repository.ensure()
                _note(state, await self._repository.messages(MAX_READ_BACK))
                self._read_back = True
                continue
            seal = await self._store.read(guarding.last_seal, company)
            for group in _groups(pairs):
                await self._repository.commit([_commit(group, seal)])
                failpoint("mainspace.committed")
                for version, _ in group:
                    state.committed[version.path] = version.n
                done += 1
        return done


def _note(state: State, messages: str) -> None:
    for path, n in _TRAILER.findall(messages):
        state.committed[path] = max(state.committed.get(path, 0), int(n))


def _groups(pairs: Pairs) -> Iterator[Pairs]:
    """Versions of one switch go into one commit."""
    group: Pairs = []
    for pair in pairs:
        version = pair[0]
        if group and (
            (version.at_ms, version.change_no) != (group[0][0].at_ms, group[0][0].change_no)
            or any(version.path == other.path for other, _ in group)
        ):
            yield group
            group = []
        group.append(pair)
    if group:
        yield group


def _commit(group: Pairs, seal: str) -> Commit:
    first, intent = group[0]
    if first.change_no is None:
        title = "First documents" if len(group) > 1 else f"{first.path}: {first.version}"
    else:
        title = f"C-{first.change_no}: {' '.join(intent.split())[:100]}"
    lines = [title, ""]
    lines += [
        f"{v.path} {'removed' if v.removed else f'{v.version} ({v.state})'}" for v, _ in group
    ]
    lines += ["", f"By: {first.by}"]
    if first.change_no is not None:
        lines.append(f"Homarus-Change: C-{first.change_no}")
    lines += [f"Homarus-Version: {v.path}@{v.n}" for v, _ in group]
    if seal:
        lines.append(f"Homarus-Seal: {seal}")
    return Commit(
        "\n".join(lines) + "\n",
        tuple((v.path, None if v.removed else v.content) for v, _ in group),
        first.at_ms // 1_000,
    )

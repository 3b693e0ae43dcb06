"""Keeping what was made: a text, or a file of the workspace, as an artifact of the task.

The content is on disk before the row that names it; done again after a crash it is the same
content, and the row is made once, with the call's result.
"""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import msgspec

from homarus.agents.tools.hands import Hands, need_work
from homarus.agents.tools.space import Space, of_agent
from homarus.agents.tools.tool import Tool, told, words
from homarus.base.errors import Busy, Invalid
from homarus.flows.turn_tools import Result
from homarus.records import artifacts, quota, rules
from homarus.records.artifact_fields import NewArtifact
from homarus.records.blobs import Blobs
from homarus.store.port import Tx
from homarus.tasks import sql

CAPABILITY: Final = "artifact.create"
MAX_TEXT: Final = 1_000_000


class KeepArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    filename: Annotated[str, words("What it is called, such as report.md.", 200, 1)]
    kind: Annotated[str, words("What it is: report, image, code …", 100, 1)] = "output"
    title: Annotated[str, words("A line about it.", 500)] = ""
    text: Annotated[str, words("Its whole text; empty: it is the file `path`.", MAX_TEXT)] = ""
    path: Annotated[str, words("A file of your workspace, instead of `text`.", 500)] = ""


class Keeping:
    def __init__(self, home: Path, blobs: Blobs) -> None:
        self._home = home
        self._blobs = blobs

    def tools(self) -> tuple[Tool, ...]:
        return (
            Tool("artifact_create", "Keep a text or a file as a result of the task.", self._keep,
                 CAPABILITY, "artifact:new", KeepArguments),
        )  # fmt: skip

    async def _keep(self, given: KeepArguments, hands: Hands) -> Result:
        work = need_work(hands, CAPABILITY)
        if bool(given.text) == bool(given.path):
            raise Invalid("tool.arguments", "one of `text` and `path` is wanted", "Give that one.")
        data = given.text.encode()
        if given.path:
            space = Space(of_agent(self._home, hands.started.agent.id))
            data = (await asyncio.to_thread(space.read, given.path)).data
        await hands.store.read(quota.check, hands.started.agent.company, len(data))
        draft = await asyncio.to_thread(self._blobs.draft)
        if draft is None:
            raise Busy("upload.busy", "too many uploads are under way", "Try again.")
        try:
            await asyncio.to_thread(draft.write, data)
            with self._blobs.hold(draft.sha256):
                sha256 = await asyncio.to_thread(draft.keep)
                return await hands.apply(
                    CAPABILITY, _record, work, given, sha256, len(data), target="artifact:new"
                )
        finally:
            await asyncio.to_thread(draft.discard)


def _record(tx: Tx, work: str, given: KeepArguments, sha256: str, size: int) -> Result:
    quota.check(tx, tx.company, size)
    task = sql.need(tx, tx.company, work)
    name = rules.safe_name(given.filename)
    row = artifacts.create(
        tx,
        NewArtifact(
            kind=given.kind,
            content_type="text/plain; charset=utf-8" if given.text else "application/octet-stream",
            project=task.project,
            task=task.id,
            agent=tx.actor.id,
            title=given.title or name,
            filename=name,
            sha256=sha256,
            size_bytes=size,
            stored=True,
            source_kind="turn",
        ),
    )
    tx.about(task=task.id, trace=task.trace)
    return told(f"Kept: {name}, {size} bytes, artifact {row.id}", artifact=row.id)

"""The transcript that this daemon keeps of an imported session, as a reader of files finds it."""

import asyncio
import json
from pathlib import Path

from homarus.testing.daemon import running
from tests.importers import claw
from tests.support.commands import Terminal


async def test_our_view_of_it_is_whole(tmp_path: Path) -> None:
    source = claw.furnished(tmp_path / "claw").root
    async with running(tmp_path / "home") as daemon:
        homarus = Terminal(tmp_path / "home")
        env = {"HOMARUS_URL": daemon.url, "HOMARUS_TOKEN": daemon.owner_token}
        arguments = ("import", "openclaw", str(source), "--yes")
        done = await asyncio.to_thread(lambda: homarus(*arguments, env=env))
        assert done.code == 0, done.err
        assert "the daemon is on another machine" in done.out
        await daemon.app.transcripts.check()
    (folder,) = (tmp_path / "home" / "agents").glob("*/sessions")
    index = json.loads((folder / "sessions.json").read_text())
    assert sorted(index) == ["agent:main:main", "agent:main:telegram:group:7"]
    entry = index["agent:main:main"]
    assert (entry["label"], entry["lastInteractionAt"]) == ("Desk", claw.USED_MS)
    view = [json.loads(line) for line in (folder / entry["sessionFile"]).read_text().splitlines()]
    assert view[0]["id"] == entry["sessionId"]
    before = None
    for line, old in zip(view[1:], claw.talk(), strict=True):
        assert (line["parentId"], line["importedId"]) == (before, old["id"])
        left_out = ("id", "parentId", "importedId")
        assert {k: v for k, v in line.items() if k not in left_out} == {
            k: v for k, v in old.items() if k not in left_out
        }
        before = line["id"]

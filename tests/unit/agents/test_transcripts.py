"""Transcripts and sessions.json on disk: views in the documented form, made anew when they are torn
or missing (gateway contract, 12)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.scripted import Say
from homarus.agents.transcripts import Transcripts
from homarus.store.port import Store
from homarus.testing.waiting import seen


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def complete(path: Path, count: int) -> bool:
    return path.exists() and path.read_bytes().count(b"\n") == count


async def place(chat: Any, key: str = "agent:ada:main") -> tuple[Path, Any]:
    """The folder of an agent's sessions, and the session."""
    row = (await chat.get(f"/sessions/{key}"))["session"]
    return chat.daemon.app.settings.home / "agents" / row["agentId"] / "sessions", row


async def written(chat: Any, count: int, key: str = "agent:ada:main") -> Path:
    folder, row = await place(chat, key)
    path = folder / f"{row['id']}.jsonl"
    await asyncio.to_thread(seen, lambda: complete(path, count))
    return path


async def test_a_turn_is_written_in_the_documented_form(talk: Any) -> None:
    chat = await talk(Say("", (("time_now", {}),)), "It is late.")
    await chat.answer("What time is it?")
    path = await written(chat, 5)
    head, *entries = lines(path)
    assert (head["type"], head["version"]) == ("session", 3)
    assert path.name == f"{head['id']}.jsonl" and path.stat().st_mode & 0o777 == 0o600
    assert [e["parentId"] for e in entries] == [None, *(e["id"] for e in entries[:-1])]
    user, asked, result, said = (e["message"] for e in entries)
    assert (user["role"], user["content"]) == ("user", "What time is it?")
    assert user["idempotencyKey"].endswith(":user")
    assert asked["content"] == [
        {"type": "toolCall", "id": "call_1_0", "name": "time_now", "arguments": {}}
    ]
    assert (asked["stopReason"], said["stopReason"]) == ("toolUse", "stop")
    assert (result["toolCallId"], result["isError"]) == ("call_1_0", False)
    assert set(said["usage"]) >= {"input", "output", "cacheRead", "cacheWrite", "totalTokens"}
    index = path.parent / "sessions.json"
    await asyncio.to_thread(
        seen, lambda: index.exists() and json.loads(index.read_text())["agent:ada:main"].get(
            "totalTokens"))  # fmt: skip
    entry = json.loads(index.read_text())["agent:ada:main"]
    assert (entry["sessionId"], entry["chatType"]) == (head["id"], "direct")


@pytest.mark.parametrize("harm", ["torn", "missing", "foreign", "behind"])
async def test_what_is_harmed_is_made_anew(talk: Any, harm: str) -> None:
    chat = await talk("one", "two", "three")
    await chat.answer("first")
    path = await written(chat, 3)
    whole = path.read_bytes()
    match harm:
        case "torn":
            path.write_bytes(whole[:-20])
        case "missing":
            path.unlink()
        case "foreign":
            path.write_bytes(b"garbage\n" * 3)
        case _:
            path.write_bytes(whole[: whole.rstrip(b"\n").rfind(b"\n") + 1])
    await chat.answer("second")
    path = await written(chat, 5)
    assert path.read_bytes().startswith(whole)
    assert [e["message"]["content"] for e in lines(path)[1:] if e["message"]["role"] == "user"] == [
        "first", "second",
    ]  # fmt: skip


@pytest.mark.parametrize("harm", ["none", "missing"])
async def test_a_reset_puts_the_file_away(talk: Any, harm: str) -> None:
    """Also one that was not there when the session ended: it is made, and kept like any other."""
    chat = await talk("one")
    await chat.answer("first")
    old = await written(chat, 3)
    if harm == "missing":
        old.unlink()
    await chat.post("/sessions/agent:ada:main/reset", {})
    await asyncio.to_thread(seen, lambda: list(old.parent.glob(f"{old.name}.deleted.*")))
    (kept,) = old.parent.glob(f"{old.name}.deleted.*")
    assert not old.exists()
    assert len(lines(kept)) == 3
    await chat.answer("again")
    fresh = await written(chat, 3)
    assert fresh != old


async def test_a_folder_that_cannot_be_written_ends_no_daemon(talk: Any) -> None:
    chat = await talk("one")
    folder, _ = chat.daemon.app.settings.home / "agents", None
    agent = (await chat.get("/agents"))["agents"][0]["id"]
    blocked = folder / agent
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("a file where a folder should be")
    assert (await chat.answer("hi"))["outcome"]["text"] == "one"
    assert chat.daemon.app.health()["failing"] == []


async def test_a_start_makes_what_is_missing(talk: Any) -> None:
    chat = await talk("one", home="h1")
    await chat.answer("first")
    path = await written(chat, 3)
    path.unlink()
    (path.parent / "sessions.json").unlink(missing_ok=True)  # it may come after the lines
    again = Transcripts(chat.daemon.app.store, chat.daemon.app.settings.home)
    await again.check()
    assert len(lines(path)) == 3 and (path.parent / "sessions.json").exists()


class Meanwhile:
    """The store, to one whose first look at the live sessions takes as long as `it` does."""

    def __init__(self, store: Store, it: Callable[[], Awaitable[object]]) -> None:
        self._store = store
        self._it: Callable[[], Awaitable[object]] | None = it
        self.listen = store.listen

    async def read(self, fn: Callable[..., Any], *args: Any) -> Any:
        found = await self._store.read(fn, *args)
        if fn.__name__ == "_live" and self._it is not None:
            it, self._it = self._it, None
            await it()
        return found


async def test_what_is_said_while_the_index_is_written_is_written_too(
    talk: Any, tmp_path: Path
) -> None:
    chat = await talk("one", "two")
    await chat.answer("first")
    _, row = await place(chat)
    store: Any = Meanwhile(chat.daemon.app.store, lambda: chat.answer("second"))
    views = Transcripts(store, tmp_path / "views")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(views.run())
        path = tmp_path / "views" / "agents" / row["agentId"] / "sessions" / f"{row['id']}.jsonl"
        await asyncio.to_thread(seen, lambda: complete(path, 5))
        running.cancel()

"""Messages that are commands to the gateway (gateway contract, 6)."""

from pathlib import Path

import pytest

from homarus.testing.scripted_model import Hang
from tests.gateway.ws.talking import chat_of, over, said, talking


@pytest.mark.parametrize("word", ["/new", "/reset"])
async def test_a_word_begins_anew(tmp_path: Path, word: str) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):
        await client.call("chat.send", said("Hi", "k1"))
        await over(client, "k1")
        before = await client.call("chat.history", {"sessionKey": "main"})
        await client.call("chat.send", said(word, "k2"))
        assert (await over(client, "k2"))["state"] == "final"
        after = await client.call("chat.history", {"sessionKey": "main"})
        assert (before["totalMessages"], after["totalMessages"]) == (2, 0)
        assert before["sessionId"] != after["sessionId"]


@pytest.mark.parametrize("word", ["/new", "/reset", "/stop", "/abort", "/compact"])
async def test_a_word_is_done_once_under_its_key(tmp_path: Path, word: str) -> None:
    async with talking(tmp_path / "home", "One.", *(["The sum."] * 9)) as (ask, client):
        await client.call("chat.send", said("Hi", "k1"))
        await over(client, "k1")
        first = await client.call("chat.send", said(word, "k2"))
        assert first == {"runId": "k2", "status": "started"}
        await over(client, "k2")
        await client.call("chat.send", said("Again", "k3"))
        await over(client, "k3")
        before = await client.call("chat.history", {"sessionKey": "main"})
        asked, events = len(ask.model.requests), len(chat_of(client, "k2"))
        again = await client.call("chat.send", said(word, "k2"))
        assert again == {"runId": "k2", "status": "ok"}
        after = await client.call("chat.history", {"sessionKey": "main"})
        assert after["sessionId"] == before["sessionId"]
        assert after["totalMessages"] == before["totalMessages"] > 0
        assert (len(ask.model.requests), len(chat_of(client, "k2"))) == (asked, events)


async def test_a_stop_said_again_ends_no_later_run(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", Hang("One"), Hang("Two")) as (ask, client):
        await client.call("chat.send", said("Hi", "k1"))
        await client.event("chat", lambda p: p["runId"] == "k1" and p["state"] == "delta")
        await client.call("chat.send", said("/stop", "k2"))
        assert (await over(client, "k1"))["state"] == "aborted"
        await client.call("chat.send", said("Hi", "k3"))
        await client.event("chat", lambda p: p["runId"] == "k3" and p["state"] == "delta")
        again = await client.call("chat.send", said("/stop", "k2"))
        assert again == {"runId": "k2", "status": "ok"}
        ask.model.release()
        assert (await over(client, "k3"))["state"] == "final"


@pytest.mark.parametrize("key", ["", "k" * 300])
async def test_a_word_needs_a_key_as_a_message_does(tmp_path: Path, key: str) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):
        error = await client.error("chat.send", said("/reset", key))
        assert "unusable idempotency key" in error["message"]

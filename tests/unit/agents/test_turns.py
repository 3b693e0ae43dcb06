"""A turn from a person's message to the answer, through the daemon (design, 6, 7)."""

from typing import Any


async def test_a_message_is_answered(talk: Any) -> None:
    chat = await talk("Hello, I am ada.")
    turn = await chat.answer("Who are you?")
    assert (turn["state"], turn["outcome"]["text"]) == ("done", "Hello, I am ada.")
    assert await chat.thread() == [("human", "Who are you?"), ("agent", "Hello, I am ada.")]
    (request,) = chat.model.requests
    assert "You are ada" in request.system and "Redlines" in request.system
    assert request.messages[-1].content[0].text == "Who are you?"

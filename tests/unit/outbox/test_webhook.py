"""What a receiver's answers mean, and which configurations are none."""

from pathlib import Path
from typing import Any

import pytest

from homarus.base.errors import HomarusError
from homarus.outbox.port import Absent, Done, Found, Later, Means, Outcome, Refused, Unknown
from homarus.outbox.webhook import KIND, Webhook
from homarus.testing.hook_receiver import Receiver
from tests.contract_mirror.suite import change

KEY = "k" * 32


def means(key: str = KEY) -> Means:
    async def secret(name: str) -> str:
        return key

    return Means("c", "m", Path(), secret, lambda: 0)


def opened(receiver: Receiver, key: str = KEY, **more: Any) -> Webhook:
    config = {"url": receiver.url, "secret": "secret://hook"} | more
    KIND.check(config, Path())
    return Webhook(config, means(key))


@pytest.mark.parametrize(
    "status, expected",
    [
        (200, Done("homarus:task:T-1")),
        (429, Later("the receiver answered 429", 1.0)),
        (400, Refused("bad", "the receiver answered 400")),
        (401, Refused("auth", "the receiver answered 401")),
        (404, Refused("operator", "the receiver answered 404")),
        (410, Refused("gone", "the receiver answered 410")),
        (422, Refused("schema", "the receiver answered 422")),
        (500, Unknown("the receiver answered 500")),
        (302, Unknown("the receiver answered 302")),
    ],
)
async def test_a_push_by_its_status(status: int, expected: Outcome) -> None:
    with Receiver(KEY.encode()) as receiver:
        receiver.answers = [status]
        assert await opened(receiver).push(change()) == expected


async def test_what_was_written_before_it_broke_is_found() -> None:
    with Receiver(KEY.encode()) as receiver:
        mirror = opened(receiver)
        receiver.afterwards = [502]
        assert isinstance(await mirror.push(change()), Unknown)
        assert await mirror.lookup(change()) == Found("homarus:task:T-1", True)
        assert await mirror.lookup(change(number="T-2")) == Absent()
        cannot = opened(receiver, lookup=False)
        assert await cannot.lookup(change(number="T-2")) == Found("homarus:task:T-2", None)


async def test_a_wrong_key_and_nobody_there() -> None:
    with Receiver(KEY.encode()) as receiver:
        assert (await opened(receiver, "another key").health()).ok is False
        outcome = await opened(receiver, "another key").push(change())
        assert isinstance(outcome, Refused) and outcome.kind == "auth"
        mirror = opened(receiver)
        receiver.leave()
        assert isinstance(await mirror.push(change()), Later)
        assert not (await mirror.health()).ok


@pytest.mark.parametrize(
    "config, path",
    [
        ({}, "url"),
        ({"url": 7}, "url"),
        ({"url": "http://example.com"}, "url"),
        ({"url": "https://u:p@example.com"}, "url"),
        ({"url": "https://example.com"}, "secret"),
        ({"url": "https://example.com", "secret": "abc"}, "secret"),
        ({"url": "https://example.com", "secret": "secret://a b"}, "secret"),
        ({"url": "https://example.com", "secret": "secret://a", "perMinute": True}, "perMinute"),
        ({"url": "https://example.com", "secret": "secret://a", "lookup": "no"}, "lookup"),
        ({"url": "https://example.com", "secret": "secret://a", "uRL": 1}, "uRL"),
    ],
)
def test_what_is_no_configuration(config: dict[str, Any], path: str) -> None:
    with pytest.raises(HomarusError, match=f"config.{path}:"):
        KIND.check(config, Path())


@pytest.mark.parametrize(
    "url, key, host",
    [
        ("https://Example.com/x?a=1", "webhook:https://example.com:443/x?a=1", "example.com:443"),
        ("https://example.com:8443", "webhook:https://example.com:8443/?", "example.com:8443"),
        ("http://127.0.0.1:9/a", "webhook:http://127.0.0.1:9/a?", "127.0.0.1:9"),
    ],
)
def test_one_place_has_one_spelling(url: str, key: str, host: str) -> None:
    place = KIND.check({"url": url, "secret": "secret://Hook"}, Path())
    assert (place.key, place.hosts, place.secrets) == (key, (host,), ("hook",))

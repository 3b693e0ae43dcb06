"""Signatures to the second, and the secret's row on both engines."""

from pathlib import Path

import pytest

from homarus.base.action import Action
from homarus.base.errors import HomarusError, NotFound, Unauthenticated
from homarus.conversations import inbound
from homarus.conversations.inbound import SKEW_S, Inbound
from homarus.flows import hearing
from homarus.kernel import tokens
from homarus.store.port import Tx
from homarus.testing.stores import Opener, opened
from tests.support.engines import BOTH

NOW_S = 1_700_000_000
SECRET, BODY = b"a secret of the company", b'{"event": "message.created"}'


def header(at_s: int = NOW_S, secret: bytes = SECRET, body: bytes = BODY) -> str:
    return f"t={at_s},v1={inbound.signature(secret, at_s, body)}"


@pytest.mark.parametrize(
    "given, code",
    [
        (header(), None),
        (header() + " , v0=old", None),
        (header(NOW_S - SKEW_S), None),
        (header(NOW_S + SKEW_S), None),
        (header(NOW_S - SKEW_S - 1), "webhook.stale"),
        (header(NOW_S + SKEW_S + 1), "webhook.stale"),
        (header(secret=b"another"), "webhook.signature"),
        (header(body=BODY + b" "), "webhook.signature"),
        (header().upper(), "webhook.signature"),
        (header().replace("t=", "t=0"), "webhook.signature"),
        (header() + f",t={NOW_S}", "webhook.signature"),
        ("", "webhook.signature"),
        (None, "webhook.unsigned"),
    ],
)
def test_signatures(given: str | None, code: str | None) -> None:
    if code is None:
        inbound.check(SECRET, given, BODY, NOW_S * 1000)
        return
    with pytest.raises(Unauthenticated) as caught:
        inbound.check(SECRET, given, BODY, NOW_S * 1000)
    assert caught.value.code == code


def test_the_documented_example() -> None:
    """docs/how-to/webhook.md shows this very signature."""
    assert inbound.signature(b"whs_example", NOW_S, b"{}") == (
        "8d436380d2902ad33817962b274d199b89b72f079c0940c43b01c01c4adfe78a"
    )


def runtime(tx: Tx) -> str:
    return tokens.mint(tx, company=tx.company, kind="runtime", name="bridge")[0].id


@BOTH
async def test_secrets_and_messages_are_of_one_company(opener: Opener, tmp_path: Path) -> None:
    async with opened(opener, tmp_path) as s:
        other = await s.found("other")
        assert await s.store.read(inbound.sealed, s.company) is None
        for secret in (b"first", b"second"):
            await s.store.write(s.action("incident.open"), inbound.set_secret, secret)
        kept = await s.store.read(inbound.sealed, s.company)
        assert kept is not None and kept[0] == b"second"
        assert await s.store.read(inbound.sealed, other) is None
        await s.store.write(s.action("incident.open"), inbound.remove_secret)
        with pytest.raises(NotFound):
            await s.store.write(s.action("incident.open"), inbound.remove_secret)


@BOTH
async def test_a_message_is_taken_once(opener: Opener, tmp_path: Path) -> None:
    async with opened(opener, tmp_path) as s:
        token = await s.store.write(s.action("token.create"), runtime)
        action = Action(s.company, "message.receive", "thread:", credential=token)
        message = Inbound("m-1", "chat", "hello", timestamp=0)
        row, there = await s.store.write(action, hearing.relayed, message)
        again, known = await s.store.write(action, hearing.relayed, message)
        assert (there, known, again.id) == (False, True, row.id)
        assert row.metadata["relayed"] is True and row.sender is None
        with pytest.raises(HomarusError):
            await s.store.write(action, hearing.relayed, Inbound("", "chat", "x"))

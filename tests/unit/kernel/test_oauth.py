"""OAuth as units, on both engines: rations, exact ends, one winner, what a replay takes back."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from homarus.base.action import Action
from homarus.base.errors import Busy, HomarusError, Invalid
from homarus.kernel import oauth, tokens
from homarus.kernel import oauth_rules as rules
from homarus.kernel.oauth import CODE_MS, IDLE_MS, KEPT_MS, MAX_PER_HOUR, UNUSED_MS, Exchange
from homarus.kernel.oauth_rules import Ask, NewClient
from homarus.kernel.tokens import Token
from homarus.store.port import Tx
from homarus.testing.ground import ManualClock
from homarus.testing.stores import Opener, OpenStore, opened
from tests.support.engines import BOTH

CALLBACK = "https://client.example/cb"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest())[:-1].decode()


def owner(tx: Tx) -> Token:
    return tokens.mint(tx, company=tx.company, kind="operator", role="owner", name="owner")[0]


class World:
    def __init__(self, opened: OpenStore, clock: ManualClock) -> None:
        self.store, self.company, self.clock = opened.store, opened.company, clock
        self.opened = opened
        self.owner: Token = None  # type: ignore[assignment]

    async def register(self, name: str = "program") -> oauth.Client:
        action = Action("", "oauth.register", "oauth:client", system="oauth")
        return await self.store.write(action, oauth.register, NewClient(name, (CALLBACK,)))

    async def code(self, client: oauth.Client) -> str:
        action = Action(self.company, "oauth.authorize", "oauth:", credential=self.owner.id)
        ask = Ask(client.id, CALLBACK, CHALLENGE, "mcp_full")
        return await self.store.write(action, oauth.authorize, ask, "mcp_full")

    async def exchange(self, client: oauth.Client, code: str, company: str = "") -> Any:
        action = Action(company or self.company, "oauth.token", "oauth:code", system="oauth")
        given = Exchange(code, client.id, CALLBACK, VERIFIER)
        return await self.store.write(action, oauth.exchange, given)

    async def kinds(self) -> list[str]:
        rows = await self.store.read(lambda rx: rx.all("select kind from event order by seq"))
        return [row[0] for row in rows if row[0].startswith(("oauth", "token"))]


@asynccontextmanager
async def world(opener: Opener, home: Path) -> AsyncIterator[World]:
    clock = ManualClock()
    async with opened(opener, home, clock) as store:
        made = World(store, clock)
        made.owner = await store.store.write(store.action("token.create"), owner)
        yield made


@BOTH
async def test_registrations_are_rationed_by_the_hour(opener: Opener, tmp_path: Path) -> None:
    async with world(opener, tmp_path) as w:
        for _ in range(MAX_PER_HOUR):
            await w.register()
        assert not await w.store.read(oauth.has_room)
        with pytest.raises(Busy):
            await w.register()
        w.clock.advance(oauth.HOUR_MS - 1)
        assert not await w.store.read(oauth.has_room)
        w.clock.advance(1)
        await w.register()


@BOTH
@pytest.mark.parametrize(
    "granted, after_ms, kept",
    [
        (False, UNUSED_MS - 1, True),
        (False, UNUSED_MS, False),
        (True, UNUSED_MS, True),
        (True, IDLE_MS - 1, True),
        (True, IDLE_MS, False),
    ],
)
async def test_programs_that_nobody_uses_are_forgotten(
    opener: Opener, tmp_path: Path, granted: bool, after_ms: int, kept: bool
) -> None:
    async with world(opener, tmp_path) as w:
        client = await w.register("first")
        if granted:
            await w.code(client)
        w.clock.advance(after_ms)
        await w.register("second")
        assert (await w.store.read(oauth.client, client.id) is not None) is kept


@BOTH
@pytest.mark.parametrize("after_ms, good", [(CODE_MS - 1, True), (CODE_MS, False)])
async def test_a_code_ends_to_the_millisecond(
    opener: Opener, tmp_path: Path, after_ms: int, good: bool
) -> None:
    async with world(opener, tmp_path) as w:
        client = await w.register()
        code = await w.code(client)
        w.clock.advance(after_ms)
        assert (await w.exchange(client, code) is not None) is good


@BOTH
async def test_of_two_exchanges_at_once_one_wins_and_its_token_is_taken_back(
    opener: Opener, tmp_path: Path
) -> None:
    async with world(opener, tmp_path) as w:
        client = await w.register()
        code = await w.code(client)
        made = await asyncio.gather(*(w.exchange(client, code) for _ in range(3)))
        won = [pair for pair in made if pair is not None]
        assert len(won) == 1
        token = await w.store.read(tokens.by_id, won[0][0].id)
        assert token is not None and token.revoked_ms is not None
        assert (await w.kinds())[-2:] == ["token_created", "token_revoked"]


@BOTH
async def test_a_code_is_of_its_company_alone(opener: Opener, tmp_path: Path) -> None:
    async with world(opener, tmp_path) as w:
        client = await w.register()
        code = await w.code(client)
        assert await w.store.read(oauth.company_of, code) == w.company
        other = await w.opened.found("other")
        assert await w.exchange(client, code, other) is None
        assert await w.exchange(client, code) is not None


@BOTH
async def test_hashes_are_kept_for_a_day_to_notice_replays(opener: Opener, tmp_path: Path) -> None:
    async with world(opener, tmp_path) as w:
        client = await w.register()
        code = await w.code(client)
        await w.exchange(client, code)
        for after_ms, known in ((CODE_MS + KEPT_MS - 1, True), (1, False)):
            w.clock.advance(after_ms)
            await w.code(client)
            assert (await w.store.read(oauth.company_of, code) is not None) is known


@BOTH
async def test_only_hashes_are_stored(opener: Opener, tmp_path: Path) -> None:
    async with world(opener, tmp_path) as w:
        client = await w.register()
        code = await w.code(client)
        _, secret = await w.exchange(client, code)
        for table in ("oauth_code", "token", "event", "receipt"):
            rows = await w.store.read(lambda rx, name: rx.all(f"select * from {name}"), table)
            assert code not in str(rows) and secret not in str(rows), table


@BOTH
async def test_waiting_codes_are_bounded(opener: Opener, tmp_path: Path) -> None:
    async with world(opener, tmp_path) as w:
        client = await w.register()
        for _ in range(oauth.MAX_CODES):
            await w.code(client)
        with pytest.raises(Busy):
            await w.code(client)
        w.clock.advance(CODE_MS)
        await w.code(client)


@pytest.mark.parametrize(
    "registered, asked, good",
    [
        ("https://a.example/cb", "https://a.example/cb", True),
        ("https://a.example/cb", "https://a.example/cb/", False),
        ("https://a.example/cb", "https://a.example:444/cb", False),
        ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb", True),
        ("http://127.0.0.1:9/cb", "http://127.0.0.1/cb", True),
        ("http://localhost:9/cb", "http://localhost:10/cb", True),
        ("http://localhost:9/cb", "http://127.0.0.1:9/cb", False),
        ("http://[::1]:9/cb", "http://[::1]:10/cb", True),
        ("http://127.0.0.1:9/cb", "http://127.0.0.1:9/cb?", False),
        ("http://127.0.0.1:9/cb", "http://127.0.0.1:9@evil.example/cb", False),
        ("http://127.0.0.1:9/cb", "http://127.0.0.1:x/cb", False),
        ("http://127.0.0.1:9/cb", "http://127.0.0.1:9/cb#", False),
        ("https://127.0.0.1:9/cb", "https://127.0.0.1:8/cb", False),
    ],
)
def test_redirects_match_exactly_but_for_the_port_of_this_machine(
    registered: str, asked: str, good: bool
) -> None:
    rules.check_redirect(registered)
    assert rules.may_redirect((registered,), asked) is good


@pytest.mark.parametrize(
    "verifier, good",
    [(VERIFIER, True), ("w" * 43, False), ("v" * 42, False), ("v" * 129, False), ("", False),
     (CHALLENGE, False), ("é" * 43, False)],
)  # fmt: skip
def test_pkce(verifier: str, good: bool) -> None:
    assert rules.proves(verifier, CHALLENGE) is good


def test_pkce_by_the_example_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    assert rules.proves(
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


@pytest.mark.parametrize(
    "text, scope",
    [
        (None, "mcp_full"),
        ("mcp_full", "mcp_full"),
        (" mcp_danger  mcp_full ", "mcp_danger"),
        ("offline_access", None),
        (" ", None),
    ],
)
def test_scopes(text: str | None, scope: str | None) -> None:
    if scope is None:
        with pytest.raises(Invalid):
            rules.scope_of(text)
    else:
        assert rules.scope_of(text) == scope


def test_a_field_twice_is_an_error_and_an_empty_one_is_none() -> None:
    assert rules.single([("a", "1"), ("b", "")]) == {"a": "1"}
    with pytest.raises(HomarusError):
        rules.single([("a", "1"), ("a", "1")])

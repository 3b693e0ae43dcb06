"""Devices as units, on both engines: asked for, let in, taken back (gateway contract, 2.6)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from homarus.base.errors import Busy, Conflict, HomarusError, NotFound, Refused
from homarus.kernel import devices, tokens
from homarus.kernel.devices import MAX_PENDING, NODE, OPERATOR, PAIRING_MS, Claim, Grant, Secret
from homarus.store.port import Tx
from homarus.testing.ground import Ground, ground

READ, WRITE, ADMIN = "operator.read", "operator.write", "operator.admin"
CLAIM = Claim(
    device="d" * 64, public_key="k", role=OPERATOR, scopes=(READ,), client_id="cli",
    client_mode="cli", name="laptop", platform="linux",
)  # fmt: skip


@pytest.fixture
async def g(engine: Any) -> AsyncIterator[Ground]:
    async with ground(engine.home, opener=engine.opener, fresh=True) as made:
        yield made


def claim(**change: Any) -> Claim:
    return msgspec.structs.replace(CLAIM, **change)


_n = iter(range(1_000_000))


def let_in(tx: Tx, asked: Claim, secret: Secret, silent: bool) -> Grant:
    return devices.let_in(tx, asked, secret, silent=silent)


async def connect(g: Ground, asked: Claim = CLAIM, *, silent: bool = True, by: str = "") -> Grant:
    number = f"{g.company}-{next(_n)}"
    action = g.action("device.connect", **({"credential": by} if by else {}))
    return await g.store.write(action, let_in, asked, Secret(number, f"secret-{number}"), silent)


async def ask(g: Ground, asked: Claim = CLAIM, reason: str = "not-paired") -> devices.Pairing:
    return await g.write("device.ask", devices.ask, asked, reason)


def decided(tx: Tx, request: str, approve: bool) -> devices.Pairing:
    return devices.decide(tx, request, approve=approve)


async def decide(g: Ground, request: str, approve: bool = True) -> devices.Pairing:
    return await g.write("device.decide", decided, request, approve)


async def token_of(g: Ground, grant: Grant) -> tokens.Token:
    found = await g.read(tokens.by_id, grant.token)
    assert found is not None
    return found


async def test_a_silent_device_has_a_token_of_the_least_role(g: Ground) -> None:
    grant = await connect(g)
    token = await token_of(g, grant)
    assert (token.kind, token.role, token.scope) == ("operator", "viewer", tokens.DEVICE)
    again = await connect(g)
    assert (again.token, again.nonce) == (grant.token, grant.nonce)


async def test_wider_scopes_end_the_old_token(g: Ground) -> None:
    first = await connect(g)
    wider = await connect(g, claim(scopes=(WRITE,)))
    assert wider.scopes == (READ, WRITE) and wider.token != first.token
    assert (await token_of(g, first)).revoked_ms is not None
    assert (await token_of(g, wider)).role == "operator"
    narrower = await connect(g, claim(scopes=(READ,)))
    assert narrower.token == wider.token


async def test_nobody_grants_more_than_it_has(g: Ground) -> None:
    def mint(tx: Tx, kind: str, role: str | None) -> str:
        return tokens.mint(tx, company=g.company, kind=kind, role=role, name=kind)[0].id

    viewer = await g.write("token.create", mint, "operator", "viewer")
    runtime = await g.write("token.create", mint, "runtime", None)
    assert (await connect(g, by=viewer)).token
    for by, asked in (
        (viewer, claim(scopes=(WRITE,))), (viewer, claim(role=NODE, scopes=())),
        (runtime, CLAIM), (runtime, claim(scopes=())), (runtime, claim(role=NODE, scopes=())),
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            await connect(g, asked, by=by)
        assert refused.value.code == "device.wider"


async def test_a_node_is_no_operator(g: Ground) -> None:
    token = await token_of(g, await connect(g, claim(role=NODE, scopes=())))
    assert (token.kind, token.role) == ("runtime", None)


async def test_who_is_not_let_in_gets_nothing(g: Ground) -> None:
    with pytest.raises(Refused, match="not paired"):
        await connect(g, silent=False)
    assert await g.read(devices.listed, g.company) == []


async def test_a_request_is_one_row_until_it_is_answered(g: Ground) -> None:
    first = await ask(g)
    assert (await ask(g)).id == first.id
    more = await ask(g, claim(scopes=(READ, WRITE)))
    assert (more.id, more.scopes) == (first.id, (READ, WRITE))
    answers = await asyncio.gather(
        decide(g, first.id), decide(g, first.id, approve=False), return_exceptions=True
    )
    assert {type(answer) for answer in answers} == {devices.Pairing, Conflict}
    assert (await ask(g)).id != first.id


async def test_what_was_approved_is_granted_and_no_more(g: Ground) -> None:
    await decide(g, (await ask(g)).id)
    (row,) = await g.read(devices.listed, g.company)
    assert (row.approved_via, row.name) == (devices.OWNER, "laptop")
    held = await g.read(devices.grant, g.company, CLAIM.device, OPERATOR)
    assert held.scopes == (READ,) and held.token is None
    first = await connect(g, silent=False)
    assert first.token and (await connect(g, silent=False)).token == first.token


async def test_a_rejected_request_grants_nothing(g: Ground) -> None:
    await decide(g, (await ask(g)).id, approve=False)
    assert await g.read(devices.by_id, g.company, CLAIM.device) is None


@pytest.mark.parametrize(("later_ms", "open_"), [(PAIRING_MS - 1, True), (PAIRING_MS, False)])
async def test_its_time_is_up_exactly_then(g: Ground, later_ms: int, open_: bool) -> None:
    row = await ask(g)
    g.clock.advance(later_ms)
    assert bool(await g.read(devices.pending, g.company)) is open_
    if open_:
        assert (await decide(g, row.id)).state == "approved"
        return
    with pytest.raises(Conflict, match="expired"):
        await decide(g, row.id)
    assert (await ask(g)).id != row.id


async def test_no_more_requests_than_somebody_can_look_at(g: Ground) -> None:
    for n in range(MAX_PENDING):
        await ask(g, claim(device=f"{n:064}"))
    with pytest.raises(Busy):
        await ask(g)
    assert (await ask(g, claim(device=f"{0:064}"))).device == f"{0:064}"


async def test_taking_back(g: Ground) -> None:
    def rotate(tx: Tx, wanted: tuple[str, ...] | None) -> Grant:
        return devices.rotate(tx, CLAIM.device, OPERATOR, wanted, Secret("n", f"s-{g.company}"))

    first = await connect(g, claim(scopes=(READ, WRITE)))
    second = await g.write("device.change", rotate, (READ,))
    assert second.scopes == (READ,) and second.rotated_ms == g.clock.at_ms
    assert (await token_of(g, first)).revoked_ms is not None
    with pytest.raises(Conflict):
        await g.write("device.change", rotate, (ADMIN,))
    await g.write("device.change", devices.revoke, CLAIM.device, OPERATOR)
    assert (await token_of(g, second)).revoked_ms is not None
    assert await g.read(devices.grant, g.company, CLAIM.device, OPERATOR) is None
    with pytest.raises(NotFound):
        await g.write("device.change", devices.revoke, CLAIM.device, OPERATOR)
    third = await connect(g)
    await g.write("device.change", devices.remove, CLAIM.device)
    assert (await token_of(g, third)).revoked_ms is not None
    for fn, args in ((devices.remove, ()), (devices.rename, ("x",))):
        with pytest.raises(HomarusError) as unknown:
            await g.write("device.change", fn, CLAIM.device, *args)
        assert unknown.value.code == "device.unknown"

"""Set-up codes as units, on both engines: minted, used once, over (gateway contract, 9)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from homarus.base.errors import Busy, Conflict, HomarusError, Invalid, NotFound, Refused
from homarus.kernel import devices, scopes, setup_codes, tokens
from homarus.kernel.devices import NODE, OPERATOR, Claim, Grant, Secret
from homarus.kernel.setup_codes import KEPT_MS, LIFETIME_MS, MAX_OPEN, PROFILES, SetupCode
from homarus.store.port import Tx
from homarus.testing.ground import Ground, ground

CLAIM = Claim(
    device="d" * 64, public_key="k", role=NODE, scopes=(), client_id="node-host",
    client_mode="node", name="bench", platform="linux",
)  # fmt: skip


@pytest.fixture
async def g(engine: Any) -> AsyncIterator[Ground]:
    async with ground(engine.home, opener=engine.opener, fresh=True) as made:
        yield made


_n = iter(range(1_000_000))


async def minted(g: Ground, profile: str = NODE, **by: Any) -> tuple[SetupCode, str]:
    found: tuple[SetupCode, str] = await g.store.write(
        g.action("device.invite", **by), setup_codes.mint, profile
    )
    return found


async def operator(g: Ground, role: str) -> str:
    def unit(tx: Tx) -> str:
        return tokens.mint(tx, company=g.company, kind="operator", role=role, name=role)[0].id

    made: str = await g.write("token.create", unit)
    return made


async def redeem(g: Ground, code: SetupCode, **change: Any) -> dict[str, Grant]:
    claim = msgspec.structs.replace(CLAIM, **change)
    secrets = {
        role: Secret(f"{g.company}-{next(_n)}", f"secret-{next(_n)}") for role in devices.ROLES
    }
    action = g.action("device.redeem", credential="", system="gateway")
    made: dict[str, Grant] = await g.store.write(
        action, setup_codes.redeem, code.id, claim, secrets
    )
    return made


async def state_of(g: Ground, code: SetupCode) -> str:
    row: SetupCode = await g.read(setup_codes.by_id, g.company, code.id)
    return row.state(g.clock.now_ms())


@pytest.mark.parametrize(
    ("profile", "asks_as", "roles"),
    [
        ("node", NODE, {NODE: None}),
        ("operator", OPERATOR, {OPERATOR: "approver"}),
        ("limited", NODE, {NODE: None, OPERATOR: "approver"}),
        ("limited", OPERATOR, {NODE: None, OPERATOR: "approver"}),
    ],
)
async def test_a_code_pairs_a_device_in_its_roles(
    g: Ground, profile: str, asks_as: str, roles: dict[str, str | None]
) -> None:
    code, secret = await minted(g, profile)
    found = await g.read(setup_codes.redeemable, secret)
    assert found == code and len(secret) == 43
    made = await redeem(g, code, role=asks_as)
    assert made.keys() == roles.keys()
    for role, grant in made.items():
        token = await g.read(tokens.by_id, grant.token)
        assert (token.role, token.scope) == (roles[role], tokens.DEVICE)
        assert grant.scopes == tuple(sorted(PROFILES[profile][role]))
    device = await g.read(devices.need, g.company, CLAIM.device)
    assert (device.name, device.approved_via) == ("bench", devices.OWNER)
    row = await g.read(setup_codes.by_id, g.company, code.id)
    assert (row.device, row.device_name, row.state(g.clock.now_ms())) == (
        CLAIM.device, "bench", "used",
    )  # fmt: skip
    assert await g.read(setup_codes.redeemable, secret) is None


def test_no_profile_gives_what_a_person_has_to_look_at() -> None:
    given = {scope for grants in PROFILES.values() for found in grants.values() for scope in found}
    assert not scopes.closure(given) & {scopes.ADMIN, scopes.PAIRING}


async def _used(g: Ground, code: SetupCode) -> None:
    await redeem(g, code, device="e" * 64)


async def _revoked(g: Ground, code: SetupCode) -> None:
    await g.write("device.invite", setup_codes.revoke, code.id)


async def _late(g: Ground, code: SetupCode) -> None:
    g.clock.advance(LIFETIME_MS)


@pytest.mark.parametrize(
    ("ends", "state"), [(_used, "used"), (_revoked, "revoked"), (_late, "expired")]
)
async def test_a_code_that_is_over_opens_nothing(g: Ground, ends: Any, state: str) -> None:
    code, secret = await minted(g)
    await ends(g, code)
    assert await state_of(g, code) == state
    assert await g.read(setup_codes.redeemable, secret) is None
    with pytest.raises(Refused) as refused:
        await redeem(g, code)
    assert refused.value.code == "device.code_invalid"
    assert await g.read(devices.by_id, g.company, CLAIM.device) is None
    with pytest.raises(Conflict):
        await _revoked(g, code)


async def test_a_code_is_good_to_its_last_millisecond(g: Ground) -> None:
    code, _ = await minted(g)
    g.clock.advance(LIFETIME_MS - 1)
    assert (await redeem(g, code)).keys() == {NODE}


async def test_a_code_for_nodes_makes_no_operator(g: Ground) -> None:
    code, _ = await minted(g, NODE)
    with pytest.raises(Refused):
        await redeem(g, code, role=OPERATOR)
    assert await state_of(g, code) == "open"


async def test_of_two_devices_one_is_faster(g: Ground) -> None:
    code, _ = await minted(g)
    raced = await asyncio.gather(
        redeem(g, code, device="e" * 64), redeem(g, code, device="f" * 64), return_exceptions=True
    )
    assert sorted(isinstance(found, HomarusError) for found in raced) == [False, True]
    assert len(await g.read(devices.listed, g.company)) == 1


async def test_a_code_ends_with_the_token_of_its_minter(g: Ground) -> None:
    owner = await operator(g, "owner")
    code, secret = await minted(g, credential=owner)
    await g.write("token.revoke", tokens.revoke, owner)
    assert await g.read(setup_codes.redeemable, secret) is None
    with pytest.raises(Refused):
        await redeem(g, code)


async def test_only_so_many_are_open(g: Ground) -> None:
    codes = [(await minted(g))[0] for _ in range(MAX_OPEN)]
    with pytest.raises(Busy):
        await minted(g)
    await _revoked(g, codes[0])
    await minted(g)
    g.clock.advance(LIFETIME_MS)
    await minted(g)
    g.clock.advance(KEPT_MS + 1)
    await minted(g)
    assert await g.read(setup_codes.by_id, g.company, codes[0].id) is None, "kept for a week"


async def test_what_is_no_code(g: Ground) -> None:
    with pytest.raises(Invalid):
        await minted(g, "full")
    with pytest.raises(NotFound):
        await g.write("device.invite", setup_codes.revoke, "none")
    for secret in ("", "x", "x" * 10_000):
        assert await g.read(setup_codes.redeemable, secret) is None
    with pytest.raises(Refused):
        await minted(g, credential=await operator(g, "approver"))

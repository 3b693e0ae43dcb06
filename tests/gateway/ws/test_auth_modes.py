"""How a client is known, by `gateway.auth.mode` (gateway contract, 2.5): a daemon for each mode."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.exceptions import InvalidStatus

from homarus.control_plane import proxies
from homarus.control_plane.proxies import Came
from homarus.testing.daemon import Daemon, running
from tests.gateway.ws.client import Device, dialled, gateway_token, joined
from tests.gateway.ws.conftest import ONE_LOOP

pytestmark = ONE_LOOP
PASSWORD = "correct horse battery"
PROXY = {"X-Forwarded-For": "203.0.113.9"}
ADA = PROXY | {"X-Forwarded-User": "ada"}
READ = ("operator.read",)
Doc = dict[str, Any]
MODES: dict[str, Doc] = {
    "password": {"auth_mode": "password", "auth_password": PASSWORD},
    "trusted-proxy": {"auth_mode": "trusted-proxy", "trusted_proxies": ("127.0.0.1",)},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MODES)
async def moded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, Daemon]]:
    mode = str(request.param)
    async with running(tmp_path_factory.mktemp(mode) / "home", **MODES[mode]) as daemon:
        await daemon.token(name="ada", kind="operator", role="operator")
        await daemon.token(name="twice", kind="operator", role="owner")
        await daemon.token(name="twice", kind="operator", role="owner")
        await daemon.token(name="bot", kind="runtime")
        yield mode, daemon


OK, NOBODY = "ok", "DEVICE_IDENTITY_REQUIRED"
WRONG: Doc = {"auth": {"token": "ho_wrong"}}
BY_PASSWORD: Doc = {"auth": {"password": PASSWORD}}
AS_TOKEN: Doc = {"auth": {"token": PASSWORD}}
CASES: list[tuple[str, dict[str, str], Doc, str]] = [
    # what is given in which way, and what the mode makes of it: the method, or the refusal
    ("password", {}, BY_PASSWORD, "password"),
    ("password", {}, AS_TOKEN, "token"),
    ("password", {}, {"auth": {"password": "wrong"}}, "AUTH_PASSWORD_MISMATCH"),
    ("password", {}, WRONG, "AUTH_TOKEN_MISMATCH"),
    ("password", {}, {}, NOBODY),
    ("password", {}, {"device": Device(1)}, "AUTH_PASSWORD_MISSING"),
    ("trusted-proxy", ADA, {}, "trusted-proxy"),
    ("trusted-proxy", ADA, {"device": Device(3)}, "PAIRING_REQUIRED"),
    ("trusted-proxy", PROXY | {"X-Forwarded-User": "eve"}, {}, "AUTH_UNAUTHORIZED"),
    ("trusted-proxy", PROXY | {"X-Forwarded-User": "twice"}, {}, "AUTH_UNAUTHORIZED"),
    ("trusted-proxy", PROXY | {"X-Forwarded-User": "bot"}, {}, "AUTH_UNAUTHORIZED"),
    ("trusted-proxy", PROXY, {}, "AUTH_IDENTITY_HEADER_REQUIRED"),
    ("trusted-proxy", {"X-Forwarded-User": "ada"}, {}, "trusted-proxy"),
    ("trusted-proxy", ADA, WRONG, "AUTH_TOKEN_MISMATCH"),
]


async def test_who_is_let_in(moded: tuple[str, Daemon]) -> None:
    mode, daemon = moded
    for of, headers, given, expected in CASES:
        if of != mode:
            continue
        async with dialled(daemon, additional_headers=headers) as client:
            reply = await client.greet(scopes=READ, **given)
            said = (
                reply["payload"]["auth"]["method"] if reply["ok"]
                else reply["error"]["details"]["code"]
            )  # fmt: skip
            assert said == expected, (headers, given)


async def test_a_token_is_enough_in_every_mode(moded: tuple[str, Daemon]) -> None:
    mode, daemon = moded
    async with joined(daemon, scopes=READ) as client:
        assert client.hello["auth"]["method"] == "token"
        assert client.hello["snapshot"]["authMode"] == mode
        assert (await client.call("status"))["runtimeVersion"]


async def test_what_they_may(moded: tuple[str, Daemon]) -> None:
    """By scopes: as the secret's would be; and HTTP wants a token, or the password."""
    mode, daemon = moded
    http = daemon.client(PASSWORD)
    status = (await http.get("/api/v1/companies")).status_code
    assert status == (200 if mode == "password" else 401)
    assert (await daemon.anybody.get("/api/v1/companies", headers=ADA)).status_code == 401


async def test_a_proxy_that_nobody_knows(shared: Daemon) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with dialled(shared, additional_headers=ADA):
            pass
    assert refused.value.response.status_code == 403


async def test_the_password_can_be_changed(tmp_path: Path) -> None:
    async with running(tmp_path / "home", **MODES["password"]) as daemon:
        async with dialled(daemon) as client:
            assert (await client.greet(auth={"password": PASSWORD}))["ok"]
        daemon.app.apply(_with(daemon, auth_password="another one entirely"))
        for text, ok in ((PASSWORD, False), ("another one entirely", True)):
            async with dialled(daemon) as client:
                assert (await client.greet(auth={"password": text}))["ok"] is ok


def _with(daemon: Daemon, **values: Any) -> Any:
    import dataclasses

    return dataclasses.replace(daemon.app.settings, **values)


# -- where a client is ---------------------------------------------------------------------

LOCAL = {b"host": b"127.0.0.1:1"}


def via(hops: str) -> dict[bytes, bytes]:
    return LOCAL | {b"x-forwarded-for": hops.encode()}


@pytest.mark.parametrize(
    ("peer", "headers", "trusted", "public", "expected"),
    [
        ("127.0.0.1", LOCAL, (), "", Came("127.0.0.1", False, False, True)),
        ("127.0.0.1", {b"host": b"a.example"}, (), "", Came("127.0.0.1", False, False, False)),
        ("10.0.0.1", LOCAL, (), "", Came("10.0.0.1", False, False, False)),
        ("10.0.0.1", LOCAL, ("10.0.0.1",), "", Came("10.0.0.1", False, False, False)),
        ("10.0.0.1", via("1.2.3.4"), (), "", Came("10.0.0.1", True, False, False)),
        ("10.0.0.1", via("1.2.3.4"), ("10.0.0.0/8",), "", Came("1.2.3.4", True, True, False)),
        ("10.0.0.1", via("6.6.6.6, 1.2.3.4, 10.0.0.2"), ("10.0.0.0/8",), "",
         Came("1.2.3.4", True, True, False)),
        ("10.0.0.1", via("10.0.0.3, 10.0.0.2"), ("10.0.0.0/8",), "",
         Came("10.0.0.3", True, True, False)),
        ("10.0.0.1", via("nonsense"), ("10.0.0.1",), "", Came("10.0.0.1", True, True, False)),
        ("10.0.0.1", via("1.2.3.4"), (), "https://a.example",
         Came("10.0.0.1", True, False, False)),
        ("127.0.0.1", via("1.2.3.4"), (), "https://a.example",
         Came("1.2.3.4", True, False, False)),
        ("127.0.0.1", via("127.0.0.1"), ("127.0.0.1",), "", Came("127.0.0.1", True, True, False)),
        ("unix", LOCAL, ("::1",), "", Came("unix", False, False, False)),
        *(
            ("127.0.0.1", LOCAL | {name: b"x"}, (), "", Came("127.0.0.1", True, False, False))
            for name in (b"forwarded", b"x-real-ip", b"x-forwarded-for", b"x-forwarded-port",
                         b"x-forwarded-user", b"x-forwarded-prefix", b"x-forwarded-anything")
        ),
        ("127.0.0.1", LOCAL | {b"x-forwarded-port": b"1"}, ("127.0.0.1",), "",
         Came("127.0.0.1", True, True, False)),
        ("127.0.0.1", LOCAL | {b"x-forward": b"1"}, (), "",
         Came("127.0.0.1", False, False, True)),
    ],
)  # fmt: skip
async def test_where_it_came_from(
    peer: str, headers: dict[bytes, bytes], trusted: tuple[str, ...], public: str, expected: Came
) -> None:
    assert proxies.came(peer, headers, trusted, public) == expected


# -- wrong secrets over HTTP ---------------------------------------------------------------


async def test_ten_wrong_secrets_lock_an_address_out(tmp_path: Path) -> None:
    more = {"trusted_proxies": ("127.0.0.1",)}
    async with running(tmp_path / "home", **more) as daemon:
        wrong = daemon.client("ho_wrong")

        async def asked(path: str, headers: dict[str, str]) -> int:
            return (await wrong.get(path, headers=headers)).status_code

        for n in range(9):
            path = "/api/v1/companies" if n % 2 else "/v1/models"
            assert await asked(path, PROXY) == 401
        async with dialled(daemon, additional_headers=PROXY) as client:
            assert not (await client.greet("ho_wrong"))["ok"], "sockets count too"
        locked = await wrong.get("/api/v1/companies", headers=PROXY)
        assert (locked.status_code, locked.json()["code"]) == (429, "identity.locked_out")
        assert 290 < int(locked.headers["retry-after"]) <= 300
        own = daemon.client(gateway_token(daemon))
        assert (await own.get("/api/v1/companies", headers=PROXY)).status_code == 429
        assert (await own.get("/health", headers=PROXY)).status_code == 429
        assert (await daemon.anybody.get("/health", headers=PROXY)).status_code == 200
        other = {"X-Forwarded-For": "203.0.113.10"}
        assert (await own.get("/api/v1/companies", headers=other)).status_code == 200
        assert await asked("/api/v1/companies", {}) == 401, "this machine is never locked out"
        async with dialled(daemon, additional_headers=PROXY) as client:
            error = (await client.greet(gateway_token(daemon)))["error"]
            assert error["details"]["code"] == "AUTH_RATE_LIMITED"

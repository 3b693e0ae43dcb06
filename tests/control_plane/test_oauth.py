"""The one door, for programs that nobody knows: which request reaches which unit, and no other."""

from typing import Any

import httpx2
import pytest

from homarus.control_plane.oauth import REGISTER, TOKEN, OAuth, challenge
from homarus.kernel.capabilities import BUILTIN
from homarus.testing.daemon import Daemon
from tests.test_one_door import COMPANY, RecordingStore

CALLBACK = "https://client.example/cb"
GOOD = {
    "grant_type": "authorization_code",
    "code": "oac_" + "0" * 64,
    "client_id": "oc_x",
    "redirect_uri": CALLBACK,
    "code_verifier": "v" * 43,
}


class KnowingStore(RecordingStore):
    """Finds whatever is looked up, so that a request gets as far as it can."""

    async def read(self, fn: Any, *args: Any) -> Any:
        return COMPANY


async def asked(path: str, **request: Any) -> tuple[int, list[str]]:
    store = KnowingStore()
    transport = httpx2.ASGITransport(OAuth(store), raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        reply = await client.post(path, **request)
    for action in store.units:
        assert action.system == "oauth" and not action.credential
        assert BUILTIN[action.capability].system and BUILTIN[action.capability].operator is None
    return reply.status_code, [action.capability for action in store.units]


@pytest.mark.parametrize(
    "path, request_, capabilities",
    [
        (REGISTER, {"json": {"redirect_uris": [CALLBACK]}}, ["oauth.register"]),
        (REGISTER, {"json": {"redirect_uris": ["http://evil.example"]}}, []),
        (REGISTER, {"json": []}, []),
        (REGISTER, {"content": b"{}"}, []),
        (TOKEN, {"data": GOOD}, ["oauth.token"]),
        (TOKEN, {"data": GOOD | {"grant_type": "password"}}, []),
        (TOKEN, {"data": {k: v for k, v in GOOD.items() if k != "code_verifier"}}, []),
        (TOKEN, {"json": GOOD}, []),
    ],
)
async def test_each_request_is_one_unit_of_its_capability_or_none(
    path: str, request_: dict[str, Any], capabilities: list[str]
) -> None:
    assert (await asked(path, **request_))[1] == capabilities


@pytest.mark.parametrize(
    "request_", [{"data": GOOD}, {"data": GOOD | {"client_id": "oc_" + "0" * 32}}]
)
async def test_a_code_that_does_not_exist_leaves_nothing(
    daemon: Daemon, request_: dict[str, Any]
) -> None:
    """Refusals of nobody are not chained: no receipt, no event (design, 5)."""
    before = await heads(daemon)
    for _ in range(3):
        reply = await daemon.anybody.post(TOKEN, **request_)
        assert reply.status_code in (400, 401)
        assert (await daemon.anybody.post(REGISTER, json={})).status_code == 400
    assert await heads(daemon) == before


async def heads(daemon: Daemon) -> list[Any]:
    return await daemon.app.store.read(
        lambda rx: rx.all("select company_no, event_seq, receipt_seq from company_head order by 1")
    )


async def test_behind_a_proxy_the_public_address_is_named(tmp_path: Any) -> None:
    from homarus.testing.daemon import running

    async with running(tmp_path, public_url="https://homarus.example.org") as daemon:
        told = (await daemon.anybody.get("/.well-known/oauth-authorization-server")).json()
        assert told["issuer"] == "https://homarus.example.org"
        assert told["token_endpoint"] == "https://homarus.example.org/api/oauth/token"
        for host, status in (("homarus.example.org", 200), ("evil.example", 403)):
            reply = await daemon.anybody.get("/app/login", headers={"Host": host})
            assert reply.status_code == status


@pytest.mark.parametrize(
    "error, expected",
    [
        ("", b'Bearer realm="homarus", resource_metadata="http://h/.well-known/'
             b'oauth-protected-resource/mcp"'),
        ("invalid_token", b'Bearer realm="homarus", resource_metadata="http://h/.well-known/'
                          b'oauth-protected-resource/mcp", error="invalid_token"'),
    ],
)  # fmt: skip
def test_the_header_that_tells_where_to_ask(error: str, expected: bytes) -> None:
    assert challenge("http://h", error=error) == (b"www-authenticate", expected)

"""Our own client from elsewhere: it proves a key, and waits to be let in (contract, 2.5, 2.6)."""

from pathlib import Path

import pytest

from homarus.base.errors import HomarusError, Refused
from homarus.gateway_client import asking
from homarus.gateway_client.asking import Caller, ask
from homarus.gateway_client.wire import Refusal
from homarus.testing.daemon import running
from tests.gateway.ws.client import PROXIED, REMOTE, gateway_token, joined

METHODS = (
    "`homarus gateway status --json` lists those of that gateway (hello.features.methods); "
    "docs/reference/gateway.md says what ours do."
)


async def test_from_elsewhere(tmp_path: Path) -> None:
    async with running(tmp_path / "home", **PROXIED) as daemon:
        folder = tmp_path / "device"
        caller = Caller(daemon.url, gateway_token(daemon), folder, REMOTE)
        with pytest.raises(Refused) as refused:
            await ask(caller, "status", {})
        request = refused.value.details["requestId"]
        assert f"homarus device approve {request}" in refused.value.remedy
        async with joined(daemon) as owner:
            await owner.call("device.pair.approve", {"requestId": request})
        assert (await ask(caller, "status", {}))["runtimeVersion"]
        assert (folder / "identity.json").stat().st_mode & 0o077 == 0
        stranger = Caller(daemon.url, "ho_wrong", tmp_path / "other", REMOTE)
        with pytest.raises(Refused, match="mismatch"):
            await ask(stranger, "status", {})
        assert not (tmp_path / "other").exists(), "a key is made for those with a secret alone"


@pytest.mark.parametrize(
    ("error", "kind", "code", "remedy"),
    [
        ({"code": "FORBIDDEN", "message": "no"}, "Refused", "FORBIDDEN", "Use another token."),
        ({"code": "INVALID_REQUEST", "message": "unknown method: x"}, "NotFound",
         "INVALID_REQUEST", METHODS),
        ({"code": "UNAVAILABLE", "message": "NOT_FOUND: no program",
          "details": {"code": "NOT_FOUND"}}, "Unavailable", "NOT_FOUND", ""),
        ({"code": "INVALID_REQUEST", "message": "no such. Look.",
          "details": {"code": "thing.unknown", "remedy": "Look."}}, "NotFound", "thing.unknown",
         "Look."),
        ({"code": "INVALID_REQUEST", "message": "no request",
          "details": {"code": "thing.request_unknown", "httpStatus": 404}}, "NotFound",
         "thing.request_unknown", ""),
        ({"code": "INVALID_REQUEST", "message": "over",
          "details": {"code": "thing.request_over", "httpStatus": 409}}, "Conflict",
         "thing.request_over", ""),
        ({"code": "INVALID_REQUEST", "message": "lacks",
          "details": {"code": "thing.lacks", "httpStatus": 422}}, "Incomplete", "thing.lacks", ""),
        ({"code": "INVALID_REQUEST", "message": "odd",
          "details": {"code": "thing.odd", "httpStatus": [404]}}, "Invalid", "thing.odd", ""),
        ({"code": "INVALID_REQUEST", "message": "nobody",
          "details": {"code": "UNKNOWN_AGENT_ID"}}, "NotFound", "UNKNOWN_AGENT_ID", ""),
        ({"code": "INVALID_REQUEST", "message": "unauthorized",
          "details": {"code": "AUTH_TOKEN_MISMATCH", "authReason": "x"}}, "Refused",
         "AUTH_TOKEN_MISMATCH", "Use another token."),
        ({"code": "UNAVAILABLE", "message": "later"}, "Unavailable", "UNAVAILABLE", ""),
        ({}, "Unavailable", "None", ""),
    ],
)  # fmt: skip
def test_errors_of_the_wire_as_ours(
    error: dict[str, object], kind: str, code: str, remedy: str
) -> None:
    found: HomarusError = asking.plain(Refusal(error))
    assert (type(found).__name__, found.code, found.remedy) == (kind, code, remedy)
    assert not found.message.startswith(f"{code}:")

"""Who may connect, as a table (gateway contract, 2.3, 2.5): facts in, a decision out."""

from typing import Any

import pytest

from homarus.gateway.ws import handshake
from homarus.gateway.ws.handshake import Admit, Ask, Client, Connect, Deny, DeviceProof, Facts
from homarus.kernel.devices import Device, Grant
from homarus.kernel.setup_codes import SetupCode
from homarus.kernel.tokens import Token

READ, WRITE, ADMIN = "operator.read", "operator.write", "operator.admin"
OWNER = Token("t1", "", "operator", "owner", "mcp_full", None, "gateway", 0, None, None)
VIEWER = Token("t2", "c", "operator", "viewer", "mcp_full", None, "viewer", 0, None, None)
COMPANY = Token("t3", "c", "runtime", None, "mcp_full", None, "company", 0, None, None)
AGENT = Token("t4", "c", "agent", None, "mcp_full", "a", "agent", 0, None, None)
OF_DEVICE = Token("t5", "c", "operator", "viewer", "device", None, "device", 0, None, None)
PROOF = DeviceProof(id="d", public_key="k", signature="s", signed_at=1, nonce="n")
PAIRED = Device("c", "d", "k", None, None, "linux", None, "cli", "cli", None, "owner", 0, 0)
CODE = {"bootstrap_token": "b"}
OF_NODE = SetupCode("s", "c", "node", "t1", "operator:o", 0, 1, None, None, None, None)
OF_BOTH = SetupCode("s", "c", "limited", "t1", "operator:o", 0, 1, None, None, None, None)
GRANT = Grant("c", "d", "operator", (READ,), "t5", "n", 0, None, None)


def facts(
    token: Token | None = OWNER, *, client: tuple[str, str] = ("cli", "cli"),
    scopes: tuple[str, ...] = (READ,), device: bool = False, direct: bool = True,
    page: bool = False, known: bool = False, grant: Grant | None = None,
    owner_of: Grant | None = None, role: str = "operator", platform: str = "linux",
    auth: dict[str, str] | None = None, code: SetupCode | None = None,
) -> Facts:  # fmt: skip
    about: Any = Client(id=client[0], version="1", platform=platform, mode=client[1])  # type: ignore[arg-type]
    given = handshake.Auth(**({"token": "x"} if auth is None else auth))
    connect = Connect(
        min_protocol=4, max_protocol=4, client=about, role=role, scopes=scopes, auth=given,
        device=PROOF if device else None,
    )  # fmt: skip
    return Facts(connect=connect, direct=direct, page=page, token=token, owner_of=owner_of,
                 device=PAIRED if known else None, grant=grant, code=code)  # fmt: skip


def shown(decided: Admit | Ask | Deny) -> tuple[Any, ...]:
    match decided:
        case Admit(scopes=scopes, method=method, pair=pair):
            return (method, scopes, pair)
        case Ask(scopes=scopes, reason=reason):
            return ("ask", reason, scopes)
        case Deny(fault=fault):
            return (fault.code, fault.details["code"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # nothing, or nothing good
        (facts(None, auth={}), ("NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED")),
        (facts(None, auth={}, device=True), ("INVALID_REQUEST", "AUTH_TOKEN_MISSING")),
        (facts(None), ("INVALID_REQUEST", "AUTH_TOKEN_MISMATCH")),
        (facts(None, auth={"password": "x"}), ("INVALID_REQUEST", "AUTH_TOKEN_MISMATCH")),
        (facts(None, auth={"device_token": "x"}, device=True),
         ("INVALID_REQUEST", "AUTH_DEVICE_TOKEN_MISMATCH")),
        # a set-up code
        (facts(None, auth=CODE, code=OF_NODE), ("NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED")),
        (facts(None, auth=CODE, device=True), ("INVALID_REQUEST", "AUTH_BOOTSTRAP_TOKEN_INVALID")),
        (facts(None, auth=CODE, device=True, code=OF_NODE),
         ("INVALID_REQUEST", "AUTH_BOOTSTRAP_TOKEN_INVALID")),
        (facts(None, auth=CODE, device=True, code=OF_NODE, role="node", scopes=()),
         ("bootstrap-token", (), "code")),
        (facts(None, auth=CODE, device=True, code=OF_BOTH, role="node", direct=False, scopes=()),
         ("bootstrap-token", (), "code")),
        (facts(None, auth=CODE, device=True, code=OF_BOTH, scopes=(ADMIN, READ, READ)),
         ("bootstrap-token", (READ,), "code")),
        (facts(auth=CODE | {"token": "x"}, device=True, code=None), ("token", (READ,), "silent")),
        # a good secret, no device
        (facts(scopes=(ADMIN, READ)), ("token", (ADMIN, READ), "")),
        (facts(auth={"password": "x"}), ("password", (READ,), "")),
        (facts(client=("gateway-client", "backend")), ("token", (READ,), "")),
        (facts(client=("test", "test")), ("token", (), "")),
        (facts(client=("openclaw-probe", "probe")), ("token", (), "")),
        (facts(client=("cli", "ui")), ("token", (), "")),
        (facts(direct=False), ("token", (), "")),
        (facts(role="node"), ("NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED")),
        (facts(client=("openclaw-control-ui", "ui")),
         ("INVALID_REQUEST", "CONTROL_UI_ORIGIN_NOT_ALLOWED")),
        (facts(client=("openclaw-control-ui", "ui"), page=True), ("token", (), "")),
        # no more than the secret itself may; unknown words are no scopes
        (facts(VIEWER, scopes=(ADMIN, READ, WRITE)), ("token", (READ,), "")),
        (facts(scopes=("root", READ, READ)), ("token", (READ,), "")),
        (facts(COMPANY, scopes=(ADMIN, READ)), ("token", (), "")),
        (facts(AGENT, scopes=(ADMIN, READ)), ("token", (), "")),
        # a good secret, a device, on this machine: silently paired
        (facts(device=True), ("token", (READ,), "silent")),
        (facts(device=True, known=True, grant=GRANT), ("token", (READ,), "")),
        (facts(device=True, known=True, grant=GRANT, scopes=(WRITE,)),
         ("token", (WRITE,), "silent")),
        (facts(device=True, known=True, grant=GRANT, platform="mac"),
         ("token", (READ,), "silent")),
        (facts(COMPANY, device=True), ("token", (), "")),
        (facts(device=True, role="node", client=("node-host", "node")), ("token", (), "silent")),
        (facts(COMPANY, device=True, role="node"), ("ask", "not-paired", ())),
        # from elsewhere: somebody has to say yes
        (facts(device=True, direct=False), ("ask", "not-paired", (READ,))),
        (facts(device=True, direct=False, known=True), ("ask", "role-upgrade", (READ,))),
        (facts(device=True, direct=False, known=True, grant=GRANT), ("token", (READ,), "")),
        (facts(device=True, direct=False, known=True, grant=GRANT, scopes=(WRITE,)),
         ("ask", "scope-upgrade", (WRITE,))),
        (facts(device=True, direct=False, known=True, grant=GRANT, platform="mac"),
         ("ask", "metadata-upgrade", (READ,))),
        # by the device's own token
        (facts(OF_DEVICE, device=True, known=True, grant=GRANT, owner_of=GRANT),
         ("device-token", (READ,), "")),
        (facts(OF_DEVICE, device=True, known=True, grant=GRANT, owner_of=GRANT, scopes=()),
         ("device-token", (), "")),
        (facts(OF_DEVICE, device=True, known=True, grant=GRANT, owner_of=GRANT, scopes=(WRITE,)),
         ("INVALID_REQUEST", "AUTH_SCOPE_MISMATCH")),
        (facts(OF_DEVICE, owner_of=GRANT), ("NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED")),
        (facts(OF_DEVICE, device=True), ("INVALID_REQUEST", "AUTH_DEVICE_TOKEN_MISMATCH")),
        (facts(OF_DEVICE, device=True, owner_of=GRANT, role="node"),
         ("INVALID_REQUEST", "AUTH_DEVICE_TOKEN_MISMATCH")),
        (facts(OF_DEVICE, device=True, owner_of=Grant("c", "e", "operator", (READ,), "t5", "n", 0,
                                                      None, None)),
         ("INVALID_REQUEST", "AUTH_DEVICE_TOKEN_MISMATCH")),
        (facts(OF_DEVICE, device=True, known=True, grant=GRANT, owner_of=GRANT, direct=False,
               platform="mac"), ("ask", "metadata-upgrade", (READ,))),
    ],
)  # fmt: skip
def test_decisions(given: Facts, expected: tuple[Any, ...]) -> None:
    assert shown(handshake.decide(given)) == expected


@pytest.mark.parametrize(
    ("client", "role", "least", "most", "spoken"),
    [
        (("cli", "cli"), "operator", 4, 4, 4),
        (("cli", "cli"), "operator", 1, 9, 4),
        (("cli", "cli"), "operator", 3, 3, None),
        (("cli", "cli"), "operator", 5, 9, None),
        (("cli", "cli"), "operator", 4, 3, None),
        (("openclaw-probe", "probe"), "operator", 3, 4, 4),
        (("openclaw-probe", "probe"), "operator", 3, 3, 3),
        (("openclaw-probe", "probe"), "operator", 2, 2, None),
        (("node-host", "node"), "node", 3, 3, 3),
        (("node-host", "node"), "operator", 3, 3, None),
    ],
)
def test_versions(
    client: tuple[str, str], role: str, least: int, most: int, spoken: int | None
) -> None:
    about: Any = Client(id=client[0], version="1", platform="x", mode=client[1])  # type: ignore[arg-type]
    got = handshake.version(Connect(min_protocol=least, max_protocol=most, client=about, role=role))
    if spoken is not None:
        assert got == spoken
        return
    assert isinstance(got, Deny) and got.code == 1002
    assert got.fault.details == {
        "code": "PROTOCOL_MISMATCH", "clientMinProtocol": least, "clientMaxProtocol": most,
        "expectedProtocol": 4, "minimumProbeProtocol": 3,
    }  # fmt: skip

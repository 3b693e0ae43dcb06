"""Who may connect, with which scopes, decided from facts (gateway contract, 2.2 to 2.6). Pure.

    decide(facts) -> Admit      come in, with these scopes
                  -> Ask        the device has to be let in by an operator first
                  -> Deny       an error, and the code that the socket closes with

A secret decides what may be had at most; a device's key says who it is. Being on this machine
spares the device the approval, never the secret (design, 5).
"""

from typing import Any, Final, Literal

import msgspec

from homarus.gateway.ws import frames
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.signature import Signed, Unproven
from homarus.kernel import devices, scopes, tokens
from homarus.kernel.devices import NODE, OPERATOR, Device, Grant
from homarus.kernel.setup_codes import SetupCode
from homarus.kernel.tokens import Token

ClientId = Literal[
    "webchat-ui", "openclaw-control-ui", "openclaw-browser-copilot", "openclaw-tui", "webchat",
    "cli", "gateway-client", "openclaw-macos", "openclaw-linux", "openclaw-ios",
    "openclaw-watchos", "openclaw-android", "node-host", "openclaw-worker", "test", "fingerprint",
    "openclaw-probe",
]  # fmt: skip
ClientMode = Literal["webchat", "cli", "ui", "backend", "node", "worker", "probe", "test"]
CONTROL_UI: Final = "openclaw-control-ui"
KEEPS_SCOPES: Final = frozenset({("cli", "cli"), ("gateway-client", "backend")})
"""Client id and mode that need no device on this machine to keep what they ask for."""
EPHEMERAL: Final = frozenset({"cli", "backend", "probe"})
"""Modes that are not tracked in presence."""
TRUSTED_PROXY: Final = "trusted-proxy"
MAX_NAMES: Final = 200


class Client(Params):
    id: ClientId
    version: str
    platform: str
    mode: ClientMode
    display_name: str | None = None
    build_id: str | None = None
    device_family: str | None = None
    model_identifier: str | None = None
    time_zone: str | None = None
    instance_id: str | None = None


class DeviceProof(Params):
    id: str
    public_key: str
    signature: str
    signed_at: int
    nonce: str


class Auth(Params):
    token: str | None = None
    password: str | None = None
    device_token: str | None = None
    bootstrap_token: str | None = None
    approval_runtime_token: str | None = None
    agent_runtime_identity_token: str | None = None


class Catalog(Params):
    agent_id: str | None = None
    session_key: str | None = None


class Connect(Params):
    min_protocol: int
    max_protocol: int
    client: Client
    caps: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    permissions: dict[str, bool] = msgspec.field(default_factory=dict)
    path_env: str | None = None
    role: str = OPERATOR
    scopes: tuple[str, ...] = ()
    device: DeviceProof | None = None
    locale: str | None = None
    user_agent: str | None = None
    auth: Auth | None = None
    computer_use: Any = None
    worker_runs: Any = None
    model_catalog: Catalog | None = None


class Facts(msgspec.Struct, frozen=True):
    """`mode`: of `gateway.auth.mode`; `by`: what `token` was found by where no secret was given:
    `none` (this machine), `trusted-proxy` (the name that it sent).

    `direct`: from this machine, by its own name, not through a proxy. `token`: the live one that
    was given; `owner_of`: the grant that it belongs to, when it is a device's. `device`, `grant`:
    what is known of the device that proved its key, in the role it asks for. `code`: the one of its
    bootstrap token."""

    connect: Connect
    direct: bool
    page: bool
    token: Token | None
    mode: str = "token"
    by: str = ""
    owner_of: Grant | None = None
    device: Device | None = None
    grant: Grant | None = None
    code: SetupCode | None = None


class Admit(msgspec.Struct, frozen=True):
    """`method`: how, for the client; `pair`: what has to be written first: nothing, `silent` (grant
    what is asked for), `token` (the grant has none yet), or `code` (it is used up for a grant)."""

    scopes: tuple[str, ...]
    method: str
    pair: str = ""


class Ask(msgspec.Struct, frozen=True):
    scopes: tuple[str, ...]
    reason: str


class Deny(msgspec.Struct, frozen=True):
    fault: Any
    code: int = frames.POLICY


def secrets_of(connect: Connect) -> tuple[str, ...]:
    """Secrets in the order in which they are tried."""
    auth = connect.auth or Auth()
    given = (auth.token, auth.password, auth.device_token)
    return tuple(dict.fromkeys(text for text in given if text))


def bootstrap_of(connect: Connect) -> str:
    """The bootstrap token, where it is the only secret: the signature covers just one."""
    auth = connect.auth or Auth()
    return "" if secrets_of(connect) else auth.bootstrap_token or ""


def gives_secret(connect: Connect) -> bool:
    return bool(secrets_of(connect) or bootstrap_of(connect))


def signed_by(connect: Connect) -> Signed | None:
    """What the device says it signed."""
    proof, client = connect.device, connect.client
    if proof is None:
        return None
    auth = connect.auth or Auth()
    return Signed(
        device=proof.id, public_key=proof.public_key, signature=proof.signature,
        signed_ms=proof.signed_at, nonce=proof.nonce, client_id=client.id,
        client_mode=client.mode, role=connect.role, scopes=connect.scopes,
        token=auth.token or auth.device_token or auth.bootstrap_token or "",
        platform=client.platform, family=client.device_family or "",
    )  # fmt: skip


def version(connect: Connect) -> int | Deny:
    """The protocol that is spoken from here on."""
    old = connect.client.mode == "probe" or (connect.role == NODE and connect.client.mode == "node")
    least = frames.OLDEST_PROTOCOL if old else frames.PROTOCOL
    spoken = min(frames.PROTOCOL, connect.max_protocol)
    if connect.min_protocol <= frames.PROTOCOL and spoken >= max(least, 1, connect.min_protocol):
        return spoken
    details = {
        "code": "PROTOCOL_MISMATCH",
        "clientMinProtocol": connect.min_protocol,
        "clientMaxProtocol": connect.max_protocol,
        "expectedProtocol": frames.PROTOCOL,
        "minimumProbeProtocol": frames.OLDEST_PROTOCOL,
    }
    fault = Fault(frames.INVALID_REQUEST, "protocol mismatch", details)
    return Deny(fault, frames.PROTOCOL_ERROR)


def shape(connect: Connect) -> Deny | None:
    """What the schema cannot say."""
    if connect.role not in devices.ROLES:
        return Deny(Fault(frames.INVALID_REQUEST, "invalid role"))
    for name, least in (("min", connect.min_protocol), ("max", connect.max_protocol)):
        if least < 1:
            return Deny(frames.bad_params("connect", f"at /{name}Protocol: must be >= 1"))
    for name in ("scopes", "caps", "commands", "permissions"):
        if len(getattr(connect, name)) > MAX_NAMES:
            return Deny(frames.bad_params("connect", f"at {name}: at most {MAX_NAMES} items"))
    client = connect.client
    for name, text, most in (
        ("buildId", client.build_id, 96), ("timeZone", client.time_zone, 64),
        ("version", client.version, 128), ("platform", client.platform, 128),
        ("displayName", client.display_name, 200), ("deviceFamily", client.device_family, 128),
        ("modelIdentifier", client.model_identifier, 128),
        ("instanceId", client.instance_id, 128),
    ):  # fmt: skip
        if text is not None and len(text) > most:
            return Deny(
                frames.bad_params("connect", f"at client/{name}: at most {most} characters")
            )
    return None


def unproven(why: Unproven) -> Deny:
    details = {"code": why.code, "reason": why.reason}
    return Deny(Fault(frames.INVALID_REQUEST, why.message, details))


def decide(facts: Facts) -> Admit | Ask | Deny:
    """The table of the contract, 2.5."""
    connect = facts.connect
    if connect.client.id == CONTROL_UI and not facts.page:
        return _refused("CONTROL_UI_ORIGIN_NOT_ALLOWED", "origin not allowed")
    if bootstrap_of(connect):
        return _by_code(facts)
    if not secrets_of(connect):
        if facts.token is not None:
            return _by_secret(facts, facts.token)
        return _nothing_given(facts)
    if facts.token is None:
        auth = connect.auth or Auth()
        if auth.device_token and not auth.token and not auth.password:
            return _device_token_mismatch(facts)
        word = _word(facts, (auth.token or auth.password) == auth.password)
        return _unauthorized(facts, f"AUTH_{word.upper()}_MISMATCH", f"{word}_mismatch",
                             f"gateway {word} mismatch", "update_auth_credentials")  # fmt: skip
    if facts.token.scope == tokens.DEVICE:
        return _by_device_token(facts)
    return _by_secret(facts, facts.token)


def _nothing_given(facts: Facts) -> Deny:
    if facts.by == TRUSTED_PROXY:
        return _unauthorized(facts, "AUTH_UNAUTHORIZED", "trusted_proxy_user_not_allowed",
                             "no token is called as this user",
                             "review_auth_configuration")  # fmt: skip
    if facts.mode == TRUSTED_PROXY:
        return _unauthorized(facts, "AUTH_IDENTITY_HEADER_REQUIRED", "trusted_proxy_user_missing",
                             "no trusted proxy says who this is",
                             "review_auth_configuration")  # fmt: skip
    if facts.connect.device is None:
        return _device_required()
    word = _word(facts, True)
    return _unauthorized(facts, f"AUTH_{word.upper()}_MISSING", f"{word}_missing",
                         f"gateway {word} missing (set gateway.remote.{word})",
                         "update_auth_configuration")  # fmt: skip


def _word(facts: Facts, given_so: bool) -> str:
    """What the secret is called in this mode."""
    return "password" if facts.mode == "password" and given_so else "token"


def _by_device_token(facts: Facts) -> Admit | Ask | Deny:
    connect, held = facts.connect, facts.owner_of
    if connect.device is None:
        return _device_required()
    if held is None or (held.device, held.role) != (connect.device.id, connect.role):
        return _device_token_mismatch(facts)
    wanted = tuple(dict.fromkeys(connect.scopes))
    if not set(wanted) <= scopes.closure(held.scopes):
        return _unauthorized(facts, "AUTH_SCOPE_MISMATCH", "scope_mismatch",
                             "device token does not have these scopes",
                             "review_auth_configuration")  # fmt: skip
    if not facts.direct and _moved(facts):
        return Ask(held.scopes, "metadata-upgrade")
    return Admit(wanted, "device-token")


def _by_code(facts: Facts) -> Admit | Deny:
    connect, code = facts.connect, facts.code
    if connect.device is None:
        return _device_required()
    if code is None:
        return code_invalid(facts)
    allowed = code.grants.get(connect.role)
    if allowed is None:
        return _unauthorized(facts, "AUTH_BOOTSTRAP_TOKEN_INVALID", "bootstrap_token_invalid",
                             f"this setup code is for {' and '.join(code.grants)}, not for "
                             f"{connect.role}", "update_auth_credentials")  # fmt: skip
    return Admit(scopes.granted(connect.scopes, allowed), "bootstrap-token", "code")


def _by_secret(facts: Facts, token: Token) -> Admit | Ask | Deny:
    connect = facts.connect
    most = scopes.held(token.kind, token.role)
    wanted = scopes.granted(connect.scopes, most)
    password = (connect.auth or Auth()).password is not None
    method = facts.by or ("password" if password else "token")
    if connect.device is None:
        if connect.role == NODE:
            return _device_required()
        keeps = facts.direct and (connect.client.id, connect.client.mode) in KEEPS_SCOPES
        return Admit(wanted if keeps else (), method)
    if connect.role == NODE:
        wanted = ()
    elif not most:
        return Admit((), method)  # a company's or an agent's token: no operator's scopes
    reason = _reason(facts, wanted)
    if facts.direct and (connect.role == OPERATOR or scopes.WRITE in most):
        silent = reason is not None or facts.grant is None or facts.grant.token is None
        return Admit(wanted, method, "silent" if silent else "")
    if reason is not None:
        return Ask(wanted, reason)
    has_token = facts.grant is not None and facts.grant.token is not None
    return Admit(wanted, method, "" if has_token else "token")


def _reason(facts: Facts, wanted: tuple[str, ...]) -> str | None:
    """Why the device has to be let in (again); None: it need not."""
    if facts.device is None:
        return "not-paired"
    if facts.grant is None:
        return "role-upgrade"
    if not set(wanted) <= scopes.closure(facts.grant.scopes):
        return "scope-upgrade"
    return "metadata-upgrade" if _moved(facts) else None


def _moved(facts: Facts) -> bool:
    """Whether it says to be another kind of machine than the one that was let in."""
    known, client = facts.device, facts.connect.client
    if known is None:
        return False
    return (known.platform, known.family) != (client.platform, client.device_family)


# -- refusals ------------------------------------------------------------------------------


def _device_required() -> Deny:
    details = {"code": "DEVICE_IDENTITY_REQUIRED"}
    return Deny(Fault(frames.NOT_PAIRED, "device identity required", details))


def code_invalid(facts: Facts) -> Deny:
    return _unauthorized(facts, "AUTH_BOOTSTRAP_TOKEN_INVALID", "bootstrap_token_invalid",
                         "bootstrap token invalid or expired (take a fresh setup code)",
                         "update_auth_credentials")  # fmt: skip


def _device_token_mismatch(facts: Facts) -> Deny:
    return _unauthorized(facts, "AUTH_DEVICE_TOKEN_MISMATCH", "device_token_mismatch",
                         "device token mismatch (rotate or pair the device again)",
                         "update_auth_credentials")  # fmt: skip


def _unauthorized(facts: Facts, code: str, reason: str, message: str, step: str) -> Deny:
    again = code in ("AUTH_TOKEN_MISMATCH", "AUTH_PASSWORD_MISMATCH") and facts.grant is not None
    details = {
        "code": code,
        "authReason": reason,
        "canRetryWithDeviceToken": again,
        "recommendedNextStep": "retry_with_device_token" if again else step,
    }
    return Deny(Fault(frames.INVALID_REQUEST, f"unauthorized: {message}", details))


def _refused(code: str, message: str) -> Deny:
    return Deny(Fault(frames.INVALID_REQUEST, message, {"code": code}))


def limited(retry_ms: int) -> Deny:
    details = {"code": "AUTH_RATE_LIMITED", "authReason": "rate_limited",
               "canRetryWithDeviceToken": False,
               "recommendedNextStep": "wait_then_retry"}  # fmt: skip
    message = "unauthorized: too many failed attempts; retry later"
    return Deny(Fault(frames.INVALID_REQUEST, message, details, retry_ms=retry_ms))


def pairing_required(reason: str, row: devices.Pairing, held: Grant | None) -> Deny:
    details: dict[str, Any] = {
        "code": "PAIRING_REQUIRED",
        "reason": reason,
        "requestId": row.id,
        "remediationHint": f"Approve it: openclaw devices approve {row.id}",
        "deviceId": row.device,
        "requestedRole": row.role,
        "requestedScopes": list(row.scopes),
    }
    if held is not None:
        details |= {"approvedRoles": [held.role], "approvedScopes": list(held.scopes)}
    message = f"pairing required: {_SENTENCE[reason]} (requestId: {row.id})"
    return Deny(Fault(frames.NOT_PAIRED, message, details))


_SENTENCE: Final = {
    "not-paired": "device is not approved yet",
    "role-upgrade": "device is asking for a higher role than currently approved",
    "scope-upgrade": "device is asking for more scopes than currently approved",
    "metadata-upgrade": "device identity changed and must be re-approved",
}

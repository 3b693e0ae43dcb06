"""What a bridge is told: flags, then HOMARUS_*, then EMPEROR_* variables, then its file.

The file is the companion's `bridge.config.json` (schemaVersion 1; control-plane contract, 14); a
bridge reads of it what it needs and passes over the rest.
"""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base import private
from homarus.base.errors import Invalid, NotFound
from homarus.bridge.rules import BASE_S, CAP_S
from homarus.client.paths import base_url

SCHEMA: Final = 1
HOME: Final = "~/.openclaw"
COMPANION: Final = "emperor-control-plane"
JOURNAL: Final = "bridge-state.json"
MAX_CONFIG_BYTES: Final = 1024 * 1024

HEARTBEAT_S: Final = 30.0
SYNC_S: Final = 15.0
TASK_S: Final = 3_600.0
REPLY_S: Final = 300.0
DRAIN_S: Final = 20.0
OPEN_S: Final = 10.0
LEASE_S: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of them, resolved. `exec` and `reply`: argvs of programs, () for none."""

    url: str
    token: str = field(repr=False)
    company: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    role: str | None = None
    runtime_id: str | None = None
    session_id: str | None = None
    journal: Path
    exec: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    idempotent: bool = False
    addressed_only: bool = False
    max_tasks: int = 1
    lease_s: int = LEASE_S
    heartbeat_s: float = HEARTBEAT_S
    sync_s: float = SYNC_S
    task_s: float = TASK_S
    reply_s: float = REPLY_S
    drain_s: float = DRAIN_S
    open_s: float = OPEN_S
    base_s: float = BASE_S
    cap_s: float = CAP_S
    workdir: Path = Path()
    passed: tuple[str, ...] = ()
    once: bool = False

    @property
    def hostname(self) -> str:
        return socket.gethostname() or "localhost"


class Reconnect(msgspec.Struct, rename="camel"):
    base_delay_ms: int | None = None
    max_delay_ms: int | None = None


class ConfigFile(msgspec.Struct, rename="camel"):
    """What a bridge reads of `bridge.config.json`; `agentName`, `exec`, `reply` are ours.
    `tokenFile`: where the companion keeps the token for `apiBaseUrl`."""

    schema_version: int = SCHEMA
    api_base_url: str | None = None
    token_file: str | None = None
    state_dir: str | None = None
    bridge_state_path: str | None = None
    companion_dir: str | None = None
    openclaw_home: str | None = None
    workspace: str | None = None
    agent_name: str | None = None
    doctor_agent_name: str | None = None
    runtime_id: str | None = None
    reconnect_policy: Reconnect | None = None
    exec: list[str] = []
    reply: list[str] = []


def read_config(path: Path) -> ConfigFile:
    """Raises `bridge.config_missing`, `bridge.config`."""
    try:
        with path.expanduser().open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES)
    except FileNotFoundError as error:
        raise NotFound(
            "bridge.config_missing", f"there is no {path}", "Correct --config, or leave it out."
        ) from error
    try:
        found = msgspec.convert(json.loads(raw), ConfigFile)
    except (ValueError, RecursionError) as error:
        raise Invalid(
            "bridge.config", f"{path} is no configuration of a bridge: {error}", "Correct the file."
        ) from error
    if found.schema_version != SCHEMA:
        raise Invalid(
            "bridge.config",
            f"{path} has schemaVersion {found.schema_version}, this bridge reads {SCHEMA}",
            "Write it anew with this version's tools.",
        )
    return found


def journal_path(given: str | None, env: Mapping[str, str], file: ConfigFile) -> Path:
    """Where the journal is (contract, 13.1): the most exact word wins, a flag before a variable
    before the file."""
    state_path = given or env.get("EMPEROR_CLAW_BRIDGE_STATE_PATH") or file.bridge_state_path
    if state_path:
        return Path(state_path).expanduser()
    state_dir = env.get("EMPEROR_CLAW_STATE_DIR") or file.state_dir
    if state_dir:
        return Path(state_dir).expanduser() / JOURNAL
    companion = env.get("EMPEROR_CLAW_COMPANION_DIR") or file.companion_dir
    if not companion:
        companion = str(Path(file.openclaw_home or HOME) / COMPANION)
    return Path(companion).expanduser() / "state" / JOURNAL


def resolve(
    flags: Mapping[str, Any],
    env: Mapping[str, str],
    file: ConfigFile,
    *,
    own: tuple[str, str] | None = None,
) -> Settings:
    """`flags`: fields of Settings as they were given, None for what was not; `journal` as text.
    `own`: address and token of the daemon of this home, when nothing else is named.

    The home's token goes to the home's own daemon only, the file's to the file's own. Raises
    `bridge.no_url`, `bridge.no_token`, `bridge.agent_missing`, `client.url`.
    """

    def first(name: str, *variables: str, filed: str | None = None) -> str | None:
        words = (flags.get(name), *(env.get(variable) for variable in variables), filed)
        return next((str(word) for word in words if word), None)

    url = first("url", "HOMARUS_URL", "EMPEROR_CLAW_API_URL", filed=file.api_base_url)
    token = first("token", "HOMARUS_TOKEN", "EMPEROR_CLAW_API_TOKEN")
    if url is None and own is None:
        raise Invalid(
            "bridge.no_url", "no daemon is named", "Give --url, or HOMARUS_URL, or start one here."
        )
    address = base_url(url if url is not None else own[0] if own else "")
    if token is None and own is not None and address == base_url(own[0]):
        token = own[1]
    if token is None:
        token = _filed_token(file, address)
    if token is None:
        raise Invalid(
            "bridge.no_token",
            "a bridge needs a company's token",
            "Give --token or HOMARUS_TOKEN; an owner makes one: `homarus token create bridge`.",
        )
    name = first(
        "agent_name", "HOMARUS_AGENT", "EMPEROR_AGENT_NAME",
        filed=file.agent_name or file.doctor_agent_name,
    )  # fmt: skip
    agent_id = first("agent_id", "HOMARUS_AGENT_ID")
    if name is None and agent_id is None:
        raise Invalid("bridge.agent_missing", "no agent is named", "Give --agent-name NAME.")
    policy = file.reconnect_policy or Reconnect()
    plain = {
        key: value
        for key, value in flags.items()
        if value is not None and key in _PLAIN and value != ()
    }
    filed: dict[str, Any] = {"exec": tuple(file.exec), "reply": tuple(file.reply)}
    if policy.base_delay_ms:
        filed["base_s"] = policy.base_delay_ms / 1000
    if policy.max_delay_ms:
        filed["cap_s"] = policy.max_delay_ms / 1000
    if file.workspace:
        filed["workdir"] = Path(file.workspace).expanduser()
    return Settings(
        url=address,
        token=token,
        company=first("company", "HOMARUS_COMPANY"),
        agent_id=agent_id,
        agent_name=name,
        runtime_id=first(
            "runtime_id", "HOMARUS_RUNTIME_ID", "EMPEROR_RUNTIME_ID", filed=file.runtime_id
        ),
        session_id=first("session_id"),
        journal=journal_path(flags.get("journal"), env, file),
        **(filed | plain),
    )


def _filed_token(file: ConfigFile, address: str) -> str | None:
    if not file.token_file or not file.api_base_url or base_url(file.api_base_url) != address:
        return None
    return private.read(Path(file.token_file).expanduser()) or None


_PLAIN: Final = frozenset(
    {
        "role", "exec", "reply", "idempotent", "addressed_only", "max_tasks", "lease_s",
        "heartbeat_s", "sync_s", "task_s", "reply_s", "drain_s", "base_s", "cap_s", "workdir",
        "open_s", "passed", "once",
    }
)  # fmt: skip

"""bridge.config.json: what a machine knows of its control plane (contract, 14).

Keys that this version does not know are a person's, and stay. The token is not in it; `tokenFile`
says where it lies.
"""

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid

NAME: Final = "bridge.config.json"
SCHEMA_VERSION: Final = 1
MAX_BYTES: Final = 256 * 1024
RESOURCE_SCOPES: Final = ("company", "customer", "project", "agent")
ARTIFACT_KINDS: Final = ("report", "document", "data", "image", "archive", "log")


class ReconnectPolicy(msgspec.Struct, frozen=True, rename="camel"):
    base_delay_ms: int = 2_000
    max_delay_ms: int = 60_000


class Saved(msgspec.Struct, frozen=True, rename="camel"):
    """The keys that commands read; None: not there. Paths are absolute."""

    schema_version: int = SCHEMA_VERSION
    api_base_url: str | None = None
    ws_url: str | None = None
    bridge_entry: str | None = None
    state_dir: str | None = None
    bridge_state_path: str | None = None
    workspace: str | None = None
    doctor_agent_name: str | None = None
    agent_id: str | None = None
    runtime_id: str | None = None
    openclaw_home: str | None = None
    companion_dir: str | None = None
    token_file: str | None = None
    resource_scopes: tuple[str, ...] = RESOURCE_SCOPES
    artifact_kinds: tuple[str, ...] = ARTIFACT_KINDS
    reconnect_policy: ReconnectPolicy = ReconnectPolicy()


class Config(msgspec.Struct, frozen=True):
    """`found`: the file is there. `whole`: every key of it, known or not."""

    path: Path
    found: bool
    saved: Saved
    whole: dict[str, Any]

    def need(self) -> None:
        """Raises `companion.no_config`."""
        if not self.found:
            raise Invalid(
                "companion.no_config",
                f"there is no {self.path}",
                "`homarus companion bootstrap` makes it; --config names another.",
            )


def read(path: Path) -> Config:
    """Raises `companion.config` (unreadable or torn), `companion.schema` (not of our version)."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Config(path, False, Saved(), {})
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror or error}") from error
    if len(text) > MAX_BYTES:
        raise _bad(path, f"has more than {MAX_BYTES} bytes")
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"is no JSON: {error}") from error
    if not isinstance(whole, dict):
        raise _bad(path, "is no JSON object")
    version = whole.get("schemaVersion")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise Conflict(
            "companion.schema",
            f"{path} has schemaVersion {json.dumps(version)[:40]}; this version of Homarus writes "
            f"{SCHEMA_VERSION}",
            "Upgrade Homarus, or move the file away and run `homarus companion bootstrap`.",
        )
    try:
        return Config(path, True, msgspec.convert(whole, Saved), whole)
    except msgspec.ValidationError as error:
        raise _bad(path, f"has a key of the wrong type: {error}") from error


def _bad(path: Path, what: str) -> Invalid:
    return Invalid(
        "companion.config",
        f"{path} {what}",
        "Correct it, or move it away and run `homarus companion bootstrap`.",
    )


def text(whole: dict[str, Any]) -> bytes:
    return (json.dumps(whole, ensure_ascii=False, indent=2) + "\n").encode()

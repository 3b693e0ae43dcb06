"""bootstrap and repair: write the companion directory.

The configuration comes last, so that it never names a file that is not there yet.
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.companion import config, files, journal, launchers
from homarus.companion.settings import TOKEN, Settings, checked
from homarus.control_plane import downloads

COPIES: Final = "backups"
BRIDGE_ENTRY: Final = "bridge.js"


@dataclass(frozen=True)
class Written:
    """`kept`: copies of what a person had changed. `token_file` None: the token is not stored."""

    config: Path
    folder: Path
    token_file: Path | None
    kept: list[Path]


def write(settings: Settings, *, keep_token: bool) -> Written:
    """Make every file anew; the journal only if it is missing.

    `keep_token`: a token that came by option or environment is stored. Raises `companion.*`.
    """
    place = settings.companion_dir
    copies = place / COPIES
    files.folder(place)
    files.folder(settings.state_dir, own=True)
    files.folder(settings.journal.parent)
    token_file = _store_token(settings, keep_token)
    policy = settings.config.saved.reconnect_policy
    files.create(settings.journal, journal.empty(policy))
    facts = launchers.Facts(
        program=_program(),
        url=settings.need_url(),
        config=settings.config.path,
        companion_dir=place,
        state_dir=settings.state_dir,
        journal=settings.journal,
        token_file=token_file,
        agent_name=settings.agent_name,
        runtime_id=settings.runtime_id,
    )
    entry = launchers.Text(BRIDGE_ENTRY, downloads.launcher(BRIDGE_ENTRY, "bridge"), files.PRIVATE)
    kept = [
        files.renew(place / text.name, text.content, text.mode, copies)
        for text in (*launchers.texts(facts), entry)
    ]
    whole = config.text(_whole(settings, token_file))
    kept.append(files.renew(settings.config.path, whole, files.PRIVATE, copies))
    return Written(settings.config.path, place, token_file, [at for at in kept if at is not None])


def _whole(settings: Settings, token_file: Path | None) -> dict[str, Any]:
    """All keys of the configuration: a person's own ones and edits, then what was resolved."""
    kept, saved = settings.config.whole, settings.config.saved
    place = settings.companion_dir
    whole: dict[str, Any] = kept | {
        "schemaVersion": config.SCHEMA_VERSION,
        "apiBaseUrl": settings.need_url(),
        "wsUrl": settings.need_socket(),
        "bridgeEntry": checked(saved.bridge_entry or str(place / BRIDGE_ENTRY)),
        "stateDir": str(settings.state_dir),
        "bridgeStatePath": str(settings.journal),
        "workspace": str(settings.workspace),
        "doctorAgentName": settings.agent_name,
        "runtimeId": settings.runtime_id,
        "openclawHome": str(settings.openclaw_home),
        "companionDir": str(place),
        "resourceScopes": list(saved.resource_scopes),
        "artifactKinds": list(saved.artifact_kinds),
        "reconnectPolicy": kept.get("reconnectPolicy", {})
        | msgspec.to_builtins(saved.reconnect_policy),
    }
    for name, value in (("agentId", settings.agent_id), ("tokenFile", token_file)):
        whole.pop(name, None)
        if value is not None:
            whole[name] = str(value)
    return whole


def _store_token(settings: Settings, keep_token: bool) -> Path | None:
    """Where the token lies afterwards."""
    token = settings.token
    if token is None or (token.file is None and not keep_token):
        return settings.token_file
    if token.file is not None:
        return token.file
    if token.of_operator:
        raise Invalid(
            "companion.operator_token",
            f"{token.given_by} gives an operator's token, which is not for a runtime to keep",
            "Mint one for the runtime: `homarus token create NAME`.",
        )
    path = settings.companion_dir / TOKEN
    files.replace(path, f"{token.secret}\n".encode())
    return path


def _program() -> str:
    """How this Homarus is started: the script beside its Python, else what PATH has."""
    name = "homarus.exe" if sys.platform == "win32" else "homarus"
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which("homarus") or "homarus"

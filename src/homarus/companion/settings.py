"""What a command works with: options, else environment, else bridge.config.json, else defaults.

HOMARUS_URL and HOMARUS_TOKEN, which a person sets for the command line, come after the file: a
directory that is set up does not change with the terminal it is used from.
"""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from homarus.base import private
from homarus.base.errors import Invalid, Unauthenticated
from homarus.companion import config
from homarus.companion.config import Config

FOLDER: Final = "emperor-control-plane"
JOURNAL: Final = "bridge-state.json"
TOKEN: Final = "company.token"  # noqa: S105 - a file's name
SOCKET_PATH: Final = "/api/mcp/ws"
MAX_VALUE: Final = 4_096
MAX_NAME: Final = 200
_MOUNT: Final = re.compile(r"/api/(mcp|v1)/*$")
_SLUG: Final = re.compile(r"[\w.-]{1,200}", re.ASCII)
_TOKEN: Final = re.compile(r"[!-~]{1,512}")


@dataclass(frozen=True)
class Options:
    """What the command line gave; None: nothing."""

    api_base_url: str | None = None
    token: str | None = None
    config: str | None = None
    openclaw_home: str | None = None
    workspace: str | None = None
    bridge_state_path: str | None = None
    agent_name: str | None = None
    agent_id: str | None = None
    runtime_id: str | None = None
    session_id: str | None = None
    company: str | None = None


@dataclass(frozen=True)
class Neighbour:
    """The daemon of this machine's Homarus home, if there is one: its address, its token's file."""

    url: str | None = None
    token_file: Path | None = None


@dataclass(frozen=True)
class Token:
    """`file` is where it lies, None when it came by option or environment."""

    secret: str
    given_by: str
    file: Path | None = None

    @property
    def of_operator(self) -> bool:
        """Whether it stands for a person (design, 5)."""
        return self.secret.startswith("ho_")


@dataclass(frozen=True)
class Settings:
    """Everything resolved. `url`, `token` None: not known; see `need_url`, `need_token`.

    `token_file`: where the configuration says that the token for `url` lies. `company`: the one to
    act in, for an operator's token; every other token belongs to one.
    """

    config: Config
    url: str | None
    ws_url: str | None
    token: Token | None
    token_file: Path | None
    openclaw_home: Path
    companion_dir: Path
    state_dir: Path
    journal: Path
    workspace: Path
    agent_name: str
    agent_id: str | None
    runtime_id: str
    session_id: str | None
    company: str | None

    def need_url(self) -> str:
        """Raises `companion.no_url`."""
        if self.url is None:
            raise Invalid(
                "companion.no_url",
                "no control plane is known",
                "Give --api-base-url or EMPEROR_CLAW_API_URL, e.g. http://127.0.0.1:18789.",
            )
        return self.url

    def need_socket(self) -> str:
        """Raises `companion.no_url`."""
        return self.ws_url or socket_url(self.need_url())

    def need_token(self) -> str:
        """Raises `companion.no_token`."""
        if self.token is None:
            raise Unauthenticated(
                "companion.no_token",
                f"no token for {self.need_url()} is known",
                "Set EMPEROR_CLAW_API_TOKEN (an owner mints one: `homarus token create NAME`), "
                "or run `homarus companion bootstrap` with it once.",
            )
        return self.token.secret


def resolve(options: Options, environment: Mapping[str, str], beside: Neighbour) -> Settings:
    """Raises `companion.value`, `companion.token`, and what reading the configuration raises."""
    given = _Given(options, environment)
    home = given.path(options.openclaw_home, "OPENCLAW_HOME") or Path.home() / ".openclaw"
    directory = given.path(None, "EMPEROR_CLAW_COMPANION_DIR")
    named = given.path(options.config)
    if directory is None:
        directory = named.parent if named is not None else home / FOLDER
    kept = config.read(named or directory / config.NAME)
    saved = kept.saved
    if options.openclaw_home is None and saved.openclaw_home:
        home = Path(saved.openclaw_home)

    url = base_url(
        given.text(options.api_base_url, "EMPEROR_CLAW_API_URL")
        or saved.api_base_url
        or given.text(None, "HOMARUS_URL")
        or beside.url
    )
    same = url is not None and origin(url) == origin(base_url(saved.api_base_url))
    token_file = kept.path.parent / saved.token_file if same and saved.token_file else None
    state = given.path(None, "EMPEROR_CLAW_STATE_DIR") or Path(
        saved.state_dir or directory / "state"
    )
    journal = given.path(options.bridge_state_path, "EMPEROR_CLAW_BRIDGE_STATE_PATH")
    if journal is None:
        moved = "EMPEROR_CLAW_STATE_DIR" in environment or not saved.bridge_state_path
        journal = state / JOURNAL if moved else Path(str(saved.bridge_state_path))
    host = socket.gethostname() or "here"
    token = _token(given, token_file, url, beside)
    return Settings(
        config=kept,
        url=url,
        ws_url=saved.ws_url if same else None,
        token=token,
        token_file=token_file,
        openclaw_home=home,
        companion_dir=directory,
        state_dir=state,
        journal=journal,
        workspace=given.path(options.workspace) or Path(saved.workspace or home / "workspace"),
        agent_name=given.name(options.agent_name, "EMPEROR_AGENT_NAME")
        or saved.doctor_agent_name
        or f"agent-{host}"[:MAX_NAME],
        agent_id=given.name(options.agent_id) or saved.agent_id,
        runtime_id=given.name(options.runtime_id, "EMPEROR_RUNTIME_ID")
        or saved.runtime_id
        or f"homarus-{host}"[:MAX_NAME],
        session_id=given.name(options.session_id),
        company=_company(options.company) if token is not None and token.of_operator else None,
    )


class _Given:
    """Values of the command line and the environment, checked; an empty one is none."""

    def __init__(self, options: Options, environment: Mapping[str, str]) -> None:
        self.options = options
        self._environment = environment

    def text(self, value: str | None, *variables: str, most: int = MAX_VALUE) -> str | None:
        for found in (value, *(self._environment.get(name) for name in variables)):
            if found:
                return checked(found, most)
        return None

    def name(self, value: str | None, *variables: str) -> str | None:
        return self.text(value, *variables, most=MAX_NAME)

    def path(self, value: str | None, *variables: str) -> Path | None:
        found = self.text(value, *variables)
        return None if found is None else Path(found).expanduser().absolute()

    def token(self, value: str | None, *variables: str) -> Token | None:
        if value:
            return Token(_secret(value, "--token"), "--token")
        for name in variables:
            if self._environment.get(name):
                return Token(_secret(self._environment[name], name), name)
        return None


def _token(
    given: _Given, token_file: Path | None, url: str | None, beside: Neighbour
) -> Token | None:
    """A stored token goes to the control plane that it was stored for, and nowhere else."""
    found = given.token(given.options.token, "EMPEROR_CLAW_API_TOKEN")
    if found is None and token_file is not None:
        found = _stored(token_file)
    if found is None:
        found = given.token(None, "HOMARUS_TOKEN")
    if found is None and url is not None and origin(url) == origin(base_url(beside.url)):
        found = None if beside.token_file is None else _stored(beside.token_file)
    return found


def _stored(file: Path) -> Token | None:
    secret = private.read(file)
    return Token(_secret(secret, str(file)), str(file), file) if secret else None


def _secret(text: str, given_by: str) -> str:
    secret = text.strip()
    if not _TOKEN.fullmatch(secret):
        raise Invalid(
            "companion.token",
            f"what {given_by} gives is no token: too long, or with blanks or control characters",
            "Copy the token again; it is `ec_` and 48 hexadecimal digits.",
        )
    return secret


def _company(slug: str | None) -> str | None:
    if slug is None or _SLUG.fullmatch(slug):
        return slug
    raise Invalid("companion.value", f"{slug[:80]!r} is no company", "See `homarus company list`.")


def checked(value: str, most: int = MAX_VALUE) -> str:
    """Values end up in launchers, where a quote or a line break would begin another command."""
    if len(value) > most or not value.isprintable() or '"' in value:
        raise Invalid(
            "companion.value",
            f"{value[:80]!r} is longer than {most} characters, or holds a double quote or a "
            "control character",
            "Give another value.",
        )
    return value


def base_url(url: str | None) -> str | None:
    """The address without the mount that some clients add. Raises `companion.value`."""
    if not url:
        return None
    parts = urlsplit(checked(url))
    try:
        port = parts.port
    except ValueError:
        port = -1
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or port == -1
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        raise Invalid(
            "companion.value",
            f"{_without_user(url)!r} is no address of a control plane",
            "Give http://HOST:PORT.",
        )
    return _MOUNT.sub("", url.rstrip("/")).rstrip("/")


def _without_user(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition('//')[0]}//…@{tail}" if at else url


def origin(url: str | None) -> tuple[str, str | None, int] | None:
    """Whom a token given for `url` may be shown to."""
    if url is None:
        return None
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def socket_url(url: str) -> str:
    return f"ws{url.removeprefix('http')}{SOCKET_PATH}"

"""What every command starts from: which home, which daemon, as whom, in which company."""

import json
import os
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click

from homarus.base.errors import Invalid, NotFound
from homarus.cli.output import Output
from homarus.client.errors import Unreachable

if TYPE_CHECKING:
    from homarus.client.http import Client

DEFAULT_HOME: Final = "~/.homarus"
OWNER_TOKEN: Final = Path("run/owner.token")
DAEMON: Final = Path("run/daemon.json")
PREFERENCES: Final = Path("cli.json")
START: Final = "Start it: `homarus up`. Or name another with --home or --url."
RESTART_WAIT_S: Final = 30.0
"""How long a command waits for a daemon that restarts in place."""
LOOK_S: Final = 0.1


class Context:
    """The global options, and what follows from them when first asked for."""

    def __init__(self) -> None:
        self.given_home: Path | None = None
        self.url: str | None = os.environ.get("HOMARUS_URL") or None
        self.token: str | None = os.environ.get("HOMARUS_TOKEN") or None
        self.company: str | None = os.environ.get("HOMARUS_COMPANY") or None
        self.json = False

    @property
    def home(self) -> Path:
        return self.given_home or Path(os.environ.get("HOMARUS_HOME") or DEFAULT_HOME).expanduser()

    @property
    def out(self) -> Output:
        return Output(json=self.json)

    @cached_property
    def api(self) -> "Client":
        """The daemon, as the caller. Raises `cli.no_token`, `daemon.not_running`."""
        return self.client()

    def client(self, timeout_s: float | None = None) -> "Client":
        """As `api`, with a connection of its own."""
        from homarus.client.http import TIMEOUT_S, Client
        from homarus.client.retry import Retry

        retry = Retry(attempts=3, first_s=0.05, cap_s=0.5, patience_s=5.0)
        url, token = self.address()
        company = self.company or self.preference("company")
        return Client(url, token, company, timeout_s=timeout_s or TIMEOUT_S, retry=retry)

    def address(self) -> tuple[str, str]:
        """URL and token. The home's owner token goes to the home's own daemon and nowhere else."""
        if self.url is None:
            return self.daemon_url(), self.token or self.owner_token()
        if self.token is not None:
            return self.url, self.token
        if self.is_own_daemon():
            return self.url, self.owner_token()
        raise Invalid(
            "cli.no_token",
            f"{self.url} is not the daemon of {self.home}, so its owner token is not sent there",
            "Give --token or HOMARUS_TOKEN.",
        )

    def is_own_daemon(self) -> bool:
        """Whether the daemon asked is the one of this home."""
        own = self.daemon_file().get("url")
        return self.url is None or (isinstance(own, str) and _origin(own) == _origin(self.url))

    def daemon_url(self, wait_s: float = RESTART_WAIT_S) -> str:
        """Waits `wait_s` at most for a daemon that restarts in place. Raises `daemon.not_running`,
        `daemon.restarting`."""
        pid = self.restarted(wait_s)
        if pid is not None:
            raise Unreachable(
                "daemon.restarting",
                f"the daemon of {self.home} is restarting, in process {pid}",
                "Try again in a few seconds; `homarus logs` says how far it is.",
            )
        found = self.daemon_file()
        url = found.get("url")
        if not isinstance(url, str) or found.get("restarting"):
            raise Unreachable("daemon.not_running", f"no daemon runs on {self.home}", START)
        return url

    def daemon_file(self) -> dict[str, Any]:
        """`{"url", "pid"}` of the daemon that last became ready on this home, `"restarting": true`
        beside it while it restarts in place; or {}."""
        return _read_object(self.home / DAEMON)

    def restarted(self, wait_s: float = RESTART_WAIT_S) -> int | None:
        """Returns when no other process restarts this home's daemon in place: its store is free for
        a moment then, and not to be had. After `wait_s` the process that still does."""
        until = time.monotonic() + wait_s
        while (pid := self._restarting()) is not None and time.monotonic() < until:
            time.sleep(LOOK_S)
        return pid

    def _restarting(self) -> int | None:
        found = self.daemon_file()
        pid = found.get("pid")
        if not isinstance(pid, int) or pid == os.getpid() or found.get("restarting") is not True:
            return None
        return pid if lives(pid) else None

    def owner_token(self) -> str:
        path = self.home / OWNER_TOKEN
        try:
            return path.read_text("ascii").strip()
        except FileNotFoundError as error:
            raise NotFound(
                "cli.no_owner_token",
                f"{self.home} has no owner token yet",
                "The first `homarus up` makes it. Or give --token.",
            ) from error

    def preference(self, name: str) -> str | None:
        """A choice remembered for this home (`homarus company use`)."""
        value = _read_object(self.home / PREFERENCES).get(name)
        return value if isinstance(value, str) else None

    def prefer(self, name: str, value: str | None) -> None:
        path = self.home / PREFERENCES
        chosen = _read_object(path)
        chosen.pop(name, None)
        if value is not None:
            chosen[name] = value
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(chosen) + "\n", "utf-8")
        draft.replace(path)


pass_context = click.make_pass_decorator(Context, ensure=True)


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except NotADirectoryError as error:
        from homarus.config.home import in_the_way

        raise in_the_way(path.parent) from error
    except ValueError as error:
        raise Invalid("cli.file", f"{path} is no JSON: {error}", "Remove the file.") from error
    return value if isinstance(value, dict) else {}


def _origin(url: str) -> tuple[str | None, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port

"""homarus service: the daemon under systemd or launchd."""

import getpass
import os
import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from homarus.base.errors import Conflict, Invalid, NotFound, Unavailable
from homarus.cli import logs
from homarus.cli.command import Group
from homarus.cli.context import DEFAULT_HOME, Context, pass_context
from homarus.cli.exit_codes import Exit

if TYPE_CHECKING:
    from homarus.service.managers import Answer, Argv, Manager
    from homarus.service.units import Description

DEFAULT_NAME: Final = "homarus"
START_S: Final = 310.0
"""The unit's own bound for a start, and a little more."""
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOMEBREW: Final = "/opt/homebrew/bin"
NOT_CARRIED: Final = frozenset({"HOMARUS_HOME", "HOMARUS_URL", "HOMARUS_TOKEN", "HOMARUS_COMPANY"})

command = Group("service", help="Have systemd or launchd run the daemon.")
command.add_command(logs.command)


class Service:
    """The service that a command line names."""

    def __init__(self, ctx: Context, name: str, system: bool, kind: str | None) -> None:
        self.ctx = ctx
        self.name = name
        self.system = system
        if os.name == "nt":
            raise Unavailable(
                "service.no_manager",
                "there is neither systemd nor launchd on Windows",
                "Have its task scheduler run `homarus up`.",
            )
        self.kind = kind or ("launchd" if sys.platform == "darwin" else "systemd")
        if self.kind == "launchd" and system:
            raise Invalid(
                "service.value", "--system is for systemd", "launchd runs it in your session."
            )

    @cached_property
    def manager(self) -> "Manager":
        from homarus.service import managers, units

        units.need_name(self.name)
        if self.kind == "launchd":
            return managers.launchd(self.name, user_home=Path.home(), uid=os.getuid())
        return managers.systemd(
            self.name, system=self.system, environ=dict(os.environ), user_home=Path.home()
        )

    def description(self, run_as: str | None) -> "Description":
        """Raises `service.root`, and what the daemon would refuse to start with: it will have the
        variables of its service, not those of this shell."""
        from homarus.config.read import read
        from homarus.config.settings import source
        from homarus.service.units import ENVIRONMENT_FILE, Description

        user = self._user(run_as)
        user_home = _home_of(run_as)
        home = self._state(user_home if run_as else None).absolute()
        variables = {"HOME": str(user_home), "PATH": _search_path(user_home, self.kind)}
        if self.kind == "systemd":
            variables |= _variables(home / ENVIRONMENT_FILE)
        return Description(
            program=(sys.executable, "-P", "-m", "homarus.cli.main", "--home", str(home), "up"),
            home=home,
            name=self.name,
            environment={"PATH": variables["PATH"]},
            user=user if self.system else None,
            drain_s=read(source(home, variables)).settings.drain_s,
        )

    def _state(self, run_as_home: Path | None) -> Path:
        """The home directory; by default that of the user whom the daemon runs as."""
        if run_as_home is None or self.ctx.given_home or os.environ.get("HOMARUS_HOME"):
            return self.ctx.home
        return run_as_home / Path(DEFAULT_HOME).name

    def _user(self, run_as: str | None) -> str:
        if run_as is not None and not self.system:
            raise Invalid("service.value", "--run-as is for --system", "Leave it out.")
        user = run_as or getpass.getuser()
        if self.system and user == "root" and run_as is None:
            raise Invalid(
                "service.root", "the daemon would run as root", "Name its user with --run-as USER."
            )
        return user

    def content(self) -> bytes | None:
        """What is installed."""
        try:
            return self.manager.path.read_bytes()
        except FileNotFoundError:
            return None

    def need(self) -> bytes:
        found = self.content()
        if found is None:
            raise NotFound(
                "service.not_installed",
                f"there is no {self.manager.path}",
                "Make it with `homarus service install`; see --name and --system.",
            )
        return found

    def need_untouched(self, content: bytes, what: str) -> None:
        from homarus.service.units import is_untouched

        if not is_untouched(content):
            raise Conflict(
                "service.edited",
                f"{self.manager.path} was edited, or is not from here; it is not {what}",
                "Keep changes in a drop-in (`systemctl edit`), or repeat with --force.",
            )

    def need_same_home(self, content: bytes, home: Path) -> None:
        """Each home has a service of its own. Raises `service.other_home`."""
        from homarus.service.units import is_of

        if not is_of(content, home):
            raise Conflict(
                "service.other_home",
                f"{self.manager.path} runs the daemon of another home",
                "Give this one a name of its own: `--name homarus-work`; or repeat with --force.",
            )

    def take(self, steps: "Iterable[Argv]", within_s: float) -> "list[Answer]":
        """Each step in turn; what failed is the caller's to judge."""
        from homarus.service.managers import call

        return [call(step, within_s) for step in steps]

    def must(self, steps: "tuple[Argv, ...]", within_s: float) -> None:
        """Raises `service.failed` where the last step failed."""
        last = self.take(steps, within_s)[-1]
        if last.code != 0:
            raise Unavailable(
                "service.failed",
                f"`{' '.join(last.argv)}` ended with {last.code}: {last.words or 'no words'}",
                f"See {self._journal()} and `homarus logs`.",
            )

    def _journal(self) -> str:
        """Where a start that fails early says why."""
        if self.kind == "launchd":
            return "`homarus up` in a terminal"
        return f"`journalctl{'' if self.system else ' --user'} -u {self.name}`"

    @property
    def stop_s(self) -> float:
        """Longest time that the installed file gives a stop, and a little more."""
        from homarus.service.units import stop_s

        return stop_s(self.need()) + 10.0


def _home_of(user: str | None) -> Path:
    if user is None:
        return Path.home()
    try:
        return Path(f"~{user}").expanduser()
    except RuntimeError as error:
        raise Invalid(
            "service.value", f"there is no user {user!r}", "Make it first, see useradd(8)."
        ) from error


def _variables(file: Path) -> dict[str, str]:
    """Of an environment file, as systemd reads the plain ones: NAME=value, quotes around it or
    none."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    found = {}
    for line in lines:
        name, assigned, value = line.strip().partition("=")
        if assigned and not name.startswith(("#", ";")):
            is_quoted = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]
            found[name] = value[1:-1] if is_quoted else value
    return found


def _search_path(user_home: Path, kind: str) -> str:
    """Where executors find programs: beside this Python, the user's own, the system's."""
    own = user_home / ".local" / "bin"
    found = [str(Path(sys.executable).parent), str(own), *PATH.split(":")]
    if kind == "launchd":
        found.insert(2, HOMEBREW)
    return ":".join(dict.fromkeys(found))


def _options(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--manager", "kind", type=click.Choice(["systemd", "launchd"]),
                     help="Default: this machine's."),
        click.option("--system", is_flag=True, help="The system's systemd, not yours; needs root."),
        click.option("--name", default=DEFAULT_NAME, show_default=True,
                     help="Of the service: `homarus-work` for a second daemon."),
    ):  # fmt: skip
        function = option(function)
    return function


@command.command(shows=("home", "json"))
@_options
@click.option("--run-as", metavar="USER", help="With --system: whom the daemon runs as.")
@click.option("--print", "only_print", is_flag=True, help="Print the file; change nothing.")
@click.option("--force", is_flag=True, help="Overwrite a file that was edited.")
@pass_context
def install(
    ctx: Context, kind: str | None, system: bool, name: str, run_as: str | None,
    only_print: bool, force: bool,
) -> None:  # fmt: skip
    """Write the unit or property list for this home, and have it start with your session.

    It is not started yet: `homarus service start`. May be run again, after an upgrade or when the
    drain was set longer. Edits belong in a drop-in, which stays.
    """
    from homarus.service import managers

    service = Service(ctx, name, system, kind)
    manager = service.manager
    description = service.description(run_as)
    content = manager.render(description)
    if only_print:
        ctx.out.document({"path": str(manager.path), "content": content.decode()})
        if not ctx.json:
            sys.stdout.write(content.decode())
        return
    before = service.content()
    if before is not None and not force:
        service.need_untouched(before, "overwritten")
        service.need_same_home(before, description.home)
    if before != content:
        managers.write(manager.path, content)
    failed = [a for a in _try(service, manager.installed) if a.code != 0]
    todo = [" ".join(answer.argv) for answer in failed] + _next(service)
    ctx.out.line(f"{'Unchanged' if before == content else 'Written'}: {manager.path}")
    for answer in failed:
        ctx.out.line(f"`{' '.join(answer.argv)}` failed: {answer.words or answer.code}")
    for note in _left_behind():
        ctx.out.line(note)
    ctx.out.line("Next:\n")
    for line in todo:
        ctx.out.line(f"    {line}")
    ctx.out.document(
        {
            "manager": manager.kind, "path": str(manager.path), "changed": before != content,
            "failed": [" ".join(answer.argv) for answer in failed], "next": todo,
        }
    )  # fmt: skip


def _try(service: Service, steps: "tuple[Argv, ...]") -> "list[Answer]":
    """A machine without a running manager (an image being built) still gets its file."""
    from homarus.service.managers import CALL_S, Answer

    try:
        return service.take(steps, CALL_S)
    except Unavailable as error:
        return [Answer(step, 1, "", error.message) for step in steps]


def _next(service: Service) -> list[str]:
    """Commands that the owner types."""
    from homarus.service.managers import lingers

    options = "" if service.name == DEFAULT_NAME else f" --name {service.name}"
    options += " --system" if service.system else ""
    lines = [f"homarus service start{options}"]
    user = getpass.getuser()
    if service.kind == "systemd" and not service.system and not lingers(user):
        lines.append(f"loginctl enable-linger {user}    # or it ends when you log out")
    return lines


def _left_behind() -> list[str]:
    names = sorted(k for k in os.environ if k.startswith("HOMARUS_") and k not in NOT_CARRIED)
    if not names:
        return []
    return [f"Not carried over from this shell: {', '.join(names)}. Put them into homarus.json."]


@command.command(shows=("json",))
@_options
@click.option("--force", is_flag=True, help="Remove a file that was edited, too.")
@pass_context
def uninstall(ctx: Context, kind: str | None, system: bool, name: str, force: bool) -> None:
    """Stop the service and remove its file. The home directory and all in it stay."""
    service = Service(ctx, name, system, kind)
    manager = service.manager
    content = service.need()
    if not force:
        service.need_untouched(content, "removed")
    for answer in service.take(manager.removing, service.stop_s):
        if answer.code != 0:
            ctx.out.line(f"`{' '.join(answer.argv)}` failed: {answer.words or answer.code}")
    manager.path.unlink(missing_ok=True)
    _try(service, manager.removed)
    ctx.out.line(f"Removed: {manager.path}. The state in {ctx.home} stays.")
    ctx.out.document({"removed": str(manager.path)})


@command.command(shows=("json",))
@_options
@pass_context
def start(ctx: Context, kind: str | None, system: bool, name: str) -> None:
    """Start it; returns when the daemon answers (systemd) or is started (launchd)."""
    service = Service(ctx, name, system, kind)
    service.need()
    service.must(service.manager.starting, START_S)
    _say(ctx, service)


@command.command(shows=("json",))
@_options
@pass_context
def stop(ctx: Context, kind: str | None, system: bool, name: str) -> None:
    """Drain and stop it. What runs is handed back, and goes on at the next start."""
    service = Service(ctx, name, system, kind)
    service.need()
    service.must(service.manager.stopping, service.stop_s)
    _say(ctx, service)


@command.command(shows=("json",))
@_options
@pass_context
def restart(ctx: Context, kind: str | None, system: bool, name: str) -> None:
    """Drain, stop and start it again, after an upgrade for instance. No run is lost."""
    service = Service(ctx, name, system, kind)
    service.need()
    service.must(service.manager.restarting, START_S + service.stop_s)
    _say(ctx, service)


@command.command(shows=("json",))
@_options
@pass_context
def status(ctx: Context, kind: str | None, system: bool, name: str) -> None:
    """Whether it is installed and runs. Exit code 0: it runs; 1: it does not."""
    service = Service(ctx, name, system, kind)
    service.need()
    if not _say(ctx, service)["running"]:
        raise click.exceptions.Exit(int(Exit.FAILED))


def _say(ctx: Context, service: Service) -> dict[str, Any]:
    from homarus.service.managers import CALL_S
    from homarus.service.units import is_untouched

    manager = service.manager
    state = manager.understand(service.take([manager.asking], CALL_S)[0])
    content = service.content()
    facts = {
        "manager": manager.kind, "path": str(manager.path), "running": state.running,
        "state": state.word, "pid": state.pid, "restarts": state.restarts,
        "edited": content is not None and not is_untouched(content), "outdated": state.outdated,
    }  # fmt: skip
    ctx.out.document(facts)
    ctx.out.fields((key, value) for key, value in facts.items() if value is not False)
    if state.outdated:
        ctx.out.line("The file was changed since systemd read it: `homarus service install`.")
    return facts

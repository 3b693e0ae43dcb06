"""homarus companion: connect this machine to a control plane, and look after the connection.

Exit codes are the contract's, not those of other commands: 0, or 1 with one `[error]` line on
stderr (control-plane contract, 14).
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from homarus.base.errors import HomarusError
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.exit_codes import Exit
from homarus.cli.output import clean

if TYPE_CHECKING:
    from homarus.companion.settings import Settings

COMPANY_TOKEN = "run/company.token"  # noqa: S105 - a file's name


class Companion(Group):
    """Every failure, of the command line too, is one line and exit code 1."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _told():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _told():
            return super().invoke(ctx)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.ClickException as error:
        _fail(error.format_message())
    except HomarusError as error:
        _fail(_sentence(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        about = f"{error.filename}: " if error.filename else ""
        _fail(f"{about}{error.strerror or error}")


def _sentence(error: HomarusError) -> str:
    """Code, what happened and what to do, in one line."""
    text = f"{error.code}: {error.message}"
    return f"{text.rstrip('.')}. {error.remedy}" if error.remedy else text


def _fail(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(f"[error] {clean(' '.join(text.split()))}\n")
    raise click.exceptions.Exit(int(Exit.FAILED))


command = Companion("companion", help="Connect this machine to a control plane; see to it.")


def _options(function: Callable[..., None]) -> Callable[..., None]:
    """The common options (contract, 14). --token and --json are those of every command."""
    for flag, help, metavar in reversed(
        (
            ("--api-base-url", "Control plane [EMPEROR_CLAW_API_URL, the saved one, the home's].",
             "URL"),
            ("--config", "Configuration [bridge.config.json of the companion directory].", "FILE"),
            ("--openclaw-home", "Where agent runtimes keep their files [~/.openclaw].", "DIR"),
            ("--workspace", "The agent's working directory.", "DIR"),
            ("--bridge-state-path", "The bridge's journal.", "FILE"),
            ("--agent-name", "Agent to act as [EMPEROR_AGENT_NAME].", "NAME"),
            ("--agent-id", "The same, by id.", "ID"),
            ("--runtime-id", "Name of this runtime node [EMPEROR_RUNTIME_ID].", "ID"),
            ("--session-id", "Name of the doctor's session [a fresh one].", "ID"),
        )
    ):  # fmt: skip
        function = click.option(flag, help=help, metavar=metavar)(function)
    return click.option(
        "--skip-validate", is_flag=True, help="Do not ask the control plane about the token."
    )(function)


class Invocation:
    """One run of a command: its settings, and what it says."""

    def __init__(self, ctx: Context, given: dict[str, Any]) -> None:
        self.ctx = ctx
        self.skip_validate = bool(given.pop("skip_validate"))
        self._given = given

    def say(self, tag: str, text: str) -> None:
        self.ctx.out.line(f"[{tag}] {' '.join(text.split())}")
        sys.stdout.flush()

    def settings(self) -> "Settings":
        from homarus.companion.settings import Neighbour, Options, resolve

        given = dict(self._given)
        given["api_base_url"] = given["api_base_url"] or self.typed("url")
        options = Options(token=self.typed("token"), company=self.ctx.company, **given)
        own = self.ctx.daemon_file().get("url")
        beside = Neighbour(own if isinstance(own, str) else None, self.ctx.home / COMPANY_TOKEN)
        return resolve(options, os.environ, beside)

    def typed(self, name: str) -> str | None:
        """What the command line gave; `Context` also looks into the environment."""
        at: click.Context | None = click.get_current_context()
        while at is not None:
            if at.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                value: str | None = getattr(self.ctx, name)
                return value
            at = at.parent
        return None


def _warn_of_token(call: Invocation, settings: "Settings") -> None:
    token = settings.token
    if token is None:
        return
    if token.of_operator:
        call.say("warn", "this is an operator's token; a runtime needs one of its own: "
                 "`homarus token create NAME`")  # fmt: skip
    if token.file is not None and os.name == "posix" and token.file.stat().st_mode & 0o077:
        call.say(
            "warn", f"{token.file} can be read by other users: chmod 600 it, replace the token"
        )


@command.command()
@_options
@pass_context
def bootstrap(ctx: Context, /, **given: Any) -> None:
    """Write the companion directory: settings, launchers, an empty journal.

    May be run again: options change what is saved, the rest stays, and a file that you edited is
    kept in backups/. The token is stored in a file of its own that only you can read.
    """
    from homarus.companion import setup, wire

    call = Invocation(ctx, given)
    settings = call.settings()
    url = settings.need_url()
    if not call.skip_validate:
        call.say("step", f"asking {url}")
        with wire.connect(settings) as api:
            wire.validate(api)
        call.say("ok", f"token validated at {url}")
    _warn_of_token(call, settings)
    written = setup.write(settings, keep_token=True)
    if written.token_file is None:
        call.say("warn", "no token is stored; launchers need EMPEROR_CLAW_API_TOKEN")
    for copy in written.kept:
        call.say("warn", f"a changed file was kept: {copy}")
    call.say("ok", f"config {written.config}")
    call.say("ok", f"launchers {written.folder}")
    call.say("next", f"try the connection: {written.folder / _launcher('doctor')}")
    call.say("done", f"agent {settings.agent_name} on runtime {settings.runtime_id}")
    ctx.out.document(
        {
            "config": str(written.config),
            "companionDir": str(written.folder),
            "apiBaseUrl": url,
            "agentName": settings.agent_name,
            "runtimeId": settings.runtime_id,
            "validated": not call.skip_validate,
            "tokenStored": written.token_file is not None,
            "kept": [str(copy) for copy in written.kept],
        }
    )


def _launcher(name: str) -> str:
    return f"{name}.cmd" if os.name == "nt" else f"{name}.sh"


@command.command()
@_options
@pass_context
def doctor(ctx: Context, /, **given: Any) -> None:
    """Try the whole exchange once: token, socket, runtime, agent, session, message, its frame."""
    from homarus.companion import doctor as exchange

    call = Invocation(ctx, given)
    settings = call.settings()
    _warn_of_token(call, settings)
    ctx.out.document(exchange.run(settings, call.say))


@command.command()
@_options
@pass_context
def sync(ctx: Context, /, **given: Any) -> None:
    """Look at the control plane; what was seen is left in state/last-sync.json."""
    call = Invocation(ctx, given)
    settings = call.settings()
    _warn_of_token(call, settings)
    ctx.out.document(_sync(call, settings))


def _sync(call: Invocation, settings: "Settings") -> dict[str, Any]:
    from homarus.companion import reports, wire

    call.say("step", f"asking {settings.need_url()}")
    with wire.connect(settings) as api:
        seen = wire.snapshot(api, settings)
    for name, request in seen["requests"].items():
        if not request["ok"]:
            call.say("warn", f"{name}: {request['code']}: {request['error']}")
    path = reports.write(settings.state_dir, reports.SYNC, seen)
    counts = ", ".join(
        f"{name} {'?' if count is None else count}{'+' if name in seen['more'] else ''}"
        for name, count in seen["counts"].items()
    )
    call.say("sync", counts)
    matched = seen["matchedAgent"]
    call.say(
        "sync",
        f"agent {settings.agent_name}: {'not there yet' if matched is None else matched['id']}",
    )
    call.say("done", f"report in {path}")
    return seen


@command.command()
@_options
@pass_context
def repair(ctx: Context, /, **given: Any) -> None:
    """Make the companion's files anew from the saved settings, then sync.

    What you added to bridge.config.json stays; another file that you edited is kept in backups/.
    The journal is the bridge's and is left alone.
    """
    from homarus.companion import reports, setup
    from homarus.companion.journal import now_iso

    call = Invocation(ctx, given)
    settings = call.settings()
    settings.config.need()
    _warn_of_token(call, settings)
    written = setup.write(settings, keep_token=call.typed("token") is not None)
    for copy in written.kept:
        call.say("warn", f"a changed file was kept: {copy}")
    call.say("ok", f"refreshed {written.folder}")
    report: dict[str, Any] = {
        "repairedAt": now_iso(),
        "config": str(written.config),
        "companionDir": str(written.folder),
        "kept": [str(copy) for copy in written.kept],
        "synced": settings.token is not None and not call.skip_validate,
    }
    reports.write(settings.state_dir, reports.REPAIR, report)
    if report["synced"]:
        report["sync"] = _sync(call, settings)
    else:
        call.say("next", "with EMPEROR_CLAW_API_TOKEN this also looks at the control plane")
        call.say("done", "files are as they should be")
    ctx.out.document(report)


@command.command("session-inspect")
@_options
@pass_context
def session_inspect(ctx: Context, /, **given: Any) -> None:
    """Say what is configured and how it stands. Changes nothing."""
    from homarus.companion import inspect

    call = Invocation(ctx, given)
    settings = call.settings()
    seen = inspect.report(settings)
    ctx.out.document(seen)
    _warn_of_token(call, settings)
    if not seen["config"]["found"]:
        call.say("warn", f"there is no {seen['config']['path']}")
        call.say("next", "`homarus companion bootstrap` makes it")
    for name, value in _told_of(seen):
        call.say("inspect", f"{name}: {value}")
    if seen["problem"] is not None:
        call.say("warn", f"{seen['problem']['code']}: {seen['problem']['error']}")


def _told_of(seen: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "config", seen["config"]["path"]
    yield "control plane", seen["apiBaseUrl"] or "not known"
    yield "token", f"from {seen['token']['from']}" if seen["token"]["known"] else "not known"
    yield "runtime", seen["runtimeId"]
    matched = seen["matchedAgent"]
    asked = seen["health"] is not None
    there = f"matches {matched['id']}" if matched else "not there yet" if asked else "not asked"
    yield "agent", f"{seen['agentName']}, {there}"
    health = seen["health"]
    yield "health", f"ok, version {health.get('emperorVersion')}" if asked else "not asked"
    yield "journal", _journal(seen["journal"])
    last = seen["lastDoctor"] or {}
    yield "last doctor", f"{last.get('status')} at {last.get('inspectedAt')}" if last else "none"
    last = seen["lastSync"] or {}
    yield "last sync", f"at {last.get('capturedAt')}" if last else "none"


def _journal(kept: dict[str, Any]) -> str:
    if not kept["found"]:
        return "none"
    if kept["lastAgentId"] is None:
        return "empty, no bridge has used it yet"
    return f"written at {kept['updatedAt']}, {'fresh' if kept['fresh'] else 'old'}"

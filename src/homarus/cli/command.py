"""Commands and groups that share the global options and turn errors into exit codes."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from homarus.base.errors import HomarusError, Invalid
from homarus.cli import exit_codes, output
from homarus.cli.context import Context
from homarus.cli.exit_codes import Exit


def _keep(name: str, convert: Callable[[Any], Any] = lambda v: v) -> Callable[..., None]:
    def callback(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None and value is not False:
            setattr(ctx.ensure_object(Context), name, convert(value))

    return callback


def _home(value: str) -> Path:
    return Path(value).expanduser()


def global_options() -> list[click.Option]:
    """Accepted before the command and after it; the later one wins."""

    def option(flag: str, name: str, help: str, **more: Any) -> click.Option:
        return click.Option([flag], expose_value=False, help=help, **more)

    return [
        option("--home", "home", "State directory [HOMARUS_HOME, ~/.homarus].", metavar="DIR",
               callback=_keep("given_home", _home)),
        option("--url", "url", "Address of the daemon [HOMARUS_URL, the home's].",
               callback=_keep("url")),
        option("--token", "token", "Access token [HOMARUS_TOKEN, the home's owner token].",
               callback=_keep("token")),
        option("--company", "company", "Company to act in, by slug [HOMARUS_COMPANY].",
               metavar="SLUG", callback=_keep("company")),
        click.Option(["--json"], is_flag=True, expose_value=False, callback=_keep("json"),
                     help="Print one JSON document."),
    ]  # fmt: skip


class Command(click.Command):
    """A command that also takes the global options; its --help names those in `shows`."""

    def __init__(self, *args: Any, shows: Sequence[str] = ("json",), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for option in global_options():
            option.hidden = option.name not in shows
            self.params.append(option)


class Group(click.Group):
    command_class = Command
    group_class = type


class Root(click.Group):
    """The top: every end of a command becomes a documented exit code."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        given = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            result = super().main(given, prog_name or "homarus", **extra)
            sys.stdout.flush()
            code = int(result) if isinstance(result, int) else int(Exit.OK)
        except click.exceptions.Abort:
            click.echo("interrupted", err=True)
            code = int(Exit.INTERRUPTED)
        except click.ClickException as problem:
            code = _usage(problem, as_json="--json" in given)
        except BrokenPipeError:
            # The reader went away (`| head`). Nothing else may be written at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = int(Exit.OK)
        except HomarusError as problem:
            output.error(problem, as_json="--json" in given)
            code = int(exit_codes.of_error(problem))
        except OSError as problem:
            output.error(_os_error(problem), as_json="--json" in given)
            code = int(Exit.FAILED)
        sys.exit(code)


def _usage(problem: click.ClickException, *, as_json: bool) -> int:
    if not as_json:
        problem.show()
    else:
        error = Invalid("cli.usage", problem.format_message(), "See --help.")
        output.error(error, as_json=True)
    return int(Exit.USAGE) if isinstance(problem, click.UsageError) else problem.exit_code


def _os_error(problem: OSError) -> HomarusError:
    about = f"{problem.filename}: " if problem.filename else ""
    return HomarusError(
        "cli.os", f"{about}{problem.strerror or problem}", "Check the path and its permissions."
    )

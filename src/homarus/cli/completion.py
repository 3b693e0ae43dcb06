"""homarus completion"""

import click
from click.shell_completion import get_completion_class

from homarus.cli.command import Command


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL; the script's place is in its manual.

    Bash: homarus completion bash > ~/.local/share/bash-completion/completions/homarus
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    root = ctx.find_root().command
    click.echo(found(root, {}, "homarus", "_HOMARUS_COMPLETE").source())

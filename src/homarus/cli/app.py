"""The tree of commands. A command's module is imported when the command is used, not before."""

from importlib import import_module
from typing import Final

import click

from homarus import __version__
from homarus.cli.command import Root, global_options

SECTIONS: Final = {
    "Start": {
        "up": ("daemon", "Run the daemon in this terminal."),
        "demo": ("demo", "Let a small company work on the files of a directory."),
        "status": ("status", "The company in a few lines."),
        "doctor": ("doctor", "What this machine and this home can do."),
        "config": ("config", "The file homarus.json: look, change, check, explain."),
        "dashboard": ("dashboard", "Open the live page in a browser."),
        "service": ("service", "Have systemd or launchd run the daemon."),
        "logs": ("logs", "What the daemon wrote to its log; --follow."),
        "gateway": ("gateway", "Ask a gateway by its own protocol: status, health, any call."),
        "companion": ("companion", "Connect this machine to a control plane; see to it."),
    },
    "Work": {
        "company": ("company", "Companies of this daemon."),
        "agent": ("agent", "Agents of the company."),
        "chat": ("chat", "Talk with an agent in this terminal."),
        "session": ("session", "What agents remember of each conversation."),
        "message": ("message", "Say something on a channel; what became of it."),
        "heartbeat": ("heartbeat", "Agents that look by themselves whether they are needed."),
        "project": ("project", "Projects of the company."),
        "route": ("route", "Gates of a task, its brief, audit and acceptance."),
        "card": ("card", "Project cards: what new capabilities are mounted on."),
        "pipeline": ("pipeline", "Pipelines: stages in order, and their runs."),
        "cron": ("cron", "Jobs that fire by the clock, their runs and dead letters."),
        "job": ("job", "Work that comes again: list, show, run."),
        "task": ("task", "Tasks: create, claim, report, follow."),
        "query": ("query", "Ask before acting: which capability fits, whose work is it."),
        "note": ("note", "Notes on tasks."),
        "artifact": ("artifact", "Files that the work produced."),
        "folder": ("folder", "Folders of artifacts."),
        "event": ("event", "The company's calendar."),
        "wiki": ("wiki", "What the company writes down, with versions."),
        "incident": ("incident", "What went wrong and who looks after it."),
        "mcp": ("mcp", "Serve the tools to an MCP client over standard input and output."),
        "resource": ("knowledge", "Notes, accounts and secrets, and who holds which."),
        "bridge": ("bridge", "Connect programs of this machine to a company."),
        "node": ("node", "Machines that a gateway has do things: be one, ask them."),
    },
    "Control": {
        "token": ("token", "Access tokens."),
        "device": ("device", "Devices of a gateway: let them in, end what they may."),
        "channels": ("channels", "Messaging channels: how they do; start and stop them."),
        "pairing": ("pairing", "People who ask to be let in on a channel."),
        "capability": ("capability", "Commands that agents may run."),
        "change": ("change", "Change the company's rules: propose, approve, switch."),
        "document": ("document", "Documents of the main space."),
        "budget": ("budget", "What may be spent, what was, and prices."),
        "model": ("model", "Models that agents are answered by."),
        "approval": ("approval", "What waits for a person's yes, and the answers."),
        "stop": ("stop", "STOP a company, project, agent, task or trace."),
        "trust": ("trust", "How far an agent is trusted, and why."),
        "mirror": ("mirror", "Copies of the company's records in other tools."),
        "outbox": ("outbox", "Changes on their way to mirrors."),
    },
    "Explain": {
        "explain": ("explain", "A rule: what it asks, what it refuses, what to do instead."),
        "why": ("why", "Who did this, by which rule, with what outcome."),
        "checklist": ("checklist", "The checklists of an agent, answered from the store."),
        "trace": ("trace", "Everything that belongs to one trace, in order."),
        "undo": ("undo", "Undo a local write whose former version is kept."),
        "audit": ("audit", "The ledger: show, export, verify."),
        "sql": ("sql", "Ask the store of this home, reading only."),
    },
    "Keep": {
        "backup": ("backup", "Take an online backup of the running daemon."),
        "restore": ("restore", "Put a backup in place; the daemon must be stopped."),
        "import": ("importing", "Take over what other systems keep on disk."),
        "completion": ("completion", "Print the completion script of a shell."),
    },
}  # fmt: skip
"""Section -> command -> (module of homarus.cli that defines `command`, one line for --help)."""

ALIASES: Final = {"devices": "device", "nodes": "node", "sessions": "session"}
"""What those type who come from OpenClaw."""
MODULES: Final = {name: row[0] for rows in SECTIONS.values() for name, row in rows.items()}


class Lazy(Root):
    """Finds commands in SECTIONS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = MODULES.get(ALIASES.get(cmd_name, cmd_name))
        if module is None:
            return None
        found = import_module(f"homarus.cli.{module}").command
        if not isinstance(found, click.Command):
            raise TypeError(f"homarus.cli.{module}.command is no command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, rows in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, help) for name, (_, help) in rows.items()])


cli = Lazy(
    "homarus",
    params=[
        *global_options(),
        click.Option(
            ["--version", "-V"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            help="Print the version.",
            callback=lambda ctx, _, value: _version(ctx) if value else None,
        ),
    ],
    help="The operating system for a company of AI agents.\n\n"
    "Most commands talk to the daemon of the home directory; `homarus up` starts it.",
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused, 5 conflict, "
    "6 daemon not reachable, 7 not verified.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(ctx: click.Context) -> None:
    click.echo(f"homarus {__version__}")
    ctx.exit()

"""homarus agent"""

from typing import Any

import click
import msgspec

from homarus.cli import heartbeat
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import agent_id, given, limit_option, show_list, show_one, table

command = Group("agent", help="Agents of the company.")
command.add_command(heartbeat.of_agent)

_COLUMNS = (
    ("name", "name"),
    ("role", "role"),
    ("status", "status"),
    ("trust", "trust"),
    ("load", "currentLoad"),
    ("limit", "concurrencyLimit"),
    ("last seen", "lastSeenAt"),
    ("id", "id"),
)
_FIELDS = (*_COLUMNS, ("skills", "skillsJson"), ("budget", "budgetStatus"), ("memory", "memory"),
           ("executor", "executor"), ("executor config", "executorConfig"))  # fmt: skip


NAMES = ("external", "command", "llm", "openresponses", "claude_code")
EXECUTORS = """\b
Who does its work:
  external       a client that claims it (a bridge, a script)
  command        this daemon, by registered commands: a task names its capability
  llm            this daemon, by turns of a model: add one with `homarus model add`
  openresponses  another gateway: --executor-config '{"url": "https://…", "token": "secret://NAME"}'
  claude_code    an installed Claude Code CLI: --executor-config '{"token": "secret://NAME"}'
"""


def _config(_: click.Context, __: click.Parameter, value: str | None) -> dict[str, Any] | None:
    """A JSON object. Raises click.BadParameter."""
    if value is None:
        return None
    try:
        found = msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"it is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.BadParameter("a JSON object is wanted")
    return found


def _settings(function: Any) -> Any:
    for option in (
        click.option(
            "--executor-config",
            callback=_config,
            metavar="JSON",
            help="Where that executor is and how it is asked; see the guide `Who does the work`.",
        ),
        click.option(
            "--executor",
            type=click.Choice(NAMES),
            help="Who does its work: a client that claims it, or this daemon, by commands, a "
            "model, another gateway or Claude Code.",
        ),
        click.option("--provider", help="Provider of that model."),
        click.option("--model", help="Model that it thinks with, such as `scripted`."),
        click.option("--memory", help="What it should remember from the start."),
        click.option("--concurrency", type=click.IntRange(0), help="Tasks at one time."),
        click.option("--skill", "skills", multiple=True, help="A skill; may be repeated."),
        click.option("--role", help="Its role; tasks can ask for one."),
    ):
        function = option(function)
    return function


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """All agents, newest first."""
    empty = "No agent yet. Create one: homarus agent create NAME --role ROLE"
    show_list(ctx, "/agents", "agents", _COLUMNS, limit=limit, empty=empty)


@command.command(help=f"Create an agent.\n\n{EXECUTORS}")
@click.argument("name")
@_settings
@pass_context
def create(
    ctx: Context,
    name: str,
    role: str | None,
    skills: tuple[str, ...],
    concurrency: int | None,
    memory: str | None,
    executor: str | None,
    executor_config: dict[str, Any] | None,
    model: str | None,
    provider: str | None,
) -> None:
    body = given(
        name=name, executor=executor, executorConfig=executor_config, llmModel=model,
        llmProvider=provider, **_body(role, skills, concurrency, memory),
    )  # fmt: skip
    show_one(ctx, ctx.api.post("/agents", body), "agent", _FIELDS)


@command.command()
@click.argument("agent")
@pass_context
def show(ctx: Context, agent: str) -> None:
    """One agent, by name or id."""
    path = f"/agents/{agent_id(ctx, agent)}"
    reply = ctx.api.get(path) | ctx.api.get(f"{path}/heartbeat")
    show_one(ctx, reply, "agent", _FIELDS)
    heartbeat.fields(ctx, reply["heartbeat"])


@command.command(help=f"Change an agent; what is not given stays.\n\n{EXECUTORS}")
@click.argument("agent")
@click.option("--name", help="A new name.")
@click.option(
    "--suspend/--resume",
    "suspended",
    default=None,
    help="Keep it from all but reading, or restore it.",
)
@_settings
@pass_context
def update(
    ctx: Context,
    agent: str,
    name: str | None,
    executor: str | None,
    executor_config: dict[str, Any] | None,
    model: str | None,
    provider: str | None,
    suspended: bool | None,
    role: str | None,
    skills: tuple[str, ...],
    concurrency: int | None,
    memory: str | None,
) -> None:
    body = given(
        name=name, executor=executor, executorConfig=executor_config, suspended=suspended,
        llmModel=model, llmProvider=provider,
        **_body(role, skills, concurrency, memory),
    )  # fmt: skip
    if not body:
        raise click.UsageError("Nothing to change: give at least one option.")
    show_one(ctx, ctx.api.patch(f"/agents/{agent_id(ctx, agent)}", body), "agent", _FIELDS)


@command.command()
@click.argument("agent")
@pass_context
def delete(ctx: Context, agent: str) -> None:
    """Remove an agent; what it did stays in the ledger."""
    show_one(ctx, ctx.api.delete(f"/agents/{agent_id(ctx, agent)}"), "agent", _COLUMNS)


@command.command()
@click.argument("agent")
@click.argument("text")
@click.option("--session", "session_key", help="Session; default: the agent's own.")
@click.option("--wait", is_flag=True, help="Wait for the answer and print it.")
@pass_context
def message(ctx: Context, agent: str, text: str, session_key: str | None, wait: bool) -> None:
    """Say something to an agent that this daemon runs."""
    from homarus.cli import talking

    body = given(agentId=agent, text=text, sessionKey=session_key)
    turn = ctx.api.post("/turns", body)["turn"]
    if wait:
        turn = talking.wait(ctx, turn["id"])
    ctx.out.document({"turn": turn})
    talking.show_end(ctx, turn)
    if (turn["outcome"] or {}).get("error"):
        raise click.exceptions.Exit(1)


_WEEKS = (
    ("week", "week"),
    ("title", "title"),
    ("state", "state"),
    ("practice", "taskNumber"),
    ("missing", "missing"),
    ("reading", "reading"),
)


@command.command()
@click.argument("agent")
@click.option("--week", type=click.IntRange(1, 4), help="Open this week, and show its questions.")
@click.option("--answers", help="Letters in the order of the questions, such as b,c,a.")
@pass_context
def onboard(ctx: Context, agent: str, week: int | None, answers: str | None) -> None:
    """The four weeks of a new agent: reading, a quiz, a practice task.

    A week is passed when its quiz is right and the agent has done its practice task.
    """
    path = f"/agents/{agent_id(ctx, agent)}/onboarding"
    reply = ctx.api.get(path)
    if week is not None:
        questions = reply["onboarding"]["weeks"][week - 1]["questions"]
        reply = ctx.api.post(path, given(week=week, answers=_answers(answers, questions)))
    elif answers is not None:
        raise click.UsageError("Answers belong to a week: give --week.")
    ctx.out.document(reply)
    course = reply["onboarding"]
    table(ctx, _WEEKS, course["weeks"], "")
    if week is None:
        return
    if course["wrong"]:
        ctx.out.line(f"wrong: {', '.join(course['wrong'])}")
    if course["passed"]:
        ctx.out.line(f"passed: {', '.join(map(str, course['passed']))}")
    if "quiz" in course["weeks"][week - 1]["missing"]:
        _ask(ctx, course["weeks"][week - 1]["questions"])


def _answers(text: str | None, questions: list[dict[str, Any]]) -> dict[str, str] | None:
    if text is None:
        return None
    letters = [letter.strip() for letter in text.split(",")]
    if len(letters) != len(questions):
        raise click.UsageError(f"The quiz has {len(questions)} questions, not {len(letters)}.")
    return {q["id"]: letter for q, letter in zip(questions, letters, strict=True)}


def _ask(ctx: Context, questions: list[dict[str, Any]]) -> None:
    for question in questions:
        ctx.out.line()
        ctx.out.line(f"{question['id']}  {question['text']}")
        for letter, option in question["options"].items():
            ctx.out.line(f"  {letter}) {option}")


def _body(
    role: str | None, skills: tuple[str, ...], concurrency: int | None, memory: str | None
) -> dict[str, Any]:
    return given(
        role=role, skillsJson=list(skills) or None, concurrencyLimit=concurrency, memory=memory
    )

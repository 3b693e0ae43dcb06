"""homarus resource"""

import sys
from pathlib import Path
from typing import Any, Final

import click

from homarus.base.errors import Invalid
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import (
    MAX_VALUE_BYTES,
    agent_id,
    given,
    limit_option,
    project_id,
    reference,
    show_list,
    show_one,
)
from homarus.client.paths import path_part

command = Group("resource", help="What the company knows and may use: notes, accounts, secrets.")

_COLUMNS: Final = (
    ("name", "name"),
    ("type", "resourceType"),
    ("scope", "scopeType"),
    ("folder", "path"),
    ("status", "status"),
    ("shared", "isShared"),
    ("secret", "secretConfigured"),
    ("id", "id"),
)
_FIELDS: Final = (
    *_COLUMNS,
    ("exclusive", "exclusive"),
    ("version", "version"),
    ("tags", lambda row: " ".join(row.get("tags") or ())),
    ("links", lambda row: ", ".join(link["title"] for link in row.get("links") or ())),
    ("text", "configText"),
)
_VERSIONS: Final = (
    ("version", "version"),
    ("name", "name"),
    ("author", "author"),
    ("characters", "chars"),
    ("written", "createdAt"),
)
_LEASES: Final = (
    ("of", lambda row: row.get("resourceId") or row.get("integrationId")),
    ("agent", "agentId"),
    ("task", "taskId"),
    ("until", "expiresAt"),
    ("ended", "endReason"),
    ("reason", "reason"),
    ("id", "id"),
)
_ATTEMPTS: Final = (
    ("outcome", "outcome"),
    ("code", "code"),
    ("by", "actor"),
    ("task", "taskId"),
    ("times", "attempts"),
    ("last", "lastAt"),
    ("reason", "reason"),
)


def resource_id(ctx: Context, ref: str) -> str:
    return reference(ctx, ref, "/resources", "resources", "name", "displayName")


def _path(ctx: Context, ref: str, more: str = "") -> str:
    return f"/resources/{resource_id(ctx, ref)}{more}"


@command.command("list")
@click.option("--project", help="Of this project.")
@click.option("--agent", help="Of this agent.")
@click.option("--tag", help="With this tag.")
@click.option("--search", help="With these words in name or text.")
@limit_option
@pass_context
def list_(
    ctx: Context, project: str | None, agent: str | None, tag: str | None, search: str | None,
    limit: int,
) -> None:  # fmt: skip
    """Resources, newest first, never a secret."""
    show_list(
        ctx, "/resources", "resources", _COLUMNS, limit=limit, empty="No resource.",
        projectId=project_id(ctx, project) if project else None,
        agentId=agent_id(ctx, agent) if agent else None, tag=tag, search=search,
    )  # fmt: skip


def _content(path: str | None, what: str) -> str | None:
    """The text of a file; `-` is standard input. Raises `cli.too_large`."""
    if path is None:
        return None
    text = sys.stdin.read(MAX_VALUE_BYTES + 1) if path == "-" else _file(path)
    if len(text) > MAX_VALUE_BYTES:
        raise Invalid("cli.too_large", f"{what} passes {MAX_VALUE_BYTES} bytes", "Give less.")
    return text


def _file(path: str) -> str:
    with Path(path).open(encoding="utf-8") as file:
        return file.read(MAX_VALUE_BYTES + 1)


@command.command()
@click.argument("name")
@click.option("--type", "type_", default="knowledge_base", show_default=True)
@click.option("--provider", default="knowledge", show_default=True)
@click.option("--project", help="For this project; for the company where none is named.")
@click.option("--agent", help="For this agent.")
@click.option("--path", help="Folder, such as sales/2026.")
@click.option("--text", "text_file", help="File with its text; - is standard input.")
@click.option("--secret", "secret_file", help="File with its secret; - is standard input.")
@click.option("--shared", is_flag=True, help="Goes into every agent's context in its scope.")
@click.option("--exclusive", is_flag=True, help="Its secret is lent to one at a time.")
@pass_context
def create(
    ctx: Context, name: str, type_: str, provider: str, project: str | None, agent: str | None,
    path: str | None, text_file: str | None, secret_file: str | None, shared: bool, exclusive: bool,
) -> None:  # fmt: skip
    """Create a resource. A secret comes from a file or a pipe, never from the command line."""
    if project is not None and agent is not None:
        raise click.UsageError("Give --project or --agent, or none of them.")
    secret = _content(secret_file, "the secret")
    body = given(
        name=name, resourceType=type_, provider=provider, path=path,
        projectId=project_id(ctx, project) if project else None,
        agentId=agent_id(ctx, agent) if agent else None,
        configText=_content(text_file, "the text"),
        secretText=None if secret is None else secret.rstrip("\n"),
        isShared=shared, exclusive=exclusive,
    )  # fmt: skip
    show_one(ctx, ctx.api.post("/resources", body), "resource", _COLUMNS)


@command.command()
@click.argument("resource")
@pass_context
def show(ctx: Context, resource: str) -> None:
    """One resource, by name or id, with the tags and links of its text."""
    show_one(ctx, ctx.api.get(_path(ctx, resource)), "resource", _FIELDS)


@command.command()
@click.argument("resource")
@limit_option
@pass_context
def versions(ctx: Context, resource: str, limit: int) -> None:
    """Kept versions of its text, newest first."""
    path = _path(ctx, resource, "/versions")
    show_list(ctx, path, "versions", _VERSIONS, limit=limit, empty="It never had a text.")


@command.command()
@click.argument("resource")
@click.argument("version", type=click.IntRange(1))
@pass_context
def restore(ctx: Context, resource: str, version: int) -> None:
    """Make a kept version the newest; nothing in between is lost."""
    reply: Any = ctx.api.post(_path(ctx, resource, f"/versions/{version}/restore"), {})
    show_one(ctx, reply, "resource", _COLUMNS)


@command.command()
@click.option("--resource", help="Only of this one.")
@click.option("--all", "all_", is_flag=True, help="Ended ones too.")
@limit_option
@pass_context
def leases(ctx: Context, resource: str | None, all_: bool, limit: int) -> None:
    """Secrets that are lent now: to whom, for what, until when."""
    show_list(
        ctx, "/leases", "leases", _LEASES, limit=limit, empty="Nothing is lent.",
        resourceId=resource_id(ctx, resource) if resource else None,
        state=None if all_ else "open",
    )  # fmt: skip


@command.command()
@click.argument("lease")
@pass_context
def release(ctx: Context, lease: str) -> None:
    """End a lease. Whoever had the secret still knows it: change it where that matters."""
    show_one(ctx, ctx.api.post(f"/leases/{path_part(lease)}/release", {}), "lease", _LEASES)


@command.command("access-log")
@click.argument("resource")
@limit_option
@pass_context
def access_log(ctx: Context, resource: str, limit: int) -> None:
    """Who asked for its secret, and what became of it."""
    path = _path(ctx, resource, "/access-log")
    show_list(ctx, path, "accessLog", _ATTEMPTS, limit=limit, empty="Nobody asked for it.")

"""homarus config: the file `homarus.json` of this home, and what a running daemon made of it.

Works with and without a daemon: it reads files, and never shows a secret.
"""

import contextlib
import json
from typing import Any, Final

import click
import msgspec

from homarus.base.errors import CHANGE_TEXTS, Conflict, HomarusError, Invalid, NotFound
from homarus.base.nearest import did_you_mean
from homarus.cli.command import Command, Group
from homarus.cli.context import Context, lives, pass_context
from homarus.config import active, edit, files
from homarus.config.active import Active
from homarus.config.problem import Problem, Rejected
from homarus.config.read import Loaded, Origin, Source, read, read_text, shown
from homarus.config.schema import BY_PATH, FILE, GOVERNED, UNUSED, Key, json_schema
from homarus.config.settings import source
from homarus.config.text import Text, parse

command = Group("config", help="The file homarus.json: look, change, check, explain.")

TAKES: Final = {
    "at once": "at once",
    "by a restart": "after a restart; the daemon restarts in place by itself in mode hybrid",
    "by hand": "after a restart by hand, never by itself",
}


@command.command("get", cls=Command, shows=("home", "json"))
@click.argument("key", required=False)
@pass_context
def get(ctx: Context, key: str | None) -> None:
    """The value of KEY as a daemon started here would have it; of every key without KEY."""
    loaded = read(_source(ctx))
    keys = [_key(key)] if key else list(BY_PATH.values())
    found = {each.path: shown(each, getattr(loaded.settings, each.field)) for each in keys}
    if key:
        ctx.out.document({"key": key, "value": found[key]})
        ctx.out.line(_plain(found[key]))
        return
    ctx.out.document({"settings": found, "file": str(loaded.source.path), "hash": loaded.digest})
    rows = [(path, _plain(value), _origin(loaded, path)) for path, value in found.items()]
    ctx.out.table(("key", "value", "from"), rows, "")


@command.command("set", cls=Command, shows=("home", "json"))
@click.argument("key")
@click.argument("value")
@click.option("--base", metavar="HASH", help="Only if the file still has this hash (`get --json`).")
@pass_context
def set_(ctx: Context, key: str, value: str, base: str | None) -> None:
    """Set KEY to VALUE in homarus.json. Comments and everything else in it stay.

    VALUE is JSON where it reads as such (true, 5, ["a"]), else a text. A secret is referred to:
    '${NAME}' or '{source: "file", id: "PATH"}'. The whole result is checked first; what is wrong is
    not written.
    """
    row = _key(key)
    _write(ctx, row, base, lambda text: edit.changed(text, key, _value(row, value)))


@command.command("unset", cls=Command, shows=("home", "json"))
@click.argument("key")
@click.option("--base", metavar="HASH", help="Only if the file still has this hash (`get --json`).")
@pass_context
def unset(ctx: Context, key: str, base: str | None) -> None:
    """Take KEY out of homarus.json, so that its default counts."""
    row = _key(key)
    _write(ctx, row, base, lambda text: edit.removed(text, key) if text else text)


@command.command("validate", cls=Command, shows=("home", "json"))
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@pass_context
def validate(ctx: Context, file: str | None) -> None:
    """Check homarus.json, or FILE as if it were; list every mistake with its place.

    Keys of OpenClaw's file that Homarus does not use are listed too; they are no mistakes.
    """
    place = _source(ctx)
    if file is None:
        loaded = read(place)
    else:
        loaded = read_text(place, _text(file))
    notes = [
        {"file": n.place.file, "line": n.place.line, "column": n.place.column, "path": n.path,
         "text": n.text}
        for n in loaded.notes
    ]  # fmt: skip
    warnings = _warnings(ctx)
    ctx.out.document({"valid": True, "notes": notes, "warnings": warnings, "hash": loaded.digest})
    for note in loaded.notes:
        ctx.out.line(f"{note.place}: {note.path}: {note.text}")
    for warning in warnings:
        ctx.out.alert(warning)
    absent = not loaded.digest and file is None
    ctx.out.line(
        "There is no homarus.json: a daemon that starts has all defaults."
        if absent
        else "No mistakes."
    )
    if file is None:
        _tell_running(ctx, loaded)


@command.command("explain", cls=Command, shows=("home", "json"))
@click.argument("key", required=False)
@pass_context
def explain(ctx: Context, key: str | None) -> None:
    """What KEY means, its type and default, where its value comes from, when an edit counts."""
    if not key:
        rows = [(k.path, k.word, _plain(k.default), k.text) for k in BY_PATH.values()]
        ctx.out.document({"keys": [{"key": r[0], "type": r[1], "about": r[3]} for r in rows]})
        ctx.out.table(("key", "type", "default", "meaning"), rows, "")
        return
    row = _key(key)
    running = _running(ctx)
    try:
        loaded: Loaded | None = read(_source(ctx))
    except Rejected:
        loaded = None
    said = _explained(row, loaded, running)
    ctx.out.document(said)
    ctx.out.line(f"{row.path}: {row.text}")
    ctx.out.fields(
        [
            ("type", f"{row.word}; {row.expected}"),
            ("default", _plain(row.default)),
            ("value", _plain(said["value"])),
            ("from", said["from"]),
            ("in force", said["running"] and _plain(said["running"]["value"])),
            ("by", said["running"] and _where(said["running"])),
            ("an edit counts", TAKES[row.applies]),
            ("waits", "for a restart" if said["waiting"] else None),
            ("environment", row.env),
            ("OpenClaw's name", row.original or "none"),
            ("secret", "yes: never shown" if row.secret else None),
        ]
    )
    if loaded is None:
        ctx.out.line("The file has mistakes: see `homarus config validate`.")


@command.command("schema", cls=Command)
def schema() -> None:
    """Print the JSON Schema of homarus.json, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))


# -- what they share ---------------------------------------------------------------------------


def _source(ctx: Context) -> Source:
    return source(ctx.given_home)


def _key(path: str) -> Key:
    """Raises `settings.governed`, `settings.unused`, `settings.unknown`."""
    row = BY_PATH.get(path)
    if row is not None:
        return row
    if any(path == name or path.startswith(f"{name}.") for name in GOVERNED):
        raise Invalid(
            "settings.governed", f"{path[:80]} is governed: only an approved change sets it",
            f"Propose it: `homarus change new --setting {path[:80]}=VALUE {CHANGE_TEXTS}`.",
        )  # fmt: skip
    for name, instead in UNUSED.items():
        if path == name or path.startswith(f"{name}."):
            raise Invalid("settings.unused", f"Homarus does not use {path[:80]}", instead)
    raise NotFound(
        "settings.unknown", f"there is no setting {path[:80]!r}",
        did_you_mean(path, BY_PATH, "See `homarus config explain`."),
    )  # fmt: skip


def _value(row: Key, text: str) -> Any:
    """What was typed: a text where the setting is one, else JSON; or what refers to a secret."""
    if row.secret and text.lstrip().startswith("{"):
        with contextlib.suppress(Problem):
            return parse(Text("VALUE", text))[0].plain()
    if row.word == "text":
        return text
    try:
        return json.loads(text)
    except ValueError:
        listed = row.word.startswith("list")
        return [part.strip() for part in text.split(",") if part.strip()] if listed else text


def _write(ctx: Context, row: Key, base: str | None, change: Any) -> None:
    place = _source(ctx)
    try:
        found = files.read(place.path, FILE)
        text = "" if found is None else found.text
        digest = "" if found is None else found.digest
        if base is not None and base != digest:
            raise Conflict(
                "settings.changed", f"{FILE} has the hash {digest or '(none)'} now",
                "Look at it, and give the command again.",
            )  # fmt: skip
        new = change(text)
        # the daemon may have another environment than this shell
        checked = read_text(msgspec.structs.replace(place, elsewhere=True), new or "{}")
        if new != text:
            digest = edit.write(place.path, FILE, new, digest, bom=found is not None and found.bom)
    except Problem as problem:
        raise Rejected([problem]) from problem
    unset = checked.unset.get(row.path, ())
    value = None if unset else shown(row, getattr(checked.settings, row.field))
    waits = row.applies if _running(ctx) is not None else None
    ctx.out.document(
        {"key": row.path, "value": value, "unset": list(unset), "file": str(place.path),
         "hash": digest, "counts": waits}
    )  # fmt: skip
    names = " and ".join(f"${{{name}}}" for name in unset)
    if unset:
        ctx.out.line(f"{row.path} refers to {names} in {place.path}, not set in this shell.")
    else:
        ctx.out.line(f"{row.path} is {_plain(value)} in {place.path}.")
    origin = checked.origins.get(row.path, Origin())
    if origin.source == "environment":
        ctx.out.line(f"{origin.where} overrides it.")
    elif unset:
        ctx.out.line(
            f"A daemon without {names} in its environment takes up nothing of the file, and does "
            "not start with it: `homarus doctor` tells."
        )
    elif waits is not None:
        ctx.out.line(f"The running daemon takes it up {TAKES[row.applies]}.")


def _text(file: str) -> str:
    from pathlib import Path

    try:
        found = files.read(Path(file), file)
    except Problem as problem:
        raise Rejected([problem]) from problem
    return "" if found is None else found.text


def _running(ctx: Context) -> Active | None:
    """What the daemon of this home said of its configuration, while it lives."""
    said = active.read(_source(ctx).home)
    return said if said is not None and lives(said.pid) else None


def _warnings(ctx: Context) -> list[str]:
    """What the home's daemon, where it runs, finds wanting in its channels and bindings: a binding
    of an agent that is not there, say. No file shows that."""
    if _running(ctx) is None:
        return []
    from homarus.cli.asking import ask
    from homarus.cli.channels import issue_line

    try:
        told = ask(ctx, "channels.status", {})["statusIssues"]
    except HomarusError:
        return []
    return [issue_line(issue) for issue in told if issue["kind"] == "config"]


def _tell_running(ctx: Context, loaded: Loaded) -> None:
    """`loaded`: homarus.json."""
    running = _running(ctx)
    if running is None:
        return
    if running.waiting:
        ctx.out.line(f"Waits for a restart: {', '.join(running.waiting)}.")
    if running.problems:
        ctx.out.line("The running daemon refused the last edit that it looked at:")
        for problem in running.problems:
            ctx.out.line(active.refused_line(problem))
    elif running.digest and not loaded.digest:
        ctx.out.line(
            "The running daemon goes on as before without it: put it back, or write `{}` for the "
            "defaults."
        )
    elif running.digest != loaded.digest:
        ctx.out.line("The running daemon has not taken up this file yet.")


def _explained(row: Key, loaded: Loaded | None, running: Active | None) -> dict[str, Any]:
    value = None if loaded is None else shown(row, getattr(loaded.settings, row.field))
    now = None if running is None else running.values.get(row.path)
    return {
        "key": row.path, "about": row.text, "type": row.word, "expected": row.expected,
        "default": shown(row, row.default), "value": value,
        "from": None if loaded is None else _origin(loaded, row.path),
        "running": None if now is None else {
            "value": now.value, "source": now.source, "where": now.where,
        },
        "waiting": running is not None and row.path in running.waiting,
        "applies": row.applies, "environment": row.env, "original": row.original or None,
        "secret": row.secret,
    }  # fmt: skip


def _origin(loaded: Loaded, path: str) -> str:
    origin = loaded.origins.get(path, Origin())
    return f"{origin.source} ({origin.where})" if origin.where else origin.source


def _where(now: dict[str, Any]) -> str:
    return f"{now['source']} ({now['where']})" if now["where"] else str(now["source"])


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)

"""Writes the generated parts of docs/reference from the code: `nox -s docs`.

A page holds `<!-- generated: NAME -->` and `<!-- /generated -->`; what stands between them comes
from the function that GENERATORS has for NAME. tests/test_docs.py fails when a page is behind.
"""

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import EnumType
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click

    from homarus.control_plane.match import AnyRoute

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
REFERENCE = ROOT / "docs" / "reference"
PART = re.compile(r"<!-- generated: (\w+) -->\n.*?<!-- /generated -->", re.DOTALL)


def fill(page: str) -> str:
    """The page with its generated parts made anew. KeyError for a name without generator."""

    def part(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- generated: {name} -->\n{GENERATORS[name]()}<!-- /generated -->"

    return PART.sub(part, page)


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; `|` in cells is escaped."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|").strip() for cell in line) + " |\n"
        for line in lines
    )


# --- errors ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Code:
    """One place that makes an error: what it is called, its HTTP status and its remedy."""

    code: str
    status: int
    remedy: str


RUN_TIME: dict[str, str] = {
    "approval.{word}": "needed, expired, rejected",
    "artifact.{field}": "title, storage_url, source_kind, source_ref, retention_policy",
    "budget.{what}": "scope, unit, period",
    "capability.{code}": "id, title, risk, keywords, quota, mirror, grants, kind, effect, argv, "
    "limits, targets, schema",
    "egress.{word}": "host, address",
    "divert.{route}": "the road named by the verdict; no rule diverts yet",
    "identity.{word}": "revoked, expired",
    "event.{field}": "title, location, attendees",
    "oauth.{word}": "invalid_request, invalid_scope, invalid_grant, invalid_target, "
    "invalid_redirect_uri, invalid_client_metadata, unsupported_response_type, "
    "unsupported_grant_type",
    "integration.{field}": "provider, name",
    "model.{value}": "busy, server, stalled, overflow, key, request, malformed, unreachable",
    "pipeline.{code}": "too_large, yaml, empty, many, anchor, deep, kind, key, value, missing, "
    "gate, role, agent, stage, cycle",
    "pipeline.{field}": "name, kind, purpose, doc, runtime_ref, context_query, trigger, "
    "trigger_config, status, context, context_resources, context_tags, extra, steps, nothing, "
    "run_status, run_text",
    "profile.{field}": "display_name, signature, memory_seed",
    "resource.{field}": "provider, type, name, status",
    "skill.{code}": "text, files",
    "stop.{scope}": "company, project, agent, task, trace",
    "task.policy_{word}": "review_first, lead_only, comment_missing, through_review",
    "{kind}.unknown": "pipeline, playbook, template",
    "{what}.outcome": "audit, acceptance",
    "{noun}.{field}": "`artifact.kind`, `folder.kind`, `incident.severity`, `incident.reason_code`",
}
"""Codes that are put together at run time -> what stands in the braces. A new one is a KeyError."""


def errors() -> str:
    """Every code that the source raises or refuses with, as `code | status | what to do`; those
    put together at run time, with what completes them, in a table of their own."""
    found = {(item.code, item.status): item for item in codes(SOURCE)}
    items = [item for _, item in sorted(found.items(), key=lambda pair: pair[0])]
    plain = [
        (f"`{item.code}`", str(item.status), item.remedy) for item in items if "{" not in item.code
    ]
    made = [
        (f"`{item.code}`", RUN_TIME[item.code], str(item.status), item.remedy or "In its message.")
        for item in items
        if "{" in item.code
    ]
    gone = RUN_TIME.keys() - {item.code for item in items}
    if gone:
        raise KeyError(f"no code {sorted(gone)} is made any more")
    return "\n".join(
        [
            table(("code", "status", "what to do"), plain),
            "## Codes that are completed at run time\n",
            table(("code", "in the braces", "status", "what to do"), made),
        ]
    )


def codes(source: Path) -> Iterator[Code]:
    """Calls of an error class, or of the kernel's `refuse`, whose first argument is a code."""
    paths = sorted(source.rglob("*.py"))
    trees = [ast.parse(path.read_text("utf-8")) for path in paths]
    statuses = error_statuses(trees)
    for path, tree in zip(paths, trees, strict=True):
        module = ".".join(path.relative_to(source).with_suffix("").parts)
        others = answers(tree)
        own = {name: status for name, status in statuses.items() if name not in others}
        for item in codes_of(tree, own):
            yield Code(item.code, item.status, with_values(item.remedy, module))


def answers(tree: ast.Module) -> set[str]:
    """Names that are answers of a mirror's target here, and no errors."""
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "homarus.outbox.port"
        for alias in node.names
    }


def codes_of(tree: ast.Module, statuses: dict[str, int]) -> Iterator[Code]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in statuses:
            calls = [
                inner
                for inner in ast.walk(node)
                if isinstance(inner, ast.Call) and called(inner) == "__init__"
            ]
            yield from (found(call, statuses[node.name]) for call in calls if is_code(call))
        elif isinstance(node, ast.Call):
            if called(node) in statuses and is_code(node):
                yield found(node, statuses[called(node)])
            elif called(node) == "one_of" and len(node.args) == 3 and text(node.args[2]):
                # records.rules.one_of(value, allowed, code) raises Invalid with its third argument
                yield Code(text(node.args[2]), 400, "Give one of those that the message lists.")


CONSTANT = re.compile(r"\{((?:\w+\.)?_?[A-Z][A-Z_0-9]*)\}")


def with_values(remedy: str, module: str) -> str:
    """The remedy with the values of the constants that it names as its module does."""

    def value(match: re.Match[str]) -> str:
        *first, last = match[1].split(".")
        found: Any = import_module(module)
        for name in (*first, last):
            found = getattr(found, name, None)
        return shown_value(found) or f"{{{last}}}"

    return CONSTANT.sub(value, remedy)


def shown_value(value: object) -> str:
    """As people read it: a number, a text, or a list of them."""
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, set | frozenset):
        return ", ".join(sorted(str(each) for each in value))
    if isinstance(value, Sequence | Mapping | EnumType):
        return ", ".join(str(each) for each in value)
    return ""


def error_statuses(trees: list[ast.Module]) -> dict[str, int]:
    """Name of each error class -> HTTP status, inherited where it has none of its own."""
    statuses = {"refuse": 403, "Refuse": 403, "HomarusError": 500}
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for _ in range(4):  # depth of the tree of errors
        for node in classes:
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            known = next((statuses[base] for base in bases if base in statuses), None)
            if known is not None:
                statuses[node.name] = own_status(node) or known
    return statuses


def own_status(node: ast.ClassDef) -> int | None:
    for item in node.body:
        match item:
            case ast.Assign(targets=[ast.Name(id="status")], value=ast.Constant(value=int(status))):
                return status
            case ast.AnnAssign(target=ast.Name(id="status"), value=ast.Constant(value=int(status))):
                return status
    return None


def called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def is_code(node: ast.Call) -> bool:
    return bool(node.args) and bool(re.fullmatch(r"[\w.{}-]+", text(node.args[0])))


def found(node: ast.Call, status: int) -> Code:
    arguments = [text(argument) for argument in node.args]
    # refuse(code, rule, reason, remedy); errors are (code, message, remedy)
    place = 3 if called(node) in ("refuse", "Refuse") else 2
    remedy = arguments[place] if len(arguments) > place else ""
    named = [text(item.value) for item in node.keywords if item.arg == "remedy"]
    return Code(arguments[0], status, (named or [remedy])[0])


def text(node: ast.expr) -> str:
    """A literal string; what an f-string fills in stands as `{name}`; else nothing."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(text(value) for value in values)
        case ast.FormattedValue(value=value):
            return f"{{{filled_in(value)}}}"
        case _:
            return ""


def filled_in(node: ast.expr) -> str:
    """The last name in an expression; a constant's with its module, unless it is reckoned with."""
    written = ast.unparse(node)
    name = re.findall(r"[A-Za-z_]\w*", written)[-1:] or ["value"]
    if any(isinstance(part, ast.BinOp) for part in ast.walk(node)):
        return name[0].lower()
    constant = re.search(rf"\b\w+\.{name[0]}\b", written) if name[0].isupper() else None
    return constant[0] if constant else name[0]


# --- command line and settings --------------------------------------------------------------


def cli() -> str:
    """Every command with its synopsis and options, by section; then the exit codes."""
    import click

    from homarus.cli.app import SECTIONS, cli
    from homarus.cli.exit_codes import MEANING

    parts = []
    with click.Context(cli, info_name="homarus") as root:
        parts.append(f"Options of every command:\n\n{options(cli.params, root)}")
        for section, names in SECTIONS.items():
            parts.append(f"## {section}\n")
            for name in names:
                command = cli.get_command(root, name)
                if command is not None:
                    parts.extend(command_parts(command, name, root))
    codes = [(str(int(code)), meaning) for code, meaning in MEANING.items()]
    return "\n".join([*parts, "## Exit codes\n", table(("code", "meaning"), codes)])


def command_parts(command: "click.Command", name: str, parent: "click.Context") -> Iterator[str]:
    """One heading for a command, or for a group and each of its commands."""
    import click

    with click.Context(command, info_name=name, parent=parent) as here:
        level = "###" if parent.parent is None else "####"
        usage = " ".join(command.collect_usage_pieces(here))
        yield f"{level} `{here.command_path} {usage}`\n"
        yield f"{inspect.cleandoc(command.help or '')}\n"
        own = options([item for item in command.params if item.name != "json"], here)
        if own:
            yield own
        if isinstance(command, click.Group):
            for inner in command.list_commands(here):
                child = command.get_command(here, inner)
                if child is not None:
                    yield from command_parts(child, inner, here)


def options(params: "list[click.Parameter]", context: "click.Context") -> str:
    """One line for each that has something to say."""
    records = [found for item in params if (found := item.get_help_record(context))]
    return "".join(f"- `{flags}` {about}\n" for flags, about in records if about)


def settings() -> str:
    from homarus.config.settings import rows

    cells = [
        (
            f"`{row.name}`",
            row.type,
            f"`{row.default}`" if row.default else "–",
            f"`{row.env}`",
            row.applies,
            "the same" if row.original else "–",
            row.text,
        )
        for row in rows()
    ]
    header = ("setting", "type", "default", "environment", "an edit counts", "OpenClaw", "meaning")
    return table(header, cells)


def unused_settings() -> str:
    """Keys of OpenClaw's file that are taken and not used."""
    from homarus.config.schema import UNUSED

    return table(
        ("key", "instead"), [(f"`{path}`", instead) for path, instead in UNUSED.items() if instead]
    )


# --- surface, tasks, capabilities -------------------------------------------------------------

KEYED = {"required": "required", "accepted": "honoured", "ignored": "none"}


def api() -> str:
    """Every route by area, in the table's order."""
    from homarus.control_plane import table as surface

    parts = []
    for area in surface.AREAS:
        routes = getattr(area, "ROUTES", ())
        if not routes:
            continue
        name = area.__name__.rpartition(".")[2]
        rows = [
            (
                route.method,
                f"`{route.path or '/'}`",
                f"`{route.capability}`",
                key_rule(route),
                route.summary,
            )
            for route in routes
        ]
        header = ("method", "path", "capability", "key", "what it does")
        parts.append(f"### {name}\n\n{table(header, rows)}")
    return "\n".join(parts)


def tools() -> str:
    """Every MCP tool with the route that it is a face of, in the table's order."""
    from homarus.control_plane import table as surface
    from homarus.mcp.table import TOOLS
    from homarus.mcp.tool import bind_tools

    rows = []
    for name, bound in bind_tools(TOOLS, surface.routes()).items():
        row = bound.tool
        must = bound.schema["required"]
        arguments = ", ".join(f"{each}*" if each in must else each for each in bound.places)
        kind = "reads" if bound.reads else "changes" if row.destructive else "adds"
        rows.append((f"`{name}`", row.about, f"`{row.method} {row.path}`", kind, arguments or "–"))
    return table(("tool", "what it does", "route", "kind", "arguments"), rows)


def gateway() -> str:
    """The routes of `/v1` and `/tools`."""
    from homarus.gateway.http.table import ENDPOINTS

    rows = [(e.method, f"`{e.path}`", f"`{e.capability}`", e.summary) for e in ENDPOINTS]
    return table(("method", "path", "capability", "what it does"), rows)


def key_rule(route: "AnyRoute") -> str:
    if route.kind == "read":
        return ""
    return KEYED[route.keyed] + (", strict" if route.strict else "")


def frames() -> str:
    """Which event makes which frame, from the functions that make them."""
    from homarus.control_plane import table as surface

    rows = [
        (f"`{kind}`", ", ".join(f"`{word}`" for word in frame_types(kind, make)))
        for kind, make in sorted(surface.frames().items())
    ]
    return table(("event", "frame `type`"), rows)


def frame_types(kind: str, make: Callable[..., object]) -> list[str]:
    """The values of `type` in the dictionaries that `make` writes down for events of `kind`."""
    outer = inspect.getclosurevars(make).nonlocals
    types = set()
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(make)))):
        if not isinstance(node, ast.Dict):
            continue
        for key, value in zip(node.keys, node.values, strict=True):
            match (key, value):
                case (ast.Constant(value="type"), ast.Constant(value=str(word))):
                    types.add(word)
                case (ast.Constant(value="type"), ast.Name(id=name)):
                    types.add(outer[name])
                case (ast.Constant(value="type"), ast.Attribute(attr="kind")):
                    types.add(kind)
    if not types:
        raise AssertionError(f"{make.__qualname__} names no frame type for {kind}")
    return sorted(types)


def tasks() -> str:
    """States with their wire words, then the moves."""
    from homarus.tasks import rules
    from homarus.tasks.model import MOVES, State

    after = comments(SOURCE / "homarus" / "tasks" / "model.py", "State")
    states = [(f"`{s}`", f"`{rules.to_wire(s)}`", after[s.name]) for s in State]
    moves = [
        (f"`{before}`", f"`{to}`", ", ".join(sorted(movers)))
        for (before, to), movers in MOVES.items()
        if to is not State.ARCHIVED
    ]
    away = ", ".join(f"`{before}`" for before, to in MOVES if to is State.ARCHIVED)
    movers = ", ".join(sorted({m for (_, to), ms in MOVES.items() if to == "archived" for m in ms}))
    moves.append((away, "`archived`", movers))
    words = ", ".join(f"`{word}`" for word in rules.WIRE_STATES)
    aliases = ", ".join(f"`{alias}` for `{word}`" for alias, word in rules.ALIASES.items())
    return "\n".join(
        [
            "## States\n",
            table(("state", "on the wire", "after a crash"), states),
            f"Words accepted from clients: {words}; also {aliases}.\n",
            "## Moves\n",
            table(("from", "to", "who may"), moves),
        ]
    )


def comments(path: Path, name: str) -> dict[str, str]:
    """The comment beside each member of an enum."""
    lines = path.read_text("utf-8").splitlines()
    tree = ast.parse("\n".join(lines))
    enum = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    return {
        item.targets[0].id: lines[item.lineno - 1].partition("  # ")[2]
        for item in enum.body
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name)
    }


def capabilities() -> str:
    from homarus.kernel.capabilities import BUILTIN

    rows = [
        (
            f"`{row.id}`",
            row.about,
            row.effect.name.lower().replace("_", " "),
            row.operator or "–",
            "yes" if row.agents else "–",
            ("named agent" if row.acting else "yes") if row.runtimes else "–",
            "yes" if row.system else "–",
        )
        for row in BUILTIN.values()
    ]
    header = (
        "capability",
        "what it does",
        "effect",
        "operator from",
        "agent",
        "company token",
        "daemon",
    )
    return table(header, rows)


def interceptors() -> str:
    from homarus.kernel.admit import INTERCEPTORS

    rows = [
        (str(n), name, first_line(fn), "only recorded" if observable else "refuses")
        for n, (name, fn, observable) in enumerate(INTERCEPTORS, 1)
    ]
    return table(("order", "interceptor", "what it asks", "at level `observe`"), rows)


def governed_settings() -> str:
    from homarus.kernel.settings import SETTINGS

    def span(least: float | None, most: float | None, choices: tuple[str, ...]) -> str:
        if choices:
            return " or ".join(choices)
        return "" if least is None else f"{least:g} to {most:g}"

    rows = [
        (f"`{s.name}`", f"`{s.default!r}`", span(s.least, s.most, s.choices), s.about)
        for s in SETTINGS.values()
    ]
    return table(("setting", "default", "range", "what it does"), rows)


def first_line(fn: Callable[..., object]) -> str:
    text = re.sub(r" \([a-z -]+(?: contract)?, \d+\)", "", inspect.getdoc(fn) or "")
    return text.partition("\n")[0]


def rules() -> str:
    """Every rule in words: `homarus explain` from the same table."""
    from homarus.kernel.explained import RULES

    parts = []
    for rule in RULES.values():
        manual = "" if rule.manual == rule.id else f" ({rule.manual})"
        lines = [f"## {rule.id}: {rule.title}{manual}\n", f"{rule.asks}\n"]
        if not rule.holds_always:
            lines.append("A company of level `observe` only notes what it would refuse.\n")
        if rule.refused:
            codes = [(f"`{code}`", when) for code, when in rule.refused]
            lines.append(table(("refused with", "when"), codes))
        lines.append(f"Instead: {rule.instead}\n")
        lines.append(f"Try it: {rule.try_it}\n")
        parts.append("\n".join(lines))
    return "\n".join(parts)


# --- tools ------------------------------------------------------------------------------------


def agent_tools() -> str:
    """Every tool, then the arguments of each."""
    from typing import Any, cast

    from homarus.agents.tools.all import built_in
    from homarus.kernel.capabilities import BUILTIN

    known = built_in(Path(), cast(Any, None))
    rows = []
    parts = []
    for tool in known:
        builtin = BUILTIN.get(tool.capability)
        judged = f"`{tool.capability}`" if builtin else tool.capability
        effect = builtin.effect.name.lower().replace("_", " ") if builtin else "its own"
        again = "yes" if tool.harmless else "–"
        rows.append((f"`{tool.name}`", tool.about, judged, effect, f"`{tool.target}`", again))
        schema = tool.spec.parameters
        wanted = [
            (f"`{name}`", bounds(field), "yes" if name in schema["required"] else "–",
             next((f["description"] for f in (field, *field.get("anyOf", ()))
                   if "description" in f), ""))
            for name, field in schema["properties"].items()
        ]  # fmt: skip
        parts.append(f"### `{tool.name}`\n")
        parts.append(table(("argument", "type", "needed", "what it is"), wanted))
    header = ("tool", "what it does", "judged as", "effect", "target", "repeat")
    return "\n".join([table(header, rows), "## Arguments\n", *parts])


def bounds(field: dict[str, object]) -> str:
    """A field's type with its bounds, in words."""
    options = field.get("anyOf")
    if isinstance(options, list):
        return " or ".join(bounds(each) for each in options)
    kind = str(field.get("type", "anything"))
    if "maxLength" in field:
        return f"{kind}, at most {field['maxLength']} characters"
    if "minimum" in field and "maximum" in field:
        return f"{kind}, {field['minimum']} to {field['maximum']}"
    return f"{kind}, at most {field['maxItems']}" if "maxItems" in field else kind


def gateway_methods() -> str:
    """Every method of the gateway's WebSocket, by family, with what it takes."""
    from homarus.gateway.ws.methods.table import FAMILIES

    parts = []
    for family, methods in FAMILIES.items():
        rows = [
            (f"`{row.name}`", f"`{row.scope}`" if row.scope else "–", row.about,
             parameters(row.params), row.result)
            for row in methods
        ]  # fmt: skip
        header = ("method", "scope", "what it does", "parameters", "result")
        parts.append(f"### {family[0].upper()}{family[1:]}\n\n{table(header, rows)}")
    return "\n".join(parts)


def parameters(kind: type) -> str:
    """The properties of a closed schema; a star marks those that must be there."""
    import msgspec

    named = msgspec.structs.fields(kind)
    return ", ".join(f"{each.encode_name}*" if each.required else each.encode_name
                     for each in named) or "–"  # fmt: skip


def gateway_events() -> str:
    """Every event that the gateway's WebSocket tells, with the scope that hears it."""
    from homarus.gateway.ws.hub import EVENTS
    from homarus.gateway.ws.link import DROPPED

    rows = [
        (f"`{name}`", f"`{scope}`" if scope else "–", "missed" if name in DROPPED else "cut off")
        for name, scope in EVENTS.items()
    ]
    return table(("event", "scope", "a client that does not read is"), rows)


GENERATORS: dict[str, Callable[[], str]] = {
    "api": api,
    "capabilities": capabilities,
    "cli": cli,
    "errors": errors,
    "frames": frames,
    "gateway": gateway,
    "gateway_events": gateway_events,
    "gateway_methods": gateway_methods,
    "governed": governed_settings,
    "interceptors": interceptors,
    "rules": rules,
    "settings": settings,
    "unused_settings": unused_settings,
    "tasks": tasks,
    "tools": tools,
    "agent_tools": agent_tools,
}


def main() -> None:
    for path in sorted(REFERENCE.glob("*.md")):
        page = path.read_text("utf-8")
        filled = fill(page)
        if filled != page:
            path.write_text(filled, "utf-8")
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()

"""Writes the generated parts of docs/reference from the code: `nox -s docs`.

A page holds `<!-- generated: NAME -->` and `<!-- /generated -->`; what stands between them comes
from the function that GENERATORS has for NAME. tests/test_docs.py fails when a page is behind.
"""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

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


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
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


def errors() -> str:
    """Every code that the source raises or refuses with, as `code | status | what to do`."""
    found = {(item.code, item.status): item for item in codes(SOURCE)}
    rows = [
        (f"`{item.code}`", str(item.status), item.remedy)
        for _, item in sorted(found.items(), key=lambda pair: pair[0])
    ]
    return table(("code", "status", "what to do"), rows)


def codes(source: Path) -> Iterator[Code]:
    """Calls of an error class, or of the kernel's `refuse`, whose first argument is a code."""
    trees = [ast.parse(path.read_text("utf-8")) for path in sorted(source.rglob("*.py"))]
    statuses = error_statuses(trees)
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name in statuses:
                calls = [
                    inner
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.Call) and called(inner) == "__init__"
                ]
                yield from (found(call, statuses[node.name]) for call in calls if is_code(call))
            elif isinstance(node, ast.Call) and called(node) in statuses and is_code(node):
                yield found(node, statuses[called(node)])


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
            names = re.findall(r"[A-Za-z_]\w*", ast.unparse(value))
            return f"{{{names[-1] if names else 'value'}}}"
        case _:
            return ""


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
        (f"`{row.name}`", row.type, f"`{row.default}`", f"`{row.env}`", row.text) for row in rows()
    ]
    return table(("setting", "type", "default", "environment", "meaning"), cells)


GENERATORS: dict[str, Callable[[], str]] = {
    "cli": cli,
    "errors": errors,
    "settings": settings,
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

"""Who may import whom: the table of ARCHITECTURE.md, and the walk that holds the source to it.

A package imports packages of lower tiers only. Two packages of one tier may know each other only
where SAME_TIER says so; domain packages (tier 3) never do. Imports inside functions and under
TYPE_CHECKING count: they are the same dependency, met later.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT_PACKAGE = "homarus"

# fmt: off
TIER = {
    "base": 0, "config": 0,
    "store": 1,
    "kernel": 2,
    "company": 3, "tasks": 3, "records": 3, "conversations": 3,
    "jobs": 3, "changes": 3, "pipelines": 3,
    "flows": 4,
    "dispatch": 5, "outbox": 5, "scheduler": 5, "backends": 5,
    "agents": 5, "channels": 5, "egress": 5, "mainspace": 5,
    "control_plane": 6, "gateway": 6, "runtime": 6, "mcp": 6, "web": 6, "openapi": 6,
    "client": 7, "app": 7, "cli": 7, "service": 7, "bridge": 7, "demo": 7,
    "importers": 7, "redteam": 7, "testing": 7, "__main__": 7, "companion": 7, "node": 7,
    "gateway_client": 7,
}
# fmt: on
DOMAIN_TIER = 3
TOP_TIER = 7

# (importer, imported), both of one tier. Without a cycle, and none between domains.
SAME_TIER = frozenset(
    {
        ("config", "base"),
        ("agents", "dispatch"),
        ("dispatch", "backends"),
        ("dispatch", "egress"),
        ("scheduler", "dispatch"),
        ("scheduler", "backends"),
        ("scheduler", "egress"),
        ("agents", "egress"),
        ("agents", "backends"),
        ("outbox", "egress"),
        ("control_plane", "openapi"),
        ("web", "openapi"),
        ("web", "control_plane"),  # the same sessions, feed and shapes as the API
        ("mcp", "control_plane"),  # tools are faces of its routes
        ("service", "app"),
        ("demo", "client"),
        ("bridge", "client"),
        ("redteam", "client"),
        ("testing", "app"),
        ("testing", "client"),
        ("testing", "service"),
        ("cli", "app"),
        ("cli", "client"),
        ("cli", "demo"),
        ("cli", "service"),
        ("cli", "bridge"),
        ("cli", "importers"),
        ("importers", "client"),
        ("cli", "redteam"),
        ("__main__", "cli"),
        ("companion", "client"),
        ("cli", "companion"),
        ("cli", "node"),
        ("gateway_client", "client"),  # its word for a daemon that nobody reaches
        ("node", "gateway_client"),
        ("cli", "gateway_client"),
        ("gateway", "control_plane"),  # the same door, store and parsing as the API
    }
)

# Packages that know less than their tier would let them.
ONLY = {"client": frozenset({"base"}), "bridge": frozenset({"base", "client"})}

# The engines open the database; only the store itself and what builds the process name them.
STORE_ENGINES = ("homarus.store.sqlite", "homarus.store.postgres")


@dataclass(frozen=True)
class Import:
    """One imported module name and the place of its statement."""

    module: str
    path: Path
    line: int
    in_function: bool
    for_types: bool


@cache
def imports(path: Path, module: str) -> tuple[Import, ...]:
    """Every import of the file, relative ones resolved against `module` (its dotted name)."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_text("utf-8"), str(path))
    return tuple(_walk(tree, path, package, False, False))


def _walk(
    node: ast.AST, path: Path, package: str, in_function: bool, for_types: bool
) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for name in _imported(child, package):
            yield Import(name, path, child.lineno, in_function, for_types)  # type: ignore[attr-defined]
        yield from _walk(
            child,
            path,
            package,
            in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda),
            for_types or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)),
        )


def _imported(node: ast.AST, package: str) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            base = module or ""
            if level:
                parents = package.split(".")
                kept = parents[: len(parents) - level + 1]
                base = ".".join([*kept, module] if module else kept)
            return [f"{base}.{alias.name}" for alias in names]
        case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if (
            isinstance(func, ast.Name) and func.id in ("import_module", "__import__")
        ) or (isinstance(func, ast.Attribute) and func.attr == "import_module"):
            return [name]
        case _:
            return []


def modules(source: Path) -> Iterator[tuple[str, Path]]:
    """(dotted name, file) of every module below `source`, which holds the package `homarus`."""
    for path in sorted((source / ROOT_PACKAGE).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def package_of(module: str) -> str | None:
    """`homarus.tasks.rules` -> `tasks`; None for homarus itself (its version) and for others."""
    parts = module.split(".")
    if parts[0] != ROOT_PACKAGE or len(parts) == 1 or parts[1].startswith("__version"):
        return None
    return parts[1]


def violations(source: Path) -> list[str]:
    """One line `file:line: what` per import that the table forbids."""
    found = []
    for module, path in modules(source):
        importer = package_of(module)
        where = path.relative_to(source)
        if importer is not None and importer not in TIER:
            found.append(f"{where}:1: package {importer} has no tier; add it to tests/tiers.py")
            continue
        for item in imports(path, module):
            reason = _forbidden(importer, item.module)
            if reason:
                found.append(f"{where}:{item.line}: {reason}")
    return found


def _forbidden(importer: str | None, module: str) -> str | None:
    imported = package_of(module)
    if imported is None or imported == importer:
        return None
    if importer is None:
        return f"homarus/__init__.py imports {module}; it holds the version only"
    if imported not in TIER:
        return f"{module} belongs to no known package"
    ours, theirs = TIER[importer], TIER[imported]
    if importer in ONLY and imported not in ONLY[importer]:
        return f"{importer} imports {imported}; it may import only {sorted(ONLY[importer])}"
    if theirs > ours:
        return f"{importer} (tier {ours}) imports {imported} (tier {theirs}); imports go down"
    if theirs == ours and (importer, imported) not in SAME_TIER:
        return f"{importer} imports {imported} of its own tier {ours}"
    if module.startswith(STORE_ENGINES) and ours < TOP_TIER:
        return f"{importer} imports {module}; engines are chosen in app.py, use the port"
    return None

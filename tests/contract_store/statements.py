"""The SQL texts of the source, as the modules themselves would build them.

A statement is the first argument of `.one(…)`, `.all(…)` or `.run(…)` of an rx or tx, or what is
named `select` for `paging.newest`. It is taken when it can be worked out from the module's own
constants; texts that depend on arguments are counted only.
"""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

import homarus

METHODS = frozenset({"one", "all", "run"})
RECEIVERS = frozenset({"rx", "tx", "_rx", "_tx"})
ENGINES = ("homarus.store.sqlite", "homarus.store.postgres")
VERBS = ("select", "insert", "update", "delete", "with")


@dataclass(frozen=True)
class Statement:
    """`text` None: it depends on arguments of its function."""

    place: str
    text: str | None


def statements() -> list[Statement]:
    """Those of all packages that may use a store, engines excepted."""
    found = []
    for info in pkgutil.walk_packages(homarus.__path__, "homarus."):
        if not info.name.startswith(ENGINES) and not info.name.endswith("__main__"):
            found += list(_of_module(importlib.import_module(info.name)))
    return found


def _of_module(module: ModuleType) -> Iterator[Statement]:
    path = Path(module.__file__ or "")
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        said = _said(node)
        if said is None:
            continue
        text = _value(said, module)
        if text is None or text.lstrip().lower().startswith(VERBS):
            yield Statement(f"{module.__name__}:{said.lineno}", text)


def _said(node: ast.AST) -> ast.expr | None:
    """The expression of the statement that this node says, where it says one."""
    if isinstance(node, ast.Assign):
        return node.value if ast.unparse(node.targets[0]) == "select" else None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    receiver = ast.unparse(node.func.value).rpartition(".")[2]
    asks = node.func.attr in METHODS and receiver in RECEIVERS
    return node.args[0] if asks and node.args else None


def _value(node: ast.expr, module: ModuleType) -> str | None:
    """The expression's value from module constants; None where it needs more than those."""
    code: CodeType = compile(ast.Expression(node), "<statement>", "eval")
    try:
        value = eval(code, vars(module))  # our own source, in a test
    except NameError:
        return None
    return value if isinstance(value, str) else None

"""The SQL texts of the source, as the modules themselves would build them.

A statement is the first argument of `.one(…)`, `.all(…)` or `.run(…)` of an rx or tx. It is taken
when it can be worked out from the module's own constants; texts that depend on arguments are
counted only.
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
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        receiver = ast.unparse(node.func.value).rpartition(".")[2]
        if node.func.attr not in METHODS or receiver not in RECEIVERS or not node.args:
            continue
        text = _value(node.args[0], module)
        place = f"{module.__name__}:{node.lineno}"
        if text is None or text.lstrip().lower().startswith(VERBS):
            yield Statement(place, text)


def _value(node: ast.expr, module: ModuleType) -> str | None:
    """The expression's value from module constants; None where it needs more than those."""
    code: CodeType = compile(ast.Expression(node), "<statement>", "eval")
    try:
        value = eval(code, vars(module))  # our own source, in a test
    except NameError:
        return None
    return value if isinstance(value, str) else None

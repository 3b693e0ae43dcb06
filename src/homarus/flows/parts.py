"""A function of another part of the daemon, or a plain refusal where that part is not there yet."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from homarus.base.errors import Unavailable


def part(module: str, name: str) -> Callable[..., Any]:
    """`homarus.<module>.<name>`. Raises `change.part` when this version has none."""
    try:
        found: Callable[..., Any] | None = getattr(import_module(f"homarus.{module}"), name, None)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise Unavailable(
            "change.part", f"this version has no {module}.{name}", "Wait for the next version."
        )
    return found

"""What surrounds a task in its context: resources in scope, related threads (contract, 6.2)."""

from typing import Any

from homarus.store.port import Rx
from homarus.tasks.model import Task


def resources_for(rx: Rx, company: str, task: Task) -> dict[str, list[dict[str, Any]]]:
    """Resources in the task's scopes, at most 20 each, never a secret."""
    return {"project": [], "customer": [], "shared": [], "company": [], "agent": []}


def threads_of(rx: Rx, company: str, task: Task) -> list[dict[str, Any]]:
    """Threads about the task, each with its newest messages."""
    return []

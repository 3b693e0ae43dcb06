"""A busy agent in a process of its own: creates a task, claims one, notes, reports, again.

    python -m tests.support.claimer URL PROJECT AGENT      with the token in CLAIMER_TOKEN

Writes a line per finished task; ends with its standard input, or after MAX_TASKS.
"""

import os
import select
import sys
from typing import Any, Final

from homarus.client.http import Client

MAX_TASKS: Final = 20_000
MOUNT: Final = "/api/mcp"


def task(project: str) -> dict[str, Any]:
    return {
        "projectId": project,
        "taskType": "release_note",
        "inputJson": {"title": "Write the notes"},
        "allowUnderspecified": True,
    }


def main(url: str, project: str, agent: str) -> None:
    with Client(url, os.environ["CLAIMER_TOKEN"]) as api:
        for _ in range(MAX_TASKS):
            if select.select([sys.stdin], [], [], 0)[0]:
                return
            api.post(f"{MOUNT}/tasks", task(project))
            claimed = api.post(f"{MOUNT}/tasks/claim", {"agentId": agent})["task"]
            if claimed is None:
                continue
            path = f"{MOUNT}/tasks/{claimed['id']}"
            api.post(f"{path}/notes", {"agentId": agent, "note": "at it"})
            api.post(f"{path}/result", {"agentId": agent, "state": "done", "outputJson": {"n": 1}})
            sys.stdout.write(f"{claimed['id']}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:4])

"""Tasks for tests of other parts."""

from typing import Any

from homarus.flows import work
from homarus.tasks.model import Task
from homarus.testing.ground import Ground


async def make_task(g: Ground, project: str, **more: Any) -> Task:
    new = work.NewTask(
        project=project, type="inventory", spec={"title": "T"}, allow_underspecified=True, **more
    )
    return (await g.write("task.create", work.create, new)).task

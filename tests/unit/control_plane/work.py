"""Tasks for tests of other parts."""

from typing import Any

from homarus.flows import creating
from homarus.tasks.model import Task
from homarus.testing.ground import Ground


async def make_task(g: Ground, project: str, **more: Any) -> Task:
    new = creating.NewTask(
        project=project, type="inventory", spec={"title": "T"}, allow_underspecified=True, **more
    )
    return (await g.write("task.create", creating.create, new)).task

"""An agent leaves: its waiting tasks go back to everybody, its work in hand keeps it here."""

from homarus.flows import leaving
from homarus.tasks.model import State
from tests.support.refusals import refused


async def dismiss(shop, name):
    return await shop.do("agent.delete", "owner", leaving.dismiss, shop.agents[name])


async def test_waiting_tasks_are_for_anybody_that_fits(shop):
    ada = await shop.agent("ada", role="coder")
    await shop.agent("bob", role="coder", limit=9)
    await shop.agent("wil", role="writer")
    first = await shop.task(agent=ada, role="coder")
    second = await shop.task(agent=ada)
    await shop.move(second.id, State.BLOCKED)
    await dismiss(shop, "ada")
    assert (await shop.move(second.id, State.QUEUED)).agent is None
    assert (await shop.claim("wil")).id == second.id
    assert (await shop.claim("bob")).id == first.id


async def test_work_in_hand_keeps_an_agent(shop):
    await shop.agent("ada")
    await shop.task()
    task = await shop.claim("ada")
    with refused("agent.busy"):
        await dismiss(shop, "ada")
    await shop.result("ada", task.id, "done")
    await dismiss(shop, "ada")
    with refused("identity.agent_gone"):
        await shop.claim("ada")


async def test_too_many_waiting_tasks_keep_an_agent_and_change_nothing(shop):
    ada = await shop.agent("ada")
    for _ in range(leaving.MAX_GIVEN_UP + 1):
        await shop.task(agent=ada)
    with refused("agent.busy"):
        await dismiss(shop, "ada")
    assert (await shop.claim("ada")).agent == ada


async def test_tasks_of_a_removed_project_do_not_keep_an_agent(shop):
    project = await shop.project()
    await shop.task(agent=await shop.agent("ada"), project=project)
    await shop.remove_project(project)
    await dismiss(shop, "ada")

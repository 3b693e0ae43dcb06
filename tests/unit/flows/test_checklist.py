"""The checklists answer from rows: what each item says before, during and after the work."""

from typing import Any

from homarus.flows import checklist, thinking
from homarus.kernel import registry
from homarus.store.port import Tx

COUNT = "files.count"


def register(tx: Tx) -> None:
    registry.register(tx, registry.NewCapability(id=COUNT, title="Count files", argv=("true",)))


async def answers(shop: Any, task: str | None = None, agent: str = "ada") -> dict[str, str]:
    items = await shop.ground.read(checklist.answer, shop.ground.company, agent, task)
    assert all(item.evidence and item.text for item in items)
    return {item.id: item.answer for item in items}


async def test_the_ids_are_the_contracts(shop: Any) -> None:
    await shop.agent("ada")
    assert " ".join(await answers(shop)) == (
        "A1 A2 A3 B1 B2 B3 B4 C1 C2 C3 R1 R2 R3 R4 R5 R6 P1 P2 P3 P4 P5 P6 P7 P8 P9"
    )


async def test_nothing_done_yet(shop: Any) -> None:
    await shop.agent("ada")
    found = await answers(shop)
    assert {id: found[id] for id in ("A1", "A2", "A3", "B1", "B2", "B3", "C1", "C2", "P1")} == {
        "A1": "no", "A2": "unknown", "A3": "no", "B1": "unknown", "B2": "unknown",
        "B3": "unknown", "C1": "unknown", "C2": "unknown", "P1": "no",
    }  # fmt: skip
    assert {found[rule] for rule in ("R1", "R2", "R3", "R4", "R5", "R6")} == {"yes"}


async def test_a_task_bound_held_thought_about_and_written_back(shop: Any) -> None:
    await shop.do("capability.register", "owner", register)
    await shop.agent("ada", role="coder", skills=("count",))
    task = await shop.task(role="coder", done=["counted"], capability=COUNT)
    await shop.claim("ada")
    held = await answers(shop)
    assert (held["A1"], held["A2"], held["B1"], held["B2"], held["B3"], held["C1"]) == (
        "yes", "yes", "yes", "yes", "unknown", "yes",
    )  # fmt: skip
    await shop.do(
        "preflight.create", "ada", thinking.preflight, shop.agents["ada"], "count files", task.id
    )
    assert set((await answers(shop, task.id)).values()) == {"yes", "unknown"}
    await shop.result("ada", task.id, "done", output={"count": 1})
    after = await answers(shop, task.number)
    assert (after["B1"], after["B3"], after["A1"]) == ("no", "yes", "yes")


async def test_a_suspended_agent_and_a_stop_stand_in_the_way(shop: Any) -> None:
    await shop.agent("ada")
    task = await shop.task()
    await shop.claim("ada")
    assert (await answers(shop))["A3"] == "yes"
    stop = await shop.stop("task", task.id)
    assert (await answers(shop, task.id))["A3"] == "no"
    await shop.lift(stop)
    assert (await answers(shop, task.id))["A3"] == "yes"


async def test_a_preflight_that_is_over_no_longer_counts(shop: Any) -> None:
    await shop.agent("ada")
    await shop.do("preflight.create", "ada", thinking.preflight, shop.agents["ada"], "count files")
    assert (await answers(shop))["A1"] == "yes"
    shop.ground.clock.advance(1_800_000)
    assert (await answers(shop))["A1"] == "no"

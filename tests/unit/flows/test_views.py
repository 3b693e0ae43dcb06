"""What agents read about the company: text made from rows, that no agent's text can break."""

import json
from typing import Any

import pytest

from homarus.base.errors import NotFound
from homarus.flows import views
from homarus.kernel import registry, settings
from homarus.kernel.capabilities import BUILTIN
from homarus.store.port import Tx


async def test_the_roster_says_who_is_free(shop: Any) -> None:
    await shop.agent("ada", role="coder", skills=("python", "sql"), limit=1)
    await shop.agent("bob", role="pm")
    await shop.task()
    await shop.claim("ada")
    text = await shop.ground.read(views.roster_md, shop.ground.company)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert lines[0] == "| agent | role | skills | is | tasks | trust | id |"
    assert lines[2].startswith("| ada | coder | python, sql | busy | 1/1 | 60 |")
    assert lines[3].startswith("| bob | pm | - | free | 0/1 | 60 |")


@pytest.mark.parametrize("name", ["a|b", "a\nb", "a `x` <b>", "# a", "[a](b)"])
async def test_a_name_cannot_break_the_table(shop: Any, name: str) -> None:
    await shop.agent(name)
    text = await shop.ground.read(views.roster_md, shop.ground.company)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 3
    assert rows[2].replace("\\|", "").count("|") == rows[0].count("|")
    assert "<b>" not in rows[2]


async def test_an_empty_company_has_a_roster(shop: Any) -> None:
    text = await shop.ground.read(views.roster_md, shop.ground.company)
    assert "Nobody works here yet." in text


async def test_the_index_holds_active_projects_alone(shop: Any) -> None:
    paused = await shop.project(goal="paused")
    await shop.set_project(paused, status="paused")
    await shop.remove_project(await shop.project(goal="gone"))
    await shop.task()
    projects = json.loads(await shop.ground.read(views.index_json, shop.ground.company))["projects"]
    assert [(p["number"], p["goal"], p["openTasks"]) for p in projects] == [("P-1", "g", 1)]


async def test_views_stay_the_same_while_nothing_changes(shop: Any) -> None:
    await shop.agent("ada")
    before = await shop.ground.read(views.index_json, shop.ground.company)
    shop.ground.clock.advance(3_600_000)
    assert await shop.ground.read(views.index_json, shop.ground.company) == before


async def test_the_generated_part_of_agents_md(shop: Any) -> None:
    def register(tx: Tx, id: str, grants: tuple[str, ...]) -> None:
        registry.register(
            tx, registry.NewCapability(id=id, title=id.upper(), argv=("true",), grants=grants)
        )

    ada = await shop.agent("ada", role="coder")
    for id, grants in (("f.all", ("*",)), ("f.coder", ("role:coder",)), ("f.pm", ("role:pm",))):
        await shop.do("capability.register", "owner", register, id, grants)
    read = shop.ground.read
    everybody = await read(views.agents_md_generated, shop.ground.company, None)
    hers = await read(views.agents_md_generated, shop.ground.company, ada)
    for text in (everybody, hers):
        assert all(
            f"**{id} (" in text for id in ("A", "B", "C", "R1", "R2", "R3", "R4", "R5", "R6")
        )
        assert all(f"`{row.id}`" in text for row in BUILTIN.values() if row.agents)
        assert "They are enforced." in text
    assert [name for name in ("f.all", "f.coder", "f.pm") if name in everybody] == ["f.all"]
    assert [name for name in ("f.all", "f.coder", "f.pm") if name in hers] == ["f.all", "f.coder"]
    await shop.do("company.create", "system", settings.put, "level", "observe")
    assert "observes" in await read(views.agents_md_generated, shop.ground.company, None)
    with pytest.raises(NotFound):
        await read(views.agents_md_generated, shop.ground.company, "nobody")

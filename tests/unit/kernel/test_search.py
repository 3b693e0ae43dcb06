"""Search over the registry: the manual's examples, ties and the floor."""

import pytest

from homarus.kernel import registry, search, settings
from homarus.kernel.search import Hit, build, rank, words
from homarus.store.port import Rx, Tx
from homarus.testing.shop import OWNER, Shop

MANUAL = [
    ("openclaw-config-editor openclaw-config-editor Edit the OpenClaw configuration",
     "Changes openclaw.json with format validation and a backup of the file"),
    ("project-card-cli project-card-cli Project cards", "Creates and lists project cards"),
    ("calendar.read calendar.read Read the calendar", "Lists the events of a week"),
    ("files.count files.count Count files", "Counts the lines of a file"),
    ("blog.publish blog.publish Publish a blog article", "Puts an approved article online"),
]  # fmt: skip
INDEX = build((name.split()[0], f"{name} {text}") for name, text in MANUAL)
FLOOR = settings.SETTINGS[search.FLOOR].default


@pytest.mark.parametrize(
    "intent, best",
    [
        ("modify openclaw config file", "openclaw-config-editor"),
        ("Modify the OpenClaw configuration, please", "openclaw-config-editor"),
        ("create project card", "project-card-cli"),
        ("CREATE PROJECT CARDS!", "project-card-cli"),
        ("how many lines have these files", "files.count"),
        ("fly to the moon", None),
        ("write a poem about a lonely file of soldiers", None),
        ("the of and", None),
        ("", None),
    ],
)
def test_intents(intent: str, best: str | None) -> None:
    hits = rank(INDEX, intent, limit=10, floor=FLOOR)
    assert (hits[0].id if hits else None) == best


@pytest.mark.parametrize(
    "text, searched",
    [
        ("Files, file; FILES", ["file", "file", "file"]),
        ("changed policies status", ["changed", "policy", "status"]),
        ("modify the settings", ["edit", "config"]),
        ("Ｆｉｌｅ", ["file"]),
        ("données été", ["donnée", "été"]),
        ("a_b-c.d", ["b", "c", "d"]),
    ],
)
def test_words(text: str, searched: list[str]) -> None:
    assert words(text) == searched


def test_ties_go_by_id_and_the_order_of_rows_does_not_matter() -> None:
    rows = [(f"same.{n}", "count the lines") for n in range(5)]
    one, other = build(rows), build(reversed(rows))
    found = rank(one, "count lines", limit=3, floor=0.0)
    assert [hit.id for hit in found] == ["same.0", "same.1", "same.2"]
    assert found == rank(other, "count lines", limit=3, floor=0.0)


def test_the_floor_is_the_least_score_that_is_a_hit() -> None:
    [best, *_] = rank(INDEX, "create project card", limit=1, floor=0.0)
    assert rank(INDEX, "create project card", limit=1, floor=best.score) == [best]
    assert rank(INDEX, "create project card", limit=1, floor=best.score + 0.000001) == []


# -- over the rows, on both engines ------------------------------------------------------------


async def register(shop: Shop, id_: str, title: str, **more: object) -> None:
    new = registry.NewCapability(id=id_, title=title, argv=("true",), **more)  # type: ignore[arg-type]
    await shop.do("capability.register", OWNER, registry.register, new)


async def asked(shop: Shop, intent: str) -> list[str]:
    def read(rx: Rx) -> list[Hit]:
        return search.search(rx, shop.ground.company, intent)

    return [hit.id for hit in await shop.ground.read(read)]


async def test_the_index_follows_the_rows(shop: Shop) -> None:
    assert await asked(shop, "count lines") == []
    await register(shop, "tool.alpha", "Count lines")
    assert await asked(shop, "count lines") == ["tool.alpha"]
    await register(shop, "tool.alpha", "Draw a picture", keywords=("painting",))
    assert await asked(shop, "count lines") == []
    assert await asked(shop, "painting") == ["tool.alpha"]
    await shop.do("capability.disable", OWNER, registry.disable, "tool.alpha")
    assert await asked(shop, "painting") == []


async def test_what_was_rolled_back_is_not_found(shop: Shop) -> None:
    def fails(tx: Tx) -> None:
        new = registry.NewCapability(id="ghost.beta", title="Count lines", argv=("true",))
        registry.register(tx, new)
        assert [hit.id for hit in search.search(tx, tx.company, "count lines")] == ["ghost.beta"]
        raise ValueError

    with pytest.raises(Exception, match="failed inside"):
        await shop.do("capability.register", OWNER, fails)
    assert await asked(shop, "count lines") == []


async def test_the_governed_floor_counts(shop: Shop) -> None:
    await register(shop, "tool.alpha", "Count lines")
    await shop.ground.write("capability.grant", settings.put, search.FLOOR, 50.0)
    assert await asked(shop, "count lines") == []

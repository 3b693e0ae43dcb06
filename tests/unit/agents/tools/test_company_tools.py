"""Memory, tasks, talk, capabilities and documents: the company's own flows under a turn."""

from typing import Any

import pytest

from homarus.agents.tools import asking, chores, recall, scans, talk
from homarus.agents.tools.kit import Kit
from homarus.base.clock import iso_ms
from homarus.company import calendar, memory
from homarus.flows import documents
from homarus.kernel import contexts, receipts, registry, settings
from homarus.records import wiki
from homarus.store.port import Tx
from homarus.testing.bench import Bench, code_of, open_bench, text_of
from homarus.testing.ground import ground
from homarus.testing.recount import verify
from homarus.testing.shop import OWNER, Shop, open_shop

KIT = Kit((*recall.tools(), *chores.tools(), *scans.tools(), *talk.tools(), *asking.tools()))


@pytest.fixture
async def shop(engine: Any) -> Any:
    """As in every folder, on both engines."""
    async with ground(engine.home, opener=engine.opener, fresh=True) as g:
        shop = await open_shop(g)
        yield shop
        assert await shop.recount() == []
        assert await g.read(verify, g.company) == []


@pytest.fixture
async def bench(shop: Shop) -> Bench:
    return await open_bench(shop, "ada", KIT, role="coder")


async def named(bench: Bench, capability: str) -> list[tuple[str, str | None]]:
    """Verdict and rule of the receipts of a capability about this conversation."""
    g = bench.shop.ground
    rows = await g.read(receipts.about, g.company, g.company_no, "task", bench.started.task.id)
    return [(r.verdict, r.rule) for r in rows if r.capability == capability]


# -- memory --------------------------------------------------------------------------------


async def test_an_observation_never_overwrites_the_snapshot(bench: Bench) -> None:
    await bench.call("memory_write", content="The whole.")
    await bench.call("memory_append", content="Mia likes 100% tea_")
    await bench.call("memory_append", content="Bob likes coffee", kind="preference")
    agent = bench.shop.agents["ada"]
    whole = await bench.shop.ground.read(memory.snapshot, agent)
    assert whole is not None and whole.content == "The whole."
    found = text_of(await bench.call("memory_search", text="LIKES"))
    assert found.index("Bob likes") < found.index("Mia likes") < found.index("The whole.")


@pytest.mark.parametrize(
    "text, found",
    [("tea", 1), ("mia tea", 1), ("mia coffee", 0), ("100%", 1), ("tea_", 1), ("tea%", 0), ("", 2)],
)
async def test_what_a_search_finds(bench: Bench, text: str, found: int) -> None:
    await bench.call("memory_append", content="Mia likes 100% tea_")
    await bench.call("memory_append", content="Bob likes coffee")
    result = await bench.call("memory_search", text=text)
    assert result.details is not None and result.details["entries"] == found


async def test_memories_are_ones_own(bench: Bench) -> None:
    await bench.call("memory_append", content="mine")
    await bench.finish()
    bob = await open_bench(bench.shop, "bob", KIT)
    assert text_of(await bob.call("memory_search")) == "[nothing]"


# -- tasks ---------------------------------------------------------------------------------


async def test_a_task_from_its_making_to_its_result(bench: Bench) -> None:
    made = await bench.call("task_create", title="Count", role="coder", done_when=["counted"])
    assert not made.is_error, text_of(made)
    assert made.details is not None
    number = made.details["number"]
    assert f"{number} queued: Count" in text_of(await bench.call("task_list", state="inbox"))
    assert not (await bench.call("task_claim", task=number)).is_error
    assert not (await bench.call("task_note", task=number, text="At it.")).is_error
    result = await bench.call(
        "task_result", task=number, state="done", output={"n": 3}, comment="counted"
    )
    assert not result.is_error, text_of(result)
    got = await bench.call("task_wait", task=number, wait_s=1)
    assert got.details is not None and got.details["ended"] is True
    assert '"n": 3' in text_of(got) and "At it." in text_of(
        await bench.call("task_get", task=number)
    )


async def test_scans_of_calendar_and_wiki(bench: Bench) -> None:
    assert text_of(await bench.call("calendar_list")) == "[none]"
    assert text_of(await bench.call("doc_search")) == "[none]"

    def fill(tx: Tx) -> None:
        wiki.create(tx, wiki.WikiChange(title="House", body="Shut the door."))
        for title, ahead in (("Soon", 1), ("Later", 9)):
            start = iso_ms(tx.now_ms + ahead * 86_400_000)
            calendar.create(tx, calendar.EventChange(title=title, start=start, location="Room 1"))

    await bench.shop.do("wiki.create", OWNER, fill)
    soon = text_of(await bench.call("calendar_list"))
    assert (soon[:4], soon[-19:]) == ("E-1 ", "(UTC): Soon, Room 1")
    assert "E-2" in text_of(await bench.call("calendar_list", days=10))
    assert text_of(await bench.call("doc_search", text="DOOR")) == "W-1: House"
    assert text_of(await bench.call("doc_read", doc="W-1")) == "# House\n\nShut the door."


@pytest.mark.parametrize(
    "tool, arguments, code",
    [
        ("calendar_list", {"days": 0}, "tool.arguments"),
        ("doc_read", {"doc": "W-9"}, "wiki.unknown"),
        ("task_get", {"task": "T-99"}, "task.unknown"),
        ("task_create", {"title": "x", "project": "no"}, "project.unknown"),
        ("task_create", {"title": ""}, "tool.arguments"),
        ("task_list", {"state": "odd"}, "task.state"),
        ("task_list", {"limit": 51}, "tool.arguments"),
        ("task_claim", {"task": "rec42"}, "R1.external_id"),
        ("task_result", {"task": "T-1", "state": "done"}, "divert.wild_task"),
        ("task_wait", {"task": "T-1", "wait_s": 301}, "tool.arguments"),
        ("message_list", {"thread": "no"}, "thread.unknown"),
        ("send", {"agent": "nobody", "text": "hi"}, "agent.unknown"),
        ("document_read", {"path": "../x"}, "document.path"),
        ("document_read", {"path": "notes/none.md"}, "document.unknown"),
    ],
)
async def test_what_is_refused(
    bench: Bench, tool: str, arguments: dict[str, Any], code: str
) -> None:
    await bench.shop.task()
    assert code_of(await bench.call(tool, **arguments)) == code


async def test_a_wait_ends_when_the_task_does_and_at_its_limit(bench: Bench) -> None:
    task = await bench.shop.task()
    late = await bench.call("task_wait", task=task.number, wait_s=1)
    assert "not ended after 1 s" in text_of(late)


# -- talk ----------------------------------------------------------------------------------


async def test_words_for_another_agent_need_no_task(bench: Bench) -> None:
    await bench.shop.agent("bob")
    assert not (await bench.call("send", agent="bob", text="hello")).is_error
    assert await named(bench, "session.send") == [("allow", None)]
    assert bench.tasks == []


async def test_work_for_another_agent_becomes_a_task(bench: Bench) -> None:
    """A conversation does not spawn: a real task does, and the child stands below it."""
    await bench.shop.agent("bob")
    made = await bench.call("spawn", agent="bob", title="Look", read_only=True)
    assert not made.is_error, text_of(made)
    assert made.details is not None and made.details["perm"] == "read"
    position = await bench.shop.ground.read(contexts.of_task, made.details["task"])
    assert position is not None and [position.parent] == bench.tasks


async def test_who_is_no_operator_has_no_work_done_by_asking(bench: Bench) -> None:
    await bench.shop.agent("bob")
    await bench.begin(as_="bob")
    assert code_of(await bench.call("spawn", agent="bob", title="x")) == "divert.create_task"
    assert bench.tasks == []


async def test_a_message_elsewhere_is_diverted(bench: Bench) -> None:
    sent = await bench.call("message_send", thread="team", text="Hello, all.")
    assert not sent.is_error, text_of(sent)
    assert await named(bench, "message.send") == [("divert", "wild-task")]
    assert sent.details is not None and len(bench.tasks) == 1
    read = await bench.call("message_list", thread=sent.details["thread"])
    assert "agent] Hello, all." in text_of(read)


async def test_what_time_it_is(bench: Bench) -> None:
    assert text_of(await bench.call("time_now")) == "2026-01-02T03:00:00.000Z"


# -- capabilities and documents --------------------------------------------------------------


async def test_which_capability_fits(bench: Bench) -> None:
    new = registry.NewCapability(
        "lines.count", "Count the lines of files", argv=("wc", "-l"), keywords=("lines",)
    )  # fmt: skip
    await bench.shop.do("capability.register", OWNER, registry.register, new)
    found = await bench.call("query_capabilities", intent="count the lines of files")
    assert found.details is not None and found.details["verdict"] == "hit", text_of(found)
    kept = await bench.call("preflight", intent="count the lines of files")
    assert "lines.count on agent:self" in text_of(kept)


async def test_a_document_is_read_by_its_approved_text(bench: Bench) -> None:
    await bench.shop.do(
        "document.write", OWNER, documents.write, "notes/a.md", "plain text",
        target="document:notes/a.md",
    )  # fmt: skip
    assert "plain text" in text_of(await bench.call("document_read", path="notes/a.md"))
    assert "notes/a.md  (plain" in text_of(await bench.call("document_read"))


async def test_levels_make_no_difference_to_what_needs_a_task(bench: Bench) -> None:
    """In a company that only observes R6, spawning is a task's all the same."""
    await bench.shop.do("change.switch", OWNER, settings.put, settings.LEVEL, settings.OBSERVE)
    await bench.shop.agent("bob")
    await bench.call("spawn", agent="bob", title="x")
    assert len(bench.tasks) == 1

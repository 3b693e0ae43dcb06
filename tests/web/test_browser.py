"""The pages in a real browser (dashboard contract, 9)."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.browser import WAIT_S, Company, Process, Screen

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

Opener = Callable[..., Screen]
PHONE = {"width": 390, "height": 844}
PAGES = (
    "/app",
    "/app/stop",
    "/app/board",
    "/app/agents",
    "/app/threads",
    "/app/threads/team",
    "/app/receipts",
    "/app/tasks/T-1",
)
HOSTILE = (
    "<script>window.hacked=1</script>",
    "<img src=x onerror='window.hacked=1'>",
    '"><svg onload=window.hacked=1>',
    "{{7*7}} ${7*7} \u202egnihtyna\u202c \x1b[31mred\x1b[0m",
    "javascript:window.hacked=1",
    "W" * 3_000,
)


def column(page: Page, state: str) -> Any:
    return page.locator(f"#col-{state}")


def cards(page: Page) -> dict[str, list[str]]:
    """Numbers of the cards in each column, as they are on the screen."""
    found: dict[str, list[str]] = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.column')].map(c => "
        "[c.id.slice(4), [...c.querySelectorAll('[data-id]')].map(r => r.dataset.id)]))"
    )
    return {state: sorted(numbers) for state, numbers in found.items() if numbers}


def stored(company: Company) -> dict[str, list[str]]:
    """The same from the API."""
    reply = company.run(company.daemon.owner.get("/api/v1/tasks?limit=500"))
    found: dict[str, list[str]] = {}
    for task in reply.json()["tasks"]:
        found.setdefault(task["canonicalState"], []).append(task["number"])
    return {state: sorted(numbers) for state, numbers in found.items()}


def settled(page: Page, company: Company) -> None:
    """Wait until the screen says what the store says."""
    for _ in range(int(WAIT_S / 0.2)):
        if cards(page) == stored(company):
            return
        page.wait_for_timeout(200)
    assert cards(page) == stored(company)


# -- live ------------------------------------------------------------------------------------


def test_the_board_follows_the_work(company: Company, screen: Screen) -> None:
    project = company.project()
    company.agent("coder", role="scoder")
    page = screen.open("/app/board")
    screen.live()
    expect(page.locator(".empty")).to_be_visible()
    company.task(project, "Count the letters", priority=50)
    card = column(page, "queued").locator(".card")
    expect(card).to_contain_text("Count the letters")
    expect(card).to_contain_text("priority 50")
    task = company.claim("coder")
    expect(column(page, "in_progress").locator(".card")).to_contain_text("coder")
    company.report(task, "coder", "done", "all counted")
    expect(column(page, "done").locator(".card")).to_contain_text("Count the letters")
    assert cards(page) == stored(company)


def test_changes_at_random_gaps_end_with_screen_equal_to_store(
    company: Company, screen: Screen
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    project = company.project()
    for n in range(3):
        company.agent(f"coder-{n}", concurrencyLimit=50)
    page = screen.open("/app/board")
    screen.live()
    held: list[tuple[dict[str, Any], str]] = []
    for n in range(60):
        agent = f"coder-{chance.randrange(3)}"
        match chance.choice(["create", "claim", "report"]):
            case "claim":
                task = company.post("/tasks/claim", {"agentId": agent})["task"]
                if task is not None:
                    held.append((task, agent))
            case "report" if held:
                task, holder = held.pop(chance.randrange(len(held)))
                company.report(task, holder, chance.choice(["done", "failed", "review"]))
            case _:
                company.task(project, f"Task {n}")
        if chance.random() < 0.5:
            page.wait_for_timeout(chance.choice([1, 5, 80, 600]))
    settled(page, company)


def test_a_burst_is_few_fetches_and_a_trailing_one(company: Company, screen: Screen) -> None:
    project = company.project()
    page = screen.open("/app/board")
    screen.live()
    fetched: list[str] = []
    page.on("request", lambda r: fetched.append(r.url) if "fragment=1" in r.url else None)
    for n in range(40):
        company.task(project, f"Task {n}")
    settled(page, company)
    boards = [url for url in fetched if "/app/board" in url]
    page.wait_for_timeout(1_000)
    assert 1 <= len(boards) <= 40 / 2
    after = len(fetched)
    page.wait_for_timeout(2_500)
    assert len(fetched) == after, "an idle page asks for nothing"


def test_roster_and_receipts_follow(company: Company, screen: Screen) -> None:
    page = screen.open("/app/agents")
    screen.live()
    company.agent("coder", role="scoder")
    expect(page.locator("#roster")).to_contain_text("coder")
    page.click("text=Receipts")
    screen.live()
    company.run(company.daemon.company.post("/api/v1/tokens", json={"name": "x"}))
    refused = page.locator("tr.v-refuse")
    expect(refused.first).to_contain_text("permission.capability")
    page.select_option("select[name=verdict]", "refuse")
    page.wait_for_url("**/receipts?*verdict=refuse*")
    expect(page.locator("#ledger tbody tr")).to_have_count(1)


def test_stop_is_shown_on_every_page(company: Company, screen: Screen) -> None:
    page = screen.open("/app/receipts")
    screen.live()
    stop = company.post("/stops", {"scope": "company", "reason": "fire drill"}, owner=True)
    expect(page.locator("#banner")).to_contain_text("fire drill")
    company.run(company.daemon.owner.delete(f"/api/v1/stops/{stop['stop']['id']}"))
    expect(page.locator("#banner p")).to_have_count(0)


def test_an_older_answer_never_replaces_a_newer_one(company: Company, screen: Screen) -> None:
    project = company.project()
    page = screen.open("/app/board")
    screen.live()
    old = page.evaluate("document.getElementById('board').outerHTML")
    company.task(project, "Newer")
    expect(column(page, "queued").locator(".card")).to_have_count(1)
    answered: list[str] = []

    def late(route: Route) -> None:
        answered.append(route.request.url)
        route.fulfill(body=old, content_type="text/html")

    page.route("**/app/board?*fragment=1*", late)
    company.task(project, "Newest")
    while not answered:
        page.wait_for_timeout(50)
    page.wait_for_timeout(300)
    expect(column(page, "queued").locator(".card")).to_have_count(1)
    page.unroute("**/app/board?*fragment=1*")
    company.task(project, "Last")
    expect(column(page, "queued").locator(".card")).to_have_count(3)


def test_a_restart_is_said_and_survived(company: Company, open_screen: Opener) -> None:
    project = company.project()
    screen = open_screen()
    page = screen.open("/app/board")
    screen.live()
    company.stop()
    expect(page.locator("#stale")).to_be_visible(timeout=15_000)
    expect(page.locator("#stale")).to_contain_text("Not live since")
    expect(page.locator("#pulse")).to_have_attribute("data-state", "off")
    company.start()
    expect(page.locator("#stale")).to_be_hidden(timeout=30_000)
    company.task(project, "After the restart")
    expect(column(page, "queued").locator(".card")).to_contain_text("After the restart")
    page.reload()
    expect(column(page, "queued").locator(".card")).to_have_count(1)


def test_a_killed_daemon_is_said_and_survived(process: Process, open_screen: Opener) -> None:
    """kill -9 in the middle: the page says so, comes back by itself, and shows the store."""
    screen = open_screen(link=process.post("/dashboard/codes", {})["url"])
    page = screen.open("/app/board")
    screen.live()
    project = process.post("/projects", {"goal": "Survive"})["project"]["id"]
    asked = {"projectId": project, "taskType": "tidy_archive", "allowUnderspecified": True}
    process.post("/tasks", asked | {"inputJson": {"title": "Before"}})
    expect(column(page, "queued").locator(".card")).to_have_count(1)
    process.kill()
    expect(page.locator("#stale")).to_be_visible(timeout=15_000)
    process.start()
    process.post("/tasks", asked | {"inputJson": {"title": "After"}})
    expect(page.locator("#stale")).to_be_hidden(timeout=30_000)
    expect(column(page, "queued").locator(".card")).to_have_count(2)
    assert page.url.endswith("/app/board"), "the session survived too"


def test_a_revoked_token_closes_the_page(company: Company, open_screen: Opener) -> None:
    token, secret = company.token(kind="operator", role="viewer")
    screen = open_screen(link=company.link(secret))
    screen.live()
    company.run(company.daemon.owner.delete(f"/api/v1/tokens/{token}"))
    screen.page.wait_for_url("**/app/login", timeout=15_000)


# -- nothing moves under the reader ----------------------------------------------------------


def test_a_focused_row_stays_where_it_is(company: Company, screen: Screen) -> None:
    project = company.project()
    company.agent("coder", concurrencyLimit=9)
    for n in range(2):
        company.task(project, f"Task {n}")
    company.report(company.claim("coder"), "coder", "done")
    page = screen.open("/app/board")
    screen.live()
    page.focus("#c-T-1")
    company.report(company.claim("coder"), "coder", "done")
    news = column(page, "done").locator("[data-news]")
    expect(news).to_have_text("1 new")
    expect(column(page, "done").locator(".card")).to_have_count(1)
    expect(column(page, "queued").locator(".card")).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "c-T-1"
    news.click()
    expect(column(page, "done").locator(".card")).to_have_count(2)
    expect(news).to_be_hidden()


def test_rows_under_the_pointer_wait_until_it_leaves(company: Company, screen: Screen) -> None:
    company.agent("first")
    page = screen.open("/app/receipts")
    screen.live()
    page.hover("#ledger tbody tr")
    count = page.locator("#ledger tbody tr").count()
    company.project("something happens")
    expect(page.locator("#ledger [data-news]")).to_have_text("1 new")
    assert page.locator("#ledger tbody tr").count() == count
    page.mouse.move(5, 5)
    expect(page.locator("#ledger tbody tr")).to_have_count(count + 1)


def test_text_in_a_filter_survives_updates(company: Company, screen: Screen) -> None:
    page = screen.open("/app/receipts")
    screen.live()
    page.fill("input[name=actor]", "half writ")
    company.agent("coder")
    expect(page.locator("#ledger")).to_contain_text("agent.create")
    expect(page.locator("input[name=actor]")).to_have_value("half writ")
    expect(page.locator("input[name=actor]")).to_be_focused()


# -- what others wrote -----------------------------------------------------------------------


def test_hostile_text_is_inert(company: Company, screen: Screen) -> None:
    project = company.project(HOSTILE[0])
    company.agent(HOSTILE[1][:190], role=HOSTILE[2][:60], concurrencyLimit=20)
    for text in HOSTILE:
        company.task(project, text[:500], inputJson={"title": text[:500], "description": text})
        task = company.claim(HOSTILE[1][:190])
        company.post(f"/tasks/{task['id']}/notes", {"note": text, "agentId": HOSTILE[1][:190]})
        company.report(task, HOSTILE[1][:190], "failed", text)
    for path in (*PAGES, "/app/tasks/T-4"):
        page = screen.open(path)
        screen.live()
        assert page.evaluate("window.hacked") is None
        assert (
            page.evaluate("document.querySelectorAll('main img, main svg, main script').length")
            == 0
        )
        text = page.inner_text("main")
        assert not any(mark in text for mark in "\x1b\u202e\u202c")
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1]
    assert "<script>" in screen.open("/app/tasks/T-1").inner_text("main")


# -- everybody can read ----------------------------------------------------------------------


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_scrolls_one_way(company: Company, open_screen: Opener, width: int) -> None:
    project = company.project("P" * 300)
    company.agent("a" * 150, role="r" * 50)
    company.task(project, "Donaudampfschifffahrtsgesellschaftskapitän" * 8)
    screen = open_screen(viewport=PHONE | {"width": width}, is_mobile=True, has_touch=True)
    for path in (*PAGES, "/app/login"):
        page = screen.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        small = page.evaluate(
            "[...document.querySelectorAll('header *, .card, .states a, main form *')]"
            ".filter(e => e.matches('a,button,input,select') && e.checkVisibility())"
            ".filter(e => e.getBoundingClientRect().height < 43.5).map(e => e.outerHTML)"
        )
        assert small == []
    assert screen.errors == []


def test_the_phone_board_has_a_state_switch(company: Company, open_screen: Opener) -> None:
    project = company.project()
    company.task(project, "One")
    screen = open_screen(viewport=PHONE, is_mobile=True, has_touch=True)
    page = screen.open("/app/board")
    page.click("nav.states >> text=Queued")
    page.wait_for_url("**state=queued*")
    expect(page.locator(".column")).to_have_count(1)
    expect(page.locator(".card")).to_have_count(1)


def test_pages_read_without_javascript(company: Company, open_screen: Opener) -> None:
    project = company.project()
    company.agent("coder", role="scoder")
    for n in range(60):
        company.task(project, f"Task {n}")
    screen = open_screen(java_script_enabled=False)
    page = screen.open("/app/board")
    queued = page.locator("#col-queued")
    expect(queued.locator(".count")).to_have_text("50 of 60")
    queued.locator("text=Next 50").click()
    expect(page.locator("#col-queued .card")).to_have_count(10)
    page.goto(screen.url + "/app/board")
    page.select_option("select[name=role]", "scoder")
    page.click("button:has-text('Filter')")
    page.wait_for_url("**role=scoder*")
    for path in PAGES:
        assert screen.open(path).locator("h1").inner_text()


def test_filters_are_in_the_url(company: Company, screen: Screen) -> None:
    mine, other = company.project("mine"), company.project("other")
    company.task(mine, "wanted")
    company.task(other, "not wanted")
    page = screen.open("/app/board")
    screen.live()
    page.select_option("select[name=project]", mine)
    page.wait_for_url(f"**project={mine}*")
    expect(page.locator(".card")).to_have_count(1)
    screen.live()
    company.task(other, "still not")
    company.task(mine, "wanted too")
    expect(page.locator(".card")).to_have_count(2)


CONTRAST = """() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const lum = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = el => {
    for (; el; el = el.parentElement) {
      const c = parse(getComputedStyle(el).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const el = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !el.checkVisibility()) continue;
    const [a, b] = [lum(parse(getComputedStyle(el).color)), lum(ground(el))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${el.outerHTML.slice(0, 120)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_can_be_read_by_everybody(company: Company, open_screen: Opener, scheme: Any) -> None:
    project = company.project()
    agent = company.agent("coder", concurrencyLimit=9)
    for n in range(5):
        company.task(project, f"Task {n}", priority=10 * n)
    for state in ("done", "failed", "review"):
        company.report(company.claim("coder"), "coder", state, "words")
    company.claim("coder")
    company.run(company.daemon.company.post("/api/v1/tokens", json={"name": "x"}))
    company.post("/stops", {"scope": "company", "reason": "drill"}, owner=True)
    screen = open_screen(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    for path in (*PAGES, f"/app/agents/{agent}", "/app/login", "/app/nothing"):
        page = screen.open(path)
        assert page.evaluate(CONTRAST) == [], path
        assert page.locator("h1").count() == page.locator("main").count() == 1
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.title()
        unlabelled = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]),select,button')]"
            ".filter(e => !(e.labels && e.labels.length) && !e.textContent.trim() && !e.hidden)"
            ".map(e => e.outerHTML)"
        )
        assert unlabelled == []
        twice = page.evaluate(
            "(ids => ids.filter((id, i) => ids.indexOf(id) !== i))"
            "([...document.querySelectorAll('[id]')].map(e => e.id))"
        )
        assert twice == []


def test_the_keyboard_reaches_the_content_first(company: Company, screen: Screen) -> None:
    page = screen.open("/app/board")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline not in ("none", "")


def test_signing_out(company: Company, screen: Screen) -> None:
    page = screen.open("/app/board")
    page.click("text=Sign out")
    page.wait_for_url("**/app/login")
    page.goto(screen.url + "/app/board")
    assert page.url.endswith("/app/login")
    page.fill("#token", company.daemon.owner_token)
    page.click("button:has-text('Sign in')")
    page.wait_for_url("**/app")

"""Threads in a real browser: live, by keyboard, on a phone, without script, and nothing typed is
lost (dashboard contract, 2, 4, 5, 7)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from homarus.testing.daemon import key
from homarus.testing.scripted_model import Hang, ScriptedModel
from tests.support.browser import Company, Screen
from tests.web.test_browser import CONTRAST, HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

Opener = Callable[..., Screen]
NEWS_PX = "getComputedStyle(document.querySelector('[data-news]')).minHeight"
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True,
}  # fmt: skip


class Talking(Company):
    """A company whose agent `ada` is run by the daemon, on a scripted model."""

    def __init__(self, home: Path) -> None:
        self.model = ScriptedModel("At your service.")
        super().__init__(home, turns=self.model.turns())

    def start(self) -> None:
        super().start()
        self.ada = self.agent("ada")
        self.run(
            self.daemon.owner.patch(
                f"/api/v1/agents/{self.ada}", json={"executor": "llm"}, headers=key()
            )
        )
        self.page = f"/app/threads/{self.ada}"

    def busy(self) -> None:
        """`ada` answers, and does not come to an end."""
        self.model.then(Hang("Well"))
        self.say("begin")
        self.run(self.model.hanging.wait())

    def say(self, text: str) -> None:
        body = {"text": text, "targetAgentId": "ada", "threadType": "direct"}
        self.post("/messages/send", body, owner=True)


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Talking]:
    made = Talking(tmp_path / "home")
    try:
        made.start()
        yield made
    finally:
        made.run(made.model.close())
        made.close()


def field(page: Page) -> Any:
    return page.get_by_label("Write to ada")


def texts(page: Page) -> Any:
    return page.locator(".said .prose")


@pytest.mark.parametrize("phone", [False, True])
def test_a_message_and_its_answer_without_a_reload(
    company: Talking, open_screen: Opener, phone: bool
) -> None:
    screen = open_screen(**PHONE) if phone else open_screen()
    page = screen.open(company.page)
    screen.live()
    page.evaluate("window.stayed = true")
    field(page).fill("hello")
    page.get_by_role("button", name="Send").click()
    expect(texts(page)).to_have_text(["hello", "At your service."])
    expect(page.locator(".said .state")).to_have_text(["answered"])
    expect(field(page)).to_have_value("")
    assert page.evaluate("window.stayed")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert screen.errors == []


def test_by_keyboard(company: Talking, screen: Screen) -> None:
    company.busy()
    page = screen.open("/app")
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_url("**/app/threads")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{company.page}*")
    screen.live()
    field(page).focus()
    page.keyboard.type("gtx")
    page.keyboard.press("Control+Enter")
    waiting = page.locator("#under-way ol li")
    expect(waiting).to_have_count(1)
    waiting.get_by_role("link", name="Change").focus()
    page.keyboard.press("Enter")
    changed = page.get_by_label("Change the message")
    expect(changed).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("better")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(waiting).to_contain_text("better")
    waiting.get_by_role("button", name="Drop").focus()
    page.keyboard.press("Enter")
    expect(waiting).to_have_count(0)
    page.get_by_role("button", name="Stop it").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#under-way")).to_have_count(0)
    expect(page.locator(".said .state")).to_have_text(["stopped", "dropped by owner"])


def test_what_runs_and_waits_is_shown_as_it_comes(company: Talking, screen: Screen) -> None:
    page = screen.open(company.page)
    screen.live()
    expect(page.locator(".empty")).to_be_visible()
    company.busy()
    expect(page.locator("#under-way .s-working")).to_have_text("being answered")
    company.say("and then")
    expect(page.locator("#under-way ol li")).to_contain_text("and then")
    company.model.then("Done.")
    company.model.release()
    expect(page.locator("#under-way")).to_have_count(0)
    expect(page.locator(".said .state")).to_have_text(["answered", "answered"])


def test_what_is_typed_survives_updates_a_reload_and_a_failed_send(
    company: Talking, open_screen: Opener
) -> None:
    screen = open_screen()
    page = screen.open(company.page)
    screen.live()
    field(page).fill("half writ")
    company.say("something else")
    expect(texts(page)).to_have_text(["something else", "At your service."])
    expect(field(page)).to_have_value("half writ")
    page.reload()
    expect(field(page)).to_have_value("half writ")

    def lost(route: Route) -> None:
        route.abort()

    page.route("**/messages", lost)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("[data-failed]")).to_contain_text("The daemon does not answer")
    expect(field(page)).to_have_value("half writ")
    page.unroute("**/messages", lost)
    page.evaluate("document.querySelector('form[data-send]').elements.csrf.value = '0'.repeat(32)")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("[data-failed]")).to_contain_text("web.csrf")
    page.reload()
    page.get_by_role("button", name="Send").click()
    expect(texts(page)).to_have_count(4)
    expect(field(page)).to_have_value("")
    page.reload()
    expect(field(page)).to_have_value("")


def test_an_answer_that_was_lost_is_no_second_message(
    company: Talking, open_screen: Opener
) -> None:
    screen = open_screen()
    page = screen.open(company.page)
    screen.live()

    def arrives(route: Route) -> None:
        route.fetch(max_redirects=0)
        route.abort()

    page.route("**/messages", arrives)
    field(page).fill("once")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("[data-failed]")).to_be_visible()
    page.unroute("**/messages", arrives)
    page.get_by_role("button", name="Send").click()
    expect(field(page)).to_have_value("")
    field(page).fill("twice")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".k-human .prose")).to_have_text(["once", "twice"])


def test_without_a_script(company: Talking, open_screen: Opener) -> None:
    company.project()
    company.busy()
    screen = open_screen(java_script_enabled=False)
    page = screen.open("/app")
    page.click("text=Threads")
    page.click(f"a[href^='{company.page}']")
    field(page).fill("two")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("link", name="Change").click()
    page.get_by_label("Change the message").fill("2")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#under-way ol li")).to_contain_text("2")
    page.get_by_role("button", name="Drop").click()
    page.get_by_role("button", name="Stop it").click()
    expect(page.locator("#under-way")).to_have_count(0)
    page.get_by_role("link", name="Make a task of it").first.click()
    page.get_by_label("Title").fill("Begin it")
    page.get_by_label("For").select_option("ada")
    page.get_by_role("button", name="Make the task").click()
    page.locator(".said a[href^='/app/tasks/']").click()
    expect(page.locator("h1")).to_contain_text("Begin it")
    page.click("text=a message")
    expect(page.locator(".said")).to_have_count(1)


def test_a_cut_list_says_so(company: Talking, open_screen: Opener) -> None:
    for n in range(30):
        company.say(f"word {n}")
    company.post("/stops", {"scope": "company", "reason": "drill"}, owner=True)
    page = open_screen(java_script_enabled=False).open(company.page)
    count = page.locator("#h-said .count")
    shown = int(count.inner_text().split(" of ")[1])
    assert count.inner_text() == f"{min(50, shown)} of {shown}"
    assert page.evaluate("document.querySelectorAll('*').length") <= 1_500


def test_hostile_words_are_inert_and_bounded(company: Talking, open_screen: Opener) -> None:
    for text in (*HOSTILE, "W" * 90_000):
        company.say(text)
    for scheme in ("light", "dark"):
        screen = open_screen(color_scheme=scheme, **PHONE)
        for path in ("/app/threads", company.page, f"{company.page}?task={_first(company)}"):
            page = screen.open(path)
            screen.live()
            assert page.evaluate("window.hacked") is None
            assert page.evaluate("document.querySelectorAll('main img, main script').length") == 0
            text = page.inner_text("main")
            assert len(text) < 60_000
            assert not any(mark in text for mark in "\x1b\u202e\u202c")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            assert page.evaluate(CONTRAST) == [], path
            small = page.evaluate(
                "[...document.querySelectorAll('main button, main textarea, main a.do')]"
                ".filter(e => !e.hidden && e.getBoundingClientRect().height < 44)"
                ".map(e => e.outerHTML)"
            )
            assert small == []
            assert page.evaluate(NEWS_PX) == "44px"  # shown only when there is news
            unlabelled = page.evaluate(
                "[...document.querySelectorAll('input:not([type=hidden]),textarea,select')]"
                ".filter(e => !(e.labels && e.labels.length)).map(e => e.outerHTML)"
            )
            assert unlabelled == []
        assert (screen.errors, screen.foreign) == ([], [])


def _first(company: Talking) -> str:
    rows = company.run(company.daemon.owner.get("/api/v1/turns")).json()["turns"]
    return str(rows[-1]["messageId"])

"""The Desk and STOP in a real browser: steps counted, keys, phone, no script, two people."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from homarus.testing.daemon import key
from tests.support.browser import Company, Screen
from tests.support.profile import chosen_profile

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

Opener = Callable[..., Screen]
PHONE = {"width": 390, "height": 844}


def asked(company: Company, what: str = "Publish the page", **more: Any) -> str:
    body = {"actionType": "publish", "what": what, "rationale": "it is ready"} | more
    return str(company.post("/approvals", body)["approval"]["number"])


def status(company: Company, number: str) -> str:
    reply = company.run(company.daemon.owner.get(f"/api/v1/approvals/{number}"))
    return str(reply.json()["approval"]["status"])


def row(page: Page, number: str) -> Any:
    return page.locator(f"#w-{number}")


@pytest.mark.parametrize("phone", [False, True])
def test_one_click_decides(company: Company, open_screen: Opener, phone: bool) -> None:
    number = asked(company)
    options = {"viewport": PHONE, "is_mobile": True, "has_touch": True} if phone else {}
    page = open_screen(**options).open("/app")
    row(page, number).get_by_role("button", name="Approve", exact=True).click()
    expect(row(page, number)).to_have_count(0)
    assert status(company, number) == "approved"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_high_risk_takes_a_second_click_that_says_what(company: Company, screen: Screen) -> None:
    number = asked(company, risk="high", target="https://acme.example/", cost=2_500_000)
    page = screen.open("/app")
    row(page, number).locator("summary", has_text="Approve").click()
    said = row(page, number).locator("details[data-approve]")
    for word in ("acme.example", "2.50", "approval"):
        expect(said).to_contain_text(word)
    assert status(company, number) == "pending"
    said.get_by_role("button").click()
    expect(row(page, number)).to_have_count(0)
    assert status(company, number) == "approved"


def test_a_rejection_says_why(company: Company, screen: Screen) -> None:
    number = asked(company)
    page = screen.open("/app")
    row(page, number).locator("summary", has_text="Reject").click()
    row(page, number).get_by_label("Why not").fill("not on a Friday")
    row(page, number).get_by_role("button", name=f"Reject {number}").click()
    expect(row(page, number)).to_have_count(0)
    assert status(company, number) == "rejected"


def test_keys(company: Company, screen: Screen) -> None:
    first, second, third = (asked(company, f"Thing {n}") for n in range(3))
    page = screen.open("/app")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(row(page, second)).to_be_focused()
    page.keyboard.press("k")
    expect(row(page, first)).to_be_focused()
    page.keyboard.press("a")
    expect(row(page, first)).to_have_count(0)
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.type("jak")
    page.keyboard.press("Enter")
    expect(row(page, second)).to_have_count(0)
    assert [status(company, n) for n in (first, second, third)] == [
        "approved", "rejected", "pending",
    ]  # fmt: skip
    page.keyboard.press("Shift+S")
    page.wait_for_url("**/app/stop*")
    page.keyboard.press("Enter")
    expect(page.locator("[data-last-effect]")).to_be_visible()


def test_new_questions_appear_without_a_reload(company: Company, screen: Screen) -> None:
    page = screen.open("/app")
    screen.live()
    number = asked(company)
    expect(row(page, number)).to_be_visible()
    company.run(company.daemon.owner.post(f"/api/v1/approvals/{number}/approve", json={}))
    expect(row(page, number)).to_have_count(0)


def test_two_people_decide_one_approval(company: Company, open_screen: Opener) -> None:
    number = asked(company)
    _, secret = company.token(kind="operator", role="approver", name="Ada")
    one = open_screen(java_script_enabled=False).open("/app")
    two = open_screen(link=company.link(secret), java_script_enabled=False).open("/app")
    row(two, number).get_by_role("button", name="Approve", exact=True).click()
    row(one, number).get_by_role("button", name="Approve", exact=True).click()
    expect(one.locator("[role=alert]")).to_contain_text(f"{number} was approved by Ada at")
    assert status(company, number) == "approved"


def test_a_double_click_is_one_effect(company: Company, screen: Screen) -> None:
    number = asked(company)
    page = screen.open("/app")
    row(page, number).get_by_role("button", name="Approve", exact=True).dblclick()
    expect(row(page, number)).to_have_count(0)
    assert status(company, number) == "approved"
    expect(page.locator("[role=alert]")).to_have_count(0)


def stuck(company: Company) -> str:
    """A task that failed: its number."""
    project = company.project()
    company.agent("coder")
    task = company.task(project, "Sort the letters")
    company.report(company.claim("coder"), "coder", "failed", "no letters")
    return str(task["number"])


def test_one_click_unsticks(company: Company, screen: Screen) -> None:
    number = stuck(company)
    page = screen.open("/app")
    row(page, number).get_by_role("button", name="Retry").click()
    expect(row(page, number)).to_have_count(0)
    reply = company.run(company.daemon.owner.get(f"/api/v1/tasks/{number}"))
    assert reply.json()["task"]["canonicalState"] == "queued"


@pytest.mark.parametrize(
    ("script", "phone"),
    chosen_profile().pick(
        ci=[(True, True), (False, False)],
        full=[(True, True), (True, False), (False, True), (False, False)],
    ),
)
def test_two_clicks_stop_from_each_page(
    company: Company, open_screen: Opener, script: bool, phone: bool
) -> None:
    project = company.project()
    agent = company.agent("coder")
    task = company.task(project, "Sort")["number"]
    options = {"viewport": PHONE, "is_mobile": True, "has_touch": True} if phone else {}
    screen = open_screen(java_script_enabled=script, **options)
    scopes = {
        "/app": "company", "/app/board": "company", "/app/agents": "company",
        "/app/receipts": "company", f"/app/agents/{agent}": "agent", f"/app/tasks/{task}": "task",
    }  # fmt: skip
    for path, scope in scopes.items():
        page = screen.open(path)
        page.click("#halt")
        page.click("text=STOP now")
        expect(page.locator("[data-last-effect]")).to_be_visible()
        stops = company.run(company.daemon.owner.get("/api/v1/stops")).json()["stops"]
        assert [stop["scope"] for stop in stops] == [scope], path
        page.click("text=Lift it")
        expect(page.locator("text=No STOP is in force")).to_be_visible()


def test_the_desk_is_read_by_everybody(company: Company, open_screen: Opener) -> None:
    """Contrast, labels, and texts of strangers that do nothing."""
    from tests.web.test_browser import CONTRAST, HOSTILE

    for risk, text in zip(("low", "medium", "high") * 2, HOSTILE, strict=True):
        asked(company, text, risk=risk, rationale=text, target=text[:500])
    stuck(company)
    for scheme in ("light", "dark"):
        screen = open_screen(color_scheme=scheme)
        for path in ("/app", "/app/stop"):
            page = screen.open(path)
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.evaluate(CONTRAST) == []
            assert page.evaluate("window.hacked") is None
            assert page.evaluate("document.querySelectorAll('main img, main script').length") == 0
            unlabelled = page.evaluate(
                "[...document.querySelectorAll('input:not([type=hidden]),select,button')]"
                ".filter(e => !(e.labels && e.labels.length) && !e.textContent.trim() && !e.hidden)"
                ".map(e => e.outerHTML)"
            )
            assert unlabelled == []
        assert screen.errors == []
        assert screen.foreign == []
    assert company.run(company.daemon.owner.post(
        "/api/v1/approvals/A-1/approve", json={}, headers=key()
    )).status_code == 200  # fmt: skip


def test_nodes_are_bounded(company: Company, screen: Screen) -> None:
    for n in range(60):
        asked(company, f"Thing {n}", risk="high")
    page = screen.open("/app")
    assert page.evaluate("document.querySelectorAll('*').length") <= 1_500
    expect(page.locator("#waiting .foot")).to_contain_text("more wait")

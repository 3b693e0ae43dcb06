"""The control page of `openclaw`, unmodified, in a browser against a daemon of ours."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect

from homarus.flows import first_start
from homarus.gateway.http.page import HOME
from homarus.testing.daemon import Daemon, key
from homarus.testing.scripted_model import Hang, ScriptedModel
from tests.contract_openclaw.openclaw import program
from tests.contract_openclaw.test_cli import MODEL
from tests.gateway.ws.client import joined
from tests.support.browser import Company
from tests.web.conftest import browser

__all__ = ["browser"]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
SOON_MS = 30_000
PAGE = Path("dist") / "control-ui"


class Chat(NamedTuple):
    """`page`: shown, and connected; `model`: what answers; `token` of the gateway."""

    company: Company
    model: ScriptedModel
    page: Page
    token: str

    def say(self, text: str) -> None:
        self.page.get_by_role("textbox", name="Chat composer").click()
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")

    def shows(self, text: str) -> None:
        """Once, as a line of its own; what is announced to a screen reader aside."""
        lines = self.page.get_by_role("log").get_by_role("paragraph")
        found = lines.filter(has_text=re.compile(rf"^\s*{re.escape(text)}\s*$"))
        expect(found).to_have_count(1, timeout=SOON_MS)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Company, ScriptedModel]]:
    """With one agent, `main`, and the page of the package."""
    _, script = program()
    model = ScriptedModel("At your service.")
    root = str(Path(script).parent / PAGE)
    made = Company(
        tmp_path_factory.mktemp("control") / "home", turns=model.turns(), control_root=root
    )
    made.start()
    try:
        owner = made.daemon.owner
        for path, body in (
            ("/api/v1/agents", {"name": "main", "executor": "llm"}), ("/api/v1/models", MODEL),
        ):  # fmt: skip
            reply = made.run(owner.post(path, json=body, headers=key()))
            assert reply.status_code < 300, reply.text
        yield made, model
    finally:
        made.run(model.close())
        made.close()


@pytest.fixture
def chat(company: tuple[Company, ScriptedModel], browser: Browser) -> Iterator[Chat]:
    """Opened as the package's own link opens it: with the gateway's secret behind the #."""
    made, model = company
    token = made.daemon.app.home_facts.secrets[first_start.GATEWAY.file]
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{made.daemon.url}/#token={token}")
    expect(page.get_by_role("status").filter(has_text="Connected")).to_be_visible(timeout=SOON_MS)
    yield Chat(made, model, page, token)
    context.close()


def test_it_lies_under_its_own_path_and_connects(chat: Chat) -> None:
    assert HOME in chat.page.url
    assert chat.token not in chat.page.url
    expect(chat.page.get_by_role("textbox", name="Chat composer")).to_be_visible(timeout=SOON_MS)
    assert "openclaw-control-ui" in chat.company.run(_paired(chat.company.daemon))


async def _paired(daemon: Daemon) -> set[str]:
    """Client ids of the devices that were let in."""
    async with joined(daemon) as client:
        return {row["clientId"] for row in (await client.call("device.pair.list"))["paired"]}


def test_a_message_and_its_answer_as_it_comes(chat: Chat) -> None:
    """What is said so far stands there while the model still speaks."""
    chat.model.then(Hang("Half of an answer"))
    chat.say("What do you know?")
    chat.shows("What do you know?")
    chat.shows("Half of an answer")
    chat.company.run(chat.model.hanging.wait())
    assert chat.page.get_by_role("button", name="Stop").first.is_visible()
    chat.model.then("A second answer, whole.")
    chat.model.release()
    expect(chat.page.get_by_role("button", name="Stop")).to_have_count(0, timeout=SOON_MS)
    chat.shows("Half of an answer")
    chat.say("And then?")
    chat.shows("A second answer, whole.")
    chat.shows("And then?")


def test_what_was_said_is_there_when_it_is_opened_again(chat: Chat) -> None:
    chat.model.then("I shall remember.")
    chat.say("Remember me")
    chat.shows("I shall remember.")
    chat.page.reload()
    chat.shows("I shall remember.")
    chat.shows("Remember me")


def test_a_message_from_elsewhere_comes_by_itself(chat: Chat) -> None:
    chat.model.then("Said elsewhere.")
    body = {"model": "openclaw", "input": "From another client"}
    headers = {"x-openclaw-session-key": "agent:main:main"}
    reply = chat.company.run(
        chat.company.daemon.owner.post("/v1/responses", json=body, headers=headers)
    )
    assert reply.status_code == 200, reply.text
    chat.shows("From another client")
    chat.shows("Said elsewhere.")


def test_a_wrong_secret_is_told(company: tuple[Company, ScriptedModel], browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{company[0].daemon.url}/#token=wrong")
    expect(page.get_by_text("token", exact=False).first).to_be_visible(timeout=SOON_MS)
    expect(page.get_by_role("textbox", name="Chat composer")).to_have_count(0)
    context.close()

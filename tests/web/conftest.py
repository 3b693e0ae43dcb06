"""A daemon and a headless browser for the tests of the dashboard."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.support.browser import Company, Process, Screen
from tests.support.requires import requires

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path / "home")
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    made = Company(tmp_path / "home")
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = requires("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()


Opener = Callable[..., Screen]


@pytest.fixture
def open_screen(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Opener]:
    """Opens pages of the test's `company`; `link=None` of nobody; another link as given."""
    contexts: list[BrowserContext] = []

    def opened(*, link: str | None = "owner", **options: Any) -> Screen:
        context = browser.new_context(**options)
        contexts.append(context)
        if link == "owner":
            link = request.getfixturevalue("company").link()
        url = link or request.getfixturevalue("company").daemon.url
        parts = urlsplit(url)
        screen = Screen(context.new_page(), f"{parts.scheme}://{parts.netloc}")
        if link is not None:
            screen.page.goto(link)
        return screen

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def screen(open_screen: Opener) -> Iterator[Screen]:
    """The owner's page on a wide screen. Ends with neither console errors nor foreign requests."""
    made = open_screen(viewport={"width": 1440, "height": 900})
    yield made
    assert made.errors == []
    assert made.foreign == []

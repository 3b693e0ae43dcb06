"""What tests of the dashboard drive: a daemon in a thread or a process, and a browser's page.

The tests are synchronous, as the browser's driver is.
"""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
from playwright.sync_api import ConsoleMessage, Page

from homarus.testing.daemon import Daemon, key, running

T = TypeVar("T")

WAIT_S = 20.0


class Company:
    """A running daemon, driven from the test's thread. `stop` and `start` keep home and port."""

    def __init__(self, home: Path, **options: Any) -> None:
        """`options`: of `testing.daemon.running`."""
        self.home = home
        self.port = 0
        self.options = options
        self.daemon: Daemon = None  # type: ignore[assignment]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="daemon")
        self._thread.start()
        self._entered: Any = None

    def start(self) -> None:
        self._entered = running(self.home, port=self.port, **self.options)
        self.daemon = self.run(self._entered.__aenter__())
        self.port = urlsplit(self.daemon.url).port or 0

    def stop(self) -> None:
        entered, self._entered = self._entered, None
        if entered is not None:
            self.run(entered.__aexit__(None, None, None))

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    def begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Work in the daemon's loop that goes on while the test drives the browser."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.begin(work).result(WAIT_S)

    # -- the company's people ----------------------------------------------------------------

    def post(self, path: str, body: dict[str, Any], *, owner: bool = False) -> dict[str, Any]:
        client = self.daemon.owner if owner else self.daemon.company
        reply = self.run(client.post(f"/api/v1{path}", json=body, headers=key()))
        assert reply.status_code < 300, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    def agent(self, name: str, **body: Any) -> str:
        return self.run(self.daemon.agent(name, **body))

    def project(self, goal: str = "Tidy the archive") -> str:
        return self.run(self.daemon.project(goal))

    def task(self, project: str, title: str, **body: Any) -> dict[str, Any]:
        asked = {
            "projectId": project,
            "taskType": "tidy_archive",
            "inputJson": {"title": title},
            "allowUnderspecified": True,
        }
        task: dict[str, Any] = self.post("/tasks", asked | body)["task"]
        return task

    def claim(self, agent: str) -> dict[str, Any]:
        task: dict[str, Any] = self.post("/tasks/claim", {"agentId": agent})["task"]
        return task

    def report(self, task: dict[str, Any], agent: str, state: str, comment: str = "") -> None:
        self.post(
            f"/tasks/{task['id']}/result",
            {"agentId": agent, "state": state, "comment": comment or None},
        )

    def link(self, token: str | None = None) -> str:
        """A link that opens the dashboard once."""
        client = self.daemon.owner if token is None else self.daemon.client(token)
        reply = self.run(client.post("/api/v1/dashboard/codes"))
        assert reply.status_code == 201, reply.text
        return str(reply.json()["url"])

    def token(self, **body: Any) -> tuple[str, str]:
        return self.run(self.daemon.token(**body))


class Process:
    """`homarus up` as a process, for tests that kill it. `start` again keeps home and port."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.url = ""
        self._port = "0"
        self._child: subprocess.Popen[str] | None = None

    def start(self) -> None:
        up = [sys.executable, "-c", "from homarus.cli.main import main; main()", "up", "--json"]
        self._child = subprocess.Popen(
            [*up, "--home", str(self.home), "--port", self._port], stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        self.url = json.loads(self._child.stdout.readline())["url"]
        self._port = str(urlsplit(self.url).port)

    def kill(self) -> None:
        """kill -9."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(WAIT_S)
            assert self._child.stdout is not None
            self._child.stdout.close()
            self._child = None

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """As the owner."""
        owner = (self.home / "run" / "owner.token").read_text().strip()
        headers = key() | {"Authorization": f"Bearer {owner}"}
        reply = httpx2.post(f"{self.url}/api/v1{path}", json=body, headers=headers)
        assert reply.status_code < 300, reply.text
        answer: dict[str, Any] = reply.json()
        return answer


class Screen:
    """A signed-in page, and whatever went wrong in it: console errors, requests to others."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._request(request.url))
        page.set_default_timeout(WAIT_S * 1000)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _request(self, url: str) -> None:
        if urlsplit(url).netloc != urlsplit(self.url).netloc:
            self.foreign.append(url)

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def live(self) -> None:
        """Wait until the socket has spoken."""
        self.page.wait_for_selector("#pulse[data-state=live]")

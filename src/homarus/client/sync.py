"""The typed client that blocks: the calls of `groups.py` over `http.py`.

with Client("http://127.0.0.1:18789", token) as client:
    claim = client.tasks.claim("tally")
"""

from typing import Any

from homarus.client.groups import Calls
from homarus.client.http import Client as HttpClient


class Client(HttpClient):
    """Adds the groups `runtime`, `agents`, `sessions`, `tasks`, `talk`, `resources`.

    Arguments as `http.Client`. Not safe for use by two threads at once.
    """

    def __init__(self, url: str, token: str, company: str | None = None, **options: Any) -> None:
        super().__init__(url, token, company, **options)
        calls: Calls[HttpClient] = Calls(self)
        self.runtime = calls.runtime
        self.agents = calls.agents
        self.sessions = calls.sessions
        self.tasks = calls.tasks
        self.talk = calls.talk
        self.resources = calls.resources

"""Names for the ids in receipts and events, each looked up once."""

from collections.abc import Callable
from typing import Final

from homarus.store.port import Rx

MAX_LABEL: Final = 80


class Names:
    """Look-ups within one read transaction and one company."""

    def __init__(self, rx: Rx, company: str) -> None:
        self._rx = rx
        self._company = company
        self._known: dict[tuple[str, str], str | None] = {}

    def _once(self, kind: str, ref: str, look: Callable[[str], str | None]) -> str | None:
        key = (kind, ref)
        if key not in self._known:
            self._known[key] = look(ref)
        return self._known[key]

    def agent(self, agent: str) -> str | None:
        """The name, also of an agent that is gone."""
        return self._once("agent", agent, self._agent)

    def _agent(self, agent: str) -> str | None:
        row = self._rx.one(
            "select name from agent where id=? and company=?", (agent, self._company)
        )
        return None if row is None else str(row[0])

    def token(self, token: str) -> str | None:
        return self._once("token", token, self._token)

    def _token(self, token: str) -> str | None:
        row = self._rx.one("select name from token where id=?", (token,))
        return None if row is None else str(row[0])

    def task(self, task: str) -> str | None:
        """`T-192`."""
        return self._once("task", task, self._task)

    def _task(self, task: str) -> str | None:
        row = self._rx.one("select seq from task where id=? and company=?", (task, self._company))
        return None if row is None else f"T-{row[0]}"

    def project(self, project: str) -> str | None:
        return self._once("project", project, self._project)

    def _project(self, project: str) -> str | None:
        row = self._rx.one(
            "select no from project where id=? and company=?", (project, self._company)
        )
        return None if row is None else f"P-{row[0]}"

    def actor(self, key: str) -> str:
        """`coder-1` for `agent:<id>`, the token's name for people and runtimes."""
        kind, _, ref = key.partition(":")
        if kind == "agent":
            return self.agent(ref) or ref
        if kind == "system":
            return ref
        return self.token(ref) or ref

    def target(self, target: str) -> str:
        """`T-192` for `task:<id>`; what has no number or name stays as it is, cut."""
        kind, _, ref = target.partition(":")
        look = {"task": self.task, "agent": self.agent, "project": self.project}.get(kind)
        if kind == "token":
            look = self.token
        name = look(ref) if look is not None and ref else None
        return name or f"{kind} {ref}".strip()[:MAX_LABEL]

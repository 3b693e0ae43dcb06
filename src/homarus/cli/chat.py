"""homarus chat: talk with an agent, with its answers as they come and its questions inline."""

import json
import sys
from typing import Any, Final

import click

from homarus.base.errors import Conflict, HomarusError, NotFound
from homarus.cli import talking
from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.output import clean
from homarus.cli.resource import given
from homarus.client.paths import path_part

HELP: Final = """\
/new        begin anew; the old conversation is kept
/stop       end what the agent is doing for you here
/compact    have the older part summed up
/approvals  what waits for a yes
/history    the last lines again
/quit       leave"""
NO_MODEL: Final = "model.none"
HISTORY: Final = 10
MAX_SCANNED: Final = 1_000


@click.command("chat", cls=Command, shows=("home", "json"))
@click.argument("agent", required=False)
@click.option("--session", "session_key", help="Session; default: the agent's own.")
@click.option("-m", "--message", "first", help="Say this, and leave after the answer.")
@click.option("--history", "lines", type=click.IntRange(0, 200), default=HISTORY,
              show_default=True, help="Lines shown at the start.")  # fmt: skip
@pass_context
def command(
    ctx: Context, agent: str | None, session_key: str | None, first: str | None, lines: int
) -> None:
    """Talk with AGENT; by default with the only one that this daemon runs.

    In a pipe each line is one message. With --json each answer is one line of JSON.
    """
    chat = _Chat(ctx, _agent(ctx, agent), session_key)
    if first is not None:
        chat.say(first)
        raise click.exceptions.Exit(int(chat.failed))
    if chat.terminal:
        chat.greet(lines)
    while (text := chat.read()) is not None:
        if not chat.take(text):
            break
    raise click.exceptions.Exit(int(chat.failed and not chat.terminal))


def _agent(ctx: Context, ref: str | None) -> dict[str, Any]:
    """Raises `cli.unknown`, `agent.not_run_here`, `cli.which_agent`."""
    rows = list(ctx.api.pages("/agents", "agents", limit=MAX_SCANNED))
    if ref is not None:
        found = next((row for row in rows if ref in (row["name"], row["id"])), None)
        if found is None:
            raise NotFound("cli.unknown", f"no agent {ref!r}", "See `homarus agent list`.")
        if found["executor"] != "llm":
            raise Conflict(
                "agent.not_run_here", f"{found['name']} is not run by this daemon",
                f"Let it be: `homarus agent update {found['name']} --executor llm`.",
            )  # fmt: skip
        return found
    mine = [row for row in rows if row["executor"] == "llm"]
    if len(mine) == 1:
        return dict(mine[0])
    names = ", ".join(row["name"] for row in mine)
    raise Conflict(
        "cli.which_agent", "no agent is run by this daemon" if not mine else f"with whom: {names}",
        "Name one. To have one run here: `homarus agent update NAME --executor llm`.",
    )  # fmt: skip


class _Chat:
    """`failed`: the last answer did not come."""

    def __init__(self, ctx: Context, agent: dict[str, Any], session: str | None) -> None:
        self.ctx = ctx
        self.name = str(agent["name"])
        self.agent = str(agent["id"])
        self.session = session
        self.terminal = sys.stdin.isatty() and not ctx.json
        self.failed = False
        self._asked: set[str] = set()
        self._key: str | None = session if session and session.startswith("agent:") else None

    # -- what is typed -----------------------------------------------------------------------

    def read(self) -> str | None:
        """The next line; None: there are no more."""
        if self.terminal:
            try:
                return input("you> ")
            except (EOFError, KeyboardInterrupt):
                self.ctx.out.line()
                return None
        line = sys.stdin.readline()
        return line.rstrip("\n") if line else None

    def take(self, text: str) -> bool:
        """Do what a line says; False: leave."""
        word = text.strip()
        if not word:
            return True
        if word in ("/quit", "/exit"):
            return False
        try:
            self._do(word, text)
        except HomarusError as error:
            self.failed = True
            self.ctx.out.alert(str(error))
        return True

    def _do(self, word: str, text: str) -> None:
        match word:
            case "/help":
                self.ctx.out.line(HELP)
            case "/new" | "/reset":
                self._post("reset", {"abort": True})
                self.ctx.out.line("A new conversation.")
            case "/stop":
                ended = len(self._post("abort", {}).get("aborted", []))
                self.ctx.out.line(f"{ended} ended." if ended else "Nothing was under way.")
            case "/compact":
                turn = self._post("compact", {})["turn"]
                self._follow(turn["id"])
            case "/history":
                self._history(HISTORY)
            case "/approvals":
                self._approvals()
            case _ if word.startswith("/"):
                self.ctx.out.line(f"There is no {word.split()[0]}.\n{HELP}")
            case _:
                self.say(text)

    def _post(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        key = self._session_key()
        if key is None:
            return {}
        return self.ctx.api.post(f"/sessions/{path_part(key)}/{verb}", body)

    def _session_key(self) -> str | None:
        """The full key, once there is such a session."""
        if self._key is None:
            suffix = f":{(self.session or 'main').lower()}"
            for row in self.ctx.api.pages(
                "/sessions", "sessions", limit=MAX_SCANNED, agentId=self.agent
            ):
                if row["key"].endswith(suffix):
                    self._key = str(row["key"])
        return self._key

    # -- what is said ------------------------------------------------------------------------

    def greet(self, lines: int) -> None:
        if lines:
            self._history(lines)
        self.ctx.out.line(f"You talk with {self.name}. /help for commands, /quit to leave.")

    def say(self, text: str) -> None:
        body = given(agentId=self.agent, text=text, sessionKey=self.session)
        turn = self.ctx.api.post("/turns", body)["turn"]
        self._key = str(turn["sessionKey"])
        ended = self._follow(turn["id"])
        if (ended["outcome"] or {}).get("error") == NO_MODEL and self._try_scripted():
            self.say(text)

    def _follow(self, turn: str) -> dict[str, Any]:
        begun = False

        def shown(text: str) -> None:
            nonlocal begun
            if self.ctx.json:
                return
            if not begun:
                text, begun = f"{self.name}> {text.lstrip()}", True
            sys.stdout.write(text)
            sys.stdout.flush()

        while True:
            try:
                ended = talking.Follow(self.ctx, shown, self._state).to_end(turn)
                break
            except KeyboardInterrupt:
                self.ctx.api.post(f"/turns/{turn}/abort", {})
        if begun:
            self.ctx.out.line()
        self._end(ended, begun)
        return ended

    def _end(self, turn: dict[str, Any], begun: bool) -> None:
        outcome = turn["outcome"] or {}
        self.failed = bool(outcome.get("error"))
        if self.ctx.json:
            sys.stdout.write(json.dumps({"turn": turn}, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        elif self.failed:
            talking.show_end(self.ctx, turn)
        elif turn["state"] == "aborted":
            self.ctx.out.line("(stopped)")
        elif not begun and turn["state"] == "done":
            self.ctx.out.line("(no answer)" if not outcome.get("compacted") else "(summed up)")

    def _state(self, turn: dict[str, Any]) -> None:
        """Approvals that the turn waits for, asked at once."""
        if turn["state"] != "parked":
            return
        for number in turn["waitsFor"]:
            if number not in self._asked:
                self._asked.add(number)
                self._ask(number)

    def _ask(self, number: str) -> None:
        row = self.ctx.api.get(f"/approvals/{path_part(number)}")["approval"]
        self.ctx.out.line()
        self.ctx.out.line(f"{self.name} waits for a yes: {number}  {row['what']}")
        if not self.terminal:
            self.ctx.out.line(f"Answer it: homarus approval approve {number} (or reject).")
            return
        said = input("[a]pprove, [r]eject, [l]ater? ").strip().lower()[:1]
        if said not in ("a", "r"):
            return
        word = "approve" if said == "a" else "reject"
        note = None if said == "a" else input("why not? ").strip() or "not now"
        try:
            self.ctx.api.post(f"/approvals/{path_part(number)}/{word}", given(note=note))
        except HomarusError as error:
            self.ctx.out.alert(str(error))

    def _approvals(self) -> None:
        rows = list(self.ctx.api.pages("/approvals", "approvals", limit=50, status="pending",
                                       agentId=self.agent))  # fmt: skip
        if not rows:
            self.ctx.out.line("Nothing waits.")
        for row in rows:
            if self.terminal:
                self._ask(row["number"])
            else:
                self.ctx.out.line(f"{row['number']}  {row['what']}")

    def _history(self, lines: int) -> None:
        key = self._session_key()
        if key is None:
            return
        reply = self.ctx.api.get(f"/sessions/{path_part(key)}/history", limit=lines)
        for line in reply["entries"]:
            text = spoken(line)
            if text is not None:
                who = "you" if line["message"]["role"] == "user" else self.name
                self.ctx.out.line(f"{who}> {clean(text)}")

    def _try_scripted(self) -> bool:
        if not self.terminal:
            return False
        if input("Try the scripted model, without a key? [y/N] ").strip().lower()[:1] != "y":
            return False
        self.ctx.api.patch(f"/agents/{self.agent}", {"llmModel": "scripted"})
        return True


def spoken(line: dict[str, Any]) -> str | None:
    """What a person or the agent said in a line of the transcript; None: something else."""
    message = line.get("message") or {}
    if message.get("role") not in ("user", "assistant"):
        return None
    content = message["content"]
    if isinstance(content, str):
        return content
    text = "".join(part["text"] for part in content if part.get("type") == "text")
    return text or None

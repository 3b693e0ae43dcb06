"""`homarus demo`: start a daemon, found a company, let it work, check what it says it did.

scratch directory -> daemon -> company -> agents -> (chaos) -> checks -> report
"""

import os
import shutil
import signal
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from homarus.backends.layers import probe
from homarus.base.errors import HomarusError, Invalid
from homarus.client.http import Client
from homarus.client.retry import Retry
from homarus.demo import checks, company
from homarus.demo.catalog import REPORT
from homarus.demo.chaos import Chaos
from homarus.demo.checks import Check
from homarus.demo.children import Child, Daemon
from homarus.demo.progress import Progress, chosen

DEMO_S: Final = 1_800.0
POLL_S: Final = 0.05
CHAOS_POLL_S: Final = 0.01
MAX_TASKS: Final = 1_000
PATIENCE: Final = Retry(attempts=200, first_s=0.05, cap_s=0.5, patience_s=30.0)
REPORT_FILE: Final = "report.md"


@dataclass(frozen=True, slots=True)
class Options:
    """`path` is what to look at; `template` of the demo's company. `home` None: a scratch one,
    kept for the caller to look into."""

    path: Path
    home: Path | None = None
    chaos: bool = False
    keep: bool = False
    template: str = "studio"
    quiet: bool = False


@dataclass(slots=True)
class Outcome:
    """What `--json` prints. `ok` only if every check holds."""

    ok: bool = False
    report: str = ""
    page: str = ""
    receipts: int = 0
    level: str = ""
    refused: dict[str, int] = field(default_factory=dict)
    would_refuse: dict[str, int] = field(default_factory=dict)
    tasks: int = 0
    sandbox: str = "none"
    home: str = ""
    company: str = ""
    wall_ms: int = 0
    checks: list[Check] = field(default_factory=list)
    audit: dict[str, Any] = field(default_factory=dict)
    chaos: list[str] = field(default_factory=list)
    pid: int | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Demo:
    """One run. Use as a context: leaving it ends every child that it started."""

    def __init__(self, options: Options) -> None:
        """Raises `demo.path`."""
        path = Path(os.path.realpath(options.path))
        if not path.is_dir():
            raise Invalid("demo.path", f"{options.path} is no directory", "Name one that exists.")
        self._options = options
        self._path = path
        self.place = Path(tempfile.mkdtemp(prefix="homarus-demo-"))
        self.home = (options.home or self.place / "home").absolute()
        self._progress: Progress = chosen(quiet=options.quiet)
        self._daemon: Daemon | None = None
        self._agents: dict[str, Child] = {}
        self._company = company.Company("")
        self._chaos = Chaos() if options.chaos else None
        self._owner = ""

    def __enter__(self) -> "Demo":
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.close()
        for agent in self._agents.values():
            agent.stop()
        if self._daemon is not None and not (self._options.keep and error[0] is None):
            self._daemon.stop()

    # --- the road ---------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Raises `demo.*` and whatever the daemon refuses; a failed check is in the outcome."""
        began = time.monotonic()
        outcome = Outcome(sandbox=probe().sandbox, home=str(self.home))
        self._progress.say(f"sandbox: {outcome.sandbox}")
        self._start_daemon("0")
        self._owner = (self.home / "run" / "owner.token").read_text("ascii").strip()
        self._company = company.found(
            self.daemon.ready.url, self._owner, self._path, self._options.template
        )
        outcome.company = self._company.slug
        self._progress.say(f"{len(self._company.tasks)} tasks on {self._path}")
        self._progress.say(f"watch: {self._link()}")
        for name in company.WORKERS:
            self._start_agent(name)
        tasks = self._watch()
        self._conclude(outcome, tasks)
        outcome.wall_ms = round((time.monotonic() - began) * 1000)
        return outcome

    @property
    def daemon(self) -> Daemon:
        if self._daemon is None:
            raise AssertionError("the daemon has not been started")
        return self._daemon

    def _start_daemon(self, port: str) -> None:
        self._daemon = Daemon(self.home, self.place / "daemon.log", port)
        ready = self._daemon.ready
        self._progress.say(f"daemon {ready.pid} ready at {ready.url} in {ready.ready_ms} ms")

    def _start_agent(self, name: str) -> None:
        workplace = self.place / "work" / name
        workplace.mkdir(parents=True, exist_ok=True)
        arguments = [
            "homarus.demo.agent",
            *("--url", self.daemon.ready.url),
            *("--name", name),
            *("--project", self._company.project),
            *("--workplace", str(workplace)),
            *("--hidden", str(self.home)),
        ]
        env = {"HOMARUS_TOKEN": self._company.tokens[name]}
        self._agents[name] = Child(arguments, self.place / f"{name}.log", env)

    def _api(self) -> Client:
        return Client(self.daemon.ready.url, self._owner, self._company.slug, retry=PATIENCE)

    # --- watching ---------------------------------------------------------------------------

    def _watch(self) -> list[dict[str, Any]]:
        """Show progress until the agents have ended. Raises `demo.time`, `demo.agent`."""
        until = time.monotonic() + DEMO_S
        with self._api() as api:
            names = {a["id"]: str(a["name"]) for a in api.pages("/agents", "agents")}
            while time.monotonic() < until:
                tasks = self._tasks(api)
                self._progress.show(tasks, names)
                if self._chaos is not None and not self._chaos.over:
                    self._strike(self._chaos, tasks, names)
                    time.sleep(CHAOS_POLL_S)
                    continue
                codes = {name: agent.exit_code for name, agent in self._agents.items()}
                broken = [name for name, code in codes.items() if code]
                if broken:
                    agent = self._agents[broken[0]]
                    raise HomarusError(
                        "demo.agent",
                        f"{broken[0]} ended early: {agent.tail()}",
                        f"See {agent.log}.",
                    )
                if all(code == 0 for code in codes.values()):
                    tasks = self._tasks(api)
                    self._progress.show(tasks, names)
                    return tasks
                time.sleep(POLL_S)
        raise HomarusError("demo.time", f"the work took more than {DEMO_S:g} s", "Give less.")

    def _tasks(self, api: Client) -> list[dict[str, Any]]:
        rows = api.pages("/tasks", "tasks", limit=MAX_TASKS, projectId=self._company.project)
        return sorted(rows, key=lambda row: int(str(row["number"])[2:]))

    def _strike(self, chaos: Chaos, tasks: list[dict[str, Any]], names: dict[str, str]) -> None:
        victim = chaos.agent_to_kill(tasks, names)
        if victim is not None:
            agent = self._agents[victim.agent]
            agent.kill()
            self._progress.say(chaos.struck(victim, f"kill -9 {agent.pid}: {victim}"))
            self._start_agent(victim.agent)
            return
        at = chaos.daemon_to_kill(tasks, names)
        if at is not None:
            self.daemon.kill()
            self._progress.say(
                chaos.struck(at, f"kill -9 {self.daemon.pid}: the daemon, with {at}")
            )
            self._start_daemon(self.daemon.ready.port)
        chaos.give_up_when_finished(tasks)

    # --- the end ----------------------------------------------------------------------------

    def _conclude(self, outcome: Outcome, tasks: list[dict[str, Any]]) -> None:
        with self._api() as api:
            outcome.tasks = len(tasks)
            artifact_check, artifacts = checks.one_artifact(api, self._company)
            outcome.checks += [checks.all_done(tasks), checks.done_once(api, tasks), artifact_check]
            rules = api.get("/status")["rules"]
            outcome.level = rules["level"]
            outcome.refused, outcome.would_refuse = rules["refused"], rules["wouldRefuse"]
            report = artifacts.get(REPORT)
            if report is not None:
                outcome.report = str(self._fetch(api, report))
        ledger, outcome.audit = checks.ledger(self.home, self._company.slug)
        outcome.checks.append(ledger)
        outcome.receipts = int(outcome.audit.get("receipts", 0))
        outcome.page = self._page()
        if self._chaos is not None:
            outcome.chaos = self._chaos.told
            outcome.checks.append(self._chaos.check())
        outcome.ok = all(check.ok for check in outcome.checks)
        if self._options.keep:
            outcome.pid = self.daemon.pid
        shutil.rmtree(self.place / "work", ignore_errors=True)

    def _fetch(self, api: Client, report: dict[str, Any]) -> Path:
        target = self.place / REPORT_FILE
        with target.open("wb") as file:
            api.download(f"/artifacts/{report['id']}/download", file)
        return target

    def _page(self) -> str:
        return f"{self.daemon.ready.url}/app"

    def _link(self) -> str:
        """Opens the page once, within a minute."""
        with self._api() as api:
            return str(api.post_once("/dashboard/codes")["url"])


def run(options: Options) -> Outcome:
    """A whole demo. Raises HomarusError; an interrupt ends the children and goes on."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Demo(options) as demo:
            return demo.run()
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt

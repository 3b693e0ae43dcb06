"""The executor `claude_code`: an installed Claude Code CLI does the task (design, 7).

    claude -p --input-format stream-json --output-format stream-json --verbose …

It runs in the sandbox, in the task's own workspace, with nothing of the daemon's environment; it
reaches the model's host alone, through the egress proxy, which fills the key in where the program
has only its handle. A task has one session, which a later attempt resumes. What it does lies in the
workspace; files in `out/` become the task's artifacts.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from homarus.backends import layers, local
from homarus.backends.talking import Talk, talking
from homarus.base.errors import HomarusError, TooLarge, Unavailable
from homarus.base.ids import derived_id
from homarus.company import agents, executors
from homarus.company.executors import ClaudeCode
from homarus.dispatch import commands
from homarus.dispatch.claude_stream import Told
from homarus.dispatch.executor import Prepared, Stoppable
from homarus.dispatch.halting import LiveRun
from homarus.dispatch.openresponses import need_secret
from homarus.egress.lease import Bounds, Lease
from homarus.egress.proxy import Egress
from homarus.flows import task_contract
from homarus.flows.creating import Claim
from homarus.flows.reaching import Run
from homarus.flows.running import Ended
from homarus.kernel.limits import Limits
from homarus.records.blobs import Blobs
from homarus.store.port import Rx, Store
from homarus.tasks import runs

CAPABILITY: Final = "task.code"
NEW: Final = "--session-id"
RESUME: Final = "--resume"
MAX_EVENTS: Final = 100_000
"""Lines of one run."""
LIMITS: Final = {"cpu_s": 86_400, "processes": 512, "open_files": 4_096,
                 "memory_bytes": 64 * 1024 * 1024 * 1024}  # fmt: skip
QUIET: Final = {
    "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}  # fmt: skip
ASK: Final = (
    "Do this one task, alone, without anybody to ask, in the present folder. Files that are to be "
    "kept as the task's results belong in `out/`. Your last message is the task's result: say what "
    "was done, where it is, and what is left; where you cannot go on, say so and why.\n\n"
)


class ClaudeCodes:
    def __init__(self, store: Store, blobs: Blobs, home: Path, egress: Egress | None) -> None:
        self._store = store
        self._blobs = blobs
        self._home = home
        self._egress = egress
        self._layers: layers.SandboxLayers | None = None

    async def prepare(self, company: str, agent: str, claimed: Claim) -> Prepared:
        """Raises `agent.executor_config`, `executor.token`, `executor.missing`, `sandbox.missing`,
        `egress.off`."""
        row = await self._store.read(agents.need, company, agent)
        config = executors.read(executors.CLAUDE_CODE, row.executor_config)
        if not isinstance(config, ClaudeCode):
            raise AssertionError("another executor's configuration")
        if self._egress is None:
            raise Unavailable("egress.off", "the egress proxy does not run", "Start the daemon.")
        await need_secret(self._store, company, agent, config.token)
        program = local.found(config.program)
        if program is None:
            raise Unavailable(
                "executor.missing", f"the program {config.program!r} is not installed here",
                "Install Claude Code, or name its path: `program` of the agent's executorConfig.",
            )  # fmt: skip
        if self._layers is None:
            self._layers = await asyncio.to_thread(layers.probe)
        if self._layers.sandbox == "none" and not config.trusted:
            raise Unavailable(
                "sandbox.missing", "there is no working sandbox here, and the agent's executor is "
                "not marked trusted", "Install bubblewrap, or set `trusted` of its executorConfig.",
            )  # fmt: skip
        task = claimed.task
        workspace = commands.workspace_of(self._home, agent, task.number)
        await asyncio.to_thread(_make, workspace / "out")
        session = await self._store.read(_session_of, task.id, agent)
        fresh = session is None
        session = session or derived_id(task.id, task.token)
        brief = ASK + await self._store.read(task_contract.brief, company, task.id)
        work = _Work(
            config, _command(config, program, workspace, self._home), brief, session, self._layers
        )
        egress = self._egress

        async def do(run: Run, live: LiveRun) -> Ended:
            return await self._do(egress, work, run, live, fresh)

        argv = (*work.command.argv, NEW if fresh else RESUME, session)
        return Prepared(
            CAPABILITY, argv, f"Claude Code does {task.number}", do, restartable=not config.hosts
        )

    async def _do(
        self, egress: Egress, work: "_Work", run: Run, live: LiveRun, fresh: bool
    ) -> Ended:
        config = work.config
        hosts = (executors.entry(config.base_url), *config.hosts)
        bounds = Bounds(idle_s=config.silence_s, whole_s=config.wall_s)
        handle = Stoppable(work.terminate)

        async def whole() -> Ended:
            async with egress.open(run, hosts, bounds) as lease:
                ended = await work.run(run.id, lease, fresh)
                if not ended.ok and not fresh and not work.told.began:
                    # Nothing is known there of the session that was to be resumed.
                    ended = await work.run(run.id, lease, True)
                return ended

        ended = await handle.run(whole(), live)
        if ended is None:
            ended = work.ended(run.id, "cancelled", "STOP", cancelled=True)
        files = await asyncio.to_thread(
            commands.collect, self._blobs, work.command.workspace / "out"
        )
        output = ended.output | {"files": [file.filename for file in files]}
        return msgspec.structs.replace(ended, output=output, files=files)


class _Work:
    """One attempt. `told`: what the program has said so far."""

    def __init__(
        self, config: ClaudeCode, command: local.SandboxedCommand, brief: str, session: str,
        sandbox: layers.SandboxLayers,
    ) -> None:  # fmt: skip
        self.config = config
        self.command = command
        self.told = Told()
        self._brief = brief
        self._session = session
        self._sandbox = sandbox
        self._talk: Talk | None = None

    def terminate(self) -> None:
        if self._talk is not None:
            self._talk.terminate()

    async def run(self, run: str, lease: Lease, fresh: bool) -> Ended:
        """The program from its start to its result."""
        way = local.WayOut(lease.socket, lease.port, f"{lease.user}:{lease.password}")
        argv = (*self.command.argv, NEW if fresh else RESUME, self._session)
        command = replace(self.command, argv=argv, way_out=way)
        self.told = Told()
        try:
            async with asyncio.timeout(self.config.wall_s):
                async with talking(
                    command, self._sandbox, trusted=self.config.trusted
                ) as self._talk:
                    return await self._listen(run, self._talk)
        except TimeoutError:
            why = f"it took longer than {self.config.wall_s} s"
            return self.ended(run, "claude.slow", why)
        except TooLarge as error:
            return self.ended(run, "claude.flood", error.message)
        except HomarusError as error:
            return self.ended(run, error.code, error.message)

    async def _listen(self, run: str, talk: Talk) -> Ended:
        said = {
            "type": "user",
            "message": {"role": "user", "content": [{"type": "text", "text": self._brief}]},
        }
        silence_s = self.config.silence_s
        try:
            await talk.send(msgspec.json.encode(said))
            for _ in range(MAX_EVENTS):
                try:
                    async with asyncio.timeout(silence_s):
                        line = await talk.receive()
                except TimeoutError:
                    return self.ended(run, "claude.stalled", f"it said nothing for {silence_s:g} s")
                if not line:
                    break
                self.told.line(line)
                if self.told.subtype is not None:
                    return self._result(run)
        except OSError:
            pass  # it has ended; what it said stands
        return self.ended(
            run, "claude.cut", f"it ended without a result: {talk.said or 'silently'}"
        )

    def _result(self, run: str) -> Ended:
        told = self.told
        if not told.is_error:
            return self.ended(run, "", "")
        word = (told.subtype or "").removeprefix("error_") or "failed"
        why = told.text[:500] or f"its result is {told.subtype}"
        return self.ended(run, f"claude.{'failed' if word == 'success' else word}"[:100], why)

    def ended(self, run: str, code: str, why: str, *, cancelled: bool = False) -> Ended:
        """`code` "": it is done."""
        told = self.told
        session = told.session or self._session
        output: dict[str, Any] = {
            "text": told.text, "session": session, "turns": told.turns, "costUsd": told.cost_usd,
            "permissionDenials": told.denied, "sandbox": self._sandbox.sandbox,
        }  # fmt: skip
        facts: dict[str, Any] = {
            "session": session, "sandbox": self._sandbox.sandbox, "turns": told.turns,
            "costUsd": told.cost_usd, "tools": told.tools, "unreadLines": told.unread,
        }  # fmt: skip
        if not code:
            return Ended(run, True, facts, output, told.text[:2_000], spent=told.spent)
        note = f"Hand-over: Claude Code did not finish ({code}: {why}). Its session is {session}; "
        note += "the next attempt resumes it."
        note += f" It had said:\n{told.text}" if told.text else ""
        return Ended(
            run, False, facts | {"reason": code}, output | {"error": code},
            f"{code}: {why}"[:2_000], cancelled=cancelled, spent=told.spent,
            note=None if cancelled else note,
        )  # fmt: skip


def _command(
    config: ClaudeCode, program: str, workspace: Path, home: Path
) -> local.SandboxedCommand:
    """All but the session and the way out."""
    argv = [
        program, "-p", "--input-format", "stream-json", "--output-format", "stream-json",
        "--verbose", "--strict-mcp-config", "--permission-mode", config.permission_mode,
        "--max-turns", str(config.max_turns),
    ]  # fmt: skip
    if config.model is not None:
        argv += ["--model", config.model]
    if config.allowed_tools:
        argv += ["--allowedTools", ",".join(config.allowed_tools)]
    return local.SandboxedCommand(
        argv=tuple(argv),
        workspace=workspace,
        inputs=tuple(Path(path) for path in config.inputs),
        hidden=commands.private(home),
        env=QUIET | _model_env(config),
        limits=Limits(wall_s=config.wall_s, **LIMITS),
    )


def _model_env(config: ClaudeCode) -> dict[str, str]:
    """Where the model is, and the handle of its key. With a handle the program speaks plainly to
    the proxy, which speaks TLS onward and fills the value in: inside a tunnel it could not."""
    url = urlsplit(config.base_url)
    if config.token is None:
        return {"ANTHROPIC_BASE_URL": config.base_url}
    host, port = executors.check_url(config.base_url)
    shown = f"[{host}]" if ":" in host else host
    plain = f"http://{shown}:{port}{url.path}".rstrip("/")
    return {"ANTHROPIC_BASE_URL": plain, "ANTHROPIC_API_KEY": config.token}


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _session_of(rx: Rx, task: str, agent: str) -> str | None:
    """The session of an earlier attempt of this agent, to be resumed."""
    found = [run for run in runs.of_task(rx, task) if run.agent == agent]
    return next((session_in(run.argv) for run in reversed(found) if session_in(run.argv)), None)


def session_in(argv: Sequence[str]) -> str | None:
    return argv[-1] if len(argv) > 1 and argv[-2] in (NEW, RESUME) else None

"""The programs that do tasks and write replies: how they are run, and what they say.

An argv of the operator's, no shell. It reads one JSON document from standard input and writes its
answer to standard output (docs/how-to/bridge.md). Its environment is made, not inherited: what a
program needs to run, what the operator passes by name, and nothing that holds the bridge's token
(control-plane contract, 18.21). Time and output are bounded; its process group ends with it.
"""

import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from homarus.base import process
from homarus.base.errors import HomarusError
from homarus.base.process import ProcessHandle, ProcessResult, ProcessSpec
from homarus.base.redact import redact_tokens
from homarus.bridge.journal import Outcome

PROTOCOL: Final = 1
MARK: Final = "HOMARUS_BRIDGE_JOURNAL"
"""Marks what a bridge started, by the path of its journal: its next life ends what is left."""
INHERITED: Final = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TEMP", "TMP", "LANG", "LANGUAGE",
        "TZ", "TERM", "SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME", "XDG_DATA_HOME", "VIRTUAL_ENV",
    }
)  # fmt: skip
STATES: Final = ("done", "failed", "review")
OUTPUT_BYTES: Final = 1024 * 1024
TERM_GRACE_S: Final = 5.0
SAID_CHARS: Final = 2_000
REPLY_CHARS: Final = 100_000
"""The longest message that a daemon takes."""
KILL_WAIT_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Program:
    """`env`: the whole environment, MARK included. `wall_s`: its time limit."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    wall_s: float
    output_bytes: int = OUTPUT_BYTES
    grace_s: float = TERM_GRACE_S

    async def run(self, document: Any, on_start: Callable[[ProcessHandle], None]) -> ProcessResult:
        """Run it to its end. Raises `process.not_started`, `process.bad_spec`."""
        spec = ProcessSpec(
            argv=self.argv,
            cwd=self.cwd,
            env=self.env,
            stdin=json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"),
            wall_s=self.wall_s,
            output_bytes=self.output_bytes,
            term_grace_s=self.grace_s,
        )
        return await process.run(spec, on_start=on_start)


def environment(
    ours: Mapping[str, str],
    journal: Path,
    passed: tuple[str, ...] = (),
    secrets: tuple[str, ...] = (),
) -> dict[str, str]:
    """What a program sees: INHERITED, `LC_*`, the names `passed`, the mark; never a value with a
    secret."""
    kept = {
        name: value
        for name, value in ours.items()
        if (name in INHERITED or name.startswith("LC_") or name in passed)
        and not any(secret and secret in value for secret in secrets)
    }
    return kept | {MARK: str(journal.absolute())}


def outcome_of(result: ProcessResult, wall_s: float) -> Outcome:
    """What a program's end says of its task: `{"state"?, "output"?, "comment"?}` after exit 0."""
    if result.reason == "timeout":
        return Outcome("failed", f"The program was ended after its time limit of {wall_s:g} s.")
    if not result.ok:
        how = f"exit code {result.exit_code}" if result.signal is None else (
            f"signal {result.signal}"
        )  # fmt: skip
        return Outcome("failed", f"The program ended with {how}: {_tail(result.stderr)}".strip())
    if result.truncated:
        return Outcome("failed", "The program said more than the bridge keeps.")
    try:
        said = json.loads(result.stdout)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return Outcome(
            "failed",
            f"The program's output is no JSON object: {_tail(result.stdout)!r}",
        )
    state = said.get("state", "done")
    if state not in STATES:
        return Outcome("failed", f"The program named the state {str(state)[:40]!r}.")
    comment = said.get("comment")
    output = said.get("output", said.get("outputJson"))
    return Outcome(state, comment if isinstance(comment, str) else "", output)


def reply_of(result: ProcessResult) -> str:
    """The text that a program answers with: a JSON object's `text`, else all it said. "": none."""
    if result.reason == "timeout":
        return "I could not answer this in time."
    if not result.ok or result.truncated:
        return "I could not answer this: the program that writes my replies failed."
    text = result.stdout.decode("utf-8", "replace").strip()
    if text.startswith("{"):
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            said = None
        if isinstance(said, dict) and isinstance(said.get("text"), str):
            text = said["text"].strip()
    return text[:REPLY_CHARS]


def not_started(error: HomarusError) -> Outcome:
    return Outcome("failed", f"The program could not be started: {error.message}")


def _tail(raw: bytes) -> str:
    """The end of what it wrote, without whole tokens."""
    return redact_tokens(raw.decode("utf-8", "replace").strip()[-SAID_CHARS:])


def end_leftovers(journal: Path) -> int:
    """End what a bridge that was killed left running: TERM, then KILL; how many processes.

    Only for the holder of the journal's lock: nobody else may have such processes.
    """
    mark = str(journal.absolute())
    left = found = [one for one in psutil.process_iter() if _carries(one, mark)]
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for one in left:
            try:
                one.send_signal(sign)
            except psutil.Error:
                continue
        _, left = psutil.wait_procs(left, timeout=KILL_WAIT_S)
        if not left:
            break
    return len(found)


def _carries(one: psutil.Process, mark: str) -> bool:
    if one.pid == os.getpid():
        return False
    try:
        return one.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False

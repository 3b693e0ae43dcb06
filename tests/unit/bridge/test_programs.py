"""Programs of a bridge: what they see, what their end means, what is left of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from homarus.base.process import ProcessHandle, ProcessResult
from homarus.bridge.programs import (
    MARK,
    REPLY_CHARS,
    Program,
    end_leftovers,
    environment,
    outcome_of,
    reply_of,
)

TOKEN = "ec_" + "a" * 48
FAILED = "I could not answer this: the program that writes my replies failed."
JOURNAL = Path("/somewhere/j.json")


@pytest.mark.parametrize(
    "name, value, seen",
    [
        ("PATH", "/bin", True),
        ("LC_ALL", "C", True),
        ("LANG", "C", True),
        ("PASSED", "x", True),
        ("OTHER", "x", False),
        ("HOMARUS_TOKEN", TOKEN, False),
        ("EMPEROR_CLAW_API_TOKEN", TOKEN, False),
        ("HOMARUS_HOME", "/h", False),
        ("AWS_SECRET_ACCESS_KEY", "x", False),
    ],
)
def test_what_a_program_sees_of_the_environment(name: str, value: str, seen: bool) -> None:
    made = environment({name: value}, JOURNAL, ("PASSED",), (TOKEN,))
    assert made == ({name: value} if seen else {}) | {MARK: str(JOURNAL)}


@pytest.mark.parametrize("name", ["PATH", "PASSED", "LC_X"])
def test_the_token_reaches_no_program_under_any_name(name: str) -> None:
    made = environment({name: f"x{TOKEN}y"}, JOURNAL, ("PASSED",), (TOKEN,))
    assert made == {MARK: str(JOURNAL)}


def ended(
    out: Any = b"", *, code: int | None = 0, reason: Any = "exited", err: bytes = b"",
    truncated: bool = False, by: int | None = None,
) -> ProcessResult:  # fmt: skip
    raw = out if isinstance(out, bytes) else json.dumps(out).encode()
    return ProcessResult(
        exit_code=code, signal=by, stdout=raw, stderr=err, truncated=truncated, wall_ms=1,
        cpu_ms=1, peak_rss_bytes=None, reason=reason,
    )  # fmt: skip


@pytest.mark.parametrize(
    "result, state, output, says",
    [
        (ended({"output": {"n": 1}, "comment": "ok"}), "done", {"n": 1}, "ok"),
        (ended({"outputJson": [1]}), "done", [1], ""),
        (ended({}), "done", None, ""),
        (ended({"state": "review", "comment": "look"}), "review", None, "look"),
        (ended({"state": "failed", "comment": 4}), "failed", None, ""),
        (ended({"state": "inbox"}), "failed", None, "the state 'inbox'"),
        (ended({"state": ["done"]}), "failed", None, "the state"),
        (ended(b"all done"), "failed", None, "no JSON object: 'all done'"),
        (ended([1]), "failed", None, "no JSON object"),
        (ended(b""), "failed", None, "no JSON object"),
        (ended({}, truncated=True), "failed", None, "more than the bridge keeps"),
        (ended({}, code=3, err=b"boom"), "failed", None, "exit code 3: boom"),
        (ended({}, code=None, by=9, reason="killed"), "failed", None, "signal 9"),
        (ended({}, code=None, by=15, reason="timeout"), "failed", None, "time limit of 5 s"),
        (ended({}, code=1, err=TOKEN.encode()), "failed", None, "exit code 1: ec_"),
    ],
)
def test_what_an_end_means(result: ProcessResult, state: str, output: Any, says: str) -> None:
    outcome = outcome_of(result, 5.0)
    assert (outcome.state, outcome.output) == (state, output)
    assert says in outcome.comment
    assert TOKEN not in outcome.comment


@pytest.mark.parametrize(
    "result, text",
    [
        (ended(b"Twelve.\n"), "Twelve."),
        (ended({"text": " Twelve. "}), "Twelve."),
        (ended({"other": 1}), '{"other": 1}'),
        (ended(b"{broken"), "{broken"),
        (ended(b"  \n"), ""),
        (ended(b"x" * (REPLY_CHARS + 1)), "x" * REPLY_CHARS),
        (ended(b"x", code=1), FAILED),
        (ended(b"x", reason="timeout", code=None), "I could not answer this in time."),
    ],
)  # fmt: skip
def test_what_is_answered(result: ProcessResult, text: str) -> None:
    assert reply_of(result) == text


def python(code: str, **more: Any) -> Program:
    given = {"wall_s": 20.0, "grace_s": 0.2} | more
    return Program((sys.executable, "-c", code), Path.cwd(), {"PATH": "/bin:/usr/bin"}, **given)


def ignore(_: ProcessHandle) -> None: ...


async def test_it_reads_one_document_and_answers() -> None:
    echo = python("import sys,json; print(json.dumps({'output': json.load(sys.stdin)}))")
    result = await echo.run({"task": "é"}, ignore)
    assert outcome_of(result, 20.0).output == {"task": "é"}


async def test_its_time_is_bounded() -> None:
    slow = python("import time; time.sleep(60)", wall_s=0.3)
    assert "time limit" in outcome_of(await slow.run({}, ignore), 0.3).comment


async def test_its_output_is_bounded() -> None:
    loud = python("print('{' + 'x' * 5000)", output_bytes=1000)
    result = await loud.run({}, ignore)
    assert result.truncated


def test_what_a_killed_bridge_left_running_is_ended(tmp_path: Path) -> None:
    journal = tmp_path / "j.json"
    env = environment({"PATH": "/bin:/usr/bin"}, journal)
    code = "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    with subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, start_new_session=True
    ) as left:
        assert left.stdout is not None
        left.stdout.readline()
        assert end_leftovers(tmp_path / "other.json") == 0
        assert left.poll() is None
        assert end_leftovers(journal) == 1
        left.wait(5)
        assert not psutil.pid_exists(left.pid)

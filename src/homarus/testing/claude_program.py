"""A stand-in for the Claude Code CLI: speaks its stream-JSON as a scenario says. Standard library
alone, so that it runs in the sandbox.

    python claude_program.py SCENARIO -p --input-format stream-json …

SCENARIO is a JSON file, a list of steps, done in order once a user's message has come:

    {"say": "text"}              an assistant's message        {"tool": "Write"}    a tool's use
    {"write": "out/a.txt", "text": "x"}                        {"raw": "not json"}  a line as it is
    {"huge": 5000000}            a line of so many bytes       {"exit": 3}          dies
    {"hang": true}               nothing more, until a signal  {"ask": "/path"}     asks its model
    {"result": "done", "subtype": "success", "cost": 0.01}     and it waits for its input to end

Each start is a line in `starts.jsonl` of its folder: arguments, the message, the environment's
names. A session is a file in `sessions/`; one that is not there cannot be resumed.
"""

import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any


def put(value: Any) -> None:
    sys.stdout.write((value if isinstance(value, str) else json.dumps(value)) + "\n")
    sys.stdout.flush()


def option(arguments: list[str], name: str) -> str | None:
    return arguments[arguments.index(name) + 1] if name in arguments else None


def assistant(part: dict[str, Any], session: str) -> None:
    put({"type": "assistant", "session_id": session,
         "message": {"role": "assistant", "content": [part]}})  # fmt: skip


def ask(path: str) -> str:
    """What the model's host answers, with the key that the program was given."""
    base = os.environ["ANTHROPIC_BASE_URL"]
    request = urllib.request.Request(base + path, headers={  # noqa: S310
        "x-api-key": os.environ.get("ANTHROPIC_API_KEY", "")})  # fmt: skip
    with urllib.request.urlopen(request, timeout=20) as reply:  # noqa: S310
        return str(reply.read().decode())


def step(one: dict[str, Any], session: str) -> None:
    match one:
        case {"say": text}:
            assistant({"type": "text", "text": text}, session)
        case {"tool": name}:
            assistant({"type": "tool_use", "id": "t1", "name": name, "input": {}}, session)
        case {"write": path, "text": text}:
            Path(path).write_text(text)
        case {"raw": text}:
            put(text)
        case {"huge": size}:
            put("x" * size)
        case {"exit": code}:
            sys.stderr.write("scripted end\n")
            os._exit(code)
        case {"ask": path}:
            assistant({"type": "text", "text": ask(path)}, session)
        case {"hang": _}:
            while True:
                time.sleep(3_600)
        case {"result": text}:
            subtype = one.get("subtype", "success")
            put({
                "type": "result", "subtype": subtype, "is_error": subtype != "success",
                "result": text, "session_id": session, "num_turns": 3,
                "total_cost_usd": one.get("cost", 0.01), "permission_denials": [],
                "usage": {"input_tokens": 100, "output_tokens": 20},
            })  # fmt: skip


def main(scenario: Path, arguments: list[str]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    resumed = option(arguments, "--resume")
    session = resumed or option(arguments, "--session-id") or "none"
    known = Path("sessions") / session
    line = sys.stdin.readline()
    with Path("starts.jsonl").open("a") as starts:
        told = {"argv": arguments, "message": json.loads(line), "env": sorted(os.environ)}
        starts.write(json.dumps(told) + "\n")
    if resumed is not None and not known.exists():
        sys.stderr.write(f"No conversation found with session ID: {session}\n")
        sys.exit(1)
    known.parent.mkdir(exist_ok=True)
    known.touch()
    put({"type": "system", "subtype": "init", "session_id": session, "model": "claude-stand-in",
         "tools": []})  # fmt: skip
    for one in json.loads(scenario.read_text()):
        step(one, session)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

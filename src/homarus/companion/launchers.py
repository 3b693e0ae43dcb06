"""Texts of the companion directory: launchers for both families of shells, examples, a page.

Pure: values in, bytes out. `.sh` has LF, `.cmd` CRLF, on whatever machine they are made.
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from homarus.companion.files import PRIVATE, PROGRAM
from homarus.companion.settings import checked

MADE: Final = "Made by homarus companion; `homarus companion repair` makes it anew."
BRIDGE: Final = "run-bridge"
OWN: Final = ("HOMARUS_URL", "HOMARUS_TOKEN", "HOMARUS_COMPANY")
"""A person sets these for the command line; they must not lead a bridge elsewhere."""
COMPANIONS: Final = ("doctor", "sync", "repair", "session-inspect")


@dataclass(frozen=True)
class Facts:
    """What the texts are filled with. `program`: how Homarus is started on this machine."""

    program: str
    url: str
    config: Path
    companion_dir: Path
    state_dir: Path
    journal: Path
    token_file: Path | None
    agent_name: str
    runtime_id: str

    def environment(self) -> dict[str, str]:
        """What a bridge reads (contract, 13.1 and 14); never the token."""
        return {
            "EMPEROR_CLAW_API_URL": self.url,
            "EMPEROR_CLAW_COMPANION_DIR": str(self.companion_dir),
            "EMPEROR_CLAW_STATE_DIR": str(self.state_dir),
            "EMPEROR_CLAW_BRIDGE_STATE_PATH": str(self.journal),
            "EMPEROR_AGENT_NAME": self.agent_name,
            "EMPEROR_RUNTIME_ID": self.runtime_id,
        }


@dataclass(frozen=True)
class Text:
    name: str
    content: bytes
    mode: int


def texts(facts: Facts) -> list[Text]:
    """Every file that holds nothing of a person's. Raises `companion.value`."""
    made = [_pair(BRIDGE, _bridge_sh(facts), _bridge_cmd(facts))]
    for name in COMPANIONS:
        command = f"companion {name} --config"
        config = str(facts.config)
        made.append(
            _pair(
                name,
                [_sh_program(facts), f'exec "$homarus" {command} {_sh(config)} "$@"'],
                [_cmd_program(facts), f'"%HOMARUS_BIN%" {command} {_cmd(config)} %*'],
            )
        )
    return [
        *(text for pair in made for text in pair),
        Text(".env.example", _example(facts).encode(), PRIVATE),
        Text("openclaw.control-plane.json", _overlay(facts), PRIVATE),
        Text("README.txt", _readme(facts).encode(), PRIVATE),
    ]


def _pair(name: str, sh: list[str], cmd: list[str]) -> tuple[Text, Text]:
    unix = "\n".join(["#!/bin/sh", f"# {MADE}", "set -eu", *sh]) + "\n"
    windows = "\r\n".join(["@echo off", f"rem {MADE}", "setlocal", *cmd, "exit /b %ERRORLEVEL%"])
    return (
        Text(f"{name}.sh", unix.encode(), PROGRAM),
        Text(f"{name}.cmd", f"{windows}\r\n".encode(), PRIVATE),
    )


def _sh(value: str) -> str:
    return shlex.quote(checked(value))


def _cmd(value: str) -> str:
    """Inside double quotes only `%` still means something to cmd.exe."""
    return '"' + checked(value).replace("%", "%%") + '"'


def _sh_program(facts: Facts) -> str:
    """HOMARUS_BIN, else the program that made the launcher, else what PATH has."""
    return (
        f'homarus=${{HOMARUS_BIN:-}}; [ -n "$homarus" ] || homarus={_sh(facts.program)}\n'
        'command -v "$homarus" >/dev/null 2>&1 || homarus=homarus'
    )


def _cmd_program(facts: Facts) -> str:
    program = checked(facts.program).replace("%", "%%")
    return (
        f'if not defined HOMARUS_BIN set "HOMARUS_BIN={program}"\r\n'
        'where /q "%HOMARUS_BIN%" || if not exist "%HOMARUS_BIN%" set "HOMARUS_BIN=homarus"'
    )


def _bridge_sh(facts: Facts) -> list[str]:
    lines = [_sh_program(facts)]
    for name, value in facts.environment().items():
        lines.append(f'[ -n "${{{name}:-}}" ] || {name}={_sh(value)}')
        lines.append(f"export {name}")
    if facts.token_file is not None:
        file = _sh(str(facts.token_file))
        lines.append(
            f'[ -n "${{EMPEROR_CLAW_API_TOKEN:-}}" ] || EMPEROR_CLAW_API_TOKEN=$(cat {file})'
        )
        lines.append("export EMPEROR_CLAW_API_TOKEN")
    lines.append(f"unset {' '.join(OWN)}")
    return [*lines, f'exec "$homarus" bridge --config {_sh(str(facts.config))} "$@"']


def _bridge_cmd(facts: Facts) -> list[str]:
    lines = [_cmd_program(facts)]
    for name, value in facts.environment().items():
        plain = checked(value).replace("%", "%%")
        lines.append(f'if not defined {name} set "{name}={plain}"')
    if facts.token_file is not None:
        file = checked(str(facts.token_file)).replace("%", "%%")
        lines.append(
            f'if not defined EMPEROR_CLAW_API_TOKEN for /f "usebackq delims=" %%T in ("{file}") '
            'do set "EMPEROR_CLAW_API_TOKEN=%%T"'
        )
    lines += [f'set "{name}="' for name in OWN]
    return [*lines, f'"%HOMARUS_BIN%" bridge --config {_cmd(str(facts.config))} %*']


def _example(facts: Facts) -> str:
    lines = [f"# {MADE}", "# Copy to .env, fill in the token, keep it to yourself (chmod 600)."]
    lines += [f"{name}={_sh(value)}" for name, value in facts.environment().items()]
    return "\n".join([*lines, "EMPEROR_CLAW_API_TOKEN=ec_...", ""])


def _overlay(facts: Facts) -> bytes:
    """Environment for an agent runtime that reads `openclaw.json`; the token comes from outside."""
    variables: dict[str, Any] = {
        **facts.environment(),
        "EMPEROR_CLAW_API_TOKEN": "${EMPEROR_CLAW_API_TOKEN}",
    }
    return (json.dumps({"env": {"vars": variables}}, ensure_ascii=False, indent=2) + "\n").encode()


def _readme(facts: Facts) -> str:
    token = facts.token_file or "the environment variable EMPEROR_CLAW_API_TOKEN"
    return f"""This directory connects the machine to the control plane at {facts.url}.

run-bridge       claim and do work for agent {facts.agent_name}
doctor           try the whole exchange once, and say what fails
sync             look at the control plane; the result lies in state/last-sync.json
repair           make the files here anew; what you changed is kept in backups/
session-inspect  say what is configured and how it stands; changes nothing

Each is a program: NAME.sh here, NAME.cmd on Windows. All take --help.

bridge.config.json           settings; edit it, `repair` keeps what you add
openclaw.control-plane.json  environment for OpenClaw: merge it into openclaw.json, or $include it
.env.example                 the same for other programs
state/                       the bridge's journal and the last reports

The token is read from {token}. It stands in no other file here.
"""

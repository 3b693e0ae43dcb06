"""What a service manager is told about the daemon: a systemd unit, a launchd plist. Pure.

    systemd_unit(description)     the text of NAME.service, for a user's manager or the system's
    launchd_plist(description)    the bytes of the property list
    sealed(body) / is_untouched   so that an edit by hand is noticed before it is overwritten

Needs systemd 244 (prefix `:` of ExecStart, which leaves `$` alone). How values are quoted:
systemd.syntax(7), systemd.service(5), systemd.unit(5); keys of the plist: launchd.plist(5).
"""

import hashlib
import plistlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.parsers.expat import ExpatError

from homarus.base.errors import Invalid
from homarus.service.notify import STOP_EXTRA_S

DEFAULT_NAME: Final = "homarus"
NAME: Final = re.compile(r"homarus(-[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?)?")
ENVIRONMENT_FILE: Final = "service.env"
"""Of the home; further variables, one NAME=value a line. systemd only."""

EXIT_CONFIGURATION: Final = 78
"""What a daemon with mistakes in its configuration ends with: starting it again would not help."""
RESTART_S: Final = 1
"""A killed daemon is back before a lease or a client's patience ends."""
START_LIMIT: Final = 10
START_LIMIT_S: Final = 300
WATCHDOG_S: Final = 30
START_S: Final = 300
"""An upgrade may have to migrate a large store."""
THROTTLE_S: Final = 10
"""The least launchd allows between two starts by default."""
UMASK: Final = 0o077

NETWORK: Final = (("Wants", "network-online.target"), ("After", "network-online.target"))
"""Of a system unit: a user's manager knows no such target."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_SEAL: Final = re.compile(r"homarus service install sha256=([0-9a-f]{64})")


@dataclass(frozen=True)
class Description:
    """One daemon as a service. `program`: argv, the first an absolute path; `user`: whom a system
    unit runs as, None for a user's own manager; `drain_s`: the daemon's longest drain.

    Raises `service.value` where a value cannot be written into such a file.
    """

    program: tuple[str, ...]
    home: Path
    name: str = DEFAULT_NAME
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    drain_s: float = 10.0

    def __post_init__(self) -> None:
        need_name(self.name)
        for what, value in self._values():
            _need_printable(what, value)
        for path in (self.program[0], str(self.home)):
            if not path.startswith("/"):
                raise Invalid(
                    "service.value", f"{path!r} is no absolute path", "Give the whole path."
                )
        if set(self.program[0]) & set("\"'\\"):
            raise Invalid(
                "service.value",
                f"{self.program[0]!r}: systemd starts no program with quotes in its path",
                "Install Homarus elsewhere.",
            )

    def _values(self) -> list[tuple[str, str]]:
        found = [("the program", word) for word in self.program]
        found += [("the home directory", str(self.home)), ("the user", self.user or "-")]
        return found + [
            (f"the variable {key}", text)
            for key, value in self.environment.items()
            for text in (key, value)
        ]

    @property
    def unit(self) -> str:
        return f"{self.name}.service"

    @property
    def stop_s(self) -> int:
        return round(self.drain_s) + STOP_EXTRA_S


def need_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise Invalid(
            "service.value",
            f"{name!r} is no name of a service",
            "It is `homarus`, or `homarus-` with small letters, digits and hyphens.",
        )


def label(name: str) -> str:
    """launchd's name: `ai.homarus`, `ai.homarus.work` of `homarus-work`."""
    return "ai." + name.replace("-", ".", 1)


def _need_printable(what: str, value: str) -> None:
    """A line break would begin another directive; so would a backslash at the end go on with one.
    Lone surrogates (names of files that are not UTF-8) cannot be written at all."""
    if not value or not value.isprintable() or value.endswith("\\") or value != value.strip():
        raise Invalid(
            "service.value",
            f"{what} {value!r} cannot be written into a service file",
            "It may not be empty, have control characters, blanks around it or a backslash at its "
            "end.",
        )


def quoted(word: str) -> str:
    """One word of ExecStart= or Environment=: specifiers doubled, quotes where there must be."""
    doubled = word.replace("%", "%%")
    if _PLAIN.fullmatch(doubled):
        return doubled
    escaped = doubled.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def whole(path: Path) -> str:
    """A path that is all of a line's value: systemd expands specifiers there, unquotes nothing."""
    return str(path).replace("%", "%%")


def systemd_unit(description: Description) -> str:
    """The unit, sealed. Raises nothing that Description did not."""
    is_system = description.user is not None
    service: list[tuple[str, Any]] = [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("ExecStart", ":" + " ".join(map(quoted, description.program))),
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
        *([("User", description.user)] if is_system else []),
        *(
            ("Environment", quoted(f"{key}={value}"))
            for key, value in description.environment.items()
        ),
        ("EnvironmentFile", "-" + whole(description.home / ENVIRONMENT_FILE)),
        ("UMask", f"{UMASK:04o}"),
        ("Restart", "always"),
        ("RestartSec", RESTART_S),
        ("RestartPreventExitStatus", EXIT_CONFIGURATION),
        ("SuccessExitStatus", "0 143"),
        ("WatchdogSec", WATCHDOG_S),
        ("TimeoutStartSec", START_S),
        ("TimeoutStopSec", description.stop_s),
        ("KillMode", "mixed"),
        ("OOMPolicy", "continue"),
        ("Delegate", "yes"),  # the kernel counts what a run uses (backends/cgroups.py)
        ("LimitCORE", 0),
    ]
    sections = (
        ("Unit", [
            ("Description", f"Homarus ({whole(description.home)})"),
            *(NETWORK if is_system else ()),
            ("StartLimitIntervalSec", START_LIMIT_S),
            ("StartLimitBurst", START_LIMIT),
        ]),
        ("Service", service),
        ("Install", [("WantedBy", "multi-user.target" if is_system else "default.target")]),
    )  # fmt: skip
    text = "\n".join(
        f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in rows)
        for name, rows in sections
    )
    return sealed(text.encode()).decode()


LAUNCHD_KEYS: Final[Mapping[str, type]] = {
    "Label": str, "ProgramArguments": list, "EnvironmentVariables": dict,
    "RunAtLoad": bool, "KeepAlive": bool, "ThrottleInterval": int, "ExitTimeOut": int,
    "ProcessType": str, "Umask": int, "StandardInPath": str, "StandardOutPath": str,
    "StandardErrorPath": str,
}  # fmt: skip
"""The keys that are written, with the types that launchd.plist(5) gives them."""


def launchd_plist(description: Description) -> bytes:
    """The property list, sealed.

    Nobody rotates what launchd writes, so it writes nothing: `logs/homarus.log` has all of it but
    the trace of a start that failed early, which `homarus up` in a terminal shows.
    """
    return sealed(
        plistlib.dumps(
            {
                "Label": label(description.name),
                "ProgramArguments": list(description.program),
                "EnvironmentVariables": dict(description.environment),
                "RunAtLoad": True,
                "KeepAlive": True,
                "ThrottleInterval": THROTTLE_S,
                "ExitTimeOut": description.stop_s,
                "ProcessType": "Interactive",
                "Umask": UMASK,
                "StandardInPath": "/dev/null",
                "StandardOutPath": "/dev/null",
                "StandardErrorPath": "/dev/null",
            },
            sort_keys=False,
        )
    )


def sealed(body: bytes) -> bytes:
    """`body` with a comment that holds its hash, where its kind of file allows one."""
    words = f"homarus service install sha256={hashlib.sha256(body).hexdigest()}"
    if body.startswith(b"<?xml"):
        first, _, rest = body.partition(b"\n")
        return first + f"\n<!-- {words} -->\n".encode() + rest
    return f"# {words}\n".encode() + body


def is_untouched(content: bytes) -> bool:
    """Whether `content` is what `sealed` once made; False for a file of somebody else."""
    lines = content.split(b"\n")
    for number, line in enumerate(lines[:2]):
        found = _SEAL.search(line.decode("utf-8", "replace"))
        if found is not None:
            body = b"\n".join(lines[:number] + lines[number + 1 :])
            return hashlib.sha256(body).hexdigest() == found[1]
    return False


def is_of(content: bytes, home: Path) -> bool:
    """Whether an installed file, as `sealed` made it, runs the daemon of this home."""
    if not content.startswith(b"<?xml"):
        return f" --home {quoted(str(home))} ".encode() in content
    try:
        words = plistlib.loads(content).get("ProgramArguments", [])
    except (plistlib.InvalidFileException, ValueError, ExpatError):
        return False
    return str(home) in words


def stop_s(content: bytes) -> int:
    """The longest stop that an installed file allows; STOP_EXTRA_S where it does not say."""
    found = re.search(
        rb"^TimeoutStopSec=([0-9]{1,6})$|<key>ExitTimeOut</key>\s*<integer>([0-9]{1,6})<", content,
        re.MULTILINE,
    )  # fmt: skip
    return int(found[1] or found[2]) if found else STOP_EXTRA_S

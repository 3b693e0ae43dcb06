"""The daemon's settings: `homarus.json` (JSON5) in the home, and the environment, which wins.

    settings = load(home)          checked whole; raises `settings.*`
    rows()                         the table that the docs and `homarus doctor` print

A setting has one name: the key in the file; `HOMARUS_` and the name in capitals in the
environment. Nothing else reads configuration.
"""

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from homarus.base.errors import Invalid
from homarus.base.logs import LEVELS

FILE: Final = "homarus.json"
PREFIX: Final = "HOMARUS_"
MAX_FILE_BYTES: Final = 1_048_576
DEFAULT_PORT: Final = 18_789


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"text": text})


def default_home() -> Path:
    """`HOMARUS_HOME`, or `~/.homarus`."""
    return Path(os.environ.get("HOMARUS_HOME") or "~/.homarus").expanduser().absolute()


@dataclass(frozen=True)
class Settings:
    """All settings, with their defaults. Units are in the names."""

    home: Path
    host: str = _setting("127.0.0.1", "Address that the main port listens on.")
    port: int = _setting(DEFAULT_PORT, "Main port; 0 takes a free one.")
    allow_remote: bool = _setting(
        False, "Permit a `host` that other machines reach. Every caller needs a token either way."
    )
    public_url: str = _setting(
        "",
        "Address that people and programs call, where a proxy stands before it; empty: as called.",
    )
    store: str = _setting("sqlite", "`sqlite`, or the URL of a PostgreSQL database.")
    log_level: str = _setting("info", "Least level in the log file: debug, info, warning, error.")
    drain_s: float = _setting(10.0, "At stop: longest wait for requests under way.")
    anchor_s: float = _setting(600.0, "How often the last seal of each ledger is anchored.")
    lease_watch_s: float = _setting(1.0, "How often expired leases are looked for.")
    session_watch_s: float = _setting(15.0, "How often late sessions are looked for.")
    document_watch_s: float = _setting(
        1.0, "How often files of the main space are looked at for changes."
    )
    document_hash_s: float = _setting(60.0, "How often they are compared by SHA-256.")
    max_turns: int = _setting(32, "Turns of agents that run at one time; more wait.")
    max_task_turns: int = _setting(
        8,
        "Tasks of the queue that models work on at one time (`executor: llm`); 0: they take none, "
        "and only answer.",
    )
    http_tools_allow: str = _setting(
        "", "Tools offered by `POST /tools/invoke` that are not by default; names, with commas."
    )
    http_tools_deny: str = _setting("", "Tools that it does not offer; names, with commas.")
    max_connections: int = _setting(4_096, "Open connections; more are answered 503.")
    max_sockets: int = _setting(1_000, "Open event sockets; more are answered 503.")


class SettingRow(NamedTuple):
    """One line of the settings' table."""

    name: str
    type: str
    default: str
    env: str
    text: str


def rows() -> list[SettingRow]:
    """Every setting with type, default, environment variable and meaning."""
    found = [
        SettingRow(
            "home", "path", "~/.homarus", "HOMARUS_HOME", "State directory; not set in the file."
        )
    ]
    for f in fields(Settings):
        if f.default is MISSING:
            continue
        found.append(
            SettingRow(
                f.name, _word(f.type), _shown(f.default), PREFIX + f.name.upper(),
                f.metadata["text"],
            )
        )  # fmt: skip
    return found


def _word(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def load(
    home: Path | None = None,
    environ: Mapping[str, str] | None = None,
    **overrides: Any,
) -> Settings:
    """Defaults, then the file, then the environment, then `overrides` that are not None.

    Raises `settings.file`, `settings.unknown`, `settings.value` or `settings.bind`, naming the
    place. Reads nothing but the file and the environment.
    """
    environ = os.environ if environ is None else environ
    home = (home or default_home()).expanduser().absolute()
    known = {f.name: f.type for f in fields(Settings) if f.name != "home"}
    values: dict[str, Any] = {}
    for name, value in _read_file(home / FILE).items():
        if name not in known:
            raise _unknown(name, list(known))
        values[name] = _converted(name, value, known[name], f"in {FILE}", strict=True)
    for name, kind in known.items():
        text = environ.get(PREFIX + name.upper())
        if text:
            values[name] = _converted(name, text, kind, f"in {PREFIX}{name.upper()}", strict=False)
    for name, value in overrides.items():
        if value is not None:
            values[name] = _converted(name, value, known[name], "as given", strict=False)
    settings = replace(Settings(home=home), **values)
    _check(settings)
    return settings


def _read_file(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    return _parsed(path.read_bytes()[: MAX_FILE_BYTES + 1], str(path))


def check_text(text: str) -> None:
    """Whether a daemon would start with this text as its file, and no environment.

    Raises `settings.*`, with `setting` in the details where one is to blame.
    """
    known = {f.name: f.type for f in fields(Settings) if f.name != "home"}
    values: dict[str, Any] = {}
    for name, value in _parsed(text.encode(), FILE).items():
        if name not in known:
            raise _unknown(name, list(known))
        values[name] = _converted(name, value, known[name], f"in {FILE}", strict=True)
    _check(replace(Settings(home=Path("/")), **values))


def _parsed(raw: bytes, path: str) -> dict[str, Any]:
    import pyjson5  # loaded only where a file is read

    if len(raw) > MAX_FILE_BYTES:
        raise Invalid("settings.file", f"{path} is larger than {MAX_FILE_BYTES} bytes", "")
    try:
        value = pyjson5.decode(raw.decode("utf-8"))
    except (pyjson5.Json5DecoderException, UnicodeDecodeError) as error:
        raise Invalid(
            "settings.file", f"{path} is no JSON5: {error}", "Correct it; nothing was changed."
        ) from error
    if not isinstance(value, dict):
        raise Invalid("settings.file", f"{path} holds no object", "Start it with `{`.")
    return value


def _unknown(name: str, known: list[str]) -> Invalid:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(known)}."
    return Invalid("settings.unknown", f"{FILE} names an unknown setting {name!r}", hint)


def _converted(name: str, value: Any, kind: Any, where: str, *, strict: bool) -> Any:
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise Invalid(
            "settings.value", f"{name} {where} is not a {_word(kind)}: {error}", "Correct it."
        ) from error


_PUBLIC_URL: Final = re.compile(r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?")
_PERIODS: Final = (
    "drain_s", "anchor_s", "lease_watch_s", "session_watch_s", "document_watch_s",
    "document_hash_s",
)  # fmt: skip


def _check(settings: Settings) -> None:
    if settings.log_level not in LEVELS:
        raise Invalid("settings.value", f"log_level {settings.log_level!r}", f"One of {LEVELS}.")
    if not 0 <= settings.port <= 65_535:
        raise Invalid("settings.value", f"port {settings.port}", "Use 0 to 65535.")
    for name in _PERIODS:
        if not 0.05 <= getattr(settings, name) <= 86_400:
            raise Invalid("settings.value", f"{name} {getattr(settings, name)}", "0.05 to 86400.")
    for name in ("max_connections", "max_sockets", "max_turns"):
        if not 1 <= getattr(settings, name) <= 1_000_000:
            raise Invalid("settings.value", f"{name} {getattr(settings, name)}", "1 to 1000000.")
    if not 0 <= settings.max_task_turns <= 1_000_000:
        raise Invalid(
            "settings.value", f"max_task_turns {settings.max_task_turns}", "0 to 1000000."
        )
    if settings.public_url and not _PUBLIC_URL.fullmatch(settings.public_url):
        raise Invalid(
            "settings.value",
            f"public_url {settings.public_url!r} is no address",
            "`https://name`, or `http://name:port`, without a path.",
        )
    if not is_loopback(settings.host) and not settings.allow_remote:
        raise Invalid(
            "settings.bind",
            f"{settings.host} can be reached from other machines",
            "Keep 127.0.0.1, or set `allow_remote: true` when that is what you want.",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

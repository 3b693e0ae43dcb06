"""What openclaw.json says: agents, models, credentials, and what is not taken (gateway contract,
13, 17). Pure but for reading the files.

Agents stand in `agents.list[]` or in `agents.entries{}`, by generation.
"""

import re
import shlex
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base.redact import is_secret_key
from homarus.config import files as config_files
from homarus.config import include
from homarus.config.problem import Problem
from homarus.conversations import keys
from homarus.importers.openclaw import files
from homarus.importers.openclaw.files import Finding, Unusable

FILE: Final = "openclaw.json"
MAX_DEPTH: Final = 30
MIN_SECRET: Final = 8
"""Characters. Shorter ones are words that stand in many texts."""
MAX_AGENTS: Final = 1_000
NOT_YET: Final = {
    "bindings": ("who answers where is set in homarus.json, in the same words", ""),
    "hooks": ("calls from outside are set up anew", ""),
    "messages": ("queue modes are taken for each session only", ""),
    "plugins": ("plugins of OpenClaw do not run here", ""),
    "session": (
        "its scopes and links are set in homarus.json, in the same words",
        "When sessions begin anew: `homarus session policy`.",
    ),
    "skills": ("skills are registered, not copied", "See `homarus capability`."),
    "tools": ("what an agent may do is granted here", "See `homarus capability`."),
}
"""Parts of the file that are not taken: why, and what to do instead."""
DIALECTS: Final = {"anthropic-messages": "anthropic", "openai-responses": "openai-responses",
                   "openai-completions": "openai"}  # fmt: skip
KNOWN: Final = ("anthropic", "openai", "openrouter", "ollama", "vllm")
_ASSIGNED: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*?)\s*")
_WRITTEN: Final = re.compile(r"""["']?([\w-]+)["']?\s*:\s*["']([^"'\n]{8,})["']""")
_NAMED: Final = re.compile(r"[^a-z0-9._-]+")


class Agent(msgspec.Struct, frozen=True):
    """`folder`: its id over there, the name of its folder; `model`: `provider/id`; `workspace` as
    configured."""

    name: str
    folder: str
    model: str | None = None
    workspace: str | None = None
    default: bool = False


class Model(msgspec.Struct, frozen=True):
    """A model to be added by hand. `name`: what it is to be called here."""

    name: str
    ref: str
    command: str


class Configuration(msgspec.Struct, frozen=True):
    agents: tuple[Agent, ...] = ()
    models: tuple[Model, ...] = ()
    findings: tuple[Finding, ...] = ()
    secrets: frozenset[str] = frozenset()
    """Values that must not get anywhere. Never shown."""


def read(root: Path) -> Configuration:
    """Whatever is wrong with the file is a finding."""
    found: list[Finding] = []
    secrets: set[str] = set()
    value = _value(root, found, secrets)
    found += _credentials(root, value, secrets)
    found += [Finding(f"{FILE}: {part}", *why) for part, why in NOT_YET.items() if value.get(part)]
    found += [
        Finding(f"{FILE}: channels.{name}", "channels are set up anew, in homarus.json")
        for name in sorted(_object(value.get("channels")))
    ]
    agents = _agents(root, value, found)
    return Configuration(agents, _models(value, agents), tuple(found), frozenset(secrets))


def _value(root: Path, found: list[Finding], secrets: set[str]) -> dict[str, Any]:
    """`secrets` gets those of a file that cannot be parsed too."""
    path = root / FILE
    try:
        files.check_plain(root, path)
        disk = config_files.read(path, FILE)
        text = "{}" if disk is None else disk.text
        secrets |= {
            pair[2] for pair in _WRITTEN.finditer(text)
            if is_secret_key(pair[1]) and not pair[2].startswith("${")
        }  # fmt: skip
        value = include.resolve(root, FILE, text, []).root.plain()
        return dict(value)
    except Unusable as error:
        why = str(error) if path.exists() else "there is none"
        found.append(Finding(FILE, why, "Agents are taken by their folders."))
    except Problem as problem:
        place = str(problem.place or FILE)
        found.append(Finding(place, problem.message, "Agents are taken by their folders."))
    except OSError as error:
        found.append(Finding(FILE, files.why_not(error), "Agents are taken by their folders."))
    return {}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


# -- agents ----------------------------------------------------------------------------------


def _agents(root: Path, value: dict[str, Any], found: list[Finding]) -> tuple[Agent, ...]:
    part = _object(value.get("agents"))
    defaults = _object(part.get("defaults"))
    rows = [row for row in part.get("list") or () if isinstance(row, dict)] if isinstance(
        part.get("list"), list) else []  # fmt: skip
    rows += [_object(row) | {"id": name} for name, row in _object(part.get("entries")).items()]
    given = {str(row["id"]): row for row in reversed(rows) if _text(row.get("id"))}
    if len(rows) > len(given):
        found.append(Finding(f"{FILE}: agents", "some have no id, or one that stands twice",
                             "The first of each id is taken."))  # fmt: skip
    names = [*reversed(given)] or ["main"] * bool(part)
    names += [name for name in files.folders(root, root / "agents") if name not in given
              and name not in names]  # fmt: skip
    chosen = next((n for n in names if given.get(n, {}).get("default") is True), None)
    chosen = chosen or ("main" if "main" in names else next(iter(names), None))
    agents: dict[str, Agent] = {}
    for folder in names[:MAX_AGENTS]:
        row, name = given.get(folder, {}), keys.slug(folder)
        if name in agents:
            found.append(Finding(f"agents/{folder}", f"an agent called {name} stands there twice"))
            continue
        agents[name] = Agent(
            name=name, folder=folder, model=_model_of(row.get("model")),
            workspace=_text(row.get("workspace")) or _text(defaults.get("workspace"))
            if folder == chosen else _text(row.get("workspace")), default=folder == chosen,
        )  # fmt: skip
        if row.get("heartbeat") or (folder == chosen and defaults.get("heartbeat")):
            found.append(Finding(f"{FILE}: heartbeat of {name}", "heartbeats cost money",
                                 f"Set it: `homarus agent heartbeat {name} on`."))  # fmt: skip
    return tuple(agents.values())


# -- models ----------------------------------------------------------------------------------


def _model_of(value: Any) -> str | None:
    return _text(value) or _text(_object(value).get("primary"))


def model_name(ref: str) -> str:
    """What a model (`provider/id`) is called here."""
    return _NAMED.sub("-", ref.rpartition("/")[2].lower()).strip("-._")[:64] or "imported"


def _models(value: dict[str, Any], agents: tuple[Agent, ...]) -> tuple[Model, ...]:
    default = _model_of(_object(_object(value.get("agents")).get("defaults")).get("model"))
    providers = _object(_object(value.get("models")).get("providers"))
    wanted = [("default", default)] if default else []
    wanted += [(model_name(agent.model), agent.model) for agent in agents if agent.model]
    found = {name: Model(name, ref, _command(name, ref, providers)) for name, ref in wanted}
    return tuple(found.values())


def _command(name: str, ref: str, providers: dict[str, Any]) -> str:
    provider, _, model = ref.partition("/")
    row = _object(providers.get(provider))
    words = ["homarus", "model", "add", name]
    if (url := _text(row.get("baseUrl"))) and "@" not in url and "?" not in url:
        words += ["--dialect", DIALECTS.get(str(row.get("api")), "openai"), "--base-url", url]
    else:
        words += ["--provider", provider if provider in KNOWN else "other"]
    words += ["--model", model or ref]
    return shlex.join([*words, "--no-key" if provider in ("ollama", "vllm") else "--key-stdin"])


# -- credentials -----------------------------------------------------------------------------


def _credentials(root: Path, value: dict[str, Any], secrets: set[str]) -> list[Finding]:
    """Where they stand; `secrets` gets their values."""
    found = _in_value(value, FILE, "", secrets)
    for folder in files.folders(root, root / "agents"):
        place = f"agents/{folder}/agent/auth-profiles.json"
        try:
            profiles = files.json_object(root, root / place)
        except FileNotFoundError:
            continue
        except Unusable as error:
            found.append(Finding(place, str(error)))
            continue
        _in_value(profiles, place, "", secrets)
        names = ", ".join(sorted(_object(profiles.get("profiles"))))[:300]
        found.append(Finding(place, f"credentials are never copied ({names or 'none named'})",
                             "Add each by hand: `homarus model add`."))  # fmt: skip
    if (root / "credentials").is_dir():
        for name in files.names(root / "credentials"):
            try:
                _in_value(files.json_object(root, root / "credentials" / name), "", "", secrets)
            except (FileNotFoundError, Unusable):
                continue
        found.append(Finding("credentials/", "credentials are never copied",
                             "Log in again where they are needed."))  # fmt: skip
    found += _in_environment(root, secrets)
    return found


def _in_value(value: Any, file: str, path: str, secrets: set[str], depth: int = 0) -> list[Finding]:
    found: list[Finding] = []
    if depth > MAX_DEPTH:
        return found
    if isinstance(value, list):
        for n, item in enumerate(value):
            found += _in_value(item, file, f"{path}[{n}]", secrets, depth + 1)
    for key, item in value.items() if isinstance(value, dict) else ():
        at = f"{path}.{key}" if path else str(key)
        if isinstance(item, str) and (is_secret_key(key) or key in ("key", "access", "refresh")):
            if len(item) >= MIN_SECRET and not item.startswith("${"):
                secrets.add(item)
            remedy = "Add it by hand: `homarus model add`." if at.startswith("models.") else ""
            found.append(Finding(f"{file}: {at}", "credentials are never copied", remedy))
        else:
            found += _in_value(item, file, at, secrets, depth + 1)
    return found


def _in_environment(root: Path, secrets: set[str]) -> list[Finding]:
    path = root / ".env"
    if not path.is_file():
        return []
    try:
        files.check_plain(root, path)
        with path.open("rb") as file:
            text = file.read(config_files.MAX_FILE_BYTES).decode("utf-8", "replace")
    except (OSError, Unusable):
        return [Finding(".env", "it cannot be read; what it holds is not copied")]
    for line in text.splitlines():
        if (pair := _ASSIGNED.fullmatch(line)) and is_secret_key(pair[1].lower()):
            value = pair[2].strip("\"'")
            if len(value) >= MIN_SECRET:
                secrets.add(value)
    return [Finding(".env", "credentials are never copied", "Set the daemon's environment.")]

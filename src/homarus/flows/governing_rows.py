"""Changes of rows: settings, role holders, grants, pipelines; and what only a person can switch."""

import re
from typing import Any, Final

import yaml

from homarus import __version__
from homarus.base.errors import Conflict, HomarusError, Invalid
from homarus.changes.model import Change, Failure
from homarus.company import agents
from homarus.config import settings as config
from homarus.config.problem import Rejected
from homarus.flows import pipelining
from homarus.flows.electing import ROLES
from homarus.kernel import registry, settings
from homarus.kernel.documents import GOVERNED, PIPELINES_FOLDER
from homarus.pipelines import service as pipelines
from homarus.pipelines import text as pipeline_text
from homarus.records import documents
from homarus.store.port import Rx, Tx

ROLE: Final = "role"
"""The governed setting that is the holder of a role: {"name": "role", "agent", "role"}."""
_VERSION: Final = re.compile(r"\d{1,4}(\.\d{1,4}){1,3}([a-z0-9.+-]{0,20})?")


def _said(path: str, error: HomarusError) -> Failure:
    return Failure(path, f"{error.message} {error.remedy}".strip())


# -- settings, levels, role holders -------------------------------------------------------


def setting_target(patch: dict[str, Any]) -> str:
    name = str(patch["name"])
    return f"role:{patch.get('agent', '')}" if name == ROLE else name


def check_setting(rx: Rx, company: str, change: Change) -> list[Failure]:
    patch = change.patch
    if patch["name"] == ROLE:
        return _check_role(rx, company, patch)
    if "value" not in patch:
        return [Failure("value", "give `value`")]
    try:
        settings.check(patch["name"], patch["value"])
    except HomarusError as error:
        return [_said("value" if error.code == "setting.value" else "name", error)]
    return []


def _check_role(rx: Rx, company: str, patch: dict[str, Any]) -> list[Failure]:
    found = []
    role = patch.get("role")
    if "role" not in patch or (role is not None and role not in ROLES):
        found.append(Failure("role", f"one of {', '.join(ROLES)}, or null"))
    try:
        agents.need(rx, company, patch.get("agent", ""))
    except HomarusError as error:
        found.append(_said("agent", error))
    return found


def switch_setting(tx: Tx, change: Change) -> Any:
    patch = change.patch
    name = patch["name"]
    if name == ROLE:
        agent = agents.need(tx, tx.company, patch["agent"])
        agents.set_role(tx, agent.id, patch["role"])
        return {"agent": agent.id, "role": agent.role}
    before = settings.level(tx, tx.company)
    if name != settings.LEVEL:
        before = settings.value(tx, tx.company, name)
    settings.put(tx, name, patch["value"])
    return before


def back_setting(tx: Tx, change: Change) -> None:
    if change.patch["name"] == ROLE:
        agents.set_role(tx, change.previous["agent"], change.previous["role"])
    else:
        settings.put(tx, change.patch["name"], change.previous)


# -- grants -------------------------------------------------------------------------------


def pin_grants(rx: Rx, company: str, capability: str) -> dict[str, Any]:
    """What is granted: a skill by the hash of its folder, anything else by its version."""
    row = registry.by_id(rx, company, capability)
    if row is None:
        return {}
    return {"sha256": _hex(row)} if row.kind == registry.SKILL else {"version": row.version}


def _hex(row: registry.Capability) -> str | None:
    return None if row.sha256 is None else row.sha256.hex()


def check_grants(rx: Rx, company: str, change: Change) -> list[Failure]:
    found = []
    row = registry.by_id(rx, company, change.patch["capability"])
    if row is None:
        found.append(Failure("capability", f"none is called {change.target[:100]!r}"))
    else:
        found += _moved(row, change.patch)
    grants = change.patch["grants"]
    if len(grants) > registry.MAX_GRANTS:
        found.append(Failure("grants", f"more than {registry.MAX_GRANTS}"))
    for n, grant in enumerate(grants[: registry.MAX_GRANTS]):
        try:
            registry.resolved(rx, company, [str(grant)])
        except HomarusError as error:
            found.append(_said(f"grants[{n}]", error))
    return found


def _moved(row: registry.Capability, patch: dict[str, Any]) -> list[Failure]:
    """Whether it is another by now than the one that was looked at."""
    now = {"sha256": _hex(row), "version": row.version}
    pinned = [name for name in now if name in patch]
    if ("sha256" if row.kind == registry.SKILL else "version") not in pinned:
        return [
            Failure(
                "capability", f"this does not say which {row.id} was looked at; propose it again"
            )
        ]
    return [
        Failure(name, f"{row.id} has changed since this was proposed; read it again")
        for name in pinned
        if patch[name] != now[name]
    ]


def switch_grants(tx: Tx, change: Change) -> Any:
    before = registry.need(tx, tx.company, change.target)
    digest = change.patch.get("sha256")
    registry.set_grants(
        tx, change.target, change.patch["grants"],
        sha256=None if digest is None else bytes.fromhex(digest),
    )  # fmt: skip
    return {"grants": list(before.grants), "quarantined": before.quarantined}


def back_grants(tx: Tx, change: Change) -> None:
    """The earlier grants. Nothing leaves quarantine by it, and what was in quarantine is again."""
    kept = change.previous
    if isinstance(kept, list):  # switched by version 0.1.0 before grants were pinned
        kept = {"grants": kept, "quarantined": False}
    now = registry.need(tx, tx.company, change.target)
    registry.set_grants(
        tx, now.id, kept["grants"], quarantined=now.quarantined or kept["quarantined"]
    )


# -- pipelines ----------------------------------------------------------------------------


def _name(text: str) -> str:
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return ""
    name = value.get("id", value.get("name")) if isinstance(value, dict) else None
    return name if isinstance(name, str) else ""


def pipeline_target(patch: dict[str, Any]) -> str:
    return _name(str(patch["text"]))[:100]


def _path(change: Change) -> str:
    return f"{PIPELINES_FOLDER}/{change.target}.yaml"


def check_pipeline(rx: Rx, company: str, change: Change) -> list[Failure]:
    text = change.patch["text"]
    try:
        documents.check_text(text)
        if not change.target:
            return [Failure("text", "a pipeline is a YAML object with an `id`")]
        pipeline_text.parse(text, known=pipelining.known(rx, company))
    except Invalid as error:
        return [_said("text", error)]
    return []


def switch_pipeline(tx: Tx, change: Change) -> Any:
    before = documents.by_path(tx, tx.company, _path(change))
    _put_pipeline(tx, change, change.patch["text"])
    return None if before is None else before.content


def back_pipeline(tx: Tx, change: Change) -> None:
    if change.previous is None:
        raise Conflict(
            "change.first",
            f"{change.target} had no earlier version to go back to",
            "Propose a change that says what shall hold instead.",
        )
    _put_pipeline(tx, change, change.previous)


def _put_pipeline(tx: Tx, change: Change, text: str) -> None:
    pipelines.put(tx, text, pipelining.known(tx, tx.company))
    now = documents.by_path(tx, tx.company, _path(change), deleted=True)
    version = documents.FIRST_VERSION if now is None else _bump(now.version)
    documents.put(
        tx,
        documents.NewText(
            path=_path(change), content=text, cls=GOVERNED, version=version, change_no=change.no
        ),
    )


def _bump(version: str) -> str:
    first, _, last = version.rpartition(".")
    return f"{first}.{int(last) + 1}"


# -- what a person puts in place ----------------------------------------------------------


def check_config(rx: Rx, company: str, change: Change) -> list[Failure]:
    try:
        config.check_text(change.patch["text"])
    except Rejected as rejected:
        return [Failure(p.path or "text", p.line()) for p in rejected.problems]
    return []


def switch_config(tx: Tx, change: Change) -> Any:
    raise Conflict(
        "change.by_hand",
        "homarus.json is yours: this version does not write it",
        f"Copy the approved text (`homarus change show {change.number}`) into homarus.json; a "
        "running daemon takes it up, or says what waits for a restart.",
    )


def check_upgrade(rx: Rx, company: str, change: Change) -> list[Failure]:
    if not _VERSION.fullmatch(change.patch["version"]):
        return [Failure("version", "a version number, such as 0.2.0")]
    return []


def switch_upgrade(tx: Tx, change: Change) -> Any:
    """The record follows the fact: it is switched once the new version runs."""
    if change.patch["version"] != __version__:
        raise Conflict(
            "change.by_hand",
            f"version {__version__} runs, not {change.patch['version']}",
            "Install the new version, start the daemon with it, then switch again.",
        )
    tx.emit("upgraded", change.id, {"version": __version__})
    return None


def no_way_back(tx: Tx, change: Change) -> None:
    raise Conflict(
        "change.by_hand",
        f"a change of kind {change.kind} is taken back by a person",
        f"Its rollback plan says how: {change.rollback_plan[:500]}",
    )

"""The mistakes of a configuration that more than a line makes: what is said, what is advised."""

from typing import Final

import msgspec

from homarus.base.errors import CHANGE_TEXTS
from homarus.base.nearest import nearest
from homarus.config.problem import Place, Problem
from homarus.config.schema import BY_PATH, GOVERNED, UNUSED, Key, converted
from homarus.config.text import Kind, Member, Node

MAX_SHOWN: Final = 60


def _said(node: Node) -> str:
    if node.kind in (Kind.OBJECT, Kind.LIST, Kind.NULL):
        return f"this is {node.kind}"
    return f"{_written(node)} is {node.kind}"


def _written(node: Node) -> str:
    written = node.source.text[node.start : node.end]
    return f"{written[:MAX_SHOWN]}{'…' if len(written) > MAX_SHOWN else ''}"


def misfit(
    path: str, node: Node, expected: str, remedy: str, *, secret: bool = False, form: bool = False
) -> Problem:
    """`form`: that it is a text is not what is wrong."""
    what = _said(node)
    if secret:
        what = "its value does not fit"
    elif node.kind is Kind.NUMBER or (form and node.kind is Kind.STRING):
        what = f"{_written(node)} does not fit"
    return Problem(
        "settings.value", what, remedy or "Correct it.", place=node.place, path=path,
        expected=expected,
    )  # fmt: skip


def remedy(key: Key, node: Node) -> str:
    """What a person most likely meant."""
    text = node.value
    if node.kind is not Kind.STRING or key.secret:
        return ""
    if key.words:
        near = nearest(text, key.words)
        return f"Did you mean {near[0]}?" if near else ""
    listed = key.word.startswith("list")
    if key.form and not listed:
        return ""
    try:
        converted(key, text, strict=False)
    except msgspec.ValidationError:
        return ""
    return f'Write `["{text[:MAX_SHOWN]}"]`.' if listed else f"Write {text[:MAX_SHOWN]} unquoted."


def unknown(path: str, above: str, member: Member) -> Problem:
    start = f"{above}." if above else ""
    here = sorted(
        {p[len(start) :].split(".")[0] for p in (*BY_PATH, *UNUSED) if p.startswith(start)}
    )
    used = {p.rpartition(".")[2]: p for p in BY_PATH}
    others = {name: start + name for name in here}
    last = path.rpartition(".")[2]
    beside = {p.removeprefix(start): p for p in BY_PATH if p.rpartition(".")[0] == above}
    near = [beside[name] for name in nearest(last, beside)]
    near = near or [used[name] for name in nearest(last, used)]
    near = near or [others[name] for name in nearest(last, others)]
    known = f"Known here: {', '.join(here)}."
    return Problem(
        "settings.unknown", f"there is no setting {path[:80]!r}",
        f"Did you mean {' or '.join(near)}?" if near else known, place=member.place,
        path=path[:80], expected="a key of `homarus config explain`",
    )  # fmt: skip


def dotted(path: str, member: Member) -> Problem:
    nested = path.split(".")
    written = ": {".join(nested) + ": …" + "}" * (len(nested) - 1)
    return Problem(
        "settings.unknown", f"a key with dots, {path[:80]!r}", f"Nest it: `{written[:120]}`.",
        place=member.place, path=path[:80], expected="one object in another",
    )  # fmt: skip


def is_governed(path: str) -> bool:
    return path in GOVERNED or any(path.startswith(f"{name}.") for name in GOVERNED)


def governed(path: str, member: Member) -> Problem:
    return Problem(
        "settings.governed", f"{path[:80]} is governed: only an approved change sets it",
        f"Propose it: `homarus change new --setting {path[:80]}=VALUE {CHANGE_TEXTS}`, and remove "
        "it here.",
        place=member.place, path=path[:80], expected="only settings that are no rules",
    )  # fmt: skip


def clear(key: Key, node: Node) -> Problem:
    return Problem(
        "settings.secret", "a password stands here in clear",
        'Write `${NAME}` in its place and set NAME, or `{source: "file", id: "PATH"}` for the '
        "whole value.", place=node.place, path=key.path, expected="a reference to a secret",
    )  # fmt: skip


def twice(key: Key, member: Member, first: Place) -> Problem:
    return Problem(
        "settings.twice", f"it is set twice, under its former name too; first at {first}",
        f"Keep `{key.path}`.", place=member.place, path=key.path, expected="each key once",
    )  # fmt: skip

"""Changes of `homarus.json` by a program that edits its text: it never sees a secret.

    hidden(text)                 secrets replaced by HIDDEN
    concealed(value)             the same of a plain value
    restored(text, before)       what HIDDEN stands for put back
    merged(text, patch, whole)   a merge patch (RFC 7386) written into the text
    differences(before, after)   paths of what differs

What a patch does not touch keeps its comments and its place.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any, Final

from homarus.config import edit
from homarus.config.problem import Place, Problem
from homarus.config.schema import FILE
from homarus.config.secrets import Path, commented, comments, is_secret
from homarus.config.text import Kind, Node, Text, parse

HIDDEN: Final = "__OPENCLAW_REDACTED__"
"""The gateway's clients know it (gateway contract, 8)."""
_MARK: Final = json.dumps(HIDDEN)
MAX_STEPS: Final = 200
MAX_DIFFERENCES: Final = 500

Swap = tuple[int, int, str]
"""What stands from here to there becomes this."""
_GONE: Final = object()


def hidden(text: str) -> str:
    """Raises Problem where the text is no JSON5, or has a key twice: only one of them is read."""
    root, twice = parse(Text(FILE, text))
    if twice:
        raise twice[0]
    spans = [(node.start, node.end) for path, node in _texts(root) if is_secret(path, node.value)]
    return _replaced(text, [(*span, _MARK) for span in (*spans, *commented(text, root))])


def concealed(value: Any, path: Path = ()) -> Any:
    """A plain value without its secrets."""
    if isinstance(value, dict):
        return {name: concealed(each, (*path, name)) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [concealed(each, (*path, n)) for n, each in enumerate(value)]
    return HIDDEN if isinstance(value, str) and is_secret(path, value) else value


def restored(text: str, before: str) -> str:
    """`before`: the text in which it was hidden. Raises Problem, also for a mark that stands where
    nothing was hidden."""
    if HIDDEN not in text:
        return text
    marks = [(path, node) for path, node in _texts(_root(text)) if node.value == HIDDEN]
    kept = dict(_texts(_root(before))) if marks else {}
    swaps: list[Swap] = []
    for path, node in marks:
        if path not in kept:
            raise _no_counterpart(node.place, path)
        swaps.append((node.start, node.end, before[kept[path].start : kept[path].end]))
    return _replaced(text, [*swaps, *_comments(text, before)])


def _comments(text: str, before: str) -> Iterator[Swap]:
    """A comment with a mark is known by all that it says beside."""
    marked = [(start, end) for start, end in comments(text) if HIDDEN in text[start:end]]
    if not marked:
        return
    shown = hidden(before) if before.strip() else ""
    kept: dict[str, list[str]] = {}
    for (start, end), (first, last) in zip(comments(before), comments(shown), strict=True):
        kept.setdefault(shown[first:last], []).append(before[start:end])
    for start, end in marked:
        former = kept.get(text[start:end])
        if not former:
            raise _no_counterpart(Text(FILE, text).place(start), ())
        yield start, end, former.pop(0) if len(former) > 1 else former[0]


def _replaced(text: str, swaps: list[Swap]) -> str:
    for start, end, new in sorted(swaps, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def merged(text: str, patch: dict[str, Any], whole: Collection[str] = ()) -> str:
    """null removes; objects merge, and lists of objects with an `id` by it, but for the paths in
    `whole`, which are replaced. Raises Problem."""
    steps = []
    for step in _steps(plain(text), patch, (), whole):
        steps.append(step)
        if len(steps) > MAX_STEPS:
            raise Problem("settings.patch", f"the patch changes more than {MAX_STEPS} values",
                          "Send it in parts, or replace the whole file.")  # fmt: skip
    after = text
    for path, value in steps:
        after = edit.removed(after, path) if value is _GONE else edit.changed(after, path, value)
    return restored(after, text)


def plain(text: str) -> dict[str, Any]:
    """As JSON values; {} for no text. Raises Problem."""
    found: dict[str, Any] = _root(text).plain()
    return found


def differences(before: Any, after: Any, above: str = "") -> list[str]:
    """Dotted paths, at most MAX_DIFFERENCES; a list is one value."""
    if before is _GONE and isinstance(after, dict):
        return differences({}, after, above) or [above]
    if after is _GONE and isinstance(before, dict):
        return differences(before, {}, above) or [above]
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [] if _same(before, after) else [above]
    found: list[str] = []
    for name in dict.fromkeys((*before, *after)):
        here = f"{above}.{name}" if above else name
        found += differences(before.get(name, _GONE), after.get(name, _GONE), here)
    return found[:MAX_DIFFERENCES]


# -- texts -------------------------------------------------------------------------------------


def _root(text: str) -> Node:
    return parse(Text(FILE, text if text.strip() else "{}"))[0]


def _texts(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Every text of the document, in the order in which they stand."""
    if node.kind is Kind.OBJECT:
        for name, member in sorted(node.value.items(), key=lambda item: item[1].start):
            yield from _texts(member.node, (*path, name))
    elif node.kind is Kind.LIST:
        for n, item in enumerate(node.value):
            yield from _texts(item, (*path, n))
    elif node.kind is Kind.STRING:
        yield path, node


def _no_counterpart(place: Place, path: Path) -> Problem:
    return Problem(
        "settings.hidden", "it says that a value is hidden, and the file has none there",
        "Write the value, or better `${NAME}` of an environment variable.", place=place,
        path=".".join(map(str, path)),
    )  # fmt: skip


# -- patches -----------------------------------------------------------------------------------


def _steps(
    now: Any, patch: dict[str, Any], above: tuple[str, ...], whole: Collection[str]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    now = now if isinstance(now, dict) else {}
    for name, value in patch.items():
        path, old = (*above, name), now.get(name, _GONE)
        if value is None:
            if old is not _GONE:
                yield path, _GONE
        elif isinstance(value, dict) and isinstance(old, dict) and ".".join(path) not in whole:
            yield from _steps(old, value, path, whole)
        else:
            value = value if ".".join(path) in whole else _merged(old, value)
            if not _same(old, value) and not (value == HIDDEN and isinstance(old, str)):
                yield path, value


def _merged(old: Any, patch: Any) -> Any:
    """The plain value that a patch makes of a plain value."""
    if isinstance(patch, dict):
        found = dict(old) if isinstance(old, dict) else {}
        for name, value in patch.items():
            if value is None:
                found.pop(name, None)
            else:
                found[name] = _merged(found.get(name), value)
        return found
    if not (_has_ids(old) and _has_ids(patch)):
        return old if patch == HIDDEN and isinstance(old, str) else patch
    rows = {row["id"]: row for row in old}
    for row in patch:
        rows[row["id"]] = _merged(rows.get(row["id"]), row)
    return list(rows.values())


def _has_ids(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, dict) and isinstance(row.get("id"), str) for row in value
    )


def _same(a: Any, b: Any) -> bool:
    """As JSON: 1 is not true."""
    if a is _GONE or b is _GONE:
        return a is b
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)

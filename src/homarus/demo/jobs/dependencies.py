"""Dependencies: what the manifests of Python, Node, Rust and Go declare."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from homarus.demo.jobs._job import Result, count, main, show
from homarus.demo.jobs._walk import File, Walk

PROBLEM_CHARS_MAX = 200
Found = Iterator[tuple[str, str, str]]
"""(name, constraint, scope) of one dependency."""

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*([^;#]*)")
_GO_MODULE = re.compile(r"([^\s/()][^\s()]*)\s+(v[^\s/]+)\s*(//\s*indirect)?")


def requirement(text: str) -> tuple[str, str] | None:
    """Name and constraint of a requirement as pip writes it: `name[extra] >= 1 ; marker`."""
    match = _REQUIREMENT.match(text)
    return (match[1], match[2].strip().removeprefix("(").removesuffix(")")) if match else None


def pyproject(text: str) -> Found:
    content = tomllib.loads(text)
    project = _table(content, "project")
    groups: list[tuple[str, Any]] = [
        ("run", project.get("dependencies")),
        ("build", _table(content, "build-system").get("requires")),
        *(("extra " + at, named) for at, named in _table(project, "optional-dependencies").items()),
        *(("group " + at, named) for at, named in _table(content, "dependency-groups").items()),
    ]
    for scope, listed in groups:
        for each in listed if isinstance(listed, list) else []:
            if isinstance(each, str) and (parsed := requirement(each)):
                yield (*parsed, scope)
    poetry = _table(_table(content, "tool"), "poetry")
    yield from _versions(_table(poetry, "dependencies"), "run")
    for name, group in _table(poetry, "group").items():
        yield from _versions(_table(group, "dependencies"), "group " + name)


def requirements(text: str) -> Found:
    for line in text.replace("\\\n", " ").splitlines():
        bare = re.sub(r"(^|\s)#.*|\s--\S.*", "", line).strip()
        if bare and not bare.startswith("-") and (parsed := requirement(bare)):
            yield (*parsed, "run")


def package_json(text: str) -> Found:
    content = json.loads(text)
    for key, scope in (
        ("dependencies", "run"),
        ("devDependencies", "development"),
        ("peerDependencies", "peer"),
        ("optionalDependencies", "optional"),
    ):
        yield from _versions(_table(content, key), scope)


def cargo(text: str) -> Found:
    content = tomllib.loads(text)
    places = [content, *_table(content, "target").values()]
    for place in places:
        for key, scope in (
            ("dependencies", "run"),
            ("dev-dependencies", "development"),
            ("build-dependencies", "build"),
        ):
            yield from _versions(_table(place, key), scope)
    yield from _versions(_table(_table(content, "workspace"), "dependencies"), "workspace")


def go_mod(text: str) -> Found:
    within = False
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith("require"):
            bare = bare.removeprefix("require").strip()
            within = bare.startswith("(")
            bare = bare.removeprefix("(").strip()
        elif not within:
            continue
        if bare.startswith(")"):
            within = False
        elif match := _GO_MODULE.match(bare):
            yield match[1], match[2], "indirect" if match[3] else "run"


def manifest(file: File) -> tuple[str, Callable[[str], Found]] | None:
    """Ecosystem and reader of a manifest, by its name."""
    named = {
        "pyproject.toml": ("Python", pyproject),
        "package.json": ("Node", package_json),
        "Cargo.toml": ("Rust", cargo),
        "go.mod": ("Go", go_mod),
    }
    folder = file.path.rpartition("/")[0].rpartition("/")[2]
    if file.suffix in (".txt", ".in") and (
        file.name.startswith("requirements") or folder == "requirements"
    ):
        return "Python", requirements
    return named.get(file.name)


def work(root: Path) -> Result:
    walk = Walk(root)
    rows: list[dict[str, Any]] = []
    problems: list[dict[str, str]] = []
    manifests = 0
    for file in walk:
        known = manifest(file)
        text = walk.text(file) if known else None
        if known is None or text is None:
            continue
        manifests += 1
        ecosystem, read = known
        try:
            found = list(read(text))
        except (ValueError, RecursionError) as exc:
            said = (str(exc) or type(exc).__name__)[:PROBLEM_CHARS_MAX]
            problems.append({"path": show(file.path), "problem": said})
            continue
        rows += [
            {"ecosystem": ecosystem, "name": name, "constraint": wanted, "scope": scope}
            | {"path": show(file.path)}
            for name, wanted, scope in found
        ]
    rows.sort(key=lambda row: tuple(row.values()))
    distinct = {(row["ecosystem"], row["name"]) for row in rows}
    each = Counter(ecosystem for ecosystem, _ in distinct)
    summary = (
        f"{count(len(distinct), 'dependency', 'dependencies')} in {count(manifests, 'manifest')}"
    )
    if each:
        summary += ": " + ", ".join(f"{number} {name}" for name, number in sorted(each.items()))
    if problems:
        summary += f"; {count(len(problems), 'manifest')} could not be read"
    totals = {"declared": len(rows), "distinct": len(distinct), "manifests": manifests}
    return Result(summary, rows, totals, walk.skipped, {"problems": problems})


def _table(content: Any, key: str) -> dict[str, Any]:
    """The table `key`, or an empty one when there is none: manifests come as they are."""
    found = content.get(key) if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}


def _versions(table: dict[str, Any], scope: str) -> Found:
    """Of a table name -> version, or name -> {version: …}."""
    for name, wanted in table.items():
        version = wanted.get("version", "") if isinstance(wanted, dict) else wanted
        yield name, version if isinstance(version, str) else "", scope


if __name__ == "__main__":
    raise SystemExit(main("dependencies", work))

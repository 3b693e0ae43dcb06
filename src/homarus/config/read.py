"""From files, environment and flags to Settings, or to every mistake that is in them.

    read(Source(home, os.environ, {"port": 0})) -> Loaded          raises Rejected

Precedence, here and nowhere else: flag, then environment, then file, then default. The whole file
is checked, also what a flag or the environment overrides.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from homarus.base.node_commands import COMMANDS
from homarus.config import channels, files, mistakes
from homarus.config.include import Included, resolve
from homarus.config.problem import Place, Problem, Rejected
from homarus.config.schema import (
    BY_FIELD,
    BY_PATH,
    FILE,
    FORMER,
    GOVERNED,
    KEYS,
    UNUSED,
    Key,
    Settings,
    converted,
    is_loopback,
)
from homarus.config.text import Kind, Member, Node

MAX_PROBLEMS: Final = 50
Origins = Literal["flag", "environment", "file", "default"]

_NAMED: Final = re.compile(r"\$\$\{([A-Z_][A-Z0-9_]*)\}|\$\{([A-Z_][A-Z0-9_]*)\}")
_PASSWORD: Final = re.compile(r"(://[^:/@\s]*:)([^@\s]+)(@)|([?&](?:ssl)?password=)([^&\s]+)()")
_ORIGIN: Final = re.compile(
    r"[a-z][a-z0-9+.-]{0,40}://([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?"
)
_HOST: Final = re.compile(r"[A-Za-z0-9._:%-]{1,253}")
_BIND: Final = {"loopback": "127.0.0.1", "lan": "0.0.0.0"}  # noqa: S104  (only as it is asked for)
_NO_BIND: Final = ("auto", "tailnet", "custom")
_BRANCHES: Final = {
    path[:dot]
    for path in (*BY_PATH, *UNUSED, *GOVERNED)
    for dot in (n for n, char in enumerate(path) if char == ".")
}


class Source(msgspec.Struct, frozen=True):
    """Where settings come from. `flags`: by field of Settings; None is not given. `alone`: the
    text is checked without looking at anything beside it: what it refers to is left out.
    `elsewhere`: the daemon may have other variables: what refers to one that is not set here is
    left out, and counts as given."""

    home: Path
    environ: Mapping[str, str]
    flags: Mapping[str, Any] = {}
    alone: bool = False
    elsewhere: bool = False

    @property
    def path(self) -> Path:
        return self.home / FILE


class Origin(msgspec.Struct, frozen=True):
    """Where a value came from. `where`: `homarus.json:3:9`, `HOMARUS_PORT`, `--port`."""

    source: Origins = "default"
    where: str = ""


class Note(msgspec.Struct, frozen=True):
    """Something to tell that is no mistake."""

    place: Place
    path: str
    text: str


class Loaded(msgspec.Struct, frozen=True):
    """A configuration without mistakes. `origins` by the path of a key; `digest` of homarus.json,
    "" where there is none; `files`: all that were read, for whoever watches them; `kept`: they are
    not as they were then, and were no good the last time that they were read; `unset`: by the path
    of a key, variables that it refers to and that are not set here, where that is no mistake."""

    settings: Settings
    origins: dict[str, Origin]
    notes: tuple[Note, ...]
    files: tuple[Path, ...]
    digest: str
    source: Source
    kept: bool = False
    unset: dict[str, tuple[str, ...]] = {}


class _Elsewhere(Exception):
    """These variables are known where the daemon runs."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.names = names


def read(source: Source) -> Loaded:
    """Reads nothing but the files and what `source` holds. Raises Rejected with every mistake."""
    try:
        found = files.read(source.path, FILE)
    except Problem as problem:
        raise Rejected([problem]) from problem
    if found is None:
        return _read(source, None, "")
    return _read(source, found.text, found.digest)


def read_text(source: Source, text: str) -> Loaded:
    """As if this text were the file. Raises Rejected."""
    return _read(source, text, "")


def _read(source: Source, text: str | None, digest: str) -> Loaded:
    reading = _Reading(source)
    if text is not None:
        reading.file(text)
    reading.environment()
    reading.flags()
    reading.check()
    seen = (source.path, *reading.others)
    if reading.problems:
        raise Rejected(reading.problems[:MAX_PROBLEMS], seen)
    return Loaded(
        reading.settings(), reading.origins, tuple(reading.notes), seen, digest, source,
        unset=reading.unset,
    )  # fmt: skip


class _Reading:
    """One reading. Values are put in order of precedence, the least first."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.values: dict[str, Any] = {}
        self.origins: dict[str, Origin] = {}
        self.places: dict[str, Place] = {}
        self.problems: list[Problem] = []
        self.notes: list[Note] = []
        self.others: list[Path] = []
        self.unset: dict[str, tuple[str, ...]] = {}

    def settings(self) -> Settings:
        return Settings(home=self.source.home, **self.values)

    def put(self, key: Key, value: Any, origin: Origin, place: Place) -> None:
        self.values[key.field] = value
        self.origins[key.path] = origin
        self.places[key.path] = place

    def wrong(self, problem: Problem) -> None:
        self.problems.append(problem)

    # -- the file ------------------------------------------------------------------------------

    def file(self, text: str) -> None:
        try:
            included: Included = resolve(
                self.source.home, FILE, text, self.others, alone=self.source.alone
            )
        except Problem as problem:
            self.wrong(problem)
            return
        self.problems += included.problems
        seen: dict[str, Place] = {}
        for key, member in self.members(included.root.value, ""):
            if key.path in seen:
                self.wrong(mistakes.twice(key, member, seen[key.path]))
            seen[key.path] = member.place
            if self.source.alone and _refers(member.node):
                continue
            try:
                value = self.value(key, member.node)
            except Problem as problem:
                self.wrong(problem)
                continue
            except _Elsewhere as elsewhere:
                self.unset[key.path] = elsewhere.names
                continue
            self.put(key, value, Origin("file", str(member.place)), member.node.place)
            if key.shape:
                self.inside(key, value, member.node)

    def members(self, members: Mapping[str, Member], above: str) -> Iterator[tuple[Key, Member]]:
        """The keys that are known; mistakes and notes about the others."""
        for name, member in members.items():
            path = f"{above}.{name}" if above else name
            if mistakes.is_governed(path):
                self.wrong(mistakes.governed(path, member))
            elif "." in name:
                self.wrong(mistakes.dotted(path, member))
            elif path in BY_PATH:
                yield BY_PATH[path], member
            elif path in FORMER:
                key = FORMER[path]
                self.notes.append(Note(member.place, path, f"It is called `{key.path}` now."))
                yield key, member
            elif path in UNUSED:
                if UNUSED[path]:
                    said = f"It is not used by Homarus. {UNUSED[path]}"
                    self.notes.append(Note(member.place, path, said))
            elif path not in _BRANCHES:
                self.wrong(mistakes.unknown(path, above, member))
            elif member.node.kind is not Kind.OBJECT:
                self.wrong(mistakes.misfit(path, member.node, "an object", ""))
            else:
                yield from self.members(member.node.value, path)

    def inside(self, key: Key, value: Any, node: Node) -> None:
        """What is wrong with objects beyond their types, and what in them is not used."""
        for where, what, remedy in channels.check(key.path, value):
            self.wrong(
                Problem(
                    "settings.value", what, remedy, place=channels.at(node, where).place,
                    path=channels.dotted(key.path, where),
                )
            )  # fmt: skip
        if key.path == "channels":
            for path, found in channels.unused(node):
                self.notes.append(Note(found.place, path, "It is not used by Homarus."))

    def value(self, key: Key, node: Node) -> Any:
        """Raises Problem."""
        if key.shape:
            return self.fit(key, self.plain(key, node), node)
        if node.kind is Kind.OBJECT and key.secret:
            return self.fit(key, self.referred(key, node), node)
        if node.kind is Kind.STRING:
            if key.secret and (in_clear(node.value) or (key.whole and _is_plain(node.value))):
                raise mistakes.clear(key, node)
            return self.fit(key, self.substituted(key, node.value, node), node)
        if node.kind is Kind.LIST:
            return self.fit(key, [self.substituted(key, item, node) for item in node.plain()], node)
        return self.fit(key, node.value, node)

    def fit(self, key: Key, value: Any, node: Node) -> Any:
        try:
            return _fitted(key, value, strict=True)
        except msgspec.ValidationError as error:
            if key.shape:
                raise channels.misfit(key.path, node, key.type, error) from error
            bad = _first_misfit(key, node)
            raise mistakes.misfit(
                key.path, bad, key.expected if bad is node else key.form or "a text",
                mistakes.remedy(key, bad) if bad is node else "",
                secret=key.secret, form=bool(key.form),
            ) from error  # fmt: skip

    def plain(self, key: Key, node: Node) -> Any:
        """Objects as JSON values, with what their texts refer to. Raises Problem."""
        if node.kind is Kind.OBJECT:
            return {name: self.plain(key, found.node) for name, found in node.value.items()}
        if node.kind is Kind.LIST:
            return [self.plain(key, found) for found in node.value]
        return self.substituted(key, node.value, node)

    def substituted(self, key: Key, value: Any, node: Node) -> Any:
        if not isinstance(value, str) or "${" not in value:
            return value
        if self.source.elsewhere:
            names = dict.fromkeys(found[2] for found in _NAMED.finditer(value) if found[2])
            unset = [name for name in names if name not in self.source.environ]
            if unset:
                raise _Elsewhere(*unset)

        def replaced(match: re.Match[str]) -> str:
            escaped, name = match[1], match[2]
            if escaped is not None:
                return f"${{{escaped}}}"
            if name not in self.source.environ:
                raise Problem(
                    "settings.environment", f"the environment variable {name} is not set",
                    f"Set {name} where the daemon is started, or write `$${{{name}}}` for the "
                    "text itself.", place=node.place, path=key.path, expected=f"{name} to be set",
                )  # fmt: skip
            return self.source.environ[name]

        return _NAMED.sub(replaced, value)

    def referred(self, key: Key, node: Node) -> str:
        """The value of `{source, id}`. Raises Problem `settings.secret`."""
        reference = node.plain()
        where, id_ = reference.get("source"), reference.get("id")
        wanted = '`{source: "env", id: "NAME"}` or `{source: "file", id: "PATH"}`'
        odd = reference.keys() - {"source", "provider", "id"}
        if where not in ("env", "file") or not isinstance(id_, str) or not id_ or odd:
            raise Problem(
                "settings.secret", "this refers to no secret that can be read before the start",
                "Name an environment variable or a file.", place=node.place, path=key.path,
                expected=wanted,
            )  # fmt: skip
        if where == "env":
            if id_ not in self.source.environ and self.source.elsewhere:
                raise _Elsewhere(id_)
            if id_ not in self.source.environ:
                raise Problem(
                    "settings.environment", f"the environment variable {id_[:80]} is not set",
                    "Set it where the daemon is started.", place=node.place, path=key.path,
                )  # fmt: skip
            return self.source.environ[id_]
        path = self.source.home / Path(id_).expanduser()
        self.others.append(path)
        return files.read_secret(path, node.place, key.path)

    # -- environment and flags -----------------------------------------------------------------

    def environment(self) -> None:
        for key in KEYS:
            text = self.source.environ.get(key.env)
            if text:
                self.outside(key, text, Origin("environment", key.env))

    def flags(self) -> None:
        for name, value in self.source.flags.items():
            if value is not None:
                key = BY_FIELD[name]
                self.outside(key, value, Origin("flag", f"--{name.replace('_', '-')}"))

    def outside(self, key: Key, value: Any, origin: Origin) -> None:
        place = Place(origin.where)
        try:
            fitted = _fitted(key, value, strict=False)
        except (msgspec.ValidationError, msgspec.DecodeError):
            shown = "its value" if key.secret else repr(value)[: mistakes.MAX_SHOWN]
            self.wrong(
                Problem(
                    "settings.value", f"{shown} does not fit", "Correct it.", place=place,
                    path=key.path, expected=key.expected,
                )
            )  # fmt: skip
            return
        self.put(key, fitted, origin, place)

    # -- what one key alone does not say ---------------------------------------------------------

    def check(self) -> None:
        self.check_bind()
        self.check_auth()
        self.check_origins()
        self.check_nodes()

    def check_nodes(self) -> None:
        path = "gateway.nodes.commands.allow"
        place = self.places.get(path)
        for name in self.values.get("node_commands_allow", ()):
            if name not in COMMANDS and place is not None:
                text = f"Nodes are never asked for {name[:80]}, so it allows nothing."
                self.notes.append(Note(place, path, text))

    def check_origins(self) -> None:
        path = "gateway.controlUi.allowedOrigins"
        for origin in self.values.get("allowed_origins", ()):
            if not _ORIGIN.fullmatch(origin):
                what = "any page that somebody visits could then speak to the gateway" if (
                    origin == "*"
                ) else f"{origin[:80]!r} is no origin"  # fmt: skip
                self.wrong(
                    Problem(
                        "settings.origin", what,
                        "Name each: scheme, host and port in small letters, without a path.",
                        place=self.places.get(path), path=path,
                        expected="origins such as https://desk.example:8443",
                    )
                )  # fmt: skip

    def check_auth(self) -> None:
        """A mode, and what it needs."""
        mode = self.values.get("auth_mode", BY_FIELD["auth_mode"].default)
        wrong = {
            "password": (not self.given("auth_password") and not self.source.alone,
                         "there is no password", "Set `gateway.auth.password` first."),
            "trusted-proxy": (not self.given("trusted_proxies"), "no proxy is trusted",
                              "Name it in `gateway.trustedProxies` first."),
        }  # fmt: skip
        is_wrong, what, remedy = wrong.get(mode, (False, "", ""))
        if is_wrong:
            place = self.places.get("gateway.auth.mode")
            self.wrong(Problem("settings.auth", what, remedy, place=place,
                               path="gateway.auth.mode", expected="a mode that fits"))  # fmt: skip

    def given(self, field: str) -> bool:
        return bool(self.values.get(field)) or BY_FIELD[field].path in self.unset

    def check_bind(self) -> None:
        host = self.values.get("host", BY_FIELD["host"].default)
        if not is_loopback(host) and not self.values.get("allow_remote", False):
            self.wrong(
                Problem(
                    "settings.bind", f"{host} can be reached from other machines",
                    "Keep 127.0.0.1, or set `gateway.allowRemote` (HOMARUS_ALLOW_REMOTE) to true "
                    "when that is what you want.",
                    place=self.places.get("gateway.bind"), path="gateway.bind",
                    expected="an address of this machine alone",
                )
            )  # fmt: skip


def _fitted(key: Key, value: Any, *, strict: bool) -> Any:
    fitted = converted(key, value, strict=strict)
    if key.field == "trusted_proxies":
        for text in fitted:
            try:
                ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise msgspec.ValidationError("no address") from None
    if key.field != "host":
        return fitted
    host = _BIND.get(fitted, fitted)
    if host in _NO_BIND or not _HOST.fullmatch(host):
        raise msgspec.ValidationError("no address")
    return host


def _first_misfit(key: Key, node: Node) -> Node:
    """Where a list holds one that does not fit by itself, that one; else the value itself."""
    items: list[Node] = node.value if node.kind is Kind.LIST else []
    for found in items:
        try:
            _fitted(key, [found.plain()], strict=True)
        except msgspec.ValidationError:
            return found
    return node


def _refers(node: Node) -> bool:
    """Whether a value is known only where the daemon runs."""
    if node.kind is Kind.STRING:
        return _NAMED.search(node.value) is not None and not in_clear(node.value)
    return node.kind is Kind.OBJECT


def _is_plain(text: str) -> bool:
    """Whether a secret stands in the file itself."""
    return bool(text) and _NAMED.fullmatch(text) is None


def in_clear(text: str) -> bool:
    """Whether a URL holds a password that no variable stands for."""
    return any(_NAMED.fullmatch(found[2] or found[5]) is None for found in _PASSWORD.finditer(text))


def shown(key: Key, value: Any) -> Any:
    """A value as it may be printed: passwords blanked."""
    if key.whole and value:
        return "[redacted]"
    if key.secret and isinstance(value, str):
        return _PASSWORD.sub(lambda m: f"{m[1] or m[4]}[redacted]{m[3] or m[6] or ''}", value)
    return msgspec.to_builtins(value)

"""The closed schema of `homarus.json`: one table of keys, each with type, default and meaning.

    Settings      what the daemon reads, flat; each field names its key in the file
    KEYS          the table, made from it: docs, `homarus config explain` and validation read it
    UNUSED        keys of OpenClaw's file that are taken, with what to do instead
    GOVERNED      names that only an approved change sets

A key has OpenClaw's name where it means the same (gateway contract, 13). A new one is a field here,
and code that reads it.
"""

import ipaddress
import math
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec

from homarus.base.logs import LEVELS
from homarus.config import channels as shapes
from homarus.config.channels import Bindings, Channels, Links, QueueModes

FILE: Final = "homarus.json"
PREFIX: Final = "HOMARUS_"
DEFAULT_PORT: Final = 18_789
MAX_NAMES: Final = 200
LONGEST_S: Final = 86_400
SHORTEST_S: Final = 0.05

Applies = Literal["at once", "by a restart", "by hand"]
"""When an edit of the running daemon's file counts. `by hand`: when a person restarts it; the
daemon never does so by itself."""
HOT: Final[Applies] = "at once"
RESTART: Final[Applies] = "by a restart"
BY_HAND: Final[Applies] = "by hand"

AUTH_MODES: Final = ("token", "password", "trusted-proxy")
"""The original's fourth, `none`, is not one: being on this machine proves nothing (design, 5)."""
RELOAD_MODES: Final = ("hybrid", "hot", "restart", "off")


def _key(
    path: str, default: Any, text: str, applies: Applies, *, least: float | None = None,
    most: float | None = None, words: tuple[str, ...] = (), pattern: str = "", was: str = "",
    original: bool = False, secret: bool = False, whole: bool = False, shape: str = "",
    form: str = "",
) -> Any:  # fmt: skip
    """A field of Settings. `words`: the only values; `form`: what a text, or each of a list, must
    be, in words, where its type does not say it; `was`: the name that the file had before;
    `original`: OpenClaw calls it so too; `secret`: its value is never shown;
    `whole`: all of it is one, and not only a password in an address; `shape`: it is no plain
    value, but objects (`config/channels.py`): what they are, in words."""
    facts = {
        "path": path, "text": text, "applies": applies, "least": least, "most": most,
        "words": words, "pattern": pattern, "was": was, "original": original, "secret": secret,
        "whole": whole, "shape": shape, "form": form,
    }  # fmt: skip
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=facts)
    return field(default=default, metadata=facts)


def _period(path: str, default: float, text: str, was: str, applies: Applies = RESTART) -> Any:
    return _key(path, default, text, applies, least=SHORTEST_S, most=LONGEST_S, was=was)


def _limit(path: str, default: int, text: str, was: str, *, original: bool = False) -> Any:
    return _key(path, default, text, HOT, least=1, most=1_000_000, was=was, original=original)


@dataclass(frozen=True)
class Settings:
    """What the daemon reads, with defaults. Units are in the names."""

    home: Path
    host: str = _key(
        "gateway.bind", "127.0.0.1",
        "Address that the main port listens on; `loopback` and `lan` stand for 127.0.0.1 and "
        "0.0.0.0.", RESTART, was="host", original=True, form="`loopback`, `lan` or an address",
    )  # fmt: skip
    port: int = _key(
        "gateway.port", DEFAULT_PORT, "Main port; 0 takes a free one.", RESTART,
        least=0, most=65_535, was="port", original=True,
    )  # fmt: skip
    allow_remote: bool = _key(
        "gateway.allowRemote", False,
        "Permit an address that other machines reach. Every caller needs a token either way.",
        RESTART, was="allow_remote",
    )  # fmt: skip
    public_url: str = _key(
        "gateway.publicUrl", "",
        "Address that people and programs call, where a proxy stands before it; empty: as called.",
        RESTART, pattern=r"^(https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?)?$", was="public_url",
        form="http:// or https://, a name in small letters, a port; no path",
    )  # fmt: skip
    auth_mode: str = _key(
        "gateway.auth.mode", "token",
        "How clients of the gateway's socket are known. `token`: by an access token; `password`: "
        "by `gateway.auth.password` too; `trusted-proxy`: also by the name that a trusted proxy "
        "sends, which is that of an operator's token.",
        RESTART, words=AUTH_MODES, original=True,
    )  # fmt: skip
    auth_password: str = _key(
        "gateway.auth.password", "",
        "Stands for the gateway token, in mode `password`; at least 12 plain characters.", HOT,
        pattern=r"^(|[ -~]{12,256})$", secret=True, whole=True, original=True,
        form="12 to 256 plain characters",
    )  # fmt: skip
    auth_user_header: str = _key(
        "gateway.auth.trustedProxy.userHeader", "x-forwarded-user",
        "Header in which a trusted proxy sends who somebody is, in mode `trusted-proxy`.", HOT,
        pattern=r"^[A-Za-z0-9-]{1,64}$", original=True, form="at most 64 letters, digits and `-`",
    )  # fmt: skip
    trusted_proxies: tuple[str, ...] = _key(
        "gateway.trustedProxies", (),
        "Addresses and networks of proxies whose word on a client's address counts.", HOT,
        most=MAX_NAMES, original=True, form="an address or a network such as 10.0.0.0/8",
    )  # fmt: skip
    store: str = _key(
        "store", "sqlite", "`sqlite`, or the URL of a PostgreSQL database.", BY_HAND,
        pattern=r"^(sqlite$|postgres(ql)?://)", secret=True, form="`sqlite` or postgresql://…",
    )  # fmt: skip
    log_level: str = _key(
        "logging.level", "info", "Least level in the log file.", HOT,
        words=LEVELS, was="log_level", original=True,
    )  # fmt: skip
    drain_s: float = _period(
        "gateway.drainSeconds", 10.0, "At stop: longest wait for requests under way.", "drain_s",
        HOT,
    )  # fmt: skip
    anchor_s: float = _period(
        "maintenance.anchorSeconds", 600.0,
        "How often the last seal of each ledger is anchored.", "anchor_s",
    )  # fmt: skip
    lease_watch_s: float = _period(
        "maintenance.leaseWatchSeconds", 1.0, "How often expired leases are looked for.",
        "lease_watch_s",
    )  # fmt: skip
    session_watch_s: float = _period(
        "maintenance.sessionWatchSeconds", 15.0, "How often late sessions are looked for.",
        "session_watch_s",
    )  # fmt: skip
    document_watch_s: float = _period(
        "maintenance.documentWatchSeconds", 1.0,
        "How often files of the main space are looked at for changes.", "document_watch_s",
    )  # fmt: skip
    document_hash_s: float = _period(
        "maintenance.documentHashSeconds", 60.0, "How often they are compared by SHA-256.",
        "document_hash_s",
    )  # fmt: skip
    max_turns: int = _limit(
        "agents.defaults.maxConcurrent", 32,
        "Turns of agents that run at one time; more wait.", "max_turns", original=True,
    )  # fmt: skip
    max_task_turns: int = _key(
        "agents.defaults.maxTasks", 8,
        "Tasks of the queue that models work on at one time (`executor: llm`); 0: they take none, "
        "and only answer.", HOT, least=0, most=1_000_000,
    )  # fmt: skip
    http_tools_allow: tuple[str, ...] = _key(
        "gateway.tools.allow", (), "Tools that `POST /tools/invoke` offers beside its default.",
        HOT, most=MAX_NAMES, was="http_tools_allow", original=True,
    )  # fmt: skip
    http_tools_deny: tuple[str, ...] = _key(
        "gateway.tools.deny", (), "Tools that it does not offer; denying wins.",
        HOT, most=MAX_NAMES, was="http_tools_deny", original=True,
    )  # fmt: skip
    control_root: str = _key(
        "gateway.controlUi.root", "",
        "Folder of OpenClaw's control page (`dist/control-ui` of its npm package), which is then "
        "at `/control`; empty: there is none.", HOT, original=True,
    )  # fmt: skip
    max_connections: int = _limit(
        "gateway.maxConnections", 4_096, "Open connections; more are answered 503.",
        "max_connections",
    )  # fmt: skip
    max_sockets: int = _limit(
        "gateway.maxSockets", 1_000, "Open event sockets; more are answered 503.", "max_sockets"
    )
    bindings: Bindings = _key(  # noqa: RUF009
        "bindings", (),
        "Which agent answers what comes from where; the narrowest match wins, then the first.",
        HOT, original=True, shape="list of objects",
    )  # fmt: skip
    channels: Channels = _key(  # noqa: RUF009
        "channels", {},
        "Channels by id (`telegram`), each with `enabled`, `dmPolicy`, `allowFrom`, `groupPolicy`, "
        "`groups`, `accounts`, `defaultAccount`.",
        HOT, original=True, shape="object of objects",
    )  # fmt: skip
    session_scope: str = _key(
        "session.scope", "per-sender",
        "`global`: whoever speaks on whatever channel, an agent remembers it as one conversation.",
        HOT, words=shapes.SCOPES, original=True,
    )  # fmt: skip
    dm_scope: str = _key(
        "session.dmScope", "main",
        "What direct messages share: all of an agent's (`main`), those of a person, of a person on "
        "a channel, or on an account of it.",
        HOT, words=shapes.DM_SCOPES, original=True,
    )  # fmt: skip
    group_scope: str = _key(
        "session.groupScope", "per-group",
        "Whether each room is a session of its own, or part of the agent's own (`main`).",
        HOT, words=shapes.GROUP_SCOPES, original=True,
    )  # fmt: skip
    main_key: str = _key(
        "session.mainKey", "main", "Another name for an agent's own session.",
        HOT, pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", original=True,
        form="at most 64 small letters, digits, `_` and `-`",
    )  # fmt: skip
    identity_links: Links = _key(  # noqa: RUF009
        "session.identityLinks", {},
        "A person's name, and who that is on which channel: `{mia: [\"telegram:123\"]}`.",
        HOT, original=True, shape="object of lists",
    )  # fmt: skip
    queue_mode: str = _key(
        "messages.queue.mode", "followup",
        "What becomes of a person's message while a turn runs, unless the session says otherwise. "
        "`followup`: a turn of its own, afterwards; `collect`: all that wait are one turn; "
        "`steer`: the running turn hears it; `interrupt`: it ends that turn. Older words: "
        "`queue` is `followup`, `steer-backlog` is `steer`. OpenClaw's default is `steer`; here "
        "each message has an answer of its own, where it came from.",
        HOT, words=shapes.QUEUE_MODES, original=True,
    )  # fmt: skip
    queue_by_channel: QueueModes = _key(  # noqa: RUF009
        "messages.queue.byChannel", {},
        "The same for what comes by a channel: `{telegram: \"collect\"}`; `webchat` is the "
        "dashboard and the gateway's clients.",
        HOT, original=True, shape="object of texts",
    )  # fmt: skip
    allowed_origins: tuple[str, ...] = _key(
        "gateway.controlUi.allowedOrigins", (),
        "Origins of pages elsewhere that may open the gateway's WebSocket, such as "
        "`https://desk.example`; each in full, `*` is none.", HOT, most=MAX_NAMES, original=True,
    )  # fmt: skip
    node_commands_deny: tuple[str, ...] = _key(
        "gateway.nodes.commands.deny", (),
        "Commands that no node is asked for, whatever was approved of it.",
        HOT, most=MAX_NAMES, was="gateway.nodes.denyCommands", original=True,
    )  # fmt: skip
    node_commands_allow: tuple[str, ...] = _key(
        "gateway.nodes.commands.allow", (),
        "Commands that a node may be approved for. All that Homarus asks nodes for are, so that "
        "this adds none.",
        HOT, most=MAX_NAMES, was="gateway.nodes.allowCommands", original=True,
    )  # fmt: skip
    reload_mode: str = _key(
        "gateway.reload.mode", "hybrid",
        "What an edit of this file does. `hybrid`: counts at once, and restarts the daemon in "
        "place where it must; `hot`: never restarts, says what waits; `restart`: always restarts; "
        "`off`: nothing until SIGHUP, which then works as `hot`.",
        HOT, words=RELOAD_MODES, original=True,
    )  # fmt: skip
    reload_debounce_ms: int = _key(
        "gateway.reload.debounceMs", 300,
        "How long the file must have been left alone before it is read.",
        HOT, least=0, most=60_000, original=True,
    )  # fmt: skip

    def mode_for(self, channel: str = "") -> str:
        """Mode of the messages of a channel where their session has none."""
        word = self.queue_by_channel.get(channel, self.queue_mode)
        return shapes.OLDER_MODES.get(word, word)


class Key(msgspec.Struct, frozen=True):
    """A row of the table. `field`: of Settings, and in capitals after HOMARUS_ in the environment;
    `type`: what msgspec converts to."""

    path: str
    field: str
    type: Any
    default: Any
    text: str
    applies: Applies
    words: tuple[str, ...] = ()
    was: str = ""
    original: str = ""
    secret: bool = False
    whole: bool = False
    shape: str = ""
    form: str = ""

    @property
    def env(self) -> str:
        return PREFIX + self.field.upper()

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        if self.shape:
            return f"a {self.shape}"
        if _is_list(self.type) and self.form:
            return f"a list of at most {MAX_NAMES} texts, each {self.form}"
        return self.form or _expected(self.type)

    @property
    def word(self) -> str:
        """Its type in a word or two."""
        if self.shape:
            return self.shape
        if self.words:
            return "text"
        return "list of texts" if _is_list(self.type) else _WORDS[_bare(self.type)]


_WORDS: Final = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _is_list(kind: Any) -> bool:
    return get_origin(_bare(kind)) is tuple


def _annotated(kind: Any, facts: Any) -> Any:
    """The type with its bounds, for msgspec and its JSON Schema."""
    least, most = facts["least"], facts["most"]
    if facts["shape"]:
        return kind
    if facts["words"]:
        return Literal[facts["words"]]
    if _is_list(kind):
        name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
        return Annotated[tuple[name, ...], msgspec.Meta(max_length=most)]
    if facts["pattern"]:
        return Annotated[kind, msgspec.Meta(pattern=facts["pattern"])]
    return kind if least is None else Annotated[kind, msgspec.Meta(ge=least, le=most)]


def _expected(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if _is_list(kind):
        return f"a list of at most {MAX_NAMES} texts"
    bare = _bare(kind)
    word = {bool: "true or false"}.get(bare, f"a {_WORDS[bare]}")
    metas = [m for m in get_args(kind)[1:] if isinstance(m, msgspec.Meta)]
    for meta in metas:
        if meta.ge is not None:
            return f"{word} from {meta.ge:g} to {meta.le:g}"
    return word


def _keys() -> tuple[Key, ...]:
    found = []
    for f in fields(Settings):
        facts = f.metadata
        if not facts:
            continue
        default = {} if f.default is MISSING else f.default
        found.append(
            Key(
                facts["path"], f.name, _annotated(f.type, facts), default, facts["text"],
                facts["applies"], facts["words"], facts["was"],
                facts["path"] if facts["original"] else "", facts["secret"], facts["whole"],
                facts["shape"], facts["form"],
            )
        )  # fmt: skip
    return tuple(found)


KEYS: Final = _keys()
BY_PATH: Final = {key.path: key for key in KEYS}
BY_FIELD: Final = {key.field: key for key in KEYS}
FORMER: Final = {key.was: key for key in KEYS if key.was}

GOVERNED: Final = (
    "level", "routing.note_s", "routing.depth", "routing.tasks", "routing.messages",
    "preflight.s", "registry.floor", "gates.threshold", "approval.s", "reservation.s",
    "quota.calls_per_hour", "mirrors", "egress.hosts", "approval.webhook", "approval.approver",
    "approval.address",
    "role", "roles", "grants", "redlines",
)  # fmt: skip
"""The names of `kernel/settings.py` (a test compares them), and what else only a change sets."""

_ROWS: Final = "It is kept in the store:"
_MESSAGES: Final = "Messages go out as the agent wrote them."
UNUSED: Final[dict[str, str]] = {
    "$schema": "",
    "gateway.mode": "There is one mode.",
    "gateway.auth.token": "Tokens are made at the first start: `homarus token show`.",
    "gateway.auth.rateLimit": "Ten wrong secrets in a minute lock an address out for five.",
    "gateway.auth.allowTailscale": "It knows nobody by that.",
    "gateway.auth.trustedProxy.requiredHeaders": "One header says who it is.",
    "gateway.auth.trustedProxy.allowUsers": "Those who have a token: `homarus token create`.",
    "gateway.customBindHost": "Give the address as `gateway.bind`.",
    "gateway.tls": "Put a proxy before the daemon, and set `gateway.publicUrl`.",
    "gateway.tailscale": "Give the address as `gateway.bind`.",
    "gateway.http": "The endpoints are always there.",
    "gateway.remote": "Commands take --url and --token.",
    "gateway.controlUi.enabled": "It is there when `gateway.controlUi.root` is given.",
    "gateway.controlUi.basePath": "It is at `/control`.",
    "gateway.controlUi.dangerouslyAllowHostHeaderOriginFallback": "Name the origins: "
    "`gateway.controlUi.allowedOrigins`.",
    "gateway.controlUi.allowInsecureAuth": "It is not offered.",
    "gateway.controlUi.dangerouslyDisableDeviceAuth": "It is not offered.",
    "gateway.controlUi.embedSandbox": "The page embeds nothing of others.",
    "gateway.controlUi.allowExternalEmbedUrls": "The page embeds nothing of others.",
    "gateway.controlUi.automaticallyFetchFavicons": "The page embeds nothing of others.",
    "gateway.controlUi.chatMessageMaxWidth": "",
    "gateway.controlUi.environment": "",
    "gateway.controlUi.communityInvite": "",
    "gateway.controlUi.github": "It is not offered.",
    "gateway.nodes.browser": "Nodes are not asked to browse.",
    "gateway.nodes.pairing": "An owner approves each: `homarus node approve`.",
    "gateway.roles": "Roles of tokens: `homarus token`.",
    "agents.list": f"{_ROWS} `homarus agent`.",
    "agents.entries": f"{_ROWS} `homarus agent`.",
    "agents.defaults.workspace": "Each agent has its own, in the home.",
    "agents.defaults.model": f"{_ROWS} `homarus model`, `homarus agent`.",
    "agents.defaults.models": f"{_ROWS} `homarus model`.",
    "agents.defaults.thinkingDefault": "It has no default to change.",
    "agents.defaults.timeoutSeconds": "A turn may last an hour.",
    "agents.defaults.heartbeat": f"{_ROWS} `homarus heartbeat`.",
    "agents.defaults.compaction": "It has no settings.",
    "agents.defaults.sandbox": "Every command runs in the sandbox that the machine has.",
    "session.reset": f"{_ROWS} `homarus session policy`.",
    "session.resetByType": f"{_ROWS} `homarus session policy`.",
    "session.resetByChannel": f"{_ROWS} `homarus session policy`.",
    "session.store": "Sessions are in the store.",
    "session.maintenance": "Sessions are in the store.",
    "messages.queue.debounceMs": "A turn begins at once.",
    "messages.queue.debounceMsByChannel": "A turn begins at once.",
    "messages.queue.cap": "Fifty messages wait in a session at most.",
    "messages.queue.drop": "A message too many is refused, none is dropped.",
    "messages.inbound": "A turn begins at once.",
    "messages.messagePrefix": _MESSAGES,
    "messages.responsePrefix": _MESSAGES,
    "messages.groupChat": "Rooms are heard as `channels` says.",
    "messages.ackReaction": _MESSAGES,
    "messages.ackReactionScope": _MESSAGES,
    "messages.removeAckAfterReply": _MESSAGES,
    "messages.statusReactions": _MESSAGES,
    "messages.suppressToolErrors": _MESSAGES,
    "messages.usageTemplate": _MESSAGES,
    "messages.responseUsage": _MESSAGES,
    "messages.visibleReplies": _MESSAGES,
    "messages.tts": "Nothing is spoken.",
    "models": f"{_ROWS} `homarus model`.",
    "tools": f"{_ROWS} grants of `homarus capability`. Nothing is allowed or denied by this.",
    "cron": f"{_ROWS} `homarus cron`.",
    "hooks": "There are no hooks.",
    "skills": f"{_ROWS} `homarus capability`.",
    "plugins": "There are no plugins.",
    "logging.file": "Logs are in `logs/` of the home.",
    "logging.consoleLevel": "Warnings go to the terminal.",
    "commands": "It has no settings.",
    "update": "The daemon does not update itself.",
    "env": "Set them where the daemon is started.",
    "discovery": "There is none.",
    "ui": "It has no settings.",
}
"""Key of OpenClaw's file, with all that is below it -> what stands in its place."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def converted(key: Key, value: Any, *, strict: bool) -> Any:
    """A plain value as the key's type; `strict`: no number in a text. Raises ValidationError, whose
    text may hold the value's type and bounds, never the value."""
    if key.shape:
        plain = msgspec.json.decode(value) if isinstance(value, str) and not strict else value
        return msgspec.convert(plain, key.type, strict=strict)
    if _is_list(key.type) and isinstance(value, str) and not strict:
        value = [name.strip() for name in value.split(",") if name.strip()]
    if _bare(key.type) is float and isinstance(value, float) and not math.isfinite(value):
        raise msgspec.ValidationError("no number that counts anything")
    if _bare(key.type) is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of number
    return msgspec.convert(value, key.type, strict=strict)


def json_schema() -> dict[str, Any]:
    """The whole file as JSON Schema (2020-12), for editors and `config.schema`."""
    root = _branch()
    types, parts = msgspec.json.schema_components(
        [key.type for key in KEYS], ref_template="#/$defs/{name}"
    )
    for key, here in zip(KEYS, types, strict=True):
        about = {"description": key.text, "default": msgspec.to_builtins(key.default)}
        if key.secret:
            here = {"anyOf": [here, _REFERENCE]}
        _place(root, key.path, about | here)
    for path, instead in UNUSED.items():
        said = f"Not used by Homarus. {instead}".strip()
        _place(root, path, {"description": said, "deprecated": True})
    root["properties"]["$schema"] = {"type": "string"}
    root["properties"]["$include"] = {"type": ["string", "array"], "items": {"type": "string"}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": parts}


_REFERENCE: Final = {
    "type": "object",
    "properties": {"source": {"enum": ["env", "file"]}, "provider": {}, "id": {"type": "string"}},
    "required": ["source", "id"],
    "additionalProperties": False,
}


def _branch() -> dict[str, Any]:
    return {"type": "object", "properties": {}, "additionalProperties": False}


def _place(root: dict[str, Any], path: str, leaf: dict[str, Any]) -> None:
    *above, last = path.split(".")
    for name in above:
        root = root["properties"].setdefault(name, _branch())
    root["properties"][last] = leaf

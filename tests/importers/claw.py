"""A state directory of OpenClaw, made by hand in its documented form (gateway contract, 12)."""

import json
from pathlib import Path
from typing import Any

KEY = "sk-live-0123456789abcdef"
MAIN = "3f2b6c1e-0000-4000-8000-000000000001"
GROUP = "3f2b6c1e-0000-4000-8000-000000000002"
AT = "2026-03-01T10:00:00.000Z"
AT_MS = 1_772_359_200_000
USED_MS = AT_MS + 3_600_000


class Claw:
    """`generation`: R3 has `agents.list[]`, R4 `agents.entries{}`."""

    def __init__(self, root: Path, generation: str = "R3") -> None:
        self.root = root
        self.generation = generation
        self.version = 3 if generation == "R3" else 4
        root.mkdir(parents=True)

    def write(self, path: str, content: str | bytes) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def config(self, *agents: dict[str, Any], **more: Any) -> None:
        """JSON5, as people keep it: with a comment and a trailing comma."""
        defaults = {"model": {"primary": "anthropic/claude-sonnet-4"}}
        if self.generation == "R3":
            part: dict[str, Any] = {"defaults": defaults, "list": list(agents)}
        else:
            entries = {row["id"]: {k: v for k, v in row.items() if k != "id"} for row in agents}
            part = {"defaults": defaults, "entries": entries}
        text = json.dumps({"agents": part, "gateway": {"mode": "local"}} | more)
        self.write("openclaw.json", "// mine\n" + text[:-1] + ",}\n")

    def index(self, agent: str, **sessions: dict[str, Any]) -> None:
        """Keys with `__` for `:`."""
        rows = {key.replace("__", ":"): row for key, row in sessions.items()}
        self.write(f"agents/{agent}/sessions/sessions.json", json.dumps(rows))

    def transcript(self, agent: str, session: str, lines: list[Any], end: str = "\n") -> Path:
        """A header, then each line; dicts get the type's usual fields, texts stand as they are."""
        header = {"type": "session", "version": self.version, "id": session, "timestamp": AT}
        texts = [line if isinstance(line, str) else json.dumps(line) for line in (header, *lines)]
        return self.write(f"agents/{agent}/sessions/{session}.jsonl", "\n".join(texts) + end)


def chain(*lines: dict[str, Any]) -> list[dict[str, Any]]:
    """Lines with ids, each the child of the one before."""
    return [
        {"id": f"{n:08x}", "parentId": None if n == 1 else f"{n - 1:08x}", "timestamp": AT} | line
        for n, line in enumerate(lines, 1)
    ]


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "message": {"role": "user", "content": text}}


def answer(text: str, *more: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "text", "text": text}, *more]
    return {"type": "message", "message": {"role": "assistant", "content": content}}


def call(id: str, name: str) -> dict[str, Any]:
    return {"type": "toolCall", "id": id, "name": name, "arguments": {"path": "x"}}


def result(id: str, name: str, text: str) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    message = {"role": "toolResult", "toolCallId": id, "toolName": name, "content": content,
               "isError": False}  # fmt: skip
    return {"type": "message", "message": message}


def talk() -> list[dict[str, Any]]:
    """A first turn as it is usually written, with a tool."""
    return chain(
        {"type": "model_change", "provider": "anthropic", "modelId": "claude-sonnet-4"},
        {"type": "thinking_level_change", "thinkingLevel": "low"},
        {"type": "custom", "customType": "model-snapshot", "data": {"x": 1}},
        user("The boat is called Petrel."),
        answer("Noted.", call("t1", "read")),
        result("t1", "read", "a file"),
        answer("Petrel it is."),
    )


def furnished(root: Path, generation: str = "R3") -> Claw:
    """Two agents, two sessions, a workspace, credentials, parts that are not taken."""
    claw = Claw(root, generation)
    claw.config(
        {"id": "main", "default": True},
        {"id": "scout", "model": "openrouter/qwen/qwen3"},
        models={"providers": {"anthropic": {"apiKey": KEY, "baseUrl": "https://api.anthropic.com",
                                            "api": "anthropic-messages"}}},
        channels={"telegram": {"botToken": "12345:abcdefghijk"}},
        bindings=[{"agentId": "scout", "match": {"channel": "telegram"}}],
    )  # fmt: skip
    claw.index(
        "main",
        agent__main__main={"sessionId": MAIN, "updatedAt": USED_MS, "label": "Desk",
                           "inputTokens": 70, "thinkingLevel": "low"},
        agent__main__telegram__group__7={"sessionId": GROUP, "updatedAt": USED_MS,
                                         "chatType": "group"},
    )  # fmt: skip
    claw.transcript("main", MAIN, talk())
    claw.transcript("main", GROUP, chain(user("hello all"), answer("hello")))
    claw.write("workspace/SOUL.md", "You are kind.\n")
    claw.write("workspace/memory/2026-03-01.md", "We sailed.\n")
    claw.write("agents/main/agent/auth-profiles.json", json.dumps(
        {"profiles": {"anthropic:default": {"type": "api_key", "key": KEY}}}))  # fmt: skip
    return claw

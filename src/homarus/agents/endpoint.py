"""Where requests to a model go: dialect, base URL, key."""

import ipaddress
from enum import StrEnum
from urllib.parse import urlsplit


class Dialect(StrEnum):
    CHAT = "openai"  # chat completions
    RESPONSES = "openai-responses"
    ANTHROPIC = "anthropic"  # messages


class Endpoint:
    """Where requests go. `base_url` as the dialect's own clients take it; `key` None: none is sent.

    Its text never holds the key.
    """

    __slots__ = ("base_url", "dialect", "key")

    def __init__(self, dialect: Dialect, base_url: str, key: str | None = None) -> None:
        self.dialect = dialect
        self.base_url = base_url.rstrip("/")
        self.key = key

    def __repr__(self) -> str:
        return f"Endpoint({self.dialect.value}, {self.base_url}, key={self.key is not None})"

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc

    @property
    def is_loopback(self) -> bool:
        name = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost"

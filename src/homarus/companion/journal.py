"""The bridge's journal, seen from outside (contract, 13.1): an empty one, and how fresh it is."""

import json
import time
from typing import Any, Final

from homarus.base.clock import iso_ms
from homarus.companion.config import ReconnectPolicy

VERSION: Final = 1
FRESH_S: Final = 600


def empty(policy: ReconnectPolicy) -> bytes:
    """A journal that no bridge has written to yet."""
    now = now_iso()
    value: dict[str, Any] = {
        "version": VERSION,
        "createdAt": now,
        "updatedAt": now,
        "backoffSec": policy.base_delay_ms / 1000,
        "backoffMs": policy.base_delay_ms,
        "reconnectAttempt": 0,
        "lastSeenAt": None,
        "lastSyncAt": None,
        "lastRuntimeId": None,
        "lastSessionId": None,
        "lastAgentId": None,
        "recentMessageIds": [],
        "recentTaskFingerprints": [],
        "pendingOperationIds": [],
    }
    return (json.dumps(value, indent=2) + "\n").encode()


def now_iso() -> str:
    return iso_ms(time.time_ns() // 1_000_000)

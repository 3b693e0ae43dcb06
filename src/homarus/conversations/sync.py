"""What a client has not seen yet (control-plane contract, 8.1; weak spots 18.13 fixed)."""

from typing import Final

import msgspec

from homarus.conversations import sql
from homarus.conversations.model import Message, SenderType
from homarus.store.port import Rx

MAX_SYNC: Final = 100


class Changes(msgspec.Struct, frozen=True):
    """Oldest first. `next_seq` is the cursor to go on with; `more`: at once, for there is more."""

    messages: list[Message]
    next_seq: int
    more: bool


def changes(
    rx: Rx,
    company: str,
    *,
    since_seq: int | None,
    since_ms: int | None,
    senders: tuple[SenderType, ...],
    agent: str | None,
) -> Changes:
    """The oldest 100 after the cursor: nothing is ever skipped. Without one, the newest 100.

    `senders` empty means all. With `agent`: not its own messages, only the team's conversation and
    those it takes part in, and there only what came after its own last word.
    """
    head, _ = sql.newest(rx, company)
    fresh = since_seq is None and since_ms is None
    if since_seq is None:
        since_seq = 0 if since_ms is None else sql.seq_at(rx, company, since_ms)
    found = sql.after(
        rx,
        company,
        seq=since_seq,
        limit=MAX_SYNC if fresh else MAX_SYNC + 1,
        senders=senders,
        agent=agent,
        newest_first=fresh,
    )
    more = len(found) > MAX_SYNC
    found = found[:MAX_SYNC]
    return Changes(found, found[-1].seq if more else max(head, since_seq), more)

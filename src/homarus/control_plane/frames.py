"""Frames: what an event looks like on the socket (control-plane contract, 9).

Each surface module registers functions by event kind in a FrameTable; `table.py` merges them. An
event without an entry makes no frame. A function gets plain data and reads; it may say nothing.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from homarus.store.port import Event, Rx

Frame = dict[str, Any]
FrameTable = dict[str, Callable[[Rx, str, Event], list[Frame]]]

_encode = msgspec.json.Encoder(enc_hook=str).encode


def render(frames: list[Frame], seq: int) -> list[str]:
    """The texts of one event's frames: flat, plus `payload` with the same fields, plus `seq`.

    Flat is what bridges read, `payload` what the native plugin reads. `seq` is where to resume
    (`?since_seq=`) after this frame: the event's own number on its last frame, one less on those
    before, so that a client cut between them gets all of them again.
    """
    last = len(frames) - 1
    return [
        _encode({**frame, "seq": seq if i == last else seq - 1, "payload": frame}).decode()
        for i, frame in enumerate(frames)
    ]


def of(table: FrameTable, rx: Rx, company: str, event: Event) -> list[str]:
    """The frame texts of one event of `company`."""
    make = table.get(event.kind)
    return [] if make is None else render(make(rx, company, event), event.seq)

"""Frames of STOP: whoever runs work for the company elsewhere hears of it at once.

Clients of the original pass over frame types that they do not know (control-plane contract, 9).
"""

from typing import Final

from homarus.control_plane.frames import Frame, FrameTable
from homarus.store.port import Event, Rx


def _stop(rx: Rx, company: str, event: Event) -> list[Frame]:
    return [{"type": event.kind, "stop": {"id": event.subject, **event.data}}]


FRAMES: Final[FrameTable] = {"stop_set": _stop, "stop_lifted": _stop}

"""Names and ids on the wire, in the letters that every provider takes."""

import re
from collections.abc import Sequence

from homarus.agents import port


class Names:
    """Names of tools on the wire: providers take letters, digits, `_` and `-`, 64 of them."""

    def __init__(self, tools: Sequence[port.ToolSpec]) -> None:
        self._wire: dict[str, str] = {}
        self._ours: dict[str, str] = {}
        for tool in tools:
            self.wire(tool.name)

    def wire(self, name: str) -> str:
        found = self._wire.get(name)
        if found is None:
            plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:60] or "_"
            found = plain
            for n in range(2, len(self._ours) + 3):
                if found not in self._ours:
                    break
                found = f"{plain}_{n}"
            self._wire[name] = found
            self._ours[found] = name
        return found

    def ours(self, name: str) -> str:
        """What a model named; a name that nobody offered stays as it is."""
        return self._ours.get(name, name)


def reference(ref: str) -> str:
    """An id of a call as every provider takes it, also when another one made it."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", ref) or "_"

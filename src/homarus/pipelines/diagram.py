"""A pipeline's steps as a Mermaid flowchart, for pages that draw it. Pure."""

from collections.abc import Sequence
from typing import Final

MAX_LABEL: Final = 80
_ESCAPES: Final = str.maketrans(
    {'"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "#": "#35;", "`": "#96;"}
)
"""Mermaid's own entities: no text of a client closes a label or becomes markup."""


def label(text: str) -> str:
    """One line, bounded, safe between the quotes of a node."""
    line = " ".join(text.split())
    if len(line) > MAX_LABEL:
        line = line[: MAX_LABEL - 1] + "…"
    return line.translate(_ESCAPES) or "?"


def flowchart(trigger: str, steps: Sequence[tuple[str, str, str]]) -> str:
    """`steps`: (name, who does it, what has to pass before it; "" for none), in order."""
    lines = ["flowchart TD", f'  trigger(["{label(trigger)}"])']
    last = "trigger"
    for n, (name, who, gate) in enumerate(steps, 1):
        if gate:
            lines += [f'  gate{n}{{"{label(gate)}"}}', f"  {last} --> gate{n}"]
            last = f"gate{n}"
        text = label(name) + (f"<br/>{label(who)}" if who else "")
        lines += [f'  step{n}["{text}"]', f"  {last} --> step{n}"]
        last = f"step{n}"
    return "\n".join(lines) + "\n"

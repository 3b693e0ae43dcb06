"""Profiles as lines."""

import cProfile
import io
import pstats
from pathlib import Path


def top_functions(profiler: cProfile.Profile | str, top: int) -> list[str]:
    """The functions with most time of their own, as lines. A text names a file of statistics."""
    stats = pstats.Stats(profiler, stream=io.StringIO())
    idle = ("runners.py", "select", "poll")
    rows = [
        (own, calls, f"{Path(file).name}:{line}({name})" if line else name)
        for (file, line, name), (_, calls, own, _, _) in stats.stats.items()  # type: ignore
        if not any(word in f"{file}{name}" for word in idle)
    ]
    whole = sum(own for own, _, _ in rows)
    return [
        f"{100 * own / whole:4.1f} %  {calls:8d} calls  {name}"
        for own, calls, name in sorted(rows, reverse=True)[:top]
    ]

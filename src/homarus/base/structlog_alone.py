"""structlog without rich.

structlog draws traces with rich when it finds it: 0.1 s of every start, 5 MB, and traces that print
the values of local variables. The daemon wants none of that. `homarus.service` imports this before
any module imports structlog; where rich was loaded already (command line, tests) nothing changes.
"""

import sys

if "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog
    finally:
        del sys.modules["rich"]
else:
    import structlog

__all__ = ["structlog"]

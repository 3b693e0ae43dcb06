"""Texts on their way into a request: cut to their bound, and marked where they are data."""

import html
import re
from typing import Final

MAX_SOURCE: Final = 200
_MARK: Final = re.compile(r"<(?=\s*/?\s*untrusted)", re.IGNORECASE)
_CUT: Final = "\n[… cut]"


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + _CUT


def untrusted(source: str, text: str) -> str:
    """Data between marks that neither it nor the name of its source (a file's, say) can close."""
    name = html.escape(" ".join(source.split())[:MAX_SOURCE])
    inner = _MARK.sub(r"<\\", text)
    return f'<untrusted from="{name}">\n{inner}\n</untrusted>'

"""The text of a web page, by the standard library's parser. Pure; bounded by what it is given."""

import re
from html.parser import HTMLParser
from typing import Final

_SKIPPED: Final = frozenset(
    {"script", "style", "noscript", "template", "svg", "math", "iframe", "object", "head"}
)
_BLOCKS: Final = frozenset(
    {"p", "div", "section", "article", "header", "footer", "main", "nav", "aside", "ul", "ol",
     "table", "tr", "blockquote", "pre", "form", "figure", "hr", "br", "h1", "h2", "h3", "h4", "h5",
     "h6", "li", "dt", "dd"}
)  # fmt: skip
_VOID: Final = frozenset({"br", "hr", "img", "input", "meta", "link", "wbr", "source", "area",
                          "base", "col", "embed", "track", "param"})  # fmt: skip
MAX_LINKS: Final = 100
MAX_HREF: Final = 500


class _Reader(HTMLParser):
    """What a person would see, roughly: text by blocks, headings marked, links by their number."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.parts: list[str] = []
        self.links: list[str] = []
        self._skip: list[str] = []
        self._title = False
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title" and self._skip == ["head"]:
            self._title = True
        if self._skip or tag in _SKIPPED:
            if tag in _SKIPPED and tag not in _VOID:
                self._skip.append(tag)
            return
        given = {name: value or "" for name, value in attrs}
        if self._hidden or "hidden" in given or _invisible(given.get("style", "")):
            if tag not in _VOID:
                self._hidden.append(tag)
            return
        if tag in _BLOCKS:
            self.parts.append("\n")
        if re.fullmatch(r"h[1-6]", tag):
            self.parts.append("#" * int(tag[1]) + " ")
        if tag == "li":
            self.parts.append("- ")
        if tag == "img" and given.get("alt"):
            self.parts.append(f"[image: {given['alt'][:200]}]")
        if tag == "a" and given.get("href") and len(self.links) < MAX_LINKS:
            self.links.append(given["href"][:MAX_HREF])
            self.parts.append(f"[{len(self.links)}]")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._title = False
        for open_ in (self._skip, self._hidden):
            if tag in open_:
                del open_[len(open_) - 1 - open_[::-1].index(tag) :]
                return
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._title:
            self.title += data
        if not self._skip and not self._hidden:
            self.parts.append(data)


def _invisible(style: str) -> bool:
    return re.search(r"display\s*:\s*none|visibility\s*:\s*hidden", style.lower()) is not None


def text_of(html: str) -> tuple[str, str, list[str]]:
    """`(title, text, links)`: blank lines folded, scripts, styles and hidden parts left out."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = [" ".join(line.split()) for line in "".join(reader.parts).split("\n")]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return " ".join(reader.title.split())[:300], text, reader.links

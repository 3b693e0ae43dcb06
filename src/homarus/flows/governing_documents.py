"""Governed documents under change: check, put in force, take back."""

import json
from functools import lru_cache
from typing import Any, Final

from homarus.base import marked
from homarus.base.errors import HomarusError
from homarus.changes.model import Change, Failure
from homarus.changes.rules import next_version
from homarus.kernel import declared
from homarus.kernel.documents import (
    AGENTS_FILE,
    CAPABILITIES_FILE,
    GOVERNED,
    PIPELINES_FOLDER,
    check_path,
)
from homarus.records import documents
from homarus.records.documents import Document, NewText
from homarus.store.port import Rx, Tx

MAX_KEPT: Final = 8
MARK_BEGIN: Final = "<!-- homarus: generated, do not edit below -->"
MARK_END: Final = "<!-- homarus: end of the generated part -->"
"""What stands between them in AGENTS.md comes from the company's records."""


def pin(rx: Rx, company: str, path: str) -> dict[str, Any]:
    now = documents.by_path(rx, company, path)
    return {"base": None if now is None else now.sha256}


def check(rx: Rx, company: str, change: Change) -> list[Failure]:
    patch = change.patch
    path: str = patch["path"]
    found = _place(path)
    now = documents.by_path(rx, company, path)
    if ("content" in patch) == bool(patch.get("delete")):
        found.append(Failure("content", patch.get("note") or "give `content`, or `delete: true`"))
    if patch.get("delete") and now is None:
        found.append(Failure("path", "there is no such document to delete"))
    if patch.get("delete") and path in (AGENTS_FILE, CAPABILITIES_FILE):
        found.append(Failure("delete", f"a company keeps its {path}"))
    if patch.get("state", "Final") not in documents.STATES:
        found.append(Failure("state", f"one of {list(documents.STATES)}"))
    base = patch.get("base")
    if "base" in patch and base != (None if now is None else now.sha256):
        found.append(Failure("base", "the document has changed since this was written"))
    if isinstance(patch.get("content"), str):
        found += _content(rx, company, path, patch["content"])
    return found


def _place(path: str) -> list[Failure]:
    try:
        check_path(path)
    except HomarusError as error:
        return [Failure("path", error.message)]
    if path.casefold().startswith(f"{PIPELINES_FOLDER}/"):
        return [Failure("path", "a pipeline is changed by a change of kind `pipeline`")]
    return []


def _content(rx: Rx, company: str, path: str, content: str) -> list[Failure]:
    try:
        documents.check_text(content)
    except HomarusError as error:
        return [Failure("content", error.message)]
    if path == AGENTS_FILE and (MARK_BEGIN in content or MARK_END in content):
        return [Failure("content", "the generated part is no part of the governed text")]
    if path == CAPABILITIES_FILE:
        found = declared.problems(rx, company, content)[: declared.MAX_PROBLEMS]
        return [Failure(f"content:{p.line}:{p.column}", p.told(path)) for p in found]
    wrong = well_formed(path, content)
    return [Failure("content", wrong)] if wrong else []


@lru_cache(maxsize=MAX_KEPT)
def well_formed(path: str, content: str) -> str:
    """What is wrong with the form of a YAML or JSON text; empty when nothing is. Pure, and kept:
    a unit has no time to read a long text, so surfaces call `prepare` before."""
    try:
        if path.endswith((".yaml", ".yml")):
            marked.read(content)
        elif path.endswith(".json"):
            json.loads(content)
    except marked.Unreadable as error:
        return error.problem.told(path)
    except (ValueError, RecursionError) as error:
        return " ".join(str(error).split())[:300]
    return ""


def prepare(change: Change) -> None:
    """Read the texts that a unit of this change will need read."""
    path = str(change.patch.get("path"))
    kept = change.previous if isinstance(change.previous, dict) else {}
    for text in (change.patch.get("content"), kept.get("content")):
        if isinstance(text, str) and len(text) <= documents.MAX_DOCUMENT_BYTES:
            if path == CAPABILITIES_FILE:
                declared.parse(text)
            else:
                well_formed(path, text)


def switch(tx: Tx, change: Change) -> Any:
    """The document's next version; what there was before."""
    patch = change.patch
    path: str = patch["path"]
    before = documents.by_path(tx, tx.company, path, deleted=True)
    live = before is not None and before.deleted_ms is None
    content = None if patch.get("delete") else str(patch["content"])
    documents.put(
        tx,
        NewText(
            path=path,
            content=content,
            cls=GOVERNED,
            title=patch.get("title", ""),
            version=_next(before, major=change.major),
            state=patch.get("state", "Final"),
            change_no=change.no,
        ),
    )
    _apply(tx, path, content)
    if before is None or not live:
        return {"content": None}
    return {"content": before.content, "title": before.title, "state": before.state}


def back(tx: Tx, change: Change) -> None:
    """The earlier text is the document's next version."""
    path: str = change.patch["path"]
    kept = change.previous
    now = documents.by_path(tx, tx.company, path, deleted=True)
    documents.put(
        tx,
        NewText(
            path=path,
            content=kept["content"],
            cls=GOVERNED,
            title=kept.get("title", ""),
            version=_next(now, major=False),
            state=kept.get("state", "Final"),
            change_no=change.no,
        ),
    )
    _apply(tx, path, kept["content"])


def _next(before: Document | None, *, major: bool) -> str:
    if before is None:
        return documents.FIRST_VERSION
    return next_version(before.version, major=major)


def _apply(tx: Tx, path: str, content: str | None) -> None:
    """The approved capabilities.yaml becomes rows, which are the truth (contract, 6)."""
    if path == CAPABILITIES_FILE and content is not None:
        declared.apply_document(tx, content)

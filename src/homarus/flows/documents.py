"""Reading and writing documents of the main space, outside changes."""

from homarus.changes.rules import next_version
from homarus.kernel.documents import PLAIN
from homarus.records import documents
from homarus.records.documents import Document, NewText
from homarus.store.port import Tx


def read(tx: Tx, path: str) -> Document:
    """Raises `document.unknown`. Emits `document_read` for a governed one: it leaves a receipt."""
    row = documents.need(tx, tx.company, path)
    if row.governed:
        tx.emit("document_read", "", {"path": row.path, "version": row.version})
    return row


def write(tx: Tx, path: str, content: str | None, title: str = "") -> Document | None:
    """The next version of a plain document; None: it is removed. Redline R4 has judged the path.

    Raises `document.*`.
    """
    before = documents.by_path(tx, tx.company, path, deleted=True)
    return documents.put(
        tx,
        NewText(
            path=path,
            content=content,
            cls=PLAIN,
            title=title,
            version=documents.FIRST_VERSION
            if before is None
            else next_version(before.version, major=False),
        ),
    )

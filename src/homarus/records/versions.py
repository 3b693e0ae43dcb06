"""Earlier contents of replaced artifacts: the newest few of each are kept, and count as in use."""

from typing import Final

import msgspec

from homarus.base.errors import NotFound
from homarus.store.port import Rx, Tx

MAX_VERSIONS: Final = 5
"""Earlier contents that an artifact keeps; the oldest goes when one more is replaced."""

_COLUMNS: Final = (
    "artifact, version, company, filename, content_type, sha256, size_bytes, replaced_by, "
    "replaced_ms"
)


class Version(msgspec.Struct, frozen=True, gc=False):
    """A row of `artifact_version`: what an artifact was until `replaced_ms`."""

    artifact: str
    version: int
    company: str
    filename: str | None
    content_type: str
    sha256: str
    size_bytes: int
    replaced_by: str
    replaced_ms: int


def of(rx: Rx, artifact: str) -> list[Version]:
    """Newest first."""
    rows = rx.all(
        f"select {_COLUMNS} from artifact_version where artifact=? order by version desc limit ?",  # noqa: S608
        (artifact, MAX_VERSIONS),
    )
    return [Version(*row) for row in rows]


def need(rx: Rx, artifact: str, version: int) -> Version:
    """Raises `artifact.version`."""
    row = rx.one(
        f"select {_COLUMNS} from artifact_version where artifact=? and version=?",  # noqa: S608
        (artifact, version),
    )
    if row is None:
        raise NotFound(
            "artifact.version",
            f"version {version} is not kept",
            f"The last {MAX_VERSIONS} are: GET /artifacts/{{id}}/versions.",
        )
    return Version(*row)


def outgoing(rx: Rx, artifact: str) -> list[Version]:
    """What goes when the artifact's content is replaced once more."""
    return of(rx, artifact)[MAX_VERSIONS - 1 :]


def keep(tx: Tx, version: Version) -> int:
    """Add the content that is being replaced; the bytes of what is kept no longer."""
    gone = outgoing(tx, version.artifact)
    for old in gone:
        tx.run(
            "delete from artifact_version where artifact=? and version=?",
            (old.artifact, old.version),
        )
    tx.run(
        f"insert into artifact_version({_COLUMNS}) values(?,?,?,?,?,?,?,?,?)",
        msgspec.structs.astuple(version),
    )
    return sum(old.size_bytes for old in gone)


def forget(tx: Tx, artifact: str) -> list[Version]:
    """All of an artifact that is removed."""
    gone = of(tx, artifact)
    tx.run("delete from artifact_version where artifact=?", (artifact,))
    return gone


def referred(rx: Rx, contents: list[str]) -> set[str]:
    """Which of these SHA-256 (at most 500) some artifact had before, of any company."""
    marks = ",".join("?" * len(contents))
    rows = rx.all(
        f"select distinct sha256 from artifact_version where sha256 in ({marks})",  # noqa: S608
        contents,
    )
    return {row[0] for row in rows}

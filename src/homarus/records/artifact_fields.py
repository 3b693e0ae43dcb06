"""What a caller may say of an artifact, and how each field is checked. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.records import rules

MAX_METADATA_BYTES: Final = 65_536
MAX_TEXT: Final = 2_000


class NewArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be recorded; links are ids that exist in the company. See `artifacts.create`.

    `folder` by id or number; `preview`: how a stored text begins.
    """

    kind: str
    content_type: str
    project: str | None = None
    task: str | None = None
    customer: str | None = None
    agent: str | None = None
    title: str | None = None
    artifact_class: str = "working_file"
    importance: str | None = None
    filename: str | None = None
    sha256: str | None = None
    size_bytes: int = 0
    stored: bool = False
    storage_url: str | None = None
    source_kind: str | None = None
    source_ref: str | None = None
    visibility: str = "private"
    is_canonical: bool = False
    metadata: dict[str, Any] = {}
    retention_policy: str | None = None
    folder: str | None = None
    preview: str | None = None


class ArtifactChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller sets; UNSET leaves it. `folder` None: in no folder."""

    title: str | msgspec.UnsetType | None = msgspec.UNSET
    kind: str | msgspec.UnsetType = msgspec.UNSET
    artifact_class: str | msgspec.UnsetType = msgspec.UNSET
    importance: str | msgspec.UnsetType | None = msgspec.UNSET
    content_type: str | msgspec.UnsetType = msgspec.UNSET
    filename: str | msgspec.UnsetType = msgspec.UNSET
    visibility: str | msgspec.UnsetType = msgspec.UNSET
    is_canonical: bool | msgspec.UnsetType = msgspec.UNSET
    metadata: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    retention_policy: str | msgspec.UnsetType | None = msgspec.UNSET
    folder: str | msgspec.UnsetType | None = msgspec.UNSET


class Content(msgspec.Struct, frozen=True):
    """A new content, on disk by now; `preview` as in `NewArtifact`."""

    sha256: str
    size_bytes: int
    content_type: str
    filename: str
    preview: str | None


_CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "kind": lambda value: rules.word(value, "kind"),
    "content_type": rules.content_type,
    "artifact_class": lambda value: rules.one_of(value, rules.CLASSES, "artifact.class"),
    "importance": lambda value: rules.one_of(value, rules.IMPORTANCES, "artifact.importance"),
    "visibility": lambda value: rules.one_of(value, rules.VISIBILITIES, "artifact.visibility"),
    "filename": rules.file_name,
    "sha256": rules.checksum,
}
_TEXTS: Final = ("title", "storage_url", "source_kind", "source_ref", "retention_policy")


def checked(values: dict[str, Any]) -> dict[str, Any]:
    """The values of fields, each as it is kept. Raises `artifact.*`, naming the field."""
    for field in _TEXTS:
        if len(values.get(field) or "") > MAX_TEXT:
            raise Invalid(f"artifact.{field}", f"{field} is too long", f"At most {MAX_TEXT}.")
    if len(msgspec.json.encode(values.get("metadata", {}))) > MAX_METADATA_BYTES:
        raise Invalid(
            "artifact.metadata", "metadataJson is too large", f"At most {MAX_METADATA_BYTES} bytes."
        )
    if not 0 <= values.get("size_bytes", 0) < 2**53:
        raise Invalid("artifact.size", "sizeBytes is out of range", "Send the size in bytes.")
    for field, check in _CHECKS.items():
        if values.get(field) is not None:
            values[field] = check(values[field])
    return values

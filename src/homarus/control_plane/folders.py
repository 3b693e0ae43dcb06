"""Folders of artifacts on the wire (control-plane contract, 10)."""

import contextlib
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from homarus.base.canonical import digest
from homarus.base.errors import Conflict, HomarusError, Invalid
from homarus.company import agents, customers, projects
from homarus.control_plane import artifacts as files
from homarus.control_plane import shapes_files as shapes
from homarus.control_plane.artifact_change import folder_ref
from homarus.control_plane.artifact_create import checked_id, customer_of
from homarus.control_plane.route import (
    Call,
    Route,
    Stream,
    StreamRoute,
    json_reply,
    read_route,
    write_route,
)
from homarus.records import emptying, folders
from homarus.records.folders import Folder, FolderChange, Scope
from homarus.store.port import Event, Reply, Rx, Tx

_SCOPE: Final = {"projectId": "project", "customerId": "customer", "agentId": "agent"}


class FolderBody(msgspec.Struct, frozen=True, rename="camel"):
    """POST /folders. Below a parent it belongs to whom the parent does."""

    name: str
    parent_folder_id: str | None = None
    project_id: str | None = None
    customer_id: str | None = None
    agent_id: str | None = None
    kind: str | None = None
    metadata_json: dict[str, Any] | None = None


class FolderPatch(msgspec.Struct, frozen=True, rename="camel"):
    """PATCH /folders/{id}. `parentFolderId` null: to the top. Whose it is does not change."""

    name: str | UnsetType = UNSET
    parent_folder_id: str | UnsetType | None = UNSET
    kind: str | UnsetType | None = UNSET
    metadata_json: dict[str, Any] | UnsetType | None = UNSET
    project_id: str | UnsetType | None = UNSET
    customer_id: str | UnsetType | None = UNSET
    agent_id: str | UnsetType | None = UNSET


# -- reading -------------------------------------------------------------------------------


def listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /folders: newest first; `parentFolderId=root` for those at the top."""
    rows, following = _page(rx, call, call.query.get("parentFolderId"), call.cursor())
    return json_reply({"folders": rows, "nextCursor": following})


def _page(
    rx: Rx, call: Call[None], parent: str | None, before: int | None
) -> tuple[list[dict[str, Any]], str | None]:
    query, limit = call.query, call.limit()
    narrowed = {key: checked_id(query.get(name), name) for name, key in _SCOPE.items()}
    if parent and parent != files.ROOT:
        narrowed["parent"] = files.folder_id(rx, call.company, parent)
    rows = folders.listed(
        rx,
        call.company,
        {key: value for key, value in narrowed.items() if value is not None},
        limit=limit + 1,
        before=before,
        roots=parent == files.ROOT,
        search=query.get("search", "")[: files.MAX_SEARCH],
    )
    more = len(rows) > limit
    rows = rows[:limit]
    shown = shapes.folder_list(rx, call.company, rows)
    return shown, str(rows[-1].no) if more else None


def read(rx: Rx, call: Call[None]) -> Reply:
    row = folders.need(rx, call.company, call.path["id"])
    return json_reply({"folder": shapes.folder(rx, row)})


def contents(rx: Rx, call: Call[None]) -> Reply:
    """GET /folders/{id}/contents: what lies directly in it; `root`: at the top, in no folder.

    Two lists, each with a cursor of its own: `nextCursor` of the artifacts goes on by `cursor`,
    `nextFolderCursor` by `folderCursor`.
    """
    ref = call.path["id"]
    row = None if ref == files.ROOT else folders.need(rx, call.company, ref)
    query = dict(call.query) | {"folderId": files.ROOT if row is None else row.id}
    call = msgspec.structs.replace(call, query=query)
    found, following = files.page(rx, call, files.filters(rx, call))
    before = msgspec.structs.replace(call, query={"cursor": query.get("folderCursor", "")}).cursor()
    below, following_folder = _page(rx, call, query["folderId"], before)
    return json_reply(
        {
            "folder": None if row is None else shapes.folder(rx, row),
            "folders": below,
            "artifacts": shapes.artifact_list(rx, found),
            "nextCursor": following,
            "nextFolderCursor": following_folder,
        }
    )


# -- writing -------------------------------------------------------------------------------


def _scope(tx: Tx, body: FolderBody) -> Scope:
    """Whose the folder is to be; a project brings its customer. Raises `project.unknown`,
    `customer.unknown`, `agent.unknown`, `artifact.customer`."""
    customer = body.customer_id or None
    if customer is not None:
        customer = customers.need(tx, tx.company, customer).id
    project = body.project_id or None
    if project is not None:
        project = projects.need(tx, tx.company, project).id
        customer = customer_of(tx, project, customer)
    agent = agents.need(tx, tx.company, body.agent_id).id if body.agent_id else None
    return Scope(project, customer, agent)


def create(tx: Tx, call: Call[FolderBody]) -> Reply:
    body = call.body
    parent = folder_ref(body.parent_folder_id)
    with _named_twin(tx):
        row = folders.create(
            tx,
            body.name,
            parent if isinstance(parent, str) else None,
            _scope(tx, body),
            kind=body.kind or None,
            metadata=body.metadata_json,
        )
    return json_reply({"folder": shapes.folder(tx, row)}, 201)


def change(tx: Tx, call: Call[FolderPatch]) -> Reply:
    body = call.body
    row = folders.need(tx, call.company, call.path["id"])
    _keeps_scope(row, body)
    with _named_twin(tx):
        row = folders.update(
            tx,
            row.id,
            FolderChange(
                name=body.name,
                parent=folder_ref(body.parent_folder_id),
                kind=body.kind or None if body.kind is not UNSET else UNSET,
                metadata={} if body.metadata_json is None else body.metadata_json,
            ),
        )
    return json_reply({"folder": shapes.folder(tx, row)})


def _keeps_scope(row: Folder, body: FolderPatch) -> None:
    """Raises `folder.scope` when the body names another owner than the folder has."""
    for name, given, have in (
        ("projectId", body.project_id, row.project),
        ("customerId", body.customer_id, row.customer),
        ("agentId", body.agent_id, row.agent),
    ):
        if given is not UNSET and (given or None) != have:
            raise Invalid(
                "folder.scope", f"{name} of {row.number} cannot change", "Make a folder there."
            )


@contextlib.contextmanager
def _named_twin(tx: Tx) -> Any:
    """A taken name answers with the folder that has it, as `existingFolder`."""
    try:
        yield
    except Conflict as error:
        twin = error.details.pop("folder", None)
        if twin is not None:
            row = folders.need(tx, tx.company, twin)
            error.details["existingFolder"] = shapes.folder(tx, row)
        raise


def _removed(tx: Tx, ref: str) -> Reply:
    row = folders.remove(tx, ref)
    return json_reply({"success": True, "folder": shapes.folder(tx, row)})


async def removed(stream: Stream, call: Call[None]) -> Reply:
    """DELETE /folders/{id}: the folder, all below it and its bytes, in bounded units.

    The folder is gone with the first unit; should the rest be cut off, the maintenance worker does
    it.
    """
    ref = call.path["id"]
    reply = await stream.write(_removed, ref, digest=digest([ref]))
    with contextlib.suppress(HomarusError, OSError):
        await emptying.finish(stream.store, stream.blobs, call.company)
    return reply


# -- tables --------------------------------------------------------------------------------


def frame_changed(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    rows = folders.listed(rx, company, {"id": event.subject}, limit=1)
    return [{"type": event.kind, "folder": row} for row in shapes.folder_list(rx, company, rows)]


def frame_deleted(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    _ = rx, company
    return [{"type": "folder_deleted", "folderId": event.subject}]


TAGS: Final = ("folders",)
ROUTES: Final[tuple[Route | StreamRoute, ...]] = (
    read_route(
        "/folders", listed, "List folders, newest first",
        query=("parentFolderId", *_SCOPE, "search", "limit", "cursor"), tags=TAGS,
    ),
    write_route(
        "POST", "/folders", "folder.create", create, "Create a folder",
        body=FolderBody, status=201, target="folder:", tags=TAGS,
    ),
    read_route("/folders/{id}", read, "One folder", tags=TAGS),
    write_route(
        "PATCH", "/folders/{id}", "folder.update", change, "Rename, move or annotate a folder",
        body=FolderPatch, target="folder:{id}", tags=TAGS,
    ),
    StreamRoute(
        method="DELETE", path="/folders/{id}", capability="folder.delete", handler=removed,
        kind="write", summary="Remove a folder with all that lies in it", target="folder:{id}",
        tags=TAGS,
    ),
    read_route(
        "/folders/{id}/contents", contents, "What lies directly in a folder (`root`: at the top)",
        query=("folderCursor", *files.QUERY), tags=TAGS,
    ),
)  # fmt: skip
FRAMES: Final[dict[str, Callable[[Rx, str, Event], list[dict[str, Any]]]]] = {
    "folder_created": frame_changed,
    "folder_updated": frame_changed,
    "folder_deleted": frame_deleted,
}

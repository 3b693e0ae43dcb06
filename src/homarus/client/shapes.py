"""What the control plane answers, typed. Fields that a client does not know are passed over.

Times are ISO-8601 text as the wire has them (control-plane contract, 1).
"""

from typing import Any

import msgspec


class Shape(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Base of all: camelCase on the wire."""


class Health(Shape, frozen=True, kw_only=True):
    """What a client meets: `GET /runtime/health`."""

    ok: bool = True
    company_id: str = ""
    server_time: str = ""
    emperor_version: str = ""
    minimum_bridge_version: str = ""
    capabilities: dict[str, bool] = {}


class RuntimeNode(Shape, frozen=True, kw_only=True):
    runtime_id: str
    id: str = ""
    company_id: str = ""
    name: str = ""
    status: str = ""


class Agent(Shape, frozen=True, kw_only=True):
    id: str
    name: str
    company_id: str = ""
    role: str | None = None
    skills_json: Any = None
    concurrency_limit: int = 1
    status: str = ""
    suspended: bool = False
    executor: str = ""
    budget_status: str = ""


class Session(Shape, frozen=True, kw_only=True):
    id: str
    agent_id: str = ""
    openclaw_session_id: str = ""
    status: str = ""
    lifecycle_generation: int = 1
    checkpoint_json: dict[str, Any] | None = None


class MemoryEntry(Shape, frozen=True, kw_only=True):
    id: str
    kind: str = "context"
    content: str = ""
    summary: str | None = None
    task_id: str | None = None
    metadata_json: dict[str, Any] | None = None
    created_at: str = ""


class Snapshot(Shape, frozen=True, kw_only=True):
    content: str = ""
    created_at: str = ""


class Memory(Shape, frozen=True, kw_only=True):
    """`entries` oldest first; `snapshot` is the whole as an agent last wrote it down."""

    snapshot: Snapshot | None = None
    entries: list[MemoryEntry] = []


class Started(Shape, frozen=True, kw_only=True):
    """A session with what its agent remembers."""

    session: Session
    memory: Memory = Memory()
    context_notes: str | None = None


class Task(Shape, frozen=True, kw_only=True):
    """`state` is the wire's word, `canonical_state` the task machine's (design, 6)."""

    id: str
    state: str
    canonical_state: str = ""
    number: str = ""
    project_id: str = ""
    task_type: str = ""
    title: str | None = None
    goal: str | None = None
    priority: int = 0
    assigned_agent_id: str | None = None
    assigned_member_id: str | None = None
    lease_until: str | None = None
    retries: int = 0
    blocked_by: int = 0
    blocked_by_task_ids: list[str] = []
    blocked_reason: Any = None
    input_json: dict[str, Any] | None = None
    output_json: Any = None
    capability: str | None = None
    trace_id: str | None = None
    created_at: str = ""
    updated_at: str = ""


class Claim(Task, frozen=True, kw_only=True):
    """A task in hand. `lease_token` is its fence: it goes with every report, and a report under an
    older one is refused."""

    lease_token: int


class Thread(Shape, frozen=True, kw_only=True):
    id: str
    type: str = ""
    title: str | None = None
    agent_id: str | None = None
    project_id: str | None = None
    task_id: str | None = None


class Message(Shape, frozen=True, kw_only=True):
    """`seq` orders the messages of a company."""

    id: str
    text: str = ""
    thread_id: str = ""
    thread_type: str = "team"
    seq: int | None = None
    sender_type: str = ""
    sender_id: str | None = None
    target_agent_id: str | None = None
    task_id: str | None = None
    metadata_json: dict[str, Any] | None = None
    delivery_state: str = ""
    created_at: str = ""


class Sent(Shape, rename=None, frozen=True, kw_only=True):
    """Where a message went."""

    message_id: str | None = None
    thread_id: str = ""
    deduplicated: bool = False


class Messages(Shape, frozen=True, kw_only=True):
    """A page of `messages.sync`, oldest first. `next_seq` is the cursor of the next call."""

    messages: list[Message] = []
    next_seq: int | None = None
    has_more: bool = False
    context_notes: str | None = None


class Resource(Shape, frozen=True, kw_only=True):
    """Without its secret; that comes with a lease alone."""

    id: str
    name: str = ""
    scope_type: str = ""
    scope_id: str | None = None
    provider: str = ""
    resource_type: str = ""
    config_text: str | None = None
    status: str = ""


class Lease(Shape, frozen=True, kw_only=True):
    id: str
    expires_at: str | None = None


class LeasedResource(Shape, frozen=True, kw_only=True):
    """A resource with its secret, for as long as the lease lasts. `lease` None: this daemon's
    leases are one-time reads."""

    resource: Resource
    config_text: str | None = None
    secret_text: str | None = None
    lease: Lease | None = None


class Integration(Shape, frozen=True, kw_only=True):
    id: str
    provider: str = ""
    name: str = ""
    ownership: str = ""
    status: str = ""
    secret_configured: bool = False


class Stop(Shape, frozen=True, kw_only=True):
    """A STOP in force over `subject` (an id)."""

    id: str
    scope: str
    subject: str
    reason: str = ""


class Beat(Shape, frozen=True, kw_only=True):
    """`renewed`: leases that were rewritten, which happens when a tenth has passed."""

    last_seen_at: str = ""
    renewed: int = 0


class FeedPage(Shape, frozen=True, kw_only=True):
    """`head`: the newest event's number."""

    head: int = 0


class Page(msgspec.Struct, rename="camel"):
    """The cursor of a list."""

    next_cursor: str | None = None


class Event(msgspec.Struct, frozen=True):
    """One frame of the event socket. `seq`: where to resume after it; `data`: all its fields."""

    type: str
    seq: int | None
    data: dict[str, Any]

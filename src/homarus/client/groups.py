"""The calls of the control plane that bridges, companions and scripts make, each written once.

Both clients have these groups as attributes (`Calls`); what each call takes and answers is said
here, who sends it is not. Routes and fields: docs/reference/api.md.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from homarus.client.paths import path_part
from homarus.client.request import (
    Group,
    Request,
    Via,
    get,
    given,
    nothing,
    noun,
    post,
    post_once,
    route,
    whole,
)
from homarus.client.shapes import (
    Agent,
    Beat,
    Claim,
    FeedPage,
    Health,
    Integration,
    Lease,
    LeasedResource,
    Memory,
    MemoryEntry,
    Message,
    Messages,
    Resource,
    RuntimeNode,
    Sent,
    Session,
    Started,
    Stop,
    Task,
    Thread,
)

LONG_POLL_S: Final = 40.0
"""Longer than the daemon holds a poll (25 s; control-plane contract, 8.1)."""
Integrations = list[Integration]
TimeLine = list[dict[str, Any]]
HEAD: Final = 10**17
"""Beyond every event: asks where the feed stands."""


class Runtime(Group[Via]):
    """This machine, and the daemon as a client meets it."""

    @route
    def health(self) -> Request[Health]:
        """What the daemon can do, and its time."""
        return get("/runtime/health", whole(Health))

    @route
    def register(
        self,
        runtime_id: str,
        name: str,
        *,
        hostname: str | None = None,
        version: str | None = None,
        capabilities: Sequence[str] = (),
        started_at: str | None = None,
    ) -> Request[RuntimeNode]:
        """Say that this runtime is there; may be repeated at every start."""
        body = {
            "runtimeId": runtime_id,
            "name": name,
            "hostname": hostname,
            "gatewayVersion": version,
            "capabilitiesJson": list(capabilities),
            "startedAt": started_at,
        }
        return post("/runtime/register", noun("runtimeNode", RuntimeNode), body)

    @route
    def feed_head(self) -> Request[FeedPage]:
        """Where the event feed stands now."""
        return get("/events", whole(FeedPage), after=HEAD, limit=1)

    @route
    def stops(self) -> Request[list[Stop]]:
        """The STOPs in force."""
        return get("/stops", noun("stops", list[Stop]))


class Agents(Group[Via]):
    @route
    def list(self, *, limit: int = 200) -> Request[list[Agent]]:
        """Newest first."""
        return get("/agents", noun("agents", list[Agent]), limit=limit)

    @route
    def get(self, agent: str) -> Request[Agent]:
        """By id."""
        return get(f"/agents/{path_part(agent)}", noun("agent", Agent))

    @route
    def create(
        self,
        name: str,
        *,
        role: str | None = None,
        skills: Sequence[str] | None = None,
        concurrency_limit: int | None = None,
        key: str | None = None,
    ) -> Request[Agent]:
        """A company token may act for the agents that it created."""
        body = {
            "name": name,
            "role": role,
            "skillsJson": None if skills is None else [*skills],
            "concurrencyLimit": concurrency_limit,
        }
        return post("/agents", noun("agent", Agent), body, key)

    @route
    def heartbeat(self, agent: str, load: int, *, task: str | None = None) -> Request[Beat]:
        """The agent lives: its sessions go on, and so do the leases claimed by this token."""
        body = {"agentId": agent, "currentLoad": load, "taskId": task}
        return post("/agents/heartbeat", whole(Beat), body)

    @route
    def memory(self, agent: str, *, limit: int = 20) -> Request[Memory]:
        return get(f"/agents/{path_part(agent)}/memory", whole(Memory), limit=limit)

    @route
    def remember(
        self,
        agent: str,
        content: str,
        *,
        kind: str = "context",
        summary: str | None = None,
        session: str | None = None,
        task: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        snapshot: str | None = None,
    ) -> Request[MemoryEntry]:
        """Add an entry. `snapshot` replaces what the agent remembers as a whole. The route honours
        no key, so this is never sent twice."""
        body = {
            "content": content,
            "kind": kind,
            "summary": summary,
            "sessionId": session,
            "taskId": task,
            "metadataJson": metadata,
            "snapshot": snapshot,
        }
        return post_once(f"/agents/{path_part(agent)}/memory", noun("entry", MemoryEntry), body)

    @route
    def integrations(self, agent: str) -> Request[Integrations]:
        """Without their secrets."""
        return get(f"/agents/{path_part(agent)}/integrations", noun("integrations", Integrations))


class Sessions(Group[Via]):
    @route
    def start(
        self,
        agent: str,
        name: str,
        *,
        runtime_id: str | None = None,
        channel: str | None = None,
    ) -> Request[Started]:
        """Begin, or go on with the live session of that name; hands back what it remembers."""
        body = {"openclawSessionId": name, "runtimeId": runtime_id, "channel": channel}
        return post(f"/agents/{path_part(agent)}/sessions/start", whole(Started), body)

    @route
    def checkpoint(
        self, agent: str, session: str, state: Mapping[str, Any], *, summary: str | None = None
    ) -> Request[Session]:
        path = f"/agents/{path_part(agent)}/sessions/{path_part(session)}/checkpoint"
        body = {"checkpointJson": state, "summary": summary}
        return post(path, noun("session", Session), body)

    @route
    def end(self, agent: str, session: str, *, summary: str | None = None) -> Request[Session]:
        path = f"/agents/{path_part(agent)}/sessions/{path_part(session)}/end"
        return post(path, noun("session", Session), {"status": "ended", "summary": summary})


class Tasks(Group[Via]):
    """`task` is an id, or a number such as `T-192`."""

    @route
    def list(
        self,
        *,
        state: str | None = None,
        project: str | None = None,
        agent: str | None = None,
        limit: int = 100,
    ) -> Request[list[Task]]:
        """Newest first."""
        return get(
            "/tasks", noun("tasks", list[Task]), state=state, projectId=project, agentId=agent,
            limit=limit,
        )  # fmt: skip

    @route
    def get(self, task: str) -> Request[Task]:
        return get(f"/tasks/{path_part(task)}", noun("task", Task))

    @route
    def context(self, task: str) -> Request[dict[str, Any]]:
        """What an agent needs to start: `task`, `notes`, `projectMemory`, `resources`, …"""
        return get(f"/tasks/{path_part(task)}/context", whole(dict[str, Any]))

    @route
    def create(
        self, /, project: str, type: str, title: str, *, key: str | None = None, **fields: Any
    ) -> Request[Task]:
        """`fields` as the wire names them: `description`, `definitionOfDone`, `inputJson`, …"""
        body = {"projectId": project, "taskType": type, "title": title, **fields}
        return post("/tasks", noun("task", Task), body, key)

    @route
    def claim(
        self,
        agent: str,
        *,
        task: str | None = None,
        lease_s: int | None = None,
        key: str | None = None,
    ) -> Request[Claim | None]:
        """The best task that fits, or `task` itself; None: nothing fits now.

        Sent again with the same key while the claim holds, it is the same claim.
        """
        path = "/tasks/claim" if task is None else f"/tasks/{path_part(task)}/claim"
        body = {"agentId": agent, "leaseSeconds": lease_s}
        return post(path, noun("task", Claim | None), body, key)

    @route
    def note(
        self,
        task: str,
        agent: str,
        text: str,
        *,
        handoff: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> Request[None]:
        """`handoff`: `fromRole`, `toRole`, `summary`, `nextStep`."""
        body = {"note": text, "agentId": agent, "handoff": handoff}
        return post(f"/tasks/{path_part(task)}/notes", nothing, body, key)

    @route
    def notes(self, task: str) -> Request[TimeLine]:
        """The task's time line, oldest first."""
        return get(f"/tasks/{path_part(task)}/notes", noun("events", TimeLine))

    @route
    def result(
        self,
        task: str,
        agent: str,
        state: str,
        *,
        output: Any = None,
        comment: str | None = None,
        lease_token: int | None = None,
        key: str | None = None,
    ) -> Request[Task]:
        """`done`, `failed` or `review`; `in_progress` is partial output, and starts the lease
        afresh. A report under a lease that was lost is 409 `task.lease_lost`."""
        return _result(task, agent, state, output, comment, lease_token, key)

    @route
    def release(
        self,
        task: str,
        agent: str,
        *,
        comment: str | None = None,
        lease_token: int | None = None,
        key: str | None = None,
    ) -> Request[Task]:
        """Hand it back to the queue, with nothing done."""
        return _result(task, agent, "inbox", None, comment, lease_token, key)

    @route
    def renew(self, task: str, agent: str, *, load: int = 1) -> Request[Beat]:
        """Renew the lease of this one task."""
        body = {"agentId": agent, "currentLoad": load, "taskId": task}
        return post("/agents/heartbeat", whole(Beat), body)


def _result(
    task: str,
    agent: str,
    state: str,
    output: Any,
    comment: str | None,
    lease_token: int | None,
    key: str | None,
) -> Request[Task]:
    body = {
        "state": state,
        "agentId": agent,
        "outputJson": output,
        "comment": comment,
        "leaseToken": lease_token,
    }
    return post(f"/tasks/{path_part(task)}/result", noun("task", Task), body, key)


class Talk(Group[Via]):
    """Messages and threads."""

    @route
    def send(
        self,
        text: str,
        *,
        agent: str | None = None,
        thread: str | None = None,
        target_agent: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> Request[Sent]:
        """Into `thread`, else the direct thread of `target_agent`, else the team's. `agent`: who
        speaks."""
        body = {
            "text": text,
            "agentId": agent,
            "thread_id": thread,
            "targetAgentId": target_agent,
            "metadataJson": metadata,
        }
        return post("/messages/send", whole(Sent), body, key)

    @route
    def sync(
        self,
        *,
        since_seq: int | None = None,
        since: str | None = None,
        mode: str = "all",
        timeout_s: float = LONG_POLL_S,
    ) -> Request[Messages]:
        """Messages after the cursor, oldest first; held up to 25 s while there is none.

        `since_seq` is the `next_seq` of the call before, `since` a message's `created_at`. Both
        are exact: nothing is skipped.
        """
        query = given({"sinceSeq": since_seq, "since": since, "mode": mode})
        return Request("GET", "/messages/sync", whole(Messages), query, timeout_s=timeout_s)

    @route
    def status(
        self,
        thread: str,
        agent: str,
        *,
        typing: bool | None = None,
        read: bool | None = None,
        state: str | None = None,
    ) -> Request[None]:
        """`state`: how far the agent is with the latest human message of the thread."""
        body = {
            "threadId": thread,
            "agentId": agent,
            "typing": typing,
            "markRead": read,
            "executionState": state,
        }
        return post("/chat/status", nothing, body)

    @route
    def threads(
        self, *, type: str | None = None, agent: str | None = None, limit: int = 100
    ) -> Request[list[Thread]]:
        """Newest first."""
        return get("/threads", noun("threads", list[Thread]), type=type, agentId=agent, limit=limit)

    @route
    def messages(
        self, thread: str, *, before_seq: int | None = None, limit: int = 100
    ) -> Request[list[Message]]:
        """The newest of a thread, oldest first."""
        return get(
            f"/threads/{path_part(thread)}/messages", noun("messages", list[Message]),
            beforeSeq=before_seq, limit=limit,
        )  # fmt: skip


class Resources(Group[Via]):
    @route
    def list(
        self,
        *,
        customer: str | None = None,
        project: str | None = None,
        agent: str | None = None,
        limit: int = 100,
    ) -> Request[list[Resource]]:
        """Newest first, without secrets."""
        return get(
            "/resources", noun("resources", list[Resource]), customerId=customer,
            projectId=project, agentId=agent, limit=limit,
        )  # fmt: skip

    @route
    def lease(
        self,
        resource: str,
        agent: str,
        *,
        task: str | None = None,
        session: str | None = None,
        reason: str | None = None,
    ) -> Request[LeasedResource]:
        """A resource with its secret. Needs a token of scope `mcp_danger`; never sent twice."""
        body = {"agentId": agent, "taskId": task, "sessionId": session, "reason": reason}
        return post_once(f"/resources/{path_part(resource)}/lease", whole(LeasedResource), body)

    @route
    def renew(self, lease: str, agent: str) -> Request[Lease | None]:
        path = f"/leases/{path_part(lease)}/renew"
        return post(path, noun("lease", Lease | None), {"agentId": agent})

    @route
    def release(self, lease: str, agent: str) -> Request[None]:
        return post(f"/leases/{path_part(lease)}/release", nothing, {"agentId": agent})


class Calls(Group[Via]):
    """All groups of one client."""

    def __init__(self, via: Via) -> None:
        super().__init__(via)
        self.runtime = Runtime(via)
        self.agents = Agents(via)
        self.sessions = Sessions(via)
        self.tasks = Tasks(via)
        self.talk = Talk(via)
        self.resources = Resources(via)

"""The tools, one row each. `tool.py` says what a row means; docs/reference/mcp.md shows them."""

from typing import Final

from homarus.control_plane.notes import NOTE_PROVIDER, NOTE_TYPE
from homarus.mcp.tool import Tool

_NOTE: Final = {"resourceType": NOTE_TYPE, "provider": NOTE_PROVIDER}
_NOTE_FIELDS: Final = (
    "name", "configText", "path", "displayName", "isShared",
)  # fmt: skip
_PROJECT: Final = (
    "customerId", "status", "leadAgentId", "requireApprovalForDone", "requireReviewBeforeDone",
    "maxActiveAgents",
)  # fmt: skip
_AGENT: Final = ("role", "skillsJson", "memory", "concurrencyLimit", "monthlyBudgetCents")
_PAGE: Final = ("limit", "cursor")

TOOLS: Final[tuple[Tool, ...]] = (
    # tasks
    Tool(
        name="list_tasks", method="GET", path="/tasks", title="List tasks",
        about="Tasks of the company, newest first.",
        takes=("state", "projectId", "agentId", *_PAGE),
    ),
    Tool(
        name="get_task", method="GET", path="/tasks/{id}", title="Show a task",
        about="One task: specification, state, holder, result, what is still missing.",
        takes=("taskId",), names={"taskId": "id"},
    ),
    Tool(
        name="get_task_context", method="GET", path="/tasks/{id}/context",
        title="What a task needs",
        about="All you need to start on a task: it, its time line, what its project remembers, "
        "resources, threads.",
        takes=("taskId",), names={"taskId": "id"},
    ),
    Tool(
        name="create_task", method="POST", path="/tasks", title="Create a task",
        about="A new task. Say it so that somebody who knows nothing of it can do it.",
        takes=(
            "projectId", "taskType", "title*", "description*", "acceptanceCriteria",
            "definitionOfDone", "deliverables", "goal", "ownerRole", "inputJson", "priority",
            "assignedAgentId", "blockedByTaskIds", "capability", "allowUnderspecified",
        ),
    ),
    Tool(
        name="update_task", method="PATCH", path="/tasks/{id}", title="Change a task",
        about="Change a task's words, priority, assignee, dependencies or state.",
        takes=(
            "taskId", "title", "goal", "priority", "state", "inputJson", "assignedAgentId",
            "blockedByTaskIds",
        ),
        names={"taskId": "id"}, destructive=True, idempotent=True,
    ),
    Tool(
        name="claim", method="POST", path="/tasks/claim", title="Claim the best task",
        about="The best task that fits you, yours for the length of its lease; `task` null when "
        "there is none. Keep `leaseToken`.",
        takes=("agentId", "allowedRoles", "leaseSeconds", "readopt", "review"), acts="agentId",
    ),
    Tool(
        name="claim_task", method="POST", path="/tasks/{id}/claim", title="Claim a task",
        about="Claim this very task; `task` null when it cannot be had now. Keep `leaseToken`.",
        takes=("taskId", "agentId", "leaseSeconds"), names={"taskId": "id"}, acts="agentId",
    ),
    Tool(
        name="add_note", method="POST", path="/tasks/{id}/notes", title="Write a note",
        about="Tell on a task's time line how it goes, or hand it over to another role.",
        takes=("taskId", "note", "agentId", "handoff"), names={"taskId": "id"}, acts="agentId",
    ),
    Tool(
        name="complete_task", method="POST", path="/tasks/{id}/complete", title="Finish a task",
        about="Report a task that you hold as done.",
        takes=("taskId", "agentId", "outputJson", "comment", "leaseToken"),
        names={"taskId": "id"}, acts="agentId",
    ),
    Tool(
        name="report_result", method="POST", path="/tasks/{id}/result", title="Report a result",
        about="Report on a task that you hold: done, failed, for review, given back, so far.",
        takes=("taskId", "state", "agentId", "outputJson", "comment", "leaseToken"),
        names={"taskId": "id"}, acts="agentId",
    ),
    Tool(
        name="heartbeat", method="POST", path="/agents/heartbeat", title="Say that you live",
        about="Renews the leases that you hold. At least once a minute while you work.",
        takes=("agentId", "currentLoad", "taskId"), acts="agentId", idempotent=True,
    ),
    # projects
    Tool(
        name="list_projects", method="GET", path="/projects", title="List projects",
        about="Projects of the company, newest first.", takes=("status", *_PAGE),
    ),
    Tool(
        name="get_project", method="GET", path="/projects/{id}", title="Show a project",
        about="One project: goal, status, lead, policies.",
        takes=("projectId",), names={"projectId": "id"},
    ),
    Tool(
        name="create_project", method="POST", path="/projects", title="Create a project",
        about="A new project, which tasks are then created in.", takes=("goal*", *_PROJECT),
    ),
    Tool(
        name="update_project", method="PATCH", path="/projects/{id}", title="Change a project",
        about="Change a project's goal, status, lead or policies.",
        takes=("projectId", "goal", *_PROJECT), names={"projectId": "id"},
        destructive=True, idempotent=True,
    ),
    # calendar and wiki
    Tool(
        name="list_events", method="GET", path="/calendar/events", title="List calendar events",
        about="The company's calendar by start; `from` and `to` narrow to what overlaps.",
        takes=("from", "to", "taskId", *_PAGE),
    ),
    Tool(
        name="search_docs", method="GET", path="/wiki/docs", title="Search the wiki",
        about="Wiki documents, newest first, without their texts.",
        takes=("search", "parentId", *_PAGE),
    ),
    Tool(
        name="get_doc", method="GET", path="/wiki/docs/{id}", title="Read a wiki document",
        about="One wiki document with its text and version.",
        takes=("docId", "version"), names={"docId": "id"},
    ),
    # talk
    Tool(
        name="send_message", method="POST", path="/messages/send", title="Send a message",
        about="A message to an agent, into a thread, or to the team.",
        takes=(
            "text", "agentId", "targetAgentId", "threadId", "threadType", "routingNote",
            "preflightId",
        ),
        acts="agentId",
    ),
    Tool(
        name="list_threads", method="GET", path="/threads", title="List threads",
        about="Threads of the company, newest first.",
        takes=("type", "agentId", "projectId", "taskId", *_PAGE),
    ),
    Tool(
        name="read_thread", method="GET", path="/threads/{id}/messages", title="Read a thread",
        about="Messages of a thread, oldest first.",
        takes=("threadId", "since", "before", "limit"), names={"threadId": "id"},
    ),
    # knowledge
    Tool(
        name="get_knowledge_context", method="GET", path="/resources/context",
        title="What is known here",
        about="What the company knows that matters to an agent, project or customer: a pack of "
        "texts, the most important first.",
        takes=("agentId", "projectId", "customerId", "resourceId", "tag", "maxChars"),
    ),
    Tool(
        name="list_knowledge", method="GET", path="/resources", title="Search knowledge",
        about="Notes and other resources, newest first, with their folders. Never a secret.",
        takes=(
            "search", "resourceType", "scopeType", "scopeId", "agentId", "projectId",
            "customerId", "isShared", "pathPrefix", *_PAGE,
        ),
    ),
    Tool(
        name="create_knowledge_note", method="POST", path="/resources", title="Write a note down",
        about="Keep what is worth knowing as a note, for the company, a customer, a project or an "
        "agent.",
        takes=("name*", "configText*", "scopeType", "scopeId", *_NOTE_FIELDS[2:]), fixed=_NOTE,
    ),
    Tool(
        name="update_knowledge_note", method="PATCH", path="/resources/{id}",
        title="Change a note",
        about="Change a note; what you leave out stays.",
        takes=("resourceId", *_NOTE_FIELDS, "status"), names={"resourceId": "id"},
        destructive=True, idempotent=True,
    ),
    # agents
    Tool(
        name="list_agents", method="GET", path="/agents", title="List agents",
        about="Agents of the company, newest first: role, load, trust.", takes=_PAGE,
    ),
    Tool(
        name="get_agent", method="GET", path="/agents/{id}", title="Show an agent",
        about="One agent: role, skills, load, trust, budget.",
        takes=("agentId",), names={"agentId": "id"},
    ),
    Tool(
        name="create_agent", method="POST", path="/agents", title="Create an agent",
        about="A new agent; the access token that created it may act for it.",
        takes=("name*", *_AGENT),
    ),
    Tool(
        name="update_agent", method="PATCH", path="/agents/{id}", title="Change an agent",
        about="Change an agent's role text, skills, memory or limits.",
        takes=("agentId", "name", *_AGENT), names={"agentId": "id"},
        destructive=True, idempotent=True,
    ),
    # the kernel
    Tool(
        name="query_capabilities", method="GET", path="/query", title="Ask before acting",
        about="Which capability fits an intent, whose work it is, where it belongs. Only looks.",
        takes=("intent*", "agentId", "taskId"), acts="agentId",
    ),
    Tool(
        name="preflight", method="POST", path="/preflights", title="Think before acting",
        about="The same four steps (who, how, where, whether), kept: the preflight covers what "
        "its `scope` lists.",
        takes=("intent", "agentId", "taskId"), acts="agentId",
    ),
    Tool(
        name="call_capability", method="POST", path="/calls", title="Call a capability",
        about="Call a registered capability for a task that you hold. It runs afterwards: ask "
        "`get_call`.",
        takes=(
            "capability", "taskId", "agentId", "target", "arguments", "preflightId", "leaseToken",
        ),
        acts="agentId", destructive=True,
    ),
    Tool(
        name="get_call", method="GET", path="/calls/{id}", title="Show a call",
        about="What became of a call: state, output.",
        takes=("callId",), names={"callId": "id"},
    ),
    Tool(
        name="request_approval", method="POST", path="/approvals", title="Ask for an approval",
        about="Ask a person for a yes: to an act (`capability`, `target`, `arguments` as you would "
        "call it), or that tasks are done.",
        takes=(
            "taskIds", "agentId", "actionType", "capability", "target", "arguments", "what",
            "rationale", "confidence", "scope", "hours", "risk", "projectId",
        ),
        names={"agentId": "requesterAgentId"}, acts="agentId",
    ),
    Tool(
        name="get_approval", method="GET", path="/approvals/{id}", title="Show an approval",
        about="Whether an approval was given.",
        takes=("approvalId",), names={"approvalId": "id"},
    ),
)  # fmt: skip

"""Built-in capabilities: what may be done at all, with which effect, and by whom.

There are no implicit permissions: a capability that is not in this table and not a registered row
of the company is refused. `docs/reference/capabilities.md` is generated from this table.
"""

from typing import Any, Final

import msgspec

from homarus.base.action import Effect

ROLES: Final = ("viewer", "operator", "approver", "owner")
"""Operator roles, each including the ones before it (dashboard contract, 1)."""


class Builtin(msgspec.Struct, frozen=True):
    """`operator`: least operator role that may (None: no operator). `agents`, `runtimes`: whether
    an agent's token, or a company token, may. `acting`: a company token must name an agent that it
    may act for. `system`: the daemon's own workers may. `about`: one line for people."""

    id: str
    about: str
    effect: Effect = Effect.LOCAL_WRITE
    operator: str | None = "operator"
    agents: bool = False
    runtimes: bool = False
    acting: bool = False
    system: bool = False
    scope: str = "mcp_full"


def _table(*rows: Builtin) -> dict[str, Builtin]:
    return {row.id: row for row in rows}


_R: Final = Effect.READ
_D: Final = Effect.DISPATCH
_BY_AGENT: Final[dict[str, Any]] = {"agents": True, "runtimes": True, "acting": True}
_TOOL: Final[dict[str, Any]] = {"operator": None, "agents": True}

BUILTIN: Final = _table(
    # the instance
    Builtin("company.create", "Found a company", operator="owner", system=True),
    Builtin("company.update", "Change a company's name or context notes", operator="owner"),
    Builtin("token.create", "Mint an access token", operator="owner", system=True),
    Builtin("token.revoke", "Revoke an access token", operator="owner"),
    Builtin("token.touch", "Note when a token was used", operator=None, system=True, effect=_R),
    Builtin("token.grant", "Let a company token act for an agent", operator="owner"),
    Builtin("stop.set", "STOP a company, project, agent, task or trace", system=True),
    Builtin("stop.lift", "Lift a STOP", operator="owner"),
    Builtin("ledger.flush", "Write the counts of repeated refusals", operator=None, system=True),
    Builtin("store.backup", "Take an online backup", operator="owner", effect=_R),
    Builtin("store.sweep", "Forget old idempotency keys", operator=None, system=True, effect=_R),
    Builtin("settings.write", "Change the daemon's file of settings", operator="owner"),
    Builtin("daemon.restart", "Have the daemon restart in place", operator="owner"),
    Builtin("capability.register", "Register a command capability", operator="owner"),
    Builtin("capability.disable", "Disable a registered capability", operator="owner"),
    # workforce
    Builtin("agent.create", "Create an agent", runtimes=True),
    Builtin("agent.update", "Change an agent", agents=True, runtimes=True),
    Builtin("agent.delete", "Remove an agent", runtimes=True),
    Builtin(
        "agent.heartbeat",
        "Say that an agent lives; renews its leases",
        effect=_R,
        agents=True,
        runtimes=True,
        acting=True,
    ),
    Builtin("agent.usage", "Report tokens used", agents=True, runtimes=True, acting=True),
    Builtin("runtime.register", "Register a runtime node", effect=_R, runtimes=True, agents=True),
    Builtin("session.start", "Start a session", agents=True, runtimes=True, acting=True),
    Builtin("session.checkpoint", "Checkpoint a session", agents=True, runtimes=True, acting=True),
    Builtin("session.end", "End a session", agents=True, runtimes=True, acting=True),
    Builtin("session.monitor", "Mark late sessions degraded", operator=None, system=True),
    Builtin("memory.write", "Write an agent's memory", agents=True, runtimes=True, acting=True),
    # work
    Builtin("customer.create", "Create or update a customer", agents=True, runtimes=True),
    Builtin("customer.update", "Change a customer", agents=True, runtimes=True),
    Builtin("customer.delete", "Remove a customer", runtimes=True),
    Builtin("project.create", "Create a project", agents=True, runtimes=True),
    Builtin("project.update", "Change a project", agents=True, runtimes=True),
    Builtin("project.delete", "Remove a project", runtimes=True),
    Builtin("project.memory", "Add to a project's memory", agents=True, runtimes=True),
    Builtin("task.create", "Create a task", agents=True, runtimes=True),
    Builtin("task.update", "Change a task", agents=True, runtimes=True),
    Builtin("task.delete", "Archive a task", agents=True, runtimes=True),
    Builtin("task.claim", "Claim a task", agents=True, runtimes=True, acting=True),
    Builtin("task.assign", "Assign a task", effect=_D, agents=True, runtimes=True),
    Builtin("task.note", "Write a note on a task", agents=True, runtimes=True, acting=True),
    Builtin("task.result", "Report the result of a task", agents=True, runtimes=True, acting=True),
    Builtin("task.release", "Hand a claimed task back", agents=True, runtimes=True, acting=True),
    Builtin("task.move", "Move a task by hand (retry, reopen, accept)"),
    Builtin("task.expire", "Take back expired leases", operator=None, system=True),
    Builtin("task.watch", "Tell of work that waits too long", operator=None, system=True),
    Builtin("task.dispatch", "Hand a task to an executor", operator=None, system=True),
    Builtin(
        "task.delegate",
        "Have another gateway do a claimed task",
        effect=Effect.EXTERNAL_WRITE,
        operator=None,
        agents=True,
        system=True,
    ),
    Builtin(
        "task.code",
        "Have an installed Claude Code do a claimed task",
        effect=Effect.EXEC,
        operator=None,
        agents=True,
        system=True,
    ),
    Builtin(
        "command.run", "Run a command capability", effect=Effect.EXEC, agents=True, system=True
    ),
    Builtin("action.create", "Start an execution log", agents=True, runtimes=True),
    Builtin("action.step", "Add a step to an execution log", agents=True, runtimes=True),
    # dispatch between agents, preflight, calls (governance contract, 4, 5, 6)
    Builtin("session.spawn", "Give a child task to another agent", effect=_D, **_BY_AGENT),
    Builtin("session.send", "Send a message with a routing note", effect=_D, **_BY_AGENT),
    Builtin("preflight.create", "Think before acting: who, how, where, whether", **_BY_AGENT),
    Builtin("call.cancel", "End a call: an agent its own, an operator any", agents=True),
    Builtin("call.settle", "Record what became of a call", operator=None, system=True),
    Builtin("capability.grant", "Grant or revoke by a change record", operator=None, system=True),
    # gates, routes, pipelines, cards (7, 11)
    Builtin("card.create", "Create a project card", agents=True, runtimes=True),
    Builtin("brief.write", "Write a reverse brief", **_BY_AGENT),
    Builtin("brief.decide", "Confirm, amend or reject a reverse brief", agents=True, runtimes=True),
    Builtin("task.audit", "Audit a task before it is done", agents=True),
    Builtin("task.accept", "Accept or return finished work", agents=True),
    Builtin("task.gate", "Evaluate gates again", operator=None, system=True),
    Builtin("pipeline.register", "Register a pipeline", operator="owner", system=True),
    Builtin("pipeline.start", "Start a pipeline", agents=True, runtimes=True),
    # changes and documents (10, R4)
    Builtin("change.create", "Propose a change", agents=True, runtimes=True, system=True),
    Builtin("change.review", "Add a perspective to a change", agents=True),
    Builtin("change.validate", "Check a change", agents=True, runtimes=True),
    Builtin("change.approve", "Approve or reject a change", operator="approver", agents=True),
    Builtin("change.switch", "Put a change in force", operator="approver", agents=True),
    Builtin("document.write", "Write a document of the main space", agents=True, runtimes=True),
    Builtin(
        "document.read", "Read a governed document", operator="viewer", agents=True, runtimes=True
    ),
    Builtin(
        "mainspace.sync", "Watch, restore and commit the main space", operator=None, system=True
    ),
    # money (budgets)
    Builtin("budget.set", "Set a budget", agents=True, runtimes=True),
    Builtin("budget.price", "Set a price", operator="owner"),
    Builtin(
        "model.call",
        "Reserve what a model call may cost",
        effect=Effect.MODEL,
        system=True,
        **_BY_AGENT,
    ),
    Builtin("budget.settle", "Settle a reservation", system=True, **_BY_AGENT),
    Builtin("budget.expire", "Give back what nobody settled", operator=None, system=True),
    Builtin("model.add", "Add or change a configured model", operator="owner"),
    Builtin("model.remove", "Remove a configured model", operator="owner"),
    Builtin("model.test", "Ask a configured model for a word", effect=Effect.MODEL),
    # agents that this daemon runs (design, 6, 7)
    Builtin("turn.accept", "Say something to an agent that runs here", agents=True, runtimes=True),
    Builtin("turn.abort", "End a turn that waits or runs", agents=True, runtimes=True),
    Builtin("turn.run", "Go on with a turn", operator=None, agents=True, system=True),
    Builtin("session.note", "Add a note to a session", operator="owner", system=True),
    Builtin("session.policy", "Set when sessions begin anew by themselves"),
    Builtin("import.session", "Take over a session from elsewhere", operator="owner"),
    Builtin("heartbeat.set", "Set an agent's heartbeat"),
    Builtin("heartbeat.wake", "Have an agent look now whether it is needed", runtimes=True),
    Builtin("heartbeat.run", "Look whether an agent is needed", operator=None, system=True),
    # tools of agents that this daemon runs
    Builtin("workspace.write", "Write a file of an agent's workspace", operator="owner"),
    Builtin("fs.read", "Read a file in one's own workspace", effect=_R, **_TOOL),
    Builtin("fs.list", "List a folder of one's own workspace", effect=_R, **_TOOL),
    Builtin("fs.search", "Search one's own workspace", effect=_R, **_TOOL),
    Builtin("fs.write", "Write a file in one's own workspace", **_TOOL),
    Builtin("mcp.register", "Register an MCP server", operator="owner"),
    Builtin("mcp.sync", "List an MCP server's tools", operator=None, system=True),
    Builtin("web.fetch", "Read a page of an allowed host", effect=_R, **_TOOL),
    Builtin("egress.open", "Let a run reach a host that it may", system=True, **_TOOL),
    Builtin("egress.close", "Record what went to a host", operator=None, system=True),
    # devices at the gateway
    Builtin("device.ask", "Let a device ask to be let in", operator="viewer", runtimes=True),
    Builtin(
        "device.connect",
        "Connect a device within one's own rights",
        operator="viewer",
        runtimes=True,
    ),
    Builtin("device.decide", "Let a device in, or not", operator="owner"),
    Builtin("device.change", "Rename or remove a device, end or renew its token", operator="owner"),
    Builtin("device.invite", "Mint or revoke a set-up code for a new device", operator="owner"),
    Builtin("device.redeem", "Pair a device by its set-up code", operator=None, system=True),
    # nodes: devices that offer commands
    Builtin("node.declare", "Say as a node what it offers", operator=None, runtimes=True),
    Builtin("node.decide", "Approve what a node offers, or not", operator="owner"),
    Builtin("node.change", "Rename or remove a node", operator="owner"),
    Builtin("node.invoke", "Have a node do what it was approved for", effect=Effect.EXEC),
    Builtin("node.result", "Answer as a node what it was asked", operator=None, runtimes=True),
    Builtin("node.settle", "Record that a node did not answer", operator=None, system=True),
    # talk over channels
    Builtin("channel.receive", "Take in what was said on a channel", operator=None, system=True),
    Builtin(
        "channel.hold", "Have the connection of a channel's account", operator=None, system=True
    ),
    Builtin("channel.send", "Say something on a channel", effect=Effect.EXTERNAL_WRITE),
    Builtin("channel.control", "Start or stop a channel", operator="owner"),
    Builtin("channel.pair", "Decide who may talk with agents on a channel", operator="owner"),
    Builtin(
        "delivery.send",
        "Hand a delivery to its channel",
        effect=Effect.EXTERNAL_WRITE,
        operator=None,
        system=True,
    ),
    Builtin("delivery.settle", "Record what became of a delivery", operator=None, system=True),
    Builtin("delivery.change", "Send a delivery again, or give it up"),
    # approvals
    Builtin("approval.request", "Ask for an approval", agents=True, runtimes=True),
    Builtin("approval.decide", "Approve or reject", operator="approver", agents=True),
    Builtin("approval.cancel", "Withdraw a request", agents=True, runtimes=True),
    Builtin("approval.expire", "Close approvals past their time", operator=None, system=True),
    Builtin(
        "notice.post",
        "Post a notice to the webhook",
        effect=Effect.EXTERNAL_WRITE,
        operator=None,
        system=True,
    ),
    Builtin("notice.settle", "Record what became of a notice", operator=None, system=True),
    # mirrors (9)
    Builtin("mirror.add", "Mirror the company's records to a target"),
    Builtin("mirror.check", "Ask how a mirror's target is", effect=_R),
    Builtin("mirror.change", "Pause, resume, resync a mirror; resolve its conflicts"),
    Builtin("mirror.remove", "Remove a mirror"),
    Builtin(
        "mirror.push",
        "Push a change to a mirror",
        effect=Effect.EXTERNAL_WRITE,
        operator=None,
        system=True,
    ),
    Builtin("mirror.settle", "Record what became of a push", operator=None, system=True),
    Builtin("outbox.retry", "Push a change again that has failed"),
    Builtin("outbox.drop", "Give up a change that waits or has failed"),
    # trust
    Builtin("trust.review", "Restore an agent after review"),
    Builtin("trust.recompute", "Recompute scores", operator=None, system=True),
    Builtin("training.answer", "Answer a training quiz", **_BY_AGENT),
    Builtin("receipt.undo", "Undo a local write whose version is kept"),
    # records
    Builtin("artifact.create", "Record an artifact", agents=True, runtimes=True),
    Builtin("artifact.delete", "Remove an artifact", agents=True, runtimes=True),
    Builtin("artifact.update", "Change, move or replace an artifact", agents=True, runtimes=True),
    Builtin("folder.create", "Create a folder", agents=True, runtimes=True),
    Builtin("folder.update", "Rename or move a folder", agents=True, runtimes=True),
    Builtin("folder.delete", "Remove a folder and what lies in it", agents=True, runtimes=True),
    Builtin("folder.empty", "Remove what a removed folder held", operator=None, system=True),
    Builtin("storage.quota", "Set how many bytes a company may store", operator="owner"),
    Builtin("incident.open", "Open an incident", agents=True, runtimes=True, system=True),
    Builtin("incident.update", "Change an incident", agents=True, runtimes=True),
    Builtin("incident.delete", "Remove an incident"),
    Builtin("event.create", "Put an event into the calendar", agents=True, runtimes=True),
    Builtin("event.update", "Change a calendar event", agents=True, runtimes=True),
    Builtin("event.delete", "Take an event out of the calendar", agents=True, runtimes=True),
    Builtin("wiki.create", "Create a wiki document", agents=True, runtimes=True),
    Builtin("wiki.update", "Change a wiki document", agents=True, runtimes=True),
    Builtin("wiki.delete", "Remove a wiki document", agents=True, runtimes=True),
    Builtin("resource.create", "Create a resource", agents=True, runtimes=True),
    Builtin("resource.update", "Change a resource", agents=True, runtimes=True),
    Builtin("resource.delete", "Remove a resource", agents=True, runtimes=True),
    # registries: faces of agents, jobs, what runs elsewhere, proposed skills
    Builtin("profile.write", "Give an agent a face in a project", runtimes=True),
    Builtin("profile.delete", "Take an agent's face in a project away", runtimes=True),
    Builtin("job.create", "Define work that comes again", agents=True, runtimes=True),
    Builtin("job.update", "Change work that comes again", agents=True, runtimes=True),
    Builtin("job.delete", "Remove work that comes again", agents=True, runtimes=True),
    Builtin("job.run", "Have a job run by hand", agents=True, runtimes=True),
    Builtin("job.retry", "Have a dead run of a job tried again"),
    Builtin("job.drop", "Put a dead run of a job away"),
    Builtin("job.fire", "Make the runs of jobs that are due", operator=None, system=True),
    Builtin("job.settle", "Record what became of a job's run", operator=None, system=True),
    Builtin("pipeline.record", "Record a pipeline that runs elsewhere", agents=True, runtimes=True),
    Builtin("pipeline.forget", "Remove a recorded pipeline", agents=True, runtimes=True),
    Builtin("action.finish", "Finish an execution log", agents=True, runtimes=True),
    Builtin("skill.promote", "Propose a skill; it waits in quarantine", agents=True, runtimes=True),
    Builtin("skill.withdraw", "Withdraw a proposed skill", agents=True, runtimes=True),
    Builtin(
        "resource.lease",
        "Have the secret of a resource for a while",
        operator="owner",
        agents=True,
        runtimes=True,
        scope="mcp_danger",
    ),
    Builtin("integration.create", "Give an agent an integration", **_BY_AGENT),
    Builtin("integration.delete", "Archive an integration", **_BY_AGENT),
    Builtin(
        "integration.lease",
        "Have the secret of an integration for a while",
        operator="owner",
        scope="mcp_danger",
        **_BY_AGENT,
    ),
    Builtin(
        "lease.renew",
        "Keep a lent secret for longer",
        operator="owner",
        agents=True,
        runtimes=True,
        scope="mcp_danger",
    ),
    Builtin("lease.release", "Give a lent secret back", agents=True, runtimes=True),
    Builtin("lease.expire", "End leases of secrets that are over", operator=None, system=True),
    # talk
    Builtin("thread.create", "Open a thread", agents=True, runtimes=True),
    Builtin("message.send", "Send a message", effect=_D, agents=True, runtimes=True),
    Builtin(
        "chat.status",
        "Show typing and read marks",
        effect=_R,
        agents=True,
        runtimes=True,
        acting=True,
    ),
    # reading that leaves a receipt, and reading that does not
    Builtin(
        "read",
        "Read lists, tasks, files, events",
        effect=_R,
        operator="viewer",
        agents=True,
        runtimes=True,
        system=True,
    ),
    Builtin("audit.read", "Read and export the ledger", effect=_R, operator="viewer"),
    Builtin("dashboard.open", "Open the dashboard in a browser", operator="viewer"),
    # programs that ask people for a token (control-plane contract, 2)
    Builtin("oauth.register", "Register a program (OAuth)", operator=None, system=True),
    Builtin("oauth.authorize", "Let a program have a company token", operator="owner"),
    Builtin("oauth.token", "Exchange a code for a company token", operator=None, system=True),
    # the inbound webhook (control-plane contract, 7): what it brings is never an operator's word
    Builtin(
        "message.receive",
        "Take in what a person said elsewhere",
        effect=_D,
        operator=None,
        runtimes=True,
    ),
    Builtin("webhook.secret", "Set what signs a company's inbound webhook", operator="owner"),
)


def role_reaches(have: str | None, least: str | None) -> bool:
    """Whether an operator of role `have` may do what needs `least`."""
    if have is None or least is None or have not in ROLES:
        return False
    return ROLES.index(have) >= ROLES.index(least)

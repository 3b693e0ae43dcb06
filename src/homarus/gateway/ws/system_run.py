"""`system.run` of a node (gateway contract, 11): what of a call reaches the node.

That a command is approved is the gateway's to say: it looks for the approval that `runId` names,
and adds `approved` and `approvalDecision` itself. A caller that says so otherwise is refused.
"""

import shlex
from typing import Any, Final

import msgspec

from homarus.base.errors import Refused
from homarus.gateway.ws import frames
from homarus.gateway.ws.frames import Fault

Doc = dict[str, Any]

FORWARDED: Final = (
    "command", "rawCommand", "cwd", "env", "timeoutMs", "runId", "agentId", "sessionKey",
    "systemRunPlan", "needsScreenRecording", "suppressNotifyOnExit",
)  # fmt: skip
"""Parameters that a node is told as they were given; others are left out."""
CLAIMS: Final = ("approved", "approvalDecision")
"""With them a caller says that `runId` is the id of an approval."""
CLAIM: Final = "approv"
"""What names of other claims begin with, in any case of letters: none is taken."""
OF_PLAN: Final = (
    ("rawCommand", "commandText"), ("agentId", "agentId"), ("sessionKey", "sessionKey"),
)  # fmt: skip
"""What an approved command has of its plan, and of nothing else."""
GRANTED: Final[Doc] = {"approved": True, "approvalDecision": "allow-once"}


class Run(msgspec.Struct, frozen=True):
    """`plan` as it was given; `approval`: what the caller names as its approval, `-` for nothing;
    None: it does not say that there is one. `params`: for the node."""

    argv: tuple[str, ...]
    cwd: str | None
    env: Doc
    plan: Doc | None
    approval: str | None
    params: Doc

    @property
    def what(self) -> str:
        return shlex.join(self.argv)


def run_of(given: Any) -> Run:
    """A list of words, never a line for a shell. Raises Fault, `node.approval`."""
    asked = given if isinstance(given, dict) else {}
    argv, cwd, env = asked.get("command"), asked.get("cwd"), asked.get("env")
    if argv is None or not is_argv(argv):
        raise _bad("at params/command: must be an array of strings")
    if not isinstance(cwd, str | None) or not isinstance(env, dict | None):
        raise _bad("at params: cwd must be string, env object")
    _check_claims(asked)
    plan = _plan(asked, argv, cwd)
    claims = bool(asked.get("approved")) or asked.get("approvalDecision") is not None
    params = {name: asked[name] for name in FORWARDED if name in asked}
    if claims:
        params = _granted(params, plan or {})
    if plan is not None and cwd is None and plan.get("cwd") is not None:
        cwd = params["cwd"] = plan["cwd"]
    return Run(
        argv=tuple(argv), cwd=cwd, env=env or {}, plan=plan,
        approval=str(asked.get("runId") or "-") if claims else None,
        params=params,
    )  # fmt: skip


def _granted(params: Doc, plan: Doc) -> Doc:
    found = params | {name: plan.get(key) for name, key in OF_PLAN}
    return {name: value for name, value in found.items() if value is not None} | GRANTED


def is_argv(given: Any) -> bool:
    words = isinstance(given, list) and all(isinstance(word, str) for word in given)
    return words and bool(given) and bool(given[0])


def _check_claims(asked: Doc) -> None:
    for name, value in asked.items():
        if name.lower().startswith(CLAIM) and name not in CLAIMS and value is not None:
            raise Refused(
                "node.approval", f"whether it is approved is not the caller's to say: {name[:80]}",
                "Leave it out; with `approved` and the id of an approval as `runId` the gateway "
                "looks for that.", rule="approval",
            )  # fmt: skip


def _plan(asked: Doc, argv: list[str], cwd: str | None) -> Doc | None:
    """A plan is of the very command beside it: one is not judged and another one run."""
    plan = asked.get("systemRunPlan")
    if plan is None:
        return None
    if not isinstance(plan, dict) or not is_argv(plan.get("argv")):
        raise _bad("at params/systemRunPlan: must be object with argv, an array of strings")
    folder = plan.get("cwd")
    if not isinstance(folder, str | None):
        raise _bad("at params/systemRunPlan/cwd: must be string")
    if plan["argv"] != argv or (folder is not None and cwd is not None and folder != cwd):
        raise _bad("at params/systemRunPlan: its argv and cwd must be those of the command")
    return plan


def _bad(why: str) -> Fault:
    return frames.bad_params("node.invoke", why)

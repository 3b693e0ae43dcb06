"""Jobs of a crontab.

A crontab's command is a line for a shell, and nothing here is one: a line of plain words becomes a
capability (an argument list) that the job's agent may run; any other is left, with the reason. What
a job is called follows from its command and its time alone, so that the same line is the same job
wherever it stands.
"""

import pwd
import re
import shlex
import shutil
from pathlib import Path
from typing import Any, Final

import msgspec

from homarus.base.canonical import digest
from homarus.base.errors import Invalid
from homarus.conversations import keys
from homarus.importers.cron_plan import NewJob, Plan, without_doubles
from homarus.importers.openclaw.files import Finding
from homarus.jobs import timing
from homarus.jobs.timing import Schedule

MACROS: Final = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}  # fmt: skip
SHELL: Final = re.compile(r"[|&;<>()$`\\*?\[\]{}~#!%\n]")
BUILTINS: Final = frozenset(
    {".", ":", "cd", "eval", "exec", "export", "set", "source", "trap", "ulimit", "umask", "unset"}
)
"""Words that only a shell knows."""
ROOT: Final = "root"
SYSTEM_FILE: Final = Path("/etc/crontab")
SYSTEM_FOLDER: Final = "cron.d"
MAX_NAME: Final = 100
MAX_AGENT: Final = 40
MAX_PROGRAM: Final = 24
DIGITS: Final = 10
_ASSIGNED: Final = re.compile(r"([A-Za-z_]\w*)\s*=\s*(.*)")
_ASSIGNS: Final = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_ODD: Final = re.compile(r"[^a-z0-9]+")


def is_systems(path: Path) -> bool:
    """Whether each line of such a file names a user before its command."""
    return path == SYSTEM_FILE or path.parent.name == SYSTEM_FOLDER


def read(text: str, agent: str, *, users: bool = False) -> Plan:
    """A crontab: variables, comments, five fields or a macro, and a command. `agent`: by name;
    `users`: each line names a user before its command."""
    found: list[tuple[str, NewJob | Finding]] = []
    zone: str | None = None
    for no, line in enumerate(text.splitlines(), 1):
        words, place = line.strip(), f"line {no}"
        if not words or words.startswith("#"):
            continue
        assigned = _ASSIGNED.fullmatch(words)
        if assigned is None:
            found.append((place, _line(place, words, agent, zone, users)))
        elif assigned[1] in ("CRON_TZ", "TZ"):
            zone = assigned[2].strip("\"' ")
        else:
            found.append((place, Finding(f"{place}: {assigned[1]}", "variables are not passed on",
                                         "Set it in the program itself.")))  # fmt: skip
    plan = without_doubles(found, "it says the same as {}", "One job does it.")
    return msgspec.structs.replace(plan, crontab_of=agent)


def _line(place: str, line: str, agent: str, zone: str | None, users: bool) -> NewJob | Finding:
    macro = line.startswith("@")
    fields = line.split(None, 1) if macro else line.split(None, 5)
    expr = MACROS.get(fields[0].lower()) if macro else " ".join(fields[:5])
    if expr is None:
        return Finding(place, f"{fields[0]} is no time of the clock", "A service may fit.")
    if len(fields) != (2 if macro else 6):
        return Finding(place, "it has no command")
    said = fields[-1]
    try:
        schedule = timing.check(Schedule(cron=expr, zone=zone or "UTC"), 0)
        argv = shlex.split(said)
    except Invalid as error:
        return Finding(place, error.message, error.remedy)
    except ValueError as error:
        return Finding(place, f"its command cannot be read: {error}")
    why = _not_taken(place, said, argv, users)
    return why or _job(agent, said, argv, str(schedule.cron), zone)


def _not_taken(place: str, said: str, argv: list[str], users: bool) -> Finding | None:
    """Why this command is none that can be run as it stands."""
    if not argv or not argv[0]:
        return Finding(place, "it has no command")
    if SHELL.search(said) or argv[0] in BUILTINS:
        return Finding(place, "its command needs a shell",
                       "Put it into a script, and run that.")  # fmt: skip
    if _ASSIGNS.fullmatch(argv[0]):
        return Finding(place, "its command sets a variable first, which a shell does",
                       "Set it in the program itself, or put it into a script.")  # fmt: skip
    if users or _is_user(argv):
        return Finding(place, f"it names the user {argv[0]}, as the system's crontab does",
                       "Take the user out: here it runs as its agent.")  # fmt: skip
    return None


def _is_user(argv: list[str]) -> bool:
    """Whether the first word is more likely a user than a program."""
    word = argv[0]
    if len(argv) < 2 or "/" in word or shutil.which(word) is not None:
        return False
    try:
        pwd.getpwnam(word)
    except (KeyError, ValueError):
        return word == ROOT
    return True


def _job(agent: str, said: str, argv: list[str], expr: str, zone: str | None) -> NewJob:
    mark = digest([argv, expr, zone]).hex()[:DIGITS]
    key = f"{_word(Path(argv[0]).name, MAX_PROGRAM)}-{mark}"
    id_ = capabilities_of(agent) + key
    capability = {"id": id_, "title": said[:80], "argv": argv, "grants": [f"agent:{agent}"]}
    schedule = {"kind": "cron", "expr": expr} | ({} if zone is None else {"tz": zone})
    body: dict[str, Any] = {
        "name": said[:MAX_NAME], "key": key, "agentId": agent, "schedule": schedule,
        "work": {"kind": "command", "capability": id_}, "description": f"crontab: {said}"[:500],
    }  # fmt: skip
    return NewJob(body, f"command: {said[:60]}", capability)


def capabilities_of(agent: str) -> str:
    """How the ids of capabilities begin that were made of an agent's crontabs."""
    return f"cron.{_word(keys.slug(agent), MAX_AGENT)}."


def _word(text: str, most: int) -> str:
    return _ODD.sub("-", text.lower()).strip("-")[:most].strip("-") or "job"

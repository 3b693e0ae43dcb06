"""Before a command outside the sandbox: whoever outlives its parent there becomes a child of this.

    python supervise.py -- COMMAND ARGUMENT…

Standard library alone, and no import of ours, so that it starts quickly. It waits for all of them,
so that their CPU time is known; when the command has ended, whatever else is left is killed, and it
ends as the command did.
"""

# ruff: noqa: PTH112, PTH123, PTH208
# pathlib takes long to import.
import contextlib
import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
END_S = 2.0
"""For who is left when the command has ended."""
NOT_FOUND = 127


def main(argv: list[str]) -> None:
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux has it
    if prctl is not None:
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # the command gets it too; exec resets this one
    child = os.fork()
    if child == 0:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        try:
            os.execvp(argv[0], argv)  # noqa: S606 - an argument list, and no shell
        except OSError as error:
            os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
            os._exit(NOT_FOUND)
    for pipe in (0, 1, 2):  # its own pipes are the command's: that may close them
        os.close(pipe)
    status = wait_for(child)
    end_rest(time.monotonic() + END_S)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        with contextlib.suppress(OSError):  # KILL cannot be set, and need not be
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def wait_for(child: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return status


def end_rest(until: float) -> None:
    """Kill children until there are none; theirs become ours as they go."""
    while time.monotonic() < until:
        for pid in children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return


def children() -> list[int]:
    """The system's processes whose parent this is; none where there is no /proc."""
    found = []
    own = str(os.getpid()).encode()
    for name in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            stat = file.read()
            if stat[stat.rindex(b")") + 2 :].split()[1] == own:
                found.append(int(name))
    return found


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--") + 1 :])

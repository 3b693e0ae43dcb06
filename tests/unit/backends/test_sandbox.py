"""The sandbox's view as arguments of bubblewrap: what covers what, in which order."""

from pathlib import Path

import pytest

from homarus.backends.sandbox import Options, View, bwrap_arguments, inside, view_of
from homarus.base.errors import Invalid

WS = Path("/srv/state/agents/a/workspace")


def mounts(view: View) -> list[tuple[str, str]]:
    """The mounts after the fresh /tmp, in order: (kind, path)."""
    arguments = bwrap_arguments(view, {}, Options())
    rest = arguments[arguments.index("/tmp") + 1 : arguments.index("--chdir")]
    found = []
    while rest:
        taken = 2 if rest[0] == "--tmpfs" else 3
        kind, *paths = rest[:taken]
        assert len(set(paths)) == 1, "everything lies where it lies outside"
        found.append((kind.removeprefix("--"), paths[0]))
        rest = rest[taken:]
    return found


@pytest.mark.parametrize(
    ("inputs", "hidden", "expected"),
    [
        ([], [], [("bind", str(WS))]),
        (["/data"], [], [("ro-bind", "/data"), ("bind", str(WS))]),
        # a hidden directory needs no mask where nothing shows it
        (["/data"], ["/home/me"], [("ro-bind", "/data"), ("bind", str(WS))]),
        # below an input it is masked, and the workspace within it is seen again
        (
            ["/srv"],
            ["/srv/state"],
            [("ro-bind", "/srv"), ("tmpfs", "/srv/state"), ("bind", str(WS))],
        ),
        # an input within a hidden directory within an input
        (
            ["/home", "/home/me/project"],
            ["/home/me"],
            [
                ("ro-bind", "/home"),
                ("tmpfs", "/home/me"),
                ("ro-bind", "/home/me/project"),
                ("bind", str(WS)),
            ],
        ),
        # what an operator declared is seen, although it is hidden by default
        (["/home/me"], ["/home/me"], [("ro-bind", "/home/me"), ("bind", str(WS))]),
        # below the system's directories, too
        ([], ["/usr/home/me"], [("tmpfs", "/usr/home/me"), ("bind", str(WS))]),
        # the workspace stays writable when declared as an input; an input within it is read-only
        ([str(WS)], [], [("bind", str(WS))]),
        ([f"{WS}/in"], [], [("bind", str(WS)), ("ro-bind", f"{WS}/in")]),
        # a name that merely begins alike is not below
        (["/srv/st"], ["/srv/state"], [("ro-bind", "/srv/st"), ("bind", str(WS))]),
        # declared order does not matter
        (["/b/c", "/a", "/b"], [], [
            ("ro-bind", "/a"), ("ro-bind", "/b"), ("ro-bind", "/b/c"), ("bind", str(WS))
        ]),
    ],
)  # fmt: skip
def test_mounts(inputs: list[str], hidden: list[str], expected: list[tuple[str, str]]) -> None:
    view = View(WS, tuple(map(Path, inputs)), tuple(map(Path, hidden)))
    assert mounts(view) == expected


def test_the_walls() -> None:
    arguments = bwrap_arguments(View(WS), {"B": "2", "A": "1 ; x"}, Options())
    for wall in ("--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"):
        assert wall in arguments
    assert arguments[arguments.index("--cap-drop") + 1] == "ALL"
    assert "--share-net" not in arguments
    assert arguments[-2:] == ["--chdir", str(WS)]
    env = arguments[arguments.index("--setenv") : -2]
    assert env == ["--setenv", "A", "1 ; x", "--setenv", "B", "2"]
    assert arguments.index("--clearenv") < arguments.index("--setenv")


def test_of_the_system_only_programs_libraries_and_a_little_of_etc() -> None:
    view = View(WS, system=("/usr", "/lib64"), links=(("/bin", "usr/bin"),))
    arguments = bwrap_arguments(view, {}, Options())
    bound = [arguments[i + 1] for i, at in enumerate(arguments) if at.startswith("--ro-bind")]
    assert [path for path in bound if not path.startswith("/etc/")] == ["/usr", "/lib64"]
    assert not [path for path in bound if path in ("/etc", "/etc/shadow", "/etc/ssl")]
    at = arguments.index("--symlink")
    assert arguments[at : at + 3] == ["--symlink", "usr/bin", "/bin"]


@pytest.mark.parametrize(
    ("options", "present", "absent"),
    [
        (Options(), [], ["--disable-userns", "--size", "--as-pid-1"]),
        (Options(disable_userns=True), ["--disable-userns"], ["--size"]),
        (Options(tmp_size=True), ["--size"], ["--disable-userns"]),
        (Options(timeout="/t"), ["--as-pid-1"], []),
    ],
)
def test_options_of_newer_versions(options: Options, present: list[str], absent: list[str]) -> None:
    arguments = bwrap_arguments(View(WS), {}, options)
    assert all(at in arguments for at in present)
    assert not any(at in arguments for at in absent)


@pytest.mark.parametrize(
    ("timeout", "processes", "expected"),
    [
        (None, None, ["cmd", "-x"]),
        ("/t", None, ["/t", "--foreground", "0", "cmd", "-x"]),
        (None, 5, ["/p", "--nproc=5:5", "--", "cmd", "-x"]),
        ("/t", 5, ["/t", "--foreground", "0", "/p", "--nproc=5:5", "--", "cmd", "-x"]),
    ],
)
def test_inside(timeout: str | None, processes: int | None, expected: list[str]) -> None:
    options = Options(timeout=timeout)
    assert inside(["cmd", "-x"], options, prlimit="/p", processes=processes) == expected


def test_view_of_resolves_links_and_forgets_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    view = view_of(tmp_path / "link", [tmp_path / "link", tmp_path], [tmp_path / "absent"])
    assert view.workspace == tmp_path / "real"
    assert view.inputs == (tmp_path / "real", tmp_path)
    assert view.hidden == ()
    assert "/usr" in view.system
    assert not {path for path, _ in view.links} & set(view.system)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", "sandbox.bad_path"),
        ("/proc", "sandbox.bad_path"),
        ("/proc/self", "sandbox.bad_path"),
        ("/dev/shm", "sandbox.bad_path"),
        ("/sys/kernel", "sandbox.bad_path"),
        ("/usr/..", "sandbox.bad_path"),
        ("relative", "sandbox.bad_path"),
        ("/no/such/directory", "sandbox.path_missing"),
    ],
)
def test_what_must_not_be_shown(tmp_path: Path, path: str, code: str) -> None:
    for workspace, inputs in ((Path(path), []), (tmp_path, [Path(path)])):
        with pytest.raises(Invalid) as caught:
            view_of(workspace, inputs, [])
        assert caught.value.code == code
        assert caught.value.remedy
